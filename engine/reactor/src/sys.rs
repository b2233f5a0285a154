//! The system calls of the engine: the only `unsafe` of this program.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// The system's allocator, counting what each thread asks of it, so that every lane can publish how often its hot path
/// has allocated: a promise that operators can watch, not only a test.
struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count_allocation() {
    // A thread that is being torn down has no counter any more, and no hot path either.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

/// Allocations of this thread so far.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

// SAFETY: every call goes to `System` with the arguments it came with, so its contract is kept as `System` keeps it;
// counting touches only a thread-local number, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_allocation();
        // SAFETY: `place` came from this allocator, that is from `System`, with this layout.
        unsafe { System.realloc(place, layout, size) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Registers this process for expedited private membarriers. Must be the first thing `main` does, before any thread:
/// without it glommio's first timer takes 11 to 15 ms instead of 1 (dependencies.md, glommio rule 1). Kernels that do
/// not know the command change nothing, so the answer is not looked at.
pub(crate) fn register_membarrier() {
    const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;
    // SAFETY: the call takes three plain numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) };
}

/// Schedules the current thread first in, first out at real-time priority `priority`, 1 to 99. Threads that it makes later
/// begin like all others.
///
/// # Errors
/// Whatever `sched_setscheduler` says: it is not allowed, mostly.
pub(crate) fn set_realtime_priority(priority: u8) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: priority.into() };
    // SAFETY: the parameter is ours and alive through the call, which only reads it; thread 0 is the current one.
    let result =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameter) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What one receive call gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes, and the kernel's receive stamp (CLOCK_REALTIME, ns) if it offered one.
    Bytes { count: usize, stamp_ns: Option<u64> },
    /// Nothing there yet.
    WouldBlock,
    /// The other side has closed.
    End,
}

/// Room for one timestamp control message, aligned as the kernel wants it.
#[derive(Clone)]
#[repr(align(8))]
struct Control([u8; 64]);

/// Receives what is there, without waiting, with the kernel's stamp.
///
/// # Errors
/// Whatever `recvmsg` says, but for "nothing there" and "interrupted".
pub(crate) fn receive(socket: RawFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut data = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; 64]);
    // SAFETY: `msghdr` is plain data, for which all zeros is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: the header points at one buffer and one control area, both ours and alive through the call, with their
    // true lengths.
    let count = unsafe { libc::recvmsg(socket, &raw mut message, libc::MSG_DONTWAIT) };
    match count {
        0 => Ok(Received::End),
        // SAFETY: `message` was filled by a successful recvmsg and its control area is alive.
        1.. => Ok(Received::Bytes { count: count as usize, stamp_ns: unsafe { stamp_of(&message) } }),
        _ => match io::Error::last_os_error() {
            error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Received::WouldBlock)
            }
            error => Err(error),
        },
    }
}

/// The receive stamp among the control messages.
///
/// # Safety
/// As for [`control_of`].
unsafe fn stamp_of(message: &libc::msghdr) -> Option<u64> {
    // SAFETY: the caller vouches for the control area; a timespec is two plain numbers.
    let stamp = unsafe { control_of::<libc::timespec>(message, libc::SCM_TIMESTAMPNS) }?;
    let seconds = u64::try_from(stamp.tv_sec).ok()?;
    Some(seconds * 1_000_000_000 + u64::try_from(stamp.tv_nsec).ok()?)
}

