//! Tick files of a synthetic day: what comes back is what was on the bus, for our own readers and for those of Python.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod market;
mod python;

use std::path::Path;

use journal::export::{Counts, ExportOptions, Exporter, Format, Schema};
use journal::import::{DbnImport, Imported};
use shm_abi::board::Level;
use shm_abi::record::{Record, Side, flag};
use shm_abi::segment::RingName;
use ticklane_client::Event;
use ticklane_client::l3::{Books, Completeness, View};

use market::{Day, Got, day};

/// Writes a file of the day.
fn export(day: &Day, path: &Path, schema: Schema, format: Format) -> Counts {
    let mut exporter = Exporter::create(path, &ExportOptions::new(schema, format), &day.instruments).unwrap();
    for (n, words) in day.ring(exporter.ring()) {
        exporter.record(exporter.ring(), *n, words).unwrap();
    }
    exporter.finish().unwrap()
}

fn import(path: &Path) -> Vec<(RingName, Vec<u64>)> {
    let mut import = DbnImport::open(path).unwrap();
    let mut records = Vec::new();
    while let Some(said) = import.next().unwrap() {
        records.extend(said.iter().filter_map(|imported| match imported {
            Imported::Record { ring, words } => Some((*ring, words.to_vec())),
            Imported::Instrument(_) => None,
        }));
    }
    records
}

/// Every level of every book, and whether it is whole.
fn books<'r>(day: &Day, records: impl Iterator<Item = (u64, &'r [u64])>) -> Vec<(bool, [Vec<Level>; 2])> {
    let mut books = Books::new(Completeness::Complete);
    for (n, words) in records {
        books.apply(&Event::Record(Record::new(n, words).unwrap()));
    }
    let of = |id| match books.get(id) {
        None => (true, [Vec::new(), Vec::new()]),
        Some(View::Complete(book)) => (true, [Side::Bid, Side::Ask].map(|side| book.levels(side).collect())),
        Some(View::Incomplete(book)) => (false, [Side::Bid, Side::Ask].map(|side| book.known_levels(side).collect())),
    };
    day.instruments.iter().map(|instrument| of(instrument.instrument_id)).collect()
}

/// Up to the middle of the day, where books are full.
fn half(ring: &[Got]) -> &[Got] {
    &ring[..ring.len() / 2]
}

#[test]
fn books_of_an_exported_day_are_those_of_the_bus() {
    let day = day();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.dbn.zst");
    let orders = half(day.ring(RingName::Orders));
    let cut = Day { rings: [orders.to_vec(), Vec::new()], instruments: day.instruments.clone() };
    export(&cut, &path, Schema::Orders, Format::DbnZstd);
    let records = import(&path);
    let imported = records.iter().filter(|(ring, _)| *ring == RingName::Orders).map(|(_, words)| (0, &words[..]));
    let (now, live) = (books(&day, imported), books(&day, orders.iter().map(|(n, words)| (*n, &words[..]))));
    assert_eq!(now, live);
    let levels: usize = live.iter().flat_map(|(_, sides)| sides).map(Vec::len).sum();
    assert!(levels > 500, "{levels} levels: the books are not empty");
}

#[test]
fn each_venue_event_ends_once_in_the_file() {
    let day = day();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.dbn");
    export(&day, &path, Schema::Orders, Format::Dbn);
    let ends = |words: &[u64]| (words[0] >> 8) as u8 & flag::LAST != 0;
    let exported = |words: &[u64]| b"ACMFTR".contains(&(words[0] as u8));
    // By event on the ring: how many of its records are in the file.
    let (mut want, mut rows) = (Vec::new(), 0);
    for (_, words) in day.ring(RingName::Orders) {
        rows += u32::from(exported(words));
        if ends(words) {
            want.extend((rows > 0).then_some(rows));
            rows = 0;
        }
    }
    let (mut got, mut rows) = (Vec::new(), 0);
    for (_, words) in import(&path).iter().filter(|(ring, _)| *ring == RingName::Orders) {
        rows += 1;
        if ends(words) {
            got.push(rows);
            rows = 0;
        }
    }
    assert!(want.contains(&3), "executions are events of three");
    assert_eq!((got, rows), (want, 0));
}
