//! The result: as text for a person, as JSON for a program. Both hold the same.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::machine::MachineRecord;
use crate::stats::{Latency, Quantiles, Spread, spread};
use crate::verdict::{Goal, Sense, Verdict};

/// Version of the JSON's shape: raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// What a measured thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What the hardware or the kernel gives at best.
    Floor,
    /// Ours.
    Ours,
    /// A published crate that does the same work.
    Peer,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Floor => "floor",
            Kind::Ours => "ours",
            Kind::Peer => "peer",
        }
    }
}

/// A latency over all pairs.
#[derive(Debug, Clone, Serialize)]
pub struct LatencyRow {
    /// What kind of thing.
    pub kind: Kind,
    /// Which.
    pub name: String,
    /// Quantiles of all samples of all pairs, ns.
    pub ns: Quantiles,
    /// Median of each pair, ns: what ratios are made of.
    pub p50_by_pair: Vec<f64>,
}

/// A latency while it is being measured.
#[derive(Debug)]
pub struct LatencySeries {
    kind: Kind,
    name: String,
    merged: Option<Latency>,
    p50_by_pair: Vec<f64>,
}

impl LatencySeries {
    /// An empty one.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), merged: None, p50_by_pair: Vec::new() }
    }

    /// Adds one pair's run.
    pub fn push(&mut self, latency: &Latency) {
        self.p50_by_pair.push(latency.quantiles().p50);
        match &mut self.merged {
            Some(merged) => merged.merge(latency),
            merged => *merged = Some(latency.clone()),
        }
    }

    /// Median of each pair, ns.
    pub fn p50s(&self) -> &[f64] {
        &self.p50_by_pair
    }

    /// The row of the report; `None` when nothing was measured.
    pub fn row(&self) -> Option<LatencyRow> {
        let ns = self.merged.as_ref()?.quantiles();
        Some(LatencyRow { kind: self.kind, name: self.name.clone(), ns, p50_by_pair: self.p50_by_pair.clone() })
    }
}

/// A cost, rate or size, one value per pair.
#[derive(Debug, Clone, Serialize)]
pub struct AmountRow {
    /// What kind of thing.
    pub kind: Kind,
    /// Which.
    pub name: String,
    /// Unit of every value.
    pub unit: &'static str,
    /// Median and extremes.
    pub spread: Option<Spread>,
    /// The values.
    pub by_pair: Vec<f64>,
}

impl AmountRow {
    /// A row of the values.
    pub fn new(kind: Kind, name: impl Into<String>, unit: &'static str, by_pair: &[f64]) -> Self {
        Self { kind, name: name.into(), unit, spread: spread(by_pair), by_pair: by_pair.to_vec() }
    }
}

/// One subcommand's results.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    /// The subcommand.
    pub name: &'static str,
    /// What was done, in a line.
    pub title: String,
    /// Latencies.
    pub latencies: Vec<LatencyRow>,
    /// Costs, rates and sizes.
    pub amounts: Vec<AmountRow>,
    /// What must be known to read the numbers.
    pub notes: Vec<String>,
    /// The promises.
    pub goals: Vec<Goal>,
}

impl Section {
    /// An empty section.
    pub fn new(name: &'static str, title: String) -> Self {
        Self { name, title, latencies: Vec::new(), amounts: Vec::new(), notes: Vec::new(), goals: Vec::new() }
    }
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Arguments as given.
    pub arguments: Vec<String>,
    /// The machine.
    pub machine: MachineRecord,
    /// What was measured.
    pub sections: Vec<Section>,
}

impl Report {
    /// Puts the parts together, and takes all verdicts back when the machine allows none.
    pub fn new(arguments: Vec<String>, machine: MachineRecord, mut sections: Vec<Section>) -> Self {
        if let Some(why) = machine.no_verdict.first() {
            sections.iter_mut().flat_map(|section| &mut section.goals).for_each(|goal| goal.withdraw(why));
        }
        Self { schema: SCHEMA, arguments, machine, sections }
    }

    /// All goals.
    pub fn goals(&self) -> impl Iterator<Item = &Goal> {
        self.sections.iter().flat_map(|section| &section.goals)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_machine(f, &self.machine)?;
        self.sections.iter().try_for_each(|section| write_section(f, section))
    }
}

