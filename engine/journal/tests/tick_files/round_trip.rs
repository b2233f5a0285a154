//! Out and in again: equal in what DBN can carry.

use journal::export::{ExportOptions, Format, Schema};
use proptest::prelude::*;
use shm_abi::record::{Head, PRICE_NONE, QUANTITY_NONE, clear_code, flag, kind, side};
use shm_abi::segment::RingName;

use crate::common::{NOON, Words, export, import, words};

/// Of what the record has, all that DBN carries: no publish delay, three flags.
fn carried(words: &[u64]) -> Words {
    let mut words = words.to_vec();
    let kept = u64::from(flag::LAST | flag::SNAPSHOT | flag::SUSPECT);
    words[0] &= !(0xff << 8) | kept << 8;
    words[3] &= !u64::from(u32::MAX);
    words
}

fn heads(kind: u8, codes: &'static [u8]) -> impl Strategy<Value = Head> {
    (prop::sample::select(codes), any::<u8>(), 0..4_u32, 1..1_000_000_u64, any::<u32>(), any::<u32>()).prop_map(
        move |(code, flags, instrument, ns, delay, sequence)| Head {
            kind,
            flags,
            span: 1,
            side_or_code: code,
            instrument_id: 5 + instrument,
            ts_event: NOON + ns,
            ts_recv: NOON + 2 * ns,
            publish_delay_ns: delay,
            venue_sequence_low: sequence,
        },
    )
}

fn prices() -> impl Strategy<Value = u64> {
    prop_oneof![8 => any::<i64>(), 1 => Just(PRICE_NONE), 1 => Just(i64::MIN)].prop_map(|price| price as u64)
}

fn quantities() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..u64::from(u32::MAX), 1 => Just(QUANTITY_NONE)]
}

const SIDES: &[u8] = &[side::BID, side::ASK, side::NONE];

fn orders() -> impl Strategy<Value = Words> {
    let of = |kind| (heads(kind, SIDES), any::<u64>(), prices(), quantities());
    let kinds = prop_oneof![of(kind::ADD), of(kind::CANCEL), of(kind::MODIFY), of(kind::FILL), of(kind::TRADE)];
    let order = kinds.prop_map(|(mut head, id, price, quantity)| {
        // A trade that does not count is not in a file.
        head.flags &= !flag::NOT_PRINTED;
        words(head, &[id, price, quantity])
    });
    let clear = heads(kind::CLEAR, &[clear_code::BOOK]).prop_map(|head| words(head, &[0; 3]));
    prop_oneof![12 => order, 1 => clear]
}

fn trades() -> impl Strategy<Value = Words> {
    (heads(kind::TRADE, SIDES), prices(), quantities()).prop_map(|(mut head, price, quantity)| {
        head.flags &= !flag::NOT_PRINTED;
        words(head, &[0, price, quantity])
    })
}

fn quotes() -> impl Strategy<Value = Words> {
    let codes: &[u8] = &[side::BID, side::ASK];
    let full = (heads(kind::QUOTE, codes), 0..50_u64, 1..1000_u64, 1..9_u64);
    let full = full.prop_map(|(head, price, quantity, orders)| words(head, &[price, quantity, orders]));
    let empty = heads(kind::QUOTE, codes).prop_map(|head| words(head, &[PRICE_NONE as u64, 0, 0]));
    let clear = heads(kind::CLEAR, &[clear_code::BOOK]).prop_map(|head| words(head, &[0; 3]));
    prop_oneof![10 => full, 2 => empty, 1 => clear]
}

/// What the records say, in an image or not: the reader adds the end of an image, so flows here say it themselves.
fn with_ends(mut records: Vec<Words>) -> Vec<Words> {
    let of_image = |words: &Words| (words[0] >> 8) as u8 & flag::SNAPSHOT != 0;
    let last = u64::from(flag::LAST) << 8;
    for at in 0..records.len() {
        let image_ends = of_image(&records[at]) && records.get(at + 1).is_none_or(|next| !of_image(next));
        if image_ends {
            records[at][0] |= last;
        }
    }
    records
}

