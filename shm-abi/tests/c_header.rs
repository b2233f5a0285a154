//! `include/ticklane.h` against the Rust side: the constants are generated, the readers are compiled as C11 and as
//! C++17 and read a live segment. `TICKLANE_BLESS=1` writes the generated part anew.
#![cfg(not(any(loom, miri)))]
#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{plan, runtime_dir, span_words, words_of};
use shm_abi::board::{Level, ROW_RETRIES, RowImage};
use shm_abi::counters::{FeedCounter, JOURNAL_COUNTERS, JournalCounter, LANE_COUNTER_WORDS, LaneCounter};
use shm_abi::directory::{Instrument, InstrumentKind, xstream};
use shm_abi::layout::{
    DEPTH_BYTES_MAX, DEPTH_CLASSES, DIRECTORY_ENTRY_WORDS, FEED_WORDS, FEEDS_MAX, FLAG_REPLAY, HEADER_BYTES,
    HEARTBEAT_LIMIT_NS, INSTRUMENTS_MAX, LEVEL_WORDS, PROVIDER_TRAITS_BYTES, ROW_WORDS, SLOTS_MAX, SLOTS_MIN,
    STATIC_WORDS, State, entry, feed, header, layout_hash, live, row,
};
use shm_abi::record::{
    AnomalyCode, Head, INSTRUMENT_NONE, Imbalance, Indicative, NEWS_BYTES_MAX, NEWS_WORDS, PRICE_NONE, Record, Restart,
    Side, StatusCause, TradingStatus, VENUE_MESSAGE_MAX, clear_code, flag, gap_reason, imbalance_body, indicative_body,
    kind, news_body, official_code, restart_body, session_code, side, split_words, status_body, venue_message_body,
};
use shm_abi::ring::{
    CONTINUATION, LossReason, Polled, RECORD_WORDS_MAX, Rejoin, SEQUENCE_LIMIT, SKIP_WORD, SPAN_MAX, word0,
};
use shm_abi::segment::{Identity, LaneLock, LaneWriter, RingName, Segment, segment_file};
use shm_abi::slot::SLOT_WORDS;
use shm_abi::{ABI_VERSION, MAGIC, sys};

const BEGIN: &str = "/* BEGIN GENERATED */\n";
const END: &str = "/* END GENERATED */\n";

fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// `#define TL_<prefix><NAME> <value>` for constants of one family, under a heading.
fn defines(text: &mut String, heading: &str, prefix: &str, family: &[(&str, u64)]) {
    writeln!(text, "\n/* {heading} */").unwrap();
    let name = |name: &str| format!("TL_{prefix}{}", name.to_uppercase());
    let width = family.iter().map(|(text, _)| name(text).len()).max().unwrap_or(0);
    for (short, value) in family {
        // Small numbers as plain integers, so that they can size arrays and be compared with anything.
        let value = match value {
            0..=0x7fff_ffff => value.to_string(),
            _ => format!("UINT64_C(0x{value:016x})"),
        };
        writeln!(text, "#define {:<width$} {value}", name(short)).unwrap();
    }
}

macro_rules! family {
    ($path:ident { $($name:ident)* }) => { &[$((stringify!($name), $path::$name as u64)),*] };
}

