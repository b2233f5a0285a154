//! `/api/v1/quotes`, `/api/v1/depth`, `/api/v1/trades`: the state of one instrument.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use gateway_core::native;
use gateway_core::number::push_integer;
use gateway_core::state::Quote;
use shm_abi::board::{Level, RowImage};
use shm_abi::directory::Instrument;
use shm_abi::layout::row;
use shm_abi::record::Side;

use super::error::{ApiError, ErrorBody, ErrorCode};
use super::lanes::{Known, Place};
use super::query::{Query, decode};
use super::schema::{Answer, DepthData, QuoteData, TradesAnswer};
use super::{Rest, json, push_text};
use crate::app::AskError;

/// Most levels of one answer: the largest class that a lane knows.
const LEVELS_MAX: usize = 200;
/// Levels of one answer when the client does not say.
const LEVELS: usize = 10;
/// Most trades of one answer.
const TRADES_MAX: usize = 500;
/// Trades of one answer when the client does not say.
const TRADES: usize = 50;
/// How long a shard may take to look at its trades.
const TRADES_TIMEOUT: Duration = Duration::from_secs(1);

/// The symbol that a path ends with.
fn symbol_of(uri: &Uri) -> Result<String, ApiError> {
    let segment = uri.path().rsplit('/').next().unwrap_or_default();
    decode(segment, false).ok_or_else(|| {
        let error = ApiError::new(ErrorCode::BadRequest, "The symbol cannot be decoded.");
        error.blame("symbol", segment, "UTF-8, percent-encoded")
    })
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    out.push(if out.is_empty() { b'{' } else { b',' });
    push_text(out, name);
    out.push(b':');
}

fn push_field(out: &mut Vec<u8>, name: &str, text: &str) {
    push_name(out, name);
    push_text(out, text);
}

fn push_number(out: &mut Vec<u8>, name: &str, number: u64) {
    push_name(out, name);
    push_integer(out, number);
}

/// What every answer begins with.
fn begin(known: &Known) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    push_field(&mut out, "symbol", known.instrument.symbol.as_str());
    push_field(&mut out, "venue", known.instrument.venue.as_str());
    push_number(&mut out, "instrument_id", known.instrument.instrument_id.into());
    push_field(&mut out, "lane", &known.lane);
    push_field(&mut out, "epoch", &format!("{:016x}", known.epoch));
    push_field(&mut out, "lane_state", known.state.name());
    out
}

/// Reads the row of a symbol and answers with what `data` makes of it.
fn answer(
    rest: &Rest,
    uri: &Uri,
    data: impl FnOnce(&mut Vec<u8>, &Instrument, &RowImage) -> Result<(), ApiError>,
) -> Result<Response, ApiError> {
    let symbol = symbol_of(uri)?;
    let mut lanes = rest.lanes();
    let place = lanes.find(&symbol)?;
    let known = lanes.known(place)?;
    let image = lanes.row(place)?;
    let mut out = begin(&known);
    push_number(&mut out, "seq", image.market_n());
    push_field(&mut out, "cursor", &format!("{}.{:016x}.{}", known.lane, known.epoch, image.market_n()));
    push_field(&mut out, "ts_event", &image.word(row::TS_EVENT).to_string());
    push_field(&mut out, "status", image.status().name());
    push_field(&mut out, "quality", image.quality().name());
    push_name(&mut out, "data");
    data(&mut out, &known.instrument, image)?;
    out.push(b'}');
    Ok(json(out))
}

/// Best bid and ask, last trade, and the day so far.
#[utoipa::path(get, path = "/api/v1/quotes/{symbol}", tag = "data",
    params(("symbol" = String, Path, description = "`SYMBOL`, or `VENUE:SYMBOL` where two venues have it.",
        example = "AAPL")),
    responses(
        (status = 200, description = "The board's row, whole.", body = Answer<QuoteData>, example = json!({
            "symbol": "AAPL", "venue": "XNAS", "instrument_id": 7, "lane": "lane0", "epoch": "00c0ffee00c0ffee",
            "lane_state": "live", "seq": 120, "cursor": "lane0.00c0ffee00c0ffee.120",
            "ts_event": "1580394600000000000", "status": "trading", "quality": "fresh",
            "data": {"bid": {"price": 123.45, "quantity": 100, "orders": 3}, "ask": null,
                "last": {"price": 123.46, "quantity": 10, "match_id": "77", "ts_event": "1580394599000000000"},
                "open": 123, "high": 124.5, "low": 122.9, "close": null, "previous_close": 122.95,
                "volume": 12000, "turnover": 1481520.5, "trades": 42}
        })),
        (status = 400, description = "`bad_request`, `unknown_field`", body = ErrorBody),
        (status = 404, description = "`unknown_symbol`", body = ErrorBody),
        (status = 409, description = "`ambiguous_symbol`: `expected` lists the venues", body = ErrorBody),
        (status = 503, description = "`busy`, `writer_dead`, `unavailable`", body = ErrorBody,
            headers(("Retry-After", description = "Seconds"))),
    ))]
