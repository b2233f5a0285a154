//! Every DBN file of the test data: levels and counts of its reference, or a schema without a meaning.

use std::io::Write as _;
use std::path::PathBuf;

use journal::import::{DbnImport, Meaning};
use serde_json::Value;
use shm_abi::record::{Body, Record, Side, TradingStatus, kind};
use shm_abi::segment::RingName;

use crate::common::{PlainBook, Said, Words};

/// The folder with the data, or a loud line and `None`.
fn folder() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var("TICKLANE_DATA").unwrap_or_else(|_| default.into());
    let folder = PathBuf::from(folder).join("dbn");
    if folder.is_dir() {
        return Some(folder);
    }
    // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
    let _ = std::io::stderr().write_all(b"\nSKIPPED (no TICKLANE_DATA): dbn\n");
    None
}

fn level_rows(book: &PlainBook, side: Side) -> Value {
    let rows = book
        .levels(side)
        .into_iter()
        .take(10)
        .map(|(price, quantity, orders)| Value::from(vec![Value::from(price), quantity.into(), orders.into()]));
    rows.collect()
}

#[test]
fn order_files_give_the_levels_and_counts_of_their_references() {
    let Some(folder) = folder() else { return };
    for name in ["esh4-glbx-mdp3-20231224.mbo", "orderbooks_mbo_2024-05-08T00-00-00_2024-05-08T00-00-02"] {
        let want: Value =
            serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.ref.json"))).unwrap()).unwrap();
        let mut import = DbnImport::open(folder.join(format!("{name}.dbn.zst"))).unwrap();
        assert_eq!(import.meaning(), Meaning::Orders);
        let said = Said::of(&mut import);
        let (metadata, counts) = (import.metadata(), import.counts());
        assert_eq!(u64::from(metadata.version), want["dbn_version"]);
        assert_eq!(metadata.dataset, want["dataset"]);
        assert_eq!(counts.records, want["records"]);
        let ids: Vec<u32> = said.instruments.iter().map(|instrument| instrument.instrument_id).collect();
        assert_eq!(Value::from(ids), want["instrument_ids"]);

        let mut book = PlainBook::default();
        // The end of an image is the bus's own word.
        let (ends, orders): (Vec<&Words>, Vec<&Words>) =
            said.ring(RingName::Orders).iter().partition(|words| words[0] as u8 == kind::STATUS);
        assert_eq!(ends.len() as u64, want["by_action"]["R"].as_u64().unwrap_or(0), "{name}");
        orders.iter().for_each(|words| book.apply(words));
        let by_action: Value =
            book.by_kind.iter().map(|(kind, count)| (kind.to_string(), Value::from(*count))).collect();
        assert_eq!(by_action, want["by_action"], "{name}");
        let of_actions = |letter: char| Value::from(counts.action(letter as u8));
        assert!(
            want["by_action"].as_object().unwrap().iter().all(|(a, n)| of_actions(a.chars().next().unwrap()) == *n)
        );
        let heads: Vec<_> = orders.iter().map(|words| Record::new(0, words).unwrap().head).collect();
        assert_eq!(heads.iter().filter(|head| head.flags & 0x20 != 0).count() as u64, want["snapshot_records"]);
        // In the order of the file, which need not be that of time.
        let recv: Vec<u64> = heads.iter().map(|head| head.ts_recv).collect();
        assert_eq!(*recv.first().unwrap(), want["first_ts_recv"]);
        assert_eq!(*recv.last().unwrap(), want["last_ts_recv"]);
        assert_eq!(book.anomalies, 0);
        assert_eq!(book.most_orders as u64, want["max_live_orders"]);
        assert_eq!(book.orders.len() as u64, want["live_orders_at_end"]);
        assert_eq!(level_rows(&book, Side::Bid), want["bids10"], "{name}");
        assert_eq!(level_rows(&book, Side::Ask), want["asks10"], "{name}");
        for (side, levels, total) in
            [(Side::Bid, "bid_levels", "total_bid_qty"), (Side::Ask, "ask_levels", "total_ask_qty")]
        {
            let all = book.levels(side);
            assert_eq!(all.len() as u64, want[levels]);
            assert_eq!(all.iter().map(|level| level.1).sum::<u64>(), want[total]);
        }
        let trades = said.ring(RingName::Market);
        assert_eq!(trades.len() as u64, want["trades"], "trades are in both rings");
        assert_eq!(book.traded, want["trade_volume"]);
        // Each image ends, and each event.
        assert!(heads.last().unwrap().is_last(), "{name}");
        let mut images = heads.windows(2).filter(|pair| pair[0].flags & 0x20 != 0 && pair[1].flags & 0x20 == 0);
        assert!(images.all(|pair| pair[0].is_last()), "{name}: the image has an end");
    }
}

