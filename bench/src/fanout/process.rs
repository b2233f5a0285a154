//! What the kernel says of a server's process.

use std::fs;

/// Kernel ticks a second in `/proc/PID/stat`: 100 on every Linux, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time that a process has used, user and kernel, seconds; 0 when there is no such process.
pub fn cpu_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    cpu_ticks_in(&text).unwrap_or(0) as f64 / TICKS_PER_SECOND
}

fn cpu_ticks_in(text: &str) -> Option<u64> {
    // The name, in brackets, may hold anything. Behind it, the state is field 3; utime and stime are 14 and 15.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Private memory of a process, KiB: heap, tables, stacks, without mapped files and shared memory.
pub fn anonymous_kib(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    anonymous_kib_in(&text).unwrap_or(0) as f64
}

fn anonymous_kib_in(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 100 0 0 0 170 30 0 0 20 0 1 0 100 1000 10";
        assert_eq!(cpu_ticks_in(stat), Some(200));
        assert_eq!(anonymous_kib_in("VmRSS:\t  900 kB\nRssAnon:\t  512 kB\n"), Some(512));
        for text in ["", "42 (a) S 1", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x y"] {
            assert_eq!(cpu_ticks_in(text), None, "{text:?}");
            assert_eq!(anonymous_kib_in(text), None, "{text:?}");
        }
    }

    #[test]
    fn this_process_is_measured() {
        assert!(anonymous_kib(std::process::id()) > 0.0);
        assert_eq!(anonymous_kib(0), 0.0);
        assert!(cpu_seconds(std::process::id()) >= 0.0);
    }
}
