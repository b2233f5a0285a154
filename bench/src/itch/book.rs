//! Decode and book over a whole day, without and with rings and board written.

use std::fmt;

use market::book::{Book, BookLimits, Side};
use market::itch::{BareBook, Itch, ItchConfig};
use market::{BATCH, DenseIds, MessageAt, Stamps};
use shm_abi::layout::{Plan, depth_bytes};
use shm_abi::segment::LaneWriter;
use shm_abi::sys::{prefetch, realtime_ns};
use wire::itchfile::Messages;

use crate::facts::{MemoryLine, own_memory_mib};
use crate::{BenchError, Result, sys};

/// A day in memory.
#[derive(Debug, Clone, Copy)]
pub struct Day<'a> {
    /// Length-prefixed messages.
    pub bytes: &'a [u8],
    /// Listed symbols: locates run from 1 to this.
    pub symbols: u32,
}

/// Slots of each ring: the default of the engine, 64 MiB.
pub const RING_SLOTS: usize = 1 << 20;
/// Levels per side of every window.
pub const DEPTH: u16 = 10;

/// How far ahead of the message the file is asked for.
const READ_AHEAD_BYTES: usize = 1024;

/// The books at the end of a day, as far as two runs must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndState {
    orders: usize,
    levels: usize,
    checksum: u64,
    refused: u64,
}

impl fmt::Display for EndState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EndState { orders, levels, checksum, refused } = self;
        write!(f, "{orders} live orders, {levels} levels, checksum {checksum:016x}, {refused} messages refused")
    }
}

/// Slots written in a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Records {
    orders: u64,
    market: u64,
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} slots in the orders ring, {} in the market ring", self.orders, self.market)
    }
}

/// One run over the day.
#[derive(Debug, Clone, Copy)]
pub struct BookRun {
    /// Time of the loop alone.
    pub ns_per_message: f64,
    /// Anonymous memory of this process with the books alive.
    pub anonymous_mib: f64,
    /// Shared memory of this process at the same time.
    pub shared_mib: f64,
    /// The books at the end.
    pub end: EndState,
    /// What was published.
    pub records: Records,
}

/// Cuts the day into packets of at most `packet` messages and hands each on with its bytes: offsets count from the
/// packet's own start, as they would in a receive buffer. Returns the number of messages.
#[inline(always)]
fn packets(bytes: &[u8], packet: usize, mut take: impl FnMut(&[u8], &[MessageAt])) -> Result<u64> {
    assert!((1..=BATCH).contains(&packet), "packets of 1 to {BATCH}");
    let mut batch = [MessageAt { sequence: 0, at: 0, len: 0 }; BATCH];
    let (mut filled, mut base, mut sequence) = (0, 0, 0);
    for message in Messages::new(bytes) {
        let (at, message) = message?;
        if filled == 0 {
            base = at;
        }
        // A packet from the network lies in the cache already; a day's file must be asked for. Source: performance.md 9.
        if let Some(byte) = bytes.get(at + READ_AHEAD_BYTES) {
            prefetch(byte);
        }
        sequence += 1;
        batch[filled] = MessageAt { sequence, at: (at - base) as u32, len: message.len() as u32 };
        filled += 1;
        if filled == packet {
            take(&bytes[base..], &batch[..filled]);
            filled = 0;
        }
    }
    if filled > 0 {
        take(&bytes[base..], &batch[..filled]);
    }
    Ok(sequence)
}

/// Decode and book, nothing published.
///
/// # Errors
/// When the file is cut.
pub fn bare(day: &Day<'_>, packet: usize, ticks_per_ns: f64) -> Result<BookRun> {
    let mut book = BareBook::new(BookLimits::default()).map_err(|error| BenchError::Market(error.to_string()))?;
    let started = sys::ticks();
    let messages = packets(day.bytes, packet, |bytes, batch| book.apply(bytes, batch))?;
    let ticks = sys::ticks() - started;
    let end = end_state(book.book(), day.symbols, book.refused());
    Ok(book_run(ticks, messages, ticks_per_ns, end, Records::default()))
}

