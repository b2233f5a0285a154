//! Books that follow the orders ring, their images in the journal, and a late reader that starts from one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::collections::BTreeMap;

use common::Rng;
use common::*;
use journal::book::Books;
use journal::disk::drive;
use journal::image::{Imager, books_at, load};
use journal::{Entry, JournalConfig};
use shm_abi::record::{
    Restart, StatusCause, flag, gap_reason, kind, restart_body, restart_reason, session_code, side, status_body,
};
use shm_abi::segment::RingName;

const LIMIT: usize = 1 << 20;

fn order(kind: u8, side: u8, instrument: u32, id: u64, price: i64, quantity: u64) -> Vec<u64> {
    let mut words = record(kind, instrument, 1, T0, [id, price as u64, quantity], id);
    words[0] = words[0] & !(0xff << 24) | u64::from(side) << 24;
    words
}

/// By instrument: the orders in priority order, each (id, side, price, quantity).
type Plain = BTreeMap<u32, (bool, Vec<(u64, u8, i64, u64)>)>;

fn plain(books: &Books) -> Plain {
    let mut orders = Vec::new();
    let of = |instrument| {
        let bids = books.orders(instrument, &mut orders);
        assert_eq!(bids, orders.iter().filter(|order| order.side as u8 == side::BID).count());
        let list = orders.iter().map(|o| (o.id, o.side as u8, o.price, o.quantity)).collect();
        (instrument, (books.is_complete(instrument), list))
    };
    books.instruments().map(of).collect()
}

fn apply(books: &mut Books, records: &[Vec<u64>]) {
    for (n, words) in records.iter().enumerate() {
        books.apply(&Entry::Record { n: n as u64, words });
    }
}

#[test]
fn orders_stand_by_price_then_time_and_contradictions_make_a_book_incomplete() {
    let (b, s) = (side::BID, side::ASK);
    let adds = [
        order(kind::ADD, b, 1, 1, 100, 10),
        order(kind::ADD, b, 1, 2, 101, 10),
        order(kind::ADD, b, 1, 3, 100, 10),
        order(kind::ADD, s, 1, 4, 103, 10),
        order(kind::ADD, s, 1, 5, 102, 10),
    ];
    let ids = |books: &Books| plain(books)[&1].1.iter().map(|o| (o.0, o.3)).collect::<Vec<_>>();
    let table: &[(&str, &[Vec<u64>], &[(u64, u64)], bool)] = &[
        ("adds", &[], &[(2, 10), (1, 10), (3, 10), (5, 10), (4, 10)], true),
        (
            "a part is taken",
            &[order(kind::CANCEL, b, 1, 1, 100, 4)],
            &[(2, 10), (1, 6), (3, 10), (5, 10), (4, 10)],
            true,
        ),
        ("all is taken", &[order(kind::CANCEL, b, 1, 2, 101, 10)], &[(1, 10), (3, 10), (5, 10), (4, 10)], true),
        (
            "a fill alone takes nothing",
            &[order(kind::FILL, b, 1, 2, 101, 10)],
            &[(2, 10), (1, 10), (3, 10), (5, 10), (4, 10)],
            true,
        ),
        (
            "less keeps its place",
            &[order(kind::MODIFY, b, 1, 1, 100, 9)],
            &[(2, 10), (1, 9), (3, 10), (5, 10), (4, 10)],
            true,
        ),
        (
            "more loses it",
            &[order(kind::MODIFY, b, 1, 1, 100, 11)],
            &[(2, 10), (3, 10), (1, 11), (5, 10), (4, 10)],
            true,
        ),
        (
            "another price",
            &[order(kind::MODIFY, b, 1, 1, 101, 10)],
            &[(2, 10), (1, 10), (3, 10), (5, 10), (4, 10)],
            true,
        ),
        ("too much is taken", &[order(kind::CANCEL, b, 1, 2, 101, 11)], &[(1, 10), (3, 10), (5, 10), (4, 10)], false),
        (
            "an unknown order",
            &[order(kind::CANCEL, b, 1, 9, 101, 1)],
            &[(2, 10), (1, 10), (3, 10), (5, 10), (4, 10)],
            false,
        ),
        ("an id twice", &[order(kind::ADD, b, 1, 1, 99, 10)], &[(2, 10), (3, 10), (1, 10), (5, 10), (4, 10)], false),
        (
            "a gap",
            &[record(kind::GAP, 1, 1, T0, [1, 2, gap_reason::UNFILLED], 0)],
            &[(2, 10), (1, 10), (3, 10), (5, 10), (4, 10)],
            false,
        ),
        (
            "a gap, then a clear",
            &[record(kind::GAP, 1, 1, T0, [1, 2, 2], 0), record(kind::CLEAR, 1, 1, T0, [0; 3], 0)],
            &[],
            true,
        ),
    ];
    for (name, more, want, complete) in table {
        let mut books = Books::new(true, LIMIT);
        apply(&mut books, &adds);
        apply(&mut books, more);
        assert_eq!((&ids(&books)[..], books.is_complete(1)), (*want, *complete), "case: {name}");
        assert_eq!(books.live(), want.len(), "case: {name}");
    }
}

