//! The machine as a measuring instrument: priority, pinning, and the judgement of its cache-line floor.

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use serde::Serialize;

use crate::facts::{HostFacts, HostTime, waited_ns};
use crate::floor::Lines;
use crate::stats::Quantiles;
use crate::verdict::{crowding, disturbance};
use crate::{BenchError, Result, floor, sys};

/// The two cores in use: never more than two roles run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cores {
    /// Core of the role that measures.
    pub own: usize,
    /// Core of the other role.
    pub partner: usize,
}

/// Round trips of one judgement of the floor, unless told otherwise.
pub const JUDGE_ROUNDS: u64 = 400_000;

/// The machine, prepared for measuring.
#[derive(Debug)]
pub struct Machine {
    /// The cores in use.
    pub cores: Cores,
    /// Rate of [`sys::ticks`].
    pub ticks_per_ns: f64,
    /// The record of everything that bears on the numbers.
    pub record: MachineRecord,
    host_time: Option<HostTime>,
    waited_ns: Option<u64>,
    judge_rounds: u64,
    started: Instant,
    // Puts the session's priority back when the machine is given up.
    _session: Option<SessionPriority>,
}

/// The priority of this login session among all sessions. Where the kernel groups processes by session, a process's own
/// priority only counts within its session.
#[derive(Debug)]
struct SessionPriority {
    before: String,
}

const SESSION_PRIORITY_FILE: &str = "/proc/self/autogroup";

impl SessionPriority {
    /// Raises it; `None` where the kernel does not group by session.
    fn raise() -> io::Result<Option<SessionPriority>> {
        let grouping = fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").unwrap_or_default();
        let text = fs::read_to_string(SESSION_PRIORITY_FILE).unwrap_or_default();
        let Some(before) = text.split_whitespace().last().filter(|_| grouping.trim() == "1") else { return Ok(None) };
        fs::write(SESSION_PRIORITY_FILE, sys::PRIORITY.to_string())?;
        Ok(Some(SessionPriority { before: before.to_owned() }))
    }
}

impl Drop for SessionPriority {
    fn drop(&mut self) {
        // What was allowed upwards is allowed downwards; and there is nobody left to tell.
        let _ = fs::write(SESSION_PRIORITY_FILE, &self.before);
    }
}

/// Everything that bears on the numbers.
#[derive(Debug, Clone, Serialize)]
pub struct MachineRecord {
    /// The host.
    pub host: HostFacts,
    /// The cores in use.
    pub cores: Cores,
    /// Seconds since the UNIX epoch at the start.
    pub started_unix_s: u64,
    /// Nice value while measuring.
    pub priority: i32,
    /// Whether both roles could be pinned.
    pub pinned: bool,
    /// The bare cache line, one way, at the start.
    pub floor_at_start: Quantiles,
    /// The same at the end.
    pub floor_at_end: Option<Quantiles>,
    /// Percent of the host's time that the hypervisor gave to others during the run.
    pub steal_percent: Option<f64>,
    /// Percent of the run that the measuring role was ready and another process ran on its core instead.
    pub waited_percent: Option<f64>,
    /// Why no verdict may be given; empty when it may.
    pub no_verdict: Vec<String>,
}

impl Machine {
    /// Raises the priority, pins this role and judges the floor. What may not be done is written down, and then no
    /// verdict will be given.
    ///
    /// # Errors
    /// When there are no two cores, or the floor cannot be measured.
    pub fn prepare(cores: Cores, dir: &Path, judge_rounds: u64) -> Result<Machine> {
        let host_time = HostTime::read();
        let host = HostFacts::read();
        check_cores(cores, &host.cores)?;
        let mut no_verdict = Vec::new();
        if let Err(error) = sys::raise_priority() {
            no_verdict.push(format!("priority {} refused: {error}; run as root or grant CAP_SYS_NICE", sys::PRIORITY));
        }
        let session = SessionPriority::raise().unwrap_or_else(|error| {
            no_verdict.push(format!("priority {} of the session refused: {error}", sys::PRIORITY));
            None
        });
        let pinned = sys::pin(cores.own);
        if let Err(error) = &pinned {
            no_verdict.push(format!("pinning to core {} refused: {error}", cores.own));
        }
        if !host.optimised {
            no_verdict.push("built without optimisation: use cargo run --release".into());
        }
        let ticks_per_ns = sys::ticks_per_ns();
        let floor_at_start = floor::cache_line(dir, Lines::One, cores, judge_rounds, ticks_per_ns)?.quantiles();
        no_verdict.extend(disturbance(&floor_at_start));
        let started_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let record = MachineRecord {
            host,
            cores,
            started_unix_s,
            priority: sys::priority(),
            pinned: pinned.is_ok(),
            floor_at_start,
            floor_at_end: None,
            steal_percent: None,
            waited_percent: None,
            no_verdict,
        };
        let (waited_ns, started) = (waited_ns(), Instant::now());
        Ok(Machine { cores, ticks_per_ns, record, host_time, waited_ns, judge_rounds, started, _session: session })
    }

    /// Judges the floor once more, and whether the run had its core to itself: what was quiet at the start and is not
    /// at the end gives no verdict either.
    ///
    /// # Errors
    /// When the floor cannot be measured.
    pub fn conclude(mut self, dir: &Path) -> Result<MachineRecord> {
        let waited = waited_ns().zip(self.waited_ns).and_then(|(now, then)| now.checked_sub(then));
        let run_ns = self.started.elapsed().as_nanos().max(1) as f64;
        self.record.waited_percent = waited.map(|waited| 100.0 * waited as f64 / run_ns);
        self.record.no_verdict.extend(self.record.waited_percent.and_then(crowding));
        let floor = floor::cache_line(dir, Lines::One, self.cores, self.judge_rounds, self.ticks_per_ns)?.quantiles();
        self.record.floor_at_end = Some(floor);
        if disturbance(&self.record.floor_at_start).is_none() {
            self.record.no_verdict.extend(disturbance(&floor).map(|why| format!("{why}, at the end")));
        }
        let now = HostTime::read();
        self.record.steal_percent = now.zip(self.host_time).and_then(|(now, then)| now.steal_percent_since(&then));
        Ok(self.record)
    }
}

fn check_cores(cores: Cores, allowed: &[usize]) -> Result<()> {
    let both = [cores.own, cores.partner];
    if cores.own != cores.partner && both.iter().all(|core| allowed.contains(core)) {
        return Ok(());
    }
    Err(BenchError::Setting {
        setting: "--cores",
        value: format!("{},{} (allowed here: {allowed:?})", cores.partner, cores.own),
        expected: "two different cores that this process may use, because two roles run at a time",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_allowed_cores_are_needed() {
        let cores = |own, partner| Cores { own, partner };
        assert!(check_cores(cores(1, 0), &[0, 1]).is_ok());
        for (name, wanted, allowed) in [
            ("the same twice", cores(0, 0), &[0, 1][..]),
            ("not allowed", cores(1, 0), &[0]),
            ("partner not allowed", cores(0, 5), &[0, 1]),
        ] {
            let error = check_cores(wanted, allowed).expect_err(name).to_string();
            assert!(error.starts_with("--cores is "), "case {name}: {error}");
        }
    }
}
