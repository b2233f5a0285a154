//! The bench's calls into the system that the standard library does not offer. The only unsafe code of the crate.
#![allow(unsafe_code)]

pub mod datagrams;
pub mod uring;

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// The priority the bench asks for: the highest that an ordinary process can have.
pub const PRIORITY: i32 = -20;

/// Gives this process the highest priority, inherited by its children.
///
/// # Errors
/// `PermissionDenied` without the right to it.
pub fn raise_priority() -> io::Result<()> {
    // SAFETY: no pointers; 0 names this process.
    let rc = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PRIORITY) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// This process's nice value.
pub fn priority() -> i32 {
    // SAFETY: no pointers; 0 names this process. -1 is a legal value, so errno would have to tell an error, but there
    // is none for the process itself.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Pins the calling thread to one core.
///
/// # Errors
/// When the core does not exist or is not allowed.
pub fn pin(core: usize) -> io::Result<()> {
    allow(&[core])
}

/// Lets the calling thread, and those that it starts from now on, run on these cores only.
///
/// # Errors
/// When none of them exists and is allowed.
pub fn allow(cores: &[usize]) -> io::Result<()> {
    let set = core_set(cores);
    // SAFETY: the set is ours and of the size given; 0 names the calling thread.
    let rc = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The set of these cores, as far as a set can name them.
fn core_set(cores: &[usize]) -> libc::cpu_set_t {
    // SAFETY: an all-zero set is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores.iter().filter(|core| **core < libc::CPU_SETSIZE as usize) {
        // SAFETY: the core's bit lies within the set.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    set
}

/// Cores that the calling thread may run on, in rising order.
///
/// # Errors
/// Whatever the system says.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero set is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours and of the size given; 0 names the calling thread.
    let rc = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every index is below the size of the set.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect())
}

/// Has the kernel kill this process when its parent ends: a spinning role must never outlive the bench.
///
/// # Errors
/// Whatever the system says.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes a signal number and no pointer.
    let rc = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Stops a process of ours as the terminal would: it keeps its mappings and runs no more.
///
/// # Errors
/// When there is no such process.
pub fn stop_process(pid: u32) -> io::Result<()> {
    signal(pid, libc::SIGSTOP)
}

/// Asks a process of ours to end in good order.
///
/// # Errors
/// When there is no such process.
pub fn terminate_process(pid: u32) -> io::Result<()> {
    signal(pid, libc::SIGTERM)
}

/// Lets a child run on `cores`, whatever this thread is pinned to, and has it killed when this thread ends.
pub fn release_child(command: &mut Command, cores: &[usize]) {
    let set = core_set(cores);
    // SAFETY: between fork and exec the closure makes two system calls on memory of its own: it neither allocates nor
    // locks. A refusal is no reason not to start: the child says itself what it lacks.
    unsafe {
        command.pre_exec(move || {
            libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: no pointers; the pid is positive, so it names one process and no group.
    let rc = unsafe { libc::kill(pid, signal) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Bytes that this process may lock in memory; `None`: no limit.
pub fn memlock_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is ours; the call fills it.
    let rc = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    (rc == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Maps a file of the bench's own for reading.
///
/// # Errors
/// Whatever `mmap` says.
pub fn map_file(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: the bench made the file under a name of its own and nothing changes it afterwards; it is only replaced by
    // renaming another file over it, which leaves this mapping as it is.
    unsafe { memmap2::Mmap::map(file) }
}

/// The processor's tick counter: cheaper than any clock call. Read as it comes, without a fence, on both sides of every
/// comparison alike.
#[inline(always)]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction, and Linux leaves it to user space.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        shm_abi::sys::monotonic_ns()
    }
}

/// Ticks per nanosecond, measured over a tenth of a second.
pub fn ticks_per_ns() -> f64 {
    const WINDOW: Duration = Duration::from_millis(100);
    let (started, first) = (Instant::now(), ticks());
    while started.elapsed() < WINDOW {
        std::hint::spin_loop();
    }
    (ticks() - first) as f64 / started.elapsed().as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_rise_and_their_rate_is_plausible() {
        let first = ticks();
        assert!(ticks() >= first);
        assert!((0.01..100.0).contains(&ticks_per_ns()));
    }

    #[test]
    fn a_core_that_cannot_exist_is_refused() {
        assert!(pin(usize::MAX).is_err());
        assert!(!allowed_cores().unwrap().is_empty());
    }

    #[test]
    fn no_group_is_ever_signalled() {
        for pid in [0, u32::MAX] {
            assert_eq!(stop_process(pid).unwrap_err().kind(), io::ErrorKind::InvalidInput, "pid {pid}");
        }
    }
}
