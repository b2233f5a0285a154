//! What must be known of a host before its numbers mean anything.

use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::sys;

/// The host and the state it was in. Every text is what the system itself says; `unknown` where it says nothing.
#[derive(Debug, Clone, Serialize)]
pub struct HostFacts {
    /// Processor model.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: Vec<usize>,
    /// Kernel release.
    pub kernel: String,
    /// Whether the processor reports a hypervisor.
    pub virtual_machine: bool,
    /// Frequency governor of the first core.
    pub governor: String,
    /// Transparent huge pages: the setting in force.
    pub huge_pages: String,
    /// Bytes that may be locked in memory; none: no limit.
    pub memlock_bytes: Option<u64>,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: String,
    /// Memory of the host, MiB.
    pub memory_mib: u64,
    /// Commit of the working tree, with a `+` when it has changes; `unknown` outside of one.
    pub commit: String,
    /// Whether this program was built with optimisation.
    pub optimised: bool,
}

impl HostFacts {
    /// Reads them all.
    pub fn read() -> HostFacts {
        HostFacts {
            cpu: colon_value("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: sys::allowed_cores().unwrap_or_default(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            virtual_machine: colon_value("/proc/cpuinfo", "flags")
                .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
            governor: first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            huge_pages: bracketed(&first_line("/sys/kernel/mm/transparent_hugepage/enabled")),
            memlock_bytes: sys::memlock_limit(),
            load: first_line("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            memory_mib: colon_value("/proc/meminfo", "MemTotal").and_then(|text| kib(&text)).unwrap_or(0) / 1024,
            commit: commit().unwrap_or_else(unknown),
            optimised: !cfg!(debug_assertions),
        }
    }
}

fn unknown() -> String {
    "unknown".into()
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().map_or_else(unknown, |line| line.trim().to_owned())
}

/// The value behind `key` in a file of `key : value` lines.
fn colon_value(path: &str, key: &str) -> Option<String> {
    value_in(&fs::read_to_string(path).ok()?, key)
}

fn value_in(text: &str, key: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(k, _)| k.trim() == key)
        .map(|(_, v)| v.trim().to_owned())
}

fn kib(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The choice in force of a list such as `always [madvise] never`.
fn bracketed(text: &str) -> String {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text, |(choice, _)| choice).to_owned()
}

fn commit() -> Option<String> {
    let git = |args: &[&str]| Command::new("git").args(args).output().ok();
    let head = git(&["rev-parse", "--short=12", "HEAD"]).filter(|output| output.status.success())?;
    let clean = git(&["diff", "--quiet", "HEAD"]).is_some_and(|output| output.status.success());
    let name = String::from_utf8(head.stdout).ok()?;
    Some(format!("{}{}", name.trim(), if clean { "" } else { "+" }))
}

/// One line of this process's memory in `/proc/self/status`, MiB; 0 when the kernel does not tell.
pub fn own_memory_mib(line: MemoryLine) -> f64 {
    let text = colon_value("/proc/self/status", line.name());
    text.and_then(|text| kib(&text)).unwrap_or(0) as f64 / 1024.0
}

/// Which part of the resident memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLine {
    /// Private memory: heap, tables, stacks. Mapped files are not in it.
    Anonymous,
    /// Memory shared between processes: rings and boards.
    Shared,
}

impl MemoryLine {
    fn name(self) -> &'static str {
        match self {
            MemoryLine::Anonymous => "RssAnon",
            MemoryLine::Shared => "RssShmem",
        }
    }
}

/// Processor time of the whole host, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTime {
    total: u64,
    steal: u64,
}

impl HostTime {
    /// Reads it; `None` when the kernel does not tell.
    pub fn read() -> Option<HostTime> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(text: &str) -> Option<HostTime> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; guest time, which follows, is part of user time.
        let fields: Vec<u64> = line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(HostTime { total: fields.iter().sum(), steal: *fields.get(7)? })
    }

    /// Percent of the host's time since `earlier` that the hypervisor gave to others; `None` when no time has passed.
    pub fn steal_percent_since(&self, earlier: &HostTime) -> Option<f64> {
        let total = self.total.checked_sub(earlier.total).filter(|total| *total > 0)?;
        Some(100.0 * self.steal.checked_sub(earlier.steal)? as f64 / total as f64)
    }
}

/// Nanoseconds that the calling thread was ready to run and another one ran instead; `None` when the kernel does not
/// tell.
pub fn waited_ns() -> Option<u64> {
    waited_in(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

fn waited_in(text: &str) -> Option<u64> {
    // Time run, time waited, time slices.
    text.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_a_share_of_the_time_between_two_readings() {
        let first = HostTime::parse("cpu  100 0 50 800 0 0 0 50 7 7\ncpu0 1 1 1 1 1 1 1 1 0 0\n").unwrap();
        let second = HostTime::parse("cpu  150 0 50 830 0 0 0 70 7 7\n").unwrap();
        assert_eq!(second.steal_percent_since(&first), Some(20.0));
        assert_eq!(first.steal_percent_since(&first), None);
        assert_eq!(first.steal_percent_since(&second), None, "time does not run backwards");
        for (name, text) in [("nothing", ""), ("short", "cpu  1 2 3\n"), ("words", "cpu  a b c d e f g h\n")] {
            assert_eq!(HostTime::parse(text), None, "case: {name}");
        }
    }

    #[test]
    fn texts_of_the_kernel() {
        assert_eq!(bracketed("always [madvise] never"), "madvise");
        assert_eq!(bracketed("unknown"), "unknown");
        assert_eq!(value_in("a\t: 1\nmodel name\t: X: Y\n", "model name").as_deref(), Some("X: Y"));
        assert_eq!(value_in("model name2: X", "model name"), None);
        assert_eq!(kib("   2048 kB"), Some(2048));
        assert_eq!(waited_in("500 70 3\n"), Some(70));
        assert_eq!(waited_in("500"), None);
    }

    #[test]
    fn this_host_has_facts() {
        let facts = HostFacts::read();
        assert!(!facts.cores.is_empty() && facts.memory_mib > 0 && facts.kernel != "unknown", "{facts:?}");
        assert!(own_memory_mib(MemoryLine::Anonymous) > 0.0);
    }
}
