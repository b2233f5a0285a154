//! The dialects against each other: the day's messages as DSE would send them, decoded in turn with the originals.
//!
//! No day of the Dhaka exchange is public, so the generated day is rewritten with the encoder of the same tables: orders,
//! executions and replaces one for one, cancels of a part as the replaces that DSE sends for them.

use std::hint::black_box;
use std::ops::Range;

use wire::dialect::{DSE, Dialect, Event, NASDAQ_50, Role, Value, View};
use wire::itchfile::{self, Messages};

use super::decode::{decode_chunk, ns_per_message, warm};
use crate::{BenchError, Result, sys};

/// Messages that are rewritten for one measurement: their order does not repeat within what a branch predictor learns.
const MESSAGES: u64 = 2_000_000;

/// Nanoseconds per message of Nasdaq's form of the day, and of DSE's: both input in the cache, chunk by chunk in turn,
/// each of them first every other time.
///
/// # Errors
/// When the file is cut, or a message of it cannot be rewritten.
pub fn nasdaq_and_dse_ns(bytes: &[u8], chunks: &[Range<usize>], ticks_per_ns: f64) -> Result<(f64, f64)> {
    let mut rewritten = Vec::new();
    let (mut nasdaq, mut dse) = (Spent::default(), Spent::default());
    for (number, chunk) in chunks.iter().enumerate() {
        if nasdaq.messages >= MESSAGES {
            break;
        }
        rewrite(&bytes[chunk.clone()], &mut rewritten)?;
        let whole = 0..rewritten.len();
        let mut originals = || nasdaq.add(bytes, chunk, &NASDAQ_50);
        if number % 2 == 0 {
            originals()?;
        }
        dse.add(&rewritten, &whole, &DSE)?;
        if number % 2 == 1 {
            originals()?;
        }
    }
    let ns = |spent: Spent| ns_per_message(spent.ticks, spent.messages, ticks_per_ns);
    Ok((ns(nasdaq), ns(dse)))
}

#[derive(Default)]
struct Spent {
    ticks: u64,
    messages: u64,
}

impl Spent {
    fn add(&mut self, bytes: &[u8], chunk: &Range<usize>, dialect: &'static Dialect) -> Result<()> {
        warm(&bytes[chunk.clone()]);
        // Which dialect it is, the engine learns from its configuration, and the compiler never.
        let dialect = black_box(dialect);
        let started = sys::ticks();
        self.messages += decode_chunk(bytes, chunk, dialect)?;
        self.ticks += sys::ticks() - started;
        Ok(())
    }
}

/// Replaces what is in `out` by the messages of `day` as DSE 2.2 sends them, in the same framing.
fn rewrite(day: &[u8], out: &mut Vec<u8>) -> Result<()> {
    const NS_PER_SECOND: u64 = 1_000_000_000;
    let refused = |error: &dyn std::fmt::Display| BenchError::UnequalWork(format!("no DSE form: {error}"));
    out.clear();
    let mut message = Vec::new();
    for framed in Messages::new(day) {
        let view = NASDAQ_50.view(framed?.1).map_err(|error| refused(&error))?;
        let ns = view.u64(Role::TimestampNs).unwrap_or(0) % NS_PER_SECOND;
        let mut values = vec![(Role::TimestampNs, Value::Number(ns))];
        let (message_type, length, roles) = form(&view);
        values.extend(roles.iter().map(|role| (*role, value(&view, *role))));
        message.clear();
        DSE.encode(message_type, length, &values, &mut message).map_err(|error| refused(&error))?;
        itchfile::append(out, &message);
    }
    Ok(())
}

/// The DSE form of a message, and which of its fields it keeps.
fn form(view: &View<'_>) -> (u8, usize, &'static [Role]) {
    use Role::*;
    match view.event() {
        Event::Add if view.message_type() == b'F' => (b'F', 38, &[Reference, Side, Quantity, Orderbook, Price]),
        Event::Add => (b'A', 34, &[Reference, Side, Quantity, Orderbook, Price]),
        Event::Execute => (b'E', 29, &[Reference, Quantity, MatchNumber]),
        Event::ExecutePrice => (b'C', 38, &[Reference, Quantity, MatchNumber, Printable, Price, Orderbook]),
        Event::Delete => (b'D', 13, &[Reference]),
        Event::Cancel | Event::Replace => (b'U', 37, &[Reference, NewReference, Quantity, Price]),
        Event::Trade | Event::CrossTrade => (b'Q', 34, &[Quantity, Orderbook, Price, MatchNumber]),
        _ => (b'H', 11, &[Orderbook, State]),
    }
}

fn value(view: &View<'_>, role: Role) -> Value<'static> {
    match role {
        Role::Side | Role::Printable | Role::State => Value::Letter(view.letter(role).unwrap_or(b' ')),
        _ => Value::Number(view.u64(role).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use wire::dialect::OpKind;

    use super::super::day;
    use super::*;

    #[test]
    fn the_rewritten_day_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(day::provide(folder.path(), 12_000, 100, 7).unwrap()).unwrap();
        let mut rewritten = Vec::new();
        rewrite(&bytes, &mut rewritten).unwrap();
        let ops = |bytes: &[u8], dialect: &Dialect| {
            let decode = |message: &[u8]| dialect.decode_at(message, 0, message.len());
            Messages::new(bytes).map(|framed| decode(framed.unwrap().1)).collect::<Vec<_>>()
        };
        let (nasdaq, dse) = (ops(&bytes, &NASDAQ_50), ops(&rewritten, &DSE));
        assert_eq!((nasdaq.len(), dse.len()), (12_000, 12_000));
        for (nasdaq, dse) in nasdaq.iter().zip(&dse) {
            let kind = if nasdaq.kind == OpKind::Cancel { OpKind::Replace } else { nasdaq.kind };
            assert_eq!((dse.kind, dse.timestamp_ns), (kind, nasdaq.timestamp_ns % 1_000_000_000));
            if kind < OpKind::Other {
                assert_eq!(dse.reference, nasdaq.reference);
            }
            if matches!(kind, OpKind::Add | OpKind::ExecutePrice) {
                let facts = (nasdaq.quantity, nasdaq.price, nasdaq.locate);
                assert_eq!((dse.quantity, dse.price, dse.locate), facts);
            }
        }
    }
}
