//! Decoding alone: the length walk as floor, ours, and the crate `itch5`, with proof that both read the same fields.

use std::fmt;
use std::ops::Range;

use wire::dialect::{Dialect, NASDAQ_50, Op, OpKind};
use wire::itch50::TIMESTAMP_MAX_NS;
use wire::itchfile::Messages;

use crate::{Result, sys};

/// Sums of one kind's fields, wrapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields {
    messages: u64,
    reference: u64,
    new_reference: u64,
    match_number: u64,
    timestamp: u64,
    quantity: u64,
    price: u64,
    locate: u64,
    bids: u64,
    printable: u64,
}

/// Kinds of [`OpKind`].
const KINDS: usize = OpKind::Unknown as usize + 1;
/// Order messages: the kinds whose fields are compared.
const ORDER_KINDS: usize = OpKind::Replace as usize + 1;
const NAMES: [&str; KINDS] =
    ["add", "execute", "execute at price", "cancel", "delete", "replace", "other", "malformed", "unknown"];

/// Sums of every field by kind: whoever has the same totals has read the same fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    kinds: [Fields; KINDS],
}

impl Totals {
    /// Adds all fields of a message, also those that its kind lacks: [`Totals::settle`] drops these at the end, so that
    /// nothing here depends on the kind but the row that is added to.
    #[inline(always)]
    fn add(&mut self, op: &Op) {
        let row = &mut self.kinds[op.kind as usize];
        row.messages += 1;
        row.reference = row.reference.wrapping_add(op.reference);
        row.new_reference = row.new_reference.wrapping_add(op.new_reference);
        row.match_number = row.match_number.wrapping_add(op.match_number);
        row.timestamp = row.timestamp.wrapping_add(op.timestamp_ns);
        row.quantity = row.quantity.wrapping_add(op.quantity);
        row.price = row.price.wrapping_add(op.price.into());
        row.locate = row.locate.wrapping_add(op.locate.into());
        row.bids += u64::from(op.side == b'B');
        row.printable += u64::from(op.printable);
    }

    /// Clears the sums of fields that a kind does not have.
    fn settle(&mut self) {
        use OpKind::*;
        for (kind, row) in self.kinds.iter_mut().enumerate() {
            let is = |kinds: &[OpKind]| kinds.iter().any(|k| *k as usize == kind);
            let keep = |field: &mut u64, kept: bool| *field = if kept { *field } else { 0 };
            let order = kind < ORDER_KINDS;
            keep(&mut row.reference, order);
            keep(&mut row.new_reference, is(&[Replace]));
            keep(&mut row.match_number, is(&[Execute, ExecutePrice]));
            keep(&mut row.timestamp, order);
            keep(&mut row.quantity, order && !is(&[Delete]));
            keep(&mut row.price, is(&[Add, ExecutePrice, Replace]));
            keep(&mut row.locate, order);
            keep(&mut row.bids, is(&[Add]));
            keep(&mut row.printable, is(&[ExecutePrice]));
        }
    }

    /// All messages.
    pub fn messages(&self) -> u64 {
        self.kinds.iter().map(|row| row.messages).sum()
    }

    /// Messages by kind, as text.
    pub fn counts(&self) -> String {
        let used = self.kinds.iter().zip(NAMES).filter(|(row, _)| row.messages > 0);
        used.map(|(row, name)| format!("{name} {}", row.messages)).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.counts())
    }
}

pub(super) fn ns_per_message(ticks: u64, messages: u64, ticks_per_ns: f64) -> f64 {
    ticks as f64 / ticks_per_ns / messages.max(1) as f64
}

/// Floor: reads only the lengths. Nanoseconds per message.
///
/// # Errors
/// When the file is cut.
pub fn walk_ns(bytes: &[u8], ticks_per_ns: f64) -> Result<f64> {
    let started = sys::ticks();
    let (mut messages, mut sum) = (0, 0);
    for message in Messages::new(bytes) {
        let (at, _) = message?;
        messages += 1;
        sum ^= at;
    }
    let ticks = sys::ticks() - started;
    std::hint::black_box(sum);
    Ok(ns_per_message(ticks, messages, ticks_per_ns))
}

