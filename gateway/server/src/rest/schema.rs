//! Schemas of what is written by hand: numbers that are exact decimals, which no Rust type of serde is.

use shm_abi::directory::InstrumentKind;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr};

use super::health::LaneStateName;

const DECIMAL: &str = "An exact decimal: read it as such, not as a double. At most 9 decimals, trailing zeros cut.";

/// A price or a quantity.
pub(super) fn decimal() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::Number)
        .description(Some(DECIMAL))
        .examples([serde_json::json!(123.45)])
        .into()
}

/// A price or a quantity, or null for none.
pub(super) fn decimal_or_null() -> Schema {
    let either = SchemaType::Array(vec![Type::Number, Type::Null]);
    ObjectBuilder::new().schema_type(either).description(Some(DECIMAL)).examples([serde_json::json!(123.45)]).into()
}

/// Levels of one side.
pub(super) fn levels() -> Schema {
    let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
    let cells: Vec<RefOr<Schema>> = vec![decimal().into(), decimal().into(), Schema::from(count).into()];
    let level = ArrayBuilder::new()
        .prefix_items(cells)
        .items(utoipa::openapi::schema::ArrayItems::False)
        .min_items(Some(3))
        .max_items(Some(3))
        .examples([serde_json::json!([123.45, 100, 3])]);
    ArrayBuilder::new().items(level).description(Some("`[price, quantity, orders]`, best first.")).into()
}

/// Lower-case name of an instrument's kind.
pub(super) fn kind_name(kind: InstrumentKind) -> &'static str {
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

/// State of one instrument, as its lane's board has it: whole, at number `seq`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct Answer<T> {
    #[schema(example = "AAPL")]
    symbol: String,
    #[schema(example = "XNAS")]
    venue: String,
    #[schema(example = 7)]
    instrument_id: u32,
    #[schema(example = "lane0")]
    lane: String,
    /// Names the lane's sequence for ever: 16 hex digits.
    #[schema(example = "00c0ffee00c0ffee", pattern = "^[0-9a-f]{16}$")]
    epoch: String,
    /// Number, in the lane's market ring, of the last record that this state reflects.
    #[schema(example = 120)]
    seq: u64,
    /// `lane.epoch.seq`: a WebSocket's `subscribe` takes it.
    #[schema(example = "lane0.00c0ffee00c0ffee.120")]
    cursor: String,
    /// Anything but `live`: these are the last known values.
    lane_state: LaneStateName,
    /// Venue time of that record, ns since the UNIX epoch.
    #[schema(example = "1580394600000000000")]
    ts_event: String,
    status: TradingStatusName,
    quality: QualityName,
    data: T,
}

/// Newest trades of one instrument.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct TradesAnswer {
    #[schema(example = "AAPL")]
    symbol: String,
    #[schema(example = "XNAS")]
    venue: String,
    #[schema(example = 7)]
    instrument_id: u32,
    #[schema(example = "lane0")]
    lane: String,
    /// Names the lane's sequence for ever: 16 hex digits.
    #[schema(example = "00c0ffee00c0ffee", pattern = "^[0-9a-f]{16}$")]
    epoch: String,
    /// Anything but `live`: these are the last known values.
    lane_state: LaneStateName,
    data: TradesData,
}

/// Trading status.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema of a string")]
pub(crate) enum TradingStatusName {
    Unknown,
    PreOpen,
    Trading,
    QuoteOnly,
    Halted,
    Paused,
    PostClose,
    Closed,
}

/// How far the values can be trusted.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema of a string")]
pub(crate) enum QualityName {
    /// Nothing is known yet.
    Unknown,
    /// The feed is live.
    Fresh,
    /// Live, but nothing has come for a while.
    Quiet,
    /// The feed is down: the values are the last known.
    Stale,
    /// Messages are missing: the book may be wrong.
    Gapped,
    /// Being rebuilt.
    Recovering,
    /// The provider refused the credentials.
    AuthExpired,
    /// The venue has closed.
    Closed,
}

/// Best bid and ask, last trade, and the day so far.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct QuoteData {
    bid: Option<BestLevel>,
    ask: Option<BestLevel>,
    last: Option<LastTradeData>,
    /// First printed price of the day.
    #[schema(schema_with = decimal_or_null)]
    open: Option<f64>,
    #[schema(schema_with = decimal_or_null)]
    high: Option<f64>,
    #[schema(schema_with = decimal_or_null)]
    low: Option<f64>,
    /// Once the closing cross has printed.
    #[schema(schema_with = decimal_or_null)]
    close: Option<f64>,
    #[schema(schema_with = decimal_or_null)]
    previous_close: Option<f64>,
    #[schema(schema_with = decimal)]
    volume: f64,
    /// Sum of price times quantity.
    #[schema(schema_with = decimal)]
    turnover: f64,
    trades: u64,
}

/// Best price of a side.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct BestLevel {
    #[schema(schema_with = decimal)]
    price: f64,
    #[schema(schema_with = decimal)]
    quantity: f64,
    orders: u32,
}