#[test]
fn the_aggressor_of_a_trade_becomes_the_side_that_rested() {
    let Some(folder) = folder() else { return };
    let name = "orderbooks_mbo_2024-05-08T00-00-00_2024-05-08T00-00-02.dbn.zst";
    let said = Said::of(&mut DbnImport::open(folder.join(name)).unwrap());
    let records: Vec<Record<'_>> = said.ring(RingName::Orders).iter().map(|w| Record::new(0, w).unwrap()).collect();
    let mut pairs = 0;
    for pair in records.windows(2) {
        if let (Body::Trade { code, quantity, .. }, Body::Order { side, quantity: filled, .. }) =
            (pair[0].body(), pair[1].body())
        {
            assert_eq!((code, quantity), (side.unwrap() as u8, filled), "the fill after it is of the resting order");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 5);
}

/// Name without its version and ending, what it means, records, records in each ring, instruments.
const SMALL: &[(&str, Meaning, u64, [usize; 2], usize)] = &[
    ("definition", Meaning::Instruments, 2, [0, 0], 2),
    ("mbo", Meaning::Orders, 2, [2, 0], 1),
    // The first quotes of both sides, then one side.
    ("mbp-1", Meaning::Market, 2, [0, 3], 1),
    // Twenty levels and both quotes, then the one level that changed.
    ("mbp-10", Meaning::Market, 2, [0, 23], 1),
    ("ohlcv-1s", Meaning::None, 2, [0, 0], 1),
    ("status", Meaning::Market, 4, [0, 4], 1),
    ("trades", Meaning::Market, 2, [0, 2], 1),
];

#[test]
fn every_small_file_says_the_same_in_each_version() {
    let Some(folder) = folder() else { return };
    let mut files = 0;
    for (schema, meaning, records, rings, instruments) in SMALL {
        let mut first: Option<[Vec<Vec<u64>>; 2]> = None;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.starts_with(&format!("test_data.{schema}.")) {
                continue;
            }
            files += 1;
            let mut import = DbnImport::open(folder.join(&name)).unwrap();
            assert_eq!(import.meaning(), *meaning, "{name}");
            let said = Said::of(&mut import);
            let counts = import.counts();
            assert_eq!(counts.records, *records, "{name}");
            assert_eq!(said.instruments.len(), *instruments, "{name}: {:?}", said.instruments);
            assert_eq!(said.rings.each_ref().map(Vec::len), *rings, "{name}");
            let left_out: Vec<(u8, u64)> = counts.left_out().collect();
            let want: &[(u8, u64)] = if *meaning == Meaning::None { &[(0x20, *records)] } else { &[] };
            assert_eq!(left_out, want, "{name}: said, not lost");
            let symbol = if *schema == "definition" { "MSFT" } else { "ESH1" };
            assert!(said.instruments.iter().all(|instrument| instrument.symbol.as_str() == symbol), "{name}");
            match &first {
                None => first = Some(said.rings),
                Some(first) => assert_eq!(said.rings, *first, "{name}"),
            }
        }
    }
    assert_eq!(files, 15, "every test_data file was read");
}

#[test]
fn small_files_say_what_their_publisher_shows_of_them() {
    let Some(folder) = folder() else { return };
    let read = |name: &str| Said::of(&mut DbnImport::open(folder.join(name)).unwrap());
    let body = |words: &Vec<u64>| Record::new(0, words).unwrap().body_words().to_vec();

    let trades = read("test_data.trades.dbn");
    let first = Record::new(0, &trades.ring(RingName::Market)[0]).unwrap();
    assert_eq!(first.body(), Body::Trade { code: b'B', match_id: 0, price: 3_720_250_000_000, quantity: 5 });
    assert_eq!((first.head.ts_event, first.head.ts_recv), (1_609_160_400_098_821_953, 1_609_160_400_099_150_057));
    assert_eq!((first.head.venue_sequence_low, first.head.instrument_id), (1_170_380, 5482));

    let quotes = read("test_data.mbp-1.dbn");
    let market = quotes.ring(RingName::Market);
    assert_eq!(body(&market[0]), [3_720_250_000_000, 24, 15]);
    assert_eq!(body(&market[1]), [3_720_500_000_000, 11, 9]);
    assert_eq!(body(&market[2]), [3_720_500_000_000, 12, 10]);
    let last: Vec<bool> = market.iter().map(|words| Record::new(0, words).unwrap().head.is_last()).collect();
    assert_eq!(last, [false, true, true], "both sides are one event");

    let depth = read("test_data.mbp-10.v3.dbn.zst");
    let changed = Record::new(0, depth.ring(RingName::Market).last().unwrap()).unwrap();
    let want = Body::Level { side: Some(Side::Bid), price: 3_720_000_000_000, quantity: 30, orders: 17, position: 1 };
    assert_eq!(changed.body(), want);

    let status = read("test_data.status.dbn");
    let Body::Status(first) = Record::new(0, &status.ring(RingName::Market)[0]).unwrap().body() else { panic!() };
    assert_eq!((first.status, first.venue_code, &first.reason), (TradingStatus::Trading, 7, b"1       "));

    let definition = read("test_data.definition.v3.dbn.zst").instruments;
    assert_eq!((definition[0].instrument_id, definition[1].instrument_id), (6819, 6830));
    assert_eq!(
        (definition[0].venue.as_str(), definition[0].kind),
        ("XNAS", shm_abi::directory::InstrumentKind::Equity)
    );
    assert_eq!((definition[0].tick, definition[0].lot), (0, 100));
}
