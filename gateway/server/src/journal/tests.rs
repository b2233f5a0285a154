//! Readings against recordings of a few records: what a reading gives, and what it makes of epochs, void ends and holes.

use std::path::Path;
use std::sync::Arc;

use gateway_core::replay::{Batch, End, Failure, OldEpoch, Piece, Start, Step, Wanted};
use journal::disk::{FsFolder, drive};
use journal::format::HoleReason;
use journal::writer::{Now, Source};
use journal::{JournalConfig as Limits, Writer, recover};
use shm_abi::board::Level;
use shm_abi::directory::Instrument;
use shm_abi::record::{Head, INSTRUMENT_NONE, Restart, flag, kind, restart_body, restart_reason, side};
use shm_abi::segment::{Identity, RingName};

use super::pool::Counts;
use super::scan::{Kinds, Scan, Slice};

/// When the recordings begin, ns since the UNIX epoch. The record with number n is published n ms later.
pub(crate) const BEGIN_NS: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;
const WHOLE: Slice = Slice { events: 1000, records: 1000 };

/// One record of a recording.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Line {
    /// Instrument, and whether its event is over.
    Trade(u32, bool),
    /// Instrument, side code, price; the event is over with it or not.
    Quote(u32, u8, i64, bool),
    /// Old epoch and its end.
    Restart(u64, u64),
    /// So many numbers.
    Hole(u64, HoleReason),
}

fn words(line: Line, n: u64) -> Option<Vec<u64>> {
    let (kind, id, code, last, body) = match line {
        Line::Trade(id, last) => (kind::TRADE, id, b'B', last, [n, 5_000_000_000, 7]),
        Line::Quote(id, side, price, last) => (kind::QUOTE, id, side, last, [price as u64, 10, 1]),
        Line::Restart(..) => (kind::RESTART, INSTRUMENT_NONE, side::NONE, true, [0; 3]),
        Line::Hole(..) => return None,
    };
    let head = Head {
        kind,
        flags: if last { flag::LAST } else { 0 },
        span: if kind == kind::RESTART { 2 } else { 1 },
        side_or_code: code,
        instrument_id: id,
        ts_event: BEGIN_NS + n * MS,
        ts_recv: BEGIN_NS + n * MS,
        publish_delay_ns: 0,
        venue_sequence_low: n as u32,
    };
    let mut words = head.words().to_vec();
    match line {
        Line::Restart(old_epoch, old_end) => {
            let reason = restart_reason::ENGINE;
            let restart = Restart { old_epoch, old_end, session: [b' '; 16], venue_sequence: 0, reason };
            words.extend(restart_body(&restart));
            words.resize(13, 0);
        }
        _ => words.extend(body),
    }
    Some(words)
}

/// Appends an epoch to the journal of a folder. Instruments: their ids and symbols, at XNAS. Returns the numbers.
pub(crate) fn record(folder: &Path, epoch: u64, instruments: &[(u32, &str)], lines: &[Line]) -> Vec<u64> {
    let mut disk = FsFolder::new(folder);
    disk.make().unwrap();
    let recovered = recover(Arc::new(FsFolder::new(folder)), "lane0").unwrap();
    let directory: Vec<Instrument> =
        instruments.iter().map(|(id, symbol)| Instrument::equity(*id, symbol.as_bytes(), b"XNAS")).collect();
    let identity = Identity { epoch, incarnation: epoch, old_epoch: 0, flags: 0 };
    let source = Source { identity, directory, first: [0, 0] };
    let now = Now { unix_ns: BEGIN_NS, monotonic_ns: 1 };
    let mut writer = Writer::new(Limits::default(), "lane0", &recovered, source, now).unwrap();
    let (mut n, mut numbers) = (0, Vec::new());
    for line in lines {
        numbers.push(n);
        match (words(*line, n), line) {
            (Some(words), _) => {
                assert!(writer.push(RingName::Market, n, &words));
                n += 1 + (words.len() as u64 - 7) / 6;
            }
            (None, Line::Hole(count, reason)) => {
                writer.lost(RingName::Market, n, n + count - 1, *reason);
                n += count;
            }
            (None, _) => unreachable!("only holes have no words"),
        }
        drive(&mut writer, &mut disk, now);
    }
    writer.finish();
    drive(&mut writer, &mut disk, now);
    assert!(writer.is_finished());
    numbers
}

fn wanted(id: u32, symbol: &str) -> Wanted {
    Wanted { id, symbol: symbol.into(), venue: "XNAS".into() }
}

fn scan(folder: &Path, start: Start) -> Scan {
    Scan::new(folder.into(), Kinds::Trades, start, None, vec![wanted(1, "A"), wanted(2, "B")])
}

