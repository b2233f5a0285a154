//! Real messages, and real ones rewritten, in their dialects: counts by type of the references, and what each capture is.
//!
//! The data is not part of this repository. `TICKLANE_DATA` names its folder; without it the tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test itself")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use wire::dialect::{DSE, Dialect, Event, JNX_16, NASDAQ_50, OpKind, Role, detect};
use wire::itchfile::Messages;
use wire::pcap::Packets;
use wire::{fuzz_entry, mold};

/// The data folder, or `None` with a line that nobody can overlook.
fn data(test: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("TICKLANE_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
    let _ = std::io::stderr()
        .write_all(format!("\nSKIPPED (no TICKLANE_DATA): {test}; {} is no folder\n", folder.display()).as_bytes());
    None
}

fn read(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
    unpacked
}

/// What a file's messages say of themselves, in the words of the references.
#[derive(Debug, Default, PartialEq)]
struct Found {
    messages: u64,
    by_type: BTreeMap<String, u64>,
    reference_prices: BTreeMap<u64, u64>,
    close_prices: BTreeMap<u64, u64>,
    price_decimals: BTreeMap<u64, u64>,
    broken_matches: Vec<u64>,
    /// Orderbook, title, bytes of the text.
    news: Vec<(u64, String, u64)>,
    index_last: BTreeMap<u64, u64>,
}

fn find(dialect: &Dialect, file: &[u8]) -> (Found, BTreeSet<(u8, usize)>) {
    let (mut found, mut forms) = (Found::default(), BTreeSet::new());
    for framed in Messages::new(file) {
        let (offset, bytes) = framed.unwrap();
        fuzz_entry::dialect_message(bytes);
        assert!(dialect.decode_at(file, offset, bytes.len()).kind <= OpKind::Other, "offset {offset}");
        let view = dialect.view(bytes).unwrap();
        assert!(!view.extended());
        forms.insert((bytes[0], bytes.len()));
        found.messages += 1;
        *found.by_type.entry(char::from(bytes[0]).to_string()).or_default() += 1;
        let number = |role| view.u64(role).unwrap();
        match view.event() {
            Event::ReferencePrice => {
                found.reference_prices.insert(number(Role::Orderbook), number(Role::Price));
            }
            Event::ClosePrice => {
                found.close_prices.insert(number(Role::Orderbook), number(Role::Price));
            }
            // Nasdaq's decimals are the dialect's.
            Event::Orderbook => {
                let decimals = view.u64(Role::PriceDecimals);
                found.price_decimals.extend(decimals.map(|decimals| (number(Role::Orderbook), decimals)));
            }
            Event::IndexValue => {
                found.index_last.insert(number(Role::Orderbook), number(Role::IndexValue));
            }
            Event::BrokenTrade => found.broken_matches.push(number(Role::MatchNumber)),
            Event::News => {
                let text = |role| String::from_utf8_lossy(view.bytes(role).unwrap()).into_owned();
                found.news.push((number(Role::Orderbook), text(Role::Title), text(Role::Text).len() as u64));
            }
            _ => {}
        }
    }
    (found, forms)
}

fn wanted(reference: &Value) -> Found {
    let numbers = |value: &Value| -> BTreeMap<u64, u64> {
        let pairs = value.as_object().unwrap().iter();
        pairs.filter_map(|(name, value)| Some((name.parse().unwrap(), value.as_u64()?))).collect()
    };
    let of_books = |field: &str| -> BTreeMap<u64, u64> {
        let books = reference["orderbooks"].as_object().unwrap().iter();
        books.filter_map(|(name, book)| Some((name.parse().unwrap(), book[field].as_u64()?))).collect()
    };
    let by_type = reference["by_type"].as_object().unwrap().iter();
    let news = reference["news"].as_array().unwrap().iter();
    Found {
        messages: reference["messages"].as_u64().unwrap(),
        by_type: by_type.map(|(letter, count)| (letter.clone(), count.as_u64().unwrap())).collect(),
        reference_prices: of_books("reference_price"),
        close_prices: of_books("close_price"),
        price_decimals: of_books("price_decimals"),
        broken_matches: reference["broken_matches"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect(),
        news: news
            .map(|item| (item[1].as_u64().unwrap(), item[2].as_str().unwrap().to_owned(), item[3].as_u64().unwrap()))
            .collect(),
        index_last: numbers(&reference["index_last"]),
    }
}

#[test]
fn dse_files_meet_their_references() {
    let Some(folder) = data("dse_files_meet_their_references") else { return };
    for edition in ["dse20", "dse22"] {
        let (found, forms) = find(&DSE, &read(&folder.join(format!("derived/es_20240508.{edition}.itch.gz"))));
        let reference = read(&folder.join(format!("derived/es_20240508.{edition}.ref.json")));
        assert_eq!(found, wanted(&serde_json::from_slice(&reference).unwrap()), "{edition}");
        let forms: Vec<_> = forms.into_iter().collect();
        assert_eq!(detect(&forms).map(Dialect::name).collect::<Vec<_>>(), ["dse"], "{edition}");
    }
}

#[test]
fn nasdaq_files_are_of_their_dialect() {
    let Some(folder) = data("nasdaq_files_are_of_their_dialect") else { return };
    let files = ["derived/es_20240508.itch50.gz", "itch50/nasdaq_20200130_AAPL_first4000.bin"];
    for file in files {
        let forms: Vec<_> = find(&NASDAQ_50, &read(&folder.join(file))).1.into_iter().collect();
        assert_eq!(detect(&forms).map(Dialect::name).collect::<Vec<_>>(), ["nasdaq-5.0"], "{file}");
    }
}

/// Messages of a capture that is one datagram, or of a bare file of one.
fn captured(path: &Path) -> Vec<Vec<u8>> {
    let bytes = read(path);
    let payload = Packets::new(&bytes).unwrap().next().unwrap().payload;
    let packet = mold::parse(payload).unwrap();
    let wire::multicast::Body::Messages(blocks) = packet.body else { return Vec::new() };
    let place = |message: wire::MessageAt| payload[message.at as usize..][..message.len as usize].to_vec();
    blocks.places(packet.sequence).map(place).collect()
}

#[test]
fn captures_of_sister_venues_are_told_apart() {
    let Some(folder) = data("captures_of_sister_venues_are_told_apart") else { return };
    for (venue, want) in [("jnx", true), ("asx", false)] {
        let mut captures = 0;
        for file in std::fs::read_dir(folder.join("xstream_siblings").join(venue)).unwrap() {
            let path = file.unwrap().path();
            let messages = captured(&path);
            messages.iter().for_each(|message| fuzz_entry::dialect_message(message));
            let forms: Vec<_> = messages.iter().map(|message| (message[0], message.len())).collect();
            captures += usize::from(!forms.is_empty());
            let fits = detect(&forms).any(|dialect| std::ptr::eq(dialect, &JNX_16));
            // A heartbeat holds no message that could be of the wrong dialect.
            assert_eq!(fits, want || forms.is_empty(), "{}", path.display());
            assert!(want || forms.is_empty() || detect(&forms).next().is_none(), "{}", path.display());
        }
        assert_eq!(captures, if want { 5 } else { 20 }, "{venue}");
    }
}

#[test]
fn japannext_says_what_it_said() {
    let Some(folder) = data("japannext_says_what_it_said") else { return };
    let messages = |name: &str| captured(&folder.join("xstream_siblings/jnx").join(name));
    let first = |name: &str| messages(name).swap_remove(0);

    let replaced = first("OrderReplacedMessage.pcap");
    let op = JNX_16.decode_at(&replaced, 0, replaced.len());
    assert_eq!((op.kind, op.timestamp_ns), (OpKind::Replace, 0x0f19_ebc8));
    assert_eq!((op.reference, op.new_reference), (0x02ce_66da_0de0_f00a, 0x02ce_66da_0de0_f030));
    assert_eq!((op.quantity, op.price), (1400, 4998));
    let executed = first("OrderExecutedMessage.pcap");
    let op = JNX_16.decode_at(&executed, 0, executed.len());
    assert_eq!((op.kind, op.quantity), (OpKind::Execute, 100));
    let state = first("ShortSellingPriceRestrictionStateMessage.pcap");
    let view = JNX_16.view(&state).unwrap();
    assert_eq!(
        (view.event(), view.u32(Role::Orderbook), view.letter(Role::State)),
        (Event::ShortSale, Some(9656), Some(b'1'))
    );
    let day = messages("TimestampSecondsMessage.pcap");
    assert_eq!(JNX_16.view(&day[0]).unwrap().u64(Role::Seconds), Some(57_600));
    let event = JNX_16.view(&day[1]).unwrap();
    assert_eq!((event.trimmed(Role::Group), event.letter(Role::EventCode)), (Some(&b"DAY"[..]), Some(b'M')));
}
