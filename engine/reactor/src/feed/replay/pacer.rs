//! How fast a recording is played.

use shm_abi::control::PaceChange;
use wire::Nanos;

use crate::config::Pace;

/// Says when something that was recorded at some time is to be played.
#[derive(Debug)]
pub(super) struct Pacer {
    pace: Pace,
    /// Events that may still be played, when stepped.
    steps: u64,
    /// A recorded time, ns since the UNIX epoch, and when that was played.
    anchor: Option<(u64, Nanos)>,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    At(Nanos),
    /// When a command says so.
    Never,
}

impl Pacer {
    pub(super) fn new(pace: Pace) -> Pacer {
        Pacer { pace, steps: 0, anchor: None }
    }

    pub(super) fn change(&mut self, change: PaceChange) {
        // A new pace counts from what comes next.
        self.anchor = None;
        match change {
            PaceChange::Pause {} => (self.pace, self.steps) = (Pace::Stepped, 0),
            PaceChange::Step { events } => {
                (self.pace, self.steps) = (Pace::Stepped, self.steps.saturating_add(events));
            }
            PaceChange::Times { times } => (self.pace, self.steps) = (Pace::Times(times), 0),
            PaceChange::Max {} => (self.pace, self.steps) = (Pace::Max, 0),
        }
    }

    pub(super) fn is_stepped(&self) -> bool {
        self.pace == Pace::Stepped
    }

    /// When what was recorded at `at_ns` is due. [`Due::Now`] takes a step.
    #[inline]
    pub(super) fn look(&mut self, at_ns: u64, now: impl Fn() -> Nanos) -> Due {
        match self.pace {
            Pace::Max => Due::Now,
            Pace::Stepped if self.steps == 0 => Due::Never,
            Pace::Stepped => {
                self.steps -= 1;
                Due::Now
            }
            Pace::Times(times) => {
                let now = now();
                let (from_ns, began) = *self.anchor.get_or_insert((at_ns, now));
                // A recorded clock may jump back; what it says then is due at once.
                let since = at_ns.saturating_sub(from_ns) as f64 / times;
                let then = began.saturating_add(since as u64);
                if then <= now { Due::Now } else { Due::At(then) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_times_are_stretched_and_never_early() {
        for (times, apart) in [(1.0, 1_000), (2.0, 500), (0.5, 2_000)] {
            let mut pacer = Pacer::new(Pace::Times(times));
            let now = Nanos(10_000);
            assert_eq!(pacer.look(5_000, || now), Due::Now, "the first is due when it is met");
            assert_eq!(pacer.look(6_000, || now), Due::At(Nanos(10_000 + apart)), "{times}");
            assert_eq!(pacer.look(6_000, || Nanos(10_000 + apart)), Due::Now);
            assert_eq!(pacer.look(1, || now), Due::Now, "a clock that jumps back");
        }
    }

    #[test]
    fn steps_are_counted_and_a_new_pace_begins_where_it_is() {
        let mut pacer = Pacer::new(Pace::Stepped);
        let look = |pacer: &mut Pacer, at_ns| pacer.look(at_ns, || Nanos(7));
        assert_eq!(look(&mut pacer, 1), Due::Never);
        pacer.change(PaceChange::Step { events: 2 });
        pacer.change(PaceChange::Step { events: 1 });
        assert_eq!([1, 2, 3, 4].map(|at| look(&mut pacer, at)), [Due::Now, Due::Now, Due::Now, Due::Never]);
        pacer.change(PaceChange::Times { times: 1.0 });
        assert_eq!([10, 15].map(|at| look(&mut pacer, at)), [Due::Now, Due::At(Nanos(12))]);
        pacer.change(PaceChange::Max {});
        assert_eq!(look(&mut pacer, u64::MAX), Due::Now);
        pacer.change(PaceChange::Step { events: 1 });
        pacer.change(PaceChange::Pause {});
        assert_eq!(look(&mut pacer, 1), Due::Never, "a pause forgets the steps");
    }
}
