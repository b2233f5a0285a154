//! What befalls segments and their readers (reliability.md, rows 29 to 37): with the real engine, and with readers that
//! are slow, many, hostile or killed.

use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use shm_abi::counters::LaneCounter;
use shm_abi::layout::{STATIC_WORDS, fnv_words, header};
use shm_abi::ring::Rejoin;
use shm_abi::segment::{RingName, Segment, SegmentError, SleeperFlag, lock_file, segment_file, wake_socket};
use ticklane_client::{Event, Lane, Options, RestartReason, Start};

use crate::harness::{
    Dir, Engine, EngineOptions, Process, Venue, can, lane_counter, program, skipped, wait_until, write_config,
};
use crate::start_up::{assert_refused, bounded};

/// The group of the readers of these tests, and a user in it: the system's `nobody`.
const READER: u32 = 65_534;

fn held(dir: &Dir, messages: u64) -> Venue {
    let messages = messages.to_string();
    Venue::start(dir, &["--symbols", "5", "--messages", &messages, "--speed", "max", "--at-end", "hold"])
}

/// A market that goes on for as long as the test does.
fn endless(dir: &Dir) -> Venue {
    Venue::start(dir, &["--symbols", "50", "--rate", "20000", "--speed", "1x"])
}

fn published(segment: &Segment) -> u64 {
    lane_counter(segment, LaneCounter::Published)
}

fn wait_for_more(segment: &Segment, more: u64) {
    let target = published(segment) + more;
    wait_until("more data", || published(segment) > target);
}

