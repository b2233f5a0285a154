//! What becomes of each record: actions, sides, flags, and what is counted instead of written.

use journal::export::{ExportError, Exporter, Schema};
use shm_abi::record::{
    Anomaly, AnomalyCode, HEAD_WORDS, Head, INSTRUMENT_NONE, PRICE_NONE, QUANTITY_NONE, Record, Restart, StatusCause,
    clear_code, flag, kind, restart_body, restart_reason, session_code, side, status_body, trade_code,
};
use shm_abi::segment::RingName;

use crate::common::{Words, dbn, export, head, instruments, order, words};

/// Letters of the rows of an mbo file, with `*` behind those that end their event.
fn letters(bytes: &[u8], record_bytes: usize, action_at: usize, flags_at: usize) -> String {
    let start = 8 + u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let records = bytes[start..].chunks_exact(record_bytes);
    let letter = |record: &[u8]| {
        let action = char::from(record[action_at]);
        if record[flags_at] & 0x80 == 0 { action.to_string() } else { format!("{action}*") }
    };
    records.map(letter).collect::<Vec<_>>().join(" ")
}

fn mbo(records: &[Words]) -> (String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.dbn");
    export(&path, &dbn(Schema::Orders), records);
    let bytes = std::fs::read(path).unwrap();
    (letters(&bytes, 56, 38, 36), bytes)
}

fn plain(kind: u8, code: u8, flags: u8) -> Words {
    words(head(kind, code, flags), &[1, 10, 5])
}

const LAST: u8 = flag::LAST;

#[test]
fn actions_are_those_of_the_venue_messages() {
    let order = |kind, flags| plain(kind, side::BID, flags);
    let table: &[(&str, &[Words], &str)] = &[
        ("A", &[order(kind::ADD, LAST)], "A*"),
        ("X, D", &[order(kind::CANCEL, LAST)], "C*"),
        ("U", &[order(kind::CANCEL, 0), order(kind::ADD, LAST)], "C A*"),
        ("E", &[order(kind::TRADE, 0), order(kind::FILL, 0), order(kind::CANCEL, LAST)], "T F C*"),
        ("C, not printed", &[order(kind::FILL, 8), order(kind::CANCEL, LAST | 8)], "F C*"),
        ("P", &[plain(kind::TRADE, side::NONE, LAST | flag::HIDDEN)], "T*"),
        ("amended in place", &[order(kind::MODIFY, LAST)], "M*"),
        ("cleared", &[plain(kind::CLEAR, side::NONE, LAST)], "R*"),
        ("an anomaly ends the event", &[order(kind::CANCEL, 0), plain(kind::ANOMALY, 2, LAST)], "C*"),
        ("an anomaly alone", &[order(kind::ADD, LAST), plain(kind::ANOMALY, 2, LAST)], "A*"),
        ("an event without an end", &[order(kind::ADD, 0)], "A"),
        ("two events", &[order(kind::ADD, 0), plain(kind::ANOMALY, 2, LAST), order(kind::ADD, LAST)], "A* A*"),
    ];
    for (name, records, want) in table {
        assert_eq!(mbo(records).0, *want, "case: {name}");
    }
}