/// Numbers of records by place, holes and steps.
fn told(batch: &Batch) -> Vec<String> {
    let text = |piece| match piece {
        Piece::Step(Step { epoch, seq, old: None, .. }) => format!("{epoch}.{seq}"),
        Piece::Step(Step { epoch, seq, old: Some(OldEpoch { epoch: old, drained_to, end }), .. }) => {
            format!("{old}..{drained_to}/{end:?} {epoch}.{seq}")
        }
        Piece::Record { wanted, n, .. } => format!("{wanted}:{n}"),
        Piece::Hole { first, last } => format!("{first}-{last}"),
        Piece::Last { n, .. } => format!("last {n}"),
        Piece::Quote { quote, .. } => {
            let price = |level: Option<Level>| level.map_or(0, |level| level.price);
            let (known, quote) = (if quote.known { "" } else { "?" }, quote.quote);
            format!("{}/{}/{}{known}", price(quote.bid), price(quote.ask), quote.trades)
        }
    };
    (0..batch.len()).map(|at| text(batch.get(at).unwrap())).collect()
}

const ABC: [(u32, &str); 3] = [(1, "A"), (2, "B"), (3, "C")];

#[test]
fn whole_events_across_epochs_and_what_is_void_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let trade = |id| Line::Trade(id, true);
    // The last event of epoch 7 was never finished.
    record(
        dir.path(),
        7,
        &ABC,
        &[trade(1), trade(3), trade(2), Line::Trade(1, false), trade(1), Line::Trade(2, false)],
    );
    // Ids have changed: A is 2 now.
    let lines = [Line::Restart(7, 5), trade(2), trade(1), trade(2)];
    let numbers = record(dir.path(), 8, &[(2, "A"), (5, "B"), (1, "C")], &lines);
    let counts = Counts::default();
    let mut reading = scan(dir.path(), Start::After { epoch: 7, seq: 0 });
    let batch = reading.next(WHOLE, &counts);
    let want = [
        "7.0".into(),
        "1:2".into(),
        "0:3".into(),
        "0:4".into(),
        "7..5/Some(5) 8.0".into(),
        format!("0:{}", numbers[1]),
        format!("0:{}", numbers[3]),
    ];
    assert_eq!((told(&batch), batch.end, batch.seq), (want.to_vec(), End::Reached, numbers[3]));
    // The same in the smallest pieces.
    let (mut reading, mut pieces) = (scan(dir.path(), Start::After { epoch: 7, seq: 0 }), Vec::new());
    loop {
        let batch = reading.next(Slice { events: 1, records: 1 }, &counts);
        pieces.extend(told(&batch));
        if batch.end == End::Reached {
            break;
        }
    }
    assert_eq!(pieces, want);
    assert_eq!(reading.position(), (8, numbers[3]));
    // A client that knows more of epoch 7 than is valid is told that its end is void.
    let batch = scan(dir.path(), Start::After { epoch: 7, seq: 5 }).next(WHOLE, &counts);
    assert_eq!(told(&batch)[..2], ["7.5", "7..6/Some(5) 8.0"]);
    let batch = scan(dir.path(), Start::After { epoch: 7, seq: 9 }).next(WHOLE, &counts);
    assert_eq!(told(&batch)[0], "7..10/Some(5) 8.0", "and more than the journal has");
}

