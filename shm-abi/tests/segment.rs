//! Segments as files: what is made, what is found, what is refused and left alone. Reliability rows 32 to 37.
#![cfg(not(any(loom, miri)))]
#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

use std::io::Write as _;
mod common;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use common::{plan, runtime_dir, words_of};
use shm_abi::board::{Level, RowError, RowImage};
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::directory::{DirectoryError, Instrument, InstrumentKind};
use shm_abi::layout::{FeedState, Layout, Plan, STATIC_WORDS, State, entry, fnv_words, header, layout_hash, live, row};
use shm_abi::record::{PRICE_NONE, Side};
use shm_abi::ring::{Polled, Rejoin, RingMemory};
use shm_abi::segment::{Identity, LaneLock, LaneWriter, RingName, Segment, SegmentError, lock_file, segment_file};
use shm_abi::{ABI_VERSION, MAGIC, sys};

fn identity() -> Identity {
    Identity::random(0).expect("random numbers")
}

fn create(dir: &Path) -> (LaneLock, LaneWriter) {
    let lock = LaneLock::take(dir, "lane0").expect("nobody else is here");
    let writer = lock.create(&plan(), identity()).expect("there is room");
    (lock, writer)
}

fn file(dir: &Path) -> std::path::PathBuf {
    dir.join(segment_file("lane0"))
}

/// Changes one static word of a segment file; with `repair`, the checksum follows.
fn change_word(path: &Path, index: usize, change: impl Fn(u64) -> u64, repair: bool) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut bytes = [0; STATIC_WORDS * 8];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let mut words: Vec<u64> = bytes.chunks(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect();
    words[index] = change(words[index]);
    if repair {
        words[header::CHECKSUM] = fnv_words(&words[..header::CHECKSUM]);
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    file.write_all_at(&bytes, 0).unwrap();
}

#[test]
fn a_new_segment_says_who_it_is() {
    let dir = runtime_dir();
    let lock = LaneLock::take(dir.path(), "lane0").unwrap();
    assert!(matches!(Segment::open(dir.path(), "lane0"), Err(SegmentError::Missing { .. })));
    assert!(lock.predecessor().unwrap().is_none());
    let identity = Identity { flags: shm_abi::layout::FLAG_REPLAY, ..Identity::random(77).unwrap() };
    let mut writer = lock.create(&plan(), identity).unwrap();

    let segment = Segment::open(dir.path(), "lane0").unwrap();
    assert_eq!(segment.identity(), identity);
    assert_eq!((segment.lane(), segment.writer_pid()), ("lane0".into(), std::process::id().into()));
    assert_eq!(*segment.layout(), Layout::of(&plan()).unwrap());
    assert!(segment.created_ns() <= sys::realtime_ns());
    assert_eq!(segment.state(), Some(State::Recovering));
    writer.set_state(State::Live);
    assert_eq!(segment.state(), Some(State::Live));
    writer.heartbeat(0);
    assert!(!segment.writer_alive());
    writer.heartbeat(sys::monotonic_ns());
    assert!(segment.heartbeat_age_ns() < 60_000_000_000);

    let facts = fs::metadata(file(dir.path())).unwrap();
    assert_eq!((facts.mode() & 0o7777, facts.len()), (0o640, segment.layout().bytes as u64));
    assert!(facts.blocks() * 512 >= facts.len(), "a sparse file: a full disk would be a SIGBUS later");
    assert_eq!(fs::metadata(dir.path().join(lock_file("lane0"))).unwrap().mode() & 0o7777, 0o600);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "something is left over: {names:?}");
}

