use super::super::topic::Levels;
use super::*;

const EPOCH: u64 = 0xaa;

fn cursor(seq: u64) -> String {
    format!("lane0.{EPOCH:016x}.{seq}")
}

fn topic(channel: Channel, symbol: &str) -> Topic {
    Topic { channel, symbol: symbol.into() }
}

/// A table on a connection with one lane.
fn connected(symbols_max: u64) -> Table {
    let mut table = Table::default();
    assert!(table.connected(symbols_max).is_empty());
    assert!(table.bind(1, "lane0", EPOCH));
    table
}

/// Subscribes, and the gateway does as it is asked.
fn subscribe(table: &mut Table, channel: Channel, symbols: &[&str]) -> Acked {
    let (id, _) = table.ask(Op::Subscribe, Subscription::new(channel, symbols.iter().copied()));
    answer(table, id, channel, symbols, &[])
}

fn answer(table: &mut Table, id: u64, channel: Channel, named: &[&str], refused: &[(&str, &str)]) -> Acked {
    table.ack(AckFrame {
        id: Some(id),
        op: Op::Subscribe,
        channel: Some(channel),
        symbols: named.iter().map(|it| it.to_string()).collect(),
        refused: refused.iter().map(|(symbol, code)| (symbol.to_string(), code.to_string(), String::new())).collect(),
        streams: Vec::new(),
    })
}

fn trade(table: &mut Table, symbol: &str, seq: u64) {
    let trades = topic(Channel::Trades, symbol);
    table.judge(&trades, 1, |link| link.trades(0, true)).unwrap();
    assert_eq!(table.judge(&trades, 1, |link| link.update(0, seq)), Some(Verdict::Fits));
}

/// What a new connection begins with: channel, symbols, cursor.
fn asked(table: &mut Table, symbols_max: u64) -> Vec<(String, String, Option<String>)> {
    let asks = table.connected(symbols_max).into_iter().map(|(_, ask)| match ask {
        Ask::Subscribe { subscription, cursor } => {
            (subscription.channel.to_string(), subscription.symbols.join(","), cursor)
        }
        other => panic!("{other:?}"),
    });
    asks.collect()
}

#[test]
fn subscribes_anew_by_channel_and_cursor() {
    let mut table = connected(0);
    subscribe(&mut table, Channel::Quotes, &["A", "B", "C"]);
    subscribe(&mut table, Channel::Depth(Levels::Five), &["A"]);
    subscribe(&mut table, Channel::Trades, &["A", "B", "C", "D"]);
    for (symbol, seq) in [("A", 7), ("B", 9), ("C", 7)] {
        trade(&mut table, symbol, seq);
    }
    table.disconnected();
    let owned = |channel: &str, symbols: &str, cursor| (channel.to_string(), symbols.to_string(), cursor);
    let want = [
        owned("quotes", "A,B", None),
        owned("quotes", "C", None),
        owned("depth5", "A", None),
        // Nothing came of it: there is nothing to go on from.
        owned("trades", "D", None),
        owned("trades", "A,C", Some(cursor(7))),
        owned("trades", "B", Some(cursor(9))),
    ];
    assert_eq!(asked(&mut table, 2), want);
    // Before anything came the connection breaks again.
    table.disconnected();
    assert_eq!(asked(&mut table, 2), want);
}

#[test]
fn many_cursors_are_resumed_with_few_commands() {
    let symbols: Vec<String> = (0..1000).map(|n| format!("S{n:03}")).collect();
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut table = connected(0);
    subscribe(&mut table, Channel::Trades, &names);
    for (seq, symbol) in (1000..).zip(&names) {
        trade(&mut table, symbol, seq);
    }
    table.disconnected();
    let asks = asked(&mut table, 0);
    assert!(asks.len() <= RESUMES_MAX, "{}", asks.len());
    let mut seen = 0;
    for (_, symbols, resume) in asks {
        // Each goes on at the oldest of its topics, so that none of them misses a trade.
        let first = symbols.split(',').next().unwrap();
        let oldest = 1000 + first[1..].parse::<u64>().unwrap();
        assert_eq!(resume, Some(cursor(oldest)));
        seen += symbols.split(',').count();
    }
    assert_eq!(seen, 1000);
}

