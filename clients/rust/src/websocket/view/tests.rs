use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::number::Amount;
use super::*;

fn level(price: i64, quantity: u64) -> Level {
    Level { price, quantity: Amount::from_whole(quantity), orders: 1 }
}

/// The best of a whole side of a book.
fn best(side: Side, book: &BTreeMap<i64, u64>, count: usize) -> Vec<Level> {
    let level = |(price, quantity): (&i64, &u64)| level(*price, *quantity);
    match side {
        Side::Bid => book.iter().rev().take(count).map(level).collect(),
        Side::Ask => book.iter().take(count).map(level).collect(),
    }
}

/// What a gateway sends for the step from one window to the next.
fn changes(side: Side, old: &[Level], new: &[Level]) -> Vec<LevelChange> {
    let gone = old.iter().filter(|level| !new.iter().any(|it| it.price == level.price));
    let gone = gone.map(|held| LevelChange { side, level: Level { orders: 0, ..level(held.price, 0) } });
    let set = new.iter().filter(|level| !old.contains(level)).map(|level| LevelChange { side, level: *level });
    gone.chain(set).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Snapshot and changes are the window, always.
    #[test]
    fn snapshot_and_changes_are_the_window(
        before in prop::collection::vec((any::<bool>(), -40..40i64, 0..5u64), 0..60),
        after in prop::collection::vec((any::<bool>(), -40..40i64, 0..5u64), 1..60),
    ) {
        let levels = Levels::Five;
        let mut books = [BTreeMap::new(), BTreeMap::new()];
        let apply = |books: &mut [BTreeMap<i64, u64>; 2], (bid, price, quantity): (bool, i64, u64)| {
            let book = &mut books[usize::from(!bid)];
            if quantity == 0 { book.remove(&price); } else { book.insert(price, quantity); }
        };
        let window = |books: &[BTreeMap<i64, u64>; 2]| {
            [best(Side::Bid, &books[0], levels.count()), best(Side::Ask, &books[1], levels.count())]
        };
        before.into_iter().for_each(|step| apply(&mut books, step));
        let [bids, asks] = window(&books);
        let mut held = Window::new(levels, &bids, &asks).unwrap();
        for step in after {
            let old = window(&books);
            apply(&mut books, step);
            let new = window(&books);
            let mut step = changes(Side::Bid, &old[0], &new[0]);
            step.extend(changes(Side::Ask, &old[1], &new[1]));
            // The order in which they stand must not matter.
            step.reverse();
            prop_assert!(held.apply(&step));
            prop_assert_eq!([held.bids(), held.asks()], [&new[0][..], &new[1][..]]);
        }
    }
}

#[test]
fn what_is_no_window() {
    let five = [1, 2, 3, 4, 5].map(|price| level(price, 1));
    let six = [1, 2, 3, 4, 5, 6].map(|price| level(price, 1));
    let table: &[(&str, &[Level], &[Level], bool)] = &[
        ("empty", &[], &[], true),
        ("full", &[], &five, true),
        ("too many", &[], &six, false),
        ("bids upwards", &five, &[], false),
        ("twice the same price", &[], &[level(1, 1), level(1, 2)], false),
        ("without quantity", &[level(1, 0)], &[], false),
    ];
    for (name, bids, asks, sound) in table {
        assert_eq!(Window::new(Levels::Five, bids, asks).is_some(), *sound, "case: {name}");
    }
    let ask = |price, quantity| LevelChange { side: Side::Ask, level: level(price, quantity) };
    let table: &[(&str, &[LevelChange], bool)] = &[
        ("one leaves and one enters", &[ask(6, 1), ask(5, 0)], true),
        ("one too many", &[ask(6, 1)], false),
        ("what is not there leaves", &[ask(9, 0)], false),
    ];
    for (name, changes, fits) in table {
        assert_eq!(Window::new(Levels::Five, &[], &five).unwrap().apply(changes), *fits, "case: {name}");
    }
}

#[test]
fn what_makes_a_value_stale() {
    let topic = Topic { channel: Channel::Status, symbol: "A".into() };
    let status = Status { status: crate::websocket::TradingStatus::Trading, quality: crate::websocket::Quality::Fresh };
    let snapshot = Event::Snapshot(Snapshot {
        topic: topic.clone(),
        venue: "X".into(),
        stream: 1,
        seq: 5,
        cursor: "lane0.00000000000000aa.5".parse().unwrap(),
        stamps: Default::default(),
        merged: None,
        state: State::Status(status),
    });
    let update = Event::Update(Update {
        topic: topic.clone(),
        stream: 1,
        seq: 6,
        prev: 5,
        stamps: Default::default(),
        merged: None,
        change: Change::Status(status),
    });
    let slow = |topic| {
        let missing = super::super::data::Merged { events: 1, first: 6, last: 6 };
        Event::Gap(Gap::Slow { topic, stream: 1, prev: 5, missing })
    };
    let other = Topic { symbol: "B".into(), ..topic.clone() };
    let table = [
        (slow(topic.clone()), Some(Why::Gap)),
        (slow(other.clone()), None),
        (Event::Gap(Gap::Lapped { stream: 1, first: 6, last: 9 }), Some(Why::Gap)),
        (Event::Gap(Gap::Lapped { stream: 2, first: 6, last: 9 }), None),
        (Event::Gap(Gap::Venue { stream: 1, seq: 6, first: 6, last: 9 }), None),
        (Event::Gap(Gap::Other { reason: "x".into() }), Some(Why::Gap)),
        (Event::Undeclared { topic: topic.clone(), expected_prev: None, got_prev: 1 }, Some(Why::Undeclared)),
        (Event::Undeclared { topic: other, expected_prev: None, got_prev: 1 }, None),
        (
            Event::Disconnected { code: None, reason: String::new(), retry_in: std::time::Duration::ZERO },
            Some(Why::Disconnected),
        ),
    ];
    for (event, want) in table {
        let mut view = View::default();
        view.apply(&snapshot);
        view.apply(&event);
        let standing = want.map_or(Standing::Whole, Standing::Stale);
        assert_eq!(view.status("A").unwrap().standing, standing, "{event:?}");
        assert_eq!(view.status("A").unwrap().whole().is_some(), want.is_none());
        view.apply(&update);
        assert_eq!(view.status("A").unwrap().standing, Standing::Whole, "a whole status mends {event:?}");
        view.forget(&topic);
        assert!(view.status("A").is_none());
    }
}
