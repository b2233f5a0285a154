//! The system calls that supervising processes and drawing on a terminal need.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Asks a process to end.
pub(crate) fn terminate(pid: u32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    // SAFETY: only two numbers are passed. The caller has not waited for this child yet, so its id is not used again; a
    // child that has ended already is no error worth telling.
    unsafe { libc::kill(pid, libc::SIGTERM) };
}

/// Makes the child end with us, also when we are killed and cannot say so.
pub(crate) fn end_with_parent(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0 {
                return Err(io::Error::last_os_error());
            }
            // We may have died between fork and the call above: then nobody would send the signal.
            if libc::getppid() as u32 != parent {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        });
    }
}

/// Columns and rows of the terminal on standard output.
pub(crate) fn terminal_size() -> Option<(usize, usize)> {
    // SAFETY: `winsize` is plain data, for which all zeros is valid.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most one `winsize`, into one of ours.
    let answer = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (answer == 0 && size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col.into(), size.ws_row.into()))
}
