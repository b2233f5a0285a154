//! What is looked at before anything starts, so that each obstacle is told by name, with the setting to change.

use std::io;
use std::path::Path;

use crate::config::{EnginePlan, Transport, Wait};
use crate::feed::replay::{Kind, sniff};
use crate::rt::{MEMLOCK_MIN_BYTES, RING_DEPTH};
use crate::sys;

/// An obstacle: what was seen, what is wanted, and how to change it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Obstacle {
    #[error("io_uring cannot be had: {seen}; wanted: Linux 5.8 or later with io_uring enabled; {remedy}")]
    IoUring { seen: String, remedy: &'static str },
    #[error(
        "the memlock limit is {seen} bytes; wanted: at least {wanted}: set LimitMEMLOCK=infinity in the unit, or run \
         `ulimit -l unlimited` (or raise it in /etc/security/limits.conf)"
    )]
    Memlock { seen: u64, wanted: u64 },
    #[error(
        "lane {lane}: core = {core} is not among the cores this process may use {allowed:?}: change `core`, or the \
         taskset, cpuset or CPUAffinity= of the service"
    )]
    Core { lane: String, core: usize, allowed: Vec<usize> },
    #[error(
        "journal.core = {core} is not among the cores this process may use {allowed:?}: change `core`, or the taskset, \
         cpuset or CPUAffinity= of the service"
    )]
    JournalCore { core: usize, allowed: Vec<usize> },
    #[error("feed {feed}: {seen}; wanted: {wanted}")]
    Replay { feed: String, seen: String, wanted: &'static str },
    #[error("{field} = {path}: {seen}; wanted: an existing directory of ours; {remedy}")]
    Directory { field: &'static str, path: String, seen: String, remedy: String },
}

/// Whether this machine can run the plan.
pub(crate) fn check(plan: &EnginePlan) -> Result<(), Obstacle> {
    check_directory("engine.runtime_dir", &plan.engine.runtime_dir)?;
    check_directory("engine.state_dir", &plan.engine.state_dir)?;
    check_cores(plan, &sys::allowed_cores())?;
    check_replays(plan)?;
    check_memlock(sys::memlock_limit())?;
    check_io_uring(sys::probe_io_uring(RING_DEPTH as u32))
}

fn check_directory(field: &'static str, path: &Path) -> Result<(), Obstacle> {
    let obstacle = |seen: String| Obstacle::Directory {
        field,
        path: path.display().to_string(),
        seen,
        remedy: format!("run `install -d -m 0750 {}` as the engine's user, or change the setting", path.display()),
    };
    match std::fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => Ok(()),
        Ok(_) => Err(obstacle("it is not a directory".into())),
        Err(error) => Err(obstacle(error.to_string())),
    }
}

fn check_cores(plan: &EnginePlan, allowed: &[usize]) -> Result<(), Obstacle> {
    if let Some(core) = plan.journal.core.filter(|core| plan.journal.enabled && !allowed.contains(core)) {
        return Err(Obstacle::JournalCore { core, allowed: allowed.to_vec() });
    }
    for lane in &plan.lanes {
        if let Some(core) = lane.config.core.filter(|core| !allowed.contains(core)) {
            return Err(Obstacle::Core { lane: lane.plan.lane.clone(), core, allowed: allowed.to_vec() });
        }
    }
    Ok(())
}

