//! A feed loses messages for good, its engine is killed, and the next one gets the whole session from the venue: a
//! strategy that follows the orders ring ends with every book whole and equal to the engine's.

use std::collections::HashSet;

use shm_abi::board::{Quality, RowImage};
use shm_abi::counters::LaneCounter;
use shm_abi::layout::FeedState;
use shm_abi::record::{Side, flag, kind};
use shm_abi::segment::{RingName, Segment};
use ticklane_client::l3::{Books, Completeness, View};
use ticklane_client::{Event, Lane, Options, Reader, Start};

use super::tcp::{Day, port, table};
use super::{Engine, heads, lane_counter, qualities, wait_for_sequence, wait_for_state};
use crate::harness::{Dir, wait_until};

/// A reader of orders from the beginning of the first engine on.
struct Strategy {
    reader: Reader,
    books: Books,
    /// Venue sequences of the trades that it was shown.
    trades: HashSet<u32>,
    /// Records of images.
    imaged: u64,
}

impl Strategy {
    fn attach(dir: &Dir) -> Strategy {
        let lane = Lane::attach(dir.run(), "lane0").unwrap();
        let reader = lane.orders(Options { start: Start::Oldest, ..Options::default() }).unwrap();
        let books = Books::of(&reader);
        Strategy { reader, books, trades: HashSet::new(), imaged: 0 }
    }

    /// Reads all there is.
    fn read(&mut self) {
        while let Some(event) = self.reader.try_next().unwrap() {
            self.books.apply(&event);
            match event {
                Event::Record(record) => {
                    self.imaged += u64::from(record.head.flags & flag::SNAPSHOT != 0);
                    if record.head.kind == kind::TRADE {
                        let sequence = record.head.venue_sequence_low;
                        assert!(self.trades.insert(sequence), "the trade of message {sequence} is shown twice");
                    }
                }
                Event::Lost(lost) => panic!("{lost:?}"),
                Event::Restarted(restarted) => assert!(restarted.is_seamless(), "{restarted:?}"),
                Event::WriterSilent | Event::WriterBack | Event::Closed => {}
            }
        }
    }

    /// Reads the ring of this very engine to its end.
    fn catch_up(&mut self, segment: &Segment) {
        wait_until("the strategy to follow", || {
            self.read();
            self.reader.segment().identity().incarnation == segment.identity().incarnation && self.reader.lag() == 0
        });
    }

    fn completeness(&self, segment: &Segment) -> Vec<Completeness> {
        let directory = segment.directory();
        (0..directory.count()).map(|row| self.books.completeness(directory.get(row).unwrap().instrument_id)).collect()
    }

    /// Every book is whole, and is what the engine's board and counters say.
    fn assert_equal(&self, segment: &Segment) {
        let completeness = self.completeness(segment);
        assert!(completeness.iter().all(|one| *one == Completeness::Complete), "{completeness:?}");
        let (directory, board) = (segment.directory(), segment.board());
        let (mut image, mut orders) = (RowImage::default(), 0);
        for row in 0..directory.count() {
            let id = directory.get(row).unwrap().instrument_id;
            board.read(row, &mut image, || true).unwrap();
            let book = self.books.get(id).and_then(View::complete);
            orders += book.map_or(0, |book| book.orders() as u64);
            for side in [Side::Bid, Side::Ask] {
                let window: Vec<_> = image.window(side).collect();
                let own: Vec<_> = book.iter().flat_map(|book| book.levels(side).take(window.len())).collect();
                assert_eq!(own, window, "{side:?} of row {row}");
                assert_eq!(book.and_then(|book| book.best(side)), image.best(side), "{side:?} of row {row}");
            }
        }
        assert!(orders > 100, "{orders} orders");
        assert_eq!(orders, lane_counter(segment, LaneCounter::LiveOrders), "live orders");
    }
}

fn counter(engine: &Engine, counter: LaneCounter) -> u64 {
    lane_counter(engine.lane(), counter)
}

