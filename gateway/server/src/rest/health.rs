//! `/health`, `/ready`, `/status`: whether it works, for programs and for people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use gateway_core::dialect::LaneState;
use serde::Serialize;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::segment::{RingName, Segment};
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody, ErrorCode};
use super::lanes::Lane;
use super::query::Query;
use super::{Rest, now_ns};
use crate::metrics::{self, DOOR_NUMBERS, LaneSample, SHARD_NUMBERS};
use crate::report::{LaneReport, Percentiles, ShardReport};

/// Answer of `/health`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`: everything that can be asked for is there. `degraded`: see `reasons`.
    #[schema(value_type = HealthStatus)]
    status: &'static str,
    /// What is not as it should be.
    #[schema(example = json!(["lane0: the engine has shown no life for 240 ms"]))]
    reasons: Vec<String>,
    /// Every lane.
    lanes: Vec<LaneHealth>,
}

/// `ok` or `degraded`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema of a string")]
enum HealthStatus {
    Ok,
    Degraded,
}

/// What a lane's writer is doing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema of a string")]
pub(super) enum LaneStateName {
    /// There is no segment yet.
    Absent,
    /// It shows life, and is rebuilding its books.
    Recovering,
    /// It shows life.
    Live,
    /// No sign of life for 240 ms.
    Silent,
    /// It has ended in order.
    Closed,
}

/// A lane in `/health`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LaneHealth {
    #[schema(example = "lane0")]
    name: String,
    #[schema(value_type = LaneStateName)]
    state: &'static str,
    /// Why it cannot serve; null when it can.
    reason: Option<&'static str>,
}

/// Answer of `/status`. Numbers of lanes are read from shared memory now; those of shards are at most a second old.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    #[schema(example = "0.1.0")]
    version: &'static str,
    instance: String,
    /// Address and port.
    #[schema(example = "127.0.0.1:8080")]
    listen: String,
    uptime_s: u64,
    /// How a shard waits: `spin` or `adaptive`.
    wait: &'static str,
    /// Threads that serve.
    shard_count: usize,
    /// Whether `/echo` is served.
    echo: bool,
    /// Whether it has been told to stop.
    draining: bool,
    lanes: Vec<LaneStatus>,
    shards: Vec<ShardStatus>,
    /// What happened at the door, over all shards.
    door: BTreeMap<&'static str, u64>,
    /// `[limits]` of `gateway.toml`.
    limits: BTreeMap<String, u64>,
}

/// A lane in `/status`. What only a segment tells is null while there is none.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LaneStatus {
    #[schema(example = "lane0")]
    name: String,
    #[schema(value_type = LaneStateName)]
    state: &'static str,
    /// Why it cannot serve; null when it can.
    reason: Option<&'static str>,
    /// 16 hex digits.
    #[schema(example = "00c0ffee00c0ffee")]
    epoch: Option<String>,
    heartbeat_age_ms: Option<u64>,
    /// Number of the next record of the ring that gateways read.
    market_head: Option<u64>,
    /// Number of the next record of the ring that strategies read.
    orders_head: Option<u64>,
    instruments: Option<u64>,
    /// The engine's counters by name.
    counters: BTreeMap<&'static str, u64>,
    feeds: Vec<FeedStatus>,
    /// As the first shard measured them; null while none has.
    hops: Option<HopStatus>,
}

/// A feed in `/status`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedStatus {
    name: String,
    /// `idle`, `connecting`, `login_sent`, `live`, `reconnecting`, `rejected`, `end_of_session`, `closed` or `unknown`.
    state: &'static str,
    /// The venue's session; null: not known.
    session: Option<String>,
    /// Venue sequence of the last event published; 0: none yet.
    sequence: u64,
    /// When the last byte came, ns since the UNIX epoch; `"0"`: never.
    #[schema(example = "1580394600000000000")]
    last_byte_ns: String,
    /// The feed's counters by name.
    counters: BTreeMap<&'static str, u64>,
}

/// Percentiles of the last 10 to 20 seconds in ns; all 0 while `count` is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HopPercentiles {
    /// Samples in those seconds.
    count: u64,
    /// Samples since the program began.
    total: u64,
    /// Of these, samples below zero, taken as zero: two hosts' clocks disagree.
    negative: u64,
    /// Samples left out, because no clocks disagree by so much: a recorded day.
    implausible: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    p99_9_ns: u64,
    max_ns: u64,
}

/// Where an event's time went before it reached a socket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HopStatus {
    venue_to_receive: HopPercentiles,
    receive_to_publish: HopPercentiles,
    publish_to_gateway: HopPercentiles,
}

/// A shard in `/status`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShardStatus {
    /// Age of these numbers; null: the shard has not begun.
    age_ms: Option<u64>,
    connections: u64,
    subscriptions: u64,
    /// All its numbers by name.
    stats: BTreeMap<&'static str, u64>,
    /// From one drain of the rings to the next.
    pass: HopPercentiles,
    /// From reading an event to its send.
    gateway_to_socket: HopPercentiles,
    lanes: Vec<ShardLane>,
}