#[test]
fn holes_and_what_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let counts = Counts::default();
    let from = |epoch, seq| scan(dir.path(), Start::After { epoch, seq }).next(WHOLE, &counts);
    assert_eq!(from(7, 3).end, End::Failed(Failure::UnknownEpoch));
    let lines = [
        Line::Trade(1, true),
        Line::Hole(3, HoleReason::DiskSlow),
        Line::Trade(2, true),
        Line::Hole(4, HoleReason::Skipped),
        Line::Trade(1, true),
    ];
    record(dir.path(), 7, &ABC, &lines);
    let batch = from(7, 0);
    assert_eq!((told(&batch), batch.seq), (vec!["7.0".into(), "1-3".into(), "1:4".into(), "0:9".into()], 9));
    assert_eq!(from(6, 0).end, End::Failed(Failure::UnknownEpoch));
    // Ahead of what is recorded: it may come.
    assert_eq!((from(7, 500).end, from(7, 500).len()), (End::Reached, 0));
    let time = |ns| scan(dir.path(), Start::Time(ns)).next(WHOLE, &counts);
    assert_eq!(told(&time(BEGIN_NS + 2 * MS)), ["7.3", "1:4", "0:9"]);
    assert_eq!(told(&time(BEGIN_NS + 999 * MS)), ["7.9"]);
    // Not a folder that can be read.
    std::fs::write(dir.path().join("file"), "").unwrap();
    let batch = scan(&dir.path().join("file"), Start::Time(0)).next(WHOLE, &counts);
    assert_eq!(batch.end, End::Failed(Failure::Unreadable));
    assert_eq!(counts.errors.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// What a reading of quotes gives: best bid, best ask and trades where it begins, with `?` where they are not known.
fn quotes(folder: &Path, start: Start, lookback: u64, slice: Slice) -> Vec<String> {
    let kinds = Kinds::WholeQuotes { lookback };
    let mut reading = Scan::new(folder.into(), kinds, start, None, vec![wanted(1, "A"), wanted(2, "B")]);
    let mut all = Vec::new();
    loop {
        let batch = reading.next(slice, &Counts::default());
        all.extend(told(&batch));
        if batch.end == End::Reached {
            return all;
        }
        assert_eq!(batch.end, End::More);
    }
}

const SMALL: Slice = Slice { events: 1, records: 1 };
const ALL: u64 = 1 << 20;

#[test]
fn quotes_as_they_were_before_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (bid, ask) = (side::BID, side::ASK);
    let lines = [
        Line::Trade(1, true),
        Line::Quote(1, bid, 50, true),
        // One event: its middle is another time than its end.
        Line::Quote(2, bid, 40, false),
        Line::Quote(2, ask, 60, true),
        Line::Quote(1, bid, 51, false),
        // It ends with a record about which no quote cares.
        Line::Trade(3, true),
        Line::Trade(2, true),
    ];
    record(dir.path(), 7, &ABC, &lines);
    let time = |n: u64| Start::Time(BEGIN_NS + n * MS);
    for slice in [WHOLE, SMALL] {
        let from = |n| quotes(dir.path(), time(n), ALL, slice);
        let begin = ["0/0/0", "0/0/0", "7.0", "0:0", "0:1", "1:2", "1:3", "0:4", "last 5", "1:6"];
        assert_eq!(from(0), begin);
        assert_eq!(from(2)[..4], ["50/0/1", "0/0/0", "7.1", "1:2"]);
        // In the middle of an event: all of it is told.
        assert_eq!(from(3)[..4], ["50/0/1", "0/0/0", "7.1", "1:2"]);
        assert_eq!(from(4)[..5], ["50/0/1", "40/60/0", "7.3", "0:4", "last 5"]);
        assert_eq!(from(99), ["51/0/1", "40/60/1", "7.6"], "nothing is there yet");
    }
    // So far back and no further: what was before is not known.
    assert_eq!(quotes(dir.path(), time(4), 3, WHOLE)[..3], ["50/0/0?", "40/60/0?", "7.3"]);
    assert_eq!(quotes(dir.path(), time(4), 1, WHOLE)[..3], ["0/0/0?", "0/60/0?", "7.3"]);
    // A reading that goes on asks for no quotes: whoever asks has them.
    assert_eq!(quotes(dir.path(), Start::After { epoch: 7, seq: 3 }, ALL, WHOLE), ["7.3", "0:4", "last 5", "1:6"]);
}

#[test]
fn quotes_go_on_from_one_epoch_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let lines = [Line::Quote(1, side::BID, 50, true), Line::Quote(2, side::BID, 40, true), Line::Trade(1, false)];
    record(dir.path(), 7, &ABC, &lines);
    let ids = [(2, "A"), (5, "B")];
    let lines = [Line::Restart(7, 2), Line::Quote(2, side::ASK, 60, true), Line::Hole(3, HoleReason::DiskSlow)];
    let numbers = record(dir.path(), 8, &ids, &lines);
    // The third says that more of the second was published than is recorded.
    record(dir.path(), 9, &ids, &[Line::Restart(8, 99), Line::Quote(5, side::ASK, 70, true)]);
    for slice in [WHOLE, SMALL] {
        // Epochs begin at the same time: the last place of epoch 8 is the first of that time.
        let from = |n| quotes(dir.path(), Start::Time(BEGIN_NS + n * MS), ALL, slice);
        let all = from(0);
        assert_eq!(all[..5], ["0/0/0", "0/0/0", "7.0", "0:0", "1:1"]);
        let (ask, hole) = (format!("0:{}", numbers[1]), format!("{}-{}", numbers[2], numbers[2] + 2));
        assert_eq!(all[5..8], ["7..2/Some(2) 8.0".to_string(), ask, hole]);
        // What was never finished in epoch 7 is void: A has no trade, and goes on under another id.
        assert_eq!(from(2)[..4], ["50/0/0", "40/0/0", "7.1", "7..2/Some(2) 8.0"]);
        assert_eq!(from(99)[..3], ["50/60/0?", "40/70/0?", "9.2"]);
    }
    // Two numbers before the end of the third lies its beginning; then it is asked for the second.
    assert_eq!(quotes(dir.path(), Start::Time(BEGIN_NS + 99 * MS), 3, WHOLE)[..2], ["0/0/0?", "0/70/0?"]);
}
