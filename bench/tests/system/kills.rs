//! Engines killed and lines cut, again and again, under one strategy that follows both rings through all of it: nothing
//! is lost without a word, nothing comes twice, nothing is torn.
//!
//! A short form runs with the other tests. The long one is a command of its own, whose figures go to a file:
//! `TICKLANE_KILLS=50 TICKLANE_CUTS=200 TICKLANE_DAYS=10 TICKLANE_DAY_MESSAGES=1005000 TICKLANE_KILLS_OUT=FILE cargo test
//! -p ticklane-bench --test system engines_are_killed_and_lines_cut`; `make proof` does so.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::ring::Rejoin;
use shm_abi::segment::Segment;
use ticklane_client::{Event, Lane, Options, Reader, Start};

use crate::bus::Seen;
use crate::cutter::{Line, Scissors};
use crate::harness::{
    Dir, EngineOptions, LIMIT, Process, Venue, feed_counter, lane_counter, program, random, wait_until, write_config,
};
use crate::misfortunes::{messages_of, synthetic_day};

mod report;

use report::{Figures, Wrong};

/// How much of it.
struct Plan {
    kills: u64,
    cuts: u64,
    days: u64,
    day_messages: u64,
    seed: u64,
}

impl Plan {
    fn of_environment() -> Plan {
        let number = |name: &str, short: u64| std::env::var(name).map_or(short, |text| text.parse().expect(name));
        Plan {
            kills: number("TICKLANE_KILLS", 3),
            cuts: number("TICKLANE_CUTS", 6),
            days: number("TICKLANE_DAYS", 1),
            day_messages: number("TICKLANE_DAY_MESSAGES", 300_000),
            seed: number("TICKLANE_SEED", 0x5eed_0050_0200),
        }
    }
}

/// An engine with rings of the default size.
struct Running {
    process: Process,
    segment: Segment,
}

impl Running {
    fn start(dir: &Dir, ports: &[u16], slots: &str) -> Running {
        // Every session counts as one that has proved its line: at this pace none lives for the default's ten seconds.
        let options = EngineOptions { ports: ports.to_vec(), feed: "stable_after_ms = 1", ..EngineOptions::to(0) };
        let config = write_config(dir, &options);
        let text = std::fs::read_to_string(&config).unwrap().replace("131072", slots);
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program("ticklane-engine"));
        command.arg("--config").arg(config).stdout(Stdio::null());
        let process = Process::start("ticklane-engine", command, dir.path("engine.log"));
        let mut segment = None;
        wait_until("the engine's segment", || {
            let is_its = |segment: &Segment| segment.writer_pid() == u64::from(process.id());
            segment = Segment::open(&dir.run(), "lane0").ok().filter(is_its);
            segment.is_some()
        });
        Running { process, segment: segment.unwrap() }
    }

    fn next_sequence(&self) -> u64 {
        feed_counter(&self.segment, FeedCounter::NextSequence)
    }
    fn published(&self) -> u64 {
        lane_counter(&self.segment, LaneCounter::Published)
    }
}

fn hash(seen: &Seen) -> u64 {
    let mut hasher = DefaultHasher::new();
    seen.hash(&mut hasher);
    hasher.finish()
}

/// What one ring shows of the day when nothing goes wrong, by hash, and where each stands.
struct Wanted {
    records: Vec<u64>,
    places: HashMap<u64, usize>,
}

impl Wanted {
    fn new(records: Vec<u64>) -> Wanted {
        let places = records.iter().enumerate().map(|(place, hash)| (*hash, place)).collect();
        Wanted { records, places }
    }
}

/// The strategy, on one ring.
struct Strategy<'w> {
    reader: Reader,
    wanted: &'w Wanted,
    /// Place of the record that comes next.
    next: usize,
    /// A loss was declared, so the next record may be any later one.
    forgiven: bool,
    declared: usize,
    wrong: Wrong,
    restarts: u64,
    silent: Option<Instant>,
    /// First record since the last restart.
    recovered: Option<Instant>,
}

