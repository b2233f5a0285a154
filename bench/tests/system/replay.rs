//! Recordings, played again: what they lead to is what the live feed led to, each time and at any pace.

use std::path::Path;
use std::process::{Command, Output};

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FLAG_REPLAY;
use shm_abi::segment::Segment;

use crate::bus::{Recording, assert_same, record};
use crate::harness::{Dir, Engine, EngineOptions, Venue, data, feed_counter, lane_counter, program, wait_until};
use crate::misfortunes::{messages_of, synthetic_day};
use crate::multicast::start_engine;

/// The day of these tests' engines.
const DAY: [&str; 2] = ["--trading-date", "2020-01-30"];

fn ticklane(words: &[&str]) -> Output {
    Command::new(program("ticklane")).args(words).env_remove("TICKLANE_DIR").output().unwrap()
}

/// The segment comes before the command socket.
fn wait_for_socket(run: &Path) {
    wait_until("the command socket", || run.join(shm_abi::control::SOCKET_NAME).exists());
}

/// What a command says, line by line.
fn said(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Plays a recording to its end in a directory of its own: what is told of the end, and what stands on the bus.
fn play(source: &Path, more: &[&str]) -> (Vec<String>, Segment) {
    let dir = Dir::new();
    let (source, run) = (source.to_str().unwrap(), dir.path("play"));
    let mut words = vec!["replay", source, "--digest", "--slots", "262144", "--dir", run.to_str().unwrap()];
    words.extend(more);
    let lines = said(&ticklane(&words));
    let segment = Segment::open(&run, "replay").unwrap();
    (lines, segment)
}

/// The same from a venue, as it comes.
fn live(file: &Path) -> Recording {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"]);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let segment = engine.segment();
    engine.wait_for_sequence(&segment, messages_of(&file.to_owned()) + 1);
    record(&segment)
}

#[test]
fn a_file_of_messages_gives_the_records_of_its_live_feed_and_the_same_digest_each_time() {
    let files = Dir::new();
    let file = synthetic_day(&files, 20_000, 21);
    let (said, segment) = play(&file, &[&["--pace", "max"], &DAY[..]].concat());
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[0], format!("end of file after {} messages", messages_of(&file)));
    assert!(said[1].starts_with("orders ") && said[2].starts_with("market "), "{said:?}");
    assert_eq!(segment.identity().flags & FLAG_REPLAY, FLAG_REPLAY);
    assert_same("replay", &record(&segment), &live(&file));
    // Packed, and so fast that every record is waited for a moment.
    let packed = files.path("day.itch.gz");
    let status = Command::new("gzip").arg("-c").arg(&file).stdout(std::fs::File::create(&packed).unwrap()).status();
    assert!(status.unwrap().success());
    let (again, other) = play(&packed, &[&["--pace", "1000000"], &DAY[..]].concat());
    assert_eq!(again, said);
    assert_ne!(other.identity().epoch, segment.identity().epoch, "a sequence of its own");
}

/// Makes a journal of a file of messages, in a folder that is not there yet.
fn import(file: &Path, journal: &Path, more: &[&str]) -> Vec<String> {
    let words = ["import", file.to_str().unwrap(), "--journal", journal.to_str().unwrap(), "--slots", "262144"];
    said(&ticklane(&[&words[..], more].concat()))
}

/// A file of messages straight to the bus, and by way of a journal: the same digests, with nothing missing. Gives how
/// many messages there were.
fn assert_the_journal_gives_the_same(file: &Path, more: &[&str]) -> u64 {
    let files = Dir::new();
    let (direct, _) = play(file, &[&["--pace", "max"], more].concat());
    let journal = files.path("journal");
    assert_eq!(import(file, &journal, more)[0], direct[0], "{}", file.display());
    let (replayed, segment) = play(&journal, &["--pace", "max"]);
    assert!(replayed[0].starts_with("end of recording"), "{replayed:?}");
    assert_eq!(replayed[1..], direct[1..], "{}", file.display());
    assert_eq!(lane_counter(&segment, LaneCounter::Gaps), 0);
    direct[0].split(' ').find_map(|word| word.parse().ok()).unwrap()
}