#[test]
fn losses_and_epochs_make_all_books_doubtful_unless_the_next_goes_on_from_there() {
    let restart = |old_epoch, old_end, reason| {
        let body = restart_body(&Restart { old_epoch, old_end, session: [b' '; 16], venue_sequence: 1, reason });
        let mut words = record(kind::RESTART, u32::MAX, 2, T0, [0; 3], 0);
        words.truncate(4);
        words.extend(body);
        words.resize(13, 0);
        words
    };
    let step = journal::reader::EpochStep { old_epoch: 7, old_end: 5, ended: true, new_epoch: 8 };
    let table: &[(&str, Vec<u64>, bool, usize)] = &[
        ("goes on", restart(7, 5, restart_reason::ENGINE), true, 1),
        ("from elsewhere", restart(7, 4, restart_reason::ENGINE), false, 1),
        ("from another epoch", restart(6, 5, restart_reason::ENGINE), false, 1),
        ("says nothing", order(kind::ADD, side::BID, 2, 8, 1, 1), false, 2),
        ("begins anew", restart(0, 0, restart_reason::UNKNOWN), true, 0),
    ];
    for (name, first, complete, live) in table {
        let mut books = Books::new(true, LIMIT);
        apply(&mut books, &[order(kind::ADD, side::BID, 1, 1, 100, 10)]);
        books.apply(&Entry::Epoch(step));
        apply(&mut books, std::slice::from_ref(first));
        assert_eq!((books.is_complete(1), books.live()), (*complete, *live), "case: {name}");
    }
    let mut books = Books::new(true, LIMIT);
    apply(&mut books, &[order(kind::ADD, side::BID, 1, 1, 100, 10)]);
    let reason = journal::format::HoleReason::Lapped;
    books.apply(&Entry::Hole(journal::reader::Hole { first: 1, last: 1, reason, damage: None }));
    assert!(!books.is_complete(1) && !books.is_complete(99) && !books.unseen_complete());
    let mut suspect = order(kind::ADD, side::BID, 1, 2, 100, 10);
    suspect[0] |= u64::from(flag::SUSPECT) << 8;
    let mut books = Books::new(true, 1);
    apply(&mut books, &[suspect]);
    assert!(!books.is_complete(1) && books.is_complete(2));
    apply(&mut books, &[order(kind::ADD, side::BID, 2, 2, 100, 10)]);
    assert_eq!((books.is_complete(2), books.over_limit(), books.live()), (false, 1, 1));
}

#[test]
fn an_image_in_the_ring_makes_books_whole_at_its_end_and_not_before() {
    let part = |mut words: Vec<u64>, flags: u8| {
        words[0] |= u64::from(flag::SNAPSHOT | flags) << 8;
        words
    };
    let clear = |instrument, flags| part(record(kind::CLEAR, instrument, 1, T0, [0; 3], 0), flags);
    let end = |instrument| {
        let body = status_body(StatusCause::Session, session_code::IMAGE, [b' '; 8]);
        part(record(kind::STATUS, instrument, 1, T0, body, 0), 0)
    };
    let add = |id| part(order(kind::ADD, side::BID, 1, id, 100, 10), flag::SUSPECT);
    let image = [clear(u32::MAX, flag::SUSPECT), clear(1, flag::SUSPECT), add(21), add(22)];
    let mut books = Books::new(false, LIMIT);
    apply(&mut books, &[order(kind::ADD, side::BID, 1, 11, 100, 10)]);
    apply(&mut books, &image);
    assert!(!books.is_complete(1) && !books.unseen_complete());
    let (begun, hole) = (books.clone(), journal::format::HoleReason::Lapped);
    apply(&mut books, &[end(1)]);
    assert_eq!((books.is_complete(1), books.unseen_complete()), (true, false));
    apply(&mut books, &[end(u32::MAX)]);
    assert_eq!((books.is_complete(1), books.unseen_complete(), books.live()), (true, true, 2));
    // Nothing helps a reader that has lost a part of it, nor one whose records contradict each other.
    let mut lost = begun.clone();
    lost.apply(&Entry::Hole(journal::reader::Hole { first: 1, last: 1, reason: hole, damage: None }));
    apply(&mut lost, &[end(u32::MAX)]);
    assert!(!lost.is_complete(1) && !lost.unseen_complete());
    let mut odd = begun;
    apply(&mut odd, &[order(kind::CANCEL, side::BID, 1, 99, 100, 10), end(u32::MAX)]);
    assert_eq!((odd.is_complete(1), odd.unseen_complete()), (false, true));
}

