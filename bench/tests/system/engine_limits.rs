//! What the host denies an engine or does to its clock (reliability.md, rows 38 to 46), with the real engine.

use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::segment::{Segment, SleeperFlag, wake_socket};
use ticklane_client::{Event, Lane, Options, Start};

use crate::harness::{
    Dir, Engine, EngineOptions, Process, Venue, can, feed_counter, lane_counter, program, skipped, under, wait_until,
    write_config,
};
use crate::start_up::assert_refused;

fn endless(dir: &Dir, rate: &str) -> Venue {
    Venue::start(dir, &["--symbols", "50", "--rate", rate, "--speed", "1x"])
}

fn wait_for_more(segment: &Segment, more: u64) {
    let target = lane_counter(segment, LaneCounter::Published) + more;
    wait_until("more data", || lane_counter(segment, LaneCounter::Published) > target);
}

/// Fewer bytes than a segment of these tests, and more than the reactor needs.
const LITTLE_MEMORY: &str = "--memlock=8388608";

#[test]
fn memory_that_cannot_be_locked_is_told_and_refused_only_where_locking_is_required() {
    // Root may lock what it likes, but not without its capability.
    let without = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "prlimit", LITTLE_MEMORY];
    if !can(without[0], &[&without[1..], &["true"]].concat()) {
        return skipped("setpriv or prlimit may not be used", "memory that cannot be locked");
    }
    let dir = Dir::new();
    let venue = endless(&dir, "5000");
    let tried = EngineOptions { engine: "lock_memory = \"try\"", ..EngineOptions::to(venue.port) };
    let engine = Engine::start_under(&dir, &tried, &without);
    wait_for_more(&engine.segment(), 1_000);
    let log = engine.process.log();
    assert_eq!(log.matches("not locked in memory").count(), 1, "one warning: {log}");
    assert!(log.contains("memlock limit"), "{log}");
    assert!(engine.process.terminate().success());
    let required = EngineOptions { engine: "lock_memory = \"require\"", ..EngineOptions::to(venue.port) };
    let bounded = [&["timeout", "--signal=KILL", "20"][..], &without].concat();
    let mut command = under(&bounded, "ticklane-engine");
    let output = command.arg("--config").arg(write_config(&dir, &required)).output().unwrap();
    assert_refused("require", &output, 1, &["cannot be locked", "LimitMEMLOCK=infinity", "lock_memory = \"try\""]);
}

/// The scheduling policy of a process' thread, field 41 of its `stat`: 1 is SCHED_FIFO; and its real-time priority, field 40.
fn scheduling(engine: &Engine, thread: &str) -> (u32, u32) {
    let tasks = format!("/proc/{}/task", engine.process.id());
    for task in std::fs::read_dir(tasks).unwrap() {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
        let Some((head, tail)) = stat.rsplit_once(") ") else { continue };
        if head.split_once('(').is_some_and(|(_, name)| name.starts_with(thread)) {
            // The tail begins with field 3.
            let field = |number: usize| tail.split(' ').nth(number - 3).unwrap().parse::<u32>().unwrap();
            if field(41) == 1 {
                return (1, field(40));
            }
        }
    }
    (0, 0)
}

#[test]
fn a_priority_that_is_refused_is_told_once_and_one_that_is_granted_is_the_reactor_s() {
    let dir = Dir::new();
    let venue = endless(&dir, "5000");
    let wanted = || EngineOptions { engine: "realtime_priority = 5", ..EngineOptions::to(venue.port) };
    let without = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", "prlimit", "--rtprio=0"];
    if can(without[0], &[&without[1..], &["true"]].concat()) {
        let engine = Engine::start_under(&dir, &wanted(), &without);
        wait_for_more(&engine.segment(), 1_000);
        let log = engine.process.log();
        assert_eq!(log.matches("no real-time priority").count(), 1, "one warning: {log}");
        assert!(log.contains("LimitRTPRIO"), "{log}");
        assert_eq!(scheduling(&engine, "lane0"), (0, 0));
        assert!(engine.process.terminate().success());
    } else {
        skipped("setpriv or prlimit may not be used", "a priority that is refused");
    }
    if !can("chrt", &["--fifo", "5", "true"]) {
        return skipped("no right to real-time priority", "a priority that is granted");
    }
    let dir = Dir::new();
    let engine = Engine::start(&dir, &wanted());
    wait_for_more(&engine.segment(), 1_000);
    assert_eq!(scheduling(&engine, "lane0"), (1, 5));
    assert!(!engine.process.log().contains("no real-time priority"));
}

