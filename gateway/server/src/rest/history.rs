//! `/api/v1/trades` and `/api/v1/quotes` over a time: what the journal has of one instrument.
//!
//! A request reads a bounded part of the journal, on the threads that may wait for a disk; its answer says where to go on.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use gateway_core::dialect::{Stamps, Trade};
use gateway_core::native;
use gateway_core::number::push_integer;
use gateway_core::replay::{End, Failure, Piece, Start, Wanted};
use gateway_core::state::Quote;
use shm_abi::cursor::Cursor;
use shm_abi::record::{Body, Record};

use super::error::{ApiError, ErrorBody, ErrorCode};
use super::lanes::Known;
use super::query::Query;
use super::schema::{QuoteHistory, TradeHistory};
use super::{Rest, json, push_text};
use crate::app::Recorded;
use crate::journal::scan::{Kinds, Scan, Slice};

/// Most rows of one answer.
const ROWS_MAX: usize = 10_000;
/// Rows of one answer when the client does not say.
const ROWS: usize = 1_000;
/// Most holes that one answer lists.
const HOLES_MAX: usize = 1_000;

const FIELDS: &[&str] = &["symbol", "from", "to", "limit", "cursor"];

/// What a request asks for.
struct Asked {
    known: Known,
    recorded: Recorded,
    kinds: Kinds,
    start: Start,
    until_ns: Option<u64>,
    limit: usize,
}

/// Rows as JSON, one behind the other, and what is to be said of them.
#[derive(Default)]
struct Found {
    rows: Vec<u8>,
    count: usize,
    /// Epoch, first and last number.
    holes: Vec<(u64, u64, u64)>,
    position: (u64, u64),
    /// There may be more.
    more: bool,
}

fn bad(field: &'static str, value: &str, expected: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::BadValue, "A query parameter is out of its range.").blame(field, value, expected)
}

fn time(query: &Query, field: &'static str) -> Result<Option<u64>, ApiError> {
    let Some(text) = query.text(field) else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ns = text.parse().ok().filter(|_| digits);
    ns.map(Some).ok_or_else(|| bad(field, text, "ns since the UNIX epoch, decimal"))
}

fn asked(rest: &Rest, uri: &Uri, kinds: Kinds) -> Result<Asked, ApiError> {
    let query = Query::parse(uri, FIELDS)?;
    let symbol = query.text("symbol").ok_or_else(|| bad("symbol", "", "a symbol of /api/v1/instruments"))?;
    let limit = query.number("limit", 1..=ROWS_MAX, ROWS)?;
    let (from, until_ns) = (time(&query, "from")?, time(&query, "to")?);
    if let (Some(from), Some(until), Some(text)) = (from, until_ns, query.text("to"))
        && until < from
    {
        return Err(bad("to", text, "not before `from`"));
    }
    let unread = || ApiError::new(ErrorCode::Unavailable, "No journal is read: journal.dir is not set.");
    let recorded = rest.app.journal.clone().ok_or_else(unread)?;
    let known = {
        let mut lanes = rest.lanes();
        let place = lanes.find(symbol)?;
        lanes.known(place)?
    };
    let start = match query.text("cursor") {
        None => Start::Time(from.unwrap_or(0)),
        Some(text) => {
            let expected = "lane.epoch.seq, as an answer, an ack or a snapshot gave it";
            let cursor: Cursor = text.parse().map_err(|_| bad("cursor", text, expected))?;
            if cursor.lane.as_str() != known.lane {
                return Err(bad("cursor", text, format!("a cursor of {}, the lane of this symbol", known.lane)));
            }
            Start::After { epoch: cursor.epoch, seq: cursor.seq }
        }
    };
    Ok(Asked { known, recorded, kinds, start, until_ns, limit })
}

/// Reads on a thread that may wait.
async fn read(asked: Asked) -> Result<(Known, Found), ApiError> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    let pool = asked.recorded.pool.clone();
    let busy = || ApiError::new(ErrorCode::Busy, "Too many requests wait for the journal.");
    let task = move || {
        let found = find(&asked);
        // Whoever asked may have gone.
        let _ = reply.send((asked.known, found));
    };
    pool.submit(task).map_err(|_| busy())?;
    let (known, found) =
        answer.await.map_err(|_| ApiError::new(ErrorCode::Unavailable, "The journal could not be read."))?;
    let found =
        found.map_err(|failure| match failure {
            Failure::UnknownEpoch => ApiError::new(ErrorCode::BadValue, "The journal has nothing of this epoch.")
                .blame("cursor", "", "a cursor of an epoch that is recorded"),
            Failure::TooOld => ApiError::new(ErrorCode::BadValue, "The journal begins behind this cursor.").blame(
                "cursor",
                "",
                "a later cursor, or `from`",
            ),
            Failure::Unreadable => ApiError::new(ErrorCode::Unavailable, "The journal cannot be read."),
            Failure::Busy => busy(),
        })?;
    Ok((known, found))
}