/// Events between two looks at the clock.
const BATCH: usize = 2_048;

impl<'w> Strategy<'w> {
    fn new(reader: Reader, wanted: &'w Wanted) -> Strategy<'w> {
        let wrong = Wrong::default();
        Strategy {
            reader,
            wanted,
            next: 0,
            forgiven: false,
            declared: 0,
            wrong,
            restarts: 0,
            silent: None,
            recovered: None,
        }
    }

    /// Takes a batch of what is there; how many.
    fn catch_up(&mut self) -> usize {
        for count in 0..BATCH {
            let Some(event) = self.reader.try_next().unwrap() else { return count };
            match event {
                Event::Record(record) => {
                    let Some(seen) = Seen::of(&record) else { continue };
                    if self.recovered.is_none() {
                        self.recovered = Some(Instant::now());
                    }
                    Self::take(hash(&seen), self.wanted, &mut self.next, &mut self.forgiven, &mut self.wrong);
                }
                Event::Restarted(restarted) => {
                    assert_eq!(restarted.void(), None, "events are seen whole or not at all");
                    self.restarts += 1;
                    self.recovered = None;
                    if restarted.lost().is_some() {
                        (self.forgiven, self.declared) = (true, self.declared + 1);
                    }
                }
                Event::Lost(_) => (self.forgiven, self.declared) = (true, self.declared + 1),
                Event::WriterSilent => self.silent = Some(Instant::now()),
                Event::WriterBack => {}
                Event::Closed => panic!("nobody ended an engine in order"),
            }
        }
        BATCH
    }

    fn take(hash: u64, wanted: &Wanted, next: &mut usize, forgiven: &mut bool, wrong: &mut Wrong) {
        if wanted.records.get(*next) == Some(&hash) {
            (*next, *forgiven) = (*next + 1, false);
            return;
        }
        match wanted.places.get(&hash) {
            Some(place) if place > next => {
                wrong.undeclared += if *forgiven { 0 } else { place - *next };
                (*next, *forgiven) = (place + 1, false);
            }
            Some(_) => wrong.duplicates += 1,
            None => wrong.unknown += 1,
        }
    }
}

struct Day<'d> {
    dir: &'d Dir,
    ports: [u16; 2],
    scissors: &'d Scissors,
    engine: Option<Running>,
    orders: Strategy<'d>,
    market: Strategy<'d>,
    messages: u64,
    cuts_left: u64,
    /// Most bytes between two cuts: all of them fall within the day, whatever passes until the next one is prepared.
    cut_bytes: usize,
    /// A cut, and what was published when its line was back.
    sample: Option<(Instant, u64)>,
    /// An engine was killed since the last cut: the time to its healing says nothing.
    spoiled: bool,
    state: u64,
    figures: &'d mut Figures,
}