/// Bytes of a piece of the day that the caches hold.
const CHUNK_BYTES: usize = 128 << 10;

/// Cuts the day into pieces of about [`CHUNK_BYTES`], each of whole messages.
///
/// # Errors
/// When the file is cut.
pub fn chunks(bytes: &[u8]) -> Result<Vec<Range<usize>>> {
    let (mut chunks, mut start, mut end) = (Vec::new(), 0, 0);
    for message in Messages::new(bytes) {
        let (at, message) = message?;
        end = at + message.len();
        if end - start >= CHUNK_BYTES {
            chunks.push(start..end);
            start = end;
        }
    }
    chunks.extend((end > start).then_some(start..end));
    Ok(chunks)
}

/// Nanoseconds per message of `decode`, which returns the messages of a chunk. The bytes of each chunk are in the cache
/// before its clock starts, as those of a packet are that has just been received: so the decoder is timed and not the
/// memory.
fn cached_ns(
    bytes: &[u8],
    chunks: &[Range<usize>],
    ticks_per_ns: f64,
    mut decode: impl FnMut(&Range<usize>) -> Result<u64>,
) -> Result<f64> {
    let (mut ticks, mut messages) = (0, 0);
    for chunk in chunks {
        warm(&bytes[chunk.clone()]);
        let started = sys::ticks();
        messages += decode(chunk)?;
        ticks += sys::ticks() - started;
    }
    Ok(ns_per_message(ticks, messages, ticks_per_ns))
}

/// Brings the bytes into the cache.
pub(super) fn warm(bytes: &[u8]) {
    std::hint::black_box(bytes.iter().step_by(64).fold(0, |sum, byte| sum ^ byte));
}

/// Ours: every field of every order message, each put where a consumer would find it; input in the cache. Nanoseconds
/// per message.
///
/// # Errors
/// When the file is cut.
pub fn ours_cached_ns(bytes: &[u8], chunks: &[Range<usize>], ticks_per_ns: f64) -> Result<f64> {
    cached_ns(bytes, chunks, ticks_per_ns, |chunk| decode_chunk(bytes, chunk, std::hint::black_box(&NASDAQ_50)))
}

/// The same straight from the mapped file.
///
/// # Errors
/// When the file is cut.
pub fn ours_file_ns(bytes: &[u8], ticks_per_ns: f64) -> Result<f64> {
    let started = sys::ticks();
    let messages = decode_chunk(bytes, &(0..bytes.len()), std::hint::black_box(&NASDAQ_50))?;
    Ok(ns_per_message(sys::ticks() - started, messages, ticks_per_ns))
}

/// Decodes the messages of a chunk, and says how many they are.
#[inline(never)]
pub(super) fn decode_chunk(bytes: &[u8], chunk: &Range<usize>, dialect: &Dialect) -> Result<u64> {
    let mut messages = 0;
    for message in Messages::new(&bytes[chunk.clone()]) {
        let (at, message) = message?;
        // Must be in memory, whole, as far as the compiler knows.
        std::hint::black_box(&dialect.decode_at(bytes, chunk.start + at, message.len()));
        messages += 1;
    }
    Ok(messages)
}

/// Ours, summed up instead of timed: what was read.
///
/// # Errors
/// When the file is cut.
pub fn ours_totals(bytes: &[u8]) -> Result<Totals> {
    let mut totals = Totals::default();
    for message in Messages::new(bytes) {
        let (at, message) = message?;
        totals.add(&NASDAQ_50.decode_at(bytes, at, message.len()));
    }
    totals.settle();
    Ok(totals)
}

const _: () = assert!(TIMESTAMP_MAX_NS == (1 << 48) - 1, "both decoders read six bytes of time");

#[cfg(not(feature = "peers"))]
/// Nothing to measure without the feature `peers`.
///
/// # Errors
/// Never.
pub fn itch5_cached_ns(_: &[u8], _: &[Range<usize>], _: f64) -> Result<Option<f64>> {
    Ok(None)
}

#[cfg(not(feature = "peers"))]
/// Nothing to measure without the feature `peers`.
///
/// # Errors
/// Never.
pub fn itch5_file_ns(_: &[u8], _: f64) -> Result<Option<f64>> {
    Ok(None)
}

