//! All runs together: rows, and the goals.

use super::gateway::Wait;
use super::peers::Peer;
use super::run::Outcome;
use super::scenario::{Name, Scenario, Server};
use crate::report::{AmountRow, Kind, LatencySeries, Section};
use crate::stats::Latency;
use crate::verdict::{Goal, Sense, Verdict};

const ADAPTIVE: Server = Server::Ours(Wait::Adaptive);
const SPINNING: Server = Server::Ours(Wait::Spin);
const TUNGSTENITE: Server = Server::Peer(Peer::Tungstenite);

/// One server in one scenario, one value per pair.
#[derive(Debug)]
struct Cell {
    scenario: Name,
    server: Server,
    /// Whether there was a subscriber that does not keep up.
    laggard: bool,
    name: String,
    age: LatencySeries,
    slow_age: LatencySeries,
    p99_ms: Vec<f64>,
    cpu_us: Vec<f64>,
    cpu_percent: Vec<f64>,
    per_second: Vec<f64>,
    fairness: Vec<f64>,
    merged: Vec<f64>,
    lost: Vec<f64>,
    without_last: Vec<f64>,
    notices: Vec<f64>,
    memory_kib: Vec<f64>,
    growth_kib: Vec<f64>,
    queued_bytes: Vec<f64>,
}

fn kind(server: Server) -> Kind {
    match server {
        Server::Ours(_) => Kind::Ours,
        Server::Floor => Kind::Floor,
        Server::Peer(_) => Kind::Peer,
    }
}

impl Cell {
    fn new(scenario: &Scenario, server: Server, laggard: bool) -> Cell {
        let with = match (laggard, scenario.name) {
            (true, Name::Stopped) => ", 1 stopped",
            (true, _) => ", 1 slow",
            _ => "",
        };
        let name = format!("{}: {}{with}", scenario.label(), server.label());
        Cell {
            scenario: scenario.name,
            server,
            laggard,
            age: LatencySeries::new(kind(server), name.clone()),
            slow_age: LatencySeries::new(kind(server), format!("{name}: the slow one")),
            name,
            p99_ms: vec![],
            cpu_us: vec![],
            cpu_percent: vec![],
            per_second: vec![],
            fairness: vec![],
            merged: vec![],
            lost: vec![],
            without_last: vec![],
            notices: vec![],
            memory_kib: vec![],
            growth_kib: vec![],
            queued_bytes: vec![],
        }
    }

    fn push(&mut self, outcome: &Outcome) {
        let counts = &outcome.counts;
        self.age.push(&outcome.age);
        if outcome.slow_age.quantiles().n > 0 {
            self.slow_age.push(&outcome.slow_age);
        }
        self.p99_ms.push(outcome.age.quantiles().p99 / 1e6);
        self.cpu_us.push(outcome.cpu_us);
        self.cpu_percent.push(outcome.cpu_percent);
        self.per_second.push(outcome.per_second);
        self.fairness.push(counts.extremes.0 as f64 / counts.extremes.1.max(1) as f64);
        let events = (counts.updates + counts.merged + counts.lost).max(1) as f64;
        self.merged.push(100.0 * counts.merged as f64 / events);
        self.lost.push(100.0 * counts.lost as f64 / events);
        self.without_last.push(counts.without_last as f64);
        self.notices.push(counts.notices as f64);
        self.memory_kib.extend(outcome.memory_kib);
        self.growth_kib.push(outcome.growth_kib);
        self.queued_bytes.extend(outcome.queued_bytes);
    }

    fn amounts(&self) -> Vec<AmountRow> {
        let row = |what: &str, unit, values: &[f64]| {
            AmountRow::new(kind(self.server), format!("{}: {what}", self.name), unit, values)
        };
        let cpu = if self.server == Server::Floor { "time in sends" } else { "processor time" };
        let mut rows = vec![
            row(&format!("{cpu} per update"), "us", &self.cpu_us),
            row("updates received", "/s", &self.per_second),
            row("p99", "ms", &self.p99_ms),
        ];
        let any = |values: &[f64]| values.iter().any(|value| *value != 0.0);
        let is_idle = self.scenario == Name::Idle;
        let fair = self.fairness.iter().all(|fairness| *fairness == 1.0);
        for (shown, what, unit, values) in [
            (is_idle && self.server != Server::Floor, "of a core", "%", &self.cpu_percent),
            (!fair, "fewest / most updates of a subscriber", "x", &self.fairness),
            (any(&self.merged), "events merged into others", "%", &self.merged),
            (any(&self.lost), "events never told of", "%", &self.lost),
            (any(&self.without_last), "subscriptions without the last value", "", &self.without_last),
            (any(&self.notices), "gaps and other notices", "", &self.notices),
            (self.scenario == Name::Many, "private memory per idle subscriber", "KiB", &self.memory_kib),
            (self.scenario == Name::Stopped, "growth of private memory", "KiB", &self.growth_kib),
            (self.scenario == Name::Stopped, "queued, by its metrics", "B", &self.queued_bytes),
        ] {
            if shown {
                rows.push(row(what, unit, values));
            }
        }
        rows
    }
}