/// Everything between the two marks of the header.
fn generated() -> String {
    let mut text = String::from("/* Written by tests/c_header.rs from the Rust constants. Do not edit. */\n");
    let sizes: &[(&str, u64)] = &[
        ("MAGIC", MAGIC),
        ("ABI_VERSION", ABI_VERSION),
        ("LAYOUT_HASH", layout_hash()),
        ("HEADER_BYTES", HEADER_BYTES as u64),
        ("STATIC_WORDS", STATIC_WORDS as u64),
        ("SLOT_WORDS", SLOT_WORDS as u64),
        ("SPAN_MAX", SPAN_MAX as u64),
        ("RECORD_WORDS_MAX", RECORD_WORDS_MAX as u64),
        ("CONTINUATION", CONTINUATION.into()),
        ("SKIP_WORD", SKIP_WORD as u64),
        ("SEQUENCE_LIMIT", SEQUENCE_LIMIT),
        ("SLOTS_MIN", SLOTS_MIN as u64),
        ("SLOTS_MAX", SLOTS_MAX as u64),
        ("INSTRUMENTS_MAX", INSTRUMENTS_MAX as u64),
        ("DEPTH_BYTES_MAX", DEPTH_BYTES_MAX as u64),
        ("LANE_COUNTER_WORDS", LANE_COUNTER_WORDS as u64),
        ("FEEDS_MAX", FEEDS_MAX as u64),
        ("FEED_WORDS", FEED_WORDS as u64),
        ("ENTRY_WORDS", DIRECTORY_ENTRY_WORDS as u64),
        ("ROW_WORDS", ROW_WORDS as u64),
        ("ROW_RETRIES", ROW_RETRIES as u64),
        ("LEVEL_WORDS", LEVEL_WORDS as u64),
        ("DEPTH_CLASS_MAX", DEPTH_CLASSES.into_iter().max().unwrap_or(0).into()),
        ("HEARTBEAT_LIMIT_NS", HEARTBEAT_LIMIT_NS),
        ("SEGMENT_REPLAY", FLAG_REPLAY),
        ("INSTRUMENT_NONE", INSTRUMENT_NONE.into()),
        ("PROVIDER_TRAITS_BYTES", PROVIDER_TRAITS_BYTES as u64),
        ("NEWS_BYTES_MAX", NEWS_BYTES_MAX as u64),
    ];
    defines(&mut text, "Version, sizes and limits.", "", sizes);
    let classes = DEPTH_CLASSES.map(|class| class.to_string()).join(", ");
    writeln!(text, "#define TL_DEPTH_CLASSES {{{classes}}}").unwrap();
    writeln!(text, "#define TL_PRICE_NONE    INT64_MAX").unwrap();
    writeln!(text, "#define TL_QUANTITY_NONE UINT64_MAX").unwrap();
    assert_eq!((PRICE_NONE, shm_abi::record::QUANTITY_NONE), (i64::MAX, u64::MAX));
    let words = family!(header {
        MAGIC ABI_VERSION LAYOUT_HASH SEGMENT_BYTES BOOT_ID EPOCH INCARNATION CREATED_NS WRITER_PID FLAGS LANE_NAME
        ORDERS_OFFSET ORDERS_SLOTS MARKET_OFFSET MARKET_SLOTS COUNTERS_OFFSET FEEDS_OFFSET FEEDS DIRECTORY_OFFSET
        INSTRUMENTS BOARD_OFFSET DEPTH_OFFSET DEPTH_BYTES OLD_EPOCH CHECKSUM
    });
    defines(&mut text, "Words of the header that are written once.", "HEADER_", words);
    let bytes = family!(live { STATE HEARTBEAT_NS ORDERS_HEAD MARKET_HEAD WAKE DIRECTORY_COUNT });
    defines(&mut text, "Bytes of the header's live words.", "LIVE_", bytes);
    defines(
        &mut text,
        "tl_state.",
        "STATE_",
        &[State::Recovering, State::Live, State::Closed].map(|s| (s.name(), s as u64)),
    );
    let words = family!(feed {
        VERSION NAME STATE SESSION SESSION_ORDERS_N SESSION_MARKET_N SEQUENCE COUNTERS
    });
    defines(&mut text, "Words of an entry of the feed table.", "FEED_", words);
    let words = family!(entry {
        INSTRUMENT_ID SYMBOL VENUE TRAITS TICK LOT DEPTH_AT EXPIRY_NS STRIKE UNDERLYING PROVIDER_CODE PROVIDER_TRAITS
    });
    defines(&mut text, "Words of a directory entry.", "ENTRY_", words);
    let words = family!(row {
        VERSION MARKET_N TS_EVENT BID_PRICE BID_QUANTITY ASK_PRICE ASK_QUANTITY TOUCH STATUS
        LAST_PRICE LAST_QUANTITY LAST_MATCH LAST_TS OPEN HIGH LOW CLOSE VOLUME TURNOVER_LOW TURNOVER_HIGH
        TRADES PREVIOUS_CLOSE OPEN_INTEREST
    });
    defines(
        &mut text,
        "Words of a board row. TOUCH: bits 0-23 orders at the best bid, 24-47 at the best ask, 48-55 levels in the window\n   \
         of bids, 56-63 of asks. STATUS: bits 0-7 TL_STATUS_*, 8-15 quality, 16-23 the venue's letter. Prices may be TL_PRICE_NONE.",
        "ROW_",
        words,
    );
    let kinds = family!(kind {
        ADD CANCEL MODIFY CLEAR FILL TRADE TRADE_BREAK QUOTE LEVEL STATUS IMBALANCE PRICE_BAND INSTRUMENT VENUE_MESSAGE
        GAP RESTART SKIP MARK ANOMALY OFFICIAL_PRICE INDICATIVE INDEX_VALUE NEWS
    });
    defines(&mut text, "Kinds of record.", "KIND_", kinds);
    let codes = family!(official_code { REFERENCE CLOSE OPEN });
    defines(&mut text, "Codes of official prices.", "OFFICIAL_", codes);
    let codes = family!(clear_code { DAY BOOK });
    defines(&mut text, "Codes of clear records: the day begins anew; only the book is emptied.", "CLEAR_", codes);
    let reasons = family!(gap_reason {
        SKIPPED_AT_LOGIN UNFILLED NO_SERVER OVERFLOW JUMP ABANDONED IMAGED JOINED_LATE RECORDING
    });
    defines(&mut text, "Reasons of gap records.", "GAP_", reasons);
    let codes = family!(session_code { UP DOWN ENDED SUSPECT IMAGE });
    defines(&mut text, "The venue's letter of a status record about the session.", "SESSION_", codes);
    let starts = &[
        ("ISIN", xstream::ISIN),
        ("BOARD", xstream::BOARD),
        ("SECTOR", xstream::SECTOR),
        ("CLASS", xstream::CLASS),
        ("CURRENCY", xstream::CURRENCY),
        ("LISTING_TYPE", xstream::LISTING_TYPE),
        ("MARKET_TYPE", xstream::MARKET_TYPE),
        ("PRICE_TYPE", xstream::PRICE_TYPE),
        ("NAME", xstream::NAME),
        ("MARK", xstream::MARK..xstream::MARK + 1),
    ]
    .map(|(name, range)| (name, range.start as u64));
    defines(
        &mut text,
        "First byte of attributes of X-stream venues in provider_traits; 'X' stands at MARK.",
        "XSTREAM_",
        starts,
    );
    let flags = family!(flag { LAST VOLUME_ONLY SNAPSHOT SUSPECT NOT_PRINTED HIDDEN RECV_USER RECV_COALESCED });
    defines(
        &mut text,
        "Flags of a record: last of its venue event in this ring; a trade that is volume and no last price; part of an\n   \
         image; its book is not whole; a trade that is no volume; against a hidden order; ts_recv taken in user space; one ts_recv for several messages.",
        "FLAG_",
        flags,
    );
    let statuses: Vec<_> = (0..=7).map(|code| (TradingStatus::from_code(code).name(), code.into())).collect();
    defines(&mut text, "Trading status.", "STATUS_", &statuses);
    let codes: Vec<_> = (0..=9).map(|code| (AnomalyCode::from_code(code).name(), code.into())).collect();
    defines(&mut text, "Codes of anomaly records.", "ANOMALY_", &codes);
    let kinds = family!(InstrumentKind { Unknown Equity Index Future Option Bond Currency Test });
    defines(&mut text, "Kinds of instrument.", "INSTRUMENT_", kinds);
    let counters: Vec<_> = LaneCounter::ALL.iter().map(|counter| (counter.name(), *counter as u64)).collect();
    defines(&mut text, "Counters of a lane, for tl_counter.", "COUNTER_", &counters);
    let counters: Vec<_> = JournalCounter::ALL
        .iter()
        .map(|counter| (counter.name(), (JOURNAL_COUNTERS + *counter as usize) as u64))
        .collect();
    defines(&mut text, "Counters of a lane's journal, for tl_counter.", "COUNTER_", &counters);
    let counters: Vec<_> = FeedCounter::ALL.iter().map(|counter| (counter.name(), *counter as u64)).collect();
    defines(&mut text, "Counters of a feed, in words from TL_FEED_COUNTERS on.", "FEED_COUNTER_", &counters);
    text
}