#[test]
fn what_the_writer_writes_the_reader_reads() {
    let dir = runtime_dir();
    let (_lock, mut writer) = create(dir.path());
    let segment = Segment::open(dir.path(), "lane0").unwrap();
    let mut reader = segment.join(RingName::Market, Rejoin::Latest);
    writer.market.push(&words_of(0, 7).try_into().unwrap());
    writer.market.commit();
    writer.orders.push_span(&words_of(0, 13));
    writer.orders.commit();
    writer.publish_heads();
    assert!(matches!(reader.poll(), Polled::Record { n: 0, words } if words == words_of(0, 7)));
    assert_eq!(segment.join(RingName::Orders, Rejoin::Latest).cursor(), 2);
    assert_eq!(segment.read_from(RingName::Orders, 0, Rejoin::Latest).memory().slot_count(), 1024);

    writer.counters.add(LaneCounter::Received, 5);
    writer.counters.add(LaneCounter::Received, 2);
    writer.counters.set(LaneCounter::Wakes, 9);
    assert_eq!(writer.counters.get(LaneCounter::Received), 7);
    let counters = segment.counters();
    assert_eq!((counters.lane(LaneCounter::Received), counters.lane(LaneCounter::Wakes)), (7, 9));
    assert_eq!(counters.get(LaneCounter::ALL.len()), 0);

    assert!(segment.feed(2).is_none() && segment.feed(99).is_none());
    let mut feed = writer.feed(2);
    feed.set_name("itch-a");
    feed.set_state(FeedState::Live);
    feed.set_session(b"       session1 ", 3, 4);
    feed.set_sequence(42);
    feed.counters.add_feed(FeedCounter::Logins, 1);
    feed.counters.set_feed(FeedCounter::NextSequence, 43);
    let (facts, counters) = segment.feed(2).unwrap();
    assert_eq!((facts.name.as_str(), facts.state), ("itch-a", FeedState::Live as u64));
    assert_eq!(facts.session, Some(*b"       session1 "));
    assert_eq!((facts.session_orders_n, facts.session_market_n, facts.sequence), (3, 4, 42));
    assert_eq!((counters.feed(FeedCounter::Logins), counters.feed(FeedCounter::NextSequence)), (1, 43));
    assert_eq!(feed.counters.get_feed(FeedCounter::Logins), 1);
}

#[test]
fn a_file_that_is_not_our_segment_is_refused_by_readers() {
    type Spoil = fn(&Path);
    let table: &[(&str, Spoil, &str)] = &[
        ("empty", |path| fs::write(path, b"").unwrap(), "0 bytes"),
        ("shorter than a header", |path| fs::write(path, vec![0; 4095]).unwrap(), "4095 bytes"),
        ("foreign", |path| fs::write(path, vec![7; 8192]).unwrap(), "not with TICKLANE"),
        (
            "truncated",
            |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(65536).unwrap(),
            "its header says",
        ),
        (
            "grown",
            |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1 << 20).unwrap(),
            "its header says",
        ),
        ("checksum", |path| change_word(path, header::CHECKSUM, |sum| sum ^ 1, false), "checksum"),
        ("sizes", |path| change_word(path, header::ORDERS_SLOTS, |_| 1 << 40, true), "out of range"),
        ("offsets", |path| change_word(path, header::BOARD_OFFSET, |at| at + 4096, true), "out of range"),
        (
            "fifo",
            |path| {
                fs::remove_file(path).unwrap();
                assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
            },
            "a fifo",
        ),
        (
            "directory",
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            "a directory",
        ),
        (
            "symbolic link",
            |path| {
                let real = path.with_extension("real");
                fs::rename(path, &real).unwrap();
                symlink(&real, path).unwrap();
            },
            "a symbolic link",
        ),
    ];
    for (name, spoil, want) in table {
        let dir = runtime_dir();
        drop(create(dir.path()));
        spoil(&file(dir.path()));
        let error = Segment::open(dir.path(), "lane0").unwrap_err();
        assert!(matches!(error, SegmentError::NotASegment { .. }), "case {name}: {error}");
        assert!(error.to_string().contains(want), "case {name}: {error}");
    }
}

#[test]
fn every_flipped_byte_of_the_static_part_is_noticed() {
    let dir = runtime_dir();
    drop(create(dir.path()));
    let path = file(dir.path());
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    for at in 0..STATIC_WORDS as u64 * 8 {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        assert!(Segment::open(dir.path(), "lane0").is_err(), "byte {at}");
        file.write_all_at(&byte, at).unwrap();
    }
    Segment::open(dir.path(), "lane0").unwrap();
}

