//! Real input through the whole path: venue, SoupBinTCP, engine, memory, reader.

use std::path::{Path, PathBuf};

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::ring::Rejoin;
use shm_abi::segment::Segment;
use ticklane_client::{Event, Lane, Options, Reader, Start};

use crate::bus::{Recording, Seen, assert_same, record};
use crate::figures::assert_reference;
use crate::harness::{
    Dir, Engine, EngineOptions, Venue, data, feed_counter, lane_counter, random, unpacked, wait_until,
};

const FILES: [(&str, u64); 3] = [
    ("itch50/nasdaq_20200130_AAPL_first4000.bin", 4_000),
    ("itch50/nasdaq_startofday_first1000.bin", 1_000),
    ("derived/es_20240508.itch50.gz", 13_792),
];

/// The file, unpacked where needed, its reference result, and how many messages it has.
fn files(dir: &Dir) -> Vec<(PathBuf, PathBuf, u64)> {
    FILES
        .iter()
        .filter_map(|(name, messages)| {
            let path = data(name)?;
            let reference = data(&name.replace(".bin", ".ref.json").replace(".gz", ".ref.json"))?;
            Some((unpacked(dir, &path), reference, *messages))
        })
        .collect()
}

/// Plays a file with faults through an engine and returns what stands on the bus at the end.
fn play(dir: &Dir, file: &Path, messages: u64, faults: &[String]) -> (Engine, Segment, Recording) {
    let mut arguments = vec!["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"];
    for fault in faults {
        arguments.extend(["--fault", fault]);
    }
    let venue = Venue::start(dir, &arguments);
    let engine = Engine::start(dir, &EngineOptions::to(venue.port));
    let segment = engine.segment();
    engine.wait_for_sequence(&segment, messages + 1);
    assert_balanced(&segment, messages);
    let recording = record(&segment);
    (engine, segment, recording)
}

fn assert_balanced(segment: &Segment, messages: u64) {
    let counter = |counter| lane_counter(segment, counter);
    let (received, published) = (counter(LaneCounter::Received), counter(LaneCounter::Published));
    let (duplicates, rejected) = (counter(LaneCounter::Duplicates), counter(LaneCounter::Rejected));
    assert_eq!(received, published + duplicates + rejected, "the counters do not balance");
    assert_eq!((published, rejected), (messages, 0));
}

#[test]
fn every_figure_of_the_references_is_met_at_the_far_end() {
    let unpack = Dir::new();
    for (file, reference, messages) in files(&unpack) {
        let dir = Dir::new();
        let (engine, segment, recording) = play(&dir, &file, messages, &[]);
        assert_reference(&reference, &recording, &segment);
        assert_eq!(feed_counter(&segment, FeedCounter::Logins), 1);
        assert!(engine.process.terminate().success());
    }
}

#[test]
fn the_stream_is_cut_at_200_random_bytes() {
    let unpack = Dir::new();
    let seed = std::env::var("TICKLANE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_2020_0130);
    for (file, _, messages) in files(&unpack) {
        let clean = play(&Dir::new(), &file, messages, &[]).2;
        // Packets have three bytes of frame, the file two: every cut falls inside the stream, and all are used.
        let bytes = std::fs::metadata(&file).unwrap().len();
        let mut state = seed;
        eprintln!("{}: seed {seed} (TICKLANE_SEED)", file.display());
        let cuts: Vec<String> = (0..200).map(|_| (1 + random(&mut state) % (bytes / 220)).to_string()).collect();
        let dir = Dir::new();
        let (_engine, segment, cut) = play(&dir, &file, messages, &[format!("cut-list={}", cuts.join(","))]);
        // Cuts behind the last complete message of a connection cost nothing; every one costs a login.
        assert_eq!(feed_counter(&segment, FeedCounter::Logins), 201, "logins");
        assert_same("cut at 200 bytes", &cut, &clean);
    }
}

#[test]
fn the_stream_arrives_one_byte_at_a_time() {
    let unpack = Dir::new();
    for (file, _, messages) in files(&unpack) {
        let clean = play(&Dir::new(), &file, messages, &[]).2;
        let dir = Dir::new();
        let (_engine, segment, pieces) = play(&dir, &file, messages, &["one-byte".into()]);
        assert_eq!(feed_counter(&segment, FeedCounter::Logins), 1);
        assert_same("one byte at a time", &pieces, &clean);
    }
}

/// A strategy that follows one ring through everything.
struct Follower {
    reader: Reader,
    seen: Vec<Seen>,
    restarts: usize,
}

impl Follower {
    fn new(reader: Reader) -> Follower {
        Follower { reader, seen: Vec::new(), restarts: 0 }
    }

    /// Takes what is there now.
    fn catch_up(&mut self) {
        while let Some(event) = self.reader.try_next().unwrap() {
            match event {
                Event::Record(record) => self.seen.extend(Seen::of(&record)),
                Event::Restarted(restarted) => {
                    assert!(restarted.is_seamless(), "{restarted:?}");
                    self.restarts += 1;
                }
                Event::WriterSilent | Event::WriterBack => {}
                Event::Lost(lost) => panic!("lost {lost:?}"),
                Event::Closed => panic!("closed"),
            }
        }
    }
}

/// Kills and restarts the engine in the middle, several times. What a strategy saw in all is what it would have seen of
/// one engine that never died: declared, then whole again, nothing twice.
#[test]
fn the_engine_is_killed_and_restarted_in_the_middle() {
    const KILLS: u64 = 4;
    let unpack = Dir::new();
    for (file, reference, messages) in files(&unpack) {
        let clean = play(&Dir::new(), &file, messages, &[]).2;
        let dir = Dir::new();
        // One byte at a time, so that there is a middle in which to be killed.
        let venue = Venue::start(
            &dir,
            &["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold", "--fault", "one-byte"],
        );
        let options = EngineOptions::to(venue.port);
        let mut engine = Engine::start(&dir, &options);
        let mut segment = engine.segment();
        let lane = Lane::wait_for(dir.run(), "lane0", crate::harness::LIMIT).unwrap();
        let oldest = Options { start: Start::Oldest, on_lap: Rejoin::Oldest, ..Options::default() };
        let mut orders = Follower::new(lane.orders(oldest).unwrap());
        let mut market = Follower::new(lane.market(oldest).unwrap());
        for kill in 1..=KILLS {
            let target = messages * kill / (KILLS + 1);
            wait_until("the middle", || {
                orders.catch_up();
                market.catch_up();
                // A strategy that missed a whole engine's life would rightly be told of a loss: let it see each one.
                let followed = orders.restarts as u64 == kill - 1 && market.restarts as u64 == kill - 1;
                followed && feed_counter(&segment, FeedCounter::NextSequence) > target
            });
            engine.process.kill();
            engine = Engine::start(&dir, &options);
            segment = engine.segment();
        }
        wait_until("the end", || {
            orders.catch_up();
            market.catch_up();
            let done = feed_counter(&segment, FeedCounter::NextSequence) == messages + 1;
            done && orders.restarts == KILLS as usize && market.restarts == KILLS as usize
        });
        orders.catch_up();
        market.catch_up();
        let whole = Recording { orders: orders.seen, market: market.seen };
        assert_same("killed and restarted", &whole, &clean);
        assert_reference(&reference, &whole, &segment);
        let rebuilt = lane_counter(&segment, LaneCounter::Rebuilt);
        assert_eq!(
            rebuilt + lane_counter(&segment, LaneCounter::Received),
            messages,
            "every message is rebuilt or received"
        );
    }
}
