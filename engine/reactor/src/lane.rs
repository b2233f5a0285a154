//! One lane: the memory it alone writes, the books of its feed, and what happens to them at start and end.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use market::book::BookLimits;
use market::itch::{Itch, ItchConfig};
use market::{DepthPlan, Normaliser, Resume};
use shm_abi::board::Quality;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::{FeedState, HEARTBEAT_INTERVAL_NS, State};
use shm_abi::record::{
    Head, INSTRUMENT_NONE, Restart, StatusCause, TradingStatus, flag, kind, restart_body, side, status_body,
};
use shm_abi::segment::{FeedWriter, Identity, LaneLock, LaneWriter, RingName, SegmentError, SleeperFlag, wake_socket};
use shm_abi::sys::{monotonic_ns, realtime_ns, send_descriptor};

use crate::config::{EngineConfig, LanePlan, LockMemory};
use crate::ids::IdStore;
use crate::recovery::{Predecessor, first_start};
use crate::rt;

/// Why a lane cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaneError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
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
    pub(crate) writer: LaneWriter,
    pub(crate) feed: FeedWriter,
    pub(crate) nasdaq: Normaliser<IdStore>,
    pub(crate) sleepers: SleeperFlag,
    /// What the predecessor left, until the first login has said whether its session still runs.
    pub(crate) predecessor: Option<Predecessor>,
    /// The venue sequence up to which the market ring is whole: what its last record must tell a successor. While books
    /// are rebuilt it stays where the predecessor's ring ended, however far the replay is.
    pub(crate) market_sequence: u64,
    wake_socket: PathBuf,
    _lock: LaneLock,
}

impl Lane {
    /// Takes the lane, reads its predecessor, makes its segment, and publishes the restart. Blocking; before the reactor.
    pub(crate) fn make(engine: &EngineConfig, plan: &LanePlan, ids: IdStore) -> Result<Lane, LaneError> {
        let lane = &plan.plan.lane;
        let system = |source| LaneError::System { lane: lane.clone(), source };
        let lock = LaneLock::take(&engine.runtime_dir, lane)?;
        let predecessor = lock.predecessor()?.map(|segment| Predecessor::read(&segment));
        let identity = Identity::random(predecessor.map_or(0, |found| found.old_epoch)).map_err(system)?;
        // All of it before the segment has its name: an engine killed at any moment leaves a whole predecessor.
        let mut writer = lock.create_with(&plan.plan, identity, |writer| {
            writer.prefault();
            let mut feed = writer.feed(0);
            feed.set_name(&plan.feed.name);
            feed.set_state(FeedState::Idle);
            begin_sequence(writer, &mut feed, predecessor.as_ref());
            writer.heartbeat(monotonic_ns());
        })?;
        lock_memory(engine.lock_memory, &writer, lane)?;
        let feed = writer.feed(0);
        let sleepers = SleeperFlag::create().map_err(system)?;
        let wake_socket = engine.runtime_dir.join(wake_socket(lane));
        open_wake_door(&wake_socket, lane, sleepers.file().try_clone().map_err(system)?)?;
        let config = ItchConfig {
            venue: plan.feed.venue.clone(),
            midnight_ns: plan.feed.calendar.midnight_ns(realtime_ns()),
            limits: BookLimits {
                max_orders: plan.config.max_orders,
                max_levels: plan.config.max_levels,
                instruments: plan.plan.instruments,
            },
            depth: DepthPlan { default_class: plan.config.depth, by_symbol: plan.config.depth_by_symbol.clone() },
            ..ItchConfig::default()
        };
        let nasdaq = Itch::new(config, ids).map_err(|source| LaneError::Market { lane: lane.clone(), source })?.into();
        writer.counters.set(LaneCounter::OrderLimit, plan.config.max_orders as u64);
        let market_sequence = predecessor.map_or(0, |found| found.market.venue_sequence);
        Ok(Lane { writer, feed, nasdaq, sleepers, predecessor, market_sequence, wake_socket, _lock: lock })
    }

    /// The venue has named its session for the first time since the start: if it is the one that the predecessor
    /// followed, what that one published is rebuilt in silence; if not, everything is new.
    pub(crate) fn first_session(&mut self, session: &[u8; 16]) {
        self.nasdaq.set_session(session);
        let resumed = self.predecessor.take().filter(|found| found.session.as_ref() == Some(session));
        let (orders_n, market_n) = (self.writer.orders.next_number(), self.writer.market.next_number());
        match resumed {
            Some(found) => {
                let (orders_after, market_after) = (found.orders.venue_sequence, found.market.venue_sequence);
                self.nasdaq.resume(Resume { orders_after, market_after });
                tracing::info!(orders_after, market_after, "rebuilding books that were published before the restart");
            }
            None => {
                self.feed.set_session(session, orders_n, market_n);
                self.market_sequence = 0;
            }
        }
    }

