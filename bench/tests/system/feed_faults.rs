//! What venues and lines do to a feed (reliability.md rows 1 to 25), played by the real venue's fault script and checked
//! at what a strategy sees. What is asked of the bus is always the same: the records of an undisturbed day, or a
//! declaration of what is missing, first to last.
//!
//! Rows whose faults need a sender that waits for the engine stand in `multicast`; rows of one line in `misfortunes`.

mod lines;
mod names;
mod repair;
mod tcp;
mod udp;

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use serde_json::Value;
use shm_abi::board::{Quality, RowImage};
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::record::{Head, Record, kind};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{RingName, Segment};

use crate::bus::{Recording, Seen};
use crate::harness::{Dir, Process, feed_counter, lane_counter, program, wait_until};

/// `ticklane-venue feeds` and its control port.
struct Feeds {
    process: Process,
    _stdout: BufReader<ChildStdout>,
    control: RefCell<BufReader<TcpStream>>,
    /// Feed, part and address of everything that the venue listens on.
    listening: Vec<(String, String, String)>,
}

impl Feeds {
    /// Sessions begin when [`Feeds::say`] says `start`: no datagram is lost for want of a listener.
    fn start(dir: &Dir, arguments: &[&str]) -> Feeds {
        let mut command = Command::new(program("ticklane-venue"));
        command.args(["feeds", "--control", "127.0.0.1:0", "--speed", "max", "--at-end", "hold", "--start", "command"]);
        command.args(arguments).stdout(Stdio::piped());
        let mut process = Process::start("ticklane-venue", command, dir.path("venue.log"));
        let mut stdout = BufReader::new(process.stdout());
        let (mut listening, mut control) = (Vec::new(), None);
        loop {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["listening", address, "control"] => control = Some(TcpStream::connect(address).unwrap()),
                ["listening", address, "feed", feed, _, part] => {
                    listening.push((feed.to_owned(), part.to_owned(), address.to_owned()));
                }
                ["sending", ..] => {}
                ["ready"] => break,
                _ => panic!("the venue says {line:?}:\n{}", process.log()),
            }
        }
        let control = RefCell::new(BufReader::new(control.unwrap()));
        Feeds { process, _stdout: stdout, control, listening }
    }

    fn address(&self, feed: &str, part: &str) -> &str {
        let found = self.listening.iter().find(|(name, what, _)| name == feed && what == part);
        &found.unwrap_or_else(|| panic!("{feed} has no {part}: {:?}", self.listening)).2
    }

    /// One line of the control protocol, and what the venue answers.
    fn say(&self, line: &str) -> String {
        let mut control = self.control.borrow_mut();
        control.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        control.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty() && !answer.starts_with("error"), "{line}: {answer:?}\n{}", self.process.log());
        answer
    }

    /// The counters of one feed now.
    fn report(&self, feed: &str) -> Value {
        let report: Value = serde_json::from_str(&self.say("report")).unwrap();
        let found = report["feeds"].as_array().unwrap().iter().find(|one| one["feed"] == feed);
        found.unwrap_or_else(|| panic!("{feed} is not in {report}")).clone()
    }
}

/// A number in a report.
fn number(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} is no number of {report}"))
}

/// An address of datagrams that is free now.
fn free_address() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// One feed in the config of an engine: its lane, which has its name, and the lines of its table.
type FeedTable<'t> = (&'t str, &'t str);

/// An engine with a lane for each feed. Slots for every record of a test's day: nothing is lapped.
struct Engine {
    process: Process,
    lanes: Vec<Segment>,
}