/// A lane as a shard reads it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShardLane {
    name: String,
    #[schema(value_type = LaneStateName)]
    state: &'static str,
    /// 16 hex digits; null while absent.
    epoch: Option<String>,
    /// Number bound to (lane, epoch); 0 while absent.
    stream: u32,
    /// Number of the next record that it will read.
    cursor: u64,
    /// Number of the next record that the engine will write.
    head: u64,
    /// Slots between the two.
    lag: u64,
    heartbeat_age_ms: Option<u64>,
    /// Why a segment that is there cannot be read; null: nothing stands in the way.
    obstacle: Option<String>,
    /// Times that a segment of another layout was met.
    version_mismatches: u64,
    hops: HopStatus,
}

impl From<&Percentiles> for HopPercentiles {
    fn from(from: &Percentiles) -> Self {
        let Percentiles { count, total, negative, implausible, p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns } = *from;
        HopPercentiles { count, total, negative, implausible, p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns }
    }
}

impl From<&LaneReport> for HopStatus {
    fn from(lane: &LaneReport) -> Self {
        HopStatus {
            venue_to_receive: (&lane.hops.venue_to_receive).into(),
            receive_to_publish: (&lane.hops.receive_to_publish).into(),
            publish_to_gateway: (&lane.hops.publish_to_gateway).into(),
        }
    }
}

/// Everything that is not as it should be, as REST sees it.
fn reasons(rest: &Rest, lanes: &[Lane]) -> Vec<String> {
    let mut reasons = Vec::new();
    if rest.app.report.is_draining() {
        reasons.push("the gateway is stopping".into());
    }
    if lanes.is_empty() {
        reasons.push("no lane was found: the engine has not been started".into());
    }
    reasons.extend(lanes.iter().filter_map(|lane| Some(format!("{}: {}", lane.name(), lane.trouble()?))));
    reasons
}

/// Shards that cannot serve what REST can: they report once a second.
fn shard_reasons(shards: &[Arc<ShardReport>], lanes: &[Lane]) -> Vec<String> {
    let mut reasons = Vec::new();
    for (index, shard) in shards.iter().enumerate() {
        if shard.at_ns == 0 {
            reasons.push(format!("shard {index} has not begun"));
            continue;
        }
        for lane in lanes.iter().filter(|lane| lane.trouble().is_none()) {
            let known = shard.lanes.iter().find(|known| known.name == lane.name());
            if known.is_none_or(|known| known.state == LaneState::Absent) {
                reasons.push(format!("shard {index} has not attached {} yet", lane.name()));
            }
        }
    }
    reasons
}

/// Whether the gateway works. Always 200 while the process serves: what is missing is said in the body.
#[utoipa::path(get, path = "/health", tag = "state", responses(
    (status = 200, description = "The process serves.", body = Health, example = json!({
        "status": "degraded",
        "reasons": ["lane0: the engine has shown no life for 240 ms"],
        "lanes": [{"name": "lane0", "state": "silent", "reason": "the engine has shown no life for 240 ms"}]
    })),
    (status = 400, description = "`bad_request`, `unknown_field`", body = ErrorBody),
))]
pub(super) async fn health(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Json<Health>, ApiError> {
    Query::parse(&uri, &[])?;
    let mut known = rest.lanes();
    let lanes = known.look();
    let reasons = reasons(&rest, lanes);
    let status = if reasons.is_empty() { "ok" } else { "degraded" };
    let lanes = lanes.iter().map(|lane| LaneHealth {
        name: lane.name().into(),
        state: lane.state().name(),
        reason: lane.trouble(),
    });
    Ok(Json(Health { status, reasons, lanes: lanes.collect() }))
}

/// Answer of `/ready`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Always true: anything else is an error.
    #[schema(example = true)]
    ready: bool,
}

/// Whether every lane is attached and live, and every shard reads it.
#[utoipa::path(get, path = "/ready", tag = "state", responses(
    (status = 200, description = "Everything can be asked for.", body = Ready),
    (status = 400, description = "`bad_request`, `unknown_field`", body = ErrorBody),
    (status = 503, description = "`unavailable`: the message says why", body = ErrorBody,
        headers(("Retry-After", description = "Seconds"))),
))]
pub(super) async fn ready(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Json<Ready>, ApiError> {
    Query::parse(&uri, &[])?;
    let mut known = rest.lanes();
    let lanes = known.look();
    let mut reasons = reasons(&rest, lanes);
    reasons.extend(shard_reasons(&rest.app.report.shards(), lanes));
    if reasons.is_empty() {
        return Ok(Json(Ready { ready: true }));
    }
    Err(ApiError::new(ErrorCode::Unavailable, format!("Not ready: {}.", reasons.join("; "))))
}

/// Everything about lanes, feeds, shards and connections.
#[utoipa::path(get, path = "/status", tag = "state", responses(
    (status = 200, description = "As of now.", body = Status),
    (status = 400, description = "`bad_request`, `unknown_field`", body = ErrorBody),
))]
pub(super) async fn status(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Json<Status>, ApiError> {
    Query::parse(&uri, &[])?;
    let now_ns = now_ns();
    let (report, facts) = (&rest.app.report, &rest.app.facts);
    let shards = report.shards();
    // Every shard reads the same lanes.
    let reported = shards.first().map(|shard| shard.lanes.as_slice()).unwrap_or_default();
    let lanes = rest.lanes().look().iter().map(|lane| lane_status(lane, reported)).collect();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        instance: facts.instance.clone(),
        listen: facts.listen.to_string(),
        uptime_s: now_ns.saturating_sub(report.started_ns) / 1_000_000_000,
        wait: facts.wait,
        shard_count: facts.shards,
        echo: facts.echo,
        draining: report.is_draining(),
        lanes,
        shards: shards.iter().map(|shard| shard_status(shard, now_ns)).collect(),
        door: DOOR_NUMBERS.iter().map(|(name, _, _, place)| (*name, place(&report.door).load(Relaxed))).collect(),
        limits: metrics::limit_values(&facts.limits).into_iter().collect(),
    }))
}

