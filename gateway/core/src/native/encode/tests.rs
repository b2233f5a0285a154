//! Frames are read back by another way than they were written: serde_json for the structure, digits for the numbers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;
use shm_abi::board::{Level, Quality};
use shm_abi::record::{PRICE_NONE, QUANTITY_NONE, Side, TradingStatus, flag};

use crate::dialect::{
    Change, Delta, Dialect, GapReason, LaneFacts, LaneState, Merged, Outgoing, Place, Refusal, RefusedSymbol,
    RequestId, SlowPolicy, Snapshot, Stamps, Subject, Trade,
};
use crate::limits::Limits;
use crate::native::Native;
use crate::number::parse_price;
use crate::state::{LastTrade, Quote, StatusState, Window};
use crate::topic::{Channel, Levels};

/// Members of an object, as JSON text.
type Object = BTreeMap<String, Box<RawValue>>;

fn encoded(outgoing: &Outgoing<'_>) -> String {
    // Something stands in the buffer already, and stays.
    let mut out = b"before".to_vec();
    Native::new("test", &Limits::default()).encode(outgoing, &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

fn object(json: &str) -> Object {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn list(json: &str) -> Vec<Box<RawValue>> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn text(json: &RawValue) -> String {
    serde_json::from_str(json.get()).unwrap()
}

fn integer(json: &RawValue) -> u64 {
    serde_json::from_str(json.get()).unwrap()
}

/// Integer that is sent as a text.
fn quoted(json: &RawValue) -> u64 {
    text(json).parse().unwrap()
}

/// Price, or `PRICE_NONE` for null.
fn price(json: &RawValue) -> i64 {
    if json.get() == "null" {
        return PRICE_NONE;
    }
    let told = parse_price(json.get()).unwrap();
    assert_ne!(told, PRICE_NONE, "the sentinel is spelled null");
    told
}

/// Digits of a number with `decimals` decimals, without point.
fn scaled(json: &RawValue, decimals: usize) -> u128 {
    let (whole, fraction) = json.get().split_once('.').unwrap_or((json.get(), ""));
    assert!(fraction.len() <= decimals && !fraction.ends_with('0'), "{json}");
    format!("{whole}{fraction:0<decimals$}").parse().unwrap()
}

fn quantity(json: &RawValue, decimals: u8) -> u64 {
    if json.get() == "null" {
        return QUANTITY_NONE;
    }
    let told = scaled(json, decimals.into()).try_into().unwrap();
    assert_ne!(told, QUANTITY_NONE, "the sentinel is spelled null");
    told
}

fn any_level() -> impl Strategy<Value = Level> {
    let price = prop_oneof![Just(PRICE_NONE), any::<i64>(), 0..10_000_000_000_000_i64];
    let quantity = prop_oneof![Just(QUANTITY_NONE), Just(0), any::<u64>(), 0..100_000_u64];
    (price, quantity, any::<u32>()).prop_map(|(price, quantity, orders)| Level { price, quantity, orders })
}

fn any_price() -> impl Strategy<Value = Option<i64>> {
    proptest::option::of(any::<i64>())
}

fn any_quote() -> impl Strategy<Value = Quote> {
    let sides = (proptest::option::of(any_level()), proptest::option::of(any_level()));
    let last = proptest::option::of((any_level(), any::<u64>(), any::<u64>()));
    let prices = (any_price(), any_price(), any_price(), any_price(), any_price());
    (sides, last, prices, any::<u64>(), any::<u128>(), any::<u64>()).prop_map(
        |((bid, ask), last, (open, high, low, close, previous_close), volume, turnover, trades)| Quote {
            bid,
            ask,
            last: last.map(|(level, match_id, ts_event)| LastTrade {
                price: level.price,
                quantity: level.quantity,
                match_id,
                ts_event,
            }),
            open,
            high,
            low,
            close,
            previous_close,
            volume,
            turnover,
            trades,
        },
    )
}

fn any_stamps() -> impl Strategy<Value = Stamps> {
    any::<[u64; 4]>().prop_map(|[ts_event, ts_recv, ts_publish, ts_gateway]| Stamps {
        ts_event,
        ts_recv,
        ts_publish,
        ts_gateway,
    })
}

fn any_trade() -> impl Strategy<Value = Trade> {
    let code = prop_oneof![proptest::sample::select(b"BSNOCH".to_vec()), any::<u8>()];
    (any::<u64>(), any_stamps(), any_level(), code, any::<u64>(), any::<u8>()).prop_map(
        |(seq, stamps, level, code, match_id, flags)| Trade {
            seq,
            stamps,
            price: level.price,
            quantity: level.quantity,
            code,
            match_id,
            flags,
        },
    )
}

fn any_channel() -> impl Strategy<Value = Channel> {
    proptest::sample::select(Channel::ALL.to_vec())
}

/// What a directory may hold, and what none should.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Z]{1,5}", "[ -~]{0,32}", "[\"\\\\]{1,8}", "(?s).{0,12}"]
}

fn any_merged() -> impl Strategy<Value = Merged> {
    any::<[u64; 3]>().prop_map(|[count, first, last]| Merged { count, first, last })
}

/// Names and numbers from which subjects and places are made.
#[derive(Debug, Clone)]
struct Where {
    names: [String; 3],
    channel: Channel,
    quantity_decimals: u8,
    stream: u32,
    epoch: u64,
    seq: u64,
    prev: u64,
    stamps: Stamps,
    merged: Option<Merged>,
}

impl Where {
    fn subject(&self) -> Subject<'_> {
        let [symbol, venue, _] = &self.names;
        Subject { symbol, venue, quantity_decimals: self.quantity_decimals, channel: self.channel }
    }

    fn place(&self) -> Place<'_> {
        Place { stream: self.stream, lane: &self.names[2], epoch: self.epoch, seq: self.seq }
    }

    /// Checks everything but `data` of a frame that an event or a snapshot made, and gives `data`.
    fn checked_data(&self, frame: &str, kind: &str) -> String {
        let mut members = object(frame);
        let mut take = |name: &str| members.remove(name).unwrap_or_else(|| panic!("{name} is missing: {frame}"));
        assert_eq!(text(&take("type")), kind);
        assert_eq!(text(&take("channel")), self.channel.name());
        if let Some(levels) = self.channel.levels() {
            assert_eq!(integer(&take("levels")), levels.count() as u64);
        }
        assert_eq!(text(&take("symbol")), self.names[0]);
        assert_eq!(integer(&take("stream")), u64::from(self.stream));
        assert_eq!(integer(&take("seq")), self.seq);
        if kind == "update" || self.merged.is_some() {
            assert_eq!(integer(&take("prev")), self.prev);
        }
        if kind == "snapshot" {
            assert_eq!(text(&take("venue")), self.names[1]);
            assert_eq!(text(&take("cursor")), format!("{}.{:016x}.{}", self.names[2], self.epoch, self.seq));
        }
        if let Some(merged) = &self.merged {
            let told = ["merged", "first", "last"].map(|name| integer(&take(name)));
            assert_eq!(told, [merged.count, merged.first, merged.last]);
        }
        let told = ["ts_event", "ts_recv", "ts_publish", "ts_gateway"].map(|name| quoted(&take(name)));
        let Stamps { ts_event, ts_recv, ts_publish, ts_gateway } = self.stamps;
        assert_eq!(told, [ts_event, ts_recv, ts_publish, ts_gateway]);
        let data = take("data").get().to_owned();
        assert!(members.is_empty(), "more than is documented: {members:?}");
        data
    }

    fn update(&self, delta: Delta<'_>) -> String {
        let (subject, place, prev, stamps, merged) =
            (self.subject(), self.place(), self.prev, self.stamps, self.merged);
        encoded(&Outgoing::Update { subject, place, prev, stamps, merged, delta })
    }

    fn snapshot(&self, state: Snapshot<'_>) -> String {
        let merged = self.merged.map(|merged| (merged, self.prev));
        let (subject, place, stamps) = (self.subject(), self.place(), self.stamps);
        encoded(&Outgoing::Snapshot { subject, place, stamps, merged, state })
    }
}

