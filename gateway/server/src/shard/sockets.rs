//! The sockets of a shard's connections, at the places that the core gives them.

use std::io::{self, IoSlice, Read};
use std::net::TcpStream;

use gateway_core::shard::{ConnectionId, Sink};
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use socket2::SockRef;

use crate::http::seats::Seat;
use crate::ws::connection::Ears;
use crate::ws::echo::Mirror;

/// Bytes of the kernel's send buffer. Together with the next it bounds what a stopped reader holds in the kernel.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Unsent bytes above which the kernel takes no more.
const NOTSENT_LOWAT_BYTES: u32 = 16 << 10;

/// One connection's socket, and what it hears.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) id: ConnectionId,
    pub(crate) stream: TcpStream,
    pub(crate) ears: Ears,
    /// Of `/echo`. Boxed: others do not pay for it.
    pub(crate) mirror: Option<Box<Mirror>>,
    pub(crate) seat: Seat,
    /// Stands in the queue of those that have more to read.
    pub(crate) queued: bool,
    /// The client has ended its side: what it said before is still read, up to the end.
    pub(crate) ended: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    places: Vec<Option<Socket>>,
    count: usize,
}

impl Sockets {
    pub(crate) fn insert(&mut self, socket: Socket) {
        let index = socket.id.index as usize;
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        assert!(self.places[index].is_none(), "the core gives a place away only once it was told that it is free");
        self.places[index] = Some(socket);
        self.count += 1;
    }

    /// How many there are, those included whose last frames are still on their way to the kernel.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The socket of a connection that still lives.
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        self.places.get_mut(id.index as usize)?.as_mut().filter(|socket| socket.id == id)
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Socket> {
        self.get_mut(id)?;
        self.count -= 1;
        self.places[id.index as usize].take()
    }
}

/// Prepares a socket for being written to in large pieces and read in small ones.
///
/// # Errors
/// Whatever the system says: the connection is gone, mostly.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES)
}

/// What one read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// None now.
    Nothing,
    /// The client is gone.
    End,
}

/// Reads what is there, as much as fits.
pub(crate) fn receive(mut stream: &TcpStream, buffer: &mut [u8]) -> Received {
    loop {
        return match stream.read(buffer) {
            Ok(0) => Received::End,
            Ok(count) => Received::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
            Err(_) => Received::End,
        };
    }
}

/// One send a call. A broken pipe is an error and no signal. Not `write` and `writev`: on the way to the same function of
/// the kernel they pass through the layers for files, which costs a percent or two of a send.
pub(crate) struct Wire<'s>(pub(crate) &'s TcpStream);

impl Sink for Wire<'_> {
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = match slices {
            [one] => send(self.0, one, flags),
            many => sendmsg(self.0, many, &mut SendAncillaryBuffer::default(), flags),
        };
        Ok(sent?)
    }
}