#[cfg(not(feature = "peers"))]
/// Nothing to compare with without the feature `peers`.
///
/// # Errors
/// Never.
pub fn itch5_totals(_: &[u8]) -> Result<Option<Totals>> {
    Ok(None)
}

#[cfg(feature = "peers")]
pub use peer::{itch5_cached_ns, itch5_file_ns, itch5_totals};

#[cfg(feature = "peers")]
mod peer {
    use std::hint::black_box;
    use std::ops::ControlFlow::{self, Continue};
    use std::ops::Range;

    use itch5::messages::{
        AddOrderNoMPIDAttribution, AddOrderWithMPIDAttribution, BuySellIndicator, CrossTrade,
        MarketParticipantPosition, NetOrderImbalanceIndicator, OrderCancel, OrderDelete, OrderExecuted,
        OrderExecutedWithPrice, OrderReplace, Printable, RegSHORestriction, StockDirectory, StockTradingAction,
        SystemEvent, Trade,
    };
    use itch5::{MessageHandler, Parser};
    use wire::dialect::OpKind;

    use super::{Totals, cached_ns, ns_per_message};
    use crate::{BenchError, Result, sys};

    /// Takes the fields that a message has, by the crate's own accessors: adds them up to show that they were read, or
    /// only puts each where a consumer would find it, to be timed.
    #[derive(Default)]
    struct Taker<const ADD: bool> {
        totals: Totals,
        messages: u64,
    }

    /// The fields that every order message has, then those named.
    macro_rules! add {
        ($self:ident, $kind:ident, $message:ident, $reference:ident $(, $field:ident = $value:expr)* $(,)?) => {{
            $self.messages += 1;
            if ADD {
                let row = &mut $self.totals.kinds[OpKind::$kind as usize];
                row.messages += 1;
                row.reference = row.reference.wrapping_add($message.$reference());
                row.timestamp = row.timestamp.wrapping_add($message.timestamp().to_u64());
                row.locate = row.locate.wrapping_add($message.stock_locate().into());
                $( row.$field = row.$field.wrapping_add(u64::from($value)); )*
            } else {
                black_box($message.$reference());
                black_box($message.timestamp().to_u64());
                black_box($message.stock_locate());
                $( black_box($value); )*
            }
            Continue(())
        }};
    }

    macro_rules! count_others {
        ($($method:ident $message:ident),* $(,)?) => {
            $( #[inline(always)]
            fn $method(&mut self, _: &$message) -> ControlFlow<()> {
                self.messages += 1;
                self.totals.kinds[OpKind::Other as usize].messages += u64::from(ADD);
                Continue(())
            } )*
        };
    }

    impl<const ADD: bool> MessageHandler for Taker<ADD> {
        #[inline(always)]
        fn on_add_order_no_mpid_attribution(&mut self, m: &AddOrderNoMPIDAttribution) -> ControlFlow<()> {
            let bid = matches!(m.buy_sell_indicator(), BuySellIndicator::Buy);
            add!(self, Add, m, order_reference_number, quantity = m.shares(), price = m.price().into_u32(), bids = bid)
        }

        #[inline(always)]
        fn on_add_order_with_mpid_attribution(&mut self, m: &AddOrderWithMPIDAttribution) -> ControlFlow<()> {
            let bid = matches!(m.buy_sell_indicator(), BuySellIndicator::Buy);
            add!(self, Add, m, order_reference_number, quantity = m.shares(), price = m.price().into_u32(), bids = bid)
        }

        #[inline(always)]
        fn on_order_executed(&mut self, m: &OrderExecuted) -> ControlFlow<()> {
            add!(
                self,
                Execute,
                m,
                order_reference_number,
                quantity = m.executed_shares(),
                match_number = m.match_number()
            )
        }

        #[inline(always)]
        fn on_order_executed_with_price(&mut self, m: &OrderExecutedWithPrice) -> ControlFlow<()> {
            add!(
                self,
                ExecutePrice,
                m,
                order_reference_number,
                quantity = m.executed_shares(),
                match_number = m.match_number(),
                price = m.execution_price().into_u32(),
                printable = matches!(m.printable(), Printable::Printable)
            )
        }

