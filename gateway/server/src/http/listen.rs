//! The port: one listener a shard, over which the kernel spreads the connections.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel holds for each listener until they are accepted; it takes less if `somaxconn` is less.
const BACKLOG: i32 = 4096;

/// Why the port cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Somebody else has it.
    #[error(
        "http.listen = \"{address}\": the port is in use; wanted: a free one; stop what uses it (`ss -ltnp` names it), \
         or change the setting"
    )]
    InUse {
        /// As configured.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("http.listen = \"{address}\": {source}")]
    Other {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens so many times on one address. Port 0 asks for any free one, the same for all.
pub(crate) fn listen(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, ListenError> {
    let refuse = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Other { address, source },
    };
    if count == 1 {
        return Ok(vec![bind(address, false).and_then(start).map_err(refuse)?]);
    }
    // Listeners that share a port share it with every other program of this user that shares it too: a second gateway
    // would get half of the connections and nobody would be told. One that does not share finds out who is there.
    let probe = bind(address, false).map_err(refuse)?;
    let bound = probe.local_addr().map_err(refuse)?;
    let address = bound.as_socket().unwrap_or(address);
    drop(probe);
    (0..count).map(|_| bind(address, true).and_then(start).map_err(refuse)).collect()
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the last run that the kernel still remembers must not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn start(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_one_owner_however_many_shards_each_has() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        for owners in [1, 2] {
            let mine = listen(any, owners).unwrap();
            let address = mine[0].local_addr().unwrap();
            assert!(mine.iter().all(|listener| listener.local_addr().unwrap() == address));
            for others in [1, 2] {
                let error = listen(address, others).expect_err("the port is shared").to_string();
                assert!(error.contains(&address.to_string()) && error.contains("in use"), "{owners} {others}: {error}");
            }
            drop(mine);
            assert!(listen(address, 2).is_ok());
        }
    }
}
