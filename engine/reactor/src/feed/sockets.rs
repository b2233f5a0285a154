//! The sockets of a datagram feed: one per line, one per re-request server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{DatagramPlan, LinePlan};
use crate::rt::DatagramSocket;
use crate::sys;

/// A line's socket, bound, joined, stamped and counted.
///
/// # Errors
/// Whatever the system says; the text names the step.
pub(super) fn open_line(feed: &str, line: &LinePlan, plan: &DatagramPlan) -> Result<DatagramSocket, String> {
    let step = |what: &'static str| move |error: io::Error| format!("{line}: {what}: {error}");
    let socket =
        Socket::new(Domain::for_address(line.address), Type::DGRAM, Some(Protocol::UDP)).map_err(step("no socket"))?;
    let group = match line.address {
        SocketAddr::V4(address) if address.ip().is_multicast() => Some(*address.ip()),
        _ => None,
    };
    if group.is_some() {
        // Others on this host may listen to the same group; an address of our own is ours alone.
        socket.set_reuse_address(true).map_err(step("SO_REUSEADDR"))?;
    }
    // Before the bind: from then on datagrams arrive.
    let granted = sys::set_receive_buffer(&socket, plan.socket_buffer_bytes).map_err(step("SO_RCVBUF"))?;
    for (what, result) in [
        ("no kernel receive stamps; stamping in user space", sys::enable_receive_stamps(&socket)),
        ("no counts of dropped datagrams", sys::enable_drop_counts(&socket)),
    ] {
        if let Err(error) = result {
            tracing::warn!(feed, %line, %error, what);
        }
    }
    socket.bind(&line.address.into()).map_err(step("cannot be bound"))?;
    if let Some(group) = group {
        // Only what was joined on this socket, whatever other programs of this host have joined.
        socket.set_multicast_all_v4(false).map_err(step("IP_MULTICAST_ALL"))?;
        let interface = line.interface.unwrap_or(Ipv4Addr::UNSPECIFIED);
        socket.join_multicast_v4(&group, &interface).map_err(step("the group cannot be joined"))?;
    }
    // The kernel counts its own share too, and says twice what it was asked for.
    let wanted = plan.socket_buffer_bytes.saturating_mul(2);
    if granted < wanted {
        tracing::warn!(
            feed,
            %line,
            granted = granted / 2,
            wanted = plan.socket_buffer_bytes,
            "a smaller socket buffer than asked for: raise sysctl net.core.rmem_max, or grant CAP_NET_ADMIN"
        );
    }
    tracing::info!(feed, %line, socket_buffer_bytes = granted / 2, "listening");
    Ok(DatagramSocket::new(OwnedFd::from(socket)))
}

/// A socket connected to a re-request server: only that server's answers come in on it.
///
/// # Errors
/// Whatever the system says.
pub(super) fn open_server(address: SocketAddr) -> io::Result<DatagramSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    sys::enable_receive_stamps(&socket)?;
    socket.connect(&address.into())?;
    Ok(DatagramSocket::new(OwnedFd::from(socket)))
}