        #[inline(always)]
        fn on_order_cancel(&mut self, m: &OrderCancel) -> ControlFlow<()> {
            add!(self, Cancel, m, order_reference_number, quantity = m.cancelled_shares())
        }

        #[inline(always)]
        fn on_order_delete(&mut self, m: &OrderDelete) -> ControlFlow<()> {
            add!(self, Delete, m, order_reference_number)
        }

        #[inline(always)]
        fn on_order_replace(&mut self, m: &OrderReplace) -> ControlFlow<()> {
            add!(
                self,
                Replace,
                m,
                original_order_reference_number,
                new_reference = m.new_order_reference_number(),
                quantity = m.shares(),
                price = m.price().into_u32()
            )
        }

        // The other types that the generated day has.
        count_others! {
            on_system_event SystemEvent,
            on_stock_directory StockDirectory,
            on_stock_trading_action StockTradingAction,
            on_reg_sho_restriction RegSHORestriction,
            on_market_participant_position MarketParticipantPosition,
            on_trade Trade,
            on_cross_trade CrossTrade,
            on_net_order_imbalance_indicator NetOrderImbalanceIndicator,
        }
    }

    fn parse<const ADD: bool>(bytes: &[u8]) -> Result<Taker<ADD>> {
        let mut taker = Taker::default();
        let parsed = Parser::new(bytes).parse_stream(&mut taker);
        parsed.map_err(|refused| BenchError::Peer { peer: "itch5", what: format!("{refused:?}") })?;
        Ok(taker)
    }

    /// The crate `itch5`: every field of every order message; input in the cache. Nanoseconds per message.
    ///
    /// # Errors
    /// When the crate refuses the file.
    pub fn itch5_cached_ns(bytes: &[u8], chunks: &[Range<usize>], ticks_per_ns: f64) -> Result<Option<f64>> {
        cached_ns(bytes, chunks, ticks_per_ns, |chunk| Ok(parse::<false>(&bytes[chunk.clone()])?.messages)).map(Some)
    }

    /// The same straight from the mapped file.
    ///
    /// # Errors
    /// When the crate refuses the file.
    pub fn itch5_file_ns(bytes: &[u8], ticks_per_ns: f64) -> Result<Option<f64>> {
        let started = sys::ticks();
        let messages = parse::<false>(bytes)?.messages;
        Ok(Some(ns_per_message(sys::ticks() - started, messages, ticks_per_ns)))
    }

    /// The crate `itch5`, summed up instead of timed: what was read.
    ///
    /// # Errors
    /// When the crate refuses the file.
    pub fn itch5_totals(bytes: &[u8]) -> Result<Option<Totals>> {
        Ok(Some(parse::<true>(bytes)?.totals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::itch::day;

    #[test]
    fn ours_and_the_peer_read_the_same_fields() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(day::provide(folder.path(), 60_000, 200, 3).unwrap()).unwrap();
        let ours = ours_totals(&bytes).unwrap();
        assert_eq!(ours.messages(), 60_000);
        for kind in &ours.kinds[..ORDER_KINDS] {
            assert!(kind.messages > 0 && kind.reference > 0, "every order type occurs: {ours}");
        }
        if let Some(theirs) = itch5_totals(&bytes).unwrap() {
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn chunks_hold_every_byte_once() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(day::provide(folder.path(), 20_000, 200, 3).unwrap()).unwrap();
        let chunks = chunks(&bytes).unwrap();
        assert!(chunks.len() > 2);
        let ends = chunks.iter().fold(0, |end, chunk| {
            assert_eq!(chunk.start, end);
            chunk.end
        });
        assert_eq!(ends, bytes.len());
        let messages: u64 = chunks.iter().map(|chunk| decode_chunk(&bytes, chunk, &NASDAQ_50).unwrap()).sum();
        assert_eq!(messages, 20_000);
    }

    #[test]
    fn a_cut_file_is_told() {
        assert!(walk_ns(&[0, 5, 1], 1.0).is_err());
        assert!(ours_file_ns(&[0, 5, 1], 1.0).is_err());
    }
}
