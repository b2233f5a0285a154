//! `/api/v1/instruments`: what can be asked for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use gateway_core::number::{push_decimal, push_integer, push_price};
use shm_abi::directory::{Instrument, InstrumentKind};
use shm_abi::record::PRICE_NONE;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody, ErrorCode};
use super::lanes::{Entry, Lane};
use super::query::Query;
use super::schema::{decimal_or_null, kind_name};
use super::{Rest, json, push_text};

/// Most instruments of one answer.
const LIMIT_MAX: usize = 1000;
/// Instruments of one answer when the client does not say.
const LIMIT: usize = 100;
/// Most matches that can be passed over: more than a directory can hold.
const OFFSET_MAX: usize = i32::MAX as usize;
/// Longest text that is searched for: no symbol is longer.
const SEARCH_MAX: usize = 32;
/// Entries looked at before the shard's other work gets its turn.
const SCAN_CHUNK: usize = 4096;

/// Every kind by which one can filter.
const KINDS: [InstrumentKind; 8] = [
    InstrumentKind::Equity,
    InstrumentKind::Index,
    InstrumentKind::Future,
    InstrumentKind::Option,
    InstrumentKind::Bond,
    InstrumentKind::Currency,
    InstrumentKind::Test,
    InstrumentKind::Unknown,
];

/// Answer of `/api/v1/instruments`: a stable order, by lane and then in the order of first appearance.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct InstrumentPage {
    /// Instruments that match, of which this answer holds those from `offset` on.
    total: u64,
    offset: u64,
    limit: u64,
    instruments: Vec<InstrumentEntry>,
}

/// One tradable thing.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only the schema: the answer is written with exact decimals")]
pub(crate) struct InstrumentEntry {
    /// Lasting id: unique over lanes and days.
    #[schema(example = 7)]
    instrument_id: u32,
    #[schema(example = "AAPL")]
    symbol: String,
    #[schema(example = "XNAS")]
    venue: String,
    #[schema(example = "lane0")]
    lane: String,
    kind: InstrumentKindName,
    /// Decimals that the venue's prices have.
    price_decimals: u8,
    /// Decimals that quantities have.
    quantity_decimals: u8,
    /// Smallest price step; null: not known.
    #[schema(schema_with = decimal_or_null)]
    tick: Option<f64>,
    /// Round lot; null: not known.
    #[schema(schema_with = decimal_or_null)]
    lot: Option<f64>,
    /// Levels per side that are kept.
    #[schema(example = 10)]
    depth: u16,
}

/// What an instrument is. `test`: the venue's own test symbols, only listed when asked for.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema of a string")]
pub(crate) enum InstrumentKindName {
    Equity,
    Index,
    Future,
    Option,
    Bond,
    Currency,
    Test,
    Unknown,
}

#[derive(Debug)]
struct Filter {
    search: String,
    kind: Option<InstrumentKind>,
}

impl Filter {
    fn of(query: &Query) -> Result<Filter, ApiError> {
        let search = query.text("search").unwrap_or_default();
        if search.len() > SEARCH_MAX {
            let error = ApiError::new(ErrorCode::BadValue, "The text is longer than any symbol.");
            return Err(error.blame("search", search, format!("at most {SEARCH_MAX} bytes")));
        }
        let kind = match query.text("kind") {
            None => None,
            Some(text) => Some(KINDS.into_iter().find(|kind| kind_name(*kind) == text).ok_or_else(|| {
                let expected = KINDS.map(kind_name).join(", ");
                ApiError::new(ErrorCode::BadValue, "There is no such kind of instrument.").blame("kind", text, expected)
            })?),
        };
        Ok(Filter { search: search.into(), kind })
    }

    fn takes(&self, entry: &Entry) -> bool {
        let kind_fits = match self.kind {
            Some(kind) => entry.kind == kind,
            None => entry.kind != InstrumentKind::Test,
        };
        kind_fits && contains(entry.symbol.as_str(), &self.search)
    }
}

/// Whether `needle` stands anywhere in `symbol`, upper and lower case alike.
fn contains(symbol: &str, needle: &str) -> bool {
    needle.is_empty()
        || symbol.as_bytes().windows(needle.len()).any(|part| part.eq_ignore_ascii_case(needle.as_bytes()))
}

/// One answer while it is gathered.
#[derive(Debug)]
struct Gathering {
    filter: Filter,
    offset: usize,
    limit: usize,
    total: usize,
    instruments: Vec<u8>,
}

/// Where a scan of a lane stands.
enum Scan {
    /// At this row, of the mapping that has this name.
    At {
        row: usize,
        incarnation: u64,
    },
    Done,
}

impl Gathering {
    /// Looks at the next entries of a lane.
    fn scan(&mut self, lane: &mut Lane, from: Option<(usize, u64)>) -> Result<Scan, ApiError> {
        let name = lane.name().to_owned();
        let Some(open) = lane.open_mut() else { return Ok(Scan::Done) };
        let incarnation = open.segment.identity().incarnation;
        let row = match from {
            None => 0,
            Some((row, known)) if known == incarnation => row,
            Some(_) => return Err(ApiError::new(ErrorCode::Busy, "The lane was replaced while it was read.")),
        };
        let all_known = open.grow();
        let end = open.entries().len().min(row + SCAN_CHUNK);
        for row in row..end {
            if !self.filter.takes(&open.entries()[row]) {
                continue;
            }
            if (self.offset..self.offset + self.limit).contains(&self.total) {
                let instrument = open.directory.get(row).expect("the row is in the index");
                if !self.instruments.is_empty() {
                    self.instruments.push(b',');
                }
                push_instrument(&mut self.instruments, &name, &instrument);
            }
            self.total += 1;
        }
        Ok(if end == open.entries().len() && all_known { Scan::Done } else { Scan::At { row: end, incarnation } })
    }
}