/// Decode, book, both rings, board and directory: everything that the engine does with a packet after receiving it.
///
/// # Errors
/// When the file is cut or the lane cannot be made.
pub fn published(day: &Day<'_>, packet: usize, ticks_per_ns: f64) -> Result<BookRun> {
    let mut lane = LaneWriter::anonymous(&plan(day.symbols, RING_SLOTS))?;
    lane.prefault();
    let mut nasdaq =
        Itch::new(ItchConfig::default(), DenseIds::default()).map_err(|error| BenchError::Market(error.to_string()))?;
    let started = sys::ticks();
    let messages = packets(day.bytes, packet, |bytes, batch| {
        // One clock reading per packet, as in the engine.
        let now = realtime_ns();
        nasdaq.apply(bytes, batch, Stamps { ts_recv: now, ts_publish: now, flags: 0 }, &mut lane);
        lane.publish_heads();
    })?;
    let ticks = sys::ticks() - started;
    let records = Records { orders: lane.orders.next_number(), market: lane.market.next_number() };
    let end = end_state(nasdaq.book(), day.symbols, 0);
    Ok(book_run(ticks, messages, ticks_per_ns, end, records))
}

/// A lane for every symbol of the day.
pub fn plan(symbols: u32, slots: usize) -> Plan {
    let instruments = symbols as usize + 1;
    Plan {
        lane: "bench".into(),
        orders_slots: slots,
        market_slots: slots,
        instruments,
        depth_bytes: instruments * depth_bytes(DEPTH),
    }
}

/// Called while the books are alive, so that their memory is seen.
fn book_run(ticks: u64, messages: u64, ticks_per_ns: f64, end: EndState, records: Records) -> BookRun {
    BookRun {
        ns_per_message: ticks as f64 / ticks_per_ns / messages.max(1) as f64,
        anonymous_mib: own_memory_mib(MemoryLine::Anonymous),
        shared_mib: own_memory_mib(MemoryLine::Shared),
        end,
        records,
    }
}

/// Folds every level of every book, best first, and the queue at every touch.
fn end_state(book: &Book, symbols: u32, refused: u64) -> EndState {
    let mut checksum = 0xcbf2_9ce4_8422_2325u64;
    let mut fold = |value: u64| checksum = (checksum ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
    for (instrument, side) in (1..=symbols).flat_map(|i| [(i, Side::Bid), (i, Side::Ask)]) {
        for level in book.levels(instrument, side) {
            [level.price.into(), level.quantity, level.orders.into()].into_iter().for_each(&mut fold);
        }
        let best = book.best_price(instrument, side);
        for (reference, quantity) in best.into_iter().flat_map(|price| book.queue(instrument, side, price)) {
            [reference, quantity.into()].into_iter().for_each(&mut fold);
        }
    }
    EndState { orders: book.live_orders(), levels: book.live_levels(), checksum, refused }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::itch::day;

    fn small_day() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::read(day::provide(folder.path(), 60_000, 200, 3).unwrap()).unwrap()
    }

    #[test]
    fn packets_hold_every_message_once() {
        let bytes = small_day();
        for packet in [1, 12, 32] {
            let mut seen = Vec::new();
            let messages = packets(&bytes, packet, |packet_bytes, batch| {
                assert!(batch.len() <= packet);
                for message in batch {
                    let at = message.at as usize;
                    seen.extend_from_slice(&(message.len as u16).to_be_bytes());
                    seen.extend_from_slice(&packet_bytes[at..at + message.len as usize]);
                }
            });
            assert_eq!(messages.unwrap(), 60_000);
            assert!(seen == bytes, "packets of {packet}");
        }
    }

    #[test]
    fn books_end_alike_whatever_the_packets() {
        let bytes = small_day();
        let day = Day { bytes: &bytes, symbols: 200 };
        let one = bare(&day, 1, 1.0).unwrap().end;
        assert!(one.orders > 0 && one.levels > 0, "{one}");
        assert_eq!(one.refused, 0, "the generator is consistent");
        assert_eq!(bare(&day, 32, 1.0).unwrap().end, one);
        assert_eq!(published(&day, 12, 1.0).unwrap().end, one);
    }

    #[test]
    fn another_book_has_another_checksum() {
        let bytes = small_day();
        let all = bare(&Day { bytes: &bytes, symbols: 200 }, 12, 1.0).unwrap().end;
        let fewer = bare(&Day { bytes: &bytes, symbols: 199 }, 12, 1.0).unwrap().end;
        assert_ne!(all.checksum, fewer.checksum);
    }
}