fn write_machine(f: &mut Formatter<'_>, machine: &MachineRecord) -> fmt::Result {
    let host = &machine.host;
    let kind = if host.virtual_machine { ", virtual machine" } else { "" };
    let memlock = host.memlock_bytes.map_or("no limit".into(), |bytes| format!("{} KiB", bytes / 1024));
    writeln!(
        f,
        "host      {}{kind}; cores {:?}; {} MiB; Linux {}",
        host.cpu, host.cores, host.memory_mib, host.kernel
    )?;
    writeln!(
        f,
        "          governor {}; huge pages {}; memlock {memlock}; load {}; commit {}",
        host.governor, host.huge_pages, host.load, host.commit
    )?;
    let pinned = if machine.pinned { "pinned" } else { "NOT pinned" };
    let (own, partner) = (machine.cores.own, machine.cores.partner);
    writeln!(f, "roles     {pinned} to cores {partner} and {own}, nice {}", machine.priority)?;
    write_floor(f, "at start", &machine.floor_at_start)?;
    if let Some(floor) = &machine.floor_at_end {
        write_floor(f, "at end", floor)?;
    }
    if let Some(steal) = machine.steal_percent {
        writeln!(f, "steal     {steal:.2} % of the host's time during the run")?;
    }
    if let Some(waited) = machine.waited_percent {
        writeln!(f, "waited    {waited:.2} % of the run, while others ran on our core")?;
    }
    match machine.no_verdict.as_slice() {
        [] => writeln!(f, "verdicts  may be given"),
        reasons => reasons.iter().try_for_each(|why| writeln!(f, "verdicts  NONE: {why}")),
    }
}

fn write_floor(f: &mut Formatter<'_>, when: &str, floor: &Quantiles) -> fmt::Result {
    let Quantiles { p50, p99, p99_9, .. } = floor;
    writeln!(f, "floor     cache line {when:8} p50 {p50:.1} ns, p99 {p99:.1} ns, p99.9 {p99_9:.1} ns")
}

fn write_section(f: &mut Formatter<'_>, section: &Section) -> fmt::Result {
    writeln!(f, "\n== {}: {}", section.name, section.title)?;
    if !section.latencies.is_empty() {
        writeln!(
            f,
            "{:5} {:46} {:>10} {:>8} {:>8} {:>8} {:>9} {:>10}   p50 by pair",
            "", "ns", "n", "p50", "p99", "p99.9", "p99.99", "max"
        )?;
        section.latencies.iter().try_for_each(|row| write_latency(f, row))?;
    }
    section.amounts.iter().try_for_each(|row| write_amount(f, row))?;
    section.notes.iter().try_for_each(|note| writeln!(f, "note  {note}"))?;
    section.goals.iter().try_for_each(|goal| write_goal(f, goal))
}

fn write_latency(f: &mut Formatter<'_>, row: &LatencyRow) -> fmt::Result {
    let Quantiles { n, p50, p99, p99_9, p99_99, max } = row.ns;
    write!(
        f,
        "{:5} {:46} {n:>10} {p50:>8.1} {p99:>8.1} {p99_9:>8.1} {p99_99:>9.1} {max:>10.0}",
        row.kind.name(),
        row.name
    )?;
    match spread(&row.p50_by_pair) {
        Some(Spread { median, min, max, .. }) => writeln!(f, "   {median:.1} ({min:.1}-{max:.1})"),
        None => writeln!(f),
    }
}

fn write_amount(f: &mut Formatter<'_>, row: &AmountRow) -> fmt::Result {
    write!(f, "{:5} {:66} ", row.kind.name(), row.name)?;
    match row.spread {
        Some(Spread { median, min, max, .. }) => writeln!(f, "{median:>9.2} {} ({min:.2}-{max:.2})", row.unit),
        None => writeln!(f, "        - {}", row.unit),
    }
}

