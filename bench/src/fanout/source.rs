//! The engine's place: a lane with instruments and quotes, written at a given rate whatever the readers do.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use shm_abi::board::{Level, Quality};
use shm_abi::directory::Instrument;
use shm_abi::layout::{HEARTBEAT_INTERVAL_NS, Plan, SLOTS_MIN, State, row};
use shm_abi::record::{Head, Side, StatusCause, TradingStatus, flag, kind, status_body};
use shm_abi::segment::{Identity, LaneLock, LaneWriter, SleeperFlag, wake_socket};
use shm_abi::slot::SLOT_WORDS;
use shm_abi::sys::{monotonic_ns, realtime_ns, send_descriptor};

use crate::stats::Latency;
use crate::{BenchError, Result, io_error};

/// The one lane.
pub const LANE: &str = "lane0";
/// Slots of the market ring.
const SLOTS: usize = 1 << 16;
/// Topics follow each other in steps of this: neighbours in a client's list are not neighbours in time.
const TOPIC_STEP: u64 = 193;
/// One cent.
const CENT: i64 = 10_000_000;

/// Symbol of topic `topic`.
pub fn symbol(topic: u32) -> String {
    format!("S{topic:03}")
}

/// When updates are due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    start_ns: u64,
    per_second: u64,
    /// Updates made of it.
    made: u64,
}

impl Schedule {
    fn next_due_ns(&self) -> u64 {
        self.start_ns + (u128::from(self.made) * 1_000_000_000 / u128::from(self.per_second)) as u64
    }
}

/// The lane's writer and its schedule.
#[derive(Debug)]
pub struct Source {
    writer: LaneWriter,
    sleepers: SleeperFlag,
    topics: u32,
    schedule: Option<Schedule>,
    next_beat_ns: u64,
    made: u64,
    /// Number of each topic's newest event.
    newest: Vec<u64>,
    /// Events of each topic that were published since `counted_from_ns`.
    published: Vec<u64>,
    counted_from_ns: u64,
    /// How late each of them was.
    lateness: Latency,
    // The lock is held, and the door open, for as long as the writer lives.
    _lock: LaneLock,
    _door: Door,
}

impl Source {
    /// Makes the lane in `runtime_dir`, live, with `topics` instruments whose rows say everything that a quote tells.
    ///
    /// # Errors
    /// When the lane or its wake socket cannot be made.
    pub fn create(runtime_dir: &Path, topics: u32) -> Result<Source> {
        let lock = LaneLock::take(runtime_dir, LANE)?;
        let instruments = topics as usize;
        let plan =
            Plan { lane: LANE.into(), orders_slots: SLOTS_MIN, market_slots: SLOTS, instruments, depth_bytes: 64 };
        let mut writer = lock.create(&plan, Identity::random(0).map_err(io_error("draw an epoch"))?)?;
        writer.prefault();
        let newest = (0..topics).map(|topic| open_instrument(&mut writer, topic)).collect::<Result<_>>()?;
        writer.publish_heads();
        writer.set_state(State::Live);
        let sleepers = SleeperFlag::create().map_err(io_error("make the sleeper flag"))?;
        let door = Door::open(runtime_dir.join(wake_socket(LANE)), &sleepers)?;
        Ok(Source {
            writer,
            sleepers,
            topics,
            schedule: None,
            next_beat_ns: 0,
            made: 0,
            newest,
            published: vec![0; instruments],
            counted_from_ns: u64::MAX,
            lateness: Latency::new(1.0),
            _lock: lock,
            _door: door,
        })
    }

    /// From `start_ns` on, `per_second` updates a second, spread over all topics in turn. What is published from
    /// `counted_from_ns` on counts. Both ns since the UNIX epoch.
    pub fn start(&mut self, start_ns: u64, per_second: u64, counted_from_ns: u64) {
        self.schedule = Some(Schedule { start_ns, per_second, made: 0 });
        self.counted_from_ns = counted_from_ns;
    }

    /// No more updates.
    pub fn stop(&mut self) {
        self.schedule = None;
    }

