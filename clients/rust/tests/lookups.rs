//! Directory, board, counters and books, as a strategy looks them up.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::{Engine, head, push, push_order};
use shm_abi::board::{Level, Quality};
use shm_abi::counters::LaneCounter;
use shm_abi::layout::{FeedState, State, row};
use shm_abi::record::{
    INSTRUMENT_NONE, StatusCause, TradingStatus, clear_code, flag, gap_reason, kind, restart_reason, session_code,
    side, status_body,
};
use ticklane_client::l3::{Books, Completeness, View};
use ticklane_client::{Event, Instrument, Key, LookupError, Options, RestartReason, Restarted, Side, Start};

const OLDEST: Start = Start::Oldest;

fn level(price: i64, quantity: u64, orders: u32) -> Level {
    Level { price, quantity, orders }
}

#[test]
fn the_index_grows_with_the_directory() {
    let mut engine = Engine::start();
    let mut lane = engine.attach();
    assert!(lane.instruments().is_empty());
    engine.writer.add_instrument(&Instrument::equity(70, b"AAPL", b"XNAS")).unwrap();
    assert_eq!(lane.instruments().len(), 1);
    engine.writer.add_instrument(&Instrument::equity(80, b"MSFT", b"XNAS")).unwrap();
    engine.writer.add_instrument(&Instrument::equity(81, b"AAPL", b"XLON")).unwrap();
    let index = lane.instruments();
    let id = |key: Key<'_>| index.get(key).map(|(row, instrument)| (row, instrument.instrument_id));
    let table = [
        ("symbol", Key::from("MSFT"), Some((1, 80))),
        ("symbol of two venues", Key::from("AAPL"), Some((0, 70))),
        ("venue and symbol", Key::Venue("XLON", "AAPL"), Some((2, 81))),
        ("id", Key::from(81), Some((2, 81))),
        ("row", Key::Row(1), Some((1, 80))),
        ("no such symbol", Key::from("GOOG"), None),
        ("no such venue", Key::Venue("XPAR", "AAPL"), None),
        ("no such id", Key::from(0), None),
        ("no such row", Key::Row(3), None),
        ("a longer name that begins the same", Key::from("AAPL                             X"), None),
        ("trailing space", Key::from("AAPL "), None),
    ];
    for (name, key, want) in table {
        assert_eq!(id(key), want, "case: {name}");
    }
    let symbols: Vec<_> = index.iter().map(|(_, instrument)| instrument.symbol.to_string()).collect();
    assert_eq!(symbols, ["AAPL", "MSFT", "AAPL"]);
}

#[test]
fn the_board_gives_whole_rows() {
    let mut engine = Engine::start();
    let at = engine.writer.add_instrument(&Instrument::equity(70, b"AAPL", b"XNAS")).unwrap();
    let mut lane = engine.attach();
    assert_eq!(lane.board().quote("AAPL").unwrap().bid, None, "a new row is empty");
    {
        let mut update = engine.writer.board.update(at);
        update.set(row::MARKET_N, 41);
        update.set_quote(Side::Bid, level(100, 7, 2));
        update.insert_level(Side::Bid, 0, level(100, 7, 2));
        update.insert_level(Side::Bid, 1, level(99, 5, 1));
        update.set(row::LAST_PRICE, 101);
        update.set(row::LAST_QUANTITY, 3);
        update.set(row::VOLUME, 3);
        update.set_status(TradingStatus::Trading, b'T');
        update.set_quality(Quality::Fresh);
    }
    let mut board = lane.board();
    let quote = board.quote("AAPL").unwrap();
    assert_eq!((quote.bid, quote.ask, quote.market_n), (Some(level(100, 7, 2)), None, 41));
    let row = board.row(70).unwrap();
    assert_eq!(row.window(Side::Bid).collect::<Vec<_>>(), [level(100, 7, 2), level(99, 5, 1)]);
    let last = row.last_trade().unwrap();
    assert_eq!((last.price, last.quantity, row.volume(), row.open()), (101, 3, 3, None));
    assert_eq!((row.status(), row.quality(), row.open_interest()), (TradingStatus::Trading, Quality::Fresh, None));
    assert!(matches!(board.quote("MSFT"), Err(LookupError::NoSuchInstrument(_))));
}

#[test]
fn a_half_written_row_is_busy_or_dead() {
    let mut engine = Engine::start();
    let at = engine.writer.add_instrument(&Instrument::equity(70, b"AAPL", b"XNAS")).unwrap();
    engine.beat();
    let mut lane = engine.attach();
    let update = engine.writer.board.update(at);
    // Forgotten, not dropped: this writer died in mid-row.
    std::mem::forget(update);
    engine.beat();
    assert_eq!(lane.board().quote("AAPL"), Err(LookupError::Busy));
    engine.silence();
    assert_eq!(lane.board().quote("AAPL"), Err(LookupError::WriterDead));
}