/// Only quotes that change something: the others are not said again.
fn changes(records: Vec<Words>) -> Vec<Words> {
    let mut quotes = std::collections::HashMap::new();
    let mut kept = Vec::new();
    for words in records {
        let (kind, code, id) = (words[0] as u8, (words[0] >> 24) as u8, (words[0] >> 32) as u32);
        let changes = if kind == kind::CLEAR {
            quotes.remove(&(id, side::BID));
            quotes.remove(&(id, side::ASK));
            true
        } else {
            let now = words[4..].to_vec();
            let before = quotes.insert((id, code), now.clone()).unwrap_or(vec![PRICE_NONE as u64, 0, 0]);
            before != now
        };
        kept.extend(changes.then_some(words));
    }
    kept
}

fn back(schema: Schema, format: Format, records: &[Words]) -> Vec<Words> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let counts = export(&path, &ExportOptions::new(schema, format), records);
    assert_eq!(counts.rows, records.len() as u64);
    // The end of an image is said by the reader, not by the file.
    let is_end = |words: &&Words| words[0] as u8 == kind::STATUS;
    import(&path).ring(schema.ring()).iter().filter(|words| !is_end(words)).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn orders_come_back(records in proptest::collection::vec(orders(), 1..200), packed in any::<bool>()) {
        let records = with_ends(records);
        let format = if packed { Format::DbnZstd } else { Format::Dbn };
        let want: Vec<Words> = records.iter().map(|words| carried(words)).collect();
        prop_assert_eq!(back(Schema::Orders, format, &records), want);
    }

    #[test]
    fn trades_come_back(records in proptest::collection::vec(trades(), 1..200)) {
        let records = with_ends(records);
        let want: Vec<Words> = records.iter().map(|words| carried(words)).collect();
        prop_assert_eq!(back(Schema::Trades, Format::Dbn, &records), want);
    }

    #[test]
    fn quotes_come_back(records in proptest::collection::vec(quotes(), 1..200)) {
        let records = with_ends(changes(records));
        let want: Vec<Words> = records.iter().map(|words| carried(words)).collect();
        prop_assert_eq!(back(Schema::Quotes, Format::Dbn, &records), want);
    }
}

#[test]
fn an_image_is_whole_when_a_record_of_its_instrument_is_not_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let of = |kind, flags, instrument_id| {
        words(Head { instrument_id, ..crate::common::head(kind, side::BID, flags) }, &[1, 2, 3])
    };
    let (image, live) = (flag::SNAPSHOT, flag::LAST);
    let clear =
        |id| words(Head { instrument_id: id, ..crate::common::head(kind::CLEAR, clear_code::BOOK, image) }, &[0; 3]);
    let flow = [
        clear(7),
        of(kind::ADD, image, 7),
        clear(8),
        of(kind::ADD, image, 8),
        of(kind::ADD, live, 7),
        of(kind::ADD, live, 7),
    ];
    export(&path, &crate::common::dbn(Schema::Orders), &flow);
    let said = import(&path);
    let letters: Vec<String> = said
        .ring(RingName::Orders)
        .iter()
        .map(|words| {
            let last = if (words[0] >> 8) as u8 & flag::LAST != 0 { "*" } else { "" };
            format!("{}{}{last}", char::from(words[0] as u8), words[0] >> 32)
        })
        .collect();
    assert_eq!(letters.join(" "), "R7 A7 R8 A8* S7* A7* A7* S8*");
}

#[test]
fn trades_of_an_order_file_are_in_both_rings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let trade = words(crate::common::head(kind::TRADE, side::BID, flag::LAST), &[3, 4, 5]);
    export(&path, &crate::common::dbn(Schema::Orders), std::slice::from_ref(&trade));
    let said = import(&path);
    assert_eq!(said.ring(RingName::Orders), [carried(&trade)]);
    assert_eq!(said.ring(RingName::Market), [carried(&trade)]);
}