#[test]
fn the_generated_part_of_the_header_is_what_the_rust_side_says() {
    let path = manifest("include/ticklane.h");
    let header = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = header.split_once(BEGIN).expect("the begin mark");
    let (old, after) = rest.split_once(END).expect("the end mark");
    let new = generated();
    if std::env::var_os("TICKLANE_BLESS").is_some() {
        std::fs::write(path, [before, BEGIN, &new, END, after].concat()).unwrap();
    } else {
        assert!(old == new, "include/ticklane.h is out of date: run this test with TICKLANE_BLESS=1");
    }
}

/// The two programs: the C reader compiled as C11 and as C++17, every warning an error.
fn programs(dir: &Path) -> Vec<PathBuf> {
    let compile = |compiler: &str, arguments: &[&str], name: &str| {
        let program = dir.join(name);
        let output = Command::new(compiler)
            .args(arguments)
            .args(["-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
            .arg(manifest("include"))
            .arg(manifest("tests/c/reader.c"))
            .arg("-o")
            .arg(&program)
            .output()
            .unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
        program
    };
    vec![compile("cc", &["-std=c11"], "reader-c"), compile("c++", &["-std=c++17", "-x", "c++"], "reader-cpp")]
}

fn run(program: &Path, segment: &Path, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(program).arg(segment).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What the C program should print for `reader ring from [oldest]`: the same ring through the Rust reader.
fn expected(segment: &Segment, ring: RingName, from: Option<u64>, rejoin: Rejoin) -> Vec<String> {
    let mut reader = match from {
        Some(n) => segment.read_from(ring, n, rejoin),
        None => segment.join(ring, rejoin),
    };
    let mut lines = Vec::new();
    loop {
        match reader.poll() {
            Polled::Empty => break,
            Polled::Record { n, words } => {
                let head = Record::new(n, words).unwrap().head;
                let hex: String = words.iter().map(|word| format!(" {word:016x}")).collect();
                let Head { kind, flags, side_or_code, instrument_id, venue_sequence_low, .. } = head;
                lines.push(format!(
                    "record {n}{hex} | {} {flags} {side_or_code} {instrument_id} {venue_sequence_low}",
                    kind as char
                ));
            }
            Polled::Lost(lost) => {
                let reason = match lost.reason {
                    LossReason::Lapped => 0,
                    LossReason::Skipped => 1,
                    LossReason::Malformed => 2,
                };
                lines.push(format!("lost {} {} {reason}", lost.first, lost.last));
            }
        }
    }
    lines.push(format!("cursor {} head {}", reader.cursor(), reader.head()));
    lines
}

/// One record of every kind, and what no writer writes, as one event each.
fn write_every_kind(writer: &mut LaneWriter) {
    let head = |kind: u8, side_or_code: u8| Head {
        kind,
        flags: flag::LAST,
        span: 1,
        side_or_code,
        instrument_id: 7,
        ts_event: 1_700_000_000_000_000_001,
        ts_recv: 1_700_000_000_000_000_002,
        publish_delay_ns: 345,
        venue_sequence_low: 0xfedc_ba98,
    };
    let [s0, s1] = split_words(b"       session1 ");
    let imbalance = Imbalance {
        paired: 1,
        imbalance: 2,
        reference_price: 3,
        far_price: PRICE_NONE,
        near_price: -4,
        letters: *b"BOL",
    };
    let restart = Restart { old_epoch: 9, old_end: 10, session: *b"       session1 ", venue_sequence: 11, reason: 1 };
    let mut message = [0; 1 + VENUE_MESSAGE_MAX / 8];
    let used = venue_message_body(b"a message of the venue, verbatim, of 50 bytes, ok.", &mut message);
    let indicative = Indicative { price: 1, quantity: 2, best_bid: PRICE_NONE, best_offer: 4 };
    let mut news = [0; NEWS_WORDS];
    let news_used = news_body(77, 0, 1, false, "DSE\0a title\0a reference\0a text of some length", &mut news);
    let bodies: &[(u8, u8, &[u64])] = &[
        (kind::ADD, side::BID, &[1 << 63, -5i64 as u64, u64::MAX]),
        (kind::CANCEL, side::ASK, &[1, 2, 3]),
        (kind::MODIFY, side::ASK, &[1, 2, 3]),
        (kind::FILL, side::BID, &[1, 2, 3]),
        (kind::CLEAR, side::NONE, &[0, 0, 0]),
        (kind::TRADE, b'O', &[1, 2, 3]),
        (kind::TRADE_BREAK, side::NONE, &[1, PRICE_NONE as u64, u64::MAX]),
        (kind::QUOTE, side::BID, &[PRICE_NONE as u64, 0, 0]),
        (kind::LEVEL, side::BID, &[1, 2, 3 | 4 << 32]),
        (kind::STATUS, TradingStatus::Halted as u8, &status_body(StatusCause::TradingAction, b'H', *b"T1      ")),
        (kind::IMBALANCE, side::NONE, &imbalance_body(&imbalance)),
        (kind::PRICE_BAND, side::NONE, &[1, 2, 3]),
        (kind::INSTRUMENT, side::NONE, &[0, 10, 13]),
        (kind::VENUE_MESSAGE, side::NONE, &message[..used]),
        (kind::GAP, side::NONE, &[1, 2, 2]),
        (kind::RESTART, side::NONE, &restart_body(&restart)),
        (kind::MARK, side::NONE, &[1 << 40, s0, s1]),
        (kind::ANOMALY, AnomalyCode::Overfill as u8, &[1, 2, 3]),
        (kind::OFFICIAL_PRICE, official_code::CLOSE, &[1, 0, 0]),
        (kind::INDICATIVE, b'O', &indicative_body(&indicative)),
        (kind::INDEX_VALUE, side::NONE, &[1, 0, 0]),
        (kind::NEWS, side::NONE, &news[..news_used]),
        (b'?', 0, &[1, 2, 3]),
    ];
    for (kind, code, body) in bodies {
        writer.market.push_span(&[&head(*kind, *code).words()[..], body].concat());
        writer.market.commit();
    }
    // Declared, not delivered: a span of nothing, a continuation of another record, a skip to nowhere.
    for words in [
        [word0(b'A', 0, 0, 0, 1), 0, 0, 0, 0, 0, 0],
        [word0(b'A', 0, 65, 0, 1), 0, 0, 0, 0, 0, 0],
        [word0(b'A', 0, CONTINUATION | 3, 0, 1), 0, 0, 0, 0, 0, 0],
        [word0(kind::SKIP, 0, 1, 0, 1), 0, 0, 0, 3, 0, 0],
        [word0(b'A', 0, 2, 0, 1), 0, 0, 0, 0, 0, 0],
        [word0(b'A', 0, CONTINUATION | 9, 0, 1), 0, 0, 0, 0, 0, 0],
    ] {
        writer.market.push(&words);
        writer.market.commit();
    }
    // A skip over 4 numbers, at the end of what is written.
    let next = writer.market.next_number() + 4;
    writer.market.push(&[word0(kind::SKIP, 0, 1, 0, 1), 0, 0, 0, next, 0, 0]);
    writer.market.commit();
    writer.publish_heads();
}

fn expected_rows(segment: &Segment) -> Vec<String> {
    let identity = segment.identity();
    let mut lines = vec![
        format!("epoch {} {} {}", identity.epoch, identity.incarnation, identity.old_epoch),
        format!("state {} alive 1", segment.state().unwrap() as u64),
        format!("counter {}", segment.counters().lane(LaneCounter::Published)),
    ];
    let (directory, board, mut image) = (segment.directory(), segment.board(), RowImage::default());
    for index in 0..directory.count() {
        let i = directory.get(index).unwrap();
        let traits: String = i.provider_traits.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push(format!(
            "entry {index} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {traits}",
            i.instrument_id,
            i.symbol,
            i.venue,
            i.kind as u8,
            i.price_decimals,
            i.quantity_decimals,
            i.option_side,
            i.depth_class,
            i.tick,
            i.lot,
            i.expiry_ns,
            i.strike,
            i.underlying,
            i.provider_code
        ));
        board.read(index, &mut image, || true).unwrap();
        let words: String = (0..ROW_WORDS).map(|field| format!(" {:016x}", image.word(field))).collect();
        lines.push(format!("row {index} error 0{words}"));
        for side in [Side::Bid, Side::Ask] {
            for (position, level) in image.window(side).enumerate() {
                let Level { price, quantity, orders } = level;
                lines.push(format!("level {} {position} {price} {quantity} {orders}", side.index()));
            }
        }
    }
    lines.push(format!("entry {} error -7", directory.count()));
    lines
}

#[test]
fn c_and_cpp_read_what_rust_reads() {
    let dir = runtime_dir();
    let lock = LaneLock::take(dir.path(), "lane0").unwrap();
    let identity = Identity { old_epoch: 5, ..Identity::random(5).unwrap() };
    let mut writer = lock.create(&plan(), identity).unwrap();
    let option = Instrument {
        kind: InstrumentKind::Option,
        quantity_decimals: 3,
        option_side: b'P',
        depth_class: 5,
        tick: 10_000_000,
        lot: 100,
        expiry_ns: 1_700_000_000_000_000_000,
        strike: -5,
        underlying: 7,
        provider_code: u64::MAX,
        provider_traits: std::array::from_fn(|i| i as u8 ^ 0x80),
        ..Instrument::equity(u32::MAX - 1, &[b'X'; 32], b"01234567")
    };
    writer.add_instrument(&Instrument::equity(7, b"AAPL", b"XNAS")).unwrap();
    writer.add_instrument(&option).unwrap();
    {
        let mut update = writer.board.update(1);
        for side in [Side::Bid, Side::Ask] {
            for position in 0..4 + side.index() {
                let level = Level { price: -7 * position as i64, quantity: 1 << 60, orders: position as u32 };
                update.insert_level(side, position, level);
            }
            update.set_quote(side, Level { price: 3, quantity: 4, orders: 5 });
        }
        update.set(row::TURNOVER_HIGH, u64::MAX);
        update.set(row::MARKET_N, 12);
    }
    write_every_kind(&mut writer);
    // The orders ring has lapped a reader that starts at 0, and holds long records.
    for round in 0..600u64 {
        let span = [1, 3, 1, 64, 2][round as usize % 5];
        writer.orders.push_span(&words_of(writer.orders.next_number(), span_words(span)));
        writer.orders.commit();
    }
    writer.publish_heads();
    writer.counters.add(LaneCounter::Published, 619);
    writer.set_state(State::Live);

    let segment = Segment::open(dir.path(), "lane0").unwrap();
    let path = dir.path().join(segment_file("lane0"));
    let lapped = expected(&segment, RingName::Orders, Some(0), Rejoin::Oldest);
    assert!(lapped[0].starts_with("lost 0 ") && lapped.len() > 10, "the table shows no lap");
    let programs = programs(dir.path());
    for singles in [0, 800] {
        // With nothing but records of one slot in reach, a rejoining reader stands at exactly one place.
        for _ in 0..singles {
            writer.orders.push(&words_of(writer.orders.next_number(), SLOT_WORDS).try_into().unwrap());
            writer.orders.commit();
        }
        writer.publish_heads();
        for program in &programs {
            compare(program, &path, &segment);
            writer.heartbeat(sys::monotonic_ns() + 3_600_000_000_000);
            assert_eq!(run(program, &path, &["rows"]), expected_rows(&segment));
            writer.heartbeat(0);
            assert!(run(program, &path, &["rows"])[1].ends_with("alive 0"));

            // A row that its dead writer has left half written; whole again when the update is dropped.
            let update = writer.board.update(0);
            assert!(run(program, &path, &["rows"]).contains(&"row 0 error -9".to_owned()));
            drop(update);
        }
    }
}

/// Both rings, from the start and joined, through the C program and through Rust.
fn compare(program: &Path, path: &Path, segment: &Segment) {
    use {Rejoin::*, RingName::*};
    let table: [(&[&str], RingName, Option<u64>, Rejoin); 6] = [
        (&["market", "0"], Market, Some(0), Latest),
        (&["market", "join", "oldest"], Market, None, Oldest),
        (&["market", "join"], Market, None, Latest),
        (&["orders", "0"], Orders, Some(0), Latest),
        (&["orders", "0", "oldest"], Orders, Some(0), Oldest),
        (&["orders", "18446744073709551615"], Orders, Some(u64::MAX), Latest),
    ];
    for (arguments, ring, from, rejoin) in table {
        assert_eq!(run(program, path, arguments), expected(segment, ring, from, rejoin), "{arguments:?}");
    }
}

#[test]
fn c_and_cpp_refuse_what_rust_refuses() {
    use std::os::unix::fs::FileExt;
    let dir = runtime_dir();
    let lock = LaneLock::take(dir.path(), "lane0").unwrap();
    let writer = lock.create(&plan(), Identity::random(0).unwrap()).unwrap();
    let path = dir.path().join(segment_file("lane0"));
    let whole = std::fs::read(&path).unwrap();
    let changed = |word: usize, value: u64, repair: bool| {
        let mut bytes = whole.clone();
        bytes[word * 8..][..8].copy_from_slice(&value.to_le_bytes());
        if repair {
            let words: Vec<u64> =
                bytes[..header::CHECKSUM * 8].chunks(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect();
            let sum = shm_abi::layout::fnv_words(&words);
            bytes[header::CHECKSUM * 8..][..8].copy_from_slice(&sum.to_le_bytes());
        }
        bytes
    };
    let table = [
        ("whole", whole.clone(), None),
        ("empty", Vec::new(), Some(-3)),
        ("foreign", vec![1; 8192], Some(-3)),
        ("version", changed(header::ABI_VERSION, 2 << 32, true), Some(-4)),
        ("layout", changed(header::LAYOUT_HASH, 1, true), Some(-4)),
        ("checksum", changed(header::EPOCH, 0, false), Some(-5)),
        ("slots", changed(header::ORDERS_SLOTS, 1 << 60, true), Some(-5)),
        ("instruments", changed(header::INSTRUMENTS, u64::MAX, true), Some(-5)),
        ("offset", changed(header::BOARD_OFFSET, 0, true), Some(-5)),
        ("cut short", whole[..whole.len() - 4096].to_vec(), Some(-5)),
        ("boot", changed(header::BOOT_ID, 1, true), Some(-6)),
    ];
    drop(writer);
    for program in programs(dir.path()) {
        for (name, bytes, want) in &table {
            let file = std::fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
            file.write_all_at(bytes, 0).unwrap();
            let lines = run(&program, &path, &["rows"]);
            match want {
                None => assert!(lines[0].starts_with("epoch "), "{name}: {lines:?}"),
                Some(code) => assert!(lines[0].starts_with(&format!("error {code}:")), "{name}: {lines:?}"),
            }
            if *name == "version" {
                assert!(lines[0].ends_with(&format!("found 200000000 {:x}", layout_hash())), "{lines:?}");
            }
        }
        assert!(run(&program, &dir.path().join("nothing"), &["rows"])[0].starts_with("error -1:"));
        let link = dir.path().join("link");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(run(&program, &link, &["rows"])[0].starts_with("error -3:"));
        assert!(run(&program, dir.path(), &["rows"])[0].starts_with("error -3:"));
    }
}