#[test]
fn what_a_file_leads_to_is_recorded_and_replayed_with_the_same_digest() {
    let files = Dir::new();
    let file = synthetic_day(&files, 20_000, 23);
    assert_eq!(assert_the_journal_gives_the_same(&file, &DAY), messages_of(&file));
    // What is there is not written over.
    let journal = files.path("taken");
    std::fs::create_dir(&journal).unwrap();
    std::fs::write(journal.join("precious"), "x").unwrap();
    let words = ["import", file.to_str().unwrap(), "--journal", journal.to_str().unwrap()];
    let refused = ticklane(&[&words[..], &DAY].concat());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("is not empty"), "{told}");
}

#[test]
fn reference_files_are_recorded_and_replayed_with_the_same_digest() {
    let table: [(&str, &[&str]); 4] = [
        ("itch50/nasdaq_20200130_AAPL_first4000.bin", &DAY),
        ("derived/es_20240508.itch50.gz", &["--trading-date", "2024-05-08"]),
        ("derived/es_20240508.dse20.itch.gz", &DHAKA),
        ("derived/es_20240508.dse22.itch.gz", &DHAKA),
    ];
    const DHAKA: [&str; 6] = ["--trading-date", "2024-05-08", "--dialect", "dse", "--time-zone", "Asia/Dhaka"];
    for (name, more) in table {
        let Some(file) = data(name) else { return };
        assert!(assert_the_journal_gives_the_same(&file, more) >= 1_000, "{name}");
    }
}

#[test]
fn tick_files_of_others_are_played_as_they_are_and_by_way_of_a_journal() {
    let Some(first) = data("dbn/test_data.mbo.v3.dbn") else { return };
    let mut played = 0;
    for entry in std::fs::read_dir(first.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Bars have no meaning on the bus.
        if !name.contains(".dbn") || name.contains("ohlcv") {
            continue;
        }
        let (direct, _) = play(&path, &["--pace", "max"]);
        let files = Dir::new();
        let journal = files.path("journal");
        let output = ticklane(&["import", path.to_str().unwrap(), "--journal", journal.to_str().unwrap()]);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let (replayed, _) = play(&journal, &["--pace", "max"]);
        assert_eq!(replayed[1..], direct[1..], "{name}");
        played += 1;
    }
    assert!(played >= 15, "{played}");
}

#[test]
fn a_replay_stops_steps_and_goes_on_when_it_is_told() {
    let files = Dir::new();
    let file = synthetic_day(&files, 5_000, 22);
    let messages = messages_of(&file);
    let dir = Dir::new();
    let replay = format!("protocol = \"soupbintcp-itch\"\nreplay = {{ file = {file:?}, pace = \"stepped\" }}\n");
    let (engine, segment) = start_engine(&dir, &replay);
    let run = dir.run();
    wait_for_socket(&run);
    let pace = |words: &[&str]| {
        let told = said(&ticklane(&[&["pace", "mold"], words, &["--dir", run.to_str().unwrap()]].concat()));
        assert!(told[0].starts_with("mold: asked"), "{told:?}");
    };
    let received = || lane_counter(&segment, LaneCounter::Received);
    assert_eq!(received(), 0, "nothing before somebody asks");
    for (steps, sum) in [("1", 1), ("10", 11), ("1000", 1_011)] {
        pace(&["step", steps]);
        wait_until("the steps", || received() >= sum);
        // Asked for nothing: whatever it would do beyond its steps, it has done by the second answer.
        pace(&["pause"]);
        pace(&["pause"]);
        assert_eq!(received(), sum);
    }
    pace(&["max"]);
    wait_until("the end", || received() == messages);
    let total = feed_counter(&segment, FeedCounter::SourceTotal);
    wait_until("all to be read", || feed_counter(&segment, FeedCounter::SourceDone) == total);
    assert_eq!(total, std::fs::metadata(&file).unwrap().len());
    assert!(engine.terminate().success());
}

#[test]
fn who_plays_no_recording_keeps_the_venue_s_pace() {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--profile", "day", "--symbols", "20", "--messages", "2000", "--at-end", "hold"]);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let _segment = engine.segment();
    let run = dir.run();
    wait_for_socket(&run);
    let output = ticklane(&["pace", "nasdaq", "max", "--dir", run.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("a feed that plays a recording"), "{told}");
}
