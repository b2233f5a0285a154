//! Whoever joins late: strategies that load their books from the journal, and replays that begin in the middle.

use journal::late::{Late, join, newest};
use journal::replay::{SourceOptions, Start};
use market::itch::Itch;
use market::{DenseIds, Normaliser};
use shm_abi::record::{Record, Side};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::RingName;
use ticklane_client::Event;
use ticklane_client::l3::{Books, Completeness, View};

use crate::bus::{Bus, Moment, Replay, T0, assert_same};
use crate::common::flow;

const LIMIT: usize = 1 << 20;

fn bus() -> Bus {
    let config = market::itch::ItchConfig { midnight_ns: T0, ..crate::common::config() };
    let normaliser: Normaliser<DenseIds> = Itch::new(config, DenseIds::default()).unwrap().into();
    Bus::new(normaliser)
}

/// What books say of the flows' instruments: whether they are whole, their levels, and how many orders they have.
fn told(books: &Books) -> Vec<(Completeness, Vec<(i64, u64, u32)>, usize)> {
    (0..4)
        .map(|id| {
            let levels = |levels: Box<dyn Iterator<Item = shm_abi::board::Level> + '_>| {
                levels.map(|level| (level.price, level.quantity, level.orders)).collect::<Vec<_>>()
            };
            let (mut all, orders) = match books.get(id) {
                None => (Vec::new(), 0),
                Some(View::Complete(book)) => (levels(Box::new(book.levels(Side::Bid))), book.orders()),
                Some(View::Incomplete(book)) => (levels(Box::new(book.known_levels(Side::Bid))), book.known_orders()),
            };
            match books.get(id) {
                None => {}
                Some(View::Complete(book)) => all.extend(levels(Box::new(book.levels(Side::Ask)))),
                Some(View::Incomplete(book)) => all.extend(levels(Box::new(book.known_levels(Side::Ask)))),
            }
            (books.completeness(id), all, orders)
        })
        .collect()
}

/// Books from a late image, and the ring from its cursor on.
fn late_books(late: &mut Late, bus: &Bus) -> Books {
    let mut books = Books::new(Completeness::Incomplete);
    while let Some(record) = late.records.next() {
        assert_eq!(record.ring, RingName::Orders);
        books.load(&record.words);
    }
    read_ring(&mut books, bus, late.cursor.seq);
    books
}

fn read_ring(books: &mut Books, bus: &Bus, from: u64) {
    let mut ring = bus.output.writer.reader().read_from(RingName::Orders, from, Rejoin::Oldest);
    loop {
        match ring.poll() {
            Polled::Empty => return,
            Polled::Record { n, words } => books.apply(&Event::Record(Record::new(n, words).unwrap())),
            Polled::Lost(lost) => panic!("{lost:?}"),
        }
    }
}

#[test]
fn a_late_strategy_has_the_books_of_one_from_the_beginning() {
    for seed in 0..30 {
        let mut bus = bus();
        let messages = flow::flow(seed, 400);
        let mut places = Vec::new();
        for (at, burst) in messages[..300].chunks(5).enumerate() {
            bus.apply(burst);
            if seed % 3 == 1 && at == 40 {
                bus.gap(2);
            }
            places.push(bus.output.writer.orders.next_number());
        }
        let journal = bus.close();
        // What the journal has not: the ring goes on.
        bus.deaf = true;
        messages[300..].chunks(5).for_each(|burst| bus.apply(burst));
        let mut first = Books::new(Completeness::Complete);
        read_ring(&mut first, &bus, 0);
        let want = told(&first);
        assert!(want.iter().any(|(_, levels, _)| levels.len() > 1));

        let mut late = newest(&journal, LIMIT).unwrap();
        assert_eq!((late.cursor.seq, late.cursor.epoch), (*places.last().unwrap(), 1));
        assert_eq!(told(&late_books(&mut late, &bus)), want, "seed {seed}, newest");
        for n in places.iter().step_by(7) {
            let mut late = join(&journal, 1, *n, LIMIT).unwrap();
            assert_eq!(told(&late_books(&mut late, &bus)), want, "seed {seed}, from {n}");
        }
        assert!(join(&journal, 1, places.last().unwrap() + 1, LIMIT).is_err(), "the journal has not come that far");
    }
}

#[test]
fn a_replay_from_the_middle_has_rows_and_books_whole() {
    for seed in (0..30).map(|seed| 2 * seed) {
        let mut bus = bus();
        let messages = flow::flow(seed, 400);
        let mut times = Vec::new();
        for burst in messages.chunks(4) {
            times.push(bus.stamps().ts_publish);
            bus.apply(burst);
        }
        let live = Moment::of(&bus.output.writer);
        let mut first = Books::new(Completeness::Complete);
        read_ring(&mut first, &bus, 0);
        let journal = bus.close();
        for ns in times.iter().step_by(23) {
            let case = format!("seed {seed}, from {ns}");
            let options = SourceOptions { start: Start::Time(*ns), ..SourceOptions::default() };
            let mut replay = Replay::new(&journal, &options);
            while replay.step() {}
            // Numbers are new, and an image of all books is an event of every row.
            let mut want = Moment::of(&bus.output.writer);
            want.next = live.next;
            let unknown =
                [shm_abi::layout::row::MARKET_N, shm_abi::layout::row::TS_EVENT, shm_abi::layout::row::VOLUME];
            assert_same(&Moment::of(&replay.lane), &want, &unknown, &case);
            let mut books = Books::new(Completeness::Incomplete);
            for words in &replay.seen[0] {
                books.apply(&Event::Record(Record::new(0, words).unwrap()));
            }
            assert_eq!(told(&books), told(&first), "{case}");
            assert!(replay.republisher.counts().records[0] < 2 * bus.output.writer.orders.next_number(), "{case}");
        }
    }
}
