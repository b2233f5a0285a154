//! The reference data as feeds of the real programs: every figure of the references is read back from the bus alone.

mod dse;
mod iex;
mod lines;
mod strangers;

use std::io::{BufRead, BufReader, Read as _};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use serde_json::Value;
use shm_abi::board::RowImage;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::record::{Head, Record};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{RingName, Segment};

use crate::bus::Seen;
use crate::harness::{Dir, Process, data, feed_counter, lane_counter, program, wait_until};

/// Slots for every record of a data file: nothing is lapped.
const SLOTS: usize = 1 << 18;

/// An engine with a lane for each feed.
struct Running {
    process: Process,
    lanes: Vec<Segment>,
}

impl Running {
    /// `feeds`: the name of a lane and of its feed, and what else its `[[feed]]` says.
    fn start(dir: &Dir, slots: usize, feeds: &[(String, String)]) -> Running {
        let mut text = format!(
            "[engine]\ninstance = \"test\"\nruntime_dir = {:?}\nstate_dir = {:?}\nwait = \"adaptive\"\n\
             [feeds]\nallow = [\"127.0.0.0/8\"]\n",
            dir.run(),
            dir.path("state")
        );
        for (name, feed) in feeds {
            text += &format!(
                "[[lane]]\nname = \"{name}\"\norders_slots = {slots}\nmarket_slots = {slots}\ninstruments = 8192\n\
                 depth = 10\nmax_orders = 65536\nmax_levels = 65536\n\
                 [[feed]]\nname = \"{name}\"\nlane = \"{name}\"\nreconnect_first_ms = 5\nreconnect_max_ms = 20\n\
                 first_login_retry_ms = 10\nfirst_login_retry_max_ms = 20\n{feed}\n"
            );
        }
        let config = dir.path("engine.toml");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program("ticklane-engine"));
        command.arg("--config").arg(config).stdout(Stdio::null());
        let process = Process::start("ticklane-engine", command, dir.path("engine.log"));
        let mut lanes = Vec::new();
        for (name, _) in feeds {
            wait_until("a lane's segment", || {
                let found = Segment::open(&dir.run(), name).ok();
                lanes.extend(found.filter(|segment| segment.writer_pid() == u64::from(process.id())));
                lanes.last().is_some_and(|segment| segment.lane() == *name)
            });
        }
        Running { process, lanes }
    }

    /// Waits until every lane has taken the message before `next`.
    fn wait_for(&self, next: u64) {
        for lane in &self.lanes {
            wait_until("every message to be taken", || feed_counter(lane, FeedCounter::NextSequence) >= next);
        }
    }
}

/// A running `ticklane-venue feeds`.
struct Exchange {
    process: Process,
    out: BufReader<ChildStdout>,
    /// Feed and part, and the address.
    addresses: Vec<(String, String)>,
}

impl Exchange {
    fn start(dir: &Dir, feeds: &[String], faults: &[String]) -> Exchange {
        let mut command = Command::new(program("ticklane-venue"));
        command.args(["feeds", "--speed", "max", "--at-end", "hold"]).stdout(Stdio::piped());
        for feed in feeds {
            command.args(["--feed", feed]);
        }
        for fault in faults {
            command.args(["--fault", fault]);
        }
        let mut process = Process::start("ticklane-venue", command, dir.path("venue.log"));
        let mut out = BufReader::new(process.stdout());
        let mut addresses = Vec::new();
        loop {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["ready"] => return Exchange { process, out, addresses },
                ["listening" | "sending", address, "feed", feed, ..] => addresses.push((feed.into(), address.into())),
                _ => panic!("the venue says {line:?}:\n{}", process.log()),
            }
        }
    }

    /// Where a SoupBinTCP feed listens.
    fn address(&self, feed: &str) -> &str {
        &self.addresses.iter().find(|(name, _)| name == feed).unwrap().1
    }

    /// Ends it, and gives what it tells about its feeds.
    fn stop(mut self) -> Value {
        self.process.signal(15);
        let mut report = String::new();
        self.out.read_to_string(&mut report).unwrap();
        assert!(self.process.wait().success());
        serde_json::from_str(&report).unwrap()
    }
}

/// An address that is free now.
fn free_address() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A record without its ring, to be viewed as one again.
fn words_of(seen: &Seen) -> Vec<u64> {
    let head = Head {
        kind: seen.kind,
        flags: seen.flags,
        span: 1,
        side_or_code: seen.side_or_code,
        instrument_id: seen.instrument_id,
        ts_event: seen.ts_event,
        ts_recv: 0,
        publish_delay_ns: 0,
        venue_sequence_low: seen.venue_sequence,
    };
    head.words().into_iter().chain(seen.body.iter().copied()).collect()
}

/// Everything in a ring that nobody laps, records about the line included.
fn each_record(segment: &Segment, ring: RingName, mut take: impl FnMut(Record<'_>)) {
    let mut reader = segment.read_from(ring, 0, Rejoin::Oldest);
    loop {
        match reader.poll() {
            Polled::Empty => return,
            Polled::Record { n, words } => drop(Record::new(n, words).map(&mut take)),
            Polled::Lost(lost) => panic!("{} ring: {lost:?}", ring.name()),
        }
    }
}

fn row(segment: &Segment, at: usize) -> RowImage {
    let mut image = RowImage::default();
    segment.board().read(at, &mut image, || true).unwrap();
    image
}

/// Every message once, none of them refused.
fn assert_whole(segment: &Segment, messages: u64) {
    let counter = |counter| lane_counter(segment, counter);
    assert_eq!((counter(LaneCounter::Received), counter(LaneCounter::Published)), (messages, messages));
    let none = [LaneCounter::Rejected, LaneCounter::Duplicates, LaneCounter::Gaps, LaneCounter::Extended];
    assert_eq!(none.map(counter), [0; 4], "rejected, duplicates, gaps, extended");
}

/// A file of the reference data, unpacked where it is gzipped, and its reference result.
fn file(dir: &Dir, name: &str, reference: &str) -> Option<(PathBuf, Value)> {
    Some((crate::harness::unpacked(dir, &data(name)?), json(&data(reference)?)))
}