/// A strategy, the venue, and an engine that has lost 50 messages in the middle of the day and declared them.
fn broken(day: &Day, venue_dir: &Dir, dir: &Dir) -> (super::Feeds, Engine, Strategy) {
    let venue = day.feeds(venue_dir, &[]);
    let engine = Engine::start(dir, &[("lane0", &table(&[port(&venue)], ""))]);
    let mut strategy = Strategy::attach(dir);
    wait_for_state(engine.lane(), FeedState::Live);
    for fault in ["skip:50,1", "cut-in:3000,5"] {
        venue.say(&format!("fault {fault}"));
    }
    venue.say("start");
    wait_for_sequence(engine.lane(), day.messages + 1);
    strategy.catch_up(engine.lane());
    assert_eq!((counter(&engine, LaneCounter::Gaps), counter(&engine, LaneCounter::GapMessages)), (1, 50));
    assert_eq!(counter(&engine, LaneCounter::Unrepaired), 1);
    let completeness = strategy.completeness(engine.lane());
    assert!(completeness.iter().all(|one| *one == Completeness::Incomplete), "{completeness:?}");
    (venue, engine, strategy)
}

/// The next engine, when it has taken the whole day.
fn successor(venue: &super::Feeds, dir: &Dir, day: &Day) -> Engine {
    let engine = Engine::start(dir, &[("lane0", &table(&[port(venue)], ""))]);
    wait_for_sequence(engine.lane(), day.messages + 1);
    engine
}

#[test]
fn a_restart_that_gets_everything_makes_the_books_of_a_strategy_whole() {
    let day = Day::cut(4_000, 57);
    let (venue_dir, dir) = (Dir::new(), Dir::new());
    let (venue, engine, mut strategy) = broken(&day, &venue_dir, &dir);
    engine.process.kill();
    let engine = successor(&venue, &dir, &day);
    strategy.catch_up(engine.lane());
    strategy.assert_equal(engine.lane());
    assert!(qualities(engine.lane()).iter().all(|quality| *quality == Quality::Fresh));
    let repairs = [LaneCounter::Repairs, LaneCounter::Unrepaired, LaneCounter::Gaps].map(|one| counter(&engine, one));
    assert_eq!(repairs, [1, 0, 0]);
    assert_eq!(counter(&engine, LaneCounter::Rebuilt), day.messages, "nothing of the day is published again");
    // Once is enough: the one after it says that it began, and nothing else.
    let imaged = strategy.imaged;
    engine.process.kill();
    let engine = successor(&venue, &dir, &day);
    strategy.catch_up(engine.lane());
    strategy.assert_equal(engine.lane());
    assert_eq!((counter(&engine, LaneCounter::Repairs), strategy.imaged), (0, imaged));
    let kinds: Vec<_> = heads(engine.lane(), RingName::Orders).iter().map(|head| head.kind).collect();
    assert_eq!(kinds, [kind::RESTART]);
}

#[test]
fn engines_that_are_killed_before_they_have_repaired_leave_it_to_the_next() {
    let day = Day::cut(4_000, 58);
    let (venue_dir, dir) = (Dir::new(), Dir::new());
    let (venue, mut engine, mut strategy) = broken(&day, &venue_dir, &dir);
    for _ in 0..4 {
        engine.process.kill();
        engine = Engine::start(&dir, &[("lane0", &table(&[port(&venue)], ""))]);
        // The strategy has seen its first record: what else it has done by now is left to chance.
        strategy.catch_up(engine.lane());
    }
    engine.process.kill();
    let engine = successor(&venue, &dir, &day);
    strategy.catch_up(engine.lane());
    strategy.assert_equal(engine.lane());
    assert_eq!(counter(&engine, LaneCounter::Unrepaired), 0);
    assert!(qualities(engine.lane()).iter().all(|quality| *quality == Quality::Fresh));
}
