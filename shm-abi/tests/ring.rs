//! Rings in one process: spans, wrap-around, laps, skips, and what does not belong into a ring. Miri runs these.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod common;

use common::{Heap, assert_whole, cases, span_words, words_of};
use proptest::prelude::*;
use shm_abi::ring::{
    CONTINUATION, KEEP_CLEAR, KIND_SKIP, LossReason, Lost, Polled, Rejoin, RingMemory, RingReader, RingWriter,
    SEQUENCE_LIMIT, SKIP_WORD, SPAN_MAX, word0,
};
use shm_abi::slot::SLOT_WORDS;
use shm_abi::sync::Ordering::Relaxed;

fn lost(first: u64, last: u64, reason: LossReason) -> Polled<'static> {
    Polled::Lost(Lost { first, last, reason })
}

/// A slot's words that hold nothing but word 0.
fn bare(word0: u64) -> [u64; SLOT_WORDS] {
    let mut words = [0; SLOT_WORDS];
    words[0] = word0;
    words
}

#[test]
fn every_span_comes_back_whole_at_every_place_of_the_ring() {
    // Miri takes its time over each.
    for span in (1..=SPAN_MAX).filter(|span| !cfg!(miri) || [1, 2, 7, SPAN_MAX].contains(span)) {
        let memory = Heap::new(64);
        let mut writer = RingWriter::new(memory.clone(), 0);
        let mut reader = RingReader::join(memory, Rejoin::Latest);
        // An odd offset first, so that spans of a divisor of the ring wrap around in their middle as well.
        for (round, span) in [1, span, span, span].into_iter().enumerate() {
            let n = writer.next_number();
            let words = words_of(n, span_words(span));
            assert_eq!(
                if span == 1 { writer.push(words[..].try_into().unwrap()) } else { writer.push_span(&words) },
                n
            );
            assert_eq!(reader.poll(), Polled::Empty, "an open event can be read");
            assert!(!reader.is_ready());
            writer.commit();
            assert!(reader.is_ready());
            let Polled::Record { n: got, words } = reader.poll() else { panic!("span {span}, round {round}") };
            assert_eq!((got, words.len()), (n, span_words(span)));
            assert_eq!((words[0] >> 16) as u8, span as u8);
            assert_whole(n, words);
            assert_eq!(reader.poll(), Polled::Empty);
        }
    }
}

#[test]
fn a_last_group_that_is_not_full_is_padded_with_zeros() {
    let memory = Heap::new(8);
    let mut writer = RingWriter::new(memory.clone(), 0);
    writer.push_span(&words_of(0, SLOT_WORDS + 1));
    writer.commit();
    let mut reader = RingReader::join(memory, Rejoin::Oldest);
    let Polled::Record { words, .. } = reader.poll() else { panic!("no record") };
    assert_eq!(words.len(), span_words(2));
    assert_whole(0, &words[..=SLOT_WORDS]);
    assert_eq!(words[SLOT_WORDS + 1..], [0; SLOT_WORDS - 2]);
}

#[test]
fn an_event_becomes_visible_as_a_whole() {
    let memory = Heap::new(16);
    let mut writer = RingWriter::new(memory.clone(), 0);
    let mut reader = RingReader::join(memory, Rejoin::Latest);
    for len in [7, 13, 7] {
        writer.push_span(&words_of(writer.next_number(), len));
        assert_eq!(reader.poll(), Polled::Empty);
    }
    assert_eq!(writer.open_slots(), 4);
    writer.commit();
    for n in [0, 1, 3] {
        assert!(matches!(reader.poll(), Polled::Record { n: got, .. } if got == n));
    }
    assert_eq!(reader.poll(), Polled::Empty);
    assert_eq!(reader.cursor(), 4);
}

#[test]
fn the_head_moves_by_itself_within_its_lag_and_at_the_end_of_a_burst() {
    let memory = Heap::new(4096);
    let mut writer = RingWriter::new(memory.clone(), 0);
    for n in 0..255 {
        writer.push(&words_of(n, SLOT_WORDS).try_into().unwrap());
        writer.commit();
    }
    assert_eq!(memory.head().load(Relaxed), 0);
    writer.publish_head();
    assert_eq!(memory.head().load(Relaxed), 255);
    for n in 255..511 {
        writer.push(&words_of(n, SLOT_WORDS).try_into().unwrap());
        writer.commit();
    }
    assert_eq!(memory.head().load(Relaxed), 511, "256 slots after the last one the head moves by itself");
}