/// The control message of the socket level whose type is `kind`.
///
/// # Safety
/// `message` must have been filled by a successful receive, its control area must still be alive, and every pattern of bits
/// must be a `T`.
unsafe fn control_of<T: Copy>(message: &libc::msghdr, kind: libc::c_int) -> Option<T> {
    // SAFETY: the caller vouches for the control area; CMSG_FIRSTHDR is null or points into it.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: a non-null header lies wholly in the control area.
        let (level, found, len) = unsafe { ((*header).cmsg_level, (*header).cmsg_type, (*header).cmsg_len) };
        // SAFETY: CMSG_LEN is arithmetic only.
        let whole = len >= unsafe { libc::CMSG_LEN(size_of::<T>() as u32) } as usize;
        if level == libc::SOL_SOCKET && found == kind && whole {
            // SAFETY: the message is long enough to hold a `T`, which may lie unaligned.
            return Some(unsafe { libc::CMSG_DATA(header).cast::<T>().read_unaligned() });
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// Sends what the socket takes, without waiting. `Ok(0)`: it takes nothing now.
///
/// # Errors
/// Whatever `send` says.
pub(crate) fn send(socket: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the buffer is ours, alive through the call, and of the length given.
    let sent =
        unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    if sent >= 0 {
        return Ok(sent as usize);
    }
    match io::Error::last_os_error() {
        error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        error => Err(error),
    }
}

/// Asks the kernel to stamp what arrives.
///
/// # Errors
/// Whatever `setsockopt` says; the caller then stamps by itself.
pub(crate) fn enable_receive_stamps(socket: &impl AsRawFd) -> io::Result<()> {
    set_option(socket, libc::SO_TIMESTAMPNS, 1)
}

/// Datagrams that one call can bring.
pub(crate) const DATAGRAM_BURST: usize = 64;
/// MSG_TRUNC: the true length of what does not fit is told.
const RECEIVE_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_TRUNC;

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

/// Places for the datagrams of one call, with everything that the kernel needs to fill them: made once.
pub(crate) struct DatagramBuffer {
    /// [`DATAGRAM_BURST`] places, then slack that is never filled, so that a message can be read past its end.
    bytes: Vec<u8>,
    place: usize,
    _controls: Vec<Control>,
    /// Each points at one place.
    _vectors: Vec<libc::iovec>,
    /// Each points at one vector and one control area. None of the four is ever resized, so what they hold stays where it
    /// is however this struct moves.
    headers: Vec<libc::mmsghdr>,
    filled: usize,
}

/// One datagram that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Where it lies in [`DatagramBuffer::bytes`].
    pub(crate) at: std::ops::Range<usize>,
    /// The kernel's receive stamp (CLOCK_REALTIME, ns), if it offered one.
    pub(crate) stamp_ns: Option<u64>,
    /// Datagrams that the kernel has dropped on this socket since it was opened, if it said.
    pub(crate) dropped: Option<u32>,
    /// Bytes that it had; more than its place holds when it was cut.
    pub(crate) len: usize,
}

impl DatagramBuffer {
    /// Places of `place` bytes each, and `slack` bytes behind the last.
    pub(crate) fn new(place: usize, slack: usize) -> DatagramBuffer {
        let mut bytes = vec![0; DATAGRAM_BURST * place + slack];
        let mut controls = vec![Control([0; 64]); DATAGRAM_BURST];
        let (first_place, first_control) = (bytes.as_mut_ptr(), controls.as_mut_ptr());
        let mut vectors: Vec<libc::iovec> = (0..DATAGRAM_BURST)
            .map(|index| libc::iovec { iov_base: first_place.wrapping_add(index * place).cast(), iov_len: place })
            .collect();
        let first_vector = vectors.as_mut_ptr();
        let headers = (0..DATAGRAM_BURST).map(|index| {
            // SAFETY: `mmsghdr` is plain data, for which all zeros is valid.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = first_vector.wrapping_add(index);
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = first_control.wrapping_add(index).cast();
            header.msg_hdr.msg_controllen = size_of::<Control>();
            header
        });
        DatagramBuffer { headers: headers.collect(), bytes, place, _controls: controls, _vectors: vectors, filled: 0 }
    }

    /// All places: what [`Datagram::at`] is relative to.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Receives what is there, without waiting: how many datagrams. What was received before is gone.
    ///
    /// # Errors
    /// Whatever `recvmmsg` says, but for "nothing there" and "interrupted".
    pub(crate) fn receive(&mut self, socket: RawFd) -> io::Result<usize> {
        self.forget();
        // SAFETY: there are DATAGRAM_BURST headers, each pointing at one place, one vector and one control area of its
        // own, all ours, of the lengths given, never resized, and alive through the call; no timeout is given.
        let count = unsafe {
            libc::recvmmsg(
                socket,
                self.headers.as_mut_ptr(),
                DATAGRAM_BURST as libc::c_uint,
                RECEIVE_FLAGS,
                std::ptr::null_mut(),
            )
        };
        self.filled = found(count as isize)?.unwrap_or(0);
        Ok(self.filled)
    }

    /// Receives one datagram if there is one, without waiting: how many. For a socket that was found empty: a burst's
    /// second look, which would find nothing, is a third of the time from the socket to the first message. What was
    /// received before is gone.
    ///
    /// # Errors
    /// Whatever `recvmsg` says, but for "nothing there" and "interrupted".
    pub(crate) fn receive_one(&mut self, socket: RawFd) -> io::Result<usize> {
        self.forget();
        let Some(first) = self.headers.first_mut() else { return Ok(0) };
        // SAFETY: the header points at one place, one vector and one control area of its own, as above.
        let len = unsafe { libc::recvmsg(socket, &raw mut first.msg_hdr, RECEIVE_FLAGS) };
        let Some(len) = found(len)? else { return Ok(0) };
        first.msg_len = len as libc::c_uint;
        self.filled = 1;
        Ok(1)
    }

    /// The kernel has shortened the lengths of those that it filled.
    fn forget(&mut self) {
        for header in &mut self.headers[..self.filled] {
            header.msg_hdr.msg_controllen = size_of::<Control>();
            header.msg_hdr.msg_flags = 0;
        }
        self.filled = 0;
    }

    /// Datagram `index` of the last call.
    ///
    /// # Panics
    /// When there are not so many.
    pub(crate) fn datagram(&self, index: usize) -> Datagram {
        assert!(index < self.filled, "datagram {index} of {}", self.filled);
        let header = &self.headers[index];
        let start = index * self.place;
        // SAFETY: the header was filled by a successful recvmmsg, and its control area lives as long as `self`.
        let (stamp_ns, dropped) = unsafe { (stamp_of(&header.msg_hdr), drops_of(&header.msg_hdr)) };
        Datagram {
            at: start..start + (header.msg_len as usize).min(self.place),
            stamp_ns,
            dropped,
            len: header.msg_len as usize,
        }
    }
}

/// The count of dropped datagrams among the control messages.
///
/// # Safety
/// As for [`stamp_of`].
unsafe fn drops_of(message: &libc::msghdr) -> Option<u32> {
    // SAFETY: the caller vouches for the control area.
    unsafe { control_of::<u32>(message, libc::SO_RXQ_OVFL) }
}

/// Takes a descriptor over into a type that owns one.
pub(crate) fn adopt<T: FromRawFd>(descriptor: OwnedFd) -> T {
    // SAFETY: the descriptor is open and ours alone, and ownership goes over.
    unsafe { T::from_raw_fd(descriptor.into_raw_fd()) }
}

/// Asks the kernel to stamp datagrams and to count the dropped ones.
///
/// # Errors
/// Whatever `setsockopt` says.
pub(crate) fn enable_drop_counts(socket: &impl AsRawFd) -> io::Result<()> {
    set_option(socket, libc::SO_RXQ_OVFL, 1)
}

/// Asks for a receive buffer of `bytes`: beyond the system's limit where we may, else up to it. Returns what was granted,
/// as the kernel counts it: twice the payload's share.
///
/// # Errors
/// Whatever `setsockopt` and `getsockopt` say.
pub(crate) fn set_receive_buffer(socket: &impl AsRawFd, bytes: usize) -> io::Result<usize> {
    let wanted = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    if set_option(socket, libc::SO_RCVBUFFORCE, wanted).is_err() {
        set_option(socket, libc::SO_RCVBUF, wanted)?;
    }
    let mut granted: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is an int of ours, alive through the call, and its true size is given.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, (&raw mut granted).cast(), &raw mut len)
    };
    if result == 0 { Ok(usize::try_from(granted).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

fn set_option(socket: &impl AsRawFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option value is an int, alive through the call, and its true size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Cores that this process may run on, ascending.
pub(crate) fn allowed_cores() -> Vec<usize> {
    // SAFETY: a cpu_set_t is plain bits, for which all zeros is valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours to write and its true size is given.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } != 0 {
        return Vec::new();
    }
    // SAFETY: the index stays below CPU_SETSIZE.
    (0..libc::CPU_SETSIZE as usize).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect()
}

/// The memlock limit in bytes; `None`: unlimited.
pub(crate) fn memlock_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is ours to write.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Makes and closes a small io_uring, to learn whether one can be had.
///
/// # Errors
/// `Unsupported` (ENOSYS), `PermissionDenied`, `OutOfMemory` (memlock) and whatever else the kernel says.
pub(crate) fn probe_io_uring(entries: u32) -> io::Result<()> {
    /// Bytes of `struct io_uring_params`.
    const PARAMS_BYTES: usize = 120;
    let mut params = [0u64; PARAMS_BYTES / 8];
    // SAFETY: the parameter block is ours, zeroed, aligned and of the kernel's size.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and nobody else knows it.
    unsafe { libc::close(fd as RawFd) };
    Ok(())
}

/// Maps a file to be read from its beginning to its end.
///
/// # Errors
/// What the system says.
pub(crate) fn map_file(file: &std::fs::File) -> io::Result<memmap2::Mmap> {
    // SAFETY: the map is only read, as bytes of any value. A file that is cut while it is mapped ends the process by a
    // signal, and one that is changed gives other bytes: parsers take any. That is for recordings that an operator names
    // in the config, never for anything that comes from outside.
    let map = unsafe { memmap2::Mmap::map(file) }?;
    // Only a hint.
    let _ = map.advise(memmap2::Advice::Sequential);
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    /// Receives until something other than "nothing yet" comes, for at most a few seconds of polling.
    fn receive_soon(socket: &TcpStream, buffer: &mut [u8]) -> Received {
        for _ in 0..5_000 {
            match receive(socket.as_raw_fd(), buffer).unwrap() {
                Received::WouldBlock => std::thread::sleep(std::time::Duration::from_millis(1)),
                other => return other,
            }
        }
        panic!("nothing arrived");
    }

    /// Receives until something comes, for at most a few seconds of polling.
    fn datagrams_soon(buffer: &mut DatagramBuffer, socket: &UdpSocket, one: bool) -> usize {
        for _ in 0..5_000 {
            let socket = socket.as_raw_fd();
            match if one { buffer.receive_one(socket) } else { buffer.receive(socket) }.unwrap() {
                0 => std::thread::sleep(std::time::Duration::from_millis(1)),
                count => return count,
            }
        }
        panic!("nothing arrived");
    }

    #[test]
    fn datagrams_lie_in_their_places_with_stamps_and_true_lengths_however_often_and_wherever_the_buffer_is() {
        let open = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (near, plain, far) = (open(), open(), open());
        enable_receive_stamps(&near).unwrap();
        let mut buffer = DatagramBuffer::new(8, 4);
        assert_eq!(buffer.receive(near.as_raw_fd()).unwrap(), 0);
        assert_eq!(buffer.receive_one(near.as_raw_fd()).unwrap(), 0);
        for round in 0..200_u8 {
            // What the kernel fills is found by pointers, and the struct moves.
            let mut moved = Box::new(buffer);
            // Without stamps the kernel uses none of the room for them, and says so in the header.
            far.send_to(&[round], plain.local_addr().unwrap()).unwrap();
            assert_eq!((datagrams_soon(&mut moved, &plain, round % 3 == 0), moved.datagram(0).stamp_ns), (1, None));
            let sent = [vec![round; 3], vec![round + 1; 8], vec![], vec![round + 2; 20]];
            for datagram in &sent {
                far.send_to(datagram, near.local_addr().unwrap()).unwrap();
            }
            let mut seen = 0;
            while seen < sent.len() {
                let one = (usize::from(round) + seen).is_multiple_of(2);
                let count = datagrams_soon(&mut moved, &near, one);
                assert!(count == 1 || !one, "round {round}");
                for index in 0..count {
                    let Datagram { at, stamp_ns, dropped, len } = moved.datagram(index);
                    assert_eq!((len, at.start, dropped), (sent[seen].len(), 8 * index, None), "round {round}");
                    assert_eq!(moved.bytes()[at], sent[seen][..sent[seen].len().min(8)], "round {round}");
                    // The kernel turns stamping on a little after it was asked to.
                    assert!(stamp_ns.is_some() || round < 100, "round {round}");
                    seen += 1;
                }
            }
            assert_eq!(moved.bytes()[DATAGRAM_BURST * 8..], [0; 4], "the slack is never filled");
            buffer = *moved;
        }
    }

    #[test]
    fn bytes_come_with_the_kernels_stamp_and_the_end_is_told() {
        let (near, mut far) = pair();
        enable_receive_stamps(&near).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(receive(near.as_raw_fd(), &mut buffer).unwrap(), Received::WouldBlock);
        // The kernel turns stamping on a little after it was asked to, so the first arrivals may come without one.
        let stamped = (0..5_000).any(|_| {
            let before = shm_abi::sys::realtime_ns();
            far.write_all(b"hello").unwrap();
            let received = receive_soon(&near, &mut buffer);
            assert_eq!(&buffer[..5], b"hello");
            match received {
                Received::Bytes { count: 5, stamp_ns: Some(stamp) } => {
                    assert!((before..=shm_abi::sys::realtime_ns()).contains(&stamp));
                    true
                }
                other => {
                    assert_eq!(other, Received::Bytes { count: 5, stamp_ns: None });
                    false
                }
            }
        });
        assert!(stamped, "no stamp on any of the arrivals");
        drop(far);
        assert_eq!(receive_soon(&near, &mut buffer), Received::End);
    }

    #[test]
    fn a_full_socket_takes_nothing_and_says_so() {
        let (near, _far) = pair();
        let chunk = [0; 65536];
        let mut total = 0;
        while total < 1 << 30 {
            match send(near.as_raw_fd(), &chunk).unwrap() {
                0 => return,
                sent => total += sent,
            }
        }
        panic!("the socket took a gigabyte that nobody read");
    }

    #[test]
    fn allocations_of_this_thread_are_counted_and_others_are_not() {
        let before = allocations();
        std::hint::black_box(vec![0u8; 100]);
        assert_eq!(allocations(), before + 1);
        let before = allocations();
        let mut grown = Vec::<u64>::with_capacity(1);
        grown.extend([1, 2, 3]);
        std::hint::black_box(&grown);
        assert_eq!(allocations(), before + 2);
    }

    #[test]
    fn this_process_may_run_somewhere() {
        assert!(!allowed_cores().is_empty());
    }
}
