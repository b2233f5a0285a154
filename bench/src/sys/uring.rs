//! The bare receiver that the kernel serves best: one multishot `recvmsg` of io_uring, which fills buffers that were
//! provided beforehand and needs no further request for as long as there are some.

use std::io;
use std::mem::ManuallyDrop;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, CancelBuilder, Fd, RecvMsgOut, Timespec};
use io_uring::{IoUring, cqueue, opcode};
use memmap2::MmapMut;

/// Buffers provided; a power of two.
const BUFFERS: u16 = 1024;
/// Bytes of each: a datagram of an Ethernet frame and the kernel's own header before it.
const BUFFER_BYTES: usize = 2048;
/// The one group of buffers.
const GROUP: u16 = 0;
/// Completions that may wait: more than there are buffers, so that none is ever dropped.
const COMPLETIONS: u32 = 4096;
const SUBMISSIONS: u32 = 8;
/// `IORING_ENTER_GETEVENTS`: run what the kernel has put off until we ask.
const GETEVENTS: u32 = 1;
/// Longest wait for the cancelled request to end.
const CANCEL_LIMIT: Duration = Duration::from_secs(1);

/// A multishot receiver of one socket. Belongs to the thread that made it: the ring has one issuer.
pub struct Multishot {
    ring: ManuallyDrop<IoUring>,
    /// What the kernel writes to at any time while the request stands. Given back only after it has ended.
    memory: ManuallyDrop<Memory>,
    socket: UdpSocket,
}

struct Memory {
    /// The ring of provided buffers, on a page of its own, shared with the kernel.
    entries: MmapMut,
    /// The buffers.
    bytes: MmapMut,
    /// Template of the request: neither name nor control messages are wanted.
    header: Box<libc::msghdr>,
    /// Buffers provided so far.
    tail: u16,
}

impl Multishot {
    /// Sets up ring and buffers, and the request.
    ///
    /// # Errors
    /// Whatever the kernel says: io_uring may be forbidden, or older than multishot receives (6.0) and deferred task work
    /// (6.1).
    pub fn new(socket: UdpSocket) -> io::Result<Multishot> {
        let ring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        // SAFETY: `msghdr` is plain data, for which all zeros is valid.
        let header: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        let entries = MmapMut::map_anon(usize::from(BUFFERS) * size_of::<BufRingEntry>())?;
        let bytes = MmapMut::map_anon(usize::from(BUFFERS) * BUFFER_BYTES)?;
        // SAFETY: the address is that of a private, page-aligned mapping with room for all entries. It stays mapped until
        // `drop` has ended the request, or for ever.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries.as_ptr() as u64, BUFFERS, GROUP, 0)? };
        let memory = ManuallyDrop::new(Memory { entries, bytes, header, tail: 0 });
        let mut made = Multishot { ring: ManuallyDrop::new(ring), memory, socket };
        (0..BUFFERS).for_each(|buffer| made.memory.provide(buffer));
        made.memory.publish();
        made.arm()?;
        Ok(made)
    }

    fn arm(&mut self) -> io::Result<()> {
        let header: *const libc::msghdr = &raw const *self.memory.header;
        let request = opcode::RecvMsgMulti::new(Fd(self.socket.as_raw_fd()), header, GROUP).build();
        // SAFETY: socket, header and buffers live until the request has ended: see `drop`.
        unsafe { self.ring.submission().push(&request) }.map_err(io::Error::other)?;
        self.ring.submit()?;
        Ok(())
    }

