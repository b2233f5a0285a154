//! The messages of the closed loop: one symbol with a small, steady book, in which every message changes something.

use std::collections::VecDeque;

use market::book::BookLimits;
use market::itch::{BareBook, Itch, ItchConfig};
use market::{DenseIds, MessageAt, Stamps};
use shm_abi::segment::LaneWriter;
use shm_abi::sys::realtime_ns;
use wire::itch50::{AddOrder, OrderDelete, StockDirectory, SystemEvent, TradingAction};
use zerocopy::IntoBytes;

use crate::itch::book::plan;
use crate::{BenchError, Result, sys};

/// Locate of the one symbol.
const LOCATE: u16 = 1;
const SYMBOL: [u8; 8] = *b"BENCH   ";
/// Orders that stand in the book from the start.
const STANDING_ORDERS: u64 = 128;
/// Prices on each side, in cents around the middle.
const PRICES: u64 = 20;
const MIDDLE_CENTS: u64 = 10_000;
/// Time between two messages, in venue time.
const STEP_NS: u64 = 10_000;
const START_NS: u64 = 34_200_000_000_000;
/// Messages before the timed ones: start, directory, trading, standing orders.
pub const SETUP_MESSAGES: u64 = 3 + STANDING_ORDERS;

/// The session's messages, one after the other.
#[derive(Debug)]
pub struct Stream {
    /// Messages made so far: the last one's sequence.
    made: u64,
    last: u64,
    standing: VecDeque<u64>,
    buffer: Vec<u8>,
}

impl Stream {
    /// A session with `timed` messages after its set-up.
    pub fn new(timed: u64) -> Self {
        Self { made: 0, last: SETUP_MESSAGES + timed, standing: VecDeque::new(), buffer: Vec::with_capacity(64) }
    }

    /// Timed messages.
    pub fn timed(&self) -> u64 {
        self.last - SETUP_MESSAGES
    }

    /// The next message and its sequence; `None` at the end.
    pub fn next_message(&mut self) -> Option<(u64, &[u8])> {
        if self.made == self.last {
            return None;
        }
        self.made += 1;
        let now = START_NS + self.made * STEP_NS;
        self.buffer.clear();
        match self.made {
            1 => self.buffer.extend(SystemEvent { event_code: b'O', ..SystemEvent::new(0, now) }.as_bytes()),
            2 => self.buffer.extend(directory(LOCATE, SYMBOL, now).as_bytes()),
            3 => self.buffer.extend(trading(LOCATE, SYMBOL, now).as_bytes()),
            // The oldest order leaves, then a new one comes: every message has one order record.
            n if n > SETUP_MESSAGES && n % 2 == 0 => {
                let oldest = self.standing.pop_front().expect("orders stand");
                let message = OrderDelete { order_reference: oldest.into(), ..OrderDelete::new(LOCATE, now) };
                self.buffer.extend(message.as_bytes());
            }
            n => {
                self.standing.push_back(n);
                self.buffer.extend(order(n, now).as_bytes());
            }
        }
        Some((self.made, &self.buffer))
    }
}

/// An ordinary share is listed.
pub(crate) fn directory(locate: u16, stock: [u8; 8], now: u64) -> StockDirectory {
    StockDirectory {
        stock,
        market_category: b'Q',
        financial_status: b'N',
        round_lot_size: 100.into(),
        round_lots_only: b'N',
        issue_classification: b'C',
        issue_sub_type: *b"Z ",
        authenticity: b'P',
        short_sale_threshold: b'N',
        ipo_flag: b' ',
        luld_tier: b'1',
        etp_flag: b'N',
        inverse: b'N',
        ..StockDirectory::new(locate, now)
    }
}

/// It is traded.
pub(crate) fn trading(locate: u16, stock: [u8; 8], now: u64) -> TradingAction {
    TradingAction { stock, state: b'T', reason: *b"    ", ..TradingAction::new(locate, now) }
}

/// Order `n`, on alternating sides, at prices that wander over the side so that touch and depth both change.
fn order(n: u64, now: u64) -> AddOrder {
    let bid = (n / 2).is_multiple_of(2);
    let away = 1 + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % PRICES;
    let cents = if bid { MIDDLE_CENTS - away } else { MIDDLE_CENTS + away };
    AddOrder {
        order_reference: n.into(),
        side: if bid { b'B' } else { b'S' },
        shares: 100.into(),
        stock: SYMBOL,
        price: (cents as u32 * 100).into(),
        ..AddOrder::new(LOCATE, now)
    }
}

/// The whole session in one buffer, with the place of every message.
fn laid_out(timed: u64) -> (Vec<u8>, Vec<MessageAt>) {
    let mut stream = Stream::new(timed);
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    while let Some((sequence, message)) = stream.next_message() {
        places.push(MessageAt { sequence, at: bytes.len() as u32, len: message.len() as u32 });
        bytes.extend_from_slice(message);
    }
    (bytes, places)
}

/// Nanoseconds of decode and book for one of these messages, one at a time, all caches warm.
///
/// # Errors
/// When the book cannot be made.
pub fn book_ns(timed: u64, ticks_per_ns: f64) -> Result<f64> {
    let mut book = BareBook::new(BookLimits::default()).map_err(|error| BenchError::Market(error.to_string()))?;
    let ns = timed_apply(timed, ticks_per_ns, |bytes, message| book.apply(bytes, message));
    match book.refused() {
        0 => Ok(ns),
        refused => {
            Err(BenchError::UnequalWork(format!("the book refused {refused} messages of the loop's own stream")))
        }
    }
}

/// Nanoseconds of the same with rings and board written.
///
/// # Errors
/// When the book or the lane cannot be made.
pub fn publish_ns(timed: u64, ticks_per_ns: f64) -> Result<f64> {
    let mut lane = LaneWriter::anonymous(&plan(1, super::engine::SLOTS))?;
    lane.prefault();
    let mut nasdaq =
        Itch::new(ItchConfig::default(), DenseIds::default()).map_err(|error| BenchError::Market(error.to_string()))?;
    Ok(timed_apply(timed, ticks_per_ns, |bytes, message| {
        let now = realtime_ns();
        nasdaq.apply(bytes, message, Stamps { ts_recv: now, ts_publish: now, flags: 0 }, &mut lane);
        lane.publish_heads();
    }))
}

fn timed_apply(timed: u64, ticks_per_ns: f64, mut apply: impl FnMut(&[u8], &[MessageAt])) -> f64 {
    let (bytes, places) = laid_out(timed);
    let (setup, rest) = places.split_at(SETUP_MESSAGES as usize);
    setup.iter().for_each(|message| apply(&bytes, std::slice::from_ref(message)));
    let started = sys::ticks();
    for message in rest {
        apply(&bytes, std::slice::from_ref(message));
    }
    (sys::ticks() - started) as f64 / ticks_per_ns / rest.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_consistent_and_its_book_steady() {
        let (bytes, places) = laid_out(1000);
        assert_eq!(places.len() as u64, SETUP_MESSAGES + 1000);
        let mut book = BareBook::new(BookLimits::default()).unwrap();
        for (index, message) in places.iter().enumerate() {
            assert_eq!(message.sequence, index as u64 + 1);
            book.apply(&bytes, &[*message]);
        }
        assert_eq!(book.refused(), 0);
        let standing = book.book().live_orders() as u64;
        assert!((STANDING_ORDERS - 1..=STANDING_ORDERS + 1).contains(&standing), "{standing} orders");
        for side in [market::book::Side::Bid, market::book::Side::Ask] {
            assert!(book.book().depth(LOCATE.into(), side) > 5, "both sides have depth");
        }
    }
}