impl Day<'_> {
    fn engine(&self) -> &Running {
        self.engine.as_ref().expect("it is only away while it is replaced")
    }

    /// Reads on until the condition holds.
    fn follow(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let mut progress = Instant::now();
        while !condition(self) {
            self.watch_line();
            if self.orders.catch_up() + self.market.catch_up() > 0 {
                progress = Instant::now();
            } else {
                std::thread::sleep(Duration::from_micros(100));
            }
            assert!(progress.elapsed() < LIMIT, "nothing comes, waiting for: {what}; {}", self.state_of_things());
        }
    }

    /// For the message of a failure.
    fn state_of_things(&self) -> String {
        let Some(engine) = &self.engine else { return "no engine runs".into() };
        let (segment, feed) = (&engine.segment, engine.segment.feed(0).map(|(facts, _)| facts.state));
        format!(
            "next {} of {}, {} rebuilt, {} published, state {:?}, feed {feed:?}, alive {}, {:?}",
            engine.next_sequence(),
            self.messages,
            lane_counter(segment, LaneCounter::Rebuilt),
            engine.published(),
            segment.state(),
            segment.writer_alive(),
            self.scissors
        )
    }

    /// When the first record came that is new since the last restart, on either ring.
    fn recovered(&self) -> Option<Instant> {
        let times = [self.orders.recovered, self.market.recovered];
        times.into_iter().flatten().min()
    }

    fn restarts(&self) -> u64 {
        self.orders.restarts.min(self.market.restarts)
    }

    /// SIGKILL; then, at once or when the strategy has been told of the death, another engine.
    fn kill(&mut self, wait_for_the_news: bool) -> Instant {
        let engine = self.engine.take().expect("one runs");
        (self.orders.silent, self.market.silent) = (None, None);
        (self.sample, self.spoiled) = (None, true);
        let killed = Instant::now();
        engine.process.kill();
        if wait_for_the_news {
            self.follow("the news of the death", |day| day.orders.silent.is_some() && day.market.silent.is_some());
            let told = self.orders.silent.max(self.market.silent).expect("both were told");
            self.figures.death.0.push(told - killed);
        }
        let started = Instant::now();
        self.engine = Some(Running::start(self.dir, &self.ports, "1048576"));
        self.figures.kills += 1;
        started
    }

    fn kill_and_recover(&mut self, at: u64, may_repeat: bool) {
        let restarts = self.restarts();
        let mut started = self.kill(self.figures.kills.is_multiple_of(2));
        self.follow("the successor", |day| day.restarts() == restarts + 1);
        if may_repeat && random(&mut self.state).is_multiple_of(5) {
            // Once more, while it replays the day in silence.
            let some = random(&mut self.state) % at.max(2);
            self.follow("the middle of the replay", |day| day.engine().next_sequence() > some);
            started = self.kill(false);
            self.follow("the second successor", |day| day.restarts() == restarts + 2);
            self.figures.kills_in_rebuild += 1;
        }
        self.follow("a record that is new", |day| {
            day.recovered().is_some() || day.engine().next_sequence() > day.messages
        });
        // After the last message of the day there is nothing to come.
        let Some(recovered) = self.recovered() else { return };
        let quarter = (at * 4 / (self.messages + 1)) as usize;
        self.figures.recovery[quarter].0.push(recovered - started);
    }

    /// Takes note of a cut that has healed, and prepares the next.
    fn watch_line(&mut self) {
        let Some(engine) = &self.engine else { return };
        if let Some(made) = self.scissors.healed() {
            self.figures.cuts += 1;
            let published = engine.published();
            // While a day is replayed nothing is published, whatever the line does.
            let judged = !std::mem::take(&mut self.spoiled) && published > 0;
            self.sample = judged.then_some((made, published));
        }
        if let Some((made, published)) = self.sample
            && engine.published() > published
        {
            self.figures.failover.0.push(made.elapsed());
            self.sample = None;
        }
        if engine.next_sequence() > self.messages {
            // No data will tell.
            self.sample = None;
        }
        if self.cuts_left > 0 && !self.scissors.is_open() {
            self.cuts_left -= 1;
            self.scissors.cut_after(1 + random(&mut self.state) as usize % self.cut_bytes);
        }
    }
}