/// What was measured so far.
#[derive(Debug)]
pub struct Summary {
    cells: Vec<Cell>,
    busy_trip: LatencySeries,
    rare_trip: LatencySeries,
    wake_up: LatencySeries,
    /// Round trip and wake-up of each pair, us.
    idle_floor_us: Vec<f64>,
    lateness: LatencySeries,
}

impl Default for Summary {
    fn default() -> Self {
        Summary {
            cells: vec![],
            busy_trip: LatencySeries::new(Kind::Floor, "loopback TCP, RTT/2, one after the other"),
            rare_trip: LatencySeries::new(Kind::Floor, "loopback TCP, RTT/2, each after 4 ms of silence"),
            wake_up: LatencySeries::new(Kind::Floor, "futex wake-up of a sleeping core"),
            idle_floor_us: vec![],
            lateness: LatencySeries::new(Kind::Floor, "source: published after it was due"),
        }
    }
}

impl Summary {
    /// One run of one server.
    pub fn push(&mut self, scenario: &Scenario, server: Server, laggard: bool, outcome: Outcome) {
        let same = |cell: &&mut Cell| (cell.scenario, cell.server, cell.laggard) == (scenario.name, server, laggard);
        self.lateness.push(&outcome.lateness);
        if let Some(cell) = self.cells.iter_mut().find(same) {
            return cell.push(&outcome);
        }
        let mut cell = Cell::new(scenario, server, laggard);
        cell.push(&outcome);
        self.cells.push(cell);
    }

    /// The floor of the idle scenario: half a round trip over loopback, one after the other and rarely, and a wake-up.
    /// The promise is held against the rare ones: its events are as rare.
    pub fn push_floor(&mut self, busy_half_trip: &Latency, rare_half_trip: &Latency, wake_up: &Latency) {
        self.idle_floor_us.push((2.0 * rare_half_trip.quantiles().p50 + wake_up.quantiles().p50) / 1e3);
        self.busy_trip.push(busy_half_trip);
        self.rare_trip.push(rare_half_trip);
        self.wake_up.push(wake_up);
    }

    fn cell(&self, scenario: Name, server: Server, laggard: bool) -> Option<&Cell> {
        self.cells.iter().find(|cell| (cell.scenario, cell.server, cell.laggard) == (scenario, server, laggard))
    }

    /// The report. `why` there is nothing to be said of the goals, if so.
    pub fn section(&self, title: String, scenarios: &[Scenario], why: Option<&str>) -> Section {
        let mut section = Section::new("fanout", title);
        section.latencies.extend(self.busy_trip.row());
        section.latencies.extend(self.rare_trip.row());
        section.latencies.extend(self.wake_up.row());
        section.latencies.extend(self.lateness.row());
        for cell in &self.cells {
            section.latencies.extend(cell.age.row());
            section.latencies.extend(cell.slow_age.row());
        }
        section.amounts.extend(self.cells.iter().flat_map(Cell::amounts));
        section.amounts.extend(self.floor_share());
        for note in [
            "latencies: from the ring's publish stamp to the end of the subscriber's read",
            "peers look at the ring once in a millisecond, tokio's finest timer: cheap, and up to 1 ms of their latency",
            "peer axum: its routing and upgrade, with tokio-tungstenite behind, as its own extractor has it",
            "bare send loop: it spins, so the time in its sends stands in place of processor time",
        ] {
            section.notes.push(note.into());
        }
        section.goals.extend(scenarios.iter().flat_map(|scenario| self.goals(scenario.name)));
        section.goals.push(self.last_value_goal());
        if let Some(why) = why {
            section.goals.iter_mut().for_each(|goal| goal.verdict = Verdict::None(why.into()));
        }
        section
    }

