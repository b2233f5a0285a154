//! One lane: the memory it alone writes, the books of its feed, and what happens to them at start and end.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use market::book::BookLimits;
use market::iex::{Iex, IexConfig};
use market::ingest::{Output, Predecessor, begin_sequence};
use market::itch::{FeedRole, Itch, ItchConfig};
use market::{DepthPlan, Normaliser};
use shm_abi::counters::LaneCounter;
use shm_abi::layout::{FLAG_REPLAY, FeedState, HEARTBEAT_INTERVAL_NS};
use shm_abi::segment::{Identity, LaneLock, LaneWriter, SegmentError, SleeperFlag, wake_socket};
use shm_abi::sys::{monotonic_ns, send_descriptor};

use crate::config::{ClientType, EnginePlan, LanePlan, LockMemory, Transport};
use crate::ids::IdStore;
use crate::record::{self, RecordError, Settled};
use crate::rt;

/// How long the wake door takes nobody in after the system had no descriptor for a reader.
const DOOR_PAUSE: Duration = Duration::from_millis(100);

/// Why a lane cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaneError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("lane {lane}: {source}")]
    Market { lane: String, source: market::itch::ConfigError },
    #[error(
        "lane {lane}: its wake socket {path} cannot be made: {source}; remove what stands there, or choose another runtime_dir"
    )]
    WakeSocket { lane: String, path: String, source: io::Error },
    #[error(
        "lane {lane}: {bytes} bytes of shared memory cannot be locked: {source}; wanted: a memlock limit above that \
         (LimitMEMLOCK=infinity, `ulimit -l unlimited`), or engine.lock_memory = \"try\""
    )]
    LockMemory { lane: String, bytes: usize, source: io::Error },
    #[error("lane {lane}: {source}")]
    System { lane: String, source: io::Error },
}

/// Everything that one lane writes. Lives on its reactor; tasks of the same core borrow it for the length of a burst.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) out: Output<IdStore>,
    sleepers: SleeperFlag,
    wake_socket: PathBuf,
    /// The lane's journal, where it is recorded: for its recorder to take.
    pub(crate) journal: Option<Settled>,
    _lock: LaneLock,
}

impl Lane {
    /// Takes the lane, reads its predecessor, makes its segment, and publishes the restart. Blocking; before the reactor.
    pub(crate) fn make(whole: &EnginePlan, plan: &LanePlan, ids: IdStore) -> Result<Lane, LaneError> {
        let engine = &whole.engine;
        let lane = &plan.plan.lane;
        let system = |source| LaneError::System { lane: lane.clone(), source };
        let lock = LaneLock::take(&engine.runtime_dir, lane)?;
        let before = lock.predecessor()?.map(|segment| {
            let told = Predecessor::read(&segment);
            (segment, told)
        });
        // A recording begins where it begins, whatever stood there before.
        let predecessor = before.as_ref().map(|(_, told)| *told).filter(|_| plan.feed.replay.is_none());
        let journal = whole.journal.enabled.then(|| record::settle(whole, lane, before.as_ref())).transpose()?;
        drop(before);
        let random = Identity::random(predecessor.map_or(0, |found| found.old_epoch)).map_err(system)?;
        let flags = if plan.feed.replay.is_some() { FLAG_REPLAY } else { 0 };
        let identity = Identity { flags, ..random };
        let begins_ns = plan.feed.begins_ns();
        // All of it before the segment has its name: an engine killed at any moment leaves a whole predecessor.
        let mut writer = lock.create_with(&plan.plan, identity, |writer| {
            writer.prefault();
            let mut feed = writer.feed(0);
            feed.set_name(&plan.feed.name);
            feed.set_state(FeedState::Idle);
            // Records of the bus bring their own beginning.
            if !matches!(plan.feed.transport, Transport::Records) {
                begin_sequence(writer, &mut feed, predecessor.as_ref(), begins_ns);
            }
            writer.heartbeat(monotonic_ns());
        })?;
        lock_memory(engine.lock_memory, &writer, lane)?;
        let sleepers = SleeperFlag::create().map_err(system)?;
        let wake_socket = engine.runtime_dir.join(wake_socket(lane));
        open_wake_door(&wake_socket, lane, sleepers.file().try_clone().map_err(system)?)?;
        let normaliser =
            normaliser(plan, ids, begins_ns).map_err(|source| LaneError::Market { lane: lane.clone(), source })?;
        writer.counters.set(LaneCounter::OrderLimit, plan.config.max_orders as u64);
        let calendar = plan.feed.calendar.clone();
        let midnight = Box::new(move |now_ns| calendar.midnight_ns(now_ns));
        let out = Output::new(writer, normaliser, predecessor, midnight);
        Ok(Lane { out, sleepers, wake_socket, journal, _lock: lock })
    }