fn any_where() -> impl Strategy<Value = Where> {
    let names = (any_name(), any_name(), any_name());
    let decimals = prop_oneof![Just(0), 0..10_u8, any::<u8>()];
    let merged = proptest::option::of(any_merged());
    (names, any_channel(), decimals, any::<u32>(), any::<[u64; 3]>(), any_stamps(), merged).prop_map(
        |(names, channel, quantity_decimals, stream, [epoch, seq, prev], stamps, merged)| Where {
            names: [names.0, names.1, names.2],
            channel,
            quantity_decimals,
            stream,
            epoch,
            seq,
            prev,
            stamps,
            merged,
        },
    )
}

fn read_best(json: &RawValue, decimals: u8) -> Option<Level> {
    (json.get() != "null").then(|| {
        let members = object(json.get());
        assert_eq!(members.len(), 3);
        let orders = integer(&members["orders"]).try_into().unwrap();
        Level { price: price(&members["price"]), quantity: quantity(&members["quantity"], decimals), orders }
    })
}

fn read_quote(json: &str, decimals: u8) -> Quote {
    let members = object(json);
    assert_eq!(members.len(), 11);
    let known = |name: &str| Some(price(&members[name])).filter(|price| *price != PRICE_NONE);
    let last = (members["last"].get() != "null").then(|| {
        let last = object(members["last"].get());
        assert_eq!(last.len(), 4);
        LastTrade {
            price: price(&last["price"]),
            quantity: quantity(&last["quantity"], decimals),
            match_id: quoted(&last["match_id"]),
            ts_event: quoted(&last["ts_event"]),
        }
    });
    Quote {
        bid: read_best(&members["bid"], decimals),
        ask: read_best(&members["ask"], decimals),
        last,
        open: known("open"),
        high: known("high"),
        low: known("low"),
        close: known("close"),
        previous_close: known("previous_close"),
        volume: scaled(&members["volume"], decimals.into()).try_into().unwrap(),
        turnover: scaled(&members["turnover"], 9 + usize::from(decimals)),
        trades: integer(&members["trades"]),
    }
}