    fn goals(&self, scenario: Name) -> Vec<Goal> {
        match scenario {
            Name::Many => vec![self.cpu_goal()],
            Name::Few => vec![self.tail_goal(ADAPTIVE), self.tail_goal(SPINNING)],
            Name::Idle => vec![self.idle_goal()],
            Name::Stopped => self.stopped_goals(),
            _ => vec![],
        }
    }

    /// What the sends alone take of the peer's time: no server of this kind can get below.
    fn floor_share(&self) -> Option<AmountRow> {
        let floor = &self.cell(Name::Many, Server::Floor, false)?.cpu_us;
        let theirs = &self.cell(Name::Many, TUNGSTENITE, false)?.cpu_us;
        let shares: Vec<f64> = floor.iter().zip(theirs).map(|(floor, theirs)| floor / theirs).collect();
        Some(AmountRow::new(
            Kind::Floor,
            "1000x100: bare send loop's time in sends / tokio-tungstenite's time",
            "x",
            &shares,
        ))
    }

    fn cpu_goal(&self) -> Goal {
        let promise = "1000 x 100/s: processor time per update <= 0.90x tokio-tungstenite's";
        let cpu = |server| self.cell(Name::Many, server, false).map(|cell| cell.cpu_us.as_slice());
        match (cpu(ADAPTIVE), cpu(TUNGSTENITE)) {
            (Some(ours), Some(theirs)) => Goal::ratio(promise, Sense::AtMost, 0.9, ours, theirs),
            (None, _) => Goal::unmeasured(promise, Sense::AtMost, 0.9, "no gateway"),
            (_, None) => Goal::unmeasured(promise, Sense::AtMost, 0.9, "tokio-tungstenite was not measured"),
        }
    }

    fn tail_goal(&self, server: Server) -> Goal {
        let promise = format!("100 x 1000/s: p99 < 1 ms, {}", server.label());
        match self.cell(Name::Few, server, false) {
            Some(cell) => Goal::amount(&promise, Sense::AtMost, 1.0, "ms", &cell.p99_ms),
            None => Goal::unmeasured(&promise, Sense::AtMost, 1.0, "no gateway"),
        }
    }

    fn idle_goal(&self) -> Goal {
        let promise = "idle: event to client p50 <= 2x (loopback round trip + wake-up, both as rare)";
        match self.cell(Name::Idle, ADAPTIVE, false) {
            Some(cell) => {
                let ours: Vec<f64> = cell.age.p50s().iter().map(|ns| ns / 1e3).collect();
                Goal::ratio(promise, Sense::AtMost, 2.0, &ours, &self.idle_floor_us)
            }
            None => Goal::unmeasured(promise, Sense::AtMost, 2.0, "no gateway"),
        }
    }

    fn stopped_goals(&self) -> Vec<Goal> {
        let others = "1 of 1001 stopped: the others' p99 <= 1.10x that without it";
        let memory = "a stopped reader takes less than 1 MiB of the gateway";
        let cells = |laggard| self.cell(Name::Stopped, ADAPTIVE, laggard);
        let (Some(with), Some(without)) = (cells(true), cells(false)) else {
            return vec![
                Goal::unmeasured(others, Sense::AtMost, 1.1, "no gateway"),
                Goal::unmeasured(memory, Sense::AtMost, 1.0, "no gateway"),
            ];
        };
        let memory = if with.queued_bytes.len() == with.growth_kib.len() {
            Goal::amount(memory, Sense::AtMost, 1.0, "MiB", &stopped_mib(with, without))
        } else {
            Goal::unmeasured(memory, Sense::AtMost, 1.0, "the gateway does not say what it has queued")
        };
        vec![Goal::ratio(others, Sense::AtMost, 1.1, &with.p99_ms, &without.p99_ms), memory]
    }

    /// Over every run of the gateway, whatever the scenario.
    fn last_value_goal(&self) -> Goal {
        let ours = self.cells.iter().filter(|cell| kind(cell.server) == Kind::Ours);
        let worst: Vec<f64> = ours.flat_map(|cell| cell.without_last.iter().copied()).collect();
        let promise = "subscriptions that miss the last value, worst of all runs of the gateway";
        let worst = worst.into_iter().reduce(f64::max);
        Goal::amount(promise, Sense::AtMost, 0.0, "subscriptions", worst.as_slice())
    }
}