fn push_instrument(out: &mut Vec<u8>, lane: &str, instrument: &Instrument) {
    out.extend_from_slice(b"{\"instrument_id\":");
    push_integer(out, instrument.instrument_id.into());
    for (name, text) in [
        ("symbol", instrument.symbol.as_str()),
        ("venue", instrument.venue.as_str()),
        ("lane", lane),
        ("kind", kind_name(instrument.kind)),
    ] {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        push_text(out, text);
    }
    out.extend_from_slice(b",\"price_decimals\":");
    push_integer(out, instrument.price_decimals.into());
    out.extend_from_slice(b",\"quantity_decimals\":");
    push_integer(out, instrument.quantity_decimals.into());
    out.extend_from_slice(b",\"tick\":");
    match instrument.tick {
        0 | PRICE_NONE => out.extend_from_slice(b"null"),
        tick => push_price(out, tick),
    }
    out.extend_from_slice(b",\"lot\":");
    match instrument.lot {
        0 => out.extend_from_slice(b"null"),
        lot => push_decimal(out, lot, instrument.quantity_decimals),
    }
    out.extend_from_slice(b",\"depth\":");
    push_integer(out, instrument.depth_class.into());
    out.push(b'}');
}

/// What can be asked for, by lane and then in the order of first appearance.
#[utoipa::path(get, path = "/api/v1/instruments", tag = "data",
    params(
        ("search" = Option<String>, Query, description = "Part of the symbol, upper and lower case alike.",
            max_length = 32, example = "AAP"),
        ("kind" = Option<InstrumentKindName>, Query, description = "Only this kind. Default: all but `test`."),
        ("limit" = Option<u32>, Query, description = "Instruments in the answer. Default: 100.", minimum = 1,
            maximum = 1000),
        ("offset" = Option<u32>, Query, description = "Matches to pass over. Default: 0.", minimum = 0,
            maximum = 2147483647),
    ),
    responses(
        (status = 200, description = "A page.", body = InstrumentPage, example = json!({
            "total": 1, "offset": 0, "limit": 100, "instruments": [{"instrument_id": 7, "symbol": "AAPL",
            "venue": "XNAS", "lane": "lane0", "kind": "equity", "price_decimals": 4, "quantity_decimals": 0,
            "tick": 0.01, "lot": 100, "depth": 10}]
        })),
        (status = 400, description = "`bad_request`, `bad_value`, `unknown_field`", body = ErrorBody),
        (status = 503, description = "`unavailable`: no lane is attached; `busy`", body = ErrorBody,
            headers(("Retry-After", description = "Seconds"))),
    ))]
pub(super) async fn instruments(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Response, ApiError> {
    let query = Query::parse(&uri, &["search", "kind", "limit", "offset"])?;
    let filter = Filter::of(&query)?;
    let limit = query.number("limit", 1..=LIMIT_MAX, LIMIT)?;
    let offset = query.number("offset", 0..=OFFSET_MAX, 0)?;
    let mut gathering = Gathering { filter, offset, limit, total: 0, instruments: Vec::new() };
    let lanes = {
        let mut known = rest.lanes();
        let lanes = known.look();
        if lanes.iter().all(|lane| lane.open().is_none()) {
            return Err(ApiError::new(ErrorCode::Unavailable, "No lane is attached: is the engine running?"));
        }
        lanes.len()
    };
    for lane in 0..lanes {
        let mut from = None;
        // In pieces, so that a large directory does not hold up the shard on whose thread this runs.
        loop {
            let scan = gathering.scan(&mut rest.lanes().look()[lane], from)?;
            let Scan::At { row, incarnation } = scan else { break };
            from = Some((row, incarnation));
            tokio::task::yield_now().await;
        }
    }
    let mut out = Vec::with_capacity(gathering.instruments.len() + 80);
    for (name, number) in [("{\"total\":", gathering.total), (",\"offset\":", offset), (",\"limit\":", limit)] {
        out.extend_from_slice(name.as_bytes());
        push_integer(&mut out, number as u64);
    }
    out.extend_from_slice(b",\"instruments\":[");
    out.extend_from_slice(&gathering.instruments);
    out.extend_from_slice(b"]}");
    Ok(json(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_any_part_in_any_case() {
        for (symbol, needle, want) in [
            ("AAPL", "", true),
            ("AAPL", "aap", true),
            ("AAPL", "PL", true),
            ("AAPL", "AAPL", true),
            ("AAPL", "AAPLX", false),
            ("AAPL", "al", false),
            ("brk.b", "K.B", true),
            ("", "a", false),
        ] {
            assert_eq!(contains(symbol, needle), want, "case: {needle} in {symbol}");
        }
    }
}