#[test]
fn a_reader_that_stops_is_told_exactly_what_it_lost_and_the_writer_goes_on() {
    let dir = Dir::new();
    let venue = held(&dir, 300_000);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let lane = Lane::wait_for(dir.run(), "lane0", crate::harness::LIMIT).unwrap();
    let oldest = Options { start: Start::Oldest, on_lap: Rejoin::Oldest, ..Options::default() };
    let mut reader = lane.orders(oldest).unwrap();
    // It stops here, at number 0 or a little behind it, while the ring is written more than once.
    let first = reader.cursor().seq;
    let segment = engine.segment();
    engine.wait_for_sequence(&segment, 300_001);
    assert_eq!(published(&segment), 300_000, "the writer took no notice");
    let head = segment.join(RingName::Orders, Rejoin::Latest).cursor();
    assert!(head > 2 * 131_072, "lapped: {head}");
    let (mut next, mut losses) = (first, 0);
    while next < head {
        match reader.try_next().unwrap().expect("nothing is missing at the end but what was declared") {
            Event::Lost(lost) => {
                assert_eq!(lost.first, next, "the loss begins where the reader stopped");
                (next, losses) = (lost.last + 1, losses + 1);
            }
            Event::Record(record) => {
                assert_eq!(record.n, next, "numbers follow each other");
                next += u64::from(record.head.span);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((losses, next), (1, head));
}

fn descriptors_and_maps(pid: u32) -> (usize, usize) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    (descriptors, std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines().count())
}

#[test]
fn a_thousand_readers_come_and_go_some_of_them_killed_and_nothing_leaks() {
    let dir = Dir::new();
    let venue = endless(&dir);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let segment = engine.segment();
    wait_for_more(&segment, 1_000);
    let pid = engine.process.id();
    SleeperFlag::request(&dir.run(), "lane0").expect("the wake door is open");
    let (before, ours) = (descriptors_and_maps(pid), descriptors_and_maps(std::process::id()));
    for count in 0..1_000 {
        let lane = Lane::attach(dir.run(), "lane0").unwrap();
        let mut reader = lane.market(Options::default()).unwrap();
        if count % 10 == 0 {
            // Long enough to fall asleep, for which it asks the engine for its flag.
            reader.next_within(Duration::from_millis(20)).unwrap();
        }
    }
    for _ in 0..10 {
        let mut command = Command::new(program("ticklane"));
        command.args(["tail", "--all", "--dir"]).arg(dir.run()).stdout(Stdio::piped());
        let mut tail = Process::start("ticklane tail", command, dir.path("tail.log"));
        assert_eq!(tail.stdout().read(&mut [0]).unwrap(), 1, "it reads");
        tail.kill();
    }
    wait_for_more(&segment, 1_000);
    // The wake door may still be busy with the last one that asked.
    wait_until(&format!("the engine to hold no more than the {before:?} that it held"), || {
        let held = descriptors_and_maps(pid);
        held.0 <= before.0 && held.1 <= before.1
    });
    let now = descriptors_and_maps(std::process::id());
    // Other tests of this program run at the same time.
    assert!(now.1 < ours.1 + 500, "a reader's mapping goes with it: {ours:?} {now:?}");
    assert_eq!(lane_counter(&segment, LaneCounter::Gaps), 0);
}

#[test]
fn a_reader_of_the_group_reads_and_is_refused_everything_else() {
    let reader = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    if !can("setpriv", &[&reader[..], &["true"]].concat()) {
        return skipped("setpriv may not change the user", "a hostile reader of the group");
    }
    let dir = Dir::new();
    // As by the unit's Group=: what the engine makes belongs to the group of the readers.
    chown(dir.run(), None, Some(READER)).unwrap();
    std::fs::set_permissions(dir.run().parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
    let venue = endless(&dir);
    let options = EngineOptions::to(venue.port);
    let engine = Engine::start_under(&dir, &options, &["setpriv", "--regid=65534", "--clear-groups"]);
    let segment = engine.segment();
    wait_for_more(&segment, 1_000);
    let (file, pid) = (dir.run().join("lane0.seg"), engine.process.id());
    let facts = std::fs::metadata(&file).unwrap();
    assert_eq!((facts.mode() & 0o7777, facts.gid()), (0o640, READER));
    let run = |script: &str| {
        let mut command = Command::new("setpriv");
        command.args(reader).args(["sh", "-c", script]).current_dir(dir.run());
        command.output().unwrap()
    };
    for (name, script) in [("the segment", "cat lane0.seg > /dev/null"), ("the directory", "ls")] {
        let output = run(script);
        assert!(output.status.success(), "reading {name}: {output:?}");
    }
    let kill = format!("kill -9 {pid}");
    let memory = format!(": >> /proc/{pid}/mem");
    let trace = format!("exec timeout 5 strace -o /dev/null -p {pid}");
    let mut attempts = vec![
        ("write", ": >> lane0.seg"),
        ("write in place", "dd if=/dev/zero of=lane0.seg conv=notrunc bs=8 count=1"),
        ("truncate", "truncate -s 0 lane0.seg"),
        ("unlink", "rm lane0.seg < /dev/null"),
        ("rename", "mv lane0.seg elsewhere"),
        ("replace", "ln -sfn /dev/null lane0.seg"),
        ("chmod", "chmod 0666 lane0.seg"),
        ("plant a successor", ": > lane0.seg.new"),
        ("plant another lane", ": > lane1.seg"),
        ("remove the wake door", "rm lane0.wake < /dev/null"),
        ("hold the lock", "flock -n lane0.lock true"),
        ("kill", &kill),
        ("write its memory", &memory),
    ];
    if can("strace", &["-V"]) {
        attempts.push(("ptrace", &trace));
    }
    for (name, script) in attempts {
        let output = run(script);
        assert!(!output.status.success(), "{name} was allowed: {output:?}");
        let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
        let refused = ["permission denied", "not permitted"].iter().any(|refusal| text.contains(refusal));
        assert!(refused, "{name} failed, but not for want of rights: {text}");
    }
    let after = std::fs::metadata(&file).unwrap();
    assert_eq!((after.ino(), after.len(), after.mode()), (facts.ino(), facts.len(), facts.mode()));
    wait_for_more(&segment, 1_000);
    assert_eq!(lane_counter(&segment, LaneCounter::Gaps), 0);
}

/// The operator's tool, looking once.
fn stat(run: &Path) -> Output {
    bounded("ticklane").args(["stat", "--count", "1", "--dir"]).arg(run).output().unwrap()
}

/// An engine that took 300 messages and was killed: its segment, and the venue that still has them.
fn killed_engine(dir: &Dir) -> (Venue, EngineOptions, PathBuf) {
    let venue = held(dir, 300);
    let options = EngineOptions::to(venue.port);
    let engine = Engine::start(dir, &options);
    engine.wait_for_sequence(&engine.segment(), 301);
    engine.process.kill();
    (venue, options, dir.run().join(segment_file("lane0")))
}

/// Starts an engine over what stands there: it must find no predecessor and publish the day as if it were the first.
fn assert_begins_anew(name: &str, dir: &Dir, options: &EngineOptions) {
    let engine = Engine::start(dir, options);
    let segment = engine.segment();
    engine.wait_for_sequence(&segment, 301);
    assert_eq!((published(&segment), lane_counter(&segment, LaneCounter::Rebuilt)), (300, 0), "{name}");
    assert_eq!(segment.identity().old_epoch, 0, "{name}: nothing of it was believed");
    let lane = Lane::attach(dir.run(), "lane0").unwrap();
    let mut reader = lane.market(Options { start: Start::Oldest, ..Options::default() }).unwrap();
    let Some(Event::Record(first)) = reader.try_next().unwrap() else { panic!("{name}: no first record") };
    let shm_abi::record::Body::Restart(restart) = first.body() else { panic!("{name}: {first:?}") };
    assert_eq!(RestartReason::from_code(restart.reason), RestartReason::Unknown, "{name}");
    assert!(engine.process.terminate().success());
}

#[test]
fn a_segment_cut_short_is_refused_by_readers_and_made_anew_by_the_engine() {
    let dir = Dir::new();
    let (_venue, options, file) = killed_engine(&dir);
    assert!(stat(&dir.run()).status.success(), "the whole one of a dead engine can be looked at");
    let whole = std::fs::metadata(&file).unwrap().len();
    let copy = Dir::new();
    let cut = |path: &Path, len: u64| std::fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
    for len in [0, 8, 4_095, 4_096, whole / 2, whole - 1, whole + 1] {
        std::fs::copy(&file, copy.run().join("lane0.seg")).unwrap();
        cut(&copy.run().join("lane0.seg"), len);
        let error = Segment::open(&copy.run(), "lane0").unwrap_err();
        assert!(matches!(error, SegmentError::NotASegment { .. }), "cut to {len}: {error}");
        let output = stat(&copy.run());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "cut to {len}: {text}");
        assert!(text.contains("lane0") && !text.contains("panicked"), "cut to {len}: {text}");
    }
    cut(&file, whole / 2);
    assert_begins_anew("cut short", &dir, &options);
    assert_eq!(std::fs::metadata(&file).unwrap().len(), whole);
}

#[test]
fn a_segment_of_an_earlier_boot_is_refused_by_readers_and_replaced_by_the_engine() {
    let dir = Dir::new();
    let (_venue, options, path) = killed_engine(&dir);
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let mut bytes = [0; STATIC_WORDS * 8];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let mut words: Vec<u64> = bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    words[header::BOOT_ID] ^= 1;
    words[header::CHECKSUM] = fnv_words(&words[..header::CHECKSUM]);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    file.write_all_at(&bytes, 0).unwrap();
    assert!(matches!(Segment::open(&dir.run(), "lane0"), Err(SegmentError::Stale { .. })));
    assert_eq!(stat(&dir.run()).status.code(), Some(1));
    assert_begins_anew("an earlier boot", &dir, &options);
}

#[test]
fn whatever_else_stands_in_a_files_place_stops_the_start_and_is_left_alone() {
    type Plant = fn(&Path);
    let fifo: Plant = |path| assert!(can("mkfifo", &[path.to_str().unwrap()]));
    let directory: Plant = |path| std::fs::create_dir(path).unwrap();
    let file: Plant = |path| std::fs::write(path, "precious").unwrap();
    let (segment, lock, door) = (segment_file("lane0"), lock_file("lane0"), wake_socket("lane0"));
    let table: [(&str, &String, Plant, &[&str]); 5] = [
        ("a fifo", &segment, fifo, &["lane0.seg", "fifo", "move it away"]),
        ("a directory", &segment, directory, &["lane0.seg", "directory", "move it away"]),
        ("a fifo as lock", &lock, fifo, &["lane0.lock", "fifo", "move it away"]),
        ("a file as wake door", &door, file, &["lane0.wake", "remove what stands there"]),
        ("a directory as wake door", &door, directory, &["lane0.wake", "remove what stands there"]),
    ];
    for (name, place, plant, parts) in table {
        let dir = Dir::new();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let options = EngineOptions::to(listener.local_addr().unwrap().port());
        let path = dir.run().join(place);
        plant(&path);
        let before = std::fs::symlink_metadata(&path).unwrap();
        let output = bounded("ticklane-engine").arg("--config").arg(write_config(&dir, &options)).output().unwrap();
        assert_refused(name, &output, 1, parts);
        let after = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!((after.ino(), after.len(), after.mode()), (before.ino(), before.len(), before.mode()), "{name}");
        assert!(listener.accept().is_err(), "{name}: the feed was dialled all the same");
    }
}

/// A small file system of this test's own.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = can("umount", &[self.0.to_str().unwrap()]);
    }
}

#[test]
fn a_full_file_system_stops_the_start_before_any_login() {
    let dir = Dir::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let options = EngineOptions::to(listener.local_addr().unwrap().port());
    let run = dir.run();
    if !can("mount", &["-t", "tmpfs", "-o", "size=1m,mode=0750", "ticklane-test", run.to_str().unwrap()]) {
        return skipped("may not mount a tmpfs", "a full file system");
    }
    let _mount = Mount(run.clone());
    let output = bounded("ticklane-engine").arg("--config").arg(write_config(&dir, &options)).output().unwrap();
    assert_refused("full", &output, 1, &["lane0.seg", "orders_slots", "bytes"]);
    assert!(listener.accept().is_err(), "the feed was dialled all the same");
    let names: Vec<_> = std::fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [lock_file("lane0").as_str()], "nothing half made stays behind");
}