#[test]
fn another_version_or_layout_is_refused_with_both_named() {
    let dir = runtime_dir();
    let (lock, writer) = create(dir.path());
    drop(writer);
    let path = file(dir.path());
    let hash = format!("{:016x}", layout_hash());
    for (index, value, named) in [
        (header::ABI_VERSION, 7 << 32 | 3, ["7.3", "1.2", hash.as_str()]),
        (header::LAYOUT_HASH, 0xabc, ["0000000000000abc", "1.2", hash.as_str()]),
    ] {
        change_word(&path, index, |_| value, true);
        let error = Segment::open(dir.path(), "lane0").unwrap_err();
        assert!(matches!(error, SegmentError::Version { .. }), "{error}");
        for text in named {
            assert!(error.to_string().contains(text), "{text} is not in: {error}");
        }
        // For the writer it is one of ours, and will be replaced.
        assert!(lock.predecessor().unwrap().is_none());
        lock.create(&plan(), identity()).unwrap();
        Segment::open(dir.path(), "lane0").unwrap();
    }
    // A newer minor version only adds: it is read.
    change_word(&path, header::ABI_VERSION, |_| ABI_VERSION + 1, true);
    Segment::open(dir.path(), "lane0").unwrap();
}

#[test]
fn a_segment_of_an_earlier_boot_is_refused_and_replaced() {
    let dir = runtime_dir();
    let (lock, writer) = create(dir.path());
    drop(writer);
    change_word(&file(dir.path()), header::BOOT_ID, |word| word ^ 1, true);
    assert!(matches!(Segment::open(dir.path(), "lane0"), Err(SegmentError::Stale { .. })));
    assert!(lock.predecessor().unwrap().is_none());
    lock.create(&plan(), identity()).unwrap();
    Segment::open(dir.path(), "lane0").unwrap();
}

#[test]
fn a_predecessor_is_read_and_replaced_while_readers_keep_it() {
    let dir = runtime_dir();
    let (lock, mut first) = create(dir.path());
    first.market.push(&words_of(0, 7).try_into().unwrap());
    first.market.commit();
    first.publish_heads();
    let old = Segment::open(dir.path(), "lane0").unwrap();
    let old_identity = first.identity();
    drop((first, lock));

    let lock = LaneLock::take(dir.path(), "lane0").unwrap();
    let predecessor = lock.predecessor().unwrap().expect("it is whole");
    assert_eq!(predecessor.identity(), old_identity);
    let next = Identity::random(old_identity.epoch).unwrap();
    // A start that was killed before its segment got its name.
    fs::write(dir.path().join("lane0.seg.new"), b"half").unwrap();
    let mut second = lock.create(&plan(), next).unwrap();
    assert!(!dir.path().join("lane0.seg.new").exists());
    second.heartbeat(1);

    assert_eq!(Segment::open(dir.path(), "lane0").unwrap().identity(), next);
    assert_eq!(old.identity(), old_identity);
    let mut reader = old.read_from(RingName::Market, 0, Rejoin::Latest);
    assert!(matches!(reader.poll(), Polled::Record { n: 0, words } if words == words_of(0, 7)));
    drop(predecessor);
}

#[test]
fn a_broken_segment_of_ours_is_no_predecessor_and_is_replaced() {
    for cut in [8, 4096, 70_000] {
        let dir = runtime_dir();
        let (lock, writer) = create(dir.path());
        drop(writer);
        fs::OpenOptions::new().write(true).open(file(dir.path())).unwrap().set_len(cut).unwrap();
        assert!(lock.predecessor().unwrap().is_none(), "cut at {cut}");
        lock.create(&plan(), identity()).unwrap();
        Segment::open(dir.path(), "lane0").unwrap();
    }
}