/// Fills a ring with records of `span` slots until number `until` is reached.
fn fill(memory: &Heap, span: usize, until: u64) -> RingWriter<Heap> {
    let mut writer = RingWriter::new(memory.clone(), 0);
    while writer.next_number() < until {
        writer.push_span(&words_of(writer.next_number(), span_words(span)));
        writer.commit();
    }
    writer.publish_head();
    writer
}

#[test]
fn a_lapped_reader_is_told_exactly_what_it_lost() {
    // (rejoin, span, written, where the reader goes on)
    let table = [
        (Rejoin::Latest, 1, 65, 65),
        (Rejoin::Oldest, 1, 65, 17),
        (Rejoin::Oldest, 1, 1000, 952),
        (Rejoin::Latest, 3, 999, 999),
        // 999 - 48 = 951 is a multiple of 3; 1002 - 48 = 954 too; of 5: 1000 - 48 = 952 is in mid-record, 955 is next.
        (Rejoin::Oldest, 3, 999, 951),
        (Rejoin::Oldest, 5, 1000, 955),
    ];
    for (rejoin, span, written, resumed) in table {
        let memory = Heap::new(64);
        let mut reader = RingReader::join(memory.clone(), rejoin);
        let mut writer = fill(&memory, span, written);
        assert_eq!(reader.poll(), lost(0, resumed - 1, LossReason::Lapped), "{rejoin:?}, span {span}");
        for n in (resumed..written).step_by(span) {
            let Polled::Record { n: got, words } = reader.poll() else { panic!("{n} is gone") };
            assert_eq!(got, n);
            assert_whole(n, words);
        }
        assert_eq!(reader.poll(), Polled::Empty);
        writer.push_span(&words_of(written, span_words(span)));
        writer.commit();
        assert!(matches!(reader.poll(), Polled::Record { n, .. } if n == written));
    }
}

#[test]
fn a_batch_reader_gets_every_number_once_and_keeps_clear_of_a_moving_head() {
    let memory = Heap::new(128);
    let mut writer = RingWriter::new(memory.clone(), 0);
    let mut reader = RingReader::new(memory, 0, Rejoin::Oldest);
    let mut expected = 0;
    let mut batch = |reader: &mut RingReader<Heap>, max| {
        reader.poll_batch(max, |polled| match polled {
            Polled::Record { n, words } => {
                assert_eq!(n, expected);
                assert_whole(n, words);
                expected = n + 1;
            }
            Polled::Lost(lost) => {
                assert_eq!(lost.first, expected);
                expected = lost.last + 1;
            }
            Polled::Empty => panic!("nothing is never handed on"),
        })
    };
    assert_eq!(batch(&mut reader, 10), 0);
    let mut write = |count| {
        for _ in 0..count {
            let n = writer.next_number();
            writer.push(&words_of(n, SLOT_WORDS).try_into().unwrap());
            writer.commit();
        }
        writer.publish_head();
    };
    write(100);
    assert_eq!(batch(&mut reader, 10), 10, "as many as were asked for");
    assert_eq!(batch(&mut reader, 1000), 100 - 10 - KEEP_CLEAR as usize, "not up to a head that moves");
    assert_eq!(batch(&mut reader, 1000), KEEP_CLEAR as usize, "all of it once the head stands still");
    assert_eq!(batch(&mut reader, 1000), 0);
    // Lapped: the loss is one of the batch.
    write(300);
    while batch(&mut reader, 1000) > 0 {}
    assert_eq!((reader.cursor(), expected), (400, 400));
}

#[test]
fn a_head_that_lags_behind_an_event_as_large_as_the_ring_does_not_stop_a_reader() {
    // The head stands at 0 while the open event has overwritten everything: nothing can be read, and nothing is read.
    for rejoin in [Rejoin::Latest, Rejoin::Oldest] {
        let memory = Heap::new(64);
        let mut writer = RingWriter::new(memory.clone(), 0);
        for n in 0..15 {
            writer.push(&words_of(n, SLOT_WORDS).try_into().unwrap());
            writer.commit();
        }
        assert_eq!(memory.head().load(Relaxed), 0);
        let mut reader = RingReader::new(memory, 0, rejoin);
        for n in 15..79 {
            writer.push(&words_of(n, SLOT_WORDS).try_into().unwrap());
        }
        assert_eq!(reader.poll(), lost(0, 63, LossReason::Lapped));
        assert_eq!(reader.poll(), Polled::Empty);
        writer.commit();
        assert!(matches!(reader.poll(), Polled::Record { n: 64, .. }));
    }
}

