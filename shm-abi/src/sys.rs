//! The system calls that shared memory needs, each wrapped so that the rest of the workspace stays safe code.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::slot::Slot;

/// Smallest page of any processor we run on: whoever steps by it comes to every page.
const PAGE_BYTES: usize = 4096;

/// One mapped file (or anonymous memory), shared by every view into it. Unmapped when the last view goes.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
    writable: bool,
}

// SAFETY: the memory is reached only through atomics (`word`, `slot`), which may be used from any thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `file` for everybody who maps it.
    ///
    /// # Errors
    /// Whatever `mmap` says; `InvalidInput` for a length of 0.
    pub fn of_file(file: &OwnedFd, len: usize, writable: bool) -> io::Result<Mapping> {
        Self::map(file.as_raw_fd(), len, writable, libc::MAP_SHARED)
    }

    /// Zeroed memory of this process alone, for tests and benches of one process.
    ///
    /// # Errors
    /// Whatever `mmap` says; `InvalidInput` for a length of 0.
    pub fn anonymous(len: usize) -> io::Result<Mapping> {
        Self::map(-1, len, true, libc::MAP_SHARED | libc::MAP_ANONYMOUS)
    }

    fn map(fd: RawFd, len: usize, writable: bool, flags: i32) -> io::Result<Mapping> {
        if len == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps no memory of ours.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Mapping { base, len, writable })
    }

    /// Bytes mapped.
    #[allow(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The eight-byte word at byte `offset`.
    ///
    /// # Panics
    /// When the offset is not a multiple of 8 or the word does not lie in the mapping: offsets come from a checked
    /// layout.
    #[inline(always)]
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset < self.len && self.len - offset >= 8, "word at {offset}");
        // SAFETY: in bounds and aligned (checked; the base is page-aligned), mapped for `self`'s life, and every other
        // access to shared memory is atomic too. Read-only mappings are only ever loaded from: the writing methods of
        // this crate exist only on types made from a writable mapping.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// The four-byte word at byte `offset` (the low half of an eight-byte word): what a futex waits on.
    ///
    /// # Panics
    /// As [`Mapping::word`].
    #[inline(always)]
    pub fn half_word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(8) && offset < self.len && self.len - offset >= 8, "half word at {offset}");
        // SAFETY: as in `word`. This word is never accessed with another size.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// `count` consecutive words at byte `offset`.
    ///
    /// # Panics
    /// As [`Mapping::word`], for the whole range.
    #[inline(always)]
    pub fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        assert!(
            offset.is_multiple_of(8) && offset <= self.len && (self.len - offset) / 8 >= count,
            "{count} at {offset}"
        );
        // SAFETY: as in `word`; the whole range was checked.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset).cast(), count) }
    }

    /// Asks the processor for the line at byte `offset`, for writing soon. One beyond the mapping is asked for in vain.
    #[inline(always)]
    pub fn prefetch_write(&self, offset: usize) {
        prefetch_line_for_write(self.base.as_ptr().wrapping_add(offset));
    }

    /// `count` slots at byte `offset`.
    ///
    /// # Panics
    /// When the range is not aligned to 64 bytes or does not lie in the mapping.
    #[inline(always)]
    pub fn slots(&self, offset: usize, count: usize) -> &[Slot] {
        assert!(
            offset.is_multiple_of(64) && offset <= self.len && (self.len - offset) / 64 >= count,
            "{count} at {offset}"
        );
        // SAFETY: as in `words`; a `Slot` is eight atomic words, so any bytes are valid.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset).cast(), count) }
    }

    /// Whether the mapping may be written.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Makes every page present and writable, so that none faults later. Writable mappings only; the bytes do not change.
    pub fn prefault(&self) {
        if !self.writable {
            return;
        }
        // SAFETY: the range is our own mapping; populating changes no contents.
        let populated = unsafe { libc::madvise(self.base.as_ptr().cast(), self.len, libc::MADV_POPULATE_WRITE) };
        if populated < 0 {
            // Linux before 5.14.
            self.touch_pages();
        }
    }

    fn touch_pages(&self) {
        for offset in (0..self.len).step_by(PAGE_BYTES) {
            // Adding a zero that the compiler can see is nothing to it: it would leave the page alone.
            let nothing = std::hint::black_box(0);
            self.word(offset).fetch_add(nothing, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Locks the pages in memory.
    ///
    /// # Errors
    /// `PermissionDenied` or `OutOfMemory` when the memlock limit is too low.
    pub fn lock(&self) -> io::Result<()> {
        // SAFETY: the range is our own mapping.
        check(unsafe { libc::mlock(self.base.as_ptr().cast(), self.len) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and length are those of our own mapping, and no view outlives `self`: they borrow it or hold
        // the `Arc` around it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// The slots of one ring in a mapping: looked up millions of times a second, so the range is checked once, when it is
/// made, and every number is masked into it.
#[derive(Debug, Clone)]
pub struct SlotTable {
    first: NonNull<Slot>,
    mask: u64,
    mapping: Arc<Mapping>,
}

// SAFETY: the slots are atomics in memory that the `Arc` keeps mapped; see `Mapping`.
unsafe impl Send for SlotTable {}
// SAFETY: as above.
unsafe impl Sync for SlotTable {}

impl SlotTable {
    /// The `count` slots at byte `offset`.
    ///
    /// # Panics
    /// When `count` is not a power of two, or as [`Mapping::slots`]: offsets come from a checked layout.
    pub fn new(mapping: Arc<Mapping>, offset: usize, count: usize) -> SlotTable {
        assert!(count.is_power_of_two(), "{count} slots");
        let first = NonNull::from(mapping.slots(offset, count)).cast();
        SlotTable { first, mask: count as u64 - 1, mapping }
    }

    /// The slot of number `n`: `n` modulo the count.
    #[inline(always)]
    pub fn get(&self, n: u64) -> &Slot {
        // SAFETY: `first` points at `mask + 1` slots (checked when made), which stay mapped while `self.mapping` lives;
        // the masked index is below that count. A `Slot` is only atomics, so any bytes are valid.
        unsafe { self.first.add((n & self.mask) as usize).as_ref() }
    }

    /// Slots in the table.
    #[inline(always)]
    pub fn count(&self) -> u64 {
        self.mask + 1
    }

    /// The mapping that holds them.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

/// Owned directory descriptor, for `openat`: names are resolved once, in a directory that was checked.
#[derive(Debug)]
pub struct Directory(OwnedFd);

/// What `fstat` says, as far as we look.
#[derive(Debug, Clone, Copy)]
pub struct FileFacts {
    /// `st_mode`: type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Bytes.
    pub size: u64,
    /// Inode number.
    pub inode: u64,
    /// Device number.
    pub device: u64,
}

impl FileFacts {
    /// Whether it is a regular file.
    pub fn is_regular(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    /// What it is, in a word, for messages.
    pub fn kind(&self) -> &'static str {
        match self.mode & libc::S_IFMT {
            libc::S_IFREG => "a regular file",
            libc::S_IFDIR => "a directory",
            libc::S_IFLNK => "a symbolic link",
            libc::S_IFIFO => "a fifo",
            libc::S_IFSOCK => "a socket",
            _ => "a device",
        }
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn c_name(name: &str) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl Directory {
    /// Opens `path`, following no link in its last step.
    ///
    /// # Errors
    /// Whatever `open` says.
    pub fn open(path: &std::path::Path) -> io::Result<Directory> {
        use std::os::unix::ffi::OsStrExt;
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_RDONLY;
        // SAFETY: `path` is a NUL-terminated string that lives through the call.
        let fd = unsafe { libc::open(path.as_ptr(), flags) };
        check(fd)?;
        // SAFETY: a descriptor just opened is ours alone.
        Ok(Directory(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// `openat` without following links, close-on-exec, never blocking on a fifo.
    ///
    /// # Errors
    /// Whatever `openat` says.
    pub fn open_at(&self, name: &str, flags: i32, mode: u32) -> io::Result<OwnedFd> {
        let name = c_name(name)?;
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: `name` is a NUL-terminated string that lives through the call.
        let fd = unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, mode) };
        check(fd)?;
        // SAFETY: a descriptor just opened is ours alone.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Facts about `name` itself, links not followed.
    ///
    /// # Errors
    /// Whatever `fstatat` says; `NotFound` when there is nothing.
    pub fn facts_at(&self, name: &str) -> io::Result<FileFacts> {
        let name = c_name(name)?;
        // SAFETY: `stat` is plain data, for which all zeros is valid.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the name is NUL-terminated and `stat` is ours to write.
        check(unsafe { libc::fstatat(self.0.as_raw_fd(), name.as_ptr(), &mut stat, libc::AT_SYMLINK_NOFOLLOW) })?;
        Ok(facts_of(&stat))
    }

    /// Facts about the directory.
    ///
    /// # Errors
    /// Whatever `fstat` says.
    pub fn facts(&self) -> io::Result<FileFacts> {
        facts(&self.0)
    }

    /// Renames within the directory, replacing the target.
    ///
    /// # Errors
    /// Whatever `renameat` says.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (c_name(from)?, c_name(to)?);
        // SAFETY: both names are NUL-terminated strings that live through the call.
        check(unsafe { libc::renameat(self.0.as_raw_fd(), from.as_ptr(), self.0.as_raw_fd(), to.as_ptr()) })
    }

    /// Removes a file of the directory.
    ///
    /// # Errors
    /// Whatever `unlinkat` says.
    pub fn unlink(&self, name: &str) -> io::Result<()> {
        let name = c_name(name)?;
        // SAFETY: the name is a NUL-terminated string that lives through the call.
        check(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) })
    }
}

fn facts_of(stat: &libc::stat) -> FileFacts {
    FileFacts {
        mode: stat.st_mode,
        uid: stat.st_uid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        inode: stat.st_ino,
        device: stat.st_dev,
    }
}

/// Facts about an open file.
///
/// # Errors
/// Whatever `fstat` says.
pub fn facts(file: &OwnedFd) -> io::Result<FileFacts> {
    // SAFETY: `stat` is plain data, for which all zeros is valid.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `stat` is ours to write.
    check(unsafe { libc::fstat(file.as_raw_fd(), &mut stat) })?;
    Ok(facts_of(&stat))
}

/// Gives the file its whole size now, so that a full file system is an error here and never a SIGBUS later.
///
/// # Errors
/// `StorageFull` when there is no room.
pub fn allocate(file: &OwnedFd, bytes: u64) -> io::Result<()> {
    let bytes = i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    loop {
        // SAFETY: only a descriptor and two numbers are passed.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) } {
            0 => return Ok(()),
            // A signal came while the kernel was clearing pages; what it has done is kept.
            libc::EINTR => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Sets permission bits exactly; the umask is not trusted.
///
/// # Errors
/// Whatever `fchmod` says.
pub fn set_mode(file: &OwnedFd, mode: u32) -> io::Result<()> {
    // SAFETY: only a descriptor and a number are passed.
    check(unsafe { libc::fchmod(file.as_raw_fd(), mode) })
}

/// Takes the exclusive lock of a lock file without waiting.
///
/// # Errors
/// `WouldBlock` when another process holds it.
pub fn lock_exclusive(file: &OwnedFd) -> io::Result<()> {
    // SAFETY: only a descriptor and flags are passed.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })
}

/// Effective user of this process.
pub fn effective_uid() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours to write; both clocks used here always exist.
    unsafe { libc::clock_gettime(id, &mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// CLOCK_MONOTONIC in nanoseconds: for intervals and heartbeats, the same in every process of the host.
#[inline]
pub fn monotonic_ns() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME in nanoseconds since the UNIX epoch: for stamps.
#[inline]
pub fn realtime_ns() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

/// 64 random bits from the kernel.
///
/// # Errors
/// Whatever `getrandom` says.
pub fn random_u64() -> io::Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is ours and 8 bytes long.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == 8 { Ok(u64::from_le_bytes(bytes)) } else { Err(io::Error::last_os_error()) }
}

/// Sleeps on `word` while it holds `seen`, for at most `limit_ns`. Wakes early for no reason at times, as futexes do.
pub fn futex_wait(word: &AtomicU32, seen: u32, limit_ns: u64) {
    let limit = libc::timespec {
        tv_sec: (limit_ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (limit_ns % 1_000_000_000) as libc::c_long,
    };
    let word: *const u32 = word.as_ptr();
    // SAFETY: the word is mapped for the length of the call; a futex wait only reads it, so a read-only page will do.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, seen, &raw const limit, 0usize, 0) };
}

/// Wakes everybody who sleeps on `word`.
pub fn futex_wake_all(word: &AtomicU32) {
    let word: *const u32 = word.as_ptr();
    // SAFETY: the word is mapped; waking reads and writes no memory.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, i32::MAX, 0usize, 0usize, 0) };
}

/// Asks the processor for the cache line at `place`, for reading soon.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and never faults.
    unsafe {
        core::arch::x86_64::_mm_prefetch((&raw const *place).cast::<i8>(), core::arch::x86_64::_MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks the processor for the cache line at `place`, for writing soon: it is then ours before the first store.
#[inline(always)]
pub fn prefetch_write<T>(place: &T) {
    prefetch_line_for_write((&raw const *place).cast());
}

#[inline(always)]
fn prefetch_line_for_write(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch changes nothing and never faults, whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch(place.cast::<i8>(), core::arch::x86_64::_MM_HINT_ET0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Advises huge pages for a large private table. Advice only: refusal changes nothing but speed.
pub fn advise_huge_pages<T>(table: &mut [T]) {
    const HUGE: usize = 2 << 20;
    let start = table.as_ptr().addr().next_multiple_of(HUGE);
    let end = (table.as_ptr().addr() + size_of_val(table)) & !(HUGE - 1);
    if start < end {
        // SAFETY: the range lies within memory borrowed for the length of the call; MADV_HUGEPAGE changes no contents.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
    }
}

/// The memfd that carries the sleeper flag: one page, sealed against shrinking and growing, so that no holder can make
/// another one fault. Source: decisions.md 4.
///
/// # Errors
/// Whatever `memfd_create`, `ftruncate` or sealing says.
pub fn sleeper_memfd() -> io::Result<OwnedFd> {
    // SAFETY: the name is a NUL-terminated literal.
    let fd = unsafe { libc::memfd_create(c"ticklane-sleepers".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    check(fd)?;
    // SAFETY: a descriptor just made is ours alone.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: only a descriptor and a number are passed.
    check(unsafe { libc::ftruncate(fd, SLEEPER_BYTES as libc::off_t) })?;
    // SAFETY: only a descriptor and flags are passed.
    check(unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL) })?;
    Ok(file)
}

/// Bytes of the sleeper memfd.
pub const SLEEPER_BYTES: usize = 4096;

/// Sends one descriptor over a connected Unix socket, with one byte of data to carry it.
///
/// # Errors
/// Whatever `sendmsg` says.
pub fn send_descriptor(socket: &impl AsRawFd, descriptor: &OwnedFd) -> io::Result<()> {
    let mut byte = [1u8];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = ControlBuffer([0; 24]);
    // SAFETY: `msghdr` is plain data, for which all zeros is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE is arithmetic only.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as usize;
    // SAFETY: the control buffer is aligned, zeroed and CMSG_SPACE(4) = 24 bytes long, so the first header and the four
    // bytes behind it lie inside it.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(descriptor.as_raw_fd());
    }
    // SAFETY: every pointer in `message` lives through the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    if sent == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[repr(align(8))]
struct ControlBuffer([u8; 24]);

/// Receives one descriptor from a connected Unix socket.
///
/// # Errors
/// Whatever `recvmsg` says; `InvalidData` when the message carried no descriptor.
pub fn receive_descriptor(socket: &impl AsRawFd) -> io::Result<OwnedFd> {
    let mut byte = [0u8];
    let mut data = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = ControlBuffer([0; 24]);
    // SAFETY: `msghdr` is plain data, for which all zeros is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: every pointer in `message` lives through the call.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has filled the control buffer; CMSG_FIRSTHDR is null when it is shorter than a header.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let carries = !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_RIGHTS
            && (*header).cmsg_len == libc::CMSG_LEN(4) as usize;
        if !carries {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<i32>().read_unaligned()))
    }
}

#[cfg(test)]
#[cfg(not(any(miri, loom)))]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    const PAGES: usize = 512;

    /// Pages that had to be made for this thread so far.
    fn faults() -> i64 {
        // SAFETY: all zeros are a value of this plain structure.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the structure is ours.
        check(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) }).unwrap();
        usage.ru_minflt + usage.ru_majflt
    }

    fn faults_of_writing(mapping: &Mapping) -> i64 {
        let before = faults();
        for page in 0..PAGES {
            mapping.word(page * PAGE_BYTES).store(1, Relaxed);
        }
        faults() - before
    }

    #[test]
    fn a_prefaulted_mapping_does_not_fault_again() {
        let mapping = || Mapping::anonymous(PAGES * PAGE_BYTES).unwrap();
        assert_eq!(faults_of_writing(&mapping()), PAGES as i64, "nobody had touched it");
        let populated = mapping();
        populated.prefault();
        assert_eq!(faults_of_writing(&populated), 0);
        let touched = mapping();
        touched.touch_pages();
        assert_eq!(faults_of_writing(&touched), 0);
    }
}