fn read_level(cells: &[Box<RawValue>], decimals: u8) -> Level {
    let [level_price, level_quantity, orders] = cells else { panic!("a level of {} cells", cells.len()) };
    let orders = integer(orders).try_into().unwrap();
    Level { price: price(level_price), quantity: quantity(level_quantity, decimals), orders }
}

fn check_trade(json: &str, trade: &Trade, decimals: u8, listed: bool) {
    let mut members = object(json);
    let mut take = |name: &str| members.remove(name).unwrap_or_else(|| panic!("{name} is missing: {json}"));
    if listed {
        assert_eq!((integer(&take("seq")), quoted(&take("ts_event"))), (trade.seq, trade.stamps.ts_event));
    }
    assert_eq!((price(&take("price")), quantity(&take("quantity"), decimals)), (trade.price, trade.quantity));
    let (side, cross) = match trade.code {
        b'B' => ("\"bid\"", "null"),
        b'S' => ("\"ask\"", "null"),
        b'O' => ("null", "\"open\""),
        b'C' => ("null", "\"close\""),
        b'H' => ("null", "\"halt\""),
        _ => ("null", "null"),
    };
    assert_eq!((take("side").get(), take("cross").get()), (side, cross));
    assert_eq!(quoted(&take("match_id")), trade.match_id);
    let bits = [take("printed"), take("hidden")].map(|bit| bit.get() == "true");
    assert_eq!(bits, [trade.flags & flag::NOT_PRINTED == 0, trade.flags & flag::HIDDEN != 0]);
    assert!(members.is_empty(), "more than is documented: {members:?}");
}