#[test]
fn what_is_not_ours_is_neither_read_nor_replaced() {
    type Plant = fn(&Path);
    let plant: [(&str, Plant); 5] = [
        ("regular file", |path| fs::write(path, b"somebody's letters").unwrap()),
        ("empty file", |path| fs::write(path, b"").unwrap()),
        ("fifo", |path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success())),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("symbolic link", |path| {
            let target = path.with_extension("target");
            fs::write(&target, b"somebody's letters").unwrap();
            symlink(target, path).unwrap();
        }),
    ];
    for (name, plant) in plant {
        let dir = runtime_dir();
        let path = file(dir.path());
        plant(&path);
        let before = fs::symlink_metadata(&path).unwrap();
        let lock = LaneLock::take(dir.path(), "lane0").unwrap();
        for error in [lock.predecessor().unwrap_err(), lock.create(&plan(), identity()).unwrap_err()] {
            assert!(matches!(error, SegmentError::Foreign { .. }), "{name}: {error}");
            assert!(error.to_string().contains("move it away by hand"), "{name}: {error}");
        }
        let after = fs::symlink_metadata(&path).unwrap();
        assert_eq!((before.ino(), before.len(), before.mtime_nsec()), (after.ino(), after.len(), after.mtime_nsec()));
        if after.is_symlink() || after.is_file() && after.len() > 0 {
            assert_eq!(fs::read(&path).unwrap(), b"somebody's letters", "{name}");
        }
    }
}

#[test]
fn a_segment_of_another_user_is_not_replaced() {
    let dir = runtime_dir();
    let (lock, writer) = create(dir.path());
    drop(writer);
    if std::os::unix::fs::chown(file(dir.path()), Some(sys::effective_uid() + 1), None).is_err() {
        // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
        let _ = std::io::stderr()
            .write_all("\nSKIPPED (may not give files away): a_segment_of_another_user_is_not_replaced\n".as_bytes());
        return;
    }
    for error in [lock.predecessor().unwrap_err(), lock.create(&plan(), identity()).unwrap_err()] {
        assert!(matches!(error, SegmentError::Foreign { .. }), "{error}");
    }
    Segment::open(dir.path(), "lane0").expect("a reader of the group may read it");
}

