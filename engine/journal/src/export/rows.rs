//! From records to rows: what a schema takes, what it makes of it, and what is doubtful. Knows no format.

use shm_abi::record::{
    Body, Head, INSTRUMENT_NONE, PRICE_NONE, Price, Quantity, Record, Side, StatusCause, flag, kind, restart_reason,
    session_code,
};

use super::{Counts, ExportError, Schema};
use crate::ids::IdIndex;

/// Most instruments that an export keeps track of.
pub(super) const INSTRUMENTS_MAX: usize = 1 << 22;

/// Best level of a side; [`PRICE_NONE`], 0, 0 when the side is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Best {
    pub(super) price: Price,
    pub(super) quantity: Quantity,
    pub(super) orders: u64,
}

impl Best {
    pub(super) const NONE: Best = Best { price: PRICE_NONE, quantity: 0, orders: 0 };
}

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A, C, M or F.
    Order { side: Option<Side>, order_id: u64, price: Price, quantity: Quantity },
    /// R: book, or quote, of the instrument is empty.
    Clear,
    /// T; the code is the side of the resting order, or a cross.
    Trade { code: u8, match_id: u64, price: Price, quantity: Quantity },
    /// B: a trade was revoked.
    TradeBreak { match_id: u64, price: Price, quantity: Quantity },
    /// A, M or C: one side of the quote came, changed, or went.
    Quote { side: Side, quote: [Best; 2] },
}

/// One row of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) n: u64,
    pub(super) action: u8,
    /// Head of the record that it comes from; its instrument is the row's, and its LAST is that of the exported event.
    pub(super) head: Head,
    pub(super) doubtful: bool,
    pub(super) what: What,
}

/// Where rows go.
pub(super) trait Sink {
    /// Takes a row; says whether the format could carry it.
    fn row(&mut self, row: &Row) -> Result<bool, ExportError>;
    /// The newest row was the last of its event.
    fn mark_last(&mut self);
}

/// Both sides of what is known of an instrument.
const BOTH: u8 = 3;

#[derive(Debug, Clone, Copy)]
struct Known {
    instrument_id: u32,
    /// Bits by [`Side::index`]: what is known of this side may be wrong.
    doubt: u8,
    /// An image of it comes in, and was seen from its beginning.
    imaged: bool,
    quote: [Best; 2],
}

impl Known {
    /// It is empty, and that is certain.
    fn begin(&mut self, imaged: bool) {
        (self.doubt, self.imaged, self.quote) = (0, imaged, [Best::NONE; 2]);
    }
}

/// The state of a schema between two records.
#[derive(Debug)]
pub(super) struct Rows {
    schema: Schema,
    known: Vec<Known>,
    /// Places in `known`.
    places: IdIndex,
    /// What an instrument begins with that was not seen yet.
    doubt: u8,
    /// An image of all instruments comes in, and was seen from its beginning.
    imaged: bool,
    /// Rows of the current event have gone out, and none said LAST.
    open: bool,
}

impl Rows {
    pub(super) fn new(schema: Schema) -> Rows {
        Rows { schema, known: Vec::new(), places: IdIndex::default(), doubt: 0, imaged: false, open: false }
    }

    /// Records are missing here, perhaps also of an image.
    pub(super) fn lose(&mut self) {
        self.doubt(INSTRUMENT_NONE);
        self.imaged = false;
        self.known.iter_mut().for_each(|known| known.imaged = false);
    }

    /// An image is whole: of one instrument, or of all.
    fn image_ended(&mut self, instrument_id: u32) {
        let end = |known: &mut Known| {
            if std::mem::take(&mut known.imaged) {
                known.doubt = 0;
            }
        };
        if instrument_id != INSTRUMENT_NONE {
            return self.places.get(instrument_id).into_iter().for_each(|at| end(&mut self.known[at]));
        }
        if std::mem::take(&mut self.imaged) {
            self.doubt = 0;
        }
        self.known.iter_mut().for_each(end);
    }

    /// The venue's messages are missing: of one instrument, or of any. An image shows what they have led to.
    fn doubt(&mut self, instrument_id: u32) {
        if instrument_id != INSTRUMENT_NONE {
            // One instrument too many is told by the record that speaks of it.
            if let Ok(known) = self.known(0, instrument_id) {
                known.doubt = BOTH;
            }
            return;
        }
        self.doubt = BOTH;
        self.known.iter_mut().for_each(|known| known.doubt = BOTH);
    }