fn lane_status(lane: &Lane, reported: &[LaneReport]) -> LaneStatus {
    let segment = lane.open().map(|open| &open.segment);
    let counters = segment.map(Segment::counters);
    LaneStatus {
        name: lane.name().into(),
        state: lane.state().name(),
        reason: lane.trouble(),
        epoch: segment.map(|segment| format!("{:016x}", segment.identity().epoch)),
        heartbeat_age_ms: segment.map(|segment| segment.heartbeat_age_ns() / 1_000_000),
        market_head: segment.map(|segment| metrics::head(segment, RingName::Market)),
        orders_head: segment.map(|segment| metrics::head(segment, RingName::Orders)),
        instruments: segment.map(|segment| segment.directory().count() as u64),
        counters: counters
            .iter()
            .flat_map(|all| LaneCounter::ALL.iter().map(|one| (one.name(), all.lane(*one))))
            .collect(),
        feeds: segment.map(feeds_status).unwrap_or_default(),
        hops: reported.iter().find(|known| known.name == lane.name()).map(HopStatus::from),
    }
}

fn feeds_status(segment: &Segment) -> Vec<FeedStatus> {
    let feeds = metrics::feeds(segment).map(|(facts, counters)| FeedStatus {
        name: facts.name,
        state: FeedState::name_of(facts.state),
        session: facts.session.and_then(|session| session_text(&session)),
        sequence: facts.sequence,
        last_byte_ns: counters.feed(FeedCounter::LastByteNs).to_string(),
        // Stamps do not fit a double: they are strings, beside the counters.
        counters: FeedCounter::ALL
            .iter()
            .filter(|counter| **counter != FeedCounter::LastByteNs)
            .map(|counter| (counter.name(), counters.feed(*counter)))
            .collect(),
    });
    feeds.collect()
}

/// The venue's session without its padding; `None` when it names none.
fn session_text(session: &[u8; 16]) -> Option<String> {
    let text = shm_abi::directory::Text::<16>::new(session);
    let text = text.as_str().trim();
    (!text.is_empty()).then(|| text.into())
}

fn shard_status(shard: &ShardReport, now_ns: u64) -> ShardStatus {
    ShardStatus {
        age_ms: (shard.at_ns > 0).then(|| now_ns.saturating_sub(shard.at_ns) / 1_000_000),
        connections: shard.stats.connections,
        subscriptions: shard.stats.subscriptions,
        stats: SHARD_NUMBERS.iter().map(|(name, _, _, value)| (*name, value(&shard.stats))).collect(),
        pass: (&shard.pass).into(),
        gateway_to_socket: (&shard.state_age).into(),
        lanes: shard.lanes.iter().map(shard_lane).collect(),
    }
}

fn shard_lane(lane: &LaneReport) -> ShardLane {
    ShardLane {
        name: lane.name.clone(),
        state: lane.state.name(),
        epoch: lane.epoch.map(|epoch| format!("{epoch:016x}")),
        stream: lane.stream,
        cursor: lane.cursor,
        head: lane.head,
        lag: lane.lag,
        heartbeat_age_ms: lane.heartbeat_age_ms,
        obstacle: (!lane.obstacle.is_empty()).then(|| lane.obstacle.clone()),
        version_mismatches: lane.version_mismatches,
        hops: lane.into(),
    }
}

/// Everything that is counted, in the text form of OpenMetrics 1.0. The engine's counters are read from shared memory.
#[utoipa::path(get, path = "/metrics", tag = "state", responses(
    (status = 200, description = "As of now.", body = String,
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8",
        example = "# HELP ticklane_lane_received ...\n# TYPE ticklane_lane_received counter\n\
                   ticklane_lane_received_total{lane=\"lane0\"} 42\n# EOF\n"),
    (status = 400, description = "`bad_request`, `unknown_field`", body = ErrorBody),
))]
pub(super) async fn scrape(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<impl IntoResponse, ApiError> {
    Query::parse(&uri, &[])?;
    let sample = |lane: &Lane| LaneSample {
        name: lane.name().into(),
        state: lane.state(),
        segment: lane.open().map(|open| open.segment.clone()),
    };
    let lanes = rest.lanes().look().iter().map(sample).collect();
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&rest.app, lanes, now_ns())))
}