#[test]
fn state_counters_and_feeds() {
    let mut engine = Engine::start();
    engine.writer.counters.add(LaneCounter::Received, 5);
    let mut feed = engine.writer.feed(3);
    feed.set_name("nasdaq");
    feed.set_state(FeedState::Live);
    let lane = engine.attach();
    assert_eq!((lane.counters().lane(LaneCounter::Received), lane.state()), (5, Some(State::Live)));
    let feeds: Vec<_> = lane.feeds().map(|(facts, _)| (facts.name, facts.state)).collect();
    assert_eq!(feeds, [("nasdaq".to_string(), FeedState::Live as u64)]);
    engine.silence();
    assert!(lane.heartbeat_age().as_secs() >= 9);
}

#[test]
fn a_lane_follows_its_reader_into_the_next_epoch() {
    let mut engine = Engine::start();
    engine.writer.add_instrument(&Instrument::equity(70, b"AAPL", b"XNAS")).unwrap();
    let mut lane = engine.attach();
    let mut reader = lane.orders(Options::default()).unwrap();
    assert!(!lane.follow(&reader) && !lane.refresh().unwrap());
    engine.restart(restart_reason::ENGINE);
    engine.writer.add_instrument(&Instrument::equity(90, b"MSFT", b"XNAS")).unwrap();
    common::until(&mut reader, "X0");
    assert!(lane.follow(&reader));
    assert!(lane.instruments().get("AAPL").is_none() && lane.instruments().get("MSFT").is_some());
    assert!(!lane.refresh().unwrap());
}

/// Reads what is there into the books.
fn catch_up(reader: &mut ticklane_client::Reader, books: &mut Books) {
    while let Some(event) = reader.try_next().unwrap() {
        books.apply(&event);
    }
}

fn best(books: &Books, id: u32) -> Option<Level> {
    match books.get(id)? {
        View::Complete(book) => book.best(Side::Bid),
        View::Incomplete(_) => None,
    }
}

#[test]
fn books_from_the_beginning_are_complete() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(Options { start: OLDEST, ..Options::default() });
    let mut books = Books::of(&reader);
    let ring = &mut engine.writer.orders;
    push_order(ring, kind::ADD, 1, 11, 100, 10);
    push_order(ring, kind::ADD, 1, 12, 100, 20);
    push_order(ring, kind::ADD, 1, 13, 99, 5);
    push(ring, head(kind::ADD, side::ASK, 1), [14, 105, 8]);
    // A fill changes nothing by itself: the cancel behind it does.
    push_order(ring, kind::FILL, 1, 11, 100, 4);
    push_order(ring, kind::CANCEL, 1, 11, 100, 4);
    catch_up(&mut reader, &mut books);
    let book = books.get(1).and_then(View::complete).unwrap();
    assert_eq!(book.levels(Side::Bid).collect::<Vec<_>>(), [level(100, 26, 2), level(99, 5, 1)]);
    assert_eq!((book.best(Side::Ask), book.orders()), (Some(level(105, 8, 1)), 4));
    assert_eq!((book.ahead_of(12), book.ahead_of(11), book.ahead_of(99)), (Some((1, 6)), Some((0, 0)), None));
    let ring = &mut engine.writer.orders;
    // Less quantity keeps the place, more does not.
    push_order(ring, kind::MODIFY, 1, 11, 100, 5);
    catch_up(&mut reader, &mut books);
    assert_eq!(books.get(1).and_then(View::complete).unwrap().ahead_of(12), Some((1, 5)));
    push_order(&mut engine.writer.orders, kind::MODIFY, 1, 11, 100, 6);
    catch_up(&mut reader, &mut books);
    assert_eq!(books.get(1).and_then(View::complete).unwrap().ahead_of(11), Some((1, 20)));
    let ring = &mut engine.writer.orders;
    push_order(ring, kind::CANCEL, 1, 11, 100, 6);
    push_order(ring, kind::MODIFY, 1, 12, 100, 15);
    // Another price is another place.
    push_order(ring, kind::MODIFY, 1, 13, 100, 5);
    catch_up(&mut reader, &mut books);
    let book = books.get(1).and_then(View::complete).unwrap();
    assert_eq!(book.levels(Side::Bid).collect::<Vec<_>>(), [level(100, 20, 2)]);
    assert_eq!((book.ahead_of(12), book.ahead_of(13)), (Some((0, 0)), Some((1, 15))));
}