/// Last printed trade of the day.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct LastTradeData {
    #[schema(schema_with = decimal)]
    price: f64,
    #[schema(schema_with = decimal)]
    quantity: f64,
    /// The venue's match id.
    #[schema(example = "77")]
    match_id: String,
    /// Venue time, ns since the UNIX epoch.
    #[schema(example = "1580394599000000000")]
    ts_event: String,
}

/// The best levels of both sides.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct DepthData {
    #[schema(schema_with = levels)]
    bids: Vec<f64>,
    #[schema(schema_with = levels)]
    asks: Vec<f64>,
}

/// Newest trades, oldest first.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct TradesData {
    trades: Vec<TradeData>,
}

/// One trade.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct TradeData {
    /// Number of its record in the lane's market ring.
    seq: u64,
    /// Venue time, ns since the UNIX epoch.
    #[schema(example = "1580394599000000000")]
    ts_event: String,
    #[schema(schema_with = decimal)]
    price: f64,
    #[schema(schema_with = decimal)]
    quantity: f64,
    /// Side of the resting order; null: the venue does not tell.
    side: Option<SideName>,
    /// The cross that printed it; null: none.
    cross: Option<CrossName>,
    /// The venue's match id.
    #[schema(example = "77")]
    match_id: String,
    /// False: it does not count as volume.
    printed: bool,
    /// True: against an order that was never shown.
    hidden: bool,
}

/// `bid` or `ask`.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema of a string")]
pub(crate) enum SideName {
    Bid,
    Ask,
}

/// Which auction.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema of a string")]
pub(crate) enum CrossName {
    Open,
    Close,
    Halt,
}

/// Numbers that the journal does not have.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct HoleData {
    #[schema(example = "00c0ffee00c0ffee", pattern = "^[0-9a-f]{16}$")]
    epoch: String,
    /// First number that is missing.
    first: u64,
    /// Last number that is missing.
    last: u64,
}

/// Trades of one instrument over a time.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct TradeHistory {
    #[schema(example = "AAPL")]
    symbol: String,
    #[schema(example = "XNAS")]
    venue: String,
    #[schema(example = "lane0")]
    lane: String,
    /// Everything up to here is in this answer or before it; a WebSocket's `subscribe` takes it. Null: nothing is recorded.
    #[schema(example = "lane0.00c0ffee00c0ffee.120")]
    cursor: Option<String>,
    /// `cursor` of the next request; null: that is all there is now, or all of the time that was asked for.
    #[schema(example = "lane0.00c0ffee00c0ffee.120")]
    next: Option<String>,
    /// What the journal does not have of this part: rows may be missing there.
    holes: Vec<HoleData>,
    trades: Vec<TradeRow>,
}

/// One trade, or, with `broken` alone, the revocation of the trade of that match id.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct TradeRow {
    #[schema(example = "00c0ffee00c0ffee", pattern = "^[0-9a-f]{16}$")]
    epoch: String,
    seq: u64,
    /// Venue time, ns since the UNIX epoch.
    #[schema(example = "1580394599000000000")]
    ts_event: String,
    /// Ring time, ns since the UNIX epoch: the one that is searched by.
    #[schema(example = "1580394599000000000")]
    ts_publish: String,
    #[schema(schema_with = decimal_or_null, required = false)]
    price: f64,
    #[schema(schema_with = decimal_or_null, required = false)]
    quantity: f64,
    #[schema(required = false)]
    side: Option<SideName>,
    #[schema(required = false)]
    cross: Option<CrossName>,
    #[schema(required = false)]
    match_id: String,
    #[schema(required = false)]
    printed: bool,
    #[schema(required = false)]
    hidden: bool,
    #[schema(required = false, example = "77")]
    broken: String,
}

/// Best prices of one instrument over a time.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct QuoteHistory {
    #[schema(example = "AAPL")]
    symbol: String,
    #[schema(example = "XNAS")]
    venue: String,
    #[schema(example = "lane0")]
    lane: String,
    /// Everything up to here is in this answer or before it. Null: nothing is recorded.
    #[schema(example = "lane0.00c0ffee00c0ffee.120")]
    cursor: Option<String>,
    /// `cursor` of the next request; null: that is all there is now, or all of the time that was asked for.
    #[schema(example = "lane0.00c0ffee00c0ffee.120")]
    next: Option<String>,
    /// What the journal does not have of this part: rows may be missing there.
    holes: Vec<HoleData>,
    quotes: Vec<QuoteRow>,
}

/// Best bid and ask after an event.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct QuoteRow {
    #[schema(example = "00c0ffee00c0ffee", pattern = "^[0-9a-f]{16}$")]
    epoch: String,
    seq: u64,
    /// Venue time, ns since the UNIX epoch.
    #[schema(example = "1580394599000000000")]
    ts_event: String,
    /// Ring time, ns since the UNIX epoch: the one that is searched by.
    #[schema(example = "1580394599000000000")]
    ts_publish: String,
    bid: Option<BestLevel>,
    ask: Option<BestLevel>,
    /// Which sides have changed since the answer, an epoch or a hole began: null of any other means that nobody knows.
    known: KnownSides,
}

/// Sides that are known.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema of a string")]
pub(crate) enum KnownSides {
    None,
    Bid,
    Ask,
    Both,
}