/// One record behind the head of a file.
fn only(bytes: &[u8]) -> &[u8] {
    &bytes[8 + u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize..]
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn a_record_is_what_the_format_says_byte_by_byte() {
    let (_, bytes) =
        mbo(&[plain(kind::FILL, side::ASK, flag::LAST | flag::SNAPSHOT | flag::SUSPECT | flag::RECV_USER)]);
    let record = only(&bytes);
    assert_eq!(record.len(), 56);
    assert_eq!(record[..4], [14, 0xa0, 0, 0], "length, type, publisher");
    assert_eq!((u64_at(record, 4) as u32, u64_at(record, 8)), (7, crate::common::NOON - 1000));
    assert_eq!((u64_at(record, 16), u64_at(record, 24), record[32]), (1, 10, 5), "order, price, size");
    assert_eq!(record[36..40], [0x80 | 0x20 | 0x04, 0, b'F', b'A']);
    assert_eq!((u64_at(record, 40), u64_at(record, 48)), (crate::common::NOON, 99 << 32), "received; delta, sequence");
}

#[test]
fn a_trade_has_the_side_of_its_aggressor() {
    let table = [(side::BID, b'A'), (side::ASK, b'B'), (side::NONE, b'N'), (trade_code::CROSS_OPEN, b'N')];
    for (code, want) in table {
        let (_, bytes) = mbo(&[plain(kind::TRADE, code, LAST)]);
        assert_eq!(only(&bytes)[39], want, "code {code}");
    }
}

#[test]
fn none_stays_none_and_what_does_not_fit_names_the_record() {
    let (_, bytes) = mbo(&[order(kind::ADD, 1, PRICE_NONE, QUANTITY_NONE)]);
    assert_eq!((u64_at(only(&bytes), 24), &only(&bytes)[32..36]), (i64::MAX as u64, &[0xff; 4][..]));

    let folder = tempfile::tempdir().unwrap();
    for (quantity, fits) in [(u64::from(u32::MAX) - 1, true), (u64::from(u32::MAX), false), (1 << 32, false)] {
        let mut exporter = Exporter::create(folder.path().join("o"), &dbn(Schema::Orders), &instruments()).unwrap();
        let result = exporter.record(RingName::Orders, 41, &order(kind::ADD, 1, 10, quantity));
        match result {
            Ok(()) => assert!(fits, "{quantity}"),
            Err(error) => {
                assert!(!fits && matches!(error, ExportError::Size { n: 41, instrument_id: 7, .. }));
                let text = error.to_string();
                let says = ["record 41", "A of instrument 7", &quantity.to_string(), "4294967294", "Parquet"];
                assert!(says.iter().all(|part| text.contains(part)), "{text}");
            }
        }
    }
}

fn market(schema: Schema, records: &[Words]) -> (journal::export::Counts, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("market.dbn");
    let counts = export(&path, &dbn(schema), records);
    (counts, std::fs::read(path).unwrap())
}

#[test]
fn trades_that_do_not_count_are_counted_and_not_written() {
    let (counts, bytes) = market(
        Schema::Trades,
        &[
            plain(kind::TRADE, side::BID, 0),
            plain(kind::LEVEL, side::BID, LAST),
            plain(kind::TRADE, side::BID, LAST | flag::NOT_PRINTED),
            words(head(kind::TRADE_BREAK, side::NONE, LAST), &[1, PRICE_NONE as u64, QUANTITY_NONE]),
            plain(kind::TRADE, side::ASK, LAST),
        ],
    );
    assert_eq!(letters(&bytes, 48, 28, 30), "T* T*");
    assert_eq!((counts.records, counts.rows, counts.action(b'T')), (5, 2, 2));
    assert_eq!(counts.left_out_kinds().collect::<Vec<_>>(), [(b'B', 1), (b'L', 1), (b'T', 1)]);
}

fn quote(side: u8, flags: u8, price: i64, quantity: u64, orders: u64) -> Words {
    words(head(kind::QUOTE, side, flags), &[price as u64, quantity, orders])
}

#[test]
fn a_quote_has_both_sides_after_each_change_of_one() {
    let (counts, bytes) = market(
        Schema::Quotes,
        &[
            quote(side::BID, 0, 10, 100, 1),
            quote(side::ASK, LAST, 12, 200, 2),
            quote(side::BID, 0, 11, 300, 3),
            plain(kind::ANOMALY, 7, LAST),
            quote(side::ASK, LAST, PRICE_NONE, 0, 0),
            plain(kind::CLEAR, side::NONE, LAST),
        ],
    );
    assert_eq!(letters(&bytes, 80, 28, 30), "A A* M* C* R*");
    let none = i64::MAX as u64;
    let rows: Vec<_> = only(&bytes)
        .chunks_exact(80)
        .map(|row| (row[29], u64_at(row, 16), [u64_at(row, 48), u64_at(row, 56)], [row[64], row[68], row[72], row[76]]))
        .map(|(side, changed, prices, rest)| (side, changed, prices, [rest[0], rest[2]]))
        .collect();
    assert_eq!(rows[0], (b'B', 10, [10, none], [100, 1]));
    assert_eq!(rows[1], (b'A', 12, [10, 12], [100, 1]));
    assert_eq!(rows[2], (b'B', 11, [11, 12], [44, 3]), "300 is 44 in its lowest byte");
    assert_eq!(rows[3], (b'A', none, [11, none], [44, 3]));
    assert_eq!(rows[4], (b'N', none, [none, none], [0, 0]));
    assert_eq!(counts.left_out_kinds().collect::<Vec<_>>(), [(b'N', 1)]);
}

fn about(instrument_id: u32, words: &[u64]) -> Words {
    let mut words = words.to_vec();
    words[0] = words[0] & u64::from(u32::MAX) | u64::from(instrument_id) << 32;
    words
}

fn restart(reason: u64) -> Words {
    let body = Restart { old_epoch: 1, old_end: 2, session: [b' '; 16], venue_sequence: 3, reason };
    words(
        Head { span: 2, instrument_id: INSTRUMENT_NONE, ..head(kind::RESTART, side::NONE, LAST) },
        &restart_body(&body),
    )
}

/// Actions, and a question mark behind those that may be wrong.
fn doubts(records: &[Words]) -> String {
    let (_, bytes) = mbo(records);
    let rows = only(&bytes).chunks_exact(56);
    let letter = |row: &[u8]| format!("{}{}", char::from(row[38]), if row[36] & 4 != 0 { "?" } else { "" });
    rows.map(letter).collect::<Vec<_>>().join(" ")
}

#[test]
fn after_a_gap_a_book_is_doubtful_until_it_begins_anew() {
    let add = || order(kind::ADD, 1, 10, 5);
    let clear = || plain(kind::CLEAR, side::NONE, LAST);
    let gap = |id| about(id, &words(head(kind::GAP, side::NONE, LAST), &[1, 2, 1]));
    let image = || plain(kind::CLEAR, clear_code::BOOK, LAST | flag::SNAPSHOT);
    let part = || plain(kind::ADD, side::BID, LAST | flag::SNAPSHOT);
    let end = |id| {
        about(
            id,
            &words(head(kind::STATUS, 0, LAST), &status_body(StatusCause::Session, session_code::IMAGE, [b' '; 8])),
        )
    };
    let suspect = || plain(kind::ADD, side::BID, LAST | flag::SUSPECT);
    let table: &[(&str, &[Words], &str)] = &[
        ("no gap", &[add(), add()], "A A"),
        ("a gap of all", &[add(), gap(INSTRUMENT_NONE), add(), about(9, &add())], "A A? A?"),
        ("until cleared", &[gap(INSTRUMENT_NONE), add(), clear(), add(), about(9, &add())], "A? R A A?"),
        ("a gap of another", &[add(), about(8, &add()), gap(8), add(), about(8, &add())], "A A A A?"),
        ("of one not seen yet", &[gap(8), add(), about(8, &add())], "A A?"),
        ("an image", &[gap(7), image(), part(), end(7), add()], "R A A"),
        ("a gap within it", &[image(), part(), gap(INSTRUMENT_NONE), part(), end(INSTRUMENT_NONE), add()], "R A A? A"),
        ("an image of another", &[gap(INSTRUMENT_NONE), add(), about(8, &image()), end(8), add()], "A? R A?"),
        ("an end without a beginning", &[gap(7), part(), end(7), add()], "A? A?"),
        (
            "an image of all",
            &[add(), gap(9), about(INSTRUMENT_NONE, &image()), gap(9), end(INSTRUMENT_NONE), about(9, &add())],
            "A R R A",
        ),
        ("the bus says so", &[suspect(), add()], "A? A"),
        ("a new session", &[gap(INSTRUMENT_NONE), add(), restart(restart_reason::SESSION), add()], "A? R A"),
        ("an unknown predecessor", &[add(), about(9, &add()), restart(restart_reason::UNKNOWN)], "A A R R"),
        ("the engine goes on", &[add(), restart(restart_reason::ENGINE), add()], "A A"),
    ];
    for (name, records, want) in table {
        assert_eq!(doubts(records), *want, "case: {name}");
    }
}

#[test]
fn a_quote_is_sure_again_when_both_sides_were_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotes.dbn");
    let mut exporter = Exporter::create(&path, &dbn(Schema::Quotes), &instruments()).unwrap();
    let put = |exporter: &mut Exporter, words: &Words| exporter.record(RingName::Market, 0, words).unwrap();
    put(&mut exporter, &quote(side::BID, LAST, 10, 1, 1));
    exporter.lost(17);
    put(&mut exporter, &quote(side::ASK, LAST, 12, 1, 1));
    put(&mut exporter, &quote(side::BID, LAST, 11, 1, 1));
    let counts = exporter.finish().unwrap();
    assert_eq!((counts.rows, counts.doubtful_rows, counts.lost_slots), (3, 1, 17));
    let bytes = std::fs::read(path).unwrap();
    let flags: Vec<u8> = only(&bytes).chunks_exact(80).map(|row| row[30]).collect();
    assert_eq!(flags, [0x80, 0x84, 0x80]);
}