#[test]
fn a_late_reader_is_incomplete_until_a_clear() {
    let mut engine = Engine::start();
    engine.orders([11]);
    let mut reader = engine.reader(Options::default());
    let mut books = Books::of(&reader);
    let ring = &mut engine.writer.orders;
    push_order(ring, kind::ADD, 1, 12, 99, 10);
    push_order(ring, kind::ADD, 2, 13, 98, 10);
    catch_up(&mut reader, &mut books);
    let Some(View::Incomplete(book)) = books.get(1) else { panic!("complete, but order 11 was never seen") };
    assert_eq!((book.known_orders(), book.known_levels(Side::Bid).next()), (1, Some(level(99, 10, 1))));
    let ring = &mut engine.writer.orders;
    push(ring, head(kind::CLEAR, 0, 1), [0; 3]);
    push_order(ring, kind::ADD, 1, 15, 97, 1);
    catch_up(&mut reader, &mut books);
    assert_eq!((best(&books, 1), best(&books, 2)), (Some(level(97, 1, 1)), None));
    push(&mut engine.writer.orders, head(kind::CLEAR, 0, INSTRUMENT_NONE), [0; 3]);
    catch_up(&mut reader, &mut books);
    assert_eq!((books.completeness(2), books.completeness(3)), (Completeness::Complete, Completeness::Complete));
}

#[test]
fn what_makes_books_incomplete() {
    use Completeness::{Complete, Incomplete};
    type Break = fn(&mut Engine);
    let table: [(&str, Break, Completeness, Completeness); 7] = [
        ("nothing", |_| (), Complete, Complete),
        ("a gap of the venue", |e| gap(e, INSTRUMENT_NONE), Incomplete, Incomplete),
        ("a gap of one instrument", |e| gap(e, 1), Incomplete, Complete),
        ("a lap", |e| e.orders(0..2 * common::SLOTS), Incomplete, Incomplete),
        ("an unknown order", |e| cancel(e, 99, 1), Incomplete, Complete),
        ("more than is left", |e| cancel(e, 11, 1000), Incomplete, Complete),
        ("a record that says so", suspect, Incomplete, Complete),
    ];
    for (name, damage, one, two) in table {
        let mut engine = Engine::start();
        let mut reader = engine.reader(Options { start: OLDEST, ..Options::default() });
        let mut books = Books::of(&reader);
        push_order(&mut engine.writer.orders, kind::ADD, 1, 11, 100, 10);
        push_order(&mut engine.writer.orders, kind::ADD, 2, 12, 100, 10);
        catch_up(&mut reader, &mut books);
        damage(&mut engine);
        catch_up(&mut reader, &mut books);
        assert_eq!((books.completeness(1), books.completeness(2)), (one, two), "case: {name}");
    }
}

/// One record of an image, or of what interrupts it.
#[derive(Debug, Clone, Copy)]
enum Part {
    Begin,
    Clear(u32),
    Add(u32, u64),
    Unknown(u32),
    Gap,
    End(u32),
    EndOfAll,
}

fn tell(engine: &mut Engine, part: Part) {
    let ring = &mut engine.writer.orders;
    let marked = |kind, code, instrument| {
        let mut head = head(kind, code, instrument);
        head.flags |= flag::SNAPSHOT;
        head
    };
    let end = status_body(StatusCause::Session, session_code::IMAGE, [b' '; 8]);
    match part {
        Part::Begin => push(ring, marked(kind::CLEAR, clear_code::BOOK, INSTRUMENT_NONE), [0; 3]),
        Part::Clear(instrument) => push(ring, marked(kind::CLEAR, clear_code::BOOK, instrument), [0; 3]),
        Part::Add(instrument, id) => push(ring, marked(kind::ADD, side::BID, instrument), [id, 100, 10]),
        Part::Unknown(instrument) => push(ring, marked(kind::CANCEL, side::BID, instrument), [999, 100, 10]),
        Part::Gap => push(ring, head(kind::GAP, 0, INSTRUMENT_NONE), [1, 2, gap_reason::IMAGED]),
        Part::End(instrument) => push(ring, marked(kind::STATUS, 0, instrument), end),
        Part::EndOfAll => push(ring, marked(kind::STATUS, 0, INSTRUMENT_NONE), end),
    };
}