#[test]
fn symbols_with_a_venue_are_found_without_it() {
    let mut table = connected(0);
    subscribe(&mut table, Channel::Quotes, &["X:A", "Y:A", "B"]);
    let find = |table: &Table, symbol: &str, venue, stream| {
        table.find(&topic(Channel::Quotes, symbol), venue, stream).map(|topic| topic.symbol)
    };
    assert_eq!(find(&table, "B", None, 1).as_deref(), Some("B"));
    assert_eq!(find(&table, "A", Some("Y"), 2).as_deref(), Some("Y:A"), "a snapshot names its venue");
    assert_eq!(find(&table, "A", Some("Z"), 2), None);
    table.judge(&topic(Channel::Quotes, "X:A"), 1, |link| link.state(None, 1)).unwrap();
    table.judge(&topic(Channel::Quotes, "Y:A"), 2, |link| link.state(None, 1)).unwrap();
    assert_eq!(find(&table, "A", None, 1).as_deref(), Some("X:A"), "an update does not, but is of a stream");
    assert_eq!(find(&table, "A", None, 2).as_deref(), Some("Y:A"));
    assert_eq!(find(&table, "C", None, 2), None);
    table.ask(Op::Unsubscribe, Subscription::new(Channel::Quotes, ["X:A"]));
    table.disconnected();
    assert_eq!(asked(&mut table, 0), [("quotes".into(), "B,Y:A".into(), None)]);
    assert_eq!(find(&table, "A", None, 1).as_deref(), Some("Y:A"), "the only one that is left");
}

#[test]
fn refusals_for_now_and_for_good() {
    // Code, whether the topic stood before, whether it is asked for again.
    let table = [
        ("unavailable", false, true),
        ("unavailable", true, true),
        ("unknown_symbol", false, false),
        ("unknown_symbol", true, true),
        ("limit", true, false),
        ("of_tomorrow", false, false),
    ];
    for (code, stood, again) in table {
        let mut table = connected(0);
        if stood {
            subscribe(&mut table, Channel::Quotes, &["A"]);
            table.disconnected();
            table.connected(0);
        }
        let (id, _) = table.ask(Op::Subscribe, Subscription::new(Channel::Quotes, ["A"]));
        let acked = answer(&mut table, id, Channel::Quotes, &[], &[("A", code)]);
        assert_eq!(acked.refused[0].will_retry, again, "{code}, stood: {stood}");
        assert_eq!(table.has_refused(), again, "{code}, stood: {stood}");
        let retries = table.retries();
        assert_eq!(retries.len(), usize::from(again), "{code}, stood: {stood}");
        assert!(table.retries().is_empty(), "one at a time");
        if let Some((id, _)) = retries.first() {
            let acked = answer(&mut table, *id, Channel::Quotes, &[], &[("A", code)]);
            assert_eq!(acked, Acked { refused: Vec::new(), ack: None }, "said once");
            assert_eq!(table.retries().len(), 1, "and asked again");
        }
    }
}

#[test]
fn a_table_does_not_grow_by_what_a_gateway_says() {
    let mut table = connected(0);
    for stream in 2..=STREAMS_MAX as u32 {
        assert!(table.bind(stream, "lane0", EPOCH));
    }
    assert!(!table.bind(STREAMS_MAX as u32 + 1, "lane0", EPOCH));
    assert!(table.bind(1, "lane0", EPOCH + 1), "what is bound may be bound anew");
    let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (id, _) = table.ask(Op::Subscribe, Subscription::new(Channel::Quotes, ["0"]));
    answer(&mut table, id, Channel::Quotes, &names, &[]);
    assert_eq!(table.size(), 1, "no more topics than were asked for");
    answer(&mut table, 99, Channel::Quotes, &["B"], &[("C", "unavailable")]);
    assert_eq!(table.size(), 1, "an answer to no command");
}