fn write_config(dir: &Dir, feeds: &[FeedTable<'_>]) -> std::path::PathBuf {
    let mut text = format!(
        "[engine]\ninstance = \"test\"\nruntime_dir = {:?}\nstate_dir = {:?}\nwait = \"adaptive\"\n\
         [feeds]\nallow = [\"127.0.0.0/8\"]\n",
        dir.run(),
        dir.path("state")
    );
    for (index, (name, table)) in feeds.iter().enumerate() {
        text += &format!(
            "[[lane]]\nname = \"{name}\"\norders_slots = 131072\nmarket_slots = 131072\ninstruments = 512\n\
             max_orders = 65536\nmax_levels = 65536\n\
             [[feed]]\nname = \"{name}-feed\"\nlane = \"{name}\"\nvenue = \"XN{index:02}\"\n\
             username = \"demo\"\npassword = \"s3cretpw\"\ntrading_date = \"2020-01-30\"\n{table}\n"
        );
    }
    let path = dir.path("engine.toml");
    std::fs::write(&path, text).unwrap();
    path
}

impl Engine {
    fn start(dir: &Dir, feeds: &[FeedTable<'_>]) -> Engine {
        let mut command = Command::new(program("ticklane-engine"));
        command.arg("--config").arg(write_config(dir, feeds)).stdout(Stdio::null());
        Engine::run(dir, feeds, command)
    }

    /// `command` becomes the engine, perhaps after some preparation.
    fn run(dir: &Dir, feeds: &[FeedTable<'_>], command: Command) -> Engine {
        let process = Process::start("ticklane-engine", command, dir.path("engine.log"));
        let mut lanes = Vec::new();
        for (name, _) in feeds {
            wait_until("a lane's segment", || {
                let found = Segment::open(&dir.run(), name).ok();
                lanes.extend(found.filter(|segment| segment.writer_pid() == u64::from(process.id())));
                lanes.last().is_some_and(|segment: &Segment| segment.lane() == *name)
            });
        }
        Engine { process, lanes }
    }

    fn lane(&self) -> &Segment {
        &self.lanes[0]
    }

    fn log_lines(&self) -> usize {
        self.process.log().lines().count()
    }
}

fn state(segment: &Segment) -> u64 {
    segment.feed(0).map_or(u64::MAX, |(facts, _)| facts.state)
}

fn wait_for_state(segment: &Segment, wanted: FeedState) {
    wait_until(&format!("the feed to be {wanted:?}"), || state(segment) == wanted as u64);
}

fn wait_for_sequence(segment: &Segment, next: u64) {
    wait_until("every message to be taken or declared", || feed_counter(segment, FeedCounter::NextSequence) >= next);
}

fn wait_for_feed(segment: &Segment, counter: FeedCounter, count: u64) {
    wait_until(counter.name(), || feed_counter(segment, counter) >= count);
}

/// Nothing is missing and nothing came twice: what each misfortune must lead to unless it says otherwise.
fn assert_whole(name: &str, segment: &Segment, messages: u64) {
    let counter = |counter| lane_counter(segment, counter);
    assert_eq!(counter(LaneCounter::Gaps), 0, "{name}: gaps");
    assert_eq!(counter(LaneCounter::Published), messages, "{name}: published");
    assert_eq!(
        counter(LaneCounter::Received),
        messages + counter(LaneCounter::Duplicates),
        "{name}: received, with {} duplicates",
        counter(LaneCounter::Duplicates)
    );
}

/// First, last and reason of each gap that a ring declares; both rings declare the same.
fn gaps(recording: &Recording) -> Vec<[u64; 3]> {
    let of = |ring: &[Seen]| -> Vec<[u64; 3]> {
        ring.iter().filter(|seen| seen.kind == kind::GAP).map(|seen| seen.body[..3].try_into().unwrap()).collect()
    };
    let gaps = of(&recording.orders);
    assert_eq!(of(&recording.market), gaps, "both rings declare the same gaps");
    gaps
}

/// Qualities of all rows.
fn qualities(segment: &Segment) -> Vec<Quality> {
    let (directory, board) = (segment.directory(), segment.board());
    let mut image = RowImage::default();
    (0..directory.count())
        .map(|row| {
            assert!(matches!(board.read(row, &mut image, || true), Ok(())), "row {row}");
            image.quality()
        })
        .collect()
}

/// The heads of all records of one ring, in their order.
fn heads(segment: &Segment, ring: RingName) -> Vec<Head> {
    let mut reader = segment.read_from(ring, 0, Rejoin::Oldest);
    let mut heads = Vec::new();
    loop {
        match reader.poll() {
            Polled::Empty => return heads,
            Polled::Record { n, words } => heads.extend(Record::new(n, words).map(|record| record.head)),
            Polled::Lost(lost) => panic!("{} ring: {lost:?}", ring.name()),
        }
    }
}

/// Everything once, in order, over a line without faults.
fn undisturbed(file: &Path, messages: u64) -> Recording {
    let (venue_dir, dir) = (Dir::new(), Dir::new());
    let venue = crate::harness::Venue::start(
        &venue_dir,
        &["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"],
    );
    let engine = Engine::start(&dir, &[("lane0", &tcp::table(&[venue.port], ""))]);
    wait_for_sequence(engine.lane(), messages + 1);
    assert_whole("undisturbed", engine.lane(), messages);
    crate::bus::record(engine.lane())
}