#[test]
fn everything_that_has_no_place_is_counted_by_its_kind() {
    let anomaly = Anomaly { code: AnomalyCode::Overfill, venue_sequence: 1, subject: 2, detail: 3 };
    let body = [anomaly.venue_sequence, anomaly.subject, anomaly.detail];
    let kinds = [kind::VENUE_MESSAGE, kind::NEWS, kind::STATUS, kind::MARK, kind::GAP, kind::ANOMALY, b'?'];
    let mut records: Vec<Words> = kinds.iter().map(|kind| words(head(*kind, 0, LAST), &body)).collect();
    records.push(restart(restart_reason::ENGINE));
    let folder = tempfile::tempdir().unwrap();
    let counts = export(&folder.path().join("o"), &dbn(Schema::Orders), &records);
    assert_eq!((counts.records, counts.rows, counts.gaps, counts.restarts), (8, 0, 1, 1));
    let mut left_out: Vec<u8> = counts.left_out_kinds().map(|(kind, _)| kind).collect();
    let mut want: Vec<u8> = kinds.into_iter().chain([kind::RESTART]).collect();
    left_out.sort_unstable();
    want.sort_unstable();
    assert_eq!(left_out, want);
    // A record is at least a slot.
    assert!(Record::new(0, &[0; HEAD_WORDS]).is_none());
}