    /// Tells readers what happened to the session: a status record about the venue, and the quality of every row.
    pub(crate) fn session_event(&mut self, event: SessionEvent, now_ns: u64) {
        let (status, quality, letter) = match event {
            SessionEvent::Up => (TradingStatus::Unknown, Quality::Fresh, b'U'),
            SessionEvent::Down => (TradingStatus::Unknown, Quality::Stale, b'D'),
            SessionEvent::Ended => (TradingStatus::Closed, Quality::Closed, b'Z'),
        };
        // Rows first: each names the record below before the ring shows it.
        let market_n = self.writer.market.next_number();
        self.nasdaq.set_quality(quality, Some(market_n), &mut self.writer);
        let head = head(kind::STATUS, status as u8, now_ns, self.market_sequence as u32);
        let [w0, w1, w2, w3] = head.words();
        let [a, b, c] = status_body(StatusCause::Session, letter, *b"        ");
        self.writer.market.push(&[w0, w1, w2, w3, a, b, c]);
        self.writer.market.commit();
    }

    /// End of a burst: heads, the feed's sequence, sleepers.
    pub(crate) fn end_burst(&mut self, next_sequence: u64) {
        self.writer.publish_heads();
        self.market_sequence = self.market_sequence.max(next_sequence.saturating_sub(1));
        self.feed.set_sequence(self.market_sequence);
        self.writer.wake_sleepers(&self.sleepers);
    }

    /// The last thing a lane writes.
    pub(crate) fn close(&mut self) {
        self.nasdaq.set_quality(Quality::Closed, None, &mut self.writer);
        self.feed.set_state(FeedState::Closed);
        self.writer.publish_heads();
        self.writer.set_state(State::Closed);
        self.writer.heartbeat(monotonic_ns());
        self.writer.wake_sleepers(&self.sleepers);
        // Nobody will answer there any more; a leftover would do no harm, so a refusal is nobody's trouble.
        let _ = std::fs::remove_file(&self.wake_socket);
    }
}

/// What happened to a feed's session, as readers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionEvent {
    /// Logged in: the rows are as good as the messages.
    Up,
    /// The line broke: the rows are the last known.
    Down,
    /// The venue ended its session: nothing more will come.
    Ended,
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

/// First records of both rings: what came before. The session of the predecessor is kept until the venue says another,
/// so that an engine killed while it rebuilds leaves as much as it found.
fn begin_sequence(writer: &mut LaneWriter, feed: &mut FeedWriter, predecessor: Option<&Predecessor>) {
    let restart = |ring| predecessor.map_or_else(first_start, |found| found.restart(ring));
    publish_restart(writer, RingName::Orders, &restart(RingName::Orders));
    publish_restart(writer, RingName::Market, &restart(RingName::Market));
    writer.publish_heads();
    if let Some(Predecessor { session: Some(session), orders, market, .. }) = predecessor {
        feed.set_session(session, 0, 0);
        feed.set_sequence(orders.venue_sequence.max(market.venue_sequence));
    }
}

/// Head of a record about the lane itself: no instrument, no venue time. It repeats the last venue sequence, so that
/// recovery finds the same place whichever record is the last.
fn head(kind: u8, side_or_code: u8, now_ns: u64, venue_sequence_low: u32) -> Head {
    let instrument_id = INSTRUMENT_NONE;
    let flags = flag::LAST | flag::RECV_USER;
    Head {
        kind,
        flags,
        span: 1,
        side_or_code,
        instrument_id,
        ts_event: 0,
        ts_recv: now_ns,
        publish_delay_ns: 0,
        venue_sequence_low,
    }
}

fn publish_restart(writer: &mut LaneWriter, ring: RingName, restart: &Restart) {
    let head = head(kind::RESTART, side::NONE, realtime_ns(), restart.venue_sequence as u32);
    let mut words = Vec::from(head.words());
    words.extend(restart_body(restart));
    let ring = match ring {
        RingName::Orders => &mut writer.orders,
        RingName::Market => &mut writer.market,
    };
    ring.push_span(&words);
    ring.commit();
}

/// Shows life while the reactor runs: proof that this core still serves its tasks, not merely that the process exists.
pub(crate) async fn beat(lane: Rc<RefCell<Lane>>) {
    loop {
        lane.borrow_mut().writer.heartbeat(monotonic_ns());
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
    let serve = move || {
        for reader in listener.incoming() {
            // A reader that went away again asked for nothing.
            let _ = reader.and_then(|socket| send_descriptor(&socket, &flag));
        }
    };
    std::thread::Builder::new().name(format!("{lane}-wake")).spawn(serve).map_err(failed)?;
    Ok(())
}