fn find(asked: &Asked) -> Result<Found, Failure> {
    let Asked { known, recorded, kinds, start, until_ns, limit } = asked;
    let folder = recorded.config.dir.clone().unwrap_or_default().join(&known.lane);
    let instrument = &known.instrument;
    let wanted = Wanted {
        id: instrument.instrument_id,
        symbol: instrument.symbol.as_str().into(),
        venue: instrument.venue.as_str().into(),
    };
    let mut scan = Scan::new(folder, *kinds, *start, *until_ns, vec![wanted]);
    let mut found = Found::default();
    let mut rows = Rows { quantity_decimals: instrument.quantity_decimals, epoch: 0, quote: None, open: None };
    let most = u64::from(recorded.config.request_records);
    loop {
        let left = most.saturating_sub(scan.looked()).min(recorded.config.slice_records.into());
        let slice = Slice { events: *limit - found.count, records: left as usize };
        let batch = scan.next(slice, recorded.pool.counts());
        for at in 0..batch.len() {
            match batch.get(at) {
                Some(Piece::Step(step)) => {
                    rows.finish(&mut found);
                    if let Some(old) = step.old.filter(|old| old.end.is_some_and(|end| end > old.drained_to)) {
                        found.holes.push((old.epoch, old.drained_to, old.end.unwrap_or(0) - 1));
                    }
                    // The next engine tells its books anew.
                    (rows.epoch, rows.quote) = (step.epoch, None);
                }
                Some(Piece::Hole { first, last }) => {
                    rows.finish(&mut found);
                    found.holes.push((rows.epoch, first, last));
                    rows.quote = None;
                }
                Some(Piece::Record { n, words, .. }) => {
                    if let Some(record) = Record::new(n, words) {
                        rows.take(&record, &mut found);
                    }
                }
                Some(Piece::Quote { .. } | Piece::Last { .. }) | None => {}
            }
        }
        found.position = scan.position();
        found.more = !scan.is_over() && batch.end == End::More;
        match batch.end {
            End::Failed(failure) => return Err(failure),
            End::More if found.more => {}
            _ => break,
        }
        if found.count >= *limit || scan.looked() >= most || found.holes.len() >= HOLES_MAX {
            break;
        }
    }
    rows.finish(&mut found);
    Ok(found)
}

/// What is known of a side: nothing until the first change after the beginning, a hole, or a new epoch.
#[derive(Debug, Clone, Copy, Default)]
struct Sides {
    quote: Quote,
    known: [bool; 2],
}

/// Makes rows of records.
struct Rows {
    quantity_decimals: u8,
    epoch: u64,
    quote: Option<Sides>,
    /// The event whose last row is not written yet, by what its records have in common; and that row.
    open: Option<((u64, u64, u32), Vec<u8>)>,
}

impl Rows {
    fn begin(&self, record: &Record<'_>) -> Vec<u8> {
        let head = &record.head;
        let mut row = format!("{{\"epoch\":\"{:016x}\",\"seq\":", self.epoch).into_bytes();
        push_integer(&mut row, record.n);
        let publish = if head.ts_recv == 0 { 0 } else { head.ts_publish() };
        let stamps = format!(",\"ts_event\":\"{}\",\"ts_publish\":\"{publish}\",", head.ts_event);
        row.extend_from_slice(stamps.as_bytes());
        row
    }

    fn take(&mut self, record: &Record<'_>, found: &mut Found) {
        match record.body() {
            Body::Trade { code, match_id, price, quantity } => {
                let (seq, flags, stamps) = (record.n, record.head.flags, Stamps::default());
                let trade = Trade { seq, stamps, price, quantity, code, match_id, flags };
                let mut row = self.begin(record);
                native::push_trade_fields(&mut row, &trade, self.quantity_decimals);
                push_row(found, row);
            }
            Body::TradeBreak { match_id, .. } => {
                let mut row = self.begin(record);
                row.extend_from_slice(format!("\"broken\":\"{match_id}\"").as_bytes());
                push_row(found, row);
            }
            Body::Quote { side: Some(side), price, quantity, orders } => {
                let sides = self.quote.get_or_insert_default();
                sides.quote.set_best(side, price, quantity, orders);
                sides.known[side.index()] = true;
                self.quote_row(record, found);
            }
            Body::Clear { .. } => {
                self.quote = Some(Sides { quote: Quote::default(), known: [true; 2] });
                self.quote_row(record, found);
            }
            _ => {}
        }
    }

    /// The quote after this record; of an event the last one counts.
    fn quote_row(&mut self, record: &Record<'_>, found: &mut Found) {
        let head = &record.head;
        let event = (head.ts_event, head.ts_recv, head.venue_sequence_low);
        if self.open.as_ref().is_none_or(|(other, _)| *other != event) {
            self.finish(found);
        }
        let Some(sides) = self.quote else { return };
        let mut row = self.begin(record);
        row.extend_from_slice(b"\"bid\":");
        native::push_best(&mut row, sides.quote.bid.as_ref(), self.quantity_decimals);
        row.extend_from_slice(b",\"ask\":");
        native::push_best(&mut row, sides.quote.ask.as_ref(), self.quantity_decimals);
        let known = match sides.known {
            [true, true] => "both",
            [true, false] => "bid",
            [false, true] => "ask",
            [false, false] => "none",
        };
        row.extend_from_slice(b",\"known\":");
        push_text(&mut row, known);
        self.open = Some((event, row));
    }