fn write_goal(f: &mut Formatter<'_>, goal: &Goal) -> fmt::Result {
    let verdict = match &goal.verdict {
        Verdict::None(_) => "none",
        Verdict::Pass => "PASS",
        Verdict::Missed => "MISSED",
    };
    write!(f, "goal  {verdict:6} {}: ", goal.promise)?;
    match goal.seen {
        Some(Spread { median, min, max, n }) => {
            let unit = goal.unit;
            write!(f, "{median:.3} {unit} ({min:.3}-{max:.3}, {n} pairs), ")?;
        }
        None => write!(f, "not measured, ")?,
    }
    let sign = if goal.sense == Sense::AtMost { "<=" } else { ">=" };
    write!(f, "bound {sign} {:.2} {}", goal.bound, goal.unit)?;
    match &goal.verdict {
        Verdict::None(why) => writeln!(f, "; verdict: none ({why})"),
        _ => writeln!(f),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostFacts;
    use crate::machine::Cores;

    fn machine(no_verdict: &[&str]) -> MachineRecord {
        let quiet = Quantiles { n: 1, p50: 45.0, p99: 60.0, p99_9: 70.0, p99_99: 80.0, max: 90.0 };
        MachineRecord {
            host: HostFacts::read(),
            cores: Cores { own: 1, partner: 0 },
            started_unix_s: 1,
            priority: -20,
            pinned: true,
            floor_at_start: quiet,
            floor_at_end: Some(quiet),
            steal_percent: Some(0.5),
            waited_percent: Some(0.25),
            no_verdict: no_verdict.iter().map(|why| (*why).into()).collect(),
        }
    }

    fn section() -> Section {
        let mut section = Section::new("ring", "a title".into());
        let mut series = LatencySeries::new(Kind::Ours, "a ring");
        for ticks in [100, 200, 300] {
            let mut latency = Latency::new(0.5);
            latency.record(ticks);
            series.push(&latency);
        }
        section.latencies.extend(series.row());
        section.amounts.push(AmountRow::new(Kind::Peer, "a crate", "ns/msg", &[2.0, 4.0]));
        section.notes.push("a note".into());
        section.goals.push(Goal::ratio("p50 <= 1.10x", Sense::AtMost, 1.1, &[1.0, 1.2], &[1.0, 1.0]));
        section
    }

    #[test]
    fn text_says_everything() {
        let text = Report::new(vec![], machine(&[]), vec![section()]).to_string();
        for part in [
            "nice -20",
            "cache line at start p50 45.0 ns",
            "waited    0.25 %",
            "verdicts  may be given",
            "== ring: a title",
            "100.0 (50.0-150.0)",
            "3.00 ns/msg (2.00-4.00)",
            "note  a note",
            "goal  PASS   p50 <= 1.10x: 1.100 x (1.000-1.200, 2 pairs), bound <= 1.10 x",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }

    #[test]
    fn a_disturbed_machine_gives_numbers_and_no_verdict() {
        let report = Report::new(vec![], machine(&["disturbed machine: floor p50 90 ns > 80 ns"]), vec![section()]);
        let text = report.to_string();
        assert!(text.contains("goal  none   p50 <= 1.10x: 1.100 x"), "{text}");
        assert!(text.contains("verdict: none (disturbed machine: floor p50 90 ns > 80 ns)"), "{text}");
        assert!(!text.contains("PASS") && report.goals().all(|goal| matches!(goal.verdict, Verdict::None(_))));
    }

    #[test]
    fn json_shape() {
        let report = Report::new(vec!["ring".into()], machine(&[]), vec![section()]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["machine"]["floor_at_start"]["p50"], 45.0);
        assert_eq!(json["machine"]["cores"]["own"], 1);
        let ring = &json["sections"][0];
        assert_eq!(ring["latencies"][0]["kind"], "ours");
        assert_eq!(ring["latencies"][0]["ns"]["n"], 3);
        assert_eq!(ring["latencies"][0]["p50_by_pair"], serde_json::json!([50.0, 100.0, 150.0]));
        assert_eq!(ring["amounts"][0]["spread"]["median"], 3.0);
        assert_eq!(ring["goals"][0]["verdict"], "PASS");
    }

    #[test]
    fn an_empty_series_has_no_row() {
        assert!(LatencySeries::new(Kind::Peer, "x").row().is_none());
    }
}
