//! Real captures of TOPS 1.6 and DEEP 1.0: every count of the reference results that needs no book.
//!
//! The data is not part of this repository. `TICKLANE_DATA` names its folder; without it the tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test itself")]

mod captures;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use captures::{data, read, reference};
use serde_json::{Value, json};
use wire::iex::{Message, message_len};
use wire::iextp::{Header, Protocol, parse};
use wire::multicast::Body;
use wire::pcap::Packets;

/// What a capture holds, in the reference's words.
fn found(capture: &[u8], protocol: Protocol) -> Value {
    let (mut packets, mut heartbeats, mut restarts, mut gaps, mut missed) = (0, 0, 0, 0, 0);
    let mut by_type: BTreeMap<String, u64> = BTreeMap::new();
    let mut type_and_length: BTreeMap<String, u64> = BTreeMap::new();
    let (mut sessions, mut symbols) = (BTreeSet::new(), BTreeSet::<[u8; 8]>::new());
    let mut next: HashMap<String, u64> = HashMap::new();
    let (mut times, mut flags): (Vec<i64>, BTreeMap<String, u64>) = (Vec::new(), BTreeMap::new());
    let (mut trades, mut volume, mut breaks) = (0, 0, 0);
    for captured in Packets::new(capture).unwrap() {
        packets += 1;
        let packet = parse(captured.payload, protocol).unwrap();
        let header = Header::parse(captured.payload).unwrap();
        sessions.insert(header.session.get());
        let next = next.entry(format!("{}/{}", header.channel.get(), header.session.get())).or_insert(packet.sequence);
        if packet.sequence < *next {
            assert!(packet.restart, "numbers fall back only where a stream begins");
            restarts += 1;
        } else {
            gaps += u64::from(packet.sequence > *next);
            missed += packet.sequence - *next;
        }
        *next = packet.next_sequence();
        let Body::Messages(blocks) = packet.body else {
            heartbeats += 1;
            continue;
        };
        for bytes in blocks {
            let letter = char::from(bytes[0]);
            *by_type.entry(letter.into()).or_default() += 1;
            *type_and_length.entry(format!("{letter}{}", bytes.len())).or_default() += 1;
            assert_eq!(message_len(bytes[0], protocol), Some(bytes.len()));
            let message = Message::parse(bytes, protocol).unwrap();
            times.push(message.timestamp_ns());
            symbols.extend(message.symbol());
            match message {
                Message::TradeReport(trade) => (trades, volume) = (trades + 1, volume + u64::from(trade.size.get())),
                Message::TradeBreak(_) => breaks += 1,
                Message::PriceLevelBuy(level) => *flags.entry(level.event_flags.to_string()).or_default() += 1,
                Message::PriceLevelSell(level) => *flags.entry(level.event_flags.to_string()).or_default() += 1,
                _ => {}
            }
        }
    }
    json!({
        "packets": packets, "heartbeats": heartbeats, "messages": times.len(), "by_type": by_type,
        "type_and_length": type_and_length, "message_protocol_ids": [format!("{:#06x}", protocol.id())],
        "session_ids": sessions, "next_sequence": next, "sequence_restarts": restarts, "gaps": gaps,
        "missed_messages": missed, "first_msg_ts_ns": times.first(), "last_msg_ts_ns": times.last(),
        "symbols": symbols.len(), "trade_reports": trades, "trade_volume": volume, "trade_breaks": breaks,
        "plu_flag_counts": flags,
    })
}

#[test]
fn captures_meet_their_references() {
    let Some(folder) = data("captures_meet_their_references") else { return };
    for (file, protocol) in [("TOPS16", Protocol::Tops), ("DEEP10_first5727packets", Protocol::Deep)] {
        let expected = reference(&folder.join(format!("iex/{file}.ref.json")));
        let found = found(&read(&folder.join(format!("iex/{file}.pcap.gz"))), protocol);
        for (name, value) in found.as_object().unwrap() {
            let none = (protocol == Protocol::Tops && name == "plu_flag_counts").then(|| json!({}));
            assert_eq!(value, none.as_ref().unwrap_or(&expected[name]), "{file}: {name}");
        }
    }
}