/// Recordings are looked at before anything is made of them.
fn check_replays(plan: &EnginePlan) -> Result<(), Obstacle> {
    for lane in &plan.lanes {
        let feed = &lane.feed;
        let Some(replay) = &feed.replay else { continue };
        let obstacle = |seen: String, wanted| Obstacle::Replay { feed: feed.name.clone(), seen, wanted };
        let kind =
            sniff(&replay.file).map_err(|seen| obstacle(seen, "a recording that can be read, in replay.file"))?;
        let path = replay.file.display();
        match (kind, &feed.transport) {
            (Kind::Capture { .. } | Kind::Messages, Transport::Records) => {
                let seen = format!("{path} has messages of a venue");
                return Err(obstacle(seen, "the protocol that they are of instead of \"recorded\""));
            }
            (Kind::Dbn | Kind::Journal, Transport::Soup(_) | Transport::Datagrams(_)) => {
                return Err(obstacle(format!("{path} has records of a bus"), "protocol = \"recorded\""));
            }
            (Kind::Messages, _) if !feed.calendar.has_date() => {
                let seen = format!("{path} does not say of which day it is");
                return Err(obstacle(seen, "trading_date = \"YYYY-MM-DD\""));
            }
            (Kind::Journal, _) if plan.journal.enabled => {
                let ours = plan.journal.folder(&plan.engine, &lane.plan.lane);
                if ours.canonicalize().ok().is_some_and(|ours| replay.file.canonicalize().ok() == Some(ours)) {
                    let seen = format!("{path} is where this lane is recorded");
                    return Err(obstacle(seen, "another lane, another journal.dir, or journal.enabled = false"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_memlock(limit: Option<u64>) -> Result<(), Obstacle> {
    match limit {
        Some(seen) if seen < MEMLOCK_MIN_BYTES => Err(Obstacle::Memlock { seen, wanted: MEMLOCK_MIN_BYTES }),
        _ => Ok(()),
    }
}

fn check_io_uring(probe: io::Result<()>) -> Result<(), Obstacle> {
    let Err(error) = probe else { return Ok(()) };
    let remedy = match error.raw_os_error() {
        Some(libc::ENOSYS) => "boot a newer kernel, or allow io_uring_setup in the container's seccomp profile",
        Some(libc::EPERM) => "set sysctl kernel.io_uring_disabled=0, or allow io_uring_setup in the seccomp profile",
        Some(libc::ENOMEM) => "raise the memlock limit: LimitMEMLOCK=infinity in the unit, or `ulimit -l unlimited`",
        _ => "see io_uring_setup(2) for this error",
    };
    Err(Obstacle::IoUring { seen: error.to_string(), remedy })
}

/// How reactors wait under this plan on these cores: `auto` spins only where a core is left over for everybody else.
pub(crate) fn resolve_wait(wait: Wait, lanes: usize, pinned: bool, allowed_cores: usize) -> Wait {
    match wait {
        Wait::Auto if pinned && allowed_cores > lanes => Wait::Spin,
        Wait::Auto => Wait::Adaptive,
        told => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;

    #[test]
    fn obstacles_name_what_was_seen_and_the_setting_to_change() {
        let table: &[(&str, Result<(), Obstacle>, &[&str])] = &[
            (
                "no io_uring",
                check_io_uring(Err(Error::from_raw_os_error(libc::ENOSYS))),
                &["io_uring", "os error 38", "seccomp"],
            ),
            (
                "io_uring disabled",
                check_io_uring(Err(Error::from_raw_os_error(libc::EPERM))),
                &["kernel.io_uring_disabled=0"],
            ),
            ("io_uring memory", check_io_uring(Err(Error::from_raw_os_error(libc::ENOMEM))), &["LimitMEMLOCK"]),
            ("memlock", check_memlock(Some(65_536)), &["65536", "524288", "ulimit -l"]),
            (
                "directory",
                check_directory("engine.state_dir", Path::new("/nonexistent/x")),
                &["engine.state_dir", "/nonexistent/x", "install -d"],
            ),
        ];
        for (name, result, expected) in table {
            let text = result.as_ref().expect_err(name).to_string();
            for part in *expected {
                assert!(text.contains(part), "case {name}: {text:?} lacks {part:?}");
            }
        }
        assert!(check_memlock(None).is_ok() && check_memlock(Some(MEMLOCK_MIN_BYTES)).is_ok());
    }

    #[test]
    fn auto_spins_only_where_a_core_is_left_over() {
        let table = [
            (Wait::Auto, 1, true, 2, Wait::Spin),
            (Wait::Auto, 2, true, 2, Wait::Adaptive),
            (Wait::Auto, 1, false, 8, Wait::Adaptive),
            (Wait::Spin, 2, true, 2, Wait::Spin),
            (Wait::Adaptive, 1, true, 8, Wait::Adaptive),
        ];
        for (wait, lanes, pinned, cores, expected) in table {
            assert_eq!(resolve_wait(wait, lanes, pinned, cores), expected, "{wait:?} {lanes} {pinned} {cores}");
        }
    }
}
