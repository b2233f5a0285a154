//! Processes that are started together and end together.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{ToolError, tell};
use crate::sys;

/// Lines of a child's stderr that are kept for the case that it fails.
const TAIL_LINES: usize = 12;
/// Bytes of one line that are kept; a child without line ends must not fill our memory.
const LINE_BYTES: u64 = 4096;
/// Lines of stdout that wait for somebody to ask; further ones are dropped.
const STDOUT_LINES: usize = 64;
/// How often a child's life and a signal are looked at.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What happens to the lines of a child's stderr, besides being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relay {
    /// Shown on our stderr, after the child's name.
    Show,
    /// Only kept: something else is drawn on the terminal.
    Keep,
}

/// A running process of ours. Killed when dropped, if it still runs.
#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    process: std::process::Child,
    stdout: Receiver<String>,
    tail: Arc<Mutex<VecDeque<String>>>,
    stderr_thread: Option<JoinHandle<()>>,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, or when asked.
    Exited(ExitStatus),
    /// It did not end in time and was killed.
    Killed,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Exited(status) if status.success() => f.write_str("ended in good order"),
            Ending::Exited(status) => write!(f, "ended with {status}"),
            Ending::Killed => f.write_str("did not end in time and was killed"),
        }
    }
}

impl Child {
    /// Starts a process in a group of its own, so that Ctrl-C reaches us alone and we stop it in order.
    ///
    /// # Errors
    /// [`ToolError::Io`].
    pub(crate) fn start(name: &'static str, mut command: Command, relay: Relay) -> Result<Child, ToolError> {
        let path = command.get_program().into();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        sys::end_with_parent(&mut command);
        let mut process = command.spawn().map_err(|source| ToolError::Io { action: "start", path, source })?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let stdout = process.stdout.take().expect("stdout is piped");
        let stderr = process.stderr.take().expect("stderr is piped");
        let (sender, receiver) = sync_channel(STDOUT_LINES);
        std::thread::spawn(move || {
            each_line(stdout, |line| {
                // Nobody asks any more, or too slowly: the child must not wait for us.
                let _ = sender.try_send(line);
            });
        });
        let kept = tail.clone();
        let stderr_thread = std::thread::spawn(move || each_line(stderr, |line| keep(name, &kept, line, relay)));
        Ok(Child { name, process, stdout: receiver, tail, stderr_thread: Some(stderr_thread) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The next line of stdout that begins with `prefix`, without it.
    ///
    /// # Errors
    /// [`ToolError::Child`] when the process ends or the time is up before; [`ToolError::Interrupted`].
    pub(crate) fn wait_for_line(
        &mut self,
        prefix: &str,
        limit: Duration,
        stop: &AtomicBool,
    ) -> Result<String, ToolError> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if stop.load(Ordering::Relaxed) {
                return Err(ToolError::Interrupted);
            }
            match self.stdout.recv_timeout(LOOK_INTERVAL) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(prefix) {
                        return Ok(rest.into());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK_INTERVAL),
            }
            if let Some(ending) = self.ended() {
                return Err(self.failure(&ending.to_string()));
            }
        }
        Err(self.failure(&format!("has not said `{}` within {limit:?}", prefix.trim())))
    }

    /// How the process ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<Ending> {
        self.process.try_wait().ok().flatten().map(Ending::Exited)
    }

    /// An error about this process, with its last lines.
    pub(crate) fn failure(&mut self, what: &str) -> ToolError {
        if self.ended().is_some()
            && let Some(thread) = self.stderr_thread.take()
        {
            // The pipe closes with the process, so its last lines are on their way. Not waited for longer than that:
            // a grandchild may hold the pipe open.
            let deadline = Instant::now() + LOOK_INTERVAL * 10;
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> = tail.iter().map(|line| format!("  {line}")).collect();
        let tail = if lines.is_empty() { "  (none)".into() } else { lines.join("\n") };
        ToolError::Child { name: self.name, what: what.into(), tail }
    }

    /// Asks the process to end, waits for at most `limit`, then kills it.
    pub(crate) fn stop(&mut self, limit: Duration) -> Ending {
        if let Some(ending) = self.ended() {
            return ending;
        }
        sys::terminate(self.pid());
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(ending) = self.ended() {
                return ending;
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        self.kill();
        Ending::Killed
    }

    fn kill(&mut self) {
        // It may have ended meanwhile, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
    }
}

/// Gives the lines of a pipe, each cut to [`LINE_BYTES`], until it ends.
fn each_line(pipe: impl Read, mut handle: impl FnMut(String)) {
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(_) => handle(String::from_utf8_lossy(&bytes).trim_end().to_string()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn keep(name: &str, tail: &Mutex<VecDeque<String>>, line: String, relay: Relay) {
    if relay == Relay::Show {
        tell(&format!("{name}| {line}"));
    }
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    if tail.len() == TAIL_LINES {
        tail.pop_front();
    }
    tail.push_back(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(100);

    fn shell(script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        Child::start("stand-in", command, Relay::Keep).unwrap()
    }

    fn never() -> AtomicBool {
        AtomicBool::new(false)
    }

    #[test]
    fn finds_the_line_it_waits_for() {
        let mut child = shell("echo noise; echo 'listening 127.0.0.1:9 session X'; exec sleep 60");
        assert_eq!(child.wait_for_line("listening ", LONG, &never()).unwrap(), "127.0.0.1:9 session X");
        assert!(matches!(child.stop(LONG), Ending::Exited(_)));
    }

    #[test]
    fn a_child_that_ends_first_shows_its_last_lines() {
        let mut child = shell("for i in $(seq 1 40); do echo \"line $i\" >&2; done; exit 3");
        let error = child.wait_for_line("listening ", LONG, &never()).unwrap_err().to_string();
        for part in ["stand-in ended with exit status: 3", "line 40", "line 29"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(!error.contains("line 28\n"), "only the last twelve: {error}");
    }

    #[test]
    fn a_child_that_says_nothing_is_not_waited_for_for_ever() {
        let mut child = shell("exec sleep 60");
        let error = child.wait_for_line("listening ", SHORT, &never()).unwrap_err().to_string();
        assert!(error.contains("has not said `listening`") && error.contains("(none)"), "{error}");
        let stopped = child.wait_for_line("listening ", LONG, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(ToolError::Interrupted)));
    }

    #[test]
    fn stops_in_good_order_or_kills() {
        let mut polite = shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done");
        polite.wait_for_line("ready", LONG, &never()).unwrap();
        assert_eq!(polite.stop(LONG).to_string(), "ended in good order");
        let mut deaf = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
        deaf.wait_for_line("ready", LONG, &never()).unwrap();
        assert_eq!(deaf.stop(SHORT), Ending::Killed);
        assert_eq!(deaf.stop(SHORT).to_string(), "ended with signal: 9 (SIGKILL)");
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let child = shell("exec sleep 60");
        let status = format!("/proc/{}", child.pid());
        assert!(std::path::Path::new(&status).exists());
        drop(child);
        assert!(!std::path::Path::new(&status).exists());
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let mut lines = Vec::new();
        each_line([b'x'; 10_000].as_slice(), |line| lines.push(line.len()));
        assert_eq!(lines, [4096, 4096, 1808]);
    }
}
