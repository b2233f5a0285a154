//! What is looked at before anything starts, so that each obstacle is told by name, with the setting to change.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::config::{LANES_MAX, Plan};
use crate::http::serve::REFUSALS_MAX;

/// File descriptors that are no connection's: the program's own, and of each shard its listener, epolls, timer, bells,
/// and what it needs for those who are refused. A lane is a mapping and needs none but while it is opened.
const RESERVE: u64 = 64 + LANES_MAX as u64;
const RESERVE_PER_SHARD: u64 = 16 + REFUSALS_MAX as u64;
/// Fewest connections that are worth starting for.
const SEATS_MIN: u64 = 16;

/// An obstacle: what was seen, what is wanted, and how to change it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Obstacle {
    #[error(
        "gateway.cores: {core} is not among the cores this process may use {allowed:?}: change the setting, or the \
         taskset, cpuset or CPUAffinity= of the service"
    )]
    Core { core: usize, allowed: Vec<usize> },
    #[error("gateway.cores: {core} is named twice: give each shard a core of its own")]
    CoreShared { core: usize },
    #[error(
        "{wanted} of connections need {needed} file descriptors, and the limit is {limit}: set LimitNOFILE= in the \
         unit, run `ulimit -n {needed}`, or lower http.connections"
    )]
    Descriptors { wanted: String, needed: u64, limit: u64 },
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Cores that this process may use.
    pub(crate) allowed_cores: usize,
    /// Connections that there may be.
    pub(crate) seats: u32,
}

/// Whether this machine can run the plan.
pub(crate) fn check(plan: &Plan) -> Result<Findings, Obstacle> {
    let allowed = allowed_cores();
    check_cores(&plan.gateway.cores, &allowed)?;
    let seats = count_seats(plan.http.connections, plan.gateway.shards as u64, raise_descriptors())?;
    Ok(Findings { allowed_cores: allowed.len(), seats })
}

fn allowed_cores() -> Vec<usize> {
    // A kernel that does not tell has more cores than fit into the answer: then the first ones are as good as any.
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

fn check_cores(cores: &[usize], allowed: &[usize]) -> Result<(), Obstacle> {
    for (place, core) in cores.iter().enumerate() {
        if !allowed.contains(core) {
            return Err(Obstacle::Core { core: *core, allowed: allowed.to_vec() });
        }
        if cores[..place].contains(core) {
            return Err(Obstacle::CoreShared { core: *core });
        }
    }
    Ok(())
}

/// Raises the soft limit of file descriptors to the hard one, and says what it is now.
fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.unwrap_or(u64::MAX)
}

/// How many connections there may be: as configured, or 0 for what the descriptors allow.
fn count_seats(configured: u32, shards: u64, limit: u64) -> Result<u32, Obstacle> {
    let reserve = RESERVE + RESERVE_PER_SHARD * shards;
    let wanted = if configured == 0 { SEATS_MIN } else { configured.into() };
    let room = limit.saturating_sub(reserve);
    if room < wanted {
        let told = if configured == 0 {
            format!("a minimum ({SEATS_MIN})")
        } else {
            format!("http.connections = {configured}")
        };
        return Err(Obstacle::Descriptors { wanted: told, needed: wanted + reserve, limit });
    }
    Ok(if configured == 0 { u32::try_from(room).unwrap_or(u32::MAX) } else { configured })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obstacles_name_what_was_seen_and_the_setting_to_change() {
        let table: &[(&str, Result<(), Obstacle>, &[&str])] = &[
            ("core", check_cores(&[0, 9], &[0, 1]), &["gateway.cores", "9", "[0, 1]", "CPUAffinity"]),
            ("core twice", check_cores(&[1, 1], &[0, 1]), &["gateway.cores", "1", "twice"]),
            ("too many", count_seats(1000, 1, 1024).map(drop), &["http.connections = 1000", "1024", "LimitNOFILE"]),
            ("no room at all", count_seats(0, 1, 100).map(drop), &["a minimum (16)", "100", "ulimit -n"]),
        ];
        for (name, result, expected) in table {
            let text = result.as_ref().expect_err(name).to_string();
            for part in *expected {
                assert!(text.contains(part), "case {name}: {text:?} lacks {part:?}");
            }
        }
        assert!(check_cores(&[1, 0], &[0, 1]).is_ok());
    }

    #[test]
    fn seats_leave_a_reserve() {
        assert_eq!(count_seats(500, 1, 20_000).unwrap(), 500);
        let all = count_seats(0, 2, 20_000).unwrap();
        assert_eq!(u64::from(all) + RESERVE + 2 * RESERVE_PER_SHARD, 20_000);
        assert_eq!(count_seats(0, 1, u64::MAX).unwrap(), u32::MAX);
    }
}
