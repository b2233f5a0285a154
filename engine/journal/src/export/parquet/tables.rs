//! Which columns each schema has, and what a row puts into them.

use std::collections::HashMap;

use arrow_schema::{Field, Schema as ArrowSchema};
use shm_abi::directory::{Instrument, InstrumentKind};
use shm_abi::record::{Head, PRICE_NONE, QUANTITY_NONE, Side, side};

use super::super::Schema;
use super::super::rows::{Best, Row, What};
use super::columns::{Column, ColumnKind, NO_LETTER};
use ColumnKind::{
    Flags, Id32, Id64, Letter, MaybeId32, Number8, Number16, Number64, Price, Quantity, Sequence, Sequence32, Symbol,
    Text, Time, Truth,
};

/// One column: its name, what it holds, and in words.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) kind: ColumnKind,
    about: &'static str,
}

const fn spec(name: &'static str, kind: ColumnKind, about: &'static str) -> Spec {
    Spec { name, kind, about }
}

const N: Spec = spec("n", Sequence, "number of the record on its ring");
const TS_EVENT: Spec = spec("ts_event", Time, "venue time");
const TS_RECV: Spec = spec("ts_recv", Time, "socket time");
const TS_PUBLISH: Spec = spec("ts_publish", Time, "time on the ring");
const INSTRUMENT_ID: Spec = spec("instrument_id", Id32, "lasting id");
const SYMBOL: Spec = spec("symbol", Symbol, "symbol of the venue");
const ACTION: Spec = spec("action", Letter, "A add, C cancel, M modify, R clear, T trade, F fill, B trade break");
const FLAGS: Spec = spec(
    "flags",
    Flags,
    "128 last of event, 64 volume only, 32 snapshot, 16 suspect, 8 not printed, 4 hidden, 2 user-space stamp, \
     1 coalesced stamp",
);
const DOUBTFUL: Spec = spec("doubtful", Truth, "the book may be wrong: messages are missing");
const SEQUENCE: Spec = spec("venue_sequence", Sequence32, "low 32 bits of the venue's sequence");
const PRICE: Spec = spec("price", Price, "1e-9");
const QUANTITY: Spec = spec("quantity", Quantity, "10^-quantity_decimals of the instrument");

const ORDERS: &[Spec] = &[
    N,
    TS_EVENT,
    TS_RECV,
    TS_PUBLISH,
    INSTRUMENT_ID,
    SYMBOL,
    ACTION,
    spec("side", Letter, "side of the order in the book: B, S; null: neither"),
    spec("cross", Letter, "of a trade: O opening, C closing, H after a halt"),
    spec("order_id", Id64, "of a trade: match id"),
    PRICE,
    QUANTITY,
    FLAGS,
    DOUBTFUL,
    SEQUENCE,
];

const TRADES: &[Spec] = &[
    N,
    TS_EVENT,
    TS_RECV,
    TS_PUBLISH,
    INSTRUMENT_ID,
    SYMBOL,
    ACTION,
    spec("side", Letter, "side of the order that rested in the book: B, S; null: neither"),
    spec("cross", Letter, "O opening, C closing, H after a halt"),
    spec("match_id", Id64, "the venue's match id"),
    PRICE,
    QUANTITY,
    FLAGS,
    DOUBTFUL,
    SEQUENCE,
];

const QUOTES: &[Spec] = &[
    N,
    TS_EVENT,
    TS_RECV,
    TS_PUBLISH,
    INSTRUMENT_ID,
    SYMBOL,
    ACTION,
    spec("side", Letter, "side that changed: B, S; null: both"),
    spec("bid_price", Price, "1e-9"),
    spec("bid_quantity", Quantity, "10^-quantity_decimals of the instrument"),
    spec("bid_orders", Number64, "orders at it"),
    spec("ask_price", Price, "1e-9"),
    spec("ask_quantity", Quantity, "10^-quantity_decimals of the instrument"),
    spec("ask_orders", Number64, "orders at it"),
    FLAGS,
    DOUBTFUL,
    SEQUENCE,
];

const DEFINITIONS: &[Spec] = &[
    TS_EVENT,
    TS_RECV,
    TS_PUBLISH,
    INSTRUMENT_ID,
    SYMBOL,
    spec("venue", Text, "venue"),
    spec("raw_symbol", Text, "symbol as the venue has it"),
    spec("kind", Text, "what it is"),
    spec("price_decimals", Number8, "decimals of the venue's prices"),
    spec("quantity_decimals", Number8, "quantities are in 10^-this"),
    spec("depth_class", Number16, "levels of its window on the bus"),
    spec("tick", Price, "1e-9"),
    spec("lot", Quantity, "round lot"),
    spec("option_side", Letter, "C, P"),
    spec("expiry", Time, "expiry"),
    spec("strike", Price, "1e-9"),
    spec("underlying_id", MaybeId32, "lasting id of the underlying"),
    spec("underlying", Symbol, "symbol of the underlying"),
    spec("provider_code", Number64, "the provider's index for the day"),
];

pub(super) fn columns(schema: Schema) -> &'static [Spec] {
    match schema {
        Schema::Orders => ORDERS,
        Schema::Trades => TRADES,
        Schema::Quotes => QUOTES,
        Schema::Definitions => DEFINITIONS,
    }
}

pub(super) fn arrow_schema(specs: &[Spec]) -> ArrowSchema {
    let field = |spec: &Spec| {
        let about = HashMap::from([("about".to_string(), spec.about.to_string())]);
        Field::new(spec.name, spec.kind.data_type(), spec.kind.is_nullable()).with_metadata(about)
    };
    ArrowSchema::new(specs.iter().map(field).collect::<Vec<_>>())
}