    /// Hands over the payload of every datagram that is there, without waiting: how many.
    ///
    /// # Errors
    /// Whatever the kernel says of the ring or the socket.
    #[inline(always)]
    pub fn receive(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        // SAFETY: no argument is given, so no pointer goes to the kernel.
        unsafe { self.ring.submitter().enter::<libc::sigset_t>(0, 0, GETEVENTS, None)? };
        let (mut taken, mut ended) = (0, false);
        let memory = &mut *self.memory;
        for done in self.ring.completion() {
            ended |= !cqueue::more(done.flags());
            let len = match done.result() {
                // Out of buffers: the request has ended and is made again below.
                error if error == -libc::ENOBUFS => continue,
                error @ ..0 => return Err(io::Error::from_raw_os_error(-error)),
                len => len as usize,
            };
            let Some(buffer) = cqueue::buffer_select(done.flags()).filter(|buffer| *buffer < BUFFERS) else { continue };
            let start = usize::from(buffer) * BUFFER_BYTES;
            // SAFETY: the buffer lies within the mapping. It is ours from its completion until it is provided again, which
            // happens below, after the last use; the kernel writes only to buffers that are provided.
            let filled = unsafe { std::slice::from_raw_parts(memory.bytes.as_ptr().add(start), len.min(BUFFER_BYTES)) };
            if let Ok(message) = RecvMsgOut::parse(filled, &memory.header) {
                take(message.payload_data());
                taken += 1;
            }
            memory.provide(buffer);
        }
        memory.publish();
        if ended {
            self.arm()?;
        }
        Ok(taken)
    }
}

impl Memory {
    /// Puts a buffer back into the ring; the kernel sees it after [`Memory::publish`].
    #[inline(always)]
    fn provide(&mut self, buffer: u16) {
        let address = self.bytes.as_ptr() as u64 + u64::from(buffer) * BUFFER_BYTES as u64;
        let slot = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: the slot lies within the mapping of BUFFERS entries, which is aligned to a page. The kernel only reads
        // entries before the tail that `publish` has shown it, and this one is not among them: at most BUFFERS are out.
        let entry = unsafe { &mut *self.entries.as_mut_ptr().cast::<BufRingEntry>().add(slot) };
        entry.set_addr(address);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    #[inline(always)]
    fn publish(&mut self) {
        let base = self.entries.as_ptr().cast::<BufRingEntry>();
        // SAFETY: `base` is the start of the registered ring, whose first entry holds the tail: a 16-bit word that is
        // aligned, stays mapped, and that the kernel reads with acquire order.
        unsafe { (*BufRingEntry::tail(base).cast::<AtomicU16>()).store(self.tail, Ordering::Release) };
    }
}

impl Drop for Multishot {
    fn drop(&mut self) {
        let limit = Timespec::from(CANCEL_LIMIT);
        let cancelled = self.ring.submitter().register_sync_cancel(Some(limit), CancelBuilder::any());
        // Nothing to cancel is as good.
        let ended = cancelled.map_or_else(|error| error.raw_os_error() == Some(libc::ENOENT), |()| true);
        // SAFETY: nothing uses the ring after this line, and this is its only drop.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
        if ended {
            // SAFETY: the request has ended, so the kernel writes to none of it any more; else it is left mapped for ever.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_sent_is_received_in_order_over_many_rounds_of_the_buffers() {
        const DATAGRAMS: u64 = 5 * BUFFERS as u64;
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let mut multishot = match Multishot::new(receiver) {
            Ok(multishot) => multishot,
            Err(error) => {
                use io::Write as _;
                let _ = io::stderr().write_all(format!("\nSKIPPED (no io_uring here: {error})\n").as_bytes());
                return;
            }
        };
        let mut next = 0_u64;
        for sent in 0..DATAGRAMS {
            sender.send(&sent.to_le_bytes()).unwrap();
            // Now and then more than one is waiting.
            while sent % 7 == 0 && next <= sent {
                multishot
                    .receive(|bytes| {
                        assert_eq!(bytes, next.to_le_bytes());
                        next += 1;
                    })
                    .unwrap();
            }
        }
        while next < DATAGRAMS {
            multishot.receive(|bytes| next += u64::from(bytes == next.to_le_bytes())).unwrap();
        }
    }
}
