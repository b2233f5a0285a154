//! The sockets of a MoldUDP64 venue.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::config::{LineConfig, ReRequestConfig};
use crate::server::StartError;

/// Bytes that the kernel may hold on their way out, so that a burst does not stall the sender.
const SEND_BUFFER_BYTES: usize = 4 << 20;
/// How soon a stop is noticed.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A line's socket: a group is sent on the named interface, and comes back to this machine.
pub(super) fn line(config: &LineConfig) -> Result<UdpSocket, StartError> {
    let address = config.destination;
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        // Best effort: the kernel's limit may be lower.
        drop(socket.set_send_buffer_size(SEND_BUFFER_BYTES));
        if address.ip().is_ipv4() {
            socket.bind(&SocketAddr::from((config.interface, 0)).into())?;
            if address.ip().is_multicast() {
                socket.set_multicast_if_v4(&config.interface)?;
                socket.set_multicast_ttl_v4(config.ttl)?;
                socket.set_multicast_loop_v4(true)?;
            }
        }
        Ok(socket.into())
    };
    open().map_err(|cause| StartError::Line { address, cause })
}

pub(super) fn rerequest(config: &ReRequestConfig) -> Result<UdpSocket, StartError> {
    let open = || -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(config.listen)?;
        socket.set_read_timeout(Some(POLL_INTERVAL))?;
        Ok(socket)
    };
    open().map_err(|cause| StartError::Listen { address: config.listen, cause })
}

/// Accepting does not block, so that the server sees a stop.
pub(super) fn glimpse(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || -> io::Result<TcpListener> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map_err(|cause| StartError::Listen { address, cause })
}
