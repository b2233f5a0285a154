//! Datagrams by the burst: many received by one call, and one send that the kernel cuts into many.

use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsRawFd;

/// Datagrams that one call can bring: as many as the engine takes at a time.
pub const BURST: usize = 64;

/// Room for the control messages of one datagram, aligned as the kernel wants it.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control(#[expect(dead_code, reason = "filled by the kernel, found by pointer")] [u8; 64]);

/// Places for the datagrams of one `recvmmsg`, whose headers are prepared once, as the engine's are.
pub struct Burst {
    /// [`BURST`] places, then slack that is never filled, so that a message can be read past its end.
    bytes: Vec<u8>,
    place: usize,
    headers: Vec<libc::mmsghdr>,
    control_bytes: usize,
    /// The headers point at these, and at the places.
    _controls: Vec<Control>,
    _vectors: Vec<libc::iovec>,
    filled: usize,
}

impl Burst {
    /// Places of `place` bytes each, and `slack` bytes behind the last. With `stamps` there is also room for what the kernel
    /// says about each datagram.
    pub fn new(place: usize, slack: usize, stamps: bool) -> Burst {
        let mut bytes = vec![0; BURST * place + slack];
        let mut controls = vec![Control([0; 64]); BURST];
        let (first_place, first_control) = (bytes.as_mut_ptr(), controls.as_mut_ptr());
        let mut vectors: Vec<libc::iovec> = (0..BURST)
            .map(|index| libc::iovec { iov_base: first_place.wrapping_add(index * place).cast(), iov_len: place })
            .collect();
        let first_vector = vectors.as_mut_ptr();
        let control_bytes = if stamps { size_of::<Control>() } else { 0 };
        let headers = (0..BURST).map(|index| {
            // SAFETY: `mmsghdr` is plain data, for which all zeros is valid.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = first_vector.wrapping_add(index);
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = first_control.wrapping_add(index).cast();
            header.msg_hdr.msg_controllen = control_bytes;
            header
        });
        let headers = headers.collect();
        Burst { headers, bytes, place, control_bytes, _controls: controls, _vectors: vectors, filled: 0 }
    }

    /// All places: what [`Burst::datagram`] is relative to.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Receives what is there, without waiting: how many datagrams. What was received before is gone.
    ///
    /// # Errors
    /// Whatever `recvmmsg` says, but for "nothing there" and "interrupted".
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.forget();
        // SAFETY: there are BURST headers, each pointing at one place, one vector and one control area of its own,
        // all ours, of the lengths given, never resized, and alive through the call; no timeout is given.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BURST as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        self.filled = found(count as isize)?.unwrap_or(0);
        Ok(self.filled)
    }

    /// Receives one datagram if there is one, without waiting: how many. What was received before is gone.
    ///
    /// # Errors
    /// Whatever `recvmsg` says, but for "nothing there" and "interrupted".
    pub fn receive_one(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.forget();
        let Some(first) = self.headers.first_mut() else { return Ok(0) };
        // SAFETY: the header points at one place, one vector and one control area of its own, as above.
        let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut first.msg_hdr, libc::MSG_DONTWAIT) };
        let Some(len) = found(len)? else { return Ok(0) };
        first.msg_len = len as libc::c_uint;
        self.filled = 1;
        Ok(1)
    }

    /// The kernel has shortened the lengths of those that it filled.
    fn forget(&mut self) {
        for header in &mut self.headers[..self.filled] {
            header.msg_hdr.msg_controllen = self.control_bytes;
            header.msg_hdr.msg_flags = 0;
        }
        self.filled = 0;
    }

    /// Where datagram `index` of the last call lies.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn datagram(&self, index: usize) -> Range<usize> {
        assert!(index < self.filled, "datagram {index} of {}", self.filled);
        let start = index * self.place;
        start..start + (self.headers[index].msg_len as usize).min(self.place)
    }

    /// The kernel's receive stamp of datagram `index`, UNIX ns, if it gave one.
    ///
    /// # Panics
    /// When there are not so many datagrams.
    pub fn stamp_ns(&self, index: usize) -> Option<u64> {
        assert!(index < self.filled, "datagram {index} of {}", self.filled);
        let message = &self.headers[index].msg_hdr;
        // SAFETY: the header was filled by a successful recvmmsg, and its control area, if any, lives as long as `self`;
        // CMSG_FIRSTHDR is null or points into that area.
        let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
        while !header.is_null() {
            // SAFETY: a non-null header lies wholly in the control area.
            let (level, kind, len) = unsafe { ((*header).cmsg_level, (*header).cmsg_type, (*header).cmsg_len) };
            // SAFETY: CMSG_LEN is arithmetic only.
            let whole = len >= unsafe { libc::CMSG_LEN(size_of::<libc::timespec>() as u32) } as usize;
            if level == libc::SOL_SOCKET && kind == libc::SCM_TIMESTAMPNS && whole {
                // SAFETY: the message is long enough for a timespec, which is two plain numbers and may lie unaligned.
                let stamp = unsafe { libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned() };
                return Some(stamp.tv_sec as u64 * 1_000_000_000 + stamp.tv_nsec as u64);
            }
            // SAFETY: as for CMSG_FIRSTHDR.
            header = unsafe { libc::CMSG_NXTHDR(message, header) };
        }
        None
    }
}

