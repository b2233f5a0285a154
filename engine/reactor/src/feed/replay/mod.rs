//! A feed from a recording: the same lane, books and rings, with the recorded times for a clock.
//!
//! * `capture`: datagrams and streams of a pcap file, through the sessions that a network would feed.
//! * `messages`: an ITCH file, which has no session.
//! * `records`: the bus itself, from a journal or a DBN file.
//! * `pacer`: how fast. `followers`: who must have seen what is published before more is.
//!
//! Nothing that is published depends on our clock or on the pace, so that two replays of a recording give the same records.

mod bytes;
mod capture;
mod followers;
mod messages;
mod pacer;
mod records;
mod sniff;

use std::path::Path;

use shm_abi::counters::FeedCounter;
use shm_abi::layout::FeedState;

use super::{Asked, FeedTask, STOP_LATENCY_NS, now};
use crate::config::ReplayPlan;
use crate::rt;

use bytes::Bytes;
use followers::Followers;
use pacer::{Due, Pacer};
pub(crate) use sniff::{Kind, sniff};

/// How long a replay that waits for a command, or for those that follow it, sleeps between two looks.
const LOOK_NS: u64 = 2_000_000;

/// Why a replay ended before its recording did.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// The engine stops.
    #[error("stopped")]
    Stopped,
    /// The recording cannot be read on.
    #[error("{0}")]
    Source(String),
}

/// Plays the recording once, then keeps what it led to until the engine stops.
pub(super) async fn run(task: &mut FeedTask, plan: &ReplayPlan) {
    let path = plan.file.clone();
    let mut driver = Driver::new(task, plan);
    task.tell_state(&mut None, || format!("playing {}", path.display()));
    let outcome = play(task, plan, &mut driver).await;
    driver.followers.follow();
    let digests = driver.followers.digests().map(|digests| format!("; {digests}")).unwrap_or_default();
    let reason = match outcome {
        Ok(reason) => {
            let reason = reason + &digests;
            tracing::info!(feed = task.plan.name, path = %path.display(), reason, "recording played");
            reason
        }
        Err(Fault::Stopped) => return,
        Err(Fault::Source(reason)) => {
            tracing::error!(feed = task.plan.name, path = %path.display(), error = reason, "recording cannot be played");
            task.lane.borrow_mut().out.set_state(FeedState::Closed);
            reason
        }
    };
    task.tell_state(&mut None, || reason);
    while !task.stopping() {
        // Commands are taken, so that whoever gives them hears that nothing comes of them.
        let _ = task.next_command();
        rt::sleep(STOP_LATENCY_NS).await;
    }
}

/// Plays it; gives what there is to say of the end.
async fn play(task: &mut FeedTask, plan: &ReplayPlan, driver: &mut Driver) -> Result<String, Fault> {
    let kind = sniff(&plan.file).map_err(Fault::Source)?;
    match kind {
        Kind::Capture { .. } => {
            let bytes = open(&plan.file).await?;
            capture::play(task, &bytes, driver).await
        }
        Kind::Messages => messages::play(task, &plan.file, driver).await,
        Kind::Dbn | Kind::Journal => records::play(task, plan, driver).await,
    }
}

async fn open(path: &Path) -> Result<Bytes, Fault> {
    let owned = path.to_owned();
    rt::offload(move || Bytes::open(&owned)).await.map_err(|error| Fault::Source(error.to_string()))
}

/// What every kind of recording needs while it is played.
struct Driver {
    pacer: Pacer,
    followers: Followers,
    /// Whether the feed's state says that the replay waits for a command.
    told_paused: bool,
}

impl Driver {
    fn new(task: &FeedTask, plan: &ReplayPlan) -> Driver {
        let followers = Followers::new(&task.lane.borrow().out.writer, plan.digest);
        Driver { pacer: Pacer::new(plan.pace), followers, told_paused: false }
    }

    /// How much there is to read: bytes, or slots.
    fn set_total(&self, task: &FeedTask, total: u64) {
        task.lane.borrow_mut().out.feed.counters.set_feed(FeedCounter::SourceTotal, total);
    }

    /// Whether what was recorded at `at_ns` may be published without waiting.
    #[inline]
    fn is_due(&mut self, at_ns: u64) -> bool {
        self.pacer.look(at_ns, now) == Due::Now
    }

    /// Waits until what was recorded at `at_ns` is due.
    async fn due(&mut self, task: &mut FeedTask, at_ns: u64) -> Result<(), Fault> {
        loop {
            let sleep_ns = match self.pacer.look(at_ns, now) {
                Due::Now => break,
                Due::At(then) => then.since(now()).min(STOP_LATENCY_NS),
                Due::Never => {
                    if !std::mem::replace(&mut self.told_paused, true) {
                        task.tell_state(&mut None, || "paused: `ticklane pace` lets it go on".into());
                    }
                    LOOK_NS
                }
            };
            rt::sleep(sleep_ns).await;
            self.take_commands(task)?;
        }
        if self.told_paused && !self.pacer.is_stepped() {
            self.told_paused = false;
            task.tell_state(&mut None, || "playing".into());
        }
        Ok(())
    }

    /// After something was published and the heads were moved: those that follow take it, and everybody else of this
    /// reactor has a turn. `done`: how much of the source was read.
    async fn after(&mut self, task: &mut FeedTask, done: u64) -> Result<(), Fault> {
        {
            let lane = &mut task.lane.borrow_mut();
            lane.out.feed.counters.set_feed(FeedCounter::SourceDone, done);
            lane.wake();
        }
        self.followers.follow();
        self.take_commands(task)?;
        rt::yield_if_needed(now()).await;
        while self.followers.are_behind() {
            rt::sleep(LOOK_NS).await;
            self.take_commands(task)?;
        }
        Ok(())
    }

    fn take_commands(&mut self, task: &mut FeedTask) -> Result<(), Fault> {
        while let Some(asked) = task.next_command() {
            if let Asked::Pace(change) = asked {
                self.pacer.change(change);
            }
        }
        if task.stopping() { Err(Fault::Stopped) } else { Ok(()) }
    }
}