/// A day in the life of a strategy.
fn day(number: u64, plan: &Plan, file: &Path, wanted: &[Wanted; 2], figures: &mut Figures) {
    let share = |total: u64| total * (number + 1) / plan.days - total * number / plan.days;
    let (kills, cuts) = (share(plan.kills), share(plan.cuts));
    let dir = Dir::new();
    let session = format!("DAY{number}");
    let play = ["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold", "--session", &session];
    let venue = Venue::start(&dir, &play);
    let messages = messages_of(&file.to_path_buf());
    let scissors = Arc::new(Scissors::default());
    let lines = [(); 2].map(|()| Line::to(venue.port, scissors.clone()));
    let engine = Running::start(&dir, &[lines[0].port, lines[1].port], "1048576");
    let lane = Lane::wait_for(dir.run(), "lane0", LIMIT).unwrap();
    let oldest = Options { start: Start::Oldest, on_lap: Rejoin::Oldest, ..Options::default() };
    let (orders, market) = (lane.orders(oldest).unwrap(), lane.market(oldest).unwrap());
    let mut day = Day {
        dir: &dir,
        ports: [lines[0].port, lines[1].port],
        scissors: &scissors,
        engine: Some(engine),
        orders: Strategy::new(orders, &wanted[0]),
        market: Strategy::new(market, &wanted[1]),
        messages,
        cuts_left: cuts,
        cut_bytes: std::fs::metadata(file).unwrap().len() as usize / (2 * cuts as usize + 1),
        sample: None,
        spoiled: false,
        state: plan.seed + number + 1,
        figures,
    };
    // Not at the very end, so that something is left to come.
    let mut places: Vec<u64> = (0..kills).map(|_| random(&mut day.state) % (messages * 95 / 100)).collect();
    places.sort_unstable();
    let last = day.figures.kills + kills;
    for at in places {
        // Those of the replays count as well.
        if day.figures.kills < last {
            day.follow("the place of the next kill", |day| day.engine().next_sequence() > at);
            let may_repeat = day.figures.kills + 1 < last;
            day.kill_and_recover(at, may_repeat);
        }
    }
    day.follow("the end of the day", |day| {
        let lines = day.cuts_left == 0 && !day.scissors.is_open() && day.sample.is_none();
        lines && day.engine().next_sequence() > messages
    });
    while day.orders.catch_up() + day.market.catch_up() > 0 {}
    let counter = |counter| lane_counter(&day.engine().segment, counter);
    assert_eq!((counter(LaneCounter::Gaps), counter(LaneCounter::Rejected)), (0, 0), "day {number}");
    for strategy in [&mut day.orders, &mut day.market] {
        let missing = strategy.wanted.records.len() - strategy.next;
        day.figures.wrong.undeclared += strategy.wrong.undeclared + missing;
        day.figures.wrong.duplicates += strategy.wrong.duplicates;
        day.figures.wrong.unknown += strategy.wrong.unknown;
        day.figures.declared += strategy.declared;
        day.figures.records += strategy.next;
    }
    day.figures.messages += messages;
}

/// The day without a fault, of rings that hold all of it.
fn undisturbed(file: &Path) -> [Wanted; 2] {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"]);
    let engine = Running::start(&dir, &[venue.port], "8388608");
    let messages = messages_of(&file.to_path_buf());
    wait_until("the whole day", || engine.next_sequence() > messages);
    assert_eq!((engine.published(), lane_counter(&engine.segment, LaneCounter::Rejected)), (messages, 0));
    let recording = crate::bus::record(&engine.segment);
    [recording.orders, recording.market].map(|ring| Wanted::new(ring.iter().map(hash).collect()))
}

#[test]
fn engines_are_killed_and_lines_cut_and_a_strategy_sees_every_record_once() {
    let plan = Plan::of_environment();
    let began = Instant::now();
    let files = Dir::new();
    let file = synthetic_day(&files, plan.day_messages, 50);
    let wanted = undisturbed(&file);
    let mut figures = Figures::default();
    for number in 0..plan.days {
        day(number, &plan, &file, &wanted, &mut figures);
        eprintln!(
            "day {} of {}: {} kills, {} cuts, {:?}",
            number + 1,
            plan.days,
            figures.kills,
            figures.cuts,
            figures.wrong
        );
    }
    let report = figures.report(&plan, began.elapsed());
    println!("{report}");
    if let Some(path) = std::env::var_os("TICKLANE_KILLS_OUT") {
        std::fs::write(path, &report).unwrap();
    }
    assert_eq!(figures.wrong, Wrong::default(), "{report}");
    assert_eq!((figures.kills, figures.cuts), (plan.kills, plan.cuts), "{report}");
    assert!(figures.records as u64 > figures.messages, "{report}");
}