    fn finish(&mut self, found: &mut Found) {
        if let Some((_, row)) = self.open.take() {
            push_row(found, row);
        }
    }
}

fn push_row(found: &mut Found, row: Vec<u8>) {
    if found.count > 0 {
        found.rows.push(b',');
    }
    found.rows.extend_from_slice(&row);
    found.rows.push(b'}');
    found.count += 1;
}

fn answer(known: &Known, name: &str, found: &Found) -> Response {
    let mut out = Vec::with_capacity(found.rows.len() + 512);
    out.extend_from_slice(b"{\"symbol\":");
    push_text(&mut out, known.instrument.symbol.as_str());
    out.extend_from_slice(b",\"venue\":");
    push_text(&mut out, known.instrument.venue.as_str());
    out.extend_from_slice(b",\"lane\":");
    push_text(&mut out, &known.lane);
    let (epoch, seq) = found.position;
    // A journal in which nothing stands yet has no place to name.
    let cursor = (epoch != 0).then(|| format!("\"{}.{epoch:016x}.{seq}\"", known.lane));
    let cursor = cursor.as_deref().unwrap_or("null");
    let next = if found.more { cursor } else { "null" };
    out.extend_from_slice(format!(",\"cursor\":{cursor},\"next\":{next},\"holes\":[").as_bytes());
    for (at, (epoch, first, last)) in found.holes.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let hole = format!("{comma}{{\"epoch\":\"{epoch:016x}\",\"first\":{first},\"last\":{last}}}");
        out.extend_from_slice(hole.as_bytes());
    }
    out.extend_from_slice(format!("],\"{name}\":[").as_bytes());
    out.extend_from_slice(&found.rows);
    out.extend_from_slice(b"]}");
    json(out)
}

/// Every trade of a time, oldest first, from the journal.
#[utoipa::path(get, path = "/api/v1/trades", tag = "data",
    params(
        ("symbol" = String, Query, description = "`SYMBOL`, or `VENUE:SYMBOL` where two venues have it.",
            example = "AAPL"),
        ("from" = Option<String>, Query, description = "Published at this time or later, ns since the UNIX epoch. \
            Default: the oldest."),
        ("to" = Option<String>, Query, description = "Published at this time or earlier. Default: up to now."),
        ("limit" = Option<u32>, Query, description = "Rows, but the last event is always whole. Default: 1000.",
            minimum = 1, maximum = 10000),
        ("cursor" = Option<String>, Query, description = "`next` of the answer before: goes on behind it, whatever \
            `from` is."),
    ),
    responses(
        (status = 200, description = "Rows, and where to go on. A request looks at a bounded part of the journal: there \
            may be a `next` without a row.", body = TradeHistory),
        (status = 400, description = "`bad_request`, `bad_value`, `unknown_field`", body = ErrorBody),
        (status = 404, description = "`unknown_symbol`", body = ErrorBody),
        (status = 409, description = "`ambiguous_symbol`: `expected` lists the venues", body = ErrorBody),
        (status = 503, description = "`busy`, `unavailable`", body = ErrorBody,
            headers(("Retry-After", description = "Seconds"))),
    ))]
pub(super) async fn trades(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Response, ApiError> {
    let (known, found) = read(asked(&rest, &uri, Kinds::Trades)?).await?;
    Ok(answer(&known, "trades", &found))
}

/// Best bid and ask after every event of a time that changed them, oldest first, from the journal.
#[utoipa::path(get, path = "/api/v1/quotes", tag = "data",
    params(
        ("symbol" = String, Query, description = "`SYMBOL`, or `VENUE:SYMBOL` where two venues have it.",
            example = "AAPL"),
        ("from" = Option<String>, Query, description = "Published at this time or later, ns since the UNIX epoch. \
            Default: the oldest."),
        ("to" = Option<String>, Query, description = "Published at this time or earlier. Default: up to now."),
        ("limit" = Option<u32>, Query, description = "Rows, but the last event is always whole. Default: 1000.",
            minimum = 1, maximum = 10000),
        ("cursor" = Option<String>, Query, description = "`next` of the answer before: goes on behind it, whatever \
            `from` is. What is known of a side begins anew with each answer."),
    ),
    responses(
        (status = 200, description = "Rows, and where to go on. A request looks at a bounded part of the journal: there \
            may be a `next` without a row.", body = QuoteHistory),
        (status = 400, description = "`bad_request`, `bad_value`, `unknown_field`", body = ErrorBody),
        (status = 404, description = "`unknown_symbol`", body = ErrorBody),
        (status = 409, description = "`ambiguous_symbol`: `expected` lists the venues", body = ErrorBody),
        (status = 503, description = "`busy`, `unavailable`", body = ErrorBody,
            headers(("Retry-After", description = "Seconds"))),
    ))]
pub(super) async fn quotes(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Response, ApiError> {
    let (known, found) = read(asked(&rest, &uri, Kinds::Quotes)?).await?;
    Ok(answer(&known, "quotes", &found))
}
