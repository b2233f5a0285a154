//! From `host:port` to a connection: resolved off the reactor, checked against the allow list, with the last good address
//! where the name service fails.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::config::AllowList;
use crate::rt::{self, Connection};

/// Dials the addresses of one feed.
#[derive(Debug, Default)]
pub(super) struct Dialler {
    /// Where each name was connected last.
    last_good: HashMap<String, SocketAddr>,
}

impl Dialler {
    /// Resolves, checks, connects. Every obstacle is logged; `feed` names whose.
    pub(super) async fn connect(
        &mut self,
        feed: &str,
        text: &str,
        allow: &AllowList,
        timeout_ms: u64,
    ) -> Option<(Connection, SocketAddr)> {
        let address = self.resolve(feed, text, allow, timeout_ms).await?;
        match Connection::open(address, timeout_ms).await {
            Ok(connection) => {
                self.last_good.insert(text.to_owned(), address);
                Some((connection, address))
            }
            Err(error) => {
                tracing::warn!(feed, %address, %error, "connection failed");
                None
            }
        }
    }

    /// The address to dial: one that the allow list has.
    pub(super) async fn resolve(
        &self,
        feed: &str,
        text: &str,
        allow: &AllowList,
        timeout_ms: u64,
    ) -> Option<SocketAddr> {
        let resolved = match resolve(text, timeout_ms).await {
            Ok(addresses) => addresses,
            Err(error) => match self.last_good.get(text) {
                Some(last) => {
                    tracing::warn!(feed, address = text, %error, %last, "name not resolved; using its last good address");
                    vec![*last]
                }
                None => {
                    tracing::warn!(feed, address = text, %error, "name not resolved");
                    return None;
                }
            },
        };
        let allowed = resolved.iter().find(|address| allow.allows(address.ip())).copied();
        if allowed.is_none() {
            tracing::error!(feed, address = text, ?resolved, "not in [feeds] allow: add its network there to dial it");
        }
        allowed
    }
}

/// Resolves off the reactor, as that blocks; a name service that hangs counts as one that fails.
async fn resolve(text: &str, timeout_ms: u64) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let owned = text.to_owned();
    let asked = rt::offload(move || owned.to_socket_addrs().map(Iterator::collect));
    let limit = async {
        rt::sleep(timeout_ms.saturating_mul(1_000_000)).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    rt::first(asked, limit).await
}