/// What a receiving call says: a count, or `None` for "nothing there" and "interrupted".
fn found(result: isize) -> io::Result<Option<usize>> {
    if result >= 0 {
        return Ok(Some(result as usize));
    }
    match io::Error::last_os_error() {
        error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        error => Err(error),
    }
}

/// Has the kernel stamp datagrams and count the dropped ones, as the engine does.
///
/// # Errors
/// Whatever `setsockopt` says.
pub fn enable_stamps_and_drop_counts(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// Has the kernel cut what is sent into datagrams of `bytes`: a sender's price per datagram falls by several times.
///
/// # Errors
/// Whatever `setsockopt` says: a kernel before 4.18 does not know it.
pub fn set_segment_bytes(socket: &UdpSocket, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    set_option(socket, libc::SOL_UDP, libc::UDP_SEGMENT, bytes)
}

/// Asks for a receive buffer of `bytes`: beyond the system's limit where we may, else up to it. Returns what was granted,
/// as the kernel counts it.
///
/// # Errors
/// Whatever `setsockopt` and `getsockopt` say.
pub fn set_receive_buffer(socket: &UdpSocket, bytes: usize) -> io::Result<usize> {
    let wanted = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    if set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted).is_err() {
        set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, wanted)?;
    }
    let mut granted: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    let descriptor = socket.as_raw_fd();
    // SAFETY: the value is an int of ours, alive through the call, and its true size is given.
    let result = unsafe {
        libc::getsockopt(descriptor, libc::SOL_SOCKET, libc::SO_RCVBUF, (&raw mut granted).cast(), &raw mut len)
    };
    if result == 0 { Ok(usize::try_from(granted).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

fn set_option(socket: &UdpSocket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option value is an int, alive through the call, and its true size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segmented_send_arrives_as_a_burst_of_stamped_datagrams() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        enable_stamps_and_drop_counts(&receiver).unwrap();
        assert!(set_receive_buffer(&receiver, 1 << 20).unwrap() > 0);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let mut burst = Burst::new(16, 8, true);
        assert_eq!(burst.receive(&receiver).unwrap(), 0, "nothing is there, and that is no error");
        assert_eq!(burst.receive_one(&receiver).unwrap(), 0, "nor here");
        set_segment_bytes(&sender, 10).unwrap();
        sender.send(b"first_____second____third").unwrap();
        let mut got = Vec::new();
        while got.len() < 3 {
            let one = got.is_empty();
            let count = if one { burst.receive_one(&receiver) } else { burst.receive(&receiver) }.unwrap();
            assert!(count <= 1 || !one);
            for index in 0..count {
                assert!(burst.stamp_ns(index).is_some_and(|ns| ns > 1_500_000_000_000_000_000));
                got.push(burst.bytes()[burst.datagram(index)].to_vec());
            }
        }
        assert_eq!(got, [b"first_____".to_vec(), b"second____".to_vec(), b"third".to_vec()]);
    }
}
