//! The connection that brings an image of the books, beside the lines of a datagram feed.

use std::cell::RefCell;
use std::rc::Rc;

use market::ingest::Datagrams;
use shm_abi::sys::realtime_ns;
use wire::Nanos;
use wire::glimpse::client::SnapshotError;
use wire::soupbin::backoff::Attempt;
use wire::soupbin::client::CloseReason;

use super::dial::Dialler;
use crate::config::AllowList;
use crate::lane::Lane;
use crate::rt::{self, Connection};
use crate::sys::{self, Received};

/// Reads of one turn: an image must not keep the lines waiting.
const READS_PER_TURN: usize = 4;

/// The connection failed, or could not be made.
const BROKEN: SnapshotError = SnapshotError::Closed(CloseReason::LineBroken);

/// What a dialling task leaves: nothing yet, or how it went.
type Dialled = Rc<RefCell<Option<Option<Connection>>>>;

/// Where the connection stands.
pub(super) enum ImageLink {
    Closed,
    Dialling(Dialled),
    Open(Connection),
}

impl ImageLink {
    /// Whether there is something to drive.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self, ImageLink::Closed)
    }

    /// Starts to dial beside the feed's own loop.
    pub(super) fn dial(
        feed: &str,
        servers: &[String],
        attempt: Attempt,
        allow: &AllowList,
        timeout_ms: u64,
    ) -> ImageLink {
        let Some(text) = servers.get(attempt.address_index % servers.len().max(1)).cloned() else {
            return ImageLink::Closed;
        };
        let (feed, allow) = (feed.to_owned(), allow.clone());
        let dialled = Dialled::default();
        let answer = dialled.clone();
        rt::spawn_beside(async move {
            let connected = Dialler::default().connect(&feed, &text, &allow, timeout_ms).await;
            *answer.borrow_mut() = Some(connected.map(|(connection, _)| connection));
        });
        ImageLink::Dialling(dialled)
    }

    /// Does what can be done now without waiting.
    pub(super) fn turn(&mut self, at: Nanos, feed: &mut Datagrams, lane: &mut Lane) {
        let ended = match self {
            ImageLink::Closed => return,
            ImageLink::Dialling(dialled) => {
                let Some(result) = dialled.borrow_mut().take() else { return };
                match result {
                    Some(connection) => {
                        feed.image_connected(at);
                        *self = ImageLink::Open(connection);
                        return;
                    }
                    None => Err(BROKEN),
                }
            }
            ImageLink::Open(connection) => match receive(connection, at, feed, lane) {
                Ok(false) => return,
                Ok(true) => Ok(()),
                Err(reason) => Err(reason),
            },
        };
        if let Err(reason) = ended {
            feed.image_failed(at, reason, realtime_ns, &mut lane.out);
        }
        feed.end_burst(&mut lane.out);
        lane.wake();
        *self = ImageLink::Closed;
    }
}

/// Reads, runs timers, sends. `true`: the image is over.
fn receive(connection: &Connection, at: Nanos, feed: &mut Datagrams, lane: &mut Lane) -> Result<bool, SnapshotError> {
    for _ in 0..READS_PER_TURN {
        match sys::receive(connection.descriptor(), feed.image_space()) {
            Ok(Received::Bytes { count, .. }) => {
                let over = feed.image_received(at, count, realtime_ns, &mut lane.out)?;
                feed.end_burst(&mut lane.out);
                lane.wake();
                if over {
                    return Ok(true);
                }
            }
            Ok(Received::WouldBlock) => break,
            Ok(Received::End) | Err(_) => return Err(BROKEN),
        }
    }
    feed.image_tick(at)?;
    if !feed.image_outgoing().is_empty() {
        let count = sys::send(connection.descriptor(), feed.image_outgoing()).map_err(|_| BROKEN)?;
        feed.image_sent(at, count);
    }
    Ok(false)
}