/// A quote in which "no price" is always spelled the same way: a sentinel inside `Some` cannot be told from `None`.
fn normal(quote: &Quote) -> Quote {
    let known = |price: Option<i64>| price.filter(|price| *price != PRICE_NONE);
    Quote {
        open: known(quote.open),
        high: known(quote.high),
        low: known(quote.low),
        close: known(quote.close),
        previous_close: known(quote.previous_close),
        ..*quote
    }
}

proptest! {
    #[test]
    fn quotes_come_back(at in any_where(), quote in any_quote()) {
        let update = at.checked_data(&at.update(Delta::Quote(&quote)), "update");
        prop_assert_eq!(read_quote(&update, at.quantity_decimals), normal(&quote));
        let snapshot = at.checked_data(&at.snapshot(Snapshot::Quote(&quote)), "snapshot");
        prop_assert_eq!(snapshot, update);
    }

    #[test]
    fn depth_comes_back(
        at in any_where(),
        bids in proptest::collection::vec(any_level(), 0..21),
        asks in proptest::collection::vec(any_level(), 0..21),
    ) {
        let window = Window { bids, asks };
        let data = object(&at.checked_data(&at.snapshot(Snapshot::Depth(&window)), "snapshot"));
        prop_assert_eq!(data.len(), 2);
        for (side, levels) in [("bids", &window.bids), ("asks", &window.asks)] {
            let told = list(data[side].get());
            let told: Vec<_> = told.iter().map(|cells| read_level(&list(cells.get()), at.quantity_decimals)).collect();
            prop_assert_eq!(&told, levels);
        }

        let bids = window.bids.iter().map(|level| Change { side: Side::Bid, level: *level });
        let asks = window.asks.iter().map(|level| Change { side: Side::Ask, level: *level });
        let changes: Vec<_> = bids.chain(asks).collect();
        let data = object(&at.checked_data(&at.update(Delta::Depth(&changes)), "update"));
        prop_assert_eq!(data.len(), 1);
        let told = list(data["changes"].get()).iter().map(|change| {
            let cells = list(change.get());
            let side = if text(&cells[0]) == "bid" { Side::Bid } else { Side::Ask };
            Change { side, level: read_level(&cells[1..], at.quantity_decimals) }
        }).collect::<Vec<_>>();
        prop_assert_eq!(told, changes);
    }

    #[test]
    fn trades_come_back(at in any_where(), trades in proptest::collection::vec(any_trade(), 0..6), broken: u64) {
        let data = object(&at.checked_data(&at.snapshot(Snapshot::Trades(&trades)), "snapshot"));
        let told = list(data["trades"].get());
        prop_assert_eq!((data.len(), told.len()), (1, trades.len()));
        for (json, trade) in told.iter().zip(&trades) {
            check_trade(json.get(), trade, at.quantity_decimals, true);
            let data = at.checked_data(&at.update(Delta::Trade(trade)), "update");
            check_trade(&data, trade, at.quantity_decimals, false);
        }
        let data = object(&at.checked_data(&at.update(Delta::TradeBreak(broken)), "update"));
        prop_assert_eq!((data.len(), quoted(&data["broken"])), (1, broken));
    }

    #[test]
    fn status_comes_back(at in any_where(), status in 0..9_u8, quality in 0..9_u8) {
        let state = StatusState { status: TradingStatus::from_code(status), quality: Quality::from_code(quality) };
        let want = format!(r#"{{"status":"{}","quality":"{}"}}"#, state.status.name(), state.quality.name());
        prop_assert_eq!(&at.checked_data(&at.update(Delta::Status(state)), "update"), &want);
        prop_assert_eq!(&at.checked_data(&at.snapshot(Snapshot::Status(state)), "snapshot"), &want);
    }

    /// What is rarely sent is JSON too, whatever names stand in it.
    #[test]
    fn everything_else_is_json(
        at in any_where(),
        id in any_name(),
        merged in any_merged(),
        number: u64,
        pick in 0..5_usize,
    ) {
        let id = [None, Some(RequestId::Number(number)), Some(RequestId::Text(id.clone()))][pick % 3].clone();
        let id = id.as_ref();
        let ([symbol, venue, lane], channel) = (&at.names, at.channel);
        let state = [LaneState::Absent, LaneState::Recovering, LaneState::Live, LaneState::Silent, LaneState::Closed];
        let facts = LaneFacts { lane, stream: at.stream, epoch: at.epoch, cursor_seq: at.seq, state: state[pick] };
        let lanes = [facts, facts];
        let (field, value, expected) = (symbol.clone(), venue.clone(), lane.clone());
        let refusal = Refusal { id: None, code: "bad_value", field, value, expected };
        let refused = [RefusedSymbol { symbol: symbol.clone(), code: "limit", expected: venue.clone() }];
        let symbols = at.names.to_vec();
        let listed = [(at.channel, symbols.clone()), (Channel::Depth(Levels::Five), vec![])];
        use GapReason::{Ahead, NoEpoch, OtherEpoch, TooOld, Venue};
        let reason = [NoEpoch, OtherEpoch, TooOld, Ahead, Venue][pick];
        let (subject, place, stream) = (at.subject(), at.place(), at.stream);
        let (first, last, old_end) = (merged.first, merged.last, Some(number).filter(|_| pick > 2));
        let all = [
            Outgoing::Hello { slow: SlowPolicy::Gap, lanes: &lanes, limits: &Limits::default() },
            Outgoing::Ack { id, op: "subscribe", channel, symbols: &symbols, refused: &refused, lanes: &lanes },
            Outgoing::Ack { id, op: "unsubscribe", channel, symbols: &[], refused: &[], lanes: &[] },
            Outgoing::Error(&refusal),
            Outgoing::Subscriptions { id, list: &listed },
            Outgoing::Subscriptions { id, list: &[] },
            Outgoing::Pong { id, ts_gateway: number },
            Outgoing::TopicGap { subject, stream, merged, prev: at.prev },
            Outgoing::ResumeGap { subject, stream, reason, cursor: venue },
            Outgoing::LaneGap { place, reason, first, last },
            Outgoing::Restart {
                place, old_stream: stream, old_epoch: number, reason: "engine", drained_to: first, old_end,
            },
            Outgoing::Lane(facts),
        ];
        for outgoing in &all {
            let frame = encoded(outgoing);
            let value: serde_json::Value = serde_json::from_str(&frame).unwrap();
            prop_assert!(value["type"].is_string(), "{}", frame);
            // No member twice, no white space: a tree holds the last of them only, and would be shorter.
            prop_assert_eq!(value.to_string().len(), frame.len(), "{}", frame);
            if let (Some(RequestId::Text(text)), Some(told)) = (id, value.get("id")) {
                prop_assert_eq!(told, text);
            }
        }
    }
}

#[test]
fn the_largest_update_fits_the_frame_ring() {
    let level = Level { price: i64::MIN, quantity: u64::MAX - 1, orders: u32::MAX };
    let changes = vec![Change { side: Side::Ask, level }; 4 * Levels::Twenty.count()];
    let at = Where {
        names: ["S".repeat(32), "V".repeat(8), "l".repeat(31)],
        channel: Channel::Depth(Levels::Twenty),
        quantity_decimals: 8,
        stream: u32::MAX,
        epoch: u64::MAX,
        seq: u64::MAX,
        prev: u64::MAX,
        stamps: Stamps { ts_event: u64::MAX, ts_recv: u64::MAX, ts_publish: u64::MAX, ts_gateway: u64::MAX },
        merged: None,
    };
    let len = at.update(Delta::Depth(&changes)).len() + crate::frames::HEADER_MAX;
    assert!(len < crate::frames::FRAME_MAX, "{len} bytes");
}
