//! `gateway/PROTOCOL.md` against the native dialect: each command of its examples is understood as it is meant, and
//! each frame of its examples is what the dialect writes, byte by byte and in the document's order.
#![allow(clippy::unwrap_used, reason = "a test")]

use gateway_core::dialect::{
    Change, Command, Delta, Dialect, GapReason, LaneFacts, LaneState, Merged, Outgoing, Place, Refusal, RefusedSymbol,
    Request, RequestId, SlowPolicy, Snapshot, Stamps, Subject, Trade,
};
use gateway_core::limits::Limits;
use gateway_core::native::Native;
use gateway_core::replay::OldEpoch;
use gateway_core::state::{LastTrade, Quote, StatusState, Window};
use gateway_core::topic::{Channel, Levels};
use shm_abi::board::{Level, Quality};
use shm_abi::record::{Side, TradingStatus, flag, side, trade_code};

const DOCUMENT: &str = include_str!("../../PROTOCOL.md");

/// Lines between the fences of its JSON, of which some begin as commands and all others are frames.
fn examples(commands: bool) -> Vec<&'static str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in DOCUMENT.lines() {
        match line {
            "```json" => fenced = true,
            "```" => fenced = false,
            _ if fenced && line.starts_with("{\"op\":") == commands => found.push(line),
            _ => {}
        }
    }
    assert!(!fenced, "a fence is open");
    found
}

fn native() -> Native {
    Native::new("ticklane-gateway 0.1.0", &Limits::default())
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn its_commands_are_understood() {
    let number = |id| Some(RequestId::Number(id));
    let ladder = || Some(RequestId::Text("ladder".into()));
    let five = Channel::Depth(Levels::Five);
    let subscribe = |channel, symbols: &[&str], cursor: Option<&str>| Command::Subscribe {
        channel,
        symbols: texts(symbols),
        cursor: cursor.map(str::to_owned),
        from: None,
    };
    let want = [
        (number(1), subscribe(Channel::Quotes, &["AAPL", "XNAS:MSFT", "NOPE"], None)),
        (ladder(), subscribe(five, &["AAPL"], None)),
        (None, subscribe(Channel::Trades, &["AAPL"], Some("lane0.00c0ffee00c0ffee.118"))),
        (
            None,
            Command::Subscribe {
                channel: Channel::Trades,
                symbols: texts(&["AAPL"]),
                cursor: None,
                from: Some(1_580_394_600_000_000_000),
            },
        ),
        (
            None,
            Command::Subscribe {
                channel: Channel::Quotes,
                symbols: texts(&["AAPL"]),
                cursor: None,
                from: Some(1_580_394_600_000_000_000),
            },
        ),
        (number(2), subscribe(Channel::Status, &["AAPL", "MSFT"], None)),
        (ladder(), Command::Unsubscribe { channel: five, symbols: texts(&["AAPL"]) }),
        (number(3), Command::List),
        (number(4), Command::Ping),
    ];
    let examples = examples(true);
    assert_eq!(examples.len(), want.len());
    for (example, (id, command)) in examples.into_iter().zip(want) {
        assert_eq!(native().decode(example), Ok(Request { id, command }), "{example}");
    }
}

#[test]
fn its_error_frames_are_the_answers_to_such_commands() {
    let wrong = [
        r#"{"op":"subscribe","id":7,"channel":"depth","levels":7,"symbols":["AAPL"]}"#,
        r#"{"op":"subscribe","id":"a","channel":"quotes","symbol":"AAPL"}"#,
        "hello?",
    ];
    let answers = wrong.map(|text| encoded(&Outgoing::Error(&native().decode(text).unwrap_err())));
    let errors = examples(false).into_iter().filter(|line| line.starts_with("{\"type\":\"error\""));
    assert_eq!(errors.collect::<Vec<_>>(), answers);
}

fn encoded(outgoing: &Outgoing<'_>) -> String {
    let mut out = Vec::new();
    native().encode(outgoing, &mut out);
    String::from_utf8(out).unwrap()
}

const OLD_EPOCH: u64 = 0x00c0_ffee_00c0_ffed;
const EPOCH: u64 = 0x00c0_ffee_00c0_ffee;
const SECOND: u64 = 1_580_394_600_000_000_000;

/// Of an image of the past: read from the board, so nobody knows when it came.
const OLD: Stamps = Stamps { ts_event: SECOND, ts_recv: 0, ts_publish: 0, ts_gateway: SECOND + 100_000 };
const LIVE: Stamps = Stamps {
    ts_event: SECOND + 200_000,
    ts_recv: SECOND + 250_000,
    ts_publish: SECOND + 253_000,
    ts_gateway: SECOND + 260_000,
};

fn apple(channel: Channel) -> Subject<'static> {
    Subject { symbol: "AAPL", venue: "XNAS", quantity_decimals: 0, channel }
}

