//! The thread that sleeps in a shard's place until a lane's engine writes, and rings the shard's bell then, once. A
//! futex cannot be waited for together with sockets; an eventfd can.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use shm_abi::ring::Rejoin;
use shm_abi::segment::{RingName, Segment, SleeperFlag};

use super::inbox::Bell;

/// Sleep between two looks at a ring whose engine hands out no sleeper flag: as long as with one at most.
const NAP: Duration = Duration::from_millis(1);
/// How often such an engine is asked for it again: it may have opened its socket later.
const FLAG_RETRY: Duration = Duration::from_secs(1);

/// What to sleep for.
#[derive(Debug)]
struct Order {
    number: u64,
    segment: Segment,
    /// Number that the next record will have.
    cursor: u64,
}

#[derive(Debug, Default)]
struct Desk {
    order: Option<Order>,
    quit: bool,
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
    /// Number of the order that still counts, 0: none. Any other was called off or carried out.
    current: AtomicU64,
}

/// The shard's side of one lane's waiter.
#[derive(Debug)]
pub(crate) struct Waiter {
    shared: Arc<Shared>,
    orders: u64,
    thread: Option<thread::JoinHandle<()>>,
}

impl Waiter {
    /// Starts the thread; it sleeps until it is armed.
    ///
    /// # Errors
    /// Whatever starting a thread says.
    pub(crate) fn start(runtime_dir: PathBuf, lane: &str, bell: Bell) -> io::Result<Waiter> {
        let shared = Arc::new(Shared::default());
        let sleeper = Sleeper {
            shared: Arc::clone(&shared),
            bell,
            runtime_dir,
            lane: lane.into(),
            flag: None,
            incarnation: 0,
            ask_again: None,
        };
        let thread = thread::Builder::new().name(format!("wait-{lane}")).spawn(move || sleeper.run())?;
        Ok(Waiter { shared, orders: 0, thread: Some(thread) })
    }

    /// From now on the bell rings once, when number `cursor` of the market ring is there. Armed already: nothing.
    pub(crate) fn arm(&mut self, segment: &Segment, cursor: u64) {
        if self.shared.current.load(Relaxed) != 0 {
            return;
        }
        self.orders += 1;
        self.shared.current.store(self.orders, Relaxed);
        let order = Order { number: self.orders, segment: segment.clone(), cursor };
        self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner).order = Some(order);
        self.shared.changed.notify_one();
    }

    /// Calls it off. A sleep that has begun ends within a millisecond.
    pub(crate) fn disarm(&self) {
        self.shared.current.store(0, Relaxed);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.disarm();
        self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner).quit = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has no way to panic that would not be a bug of ours, and that was told on standard error.
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Sleeper {
    shared: Arc<Shared>,
    bell: Bell,
    runtime_dir: PathBuf,
    lane: String,
    flag: Option<SleeperFlag>,
    /// Of the segment whose engine handed out the flag: a new engine has another.
    incarnation: u64,
    ask_again: Option<Instant>,
}

impl Sleeper {
    fn run(mut self) {
        while let Some(order) = self.next_order() {
            self.carry_out(&order);
        }
    }

    fn next_order(&self) -> Option<Order> {
        let mut desk = self.shared.desk.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if desk.quit {
                return None;
            }
            if let Some(order) = desk.order.take() {
                return Some(order);
            }
            desk = self.shared.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn carry_out(&mut self, order: &Order) {
        let ring = order.segment.read_from(RingName::Market, order.cursor, Rejoin::Latest);
        self.find_flag(&order.segment);
        while self.shared.current.load(Relaxed) == order.number {
            match &self.flag {
                Some(flag) => {
                    let seen = order.segment.announce_sleep(flag);
                    // Without this look a record published just before the flag was set would wait out the whole sleep.
                    if !ring.is_ready() {
                        order.segment.sleep(seen);
                    }
                }
                None => {
                    thread::sleep(NAP);
                    self.find_flag(&order.segment);
                }
            }
            if ring.is_ready() {
                if self.shared.current.compare_exchange(order.number, 0, Relaxed, Relaxed).is_ok() {
                    self.bell.ring();
                }
                return;
            }
        }
    }

    fn find_flag(&mut self, segment: &Segment) {
        let incarnation = segment.identity().incarnation;
        if incarnation != self.incarnation {
            (self.flag, self.ask_again, self.incarnation) = (None, None, incarnation);
        }
        let now = Instant::now();
        if self.flag.is_none() && self.ask_again.is_none_or(|at| now >= at) {
            // Without it sleeps are timed: slower to wake, never wrong. So a refusal is no error.
            self.flag = SleeperFlag::request(&self.runtime_dir, &self.lane).ok();
            self.ask_again = Some(now + FLAG_RETRY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::time::Timespec;
    use shm_abi::layout::Plan;
    use shm_abi::record::{Head, flag, kind};
    use shm_abi::segment::{Identity, LaneLock, LaneWriter};

    fn publish(writer: &mut LaneWriter) {
        let head = Head {
            kind: kind::TRADE,
            flags: flag::LAST,
            span: 1,
            side_or_code: 0,
            instrument_id: 1,
            ts_event: 0,
            ts_recv: 0,
            publish_delay_ns: 0,
            venue_sequence_low: 0,
        };
        let [a, b, c, d] = head.words();
        writer.market.push(&[a, b, c, d, 0, 0, 0]);
        writer.market.commit();
        writer.publish_heads();
    }

    fn rings(bell: &Bell, limit_ms: i64) -> bool {
        let limit = Timespec { tv_sec: limit_ms / 1000, tv_nsec: limit_ms % 1000 * 1_000_000 };
        let rang = poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&limit)).unwrap() == 1;
        bell.clear();
        rang
    }

    #[test]
    fn it_rings_once_for_each_order_and_not_when_called_off() {
        let dir = tempfile::tempdir().unwrap();
        let plan =
            Plan { lane: "lane0".into(), orders_slots: 1024, market_slots: 1024, instruments: 4, depth_bytes: 4096 };
        let lock = LaneLock::take(dir.path(), "lane0").unwrap();
        let mut writer = lock.create(&plan, Identity::random(0).unwrap()).unwrap();
        let segment = writer.reader();
        let bell = Bell::new().unwrap();
        let mut waiter = Waiter::start(dir.path().into(), "lane0", bell.clone()).unwrap();
        for n in 0..3 {
            waiter.arm(&segment, n);
            waiter.arm(&segment, n);
            assert!(!rings(&bell, 5), "nothing was published yet");
            publish(&mut writer);
            assert!(rings(&bell, 20_000));
            assert!(!rings(&bell, 5), "one order, one ring");
        }
        publish(&mut writer);
        assert!(!rings(&bell, 5), "nobody asked");
        waiter.arm(&segment, 3);
        assert!(rings(&bell, 20_000), "what was there before is told, too");
        waiter.arm(&segment, 4);
        waiter.disarm();
        publish(&mut writer);
        assert!(!rings(&bell, 20), "it was called off");
    }
}