    /// After heads were published: wakes the readers that sleep.
    pub(crate) fn wake(&mut self) {
        self.out.writer.wake_sleepers(&self.sleepers);
    }

    /// The last thing a lane writes.
    pub(crate) fn close(&mut self) {
        self.out.close(monotonic_ns());
        self.wake();
        // Nobody will answer there any more; a leftover would do no harm, so a refusal is nobody's trouble.
        let _ = std::fs::remove_file(&self.wake_socket);
    }
}

/// The books of what a lane's feed speaks.
fn normaliser(plan: &LanePlan, ids: IdStore, begins_ns: u64) -> Result<Normaliser<IdStore>, market::itch::ConfigError> {
    let limits = BookLimits {
        max_orders: plan.config.max_orders,
        max_levels: plan.config.max_levels,
        instruments: plan.plan.instruments,
    };
    let depth = DepthPlan { default_class: plan.config.depth, by_symbol: plan.config.depth_by_symbol.clone() };
    let venue = plan.feed.venue.clone();
    if let Some(protocol) = plan.feed.protocol.iex() {
        return Ok(Iex::new(IexConfig { venue, limits, depth, ..IexConfig::new(protocol) }, ids)?.into());
    }
    let config = ItchConfig {
        venue,
        midnight_ns: plan.feed.calendar.midnight_ns(begins_ns),
        limits,
        depth,
        dialect: plan.feed.dialect,
        role: match plan.feed.client_type {
            _ if plan.feed.only_of_venue => FeedRole::All,
            ClientType::MarketFeed => FeedRole::Market,
            ClientType::Index => FeedRole::Index,
            ClientType::News => FeedRole::News,
        },
        ..ItchConfig::default()
    };
    Ok(Itch::new(config, ids)?.into())
}

fn lock_memory(wanted: LockMemory, writer: &LaneWriter, lane: &str) -> Result<(), LaneError> {
    if wanted == LockMemory::Off {
        return Ok(());
    }
    let bytes = writer.reader().layout().bytes;
    match (writer.lock_memory(), wanted) {
        (Ok(()), _) => Ok(()),
        (Err(source), LockMemory::Require) => Err(LaneError::LockMemory { lane: lane.into(), bytes, source }),
        (Err(error), _) => {
            tracing::warn!(lane, bytes, %error, "the segment is not locked in memory; raise the memlock limit");
            Ok(())
        }
    }
}

/// Shows life while the reactor runs: proof that this core still serves its tasks, not merely that the process exists. Once
/// a second it also tells how many messages came in the last one.
pub(crate) async fn beat(lane: Rc<RefCell<Lane>>) {
    const SECOND_NS: u64 = 1_000_000_000;
    let (mut since_ns, mut received) = (monotonic_ns(), 0);
    loop {
        {
            let writer = &mut lane.borrow_mut().out.writer;
            let now_ns = monotonic_ns();
            writer.heartbeat(now_ns);
            let elapsed_ns = now_ns.saturating_sub(since_ns);
            if elapsed_ns >= SECOND_NS {
                let taken = writer.counters.get(LaneCounter::Received);
                let per_s = u128::from(taken.wrapping_sub(received)) * u128::from(SECOND_NS) / u128::from(elapsed_ns);
                writer.counters.set(LaneCounter::RatePerS, per_s as u64);
                (since_ns, received) = (now_ns, taken);
            }
        }
        rt::sleep(HEARTBEAT_INTERVAL_NS).await;
    }
}

/// Hands the sleeper flag to every reader that asks, from a thread of its own: a reader may be slow, and the reactor
/// must never wait for one. The socket's mode lets the segment's group connect.
fn open_wake_door(path: &Path, lane: &str, flag: OwnedFd) -> Result<(), LaneError> {
    let failed = |source| LaneError::WakeSocket { lane: lane.into(), path: path.display().to_string(), source };
    // A leftover of a killed engine: the lane's lock says that nobody listens on it any more.
    if std::fs::symlink_metadata(path).is_ok_and(|facts| facts.file_type().is_socket()) {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    let name = lane.to_owned();
    let serve = move || {
        let mut refusing = false;
        for reader in listener.incoming() {
            match reader {
                Ok(socket) => {
                    refusing = false;
                    // A reader that went away again asked for nothing.
                    let _ = send_descriptor(&socket, &flag);
                }
                // No descriptor left, most likely. Who waits stays in the listener's queue, so the next try finds it.
                Err(error) => {
                    if !std::mem::replace(&mut refusing, true) {
                        tracing::warn!(lane = name, %error, "the wake door takes nobody in; readers sleep by time until it does");
                    }
                    std::thread::sleep(DOOR_PAUSE);
                }
            }
        }
    };
    std::thread::Builder::new().name(format!("{lane}-wake")).spawn(serve).map_err(failed)?;
    Ok(())
}