fn at(seq: u64) -> Place<'static> {
    Place { stream: 1, lane: "lane0", epoch: EPOCH, seq }
}

/// A price in hundredths of a cent.
fn level(price_1e4: i64, quantity: u64, orders: u32) -> Level {
    Level { price: price_1e4 * 100_000, quantity, orders }
}

fn quote(ask: Option<Level>) -> Quote {
    let price = |price_1e4: i64| Some(price_1e4 * 100_000);
    let (price_of_last, ts_event) = (1_234_600 * 100_000, SECOND - 1_000_000_000);
    Quote {
        bid: Some(level(1_234_500, 100, 3)),
        ask,
        last: Some(LastTrade { price: price_of_last, quantity: 10, match_id: 77, ts_event }),
        open: price(1_230_000),
        high: price(1_245_000),
        low: price(1_229_000),
        close: None,
        previous_close: price(1_229_500),
        volume: 12_000,
        turnover: 1_481_520_500_000_000,
        trades: 42,
    }
}

fn update<'a>(channel: Channel, seq: u64, prev: u64, delta: Delta<'a>) -> Outgoing<'a> {
    Outgoing::Update { subject: apple(channel), place: at(seq), prev, stamps: LIVE, merged: None, delta }
}

fn snapshot<'a>(channel: Channel, state: Snapshot<'a>) -> Outgoing<'a> {
    Outgoing::Snapshot { subject: apple(channel), place: at(120), stamps: OLD, merged: None, state }
}

