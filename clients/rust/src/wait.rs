//! How a reader passes the time while its ring is empty.

use std::path::Path;
use std::time::Duration;

use shm_abi::segment::{Segment, SleeperFlag};
use shm_abi::sys::monotonic_ns;

use crate::reader::Wait;

/// Shortest and longest sleep of a reader whose engine hands out no sleeper flag. Doubled from one to the other, so
/// that a short lull costs little and a long one few wake-ups.
const NAP_MIN: Duration = Duration::from_micros(50);
const NAP_MAX: Duration = Duration::from_millis(1);
/// How often a reader without a sleeper flag asks for it again: the engine may have opened its socket later.
const FLAG_RETRY_NS: u64 = 1_000_000_000;

/// The waiting side of one reader.
#[derive(Debug)]
pub(crate) struct Waiter {
    wait: Wait,
    flag: Option<SleeperFlag>,
    ask_again_ns: u64,
}

/// One stretch of waiting: begins when the ring is found empty, ends with the next event.
#[derive(Debug, Default)]
pub(crate) struct Lull {
    began_ns: Option<u64>,
    nap: Option<Duration>,
}

impl Waiter {
    pub(crate) fn new(wait: Wait) -> Waiter {
        Waiter { wait, flag: None, ask_again_ns: 0 }
    }

    pub(crate) fn wait(&self) -> Wait {
        self.wait
    }

    /// The flag belongs to the engine that handed it out: a new engine has another.
    pub(crate) fn forget_flag(&mut self) {
        self.flag = None;
        self.ask_again_ns = 0;
    }

    pub(crate) fn has_flag(&self) -> bool {
        self.flag.is_some()
    }

    /// Passes a moment: spins, or sleeps at most one millisecond. `is_ready` is asked once after the sleep was announced.
    /// Returns whether it slept.
    pub(crate) fn pause(
        &mut self,
        lull: &mut Lull,
        segment: &Segment,
        place: (&Path, &str),
        is_ready: impl FnOnce() -> bool,
    ) -> bool {
        let Wait::Adaptive { spin_ns } = self.wait else {
            std::hint::spin_loop();
            return false;
        };
        let now_ns = monotonic_ns();
        if now_ns.saturating_sub(*lull.began_ns.get_or_insert(now_ns)) < spin_ns {
            std::hint::spin_loop();
            return false;
        }
        self.ask_for_flag(now_ns, place);
        match &self.flag {
            Some(flag) => {
                let seen = segment.announce_sleep(flag);
                // Without this look a record published just before the flag was set would wait out the whole sleep.
                if !is_ready() {
                    segment.sleep(seen);
                }
            }
            None => {
                let nap = lull.nap.map_or(NAP_MIN, |nap| (nap * 2).min(NAP_MAX));
                std::thread::sleep(nap);
                lull.nap = Some(nap);
            }
        }
        true
    }

    fn ask_for_flag(&mut self, now_ns: u64, (runtime_dir, lane): (&Path, &str)) {
        if self.flag.is_none() && now_ns >= self.ask_again_ns {
            // Without the flag sleeps are timed: slower to wake, never wrong. So a refusal is no error.
            self.flag = SleeperFlag::request(runtime_dir, lane).ok();
            self.ask_again_ns = monotonic_ns() + FLAG_RETRY_NS;
        }
    }
}