    /// Takes in a record of the schema's ring.
    #[inline]
    pub(super) fn take(
        &mut self,
        record: &Record<'_>,
        counts: &mut Counts,
        sink: &mut impl Sink,
    ) -> Result<(), ExportError> {
        let head = &record.head;
        let rows = counts.rows;
        match (self.schema, head.kind, record.body()) {
            (Schema::Orders, action, Body::Order { side, order_id, price, quantity }) => {
                let what = What::Order { side, order_id, price, quantity };
                self.put(record, action, what, counts, sink)?;
            }
            (Schema::Orders | Schema::Trades, action, Body::Trade { code, match_id, price, quantity }) => {
                let what = What::Trade { code, match_id, price, quantity };
                self.put(record, action, what, counts, sink)?;
            }
            (Schema::Trades, action, Body::TradeBreak { match_id, price, quantity }) => {
                let what = What::TradeBreak { match_id, price, quantity };
                self.put(record, action, what, counts, sink)?;
            }
            (Schema::Quotes, _, Body::Quote { side: Some(side), price, quantity, orders }) => {
                self.quote(record, side, Best { price, quantity, orders }, counts, sink)?;
            }
            (Schema::Orders | Schema::Quotes, _, Body::Clear { .. }) => self.clear(record, counts, sink)?,
            (_, _, Body::Restart(restart)) => {
                counts.restarts += 1;
                let anew = [restart_reason::UNKNOWN, restart_reason::SESSION].contains(&restart.reason);
                if anew && matches!(self.schema, Schema::Orders | Schema::Quotes) {
                    self.clear_all(record, counts, sink)?;
                } else {
                    counts.leave_out(head.kind);
                }
            }
            (_, _, Body::Status(status))
                if status.cause == StatusCause::Session && status.venue_code == session_code::IMAGE =>
            {
                counts.leave_out(head.kind);
                self.image_ended(head.instrument_id);
            }
            (_, _, Body::Gap { .. }) => {
                counts.gaps += 1;
                counts.leave_out(head.kind);
                self.doubt(head.instrument_id);
            }
            _ => counts.leave_out(head.kind),
        }
        if head.is_last() {
            if self.open && counts.rows == rows {
                sink.mark_last();
            }
            self.open = false;
        } else {
            self.open |= counts.rows != rows;
        }
        Ok(())
    }

    /// What is known of the record's instrument.
    #[inline]
    fn known(&mut self, n: u64, instrument_id: u32) -> Result<&mut Known, ExportError> {
        let at = match self.places.get(instrument_id) {
            Some(at) => at,
            None => self.meet(n, instrument_id)?,
        };
        Ok(&mut self.known[at])
    }

    /// An instrument is spoken of for the first time.
    #[cold]
    fn meet(&mut self, n: u64, instrument_id: u32) -> Result<usize, ExportError> {
        let at = self.known.len();
        if at >= INSTRUMENTS_MAX {
            return Err(ExportError::Instruments { n, instrument_id, limit: INSTRUMENTS_MAX });
        }
        let (doubt, imaged) = (self.doubt, self.imaged);
        self.known.push(Known { instrument_id, doubt, imaged, quote: [Best::NONE; 2] });
        self.places.set(instrument_id, at as u32);
        Ok(at)
    }

    #[inline]
    fn put(
        &mut self,
        record: &Record<'_>,
        action: u8,
        what: What,
        counts: &mut Counts,
        sink: &mut impl Sink,
    ) -> Result<(), ExportError> {
        let Head { instrument_id, flags, .. } = record.head;
        // A trade is true whatever is missing before it.
        let doubt = match self.schema {
            Schema::Trades => 0,
            _ => self.known(record.n, instrument_id)?.doubt,
        };
        let doubtful = doubt != 0 || flags & flag::SUSPECT != 0;
        emit(&Row { n: record.n, action, head: record.head, doubtful, what }, counts, sink)
    }

    fn quote(
        &mut self,
        record: &Record<'_>,
        side: Side,
        best: Best,
        counts: &mut Counts,
        sink: &mut impl Sink,
    ) -> Result<(), ExportError> {
        let known = self.known(record.n, record.head.instrument_id)?;
        let before = std::mem::replace(&mut known.quote[side.index()], best);
        known.doubt &= !(1 << side.index());
        let action = match (before.price, best.price) {
            (_, PRICE_NONE) => kind::CANCEL,
            (PRICE_NONE, _) => kind::ADD,
            _ => kind::MODIFY,
        };
        let what = What::Quote { side, quote: known.quote };
        self.put(record, action, what, counts, sink)
    }

    fn clear(&mut self, record: &Record<'_>, counts: &mut Counts, sink: &mut impl Sink) -> Result<(), ExportError> {
        if record.head.instrument_id == INSTRUMENT_NONE {
            return self.clear_all(record, counts, sink);
        }
        let imaged = record.head.flags & flag::SNAPSHOT != 0;
        self.known(record.n, record.head.instrument_id)?.begin(imaged);
        self.put(record, kind::CLEAR, What::Clear, counts, sink)
    }

    /// Everything begins anew: each instrument that was seen is empty, and so is any that comes.
    fn clear_all(&mut self, record: &Record<'_>, counts: &mut Counts, sink: &mut impl Sink) -> Result<(), ExportError> {
        let imaged = record.head.flags & flag::SNAPSHOT != 0;
        (self.doubt, self.imaged) = (0, imaged);
        self.known.iter_mut().for_each(|known| known.begin(imaged));
        let mut ids: Vec<u32> = self.known.iter().map(|known| known.instrument_id).collect();
        ids.sort_unstable();
        for instrument_id in ids {
            // Each is an event of its own instrument.
            let head = Head { instrument_id, flags: record.head.flags | flag::LAST, ..record.head };
            emit(&Row { n: record.n, action: kind::CLEAR, head, doubtful: false, what: What::Clear }, counts, sink)?;
        }
        Ok(())
    }
}

#[inline]
fn emit(row: &Row, counts: &mut Counts, sink: &mut impl Sink) -> Result<(), ExportError> {
    if sink.row(row)? {
        counts.row(row.action, row.doubtful);
    } else {
        counts.leave_out(row.head.kind);
    }
    Ok(())
}
