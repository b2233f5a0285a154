//! A quote as records alone tell it: for what is read from the recorded bus, where there is no row to look at.

use shm_abi::record::{AnomalyCode, Body, QUANTITY_NONE, Record, clear_code, kind, restart_reason};

use super::{LastTrade, Quote};
use crate::replay::Step;

/// A quote, and whether the records that were seen tell all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordedQuote {
    /// The quote.
    pub quote: Quote,
    /// Every record that it follows from was seen, from the beginning of the day on; otherwise something in it may stand
    /// as none, or as it was, that is not so. Of the day before nothing need be known: its close may be missing.
    pub known: bool,
}

impl RecordedQuote {
    /// Before the first record of an instrument, in a sequence without a predecessor.
    pub const fn empty() -> RecordedQuote {
        RecordedQuote { quote: Quote::EMPTY, known: true }
    }

    /// Whether records of this kind say something about a quote.
    #[inline]
    pub const fn concerns(of: u8) -> bool {
        matches!(
            of,
            kind::QUOTE
                | kind::TRADE
                | kind::TRADE_BREAK
                | kind::OFFICIAL_PRICE
                | kind::INDEX_VALUE
                | kind::CLEAR
                | kind::ANOMALY
        )
    }

    /// A record of its instrument.
    pub fn take(&mut self, record: &Record<'_>) {
        let ts_event = record.head.ts_event;
        match record.body() {
            Body::Quote { side: Some(side), price, quantity, orders } => {
                self.quote.set_best(side, price, quantity, orders);
            }
            Body::Trade { code, match_id, price, quantity } => {
                self.quote.trade(code, record.head.flags, LastTrade { price, quantity, match_id, ts_event });
            }
            // Some venues take such a print out of the day, others do not, and what was before it no record says.
            Body::TradeBreak { quantity, .. } if quantity != QUANTITY_NONE => self.known = false,
            Body::OfficialPrice { code, price } => self.quote.official(code, price),
            Body::IndexValue { value } => self.quote.index(value, ts_event),
            Body::Clear { code } => {
                self.quote.clear(code);
                self.known |= code != clear_code::BOOK;
            }
            // Its execution counts as volume, and no record says how much.
            Body::Anomaly(anomaly) if anomaly.code == AnomalyCode::UnknownOrder => self.known = false,
            _ => {}
        }
    }

    /// Records are missing here.
    pub fn miss(&mut self) {
        self.known = false;
    }

    /// The step into another epoch. Its writer went on where the one before had ended, if it says so: then the quote
    /// stands, and is still known if nothing of the old epoch is missing or void.
    pub fn step(&mut self, step: &Step) {
        if step.anew {
            *self = RecordedQuote::empty();
        } else if let Some(old) = &step.old {
            self.known &= old.end == Some(old.drained_to);
        }
    }
}

/// Whether a sequence that begins with this record has no predecessor.
pub fn begins_anew(first: &Record<'_>) -> bool {
    let goes_on = matches!(first.body(), Body::Restart(restart) if restart.reason != restart_reason::UNKNOWN);
    first.n == 0 && !goes_on
}

#[cfg(test)]
mod tests {
    use shm_abi::record::{Head, PRICE_NONE, flag, side};

    use super::*;
    use crate::replay::OldEpoch;

    fn record(of: u8, code: u8, body: [u64; 3], then: impl FnOnce(&Record<'_>)) {
        let head = Head {
            kind: of,
            flags: flag::LAST,
            span: 1,
            side_or_code: code,
            instrument_id: 3,
            ts_event: 9,
            ts_recv: 10,
            publish_delay_ns: 0,
            venue_sequence_low: 0,
        };
        let mut words = head.words().to_vec();
        words.extend(body);
        then(&Record::new(5, &words).unwrap());
    }

    #[test]
    fn what_records_tell_and_what_they_do_not() {
        const NONE: u64 = PRICE_NONE as u64;
        // Kind, code, body, whether it is known after it when it was not, and when it was.
        let table: &[(&str, u8, u8, [u64; 3], [bool; 2])] = &[
            ("a best price", kind::QUOTE, side::BID, [50, 1, 1], [false, true]),
            ("a print", kind::TRADE, b'B', [7, 50, 1], [false, true]),
            ("a revoked print that stays", kind::TRADE_BREAK, 0, [7, NONE, QUANTITY_NONE], [false, true]),
            ("one that may be taken out", kind::TRADE_BREAK, 0, [7, 50, 1], [false, false]),
            ("an unknown order", kind::ANOMALY, AnomalyCode::UnknownOrder as u8, [1, 2, 0], [false, false]),
            ("another anomaly", kind::ANOMALY, AnomalyCode::DuplicateOrder as u8, [1, 2, 0], [false, true]),
            ("a book is cleared", kind::CLEAR, clear_code::BOOK, [0; 3], [false, true]),
            ("a day begins", kind::CLEAR, clear_code::DAY, [0; 3], [true, true]),
        ];
        for (name, of, code, body, known) in table {
            let after = [false, true].map(|known| {
                let mut quote = RecordedQuote { known, ..RecordedQuote::default() };
                record(*of, *code, *body, |record| quote.take(record));
                assert!(RecordedQuote::concerns(*of), "case: {name}");
                quote.known
            });
            assert_eq!(after, *known, "case: {name}");
        }
        assert!(!RecordedQuote::concerns(kind::LEVEL));
    }

    #[test]
    fn what_a_step_leaves_known() {
        let old = |drained_to, end| Some(OldEpoch { epoch: 7, drained_to, end });
        let table = [
            ("it goes on", Step { epoch: 8, seq: 0, old: old(9, Some(9)), anew: false }, true),
            ("its end was lost", Step { epoch: 8, seq: 0, old: old(9, Some(12)), anew: false }, false),
            ("its end is void", Step { epoch: 8, seq: 0, old: old(9, Some(6)), anew: false }, false),
            ("nobody says where it ended", Step { epoch: 8, seq: 0, old: old(9, None), anew: false }, false),
            ("a beginning", Step { epoch: 8, seq: 0, old: old(9, None), anew: true }, true),
        ];
        for (name, step, known) in table {
            let mut quote = RecordedQuote::empty();
            quote.quote.volume = 5;
            quote.step(&step);
            assert_eq!((quote.known, quote.quote.volume), (known, if step.anew { 0 } else { 5 }), "case: {name}");
        }
    }
}