/// The larger of what the gateway says is queued, and of what its memory grew more than without the stopped reader.
fn stopped_mib(with: &Cell, without: &Cell) -> Vec<f64> {
    let grown = with.growth_kib.iter().zip(&without.growth_kib).map(|(with, without)| (with - without) / 1024.0);
    with.queued_bytes.iter().zip(grown).map(|(queued, grown)| (queued / f64::from(1 << 20)).max(grown)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::load::Counts;

    fn outcome(p50_us: u64, cpu_us: f64, without_last: u64) -> Outcome {
        let mut age = Latency::new(1.0);
        age.record(p50_us * 1000);
        let counts = Counts { updates: 10, merged: 0, lost: 0, extremes: (10, 10), without_last, notices: 0 };
        Outcome {
            age: age.clone(),
            slow_age: Latency::new(1.0),
            counts,
            per_second: 5.0,
            cpu_us,
            cpu_percent: 1.0,
            memory_kib: Some(0.5),
            growth_kib: 100.0,
            queued_bytes: Some(0.0),
            lateness: age,
        }
    }

    fn verdicts(summary: &Summary, names: &[Name], why: Option<&str>) -> Vec<Verdict> {
        let scenarios: Vec<Scenario> = names.iter().map(|name| Scenario::of(*name, u32::MAX)).collect();
        summary.section("a title".into(), &scenarios, why).goals.into_iter().map(|goal| goal.verdict).collect()
    }

    #[test]
    fn each_goal_is_judged_by_its_own_runs() {
        let many = Scenario::of(Name::Many, u32::MAX);
        let mut summary = Summary::default();
        summary.push(&many, ADAPTIVE, false, outcome(100, 4.0, 0));
        summary.push(&many, TUNGSTENITE, false, outcome(100, 5.0, 9));
        assert_eq!(verdicts(&summary, &[Name::Many], None), [Verdict::Pass, Verdict::Pass], "0.8x, nobody of ours");
        summary.push(&many, ADAPTIVE, false, outcome(100, 9.0, 1));
        summary.push(&many, TUNGSTENITE, false, outcome(100, 5.0, 0));
        assert_eq!(verdicts(&summary, &[Name::Many], None), [Verdict::Missed, Verdict::Missed], "1.3x, one");
        let why = verdicts(&summary, &[Name::Many], Some("small"));
        assert_eq!(why, [Verdict::None("small".into()), Verdict::None("small".into())]);
    }

    #[test]
    fn the_sends_alone_are_shown_as_a_share_of_the_peer_s_time() {
        let many = Scenario::of(Name::Many, u32::MAX);
        let mut summary = Summary::default();
        summary.push(&many, TUNGSTENITE, false, outcome(100, 5.0, 0));
        assert!(summary.floor_share().is_none(), "no floor");
        summary.push(&many, Server::Floor, false, outcome(100, 4.0, 0));
        let row = format!("{:?}", summary.floor_share().unwrap());
        assert!(row.contains("0.8"), "{row}");
    }

    #[test]
    fn a_stopped_reader_is_held_against_the_same_without_it() {
        let stopped = Scenario::of(Name::Stopped, u32::MAX);
        let mut summary = Summary::default();
        summary.push(&stopped, ADAPTIVE, false, outcome(1000, 4.0, 0));
        summary.push(&stopped, ADAPTIVE, true, Outcome { growth_kib: 1000.0, ..outcome(1050, 4.0, 0) });
        assert_eq!(verdicts(&summary, &[Name::Stopped], None), [Verdict::Pass, Verdict::Pass, Verdict::Pass]);
        summary.push(&stopped, ADAPTIVE, false, outcome(1000, 4.0, 0));
        summary.push(&stopped, ADAPTIVE, true, Outcome { queued_bytes: Some(4e6), ..outcome(1500, 4.0, 0) });
        assert_eq!(verdicts(&summary, &[Name::Stopped], None), [Verdict::Missed, Verdict::Missed, Verdict::Pass]);
    }

    #[test]
    fn idle_is_held_against_round_trip_and_wake_up() {
        let idle = Scenario::of(Name::Idle, u32::MAX);
        let mut summary = Summary::default();
        let ns = |ns| {
            let mut latency = Latency::new(1.0);
            latency.record(ns);
            latency
        };
        summary.push_floor(&ns(1), &ns(10_000), &ns(30_000));
        summary.push(&idle, ADAPTIVE, false, outcome(99, 4.0, 0));
        assert_eq!(verdicts(&summary, &[Name::Idle], None)[0], Verdict::Pass, "99 <= 2 x (20 + 30)");
        let missing = verdicts(&Summary::default(), &[Name::Idle, Name::Few], None);
        assert!(missing.iter().all(|verdict| matches!(verdict, Verdict::None(_))), "{missing:?}");
    }
}