#[test]
fn a_core_that_is_not_allowed_is_named_with_those_that_are() {
    let cores = std::thread::available_parallelism().unwrap().get();
    if cores < 2 || !can("taskset", &["-c", "0", "true"]) {
        return skipped("no taskset, or one core only", "a core that is not allowed");
    }
    let dir = Dir::new();
    let config = write_config(&dir, &EngineOptions { lane: "core = 1", ..EngineOptions::to(9) });
    let mut command = under(&["timeout", "--signal=KILL", "20", "taskset", "-c", "0"], "ticklane-engine");
    let output = command.arg("--config").arg(config).output().unwrap();
    assert_refused("core 1 of core 0", &output, 2, &["lane0: core = 1 ", "may use [0]", "taskset", "CPUAffinity="]);
}

/// Stands before the C library's clock: what CLOCK_REALTIME says is moved by the first word of a file, in ns, and the
/// second counts how often somebody was told a moved time.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile long long *words;
__attribute__((constructor)) static void open_words(void) {
    int fd = open(getenv("TEST_CLOCK"), O_RDWR);
    words = mmap(0, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
}
int clock_gettime(clockid_t id, struct timespec *at) {
    long result = syscall(SYS_clock_gettime, id, at);
    if (result || id != CLOCK_REALTIME || !words || !words[0]) return result;
    long long ns = at->tv_sec * 1000000000LL + at->tv_nsec + words[0];
    at->tv_sec = ns / 1000000000LL;
    at->tv_nsec = ns % 1000000000LL;
    __atomic_fetch_add(&words[1], 1, __ATOMIC_RELAXED);
    return 0;
}
"#;

/// The library above and its file of words.
fn moved_clock(dir: &Dir) -> Option<(PathBuf, std::fs::File)> {
    let (source, library, words) = (dir.path("clock.c"), dir.path("clock.so"), dir.path("clock"));
    std::fs::write(&source, CLOCK).unwrap();
    std::fs::write(&words, [0; 16]).unwrap();
    let arguments = ["-shared", "-fPIC", "-O1", "-o", library.to_str().unwrap(), source.to_str().unwrap()];
    can("cc", &arguments).then(|| (library, std::fs::File::options().read(true).write(true).open(words).unwrap()))
}

/// Every feed timer is set below an hour: if one went by this clock, it would expire at once, or an hour late.
#[test]
fn the_clock_jumps_by_an_hour_to_and_fro_and_no_timer_notices() {
    let dir = Dir::new();
    let Some((library, words)) = moved_clock(&dir) else {
        return skipped("no C compiler", "a clock that jumps");
    };
    let venue = endless(&dir, "10000");
    // Spinning, it looks at its timers all the time, not only when something has come.
    let (engine, feed) = ("spin_us = 1000000", "silence_limit_ms = 60000");
    let options = EngineOptions { engine, feed, ..EngineOptions::to(venue.port) };
    let mut command = Command::new(program("ticklane-engine"));
    command.arg("--config").arg(write_config(&dir, &options)).stdout(Stdio::null());
    command.env("LD_PRELOAD", library).env("TEST_CLOCK", dir.path("clock"));
    let engine = Process::start("ticklane-engine", command, dir.path("engine.log"));
    let lane = Lane::wait_for(dir.run(), "lane0", crate::harness::LIMIT).unwrap();
    let segment = lane.segment();
    wait_for_more(segment, 1_000);
    let word = |index: u64| {
        let mut bytes = [0; 8];
        words.read_exact_at(&mut bytes, 8 * index).unwrap();
        i64::from_ne_bytes(bytes)
    };
    const HOUR_NS: i64 = 3_600_000_000_000;
    for moved_ns in [HOUR_NS, -HOUR_NS, 0, HOUR_NS] {
        words.write_all_at(&moved_ns.to_ne_bytes(), 0).unwrap();
        let told = word(1);
        wait_for_more(segment, 2_000);
        assert!(moved_ns == 0 || word(1) > told + 10, "the engine reads the clock that was moved");
        assert!(segment.writer_alive(), "the heartbeat goes by another clock");
    }
    let counter = |counter| feed_counter(segment, counter);
    assert_eq!(
        (counter(FeedCounter::Logins), counter(FeedCounter::Silences), counter(FeedCounter::Disconnects)),
        (1, 0, 0)
    );
    assert_eq!(lane_counter(segment, LaneCounter::Gaps), 0);
    let mut reader = lane.market(Options { start: Start::Oldest, ..Options::default() }).unwrap();
    let (mut newest, mut records) = (0, 0);
    while let Some(Event::Record(record)) = reader.try_next().unwrap() {
        // Stamped by the kernel; the few that it did not stamp, before it was asked to, come before the jumps.
        if record.head.venue_sequence_low > 0 {
            assert!(record.head.ts_recv >= newest, "record {}: times of one feed never go back", record.n);
            newest = record.head.ts_recv;
            records += 1;
        }
    }
    assert!(records > 1_000);
    assert!(engine.terminate().success());
}

/// A line of /proc/PID/status, in KiB.
fn status_kib(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_else(|| panic!("{text}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn the_engine_s_memory_is_fixed_after_its_start() {
    const MESSAGES: u64 = 1_000_000;
    let dir = Dir::new();
    let venue = Venue::start(
        &dir,
        &["--symbols", "300", "--messages", "1000000", "--rate", "1000000", "--speed", "max", "--at-end", "hold"],
    );
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let segment = engine.segment();
    wait_until("the warm-up", || lane_counter(&segment, LaneCounter::Published) > MESSAGES / 20);
    let pid = engine.process.id();
    let memory = || (status_kib(pid, "VmData"), status_kib(pid, "RssAnon"), status_kib(pid, "VmLck"));
    let warm = memory();
    let threads = status_kib(pid, "Threads");
    engine.wait_for_sequence(&segment, MESSAGES + 1);
    let after = memory();
    assert!(warm.0 > 1_024 && warm.1 > 1_024, "figures of a real process: {warm:?}");
    assert!(after.0 <= warm.0 + 512, "address space, KiB: {warm:?} when warm, {after:?} a million messages later");
    assert!(after.1 <= warm.1 + 4_096, "memory, KiB: {warm:?} when warm, {after:?} a million messages later");
    assert_eq!(status_kib(pid, "Threads"), threads);
}

/// Clock ticks that a thread of a process has run.
fn ticks(pid: u32, thread: &str) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stats = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap());
    let mine = stats.into_iter().find(|stat| stat.contains(&format!("({thread})"))).unwrap();
    let fields: Vec<&str> = mine.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn without_descriptors_readers_wait_at_the_door_and_the_feed_goes_on() {
    if !can("prlimit", &["--version"]) {
        return skipped("no prlimit", "the limit of descriptors");
    }
    let dir = Dir::new();
    let venue = endless(&dir, "10000");
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let segment = engine.segment();
    wait_for_more(&segment, 1_000);
    let pid = engine.process.id();
    let limit = |soft: u64| {
        let (process, soft) = (format!("--pid={pid}"), format!("--nofile={soft}:"));
        assert!(can("prlimit", &[&process, &soft]));
    };
    let open: Vec<u64> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|fd| fd.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    // New ones get the lowest free number, which must be below the limit: from here on there is none.
    limit((0..).find(|number| !open.contains(number)).unwrap());
    let door = dir.run().join(wake_socket("lane0"));
    let before = ticks(pid, "lane0-wake");
    let waiting: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(&door).unwrap()).collect();
    wait_until("the refusal to be told", || engine.process.log().contains("wake door"));
    wait_for_more(&segment, 20_000);
    let counter = |counter| feed_counter(&segment, counter);
    assert_eq!((counter(FeedCounter::Logins), counter(FeedCounter::Disconnects)), (1, 0));
    // Two seconds of data have passed; a thread that asked for descriptors all the time would have run for most of it.
    let ran = ticks(pid, "lane0-wake") - before;
    assert!(ran < 50, "the door's thread spins: {ran} ticks");
    let log = engine.process.log();
    assert_eq!(log.matches("wake door").count(), 1, "one line: {log}");
    assert!(SleeperFlag::request(&dir.run(), "lane0").is_err(), "there is none to be had now");
    limit(1_024);
    wait_until("readers to be served again", || SleeperFlag::request(&dir.run(), "lane0").is_ok());
    drop(waiting);
    assert_eq!(lane_counter(&segment, LaneCounter::Gaps), 0);
}