/// A random market of orders that mostly makes sense.
fn market(recording: &mut Recording, rng: &mut Rng, live: &mut Vec<(u32, u64, i64, u64)>, count: usize) {
    for _ in 0..count {
        let words = if live.is_empty() || rng.below(3) > 0 {
            let (instrument, id) = (rng.below(3) as u32, rng.next());
            let (price, quantity) = (100 + rng.below(20) as i64, 1 + rng.below(100));
            live.push((instrument, id, price, quantity));
            order(kind::ADD, if id % 2 == 0 { side::BID } else { side::ASK }, instrument, id, price, quantity)
        } else {
            let at = rng.below(live.len() as u64) as usize;
            let (instrument, id, price, left) = &mut live[at];
            let taken = 1 + rng.below(*left);
            *left -= taken;
            let words = order(kind::CANCEL, side::BID, *instrument, *id, *price, taken);
            if *left == 0 {
                live.swap_remove(at);
            }
            words
        };
        recording.push(RingName::Orders, &words);
    }
}

#[test]
fn a_late_reader_starts_from_the_last_image_and_comes_to_the_same_books() {
    let config = JournalConfig { image_interval_s: 1, ..small() };
    let mut recording = Recording::new(&config);
    let mut imager = Imager::new(&open(&recording.disk), &config, recording.writer.image_words(), 1).unwrap();
    let (mut rng, mut live) = (Rng(5), Vec::new());
    for round in 0..120 {
        market(&mut recording, &mut rng, &mut live, 30);
        recording.tick(100);
        let durable = recording.writer.durable(RingName::Orders);
        let writer = &mut recording.writer;
        let now = at(recording.ms).monotonic_ns;
        while imager.step(now, durable, 7, |part, words| writer.push_image(part, words)).unwrap() > 0 {}
        drive(writer, &mut recording.disk, at(recording.ms));
        assert!(round < 15 || recording.writer.counters().images > 0);
    }
    // Several parts to an image: the books do not fit one block of these.
    assert!(recording.writer.counters().images >= 30, "{}", recording.writer.counters().images);
    recording.finish();
    let journal = open(&recording.disk);
    let end = recording.next(RingName::Orders);
    let mut from_images = 0;
    for n in (0..=end).step_by(97).chain([end]) {
        let mut want = Books::new(true, LIMIT);
        for (at, got) in recording.model[0][..n as usize].iter().enumerate() {
            let Got::Record(_, words) = got else { panic!("no holes here") };
            want.apply(&Entry::Record { n: at as u64, words });
        }
        let (books, reader) = books_at(&journal, 7, n, LIMIT).unwrap();
        assert_eq!(reader.next_number(), n);
        assert_eq!(plain(&books), plain(&want), "at {n}");
        assert!(books.unseen_complete());
        if let Some((image, at, 7)) = load(&journal, 7, n, LIMIT).unwrap() {
            assert!(at <= n && image.live() > 0);
            from_images += 1;
        }
    }
    assert!(from_images > 10);
    assert!(books_at(&journal, 7, end + 1, LIMIT).is_err());
    // An imager that begins again goes on from the last image.
    let again = Imager::new(&journal, &config, 1000, 0).unwrap();
    assert!(again.reached() > 0 && again.books().live() > 0);
}

#[test]
fn an_image_with_a_damaged_or_missing_part_is_passed_over_for_the_one_before() {
    let config = JournalConfig { image_interval_s: 1, file_bytes: 1 << 20, ..small() };
    let mut recording = Recording::new(&config);
    let mut imager = Imager::new(&open(&recording.disk), &config, recording.writer.image_words(), 1).unwrap();
    let (mut rng, mut live) = (Rng(6), Vec::new());
    for _ in 0..2 {
        market(&mut recording, &mut rng, &mut live, 1200);
        for _ in 0..14 {
            recording.tick(100);
            let durable = recording.writer.durable(RingName::Orders);
            let writer = &mut recording.writer;
            let now = at(recording.ms).monotonic_ns;
            while imager.step(now, durable, 500, |part, words| writer.push_image(part, words)).unwrap() > 0 {}
            recording.drive();
        }
    }
    recording.finish();
    let journal = open(&recording.disk);
    let (_, last, _) = load(&journal, 7, u64::MAX, LIMIT).unwrap().unwrap();
    assert_eq!(last, 2400);
    let images: Vec<_> = journal.index(0).unwrap().blocks().iter().filter(|b| b.header.count > 0).copied().collect();
    let images: Vec<_> = images.into_iter().filter(|b| b.header.kind == journal::format::BlockKind::Image).collect();
    let second: Vec<_> = images.iter().filter(|b| b.header.first == 2400).collect();
    assert!(second.len() >= 2, "{}", second.len());
    for hit in [second[0], second[1]] {
        recording.disk.files().get_mut(&0).unwrap()[hit.offset as usize + 100] ^= 1;
        let (_, at, _) = load(&open(&recording.disk), 7, u64::MAX, LIMIT).unwrap().unwrap();
        assert_eq!(at, 1200);
        recording.disk.files().get_mut(&0).unwrap()[hit.offset as usize + 100] ^= 1;
    }
}