#[test]
fn an_image_makes_books_whole_at_its_end_and_not_before() {
    use Completeness::{Complete, Incomplete};
    use Part::{Add, Begin, Clear, End, EndOfAll, Gap, Unknown};
    // Instruments 1, 2, and 3, of which nothing was ever told.
    let table: [(&str, &[Part], [Completeness; 3]); 9] = [
        ("nothing", &[], [Incomplete; 3]),
        ("one that has begun", &[Begin, Clear(1), Add(1, 21), Clear(2)], [Incomplete; 3]),
        ("one that ends", &[Begin, Clear(1), Add(1, 21), Clear(2), Add(2, 22), EndOfAll], [Complete; 3]),
        ("an end of each", &[Begin, Clear(1), Add(1, 21), End(1), Clear(2), End(2)], [Complete, Complete, Incomplete]),
        ("an end of one", &[Begin, Clear(1), Add(1, 21), End(1), Clear(2)], [Complete, Incomplete, Incomplete]),
        ("messages that it replaces", &[Begin, Clear(1), Add(1, 21), Clear(2), Gap, EndOfAll], [Complete; 3]),
        ("a later gap", &[Begin, Clear(1), Clear(2), EndOfAll, Gap], [Incomplete; 3]),
        ("without its beginning", &[Clear(2), Add(2, 22), EndOfAll], [Incomplete, Complete, Incomplete]),
        ("against itself", &[Begin, Clear(1), Unknown(1), Clear(2), EndOfAll], [Incomplete, Complete, Complete]),
    ];
    for (name, parts, want) in table {
        let mut engine = Engine::start();
        let mut reader = engine.reader(Options { start: OLDEST, ..Options::default() });
        let mut books = Books::of(&reader);
        push_order(&mut engine.writer.orders, kind::ADD, 1, 11, 100, 10);
        gap(&mut engine, INSTRUMENT_NONE);
        parts.iter().for_each(|part| tell(&mut engine, *part));
        catch_up(&mut reader, &mut books);
        assert_eq!([1, 2, 3].map(|id| books.completeness(id)), want, "case: {name}");
        if want[0] == Complete && name != "a later gap" && parts.iter().any(|part| matches!(part, Add(1, _))) {
            let book = books.get(1).and_then(View::complete).unwrap();
            assert_eq!((book.orders(), book.order(11), book.order(21).is_some()), (1, None, true), "case: {name}");
        }
    }
}

#[test]
fn an_image_of_which_a_reader_has_lost_a_part_is_no_image() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(Options { start: OLDEST, ..Options::default() });
    let mut books = Books::of(&reader);
    tell(&mut engine, Part::Begin);
    tell(&mut engine, Part::Clear(1));
    catch_up(&mut reader, &mut books);
    engine.orders(0..2 * common::SLOTS);
    catch_up(&mut reader, &mut books);
    tell(&mut engine, Part::EndOfAll);
    catch_up(&mut reader, &mut books);
    assert_eq!([1, 2].map(|id| books.completeness(id)), [Completeness::Incomplete; 2]);
}

fn gap(engine: &mut Engine, instrument: u32) {
    push(&mut engine.writer.orders, head(kind::GAP, 0, instrument), [1, 2, gap_reason::UNFILLED]);
}

fn cancel(engine: &mut Engine, order_id: u64, quantity: u64) {
    push_order(&mut engine.writer.orders, kind::CANCEL, 1, order_id, 100, quantity);
}

fn suspect(engine: &mut Engine) {
    let mut head = head(kind::ADD, side::BID, 1);
    head.flags |= flag::SUSPECT;
    push(&mut engine.writer.orders, head, [77, 100, 10]);
}

#[test]
fn a_restart_with_a_loss_leaves_nothing_complete() {
    let restarted =
        Restarted { old_epoch: 1, new_epoch: 2, drained_to: 5, old_end: Some(5), reason: RestartReason::Engine };
    let mut books = Books::new(Completeness::Complete);
    books.apply(&Event::Restarted(restarted));
    assert_eq!(books.completeness(1), Completeness::Complete);
    books.apply(&Event::Restarted(Restarted { old_end: Some(6), ..restarted }));
    assert_eq!(books.completeness(1), Completeness::Incomplete);
}

#[test]
fn books_live_through_a_seamless_restart_only() {
    for (reason, kept) in [(restart_reason::ENGINE, true), (restart_reason::UNKNOWN, false)] {
        let mut engine = Engine::start();
        let mut reader = engine.reader(Options { start: OLDEST, ..Options::default() });
        let mut books = Books::of(&reader);
        push_order(&mut engine.writer.orders, kind::ADD, 1, 11, 100, 10);
        engine.restart(reason);
        loop {
            let event = reader.next_within(common::PATIENCE).unwrap().unwrap();
            books.apply(&event);
            if matches!(event, Event::Record(record) if record.head.kind == kind::RESTART) {
                break;
            }
        }
        // Whoever begins anew without a predecessor begins with empty books, which are whole.
        assert_eq!(best(&books, 1), kept.then(|| level(100, 10, 1)), "reason {reason}");
        assert_eq!(books.completeness(1), Completeness::Complete, "reason {reason}");
        // A reader that joins now has seen nothing of what was before.
        let late = engine.reader(Options { start: OLDEST, ..Options::default() });
        let whole = Books::of(&late).completeness(1);
        assert_eq!(whole == Completeness::Complete, reason == restart_reason::UNKNOWN, "reason {reason}");
    }
}