#[test]
fn skips_and_slots_that_no_writer_writes_are_declared_and_passed() {
    let skip = |next: u64| {
        let mut words = bare(word0(KIND_SKIP, 0, 1, 0, u32::MAX));
        words[SKIP_WORD] = next;
        words
    };
    let span = |span: u8| bare(word0(b'A', 0, span, b'B', 1));
    let table: &[(&str, [u64; SLOT_WORDS], Polled<'static>)] = &[
        ("skip ahead", skip(9), lost(0, 8, LossReason::Skipped)),
        ("skip by one", skip(1), lost(0, 0, LossReason::Skipped)),
        ("skip to itself", skip(0), lost(0, 0, LossReason::Malformed)),
        ("skip beyond all numbers", skip(u64::MAX), lost(0, 0, LossReason::Malformed)),
        ("skip to the limit", skip(SEQUENCE_LIMIT), lost(0, 0, LossReason::Malformed)),
        ("span 0", span(0), lost(0, 0, LossReason::Malformed)),
        ("span 65", span(65), lost(0, 0, LossReason::Malformed)),
        ("span of more slots than the ring", span(17), lost(0, 0, LossReason::Malformed)),
        ("span whose continuation is not there", span(2), lost(0, 0, LossReason::Malformed)),
        ("a continuation under the cursor", span(CONTINUATION | 1), lost(0, 0, LossReason::Lapped)),
    ];
    for (name, words, want) in table {
        let memory = Heap::new(16);
        let mut writer = RingWriter::new(memory.clone(), 0);
        writer.push(words);
        writer.commit();
        let mut reader = RingReader::new(memory.clone(), 0, Rejoin::Latest);
        assert_eq!(&reader.poll(), want, "case: {name}");
        // Whatever it was, the reader goes on where it said.
        let Polled::Lost(Lost { last, .. }) = want else { unreachable!("the table holds losses") };
        let mut writer = RingWriter::new(memory, last + 1);
        writer.push(&words_of(last + 1, SLOT_WORDS).try_into().unwrap());
        writer.commit();
        assert!(matches!(reader.poll(), Polled::Record { n, .. } if n == last + 1), "case: {name}");
    }
}

#[test]
fn a_skip_record_of_several_slots_skips_as_well() {
    let memory = Heap::new(16);
    let mut writer = RingWriter::new(memory.clone(), 0);
    let mut words = vec![0; span_words(2)];
    words[0] = word0(KIND_SKIP, 0, 0, 0, u32::MAX);
    words[SKIP_WORD] = 12;
    writer.push_span(&words);
    writer.commit();
    let mut reader = RingReader::new(memory, 0, Rejoin::Latest);
    assert_eq!(reader.poll(), lost(0, 11, LossReason::Skipped));
    assert_eq!(reader.cursor(), 12);
}

#[test]
fn a_continuation_of_another_record_is_malformed() {
    let memory = Heap::new(16);
    let mut writer = RingWriter::new(memory.clone(), 0);
    writer.push(&bare(word0(b'A', 0, 2, b'B', 1)));
    writer.push(&bare(word0(b'A', 0, CONTINUATION | 2, b'B', 1)));
    writer.commit();
    let mut reader = RingReader::new(memory, 0, Rejoin::Latest);
    assert_eq!(reader.poll(), lost(0, 1, LossReason::Malformed));
}

#[test]
fn hostile_heads_and_cursors_neither_overflow_nor_spin() {
    for head in [u64::MAX, 1 << 63, SEQUENCE_LIMIT, SEQUENCE_LIMIT - 1] {
        for rejoin in [Rejoin::Latest, Rejoin::Oldest] {
            let memory = Heap::new(16);
            memory.head().store(head, Relaxed);
            let mut reader = RingReader::join(memory.clone(), rejoin);
            assert_eq!(reader.cursor(), head.min(SEQUENCE_LIMIT));
            assert_eq!(reader.poll(), Polled::Empty);
            // A stamp from far beyond: declared as a lap, and the reader stays in the range of numbers.
            memory.slot(reader.cursor()).finish((1 << 63) - 2);
            assert!(matches!(reader.poll(), Polled::Lost(_)));
            assert!(reader.cursor() <= SEQUENCE_LIMIT + 16);
        }
    }
    let mut reader = RingReader::new(Heap::new(16), u64::MAX, Rejoin::Latest);
    assert_eq!(reader.poll(), Polled::Empty);
    assert_eq!(reader.cursor(), SEQUENCE_LIMIT);
}

#[test]
#[should_panic(expected = "an event of more slots than the ring has")]
fn an_event_may_not_lap_itself() {
    let mut writer = RingWriter::new(Heap::new(4), 0);
    for n in 0..5 {
        writer.push(&words_of(n, SLOT_WORDS).try_into().unwrap());
    }
}

#[test]
#[should_panic(expected = "numbers are used up")]
fn numbers_end_at_two_to_the_53() {
    let mut writer = RingWriter::new(Heap::new(4), SEQUENCE_LIMIT - 1);
    writer.push(&words_of(0, SLOT_WORDS).try_into().unwrap());
    writer.commit();
}

#[test]
fn a_reader_that_races_the_writer_gets_whole_records_only() {
    // Miri lets loads return any value that the orderings allow, so there few records say much.
    let records: u64 = if cfg!(miri) { 150 } else { 200_000 };
    let memory = Heap::new(64);
    let mut writer = RingWriter::new(memory.clone(), 0);
    let mut ledger = Ledger { reader: RingReader::join(memory, Rejoin::Oldest), delivered: 0, lost: 0 };
    let thread = std::thread::spawn(move || {
        for round in 0..records {
            let n = writer.next_number();
            writer.push_span(&words_of(n, span_words(1 + round as usize % 4)));
            writer.commit();
        }
        writer.publish_head();
        writer.next_number()
    });
    while !thread.is_finished() {
        ledger.look();
    }
    let end = thread.join().unwrap();
    while ledger.look() {}
    assert_eq!(ledger.delivered + ledger.lost, end);
    assert!(ledger.delivered > 0);
}

/// What happens next in a random run.
#[derive(Debug, Clone)]
enum Step {
    /// An event of records of these lengths in words; the reader looks this often before it is committed.
    Event { lengths: Vec<usize>, looks: usize },
    /// The burst ends.
    Publish,
    /// The reader looks this often.
    Poll(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![4 => Just(SLOT_WORDS), 1 => SLOT_WORDS..=span_words(12)];
    prop_oneof![
        6 => (prop::collection::vec(length, 1..5), 0..3usize)
            .prop_map(|(lengths, looks)| Step::Event { lengths, looks }),
        1 => Just(Step::Publish),
        2 => (0..12usize).prop_map(Step::Poll),
    ]
}

/// What a reader got so far; every number up to `cursor` was either delivered or declared lost, in order, once.
struct Ledger {
    reader: RingReader<Heap>,
    delivered: u64,
    lost: u64,
}

impl Ledger {
    fn look(&mut self) -> bool {
        let expected = self.reader.cursor();
        assert_eq!(expected, self.delivered + self.lost, "numbers appeared or vanished");
        match self.reader.poll() {
            Polled::Empty => return false,
            Polled::Record { n, words } => {
                assert_eq!(n, expected);
                let len = words.iter().enumerate().rev().find(|(_, word)| **word != 0).expect("not all zeros").0 + 1;
                assert_whole(n, &words[..len]);
                self.delivered += (words[0] >> 16) & 0xff;
            }
            Polled::Lost(lost) => {
                assert_eq!((lost.first, lost.reason), (expected, LossReason::Lapped));
                assert!(lost.last >= lost.first);
                self.lost += lost.last - lost.first + 1;
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(cases(400, 3))]

    /// Whatever bursts and looks happen in whatever order: delivered and lost numbers are all numbers, in order, once.
    #[test]
    fn delivered_and_lost_numbers_are_all_numbers(
        steps in prop::collection::vec(step(), 1..120),
        slots in prop::sample::select(vec![64usize, 128]),
        rejoin in prop::sample::select(vec![Rejoin::Latest, Rejoin::Oldest]),
    ) {
        let memory = Heap::new(slots);
        let mut writer = RingWriter::new(memory.clone(), 0);
        let mut ledger = Ledger { reader: RingReader::join(memory, rejoin), delivered: 0, lost: 0 };
        for step in steps {
            match step {
                Step::Event { lengths, looks } => {
                    for len in lengths {
                        let n = writer.next_number();
                        writer.push_span(&words_of(n, len));
                    }
                    for _ in 0..looks {
                        ledger.look();
                    }
                    writer.commit();
                }
                Step::Publish => writer.publish_head(),
                Step::Poll(times) => {
                    for _ in 0..times {
                        ledger.look();
                    }
                }
            }
        }
        while ledger.look() {}
        prop_assert_eq!(ledger.delivered + ledger.lost, writer.next_number());
    }
}