    /// Publishes what is due, and shows life. To be called all the time; costs a clock reading when there is nothing to
    /// do. Returns that reading, ns since the UNIX epoch.
    #[inline]
    pub fn turn(&mut self) -> u64 {
        let mut now = realtime_ns();
        let mut due = self.schedule.map_or(u64::MAX, |schedule| schedule.next_due_ns());
        if due <= now {
            // One burst: what is late goes out with what is due, each with its own stamp.
            while due <= now {
                self.publish(due, now);
                let schedule = self.schedule.as_mut().expect("something was due");
                schedule.made += 1;
                due = schedule.next_due_ns();
                now = realtime_ns();
            }
            self.writer.publish_heads();
            self.writer.wake_sleepers(&self.sleepers);
        }
        if now >= self.next_beat_ns {
            self.writer.heartbeat(monotonic_ns());
            self.next_beat_ns = now + HEARTBEAT_INTERVAL_NS / 4;
        }
        now
    }

    /// One side of one quote changes. The row first, then the ring, as the engine does.
    fn publish(&mut self, due_ns: u64, now_ns: u64) {
        let topic = (self.made * TOPIC_STEP % u64::from(self.topics)) as usize;
        let rounds = self.made / u64::from(self.topics);
        let side = if rounds.is_multiple_of(2) { Side::Bid } else { Side::Ask };
        let away = 1 + (self.made % 50) as i64;
        let cents = 12_345 + if side == Side::Bid { -away } else { away };
        let best = Level { price: cents * CENT, quantity: 100 + self.made % 900, orders: 3 };
        let body = [best.price as u64, best.quantity, best.orders.into()];
        let n = self.writer.market.push(&record(kind::QUOTE, side as u8, topic as u32, [due_ns, now_ns], body));
        let mut row = self.writer.board.update(topic);
        row.set_quote(side, best);
        row.set(row::MARKET_N, n);
        row.set(row::TS_EVENT, due_ns);
        drop(row);
        self.writer.market.commit();
        self.made += 1;
        self.newest[topic] = n;
        if now_ns >= self.counted_from_ns {
            self.published[topic] += 1;
            self.lateness.record(now_ns - due_ns);
        }
    }

    /// Number of the newest event of each topic.
    pub fn newest(&self) -> &[u64] {
        &self.newest
    }

    /// Events of each topic that count.
    pub fn published(&self) -> &[u64] {
        &self.published
    }

    /// How much later than due they were published, ns.
    pub fn lateness(&self) -> &Latency {
        &self.lateness
    }
}

/// A record of one slot that is a whole event: due at the first stamp, published at the second.
fn record(kind: u8, code: u8, instrument_id: u32, [ts_event, now_ns]: [u64; 2], body: [u64; 3]) -> [u64; SLOT_WORDS] {
    let head = Head {
        kind,
        flags: flag::LAST,
        span: 1,
        side_or_code: code,
        instrument_id,
        ts_event,
        ts_recv: now_ns,
        publish_delay_ns: 0,
        venue_sequence_low: 0,
    };
    let [a, b, c, d] = head.words();
    [a, b, c, d, body[0], body[1], body[2]]
}

/// Adds an instrument that is trading and has traded, and says so in the ring. Returns that record's number.
fn open_instrument(writer: &mut LaneWriter, topic: u32) -> Result<u64> {
    let mut instrument = Instrument::equity(topic, symbol(topic).as_bytes(), b"BENCH");
    instrument.depth_class = 0;
    let index = writer.add_instrument(&instrument).map_err(|error| BenchError::Market(error.to_string()))?;
    let now = realtime_ns();
    let body = status_body(StatusCause::TradingAction, b'T', *b"        ");
    let n = writer.market.push(&record(kind::STATUS, TradingStatus::Trading as u8, topic, [now, now], body));
    let mut row = writer.board.update(index);
    row.set_status(TradingStatus::Trading, b'T');
    row.set_quality(Quality::Fresh);
    for (side, cents) in [(Side::Bid, 12_340), (Side::Ask, 12_350)] {
        row.set_quote(side, Level { price: cents * CENT, quantity: 500, orders: 4 });
    }
    for (field, value) in [
        (row::MARKET_N, n),
        (row::TS_EVENT, now),
        (row::LAST_PRICE, 12_346 * CENT as u64),
        (row::LAST_QUANTITY, 100),
        (row::LAST_MATCH, 7_700_000 + u64::from(topic)),
        (row::LAST_TS, now),
        (row::OPEN, 12_300 * CENT as u64),
        (row::HIGH, 12_450 * CENT as u64),
        (row::LOW, 12_290 * CENT as u64),
        (row::PREVIOUS_CLOSE, 12_295 * CENT as u64),
        (row::VOLUME, 1_234_500),
        (row::TURNOVER_LOW, 152_409_037_500_000_000),
        (row::TRADES, 4_242),
    ] {
        row.set(field, value);
    }
    drop(row);
    writer.market.commit();
    Ok(n)
}