/// Fills the columns of one row from left to right.
struct Filler<'c>(std::slice::IterMut<'c, Column>);

impl Filler<'_> {
    #[inline]
    fn next(&mut self) -> &mut Column {
        self.0.next().expect("a table has a column for each value of a row")
    }
    #[inline]
    fn time(&mut self, ns: u64) {
        // Beyond the year 2262 there is no such time in the file, nor in any market.
        let Column::Signed(Time, values) = self.next() else { unreachable!("not a time") };
        values.push(i64::try_from(ns).unwrap_or(0));
    }
    #[inline]
    fn price(&mut self, price: i64) {
        let Column::Signed(Price, values) = self.next() else { unreachable!("not a price") };
        values.push(price);
    }
    #[inline]
    fn unsigned(&mut self, value: u64) {
        let Column::Unsigned(_, values) = self.next() else { unreachable!("not 64 bits") };
        values.push(value);
    }
    #[inline]
    fn number32(&mut self, value: u32) {
        let Column::Number32(_, values) = self.next() else { unreachable!("not 32 bits") };
        values.push(value);
    }
    #[inline]
    fn number8(&mut self, value: u8) {
        let Column::Number8(_, values) = self.next() else { unreachable!("not 8 bits") };
        values.push(value);
    }
    fn number16(&mut self, value: u16) {
        let Column::Number16(values) = self.next() else { unreachable!("not 16 bits") };
        values.push(value);
    }
    #[inline]
    fn truth(&mut self, value: bool) {
        let Column::Truth(values) = self.next() else { unreachable!("not a truth") };
        values.push(value);
    }
    #[inline]
    fn letter(&mut self, letter: u8) {
        let Column::Letter(values) = self.next() else { unreachable!("not a letter") };
        values.push(letter);
    }
    #[inline]
    fn symbol(&mut self, place: i32) {
        let Column::Symbol(values) = self.next() else { unreachable!("not a symbol") };
        values.push(place);
    }
    fn text(&mut self, text: &str) {
        let Column::Text(values) = self.next() else { unreachable!("not a text") };
        values.push(text.into());
    }
    #[inline]
    fn times(&mut self, head: &Head) {
        self.time(head.ts_event);
        self.time(head.ts_recv);
        self.time(head.ts_publish());
    }
    fn best(&mut self, best: Best) {
        self.price(best.price);
        self.unsigned(best.quantity);
        self.unsigned(best.orders);
    }
}

fn side_letter(side: Option<Side>) -> u8 {
    side.map_or(NO_LETTER, |side| side as u8)
}

/// Side and cross of a trade's code.
fn trade_letters(code: u8) -> [u8; 2] {
    match code {
        side::BID | side::ASK => [code, NO_LETTER],
        side::NONE => [NO_LETTER; 2],
        cross => [NO_LETTER, cross],
    }
}

/// Puts a row into the columns of its schema; `place` is that of its symbol.
#[inline]
pub(super) fn row(schema: Schema, columns: &mut [Column], row: &Row, place: i32) {
    let head = &row.head;
    let mut to = Filler(columns.iter_mut());
    to.unsigned(row.n);
    to.times(head);
    to.number32(head.instrument_id);
    to.symbol(place);
    to.letter(row.action);
    if schema == Schema::Quotes {
        let (side, quote) = match row.what {
            What::Quote { side, quote } => (Some(side), quote),
            _ => (None, [Best::NONE; 2]),
        };
        to.letter(side_letter(side));
        quote.into_iter().for_each(|best| to.best(best));
    } else {
        let ([side, cross], id, price, quantity) = match row.what {
            What::Order { side, order_id, price, quantity } => {
                ([side_letter(side), NO_LETTER], order_id, price, quantity)
            }
            What::Trade { code, match_id, price, quantity } => (trade_letters(code), match_id, price, quantity),
            What::TradeBreak { match_id, price, quantity } => ([NO_LETTER; 2], match_id, price, quantity),
            What::Clear | What::Quote { .. } => ([NO_LETTER; 2], 0, PRICE_NONE, QUANTITY_NONE),
        };
        to.letter(side);
        to.letter(cross);
        to.unsigned(id);
        to.price(price);
        to.unsigned(quantity);
    }
    to.number8(head.flags);
    to.truth(row.doubtful);
    to.number32(head.venue_sequence_low);
}

fn kind_name(kind: InstrumentKind) -> &'static str {
    match kind {
        InstrumentKind::Equity => "equity",
        InstrumentKind::Index => "index",
        InstrumentKind::Future => "future",
        InstrumentKind::Option => "option",
        InstrumentKind::Bond => "bond",
        InstrumentKind::Currency => "currency",
        InstrumentKind::Test => "test",
        _ => "unknown",
    }
}

/// Puts a definition into the columns; `places` are those of its symbol and its underlying's.
pub(super) fn definition(columns: &mut [Column], instrument: &Instrument, announced: &Head, places: [i32; 2]) {
    let mut to = Filler(columns.iter_mut());
    to.times(announced);
    to.number32(instrument.instrument_id);
    to.symbol(places[0]);
    to.text(instrument.venue.as_str());
    to.text(instrument.symbol.as_str());
    to.text(kind_name(instrument.kind));
    to.number8(instrument.price_decimals);
    to.number8(instrument.quantity_decimals);
    to.number16(instrument.depth_class);
    to.price(if instrument.tick == 0 { PRICE_NONE } else { instrument.tick });
    to.unsigned(if instrument.lot == 0 { QUANTITY_NONE } else { instrument.lot });
    to.letter(instrument.option_side);
    to.time(instrument.expiry_ns);
    to.price(instrument.strike);
    to.number32(instrument.underlying);
    to.symbol(places[1]);
    to.unsigned(instrument.provider_code);
}