pub(super) async fn quotes(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Response, ApiError> {
    Query::parse(&uri, &[])?;
    answer(&rest, &uri, |out, instrument, image| {
        native::push_quote(out, &Quote::of_row(image), instrument.quantity_decimals);
        Ok(())
    })
}

/// The best levels of both sides.
#[utoipa::path(get, path = "/api/v1/depth/{symbol}", tag = "data",
    params(
        ("symbol" = String, Path, description = "`SYMBOL`, or `VENUE:SYMBOL` where two venues have it.",
            example = "AAPL"),
        ("levels" = Option<u32>, Query, minimum = 1, maximum = 200,
            description = "Levels per side, at most the instrument's `depth`. Default: 10, or `depth` if that is less."),
    ),
    responses(
        (status = 200, description = "The board's window, whole.", body = Answer<DepthData>, example = json!({
            "symbol": "AAPL", "venue": "XNAS", "instrument_id": 7, "lane": "lane0", "epoch": "00c0ffee00c0ffee",
            "lane_state": "live", "seq": 120, "cursor": "lane0.00c0ffee00c0ffee.120",
            "ts_event": "1580394600000000000", "status": "trading", "quality": "fresh",
            "data": {"bids": [[123.45, 100, 3], [123.44, 50, 1]], "asks": []}
        })),
        (status = 400, description = "`bad_request`, `bad_value`, `unknown_field`", body = ErrorBody),
        (status = 404, description = "`unknown_symbol`", body = ErrorBody),
        (status = 409, description = "`ambiguous_symbol`: `expected` lists the venues", body = ErrorBody),
        (status = 503, description = "`busy`, `writer_dead`, `unavailable`", body = ErrorBody,
            headers(("Retry-After", description = "Seconds"))),
    ))]
pub(super) async fn depth(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Response, ApiError> {
    let query = Query::parse(&uri, &["levels"])?;
    let wanted = query.number("levels", 1..=LEVELS_MAX, LEVELS)?;
    answer(&rest, &uri, |out, instrument, image| {
        let class = usize::from(instrument.depth_class);
        if let Some(text) = query.text("levels")
            && wanted > class
        {
            let error = ApiError::new(ErrorCode::BadValue, "The instrument keeps fewer levels.");
            return Err(error.blame("levels", text, format!("at most {class}, the depth of this instrument")));
        }
        let side = |side| image.window(side).take(wanted).collect::<Vec<Level>>();
        out.extend_from_slice(b"{\"bids\":");
        native::push_levels(out, &side(Side::Bid), instrument.quantity_decimals);
        out.extend_from_slice(b",\"asks\":");
        native::push_levels(out, &side(Side::Ask), instrument.quantity_decimals);
        out.push(b'}');
        Ok(())
    })
}

/// The newest trades, oldest first, as far as the gateway still has them.
#[utoipa::path(get, path = "/api/v1/trades/{symbol}", tag = "data",
    params(
        ("symbol" = String, Path, description = "`SYMBOL`, or `VENUE:SYMBOL` where two venues have it.",
            example = "AAPL"),
        ("limit" = Option<u32>, Query, description = "Trades in the answer. Default: 50.", minimum = 1, maximum = 500),
    ),
    responses(
        (status = 200, description = "Trades that this gateway has read since it began.", body = TradesAnswer,
            example = json!({
                "symbol": "AAPL", "venue": "XNAS", "instrument_id": 7, "lane": "lane0", "epoch": "00c0ffee00c0ffee",
                "lane_state": "live", "data": {"trades": [{"seq": 118, "ts_event": "1580394599000000000",
                "price": 123.46, "quantity": 10, "side": "ask", "cross": null, "match_id": "77", "printed": true,
                "hidden": false}]}
            })),
        (status = 400, description = "`bad_request`, `bad_value`, `unknown_field`", body = ErrorBody),
        (status = 404, description = "`unknown_symbol`", body = ErrorBody),
        (status = 409, description = "`ambiguous_symbol`: `expected` lists the venues", body = ErrorBody),
        (status = 503, description = "`busy`, `unavailable`", body = ErrorBody,
            headers(("Retry-After", description = "Seconds"))),
    ))]
pub(super) async fn trades(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Response, ApiError> {
    let query = Query::parse(&uri, &["limit"])?;
    let limit = query.number("limit", 1..=TRADES_MAX, TRADES)?;
    let symbol = symbol_of(&uri)?;
    let (place, known) = place_of(&rest, &symbol)?;
    let asked = rest.app.trades.recent(&known.lane, known.instrument.instrument_id, limit);
    let busy = |message| ApiError::new(ErrorCode::Busy, message);
    let unavailable = |message| ApiError::new(ErrorCode::Unavailable, message);
    let recent = match tokio::time::timeout(TRADES_TIMEOUT, asked).await {
        Ok(Ok(Some(recent))) => recent,
        Ok(Ok(None)) => return Err(unavailable("The lane is not attached yet.")),
        Ok(Err(AskError::Busy)) => return Err(busy("Too many questions wait for this shard.")),
        Ok(Err(AskError::Stopping)) => return Err(unavailable("The gateway is stopping.")),
        Err(_) => return Err(busy("The shard did not answer in time.")),
    };
    // The shard follows restarts by itself: numbers must not be told as those of another epoch.
    let now = rest.lanes().known(place)?;
    let (trades, epochs) = (recent.trades, [known.epoch, recent.epoch]);
    if epochs != [now.epoch; 2] || trades.iter().any(|trade| trade.seq >= now.market_head) {
        return Err(busy("The lane has just been replaced."));
    }
    let mut out = begin(&now);
    push_name(&mut out, "data");
    out.extend_from_slice(b"{\"trades\":[");
    for (index, trade) in trades.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        native::push_trade(&mut out, trade, now.instrument.quantity_decimals);
    }
    out.extend_from_slice(b"]}}");
    Ok(json(out))
}

fn place_of(rest: &Rest, symbol: &str) -> Result<(Place, Known), ApiError> {
    let mut lanes = rest.lanes();
    let place = lanes.find(symbol)?;
    Ok((place, lanes.known(place)?))
}
