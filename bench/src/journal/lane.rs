//! What the journal costs the lane that it records: the reactor's own time for each message of a file, recorded or not.

use std::path::Path;
use std::time::{Duration, Instant};

use shm_abi::layout::FeedState;
use shm_abi::segment::Segment;

use crate::machine::Cores;
use crate::wire::engine::{Engine, Folder, LANE};
use crate::{BenchError, Result};

/// Slots of each ring. A replay waits for its journal when half a ring is not on disk yet, and waiting takes time on a core,
/// too: here a whole day fits.
const SLOTS: u64 = 1 << 22;
/// Longest wait for the end of the file.
const LIMIT: Duration = Duration::from_secs(120);

/// Time on a core of the lane's thread and of the journal's, ns for each message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// The lane's.
    pub lane_ns: f64,
    /// The journal's; 0 without one.
    pub journal_ns: f64,
}

/// Plays a day of so many messages through the real engine as fast as it goes, the lane on a core of its own. `journal`:
/// where to record it, from the other one.
///
/// # Errors
/// When the engine does not start, or takes too long.
pub(super) fn cost(
    program: &Path,
    day: &Path,
    messages: u64,
    journal: Option<&Path>,
    dir: &Path,
    cores: Cores,
) -> Result<Cost> {
    let folder = Folder::make(dir)?;
    let mut engine =
        Engine::start_with(program, &folder, &config(&folder, day, journal, cores), &[cores.own, cores.partner])?;
    let asked = Instant::now();
    loop {
        let state = Segment::open(folder.runtime(), LANE).ok().and_then(|segment| segment.feed(0));
        if state.is_some_and(|(facts, _)| facts.state == FeedState::EndOfSession as u64) {
            break;
        }
        if engine.is_gone() || asked.elapsed() > LIMIT {
            let what = "the day was not played to its end".to_owned();
            return engine.explain(Err(BenchError::Partner { role: "engine".into(), what }));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let each = |name: &str| thread_ns(engine.pid(), name) as f64 / messages.max(1) as f64;
    let journal_ns = if journal.is_some() { each("journal") } else { 0.0 };
    Ok(Cost { lane_ns: each(LANE), journal_ns })
}

fn config(folder: &Folder, day: &Path, journal: Option<&Path>, cores: Cores) -> String {
    let Cores { own, partner } = cores;
    let journal =
        journal.map_or(String::new(), |dir| format!("[journal]\nenabled = true\ndir = {dir:?}\ncore = {partner}\n"));
    format!(
        r#"[engine]
instance = "bench"
runtime_dir = {run:?}
state_dir = {state:?}
wait = "park"
{journal}
[[lane]]
name = "{LANE}"
core = {own}
instruments = 16384
orders_slots = {SLOTS}
market_slots = {SLOTS}

[[feed]]
name = "day"
lane = "{LANE}"
protocol = "soupbintcp-itch"
trading_date = "2024-05-08"
replay = {{ file = {day:?}, pace = "max" }}
"#,
        run = folder.runtime(),
        state = folder.state(),
    )
}

/// Time that the reactor of this name has had a core: its threads have a number behind it.
fn thread_ns(pid: u32, name: &str) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of_task = |task: std::fs::DirEntry| {
        let text = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let time = text("schedstat").split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
        time.filter(|_| is_reactor(text("comm").trim_end(), name))
    };
    tasks.filter_map(of_task).sum()
}

fn is_reactor(thread: &str, name: &str) -> bool {
    let number = thread.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reactor_is_told_from_the_threads_beside_it() {
        let names = ["lane0-2", "lane0-images", "lane0-wake", "lane0", "lane01-2", "journal-1"];
        assert_eq!(names.map(|name| is_reactor(name, "lane0")), [true, false, false, false, false, false]);
    }
}