#[test]
fn its_frames_are_what_is_written() {
    let limits = Limits::default();
    let (one, three, four) = (RequestId::Number(1), RequestId::Number(3), RequestId::Number(4));
    let (seven, a, ladder) = (RequestId::Number(7), RequestId::Text("a".into()), RequestId::Text("ladder".into()));
    let (five, twenty) = (Channel::Depth(Levels::Five), Channel::Depth(Levels::Twenty));

    let lane0 = LaneFacts { lane: "lane0", stream: 1, epoch: EPOCH, cursor_seq: 118, state: LaneState::Live };
    // Of an absent lane nothing but its name is told, whatever the facts still hold.
    let lane1 = LaneFacts { lane: "lane1", stream: 3, epoch: 4, cursor_seq: 5, state: LaneState::Absent };
    let silent = LaneFacts { state: LaneState::Silent, ..lane0 };
    let lanes = [lane0, lane1];

    let done = [texts(&["AAPL", "XNAS:MSFT"]), texts(&["AAPL"])];
    let refused = [RefusedSymbol {
        symbol: "NOPE".into(),
        code: "unknown_symbol",
        expected: "a symbol of /api/v1/instruments".into(),
    }];
    let subscriptions = [(five, texts(&["AAPL"])), (Channel::Trades, texts(&["AAPL", "MSFT"]))];
    let error = |id: Option<&RequestId>, code, field: &str, value: &str, expected: &str| Refusal {
        id: id.cloned(),
        code,
        field: field.into(),
        value: value.into(),
        expected: expected.into(),
    };
    let errors = [
        error(Some(&seven), "bad_value", "levels", "7", "5, 10 or 20"),
        error(Some(&a), "unknown_field", "symbol", "\"AAPL\"", "op, id, channel, symbols, levels, cursor or from"),
        error(None, "bad_json", "", "hello?", "one JSON object: expected value at line 1 column 1"),
    ];

    let one_sided = quote(None);
    let two_sided = quote(Some(level(1_234_655, 40, 1)));
    let window = Window { bids: vec![level(1_234_500, 100, 3), level(1_234_400, 50, 1)], asks: vec![] };
    let changes = [
        Change { side: Side::Bid, level: level(1_234_500, 90, 2) },
        Change { side: Side::Ask, level: level(1_235_000, 0, 0) },
    ];
    let trading = StatusState { status: TradingStatus::Trading, quality: Quality::Fresh };
    let halted = StatusState { status: TradingStatus::Halted, quality: Quality::Fresh };
    let old_trade = Trade {
        seq: 118,
        stamps: Stamps { ts_event: SECOND - 1_000_000_000, ..LIVE },
        price: 123_460_000_000,
        quantity: 10,
        code: side::ASK,
        match_id: 77,
        flags: flag::LAST,
    };
    let old_trades = [old_trade];
    let trade = Trade { seq: 126, match_id: 78, ..old_trade };
    let cross = Trade {
        seq: 127,
        price: 124_000_000_000,
        quantity: 5_000,
        code: trade_code::CROSS_CLOSE,
        match_id: 79,
        flags: flag::NOT_PRINTED | flag::HIDDEN,
        ..old_trade
    };
    let merged = Merged { count: 12, first: 121, last: 160 };
    let begun = Place { stream: 2, lane: "lane0", epoch: 0x00c0_ffee_00c0_fff0, seq: 0 };
    let restart = |reason, old_end| Outgoing::Restart {
        place: begun,
        old_stream: 1,
        old_epoch: EPOCH,
        reason,
        drained_to: 5_000,
        old_end,
    };

    let over = OldEpoch { epoch: OLD_EPOCH, drained_to: 5_000, end: Some(5_000) };
    let replay = |stream, epoch, seq, old| Outgoing::Replay {
        channel: Channel::Trades,
        symbols: &["AAPL"],
        place: Place { stream, lane: "lane0", epoch, seq },
        old,
        known: None,
    };
    let known_quotes =
        Outgoing::Replay { channel: Channel::Quotes, symbols: &["AAPL"], place: at(118), old: None, known: Some(true) };

    let frames = [
        Outgoing::Ack {
            id: Some(&one),
            op: "subscribe",
            channel: Channel::Quotes,
            symbols: &done[0],
            refused: &refused,
            lanes: &lanes[..1],
        },
        Outgoing::Ack {
            id: Some(&ladder),
            op: "unsubscribe",
            channel: five,
            symbols: &done[1],
            refused: &[],
            lanes: &[],
        },
        replay(3, OLD_EPOCH, 118, None),
        replay(1, EPOCH, 0, Some((3, over))),
        Outgoing::ReplayGap { subject: apple(Channel::Trades), stream: 3, prev: 118, first: 200, last: 260 },
        known_quotes,
        Outgoing::Hello { slow: SlowPolicy::Conflate, lanes: &lanes, limits: &limits },
        snapshot(Channel::Quotes, Snapshot::Quote(&one_sided)),
        snapshot(five, Snapshot::Depth(&window)),
        snapshot(Channel::Status, Snapshot::Status(trading)),
        snapshot(Channel::Trades, Snapshot::Trades(&old_trades)),
        snapshot(Channel::Trades, Snapshot::Trades(&[])),
        update(Channel::Quotes, 123, 120, Delta::Quote(&two_sided)),
        update(five, 124, 120, Delta::Depth(&changes)),
        update(Channel::Status, 125, 120, Delta::Status(halted)),
        update(Channel::Trades, 126, 118, Delta::Trade(&trade)),
        update(Channel::Trades, 127, 126, Delta::Trade(&cross)),
        update(Channel::Trades, 128, 127, Delta::TradeBreak(78)),
        Outgoing::Update {
            subject: apple(Channel::Status),
            place: at(160),
            prev: 120,
            stamps: LIVE,
            merged: Some(merged),
            delta: Delta::Status(halted),
        },
        Outgoing::Snapshot {
            subject: apple(twenty),
            place: at(160),
            stamps: LIVE,
            merged: Some((merged, 120)),
            state: Snapshot::Depth(&window),
        },
        Outgoing::TopicGap { subject: apple(Channel::Trades), stream: 1, merged, prev: 120 },
        Outgoing::LaneGap { place: at(2_000), reason: GapReason::Lapped, first: 1_000, last: 2_000 },
        Outgoing::LaneGap { place: at(2_001), reason: GapReason::Venue, first: 77, last: 79 },
        Outgoing::ResumeGap {
            subject: apple(Channel::Trades),
            stream: 1,
            reason: GapReason::TooOld,
            cursor: "lane0.00c0ffee00c0ffee.3",
        },
        restart("engine", Some(5_000)),
        restart("unknown", None),
        Outgoing::Lane(silent),
        Outgoing::Subscriptions { id: Some(&three), list: &subscriptions },
        Outgoing::Pong { id: Some(&four), ts_gateway: SECOND + 260_000 },
        Outgoing::Error(&errors[0]),
        Outgoing::Error(&errors[1]),
        Outgoing::Error(&errors[2]),
    ];
    let examples = examples(false);
    for (example, outgoing) in examples.iter().zip(&frames) {
        assert_eq!(*example, encoded(outgoing));
    }
    assert_eq!(examples.len(), frames.len());
}

/// A time to begin at: channels of which the recording tells every event have it.
#[test]
fn who_may_ask_for_a_time() {
    for (channel, code) in
        [("trades", None), ("quotes", None), ("depth", Some("unknown_field")), ("status", Some("unknown_field"))]
    {
        let text = format!(r#"{{"op":"subscribe","channel":"{channel}","symbols":["A"],"from":"17"}}"#);
        let refused = native().decode(&text).err();
        assert_eq!(refused.as_ref().map(|refusal| refusal.code), code, "{channel}");
        assert!(refused.is_none_or(|refusal| refusal.expected.contains("trades and quotes")), "{channel}");
    }
}