#[test]
fn a_second_engine_is_refused_and_the_first_unharmed() {
    let dir = runtime_dir();
    let (_lock, mut writer) = create(dir.path());
    let error = LaneLock::take(dir.path(), "lane0").unwrap_err();
    assert!(matches!(error, SegmentError::Taken { .. }), "{error}");
    assert!(error.to_string().contains("runtime_dir"), "{error}");
    writer.market.push(&words_of(0, 7).try_into().unwrap());
    writer.market.commit();
    let segment = Segment::open(dir.path(), "lane0").unwrap();
    assert!(segment.read_from(RingName::Market, 0, Rejoin::Latest).is_ready());
    LaneLock::take(dir.path(), "lane1").expect("another lane is free");
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let dir = runtime_dir();
    for (mode, safe) in [(0o700, true), (0o750, true), (0o770, false), (0o702, false), (0o777, false)] {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        match LaneLock::take(dir.path(), "lane0") {
            Ok(_) => assert!(safe, "{mode:o}"),
            Err(error @ SegmentError::UnsafeDirectory { .. }) => {
                assert!(!safe && error.to_string().contains("chmod go-w"), "{error}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    let link = dir.path().join("link");
    symlink(dir.path(), &link).unwrap();
    assert!(LaneLock::take(&link, "lane0").is_err(), "the directory itself must not be a link");
}

#[test]
fn a_lock_file_that_is_none_is_refused() {
    let dir = runtime_dir();
    let path = dir.path().join(lock_file("lane0"));
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(matches!(LaneLock::take(dir.path(), "lane0"), Err(SegmentError::Foreign { .. })));
    fs::remove_file(&path).unwrap();
    symlink("/dev/null", &path).unwrap();
    assert!(LaneLock::take(dir.path(), "lane0").is_err());
}

#[test]
fn names_that_are_no_lane_names_never_become_paths() {
    let dir = runtime_dir();
    for name in ["", "..", "../lane0", "a/b", "Lane", "a\0b"] {
        assert!(matches!(LaneLock::take(dir.path(), name), Err(SegmentError::Plan(_))), "{name:?}");
        assert!(matches!(Segment::open(dir.path(), name), Err(SegmentError::Plan(_))), "{name:?}");
    }
    let lock = LaneLock::take(dir.path(), "lane0").unwrap();
    let other = Plan { lane: "lane1".into(), ..plan() };
    assert!(matches!(lock.create(&other, identity()), Err(SegmentError::Plan(_))), "a lane under another's lock");
}

#[test]
fn a_full_file_system_is_told_before_anything_is_mapped() {
    let dir = runtime_dir();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "ticklane-test"])
        .arg(dir.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
        let _ = std::io::stderr().write_all(
            "\nSKIPPED (may not mount a tmpfs): a_full_file_system_is_told_before_anything_is_mapped\n".as_bytes(),
        );
        return;
    }
    let outcome = LaneLock::take(dir.path(), "lane0").map(|lock| (lock.create(&plan(), identity()), lock));
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let error = outcome.map(|(created, _lock)| created.map(drop));
    assert!(std::process::Command::new("umount").arg(dir.path()).status().unwrap().success());
    let error = error.unwrap().unwrap_err();
    assert!(matches!(error, SegmentError::NoRoom { .. }), "{error}");
    let bytes = Layout::of(&plan()).unwrap().bytes.to_string();
    assert!(error.to_string().contains(&bytes) && error.to_string().contains("orders_slots"), "{error}");
    assert_eq!(names, [lock_file("lane0").as_str()], "something half made stayed behind");
}

#[test]
fn a_session_that_is_being_written_is_not_told() {
    let dir = runtime_dir();
    let (_lock, writer) = create(dir.path());
    let mut feed = writer.feed(0);
    feed.set_name("a");
    feed.set_session(b"one             ", 0, 0);
    let segment = Segment::open(dir.path(), "lane0").unwrap();
    // As a writer would leave it that was killed between the two words of the session.
    let path = file(dir.path());
    let at = segment.layout().feeds as u64 + shm_abi::layout::feed::VERSION as u64 * 8;
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(&3u64.to_le_bytes(), at).unwrap();
    assert_eq!(segment.feed(0).unwrap().0.session, None);
    feed.set_session(b"two             ", 5, 6);
    assert_eq!(segment.feed(0).unwrap().0.session, Some(*b"two             "));
}

#[test]
fn instruments_come_back_as_they_went_in() {
    let dir = runtime_dir();
    let (_lock, mut writer) = create(dir.path());
    let segment = Segment::open(dir.path(), "lane0").unwrap();
    let directory = segment.directory();
    assert_eq!((directory.count(), directory.get(0)), (0, None));
    let share = Instrument { tick: 10_000_000, lot: 100, ..Instrument::equity(7, b"AAPL    ", b"XNAS") };
    let option = Instrument {
        kind: InstrumentKind::Option,
        quantity_decimals: 3,
        option_side: b'P',
        depth_class: 200,
        expiry_ns: 1_700_000_000_000_000_000,
        strike: -5,
        underlying: 7,
        provider_code: u64::MAX,
        provider_traits: std::array::from_fn(|i| i as u8),
        ..Instrument::equity(u32::MAX - 1, &[b'X'; 40], b"0123456789")
    };
    let bare = Instrument { depth_class: 0, ..Instrument::equity(0, b"", b"") };
    for (row, instrument) in [share, option, bare].iter().enumerate() {
        assert_eq!(writer.add_instrument(instrument), Ok(row));
        assert_eq!(directory.get(row).as_ref(), Some(instrument));
    }
    assert_eq!((directory.count(), writer.directory.count(), writer.board.rows()), (3, 3, 3));
    assert_eq!(directory.get(1).unwrap().symbol.as_str().len(), 32);
    assert_eq!(directory.get(0).unwrap().symbol.as_str(), "AAPL");
    writer.directory.set_provider_code(0, 99);
    assert_eq!(directory.get(0), Some(Instrument { provider_code: 99, ..share }));
    assert_eq!(directory.get(3), None);
}

#[test]
fn a_full_directory_and_a_spent_depth_budget_are_refused_unchanged() {
    let plan = Plan { instruments: 3, depth_bytes: 1024, ..plan() };
    let mut writer = LaneWriter::anonymous(&plan).unwrap();
    let with = |depth_class| Instrument { depth_class, ..Instrument::equity(1, b"A", b"X") };
    assert_eq!(writer.add_instrument(&with(7)), Err(DirectoryError::DepthClass(7)));
    assert_eq!(writer.add_instrument(&with(10)), Ok(0));
    assert_eq!(
        writer.add_instrument(&with(20)),
        Err(DirectoryError::DepthBudget { budget: 1024, left: 512, need: 1024 })
    );
    assert_eq!(writer.add_instrument(&with(10)), Ok(1));
    assert_eq!(writer.add_instrument(&with(0)), Ok(2));
    assert_eq!(writer.add_instrument(&with(0)), Err(DirectoryError::Full { limit: 3 }));
    assert_eq!(writer.reader().directory().count(), 3);
}

#[test]
fn a_hostile_directory_leads_nowhere() {
    let dir = runtime_dir();
    let (_lock, mut writer) = create(dir.path());
    writer.add_instrument(&Instrument::equity(7, b"AAPL", b"XNAS")).unwrap();
    let segment = Segment::open(dir.path(), "lane0").unwrap();
    let disk = fs::OpenOptions::new().write(true).open(file(dir.path())).unwrap();
    let set = |at: usize, value: u64| disk.write_all_at(&value.to_le_bytes(), at as u64).unwrap();
    set(live::DIRECTORY_COUNT, u64::MAX);
    assert_eq!(segment.directory().count(), plan().instruments);
    assert!(segment.directory().get(plan().instruments).is_none());
    let place = segment.layout().directory;
    let mut image = RowImage::default();
    let read = |image: &mut RowImage| segment.board().read(0, image, || true);
    read(&mut image).unwrap();
    for (index, value) in [
        (entry::DEPTH_AT, u64::MAX),
        (entry::DEPTH_AT, 1 << 16),
        (entry::DEPTH_AT, 4),
        (entry::TRAITS, 0x0007 << 32),
        (entry::TRAITS, 0xffff << 32),
    ] {
        set(place + index * 8, value);
        assert_eq!(read(&mut image), Err(RowError::NoSuchRow(0)), "word {index}: {value:x}");
        set(place + entry::DEPTH_AT * 8, 0);
        set(place + entry::TRAITS * 8, 10 << 32);
        read(&mut image).unwrap();
    }
    // Lengths beyond the class are cut to it.
    set(segment.layout().board + row::TOUCH * 8, u64::MAX);
    read(&mut image).unwrap();
    assert_eq!(image.window(Side::Bid).len(), 10);
    assert_eq!(image.window(Side::Ask).len(), 10);
}

#[test]
fn a_new_row_is_empty_and_not_zero() {
    let mut writer = LaneWriter::anonymous(&plan()).unwrap();
    let row = writer.add_instrument(&Instrument::equity(7, b"AAPL", b"XNAS")).unwrap();
    let board = writer.reader().board();
    let mut image = RowImage::default();
    board.read(row, &mut image, || true).unwrap();
    for side in [Side::Bid, Side::Ask] {
        assert_eq!((image.best(side), image.window(side).len()), (None, 0));
    }
    for field in [row::LAST_PRICE, row::OPEN, row::HIGH, row::LOW, row::CLOSE, row::PREVIOUS_CLOSE] {
        assert_eq!((image.price(field), image.word(field)), (None, PRICE_NONE as u64), "word {field}");
    }
    assert_eq!(image.word(row::OPEN_INTEREST), u64::MAX);
    assert_eq!(board.read(row + 1, &mut image, || true), Err(RowError::NoSuchRow(row + 1)));
}

#[test]
fn a_half_written_row_is_busy_while_its_writer_lives_and_dead_after() {
    let mut writer = LaneWriter::anonymous(&plan()).unwrap();
    let index = writer.add_instrument(&Instrument::equity(7, b"AAPL", b"XNAS")).unwrap();
    let segment = writer.reader();
    let mut image = RowImage::default();
    let mut update = writer.board.update(index);
    update.set_quote(Side::Bid, Level { price: 5, quantity: 6, orders: 7 });
    assert_eq!(segment.board().read(index, &mut image, || true), Err(RowError::Busy));
    assert_eq!(segment.board().read(index, &mut image, || false), Err(RowError::WriterDead));
    drop(update);
    segment.board().read(index, &mut image, || unreachable!("the row is whole")).unwrap();
    assert_eq!(image.best(Side::Bid), Some(Level { price: 5, quantity: 6, orders: 7 }));
}

#[test]
fn the_magic_reads_as_text() {
    assert_eq!(&MAGIC.to_le_bytes(), b"TICKLANE");
}
