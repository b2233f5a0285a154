//! Goals and verdicts: when a ratio passes, when it is missed, and when nothing may be said.

use serde::{Serialize, Serializer};

use crate::stats::{Quantiles, Spread, ratios, spread};

/// Above this the bare cache line itself is slow: the cores are shared, or far apart.
pub const FLOOR_P50_LIMIT_NS: f64 = 80.0;
/// Above this many times the median, the floor's tail shows somebody else's work.
pub const FLOOR_P99_LIMIT: f64 = 3.0;

/// Which side of the bound is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sense {
    /// The ratio is to be at most the bound.
    AtMost,
    /// The ratio is to be at least the bound.
    AtLeast,
}

/// What is said about a goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The median ratio is on the good side of the bound.
    Pass,
    /// It is not.
    Missed,
    /// Nothing may be said, and why.
    None(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Pass => f.write_str("PASS"),
            Verdict::Missed => f.write_str("MISSED"),
            Verdict::None(why) => write!(f, "none ({why})"),
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A promise as it was made, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Goal {
    /// The promise in words, bound included.
    pub promise: String,
    /// Which side of the bound is good.
    pub sense: Sense,
    /// The bound.
    pub bound: f64,
    /// Unit of bound and spread: `x` for ratios, `MiB` for memory.
    pub unit: &'static str,
    /// Median and extremes of the per-pair ratios; none when it was not measured.
    pub seen: Option<Spread>,
    /// What is said.
    pub verdict: Verdict,
}

impl Goal {
    /// A goal about the ratio of `ours` to `theirs`, taken pair by pair.
    pub fn ratio(promise: &str, sense: Sense, bound: f64, ours: &[f64], theirs: &[f64]) -> Goal {
        Self::of(promise, sense, bound, "x", spread(&ratios(ours, theirs)))
    }

    /// A goal about an amount, such as memory.
    pub fn amount(promise: &str, sense: Sense, bound: f64, unit: &'static str, values: &[f64]) -> Goal {
        Self::of(promise, sense, bound, unit, spread(values))
    }

    /// A goal that could not be measured here.
    pub fn unmeasured(promise: &str, sense: Sense, bound: f64, why: &str) -> Goal {
        let mut goal = Self::of(promise, sense, bound, "x", None);
        goal.verdict = Verdict::None(why.into());
        goal
    }

    fn of(promise: &str, sense: Sense, bound: f64, unit: &'static str, seen: Option<Spread>) -> Goal {
        let verdict = match (seen, sense) {
            (None, _) => Verdict::None("nothing was measured".into()),
            (Some(seen), Sense::AtMost) if seen.median <= bound => Verdict::Pass,
            (Some(seen), Sense::AtLeast) if seen.median >= bound => Verdict::Pass,
            _ => Verdict::Missed,
        };
        Goal { promise: promise.into(), sense, bound, unit, seen, verdict }
    }

    /// Takes the verdict back: the numbers stay.
    pub fn withdraw(&mut self, why: &str) {
        if !matches!(self.verdict, Verdict::None(_)) {
            self.verdict = Verdict::None(why.into());
        }
    }
}

/// Whether the cache-line floor shows a disturbed machine, and how. Source: performance.md 7.
pub fn disturbance(floor: &Quantiles) -> Option<String> {
    let Quantiles { p50, p99, .. } = *floor;
    if p50 > FLOOR_P50_LIMIT_NS {
        return Some(format!("disturbed machine: cache-line floor p50 {p50:.0} ns > {FLOOR_P50_LIMIT_NS:.0} ns"));
    }
    (p99 > FLOOR_P99_LIMIT * p50).then(|| {
        format!("disturbed machine: cache-line floor p99 {p99:.0} ns > {FLOOR_P99_LIMIT:.0} x p50 {p50:.0} ns")
    })
}

/// Percent of the run that the measuring role may wait for its core.
pub const WAITED_LIMIT_PERCENT: f64 = 1.0;

/// Whether the measuring role had to share its core, although it has the highest priority.
pub fn crowding(waited_percent: f64) -> Option<String> {
    (waited_percent > WAITED_LIMIT_PERCENT).then(|| {
        format!(
            "disturbed machine: others ran on our core for {waited_percent:.1} % of the run > {WAITED_LIMIT_PERCENT:.0} %"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let table: &[(&str, Sense, f64, &[f64], &[f64], Verdict)] = &[
            ("at the bound", Sense::AtMost, 1.5, &[3.0], &[2.0], Verdict::Pass),
            ("above it", Sense::AtMost, 1.4, &[3.0], &[2.0], Verdict::Missed),
            ("at least, met", Sense::AtLeast, 2.0, &[4.0, 4.0, 1.0], &[2.0, 2.0, 2.0], Verdict::Pass),
            ("at least, missed", Sense::AtLeast, 2.0, &[3.0], &[2.0], Verdict::Missed),
            ("the median counts, not the best", Sense::AtMost, 1.0, &[0.1, 2.0, 2.0], &[1.0; 3], Verdict::Missed),
            ("no pair", Sense::AtMost, 1.0, &[1.0], &[], Verdict::None("nothing was measured".into())),
            ("zero partner", Sense::AtLeast, 1.0, &[1.0], &[0.0], Verdict::None("nothing was measured".into())),
        ];
        for (name, sense, bound, ours, theirs, want) in table {
            assert_eq!(&Goal::ratio("p", *sense, *bound, ours, theirs).verdict, want, "case: {name}");
        }
    }

    #[test]
    fn a_withdrawn_verdict_keeps_its_numbers() {
        let mut goal = Goal::ratio("p", Sense::AtMost, 1.0, &[1.0], &[2.0]);
        goal.withdraw("no right to raise the priority");
        assert_eq!(goal.verdict.to_string(), "none (no right to raise the priority)");
        assert_eq!(goal.seen.unwrap().median, 0.5);
        let mut unmeasured = Goal::unmeasured("p", Sense::AtMost, 1.0, "no engine");
        unmeasured.withdraw("disturbed");
        assert_eq!(unmeasured.verdict.to_string(), "none (no engine)", "the first reason is the one worth telling");
    }

    #[test]
    fn disturbed_machines() {
        let floor = |p50, p99| Quantiles { n: 1, p50, p99, p99_9: p99, p99_99: p99, max: p99 };
        let table: &[(&str, f64, f64, Option<&str>)] = &[
            ("quiet", 45.0, 70.0, None),
            ("at both limits", 80.0, 240.0, None),
            ("slow", 80.1, 90.0, Some("p50 80 ns > 80 ns")),
            ("tail", 50.0, 151.0, Some("p99 151 ns > 3 x p50 50 ns")),
        ];
        for (name, p50, p99, want) in table {
            let got = disturbance(&floor(*p50, *p99));
            match (got, want) {
                (None, None) => {}
                (Some(got), Some(want)) => assert!(got.contains(want), "case {name}: {got}"),
                (got, want) => panic!("case {name}: {got:?} and not {want:?}"),
            }
        }
    }

    #[test]
    fn crowded_cores() {
        assert_eq!(crowding(WAITED_LIMIT_PERCENT), None);
        assert!(crowding(12.34).is_some_and(|why| why.contains("12.3 % of the run > 1 %")));
    }

    #[test]
    fn json_shape() {
        let goal = Goal::ratio("p", Sense::AtMost, 1.0, &[1.0], &[2.0]);
        let json = serde_json::to_value(&goal).unwrap();
        assert_eq!(json["sense"], "at_most");
        assert_eq!(json["verdict"], "PASS");
        assert_eq!(json["seen"]["median"], 0.5);
        assert_eq!(json["seen"]["n"], 1);
    }
}