/// Hands out the sleeper flag to readers that ask, from a thread of its own. Closed when dropped.
#[derive(Debug)]
struct Door {
    path: PathBuf,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn open(path: PathBuf, sleepers: &SleeperFlag) -> Result<Door> {
        let failed = || io_error("open the wake socket");
        let flag = sleepers.file().try_clone().map_err(failed())?;
        let listener = UnixListener::bind(&path).map_err(failed())?;
        let closing = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&closing);
        let serve = move || {
            for reader in listener.incoming() {
                if told.load(Relaxed) {
                    return;
                }
                // A reader that went away again asked for nothing.
                let _ = reader.and_then(|socket| send_descriptor(&socket, &flag));
            }
        };
        let thread = std::thread::Builder::new().name("bench-wake".into()).spawn(serve).map_err(failed())?;
        Ok(Door { path, closing, thread: Some(thread) })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closing.store(true, Relaxed);
        // The connection brings the thread back from its wait.
        let knocked = UnixStream::connect(&self.path).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| knocked) {
            // It cannot panic in a way that would matter now.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partner::run_dir;
    use shm_abi::board::RowImage;
    use shm_abi::record::{Body, Record};
    use shm_abi::ring::{Polled, Rejoin};
    use shm_abi::segment::{RingName, Segment};

    #[test]
    fn what_is_due_is_published_in_order_and_rows_say_the_same() {
        let dir = run_dir().unwrap();
        let mut source = Source::create(dir.path(), 3).unwrap();
        let segment = Segment::open(dir.path(), LANE).unwrap();
        assert_eq!(segment.state(), Some(State::Live));
        let mut reader = segment.read_from(RingName::Market, 0, Rejoin::Latest);
        let opened: Vec<_> = (0..3).map(|_| matches!(reader.poll(), Polled::Record { .. })).collect();
        assert_eq!(opened, [true; 3], "one status each");
        let start = realtime_ns() - 10_000_000;
        source.start(start, 1000, start + 5_000_000);
        let now = source.turn();
        source.stop();
        let (mut seen, mut last) = (0, vec![0; 3]);
        while let Polled::Record { n, words } = reader.poll() {
            let record = Record::new(n, words).unwrap();
            assert!(record.head.is_last() && record.head.ts_event == start + seen * 1_000_000);
            assert!(record.head.ts_publish() >= record.head.ts_event && record.head.ts_publish() <= now);
            let Body::Quote { side: Some(side), price, .. } = record.body() else { panic!("{record:?}") };
            last[record.head.instrument_id as usize] = n;
            seen += 1;
            if n == source.newest()[record.head.instrument_id as usize] {
                let mut image = RowImage::default();
                segment.board().read(record.head.instrument_id as usize, &mut image, || true).unwrap();
                assert_eq!((image.market_n(), image.best(side).unwrap().price), (n, price));
            }
        }
        assert!(seen >= 11, "{seen} updates of ten milliseconds at 1000/s");
        assert_eq!(last, source.newest());
        assert_eq!(source.published().iter().sum::<u64>(), seen, "all were late, so all count");
        assert!(source.lateness().quantiles().max >= 9_000_000.0);
        assert!(segment.writer_alive());
    }

    #[test]
    fn the_flag_is_handed_out_and_the_door_closes() {
        let dir = run_dir().unwrap();
        let source = Source::create(dir.path(), 1).unwrap();
        SleeperFlag::request(dir.path(), LANE).unwrap();
        drop(source);
        assert!(SleeperFlag::request(dir.path(), LANE).is_err(), "nobody listens any more");
    }
}
