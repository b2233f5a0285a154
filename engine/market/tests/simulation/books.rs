//! What the books of one life of the engine must hold, kept by the obvious book from what the network delivered.

use std::collections::HashSet;

use market::Normaliser;
use market::ingest::Output;
use shm_abi::board::{Quality, RowImage};
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::Side;
use shm_abi::segment::Segment;

use crate::common::slow::Slow;
use crate::common::{Mirror, SCALE};
use crate::exchange::Session;
use crate::lane::Ids;
use crate::reader::Reader;

const SIDES: [Side; 2] = [Side::Bid, Side::Ask];
/// Depth classes of the three symbols: see `common::config`.
const CLASSES: [usize; 3] = [5, 10, 0];

/// The truth about one life of the engine.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    slow: Slow,
    /// Which session it follows.
    pub(crate) session: Option<usize>,
    /// Number of the next message wanted, from 1.
    pub(crate) next: u64,
    /// Messages that came once.
    pub(crate) delivered: u64,
    /// Messages that came again.
    pub(crate) duplicates: u64,
    /// First and last number of everything that will not come, of the present session.
    pub(crate) gaps: Vec<(u64, u64)>,
    /// Instruments of which something is missing.
    gapped: HashSet<u16>,
}

impl Truth {
    /// Another session, or the first: numbers and books begin anew.
    pub(crate) fn begin_session(&mut self, index: usize) {
        self.slow = Slow::default();
        (self.session, self.next) = (Some(index), 1);
        self.gaps.clear();
        self.gapped.clear();
    }

    /// The next message came.
    pub(crate) fn deliver(&mut self, message: &[u8]) {
        self.slow.apply(message);
        self.next += 1;
        self.delivered += 1;
    }

    /// Everything before `next` will not come.
    pub(crate) fn skip_to(&mut self, next: u64) {
        self.gaps.push((self.next, next - 1));
        self.gapped.extend(&self.slow.known);
        self.next = next;
    }

    /// The ledger: everything that came is published, a duplicate, rejected, or was known from the life before.
    pub(crate) fn check_ledger(&self, out: &Output<Ids>) {
        let count = |counter| out.writer.counters.get(counter);
        let received = count(LaneCounter::Received);
        let sum = count(LaneCounter::Published) + count(LaneCounter::Duplicates) + count(LaneCounter::Rejected);
        assert_eq!(received, sum, "received = published + duplicates + rejected");
        let came = received + count(LaneCounter::Rebuilt);
        assert_eq!(came, self.delivered + self.duplicates, "messages that came");
        assert_eq!(count(LaneCounter::Duplicates), self.duplicates, "messages that came again");
        if self.session.is_some() {
            assert_eq!(out.normaliser.sequence() + 1, self.next, "the next message");
        }
    }

    /// Books, rows, and the books of a reader of the rings (`mirror`, where those can be compared).
    pub(crate) fn check_books(&self, out: &Output<Ids>, segment: &Segment, mirror: Option<&Mirror>) {
        let Normaliser::Itch(itch) = &out.normaliser else { panic!("an ITCH feed") };
        let book = itch.book();
        assert_eq!(book.live_orders(), self.slow.orders.len(), "live orders");
        for locate in 1..=3u16 {
            let Some(at) = itch.row_of_locate(locate.into()) else {
                assert!(!self.slow.known.contains(&locate), "instrument {locate} was announced");
                continue;
            };
            let mut image = RowImage::default();
            segment.board().read(at, &mut image, || true).expect("a row");
            let (id, class) = (u32::from(locate) - 1, CLASSES[usize::from(locate) - 1]);
            for side in SIDES {
                let case = format!("{side:?} of instrument {locate}");
                let depth = self.slow.depth(locate, side);
                let own: Vec<_> = book.levels(locate.into(), side).map(|l| (l.price, l.quantity, l.orders)).collect();
                assert_eq!(own, depth, "book, {case}");
                let truth: Vec<_> = depth.iter().map(|(p, q, o)| (i64::from(*p) * SCALE, *q, *o)).collect();
                let window = &truth[..truth.len().min(class)];
                let row: Vec<_> = image.window(side).map(|l| (l.price, l.quantity, l.orders)).collect();
                assert_eq!(row, window, "row, {case}");
                let best = truth.first().copied();
                assert_eq!(image.best(side).map(|l| (l.price, l.quantity, l.orders)), best, "quote of the row, {case}");
                if let Some(mirror) = mirror {
                    assert_eq!(mirror.window(id, side), window, "a reader's window, {case}");
                    let quote = mirror.quote(id, side).map(|(p, q, o)| (p, q, o as u32));
                    assert_eq!(quote, best, "a reader's quote, {case}");
                }
            }
            assert_eq!(image.word(row::VOLUME), self.slow.volume.get(&locate).copied().unwrap_or(0), "volume");
        }
        if let Some(mirror) = mirror {
            let mut own: Vec<_> =
                mirror.orders.iter().map(|(id, (_, _, price, quantity))| (*id, *price, *quantity)).collect();
            let mut truth: Vec<_> =
                self.slow.orders.iter().map(|(id, o)| (*id, i64::from(o.price) * SCALE, o.quantity.into())).collect();
            own.sort_unstable();
            truth.sort_unstable();
            assert_eq!(own, truth, "a reader's orders");
        }
    }

    /// The books of a reader, when nothing is missing to this life and everything told before is replayed: whatever the
    /// lives before had lost is made good.
    pub(crate) fn check_trust(&self, reader: &Reader, session: &Session) {
        assert!(reader.has_books(), "a reader's books go on from what earlier lives had lost");
        for locate in self.slow.known.iter().filter(|_| session.honest) {
            assert!(reader.trust.is_whole(u32::from(*locate) - 1), "a reader's book of {locate} is not whole");
        }
    }

    /// Whose rows are gapped: every instrument that was known when messages went missing, and without a gap none.
    /// While the feed is live.
    pub(crate) fn check_quality(&self, out: &Output<Ids>, segment: &Segment, session: &Session) {
        let Normaliser::Itch(itch) = &out.normaliser else { panic!("an ITCH feed") };
        for locate in 1..=3u16 {
            let Some(at) = itch.row_of_locate(locate.into()) else { continue };
            let mut image = RowImage::default();
            segment.board().read(at, &mut image, || true).expect("a row");
            if self.gapped.contains(&locate) {
                assert_eq!(image.quality(), Quality::Gapped, "instrument {locate}, of which messages are missing");
            } else if self.gaps.is_empty() && session.honest {
                assert_eq!(image.quality(), Quality::Fresh, "instrument {locate}, of which nothing is missing");
            }
        }
    }
}
