//! `/metrics`: everything that is counted, read at the moment of the scrape, in the text form of OpenMetrics 1.0.
//!
//! The engine's numbers are words of its segments: reading them costs the engine nothing and asks it for nothing.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gateway_core::dialect::LaneState;
use gateway_core::limits::Limits;
use gateway_core::shard::Stats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use shm_abi::counters::{CounterReader, FeedCounter, JournalCounter, LaneCounter};
use shm_abi::layout::{FEEDS_MAX, FeedState};
use shm_abi::ring::RingMemory;
use shm_abi::segment::{FeedFacts, RingName, Segment};

use crate::app::{App, Recorded};
use crate::journal::pool::Counts;
use crate::report::{Door, LaneReport, Percentiles, Report, ShardReport};

/// Content type of what [`text`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether a number only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It only rises, until its owner begins anew.
    Counter,
    /// It goes both ways.
    Gauge,
}

/// A number of a shard: name, shape, what it is, where it stands.
type ShardNumber = (&'static str, Shape, &'static str, fn(&Stats) -> u64);
/// A number of the door, likewise.
type DoorNumber = (&'static str, Shape, &'static str, fn(&Door) -> &AtomicU64);

/// A shard's public numbers, for `/metrics` and `/status`.
pub(crate) const SHARD_NUMBERS: &[ShardNumber] = &[
    ("records", Shape::Counter, "Records read from the rings", |stats| stats.records),
    ("encoded", Shape::Counter, "Frames encoded, once for all subscribers", |stats| stats.encoded),
    ("frames", Shape::Counter, "Frames handed to sockets", |stats| stats.frames),
    ("sends", Shape::Counter, "Sends to sockets", |stats| stats.sends),
    ("sent_bytes", Shape::Counter, "Bytes taken by sockets", |stats| stats.bytes),
    ("blocked", Shape::Counter, "Sends that the kernel cut or refused", |stats| stats.blocked),
    ("conflations", Shape::Counter, "Times that a connection fell behind its bound", |stats| stats.conflations),
    ("merged", Shape::Counter, "Events that reached a client merged into another", |stats| stats.merged),
    ("slow_closes", Shape::Counter, "Connections closed for being too slow", |stats| stats.slow_closes),
    ("flood_closes", Shape::Counter, "Connections closed for a flood", |stats| stats.flood_closes),
    ("commands", Shape::Counter, "Commands carried out", |stats| stats.commands),
    ("refusals", Shape::Counter, "Messages of clients that were not understood", |stats| stats.refusals),
    ("snapshots", Shape::Counter, "Snapshots sent", |stats| stats.snapshots),
    ("laps", Shape::Counter, "Times that a ring lapped this shard", |stats| stats.laps),
    ("replays", Shape::Counter, "Resumes begun from the journal", |stats| stats.replays),
    ("replayed", Shape::Counter, "Events told to those who resume from the journal", |stats| stats.replayed),
    ("replayed_bytes", Shape::Counter, "Bytes of the frames of such events", |stats| stats.replayed_bytes),
    ("resume_refusals", Shape::Counter, "Resumes refused, with the reason told", |stats| stats.resume_refusals),
    ("replaying", Shape::Gauge, "Resumes that read the journal now", |stats| stats.replaying),
    ("connections", Shape::Gauge, "WebSocket connections", |stats| stats.connections),
    ("subscriptions", Shape::Gauge, "Subscriptions", |stats| stats.subscriptions),
    ("topics", Shape::Gauge, "Topics with subscribers", |stats| stats.topics),
    ("queued_bytes", Shape::Gauge, "Bytes that wait outside the frame ring", |stats| stats.queued_bytes),
];

/// The door's public numbers, for `/metrics` and `/status`.
pub(crate) const DOOR_NUMBERS: &[DoorNumber] = &[
    ("accepted", Shape::Counter, "Connections accepted", |door| &door.accepted),
    ("http_connections", Shape::Gauge, "HTTP connections that are open", |door| &door.http_connections),
    ("refused_full", Shape::Counter, "Connections refused because all seats were taken", |door| &door.refused_full),
    ("refused_address", Shape::Counter, "Connections refused because their address holds as many as it may", |door| {
        &door.refused_address
    }),
    ("accept_errors", Shape::Counter, "Times that accept failed", |door| &door.accept_errors),
    ("handshakes", Shape::Counter, "WebSocket handshakes that succeeded", |door| &door.handshakes),
    ("handshake_refusals", Shape::Counter, "WebSocket handshakes that were refused", |door| &door.handshake_refusals),
];

/// A number of the readers of the journal, likewise.
type PoolNumber = (&'static str, Shape, &'static str, fn(&Counts) -> &AtomicU64);

/// What the readers of the journal have done.
pub(crate) const POOL_NUMBERS: &[PoolNumber] = &[
    ("requests", Shape::Counter, "Pieces of work given to the readers of the journal", |counts| &counts.requests),
    ("refused", Shape::Counter, "Pieces of work refused because too many waited", |counts| &counts.refused),
    ("running", Shape::Gauge, "Threads that read the journal now", |counts| &counts.running),
    ("records", Shape::Counter, "Records of the journal looked at", |counts| &counts.records),
    ("holes", Shape::Counter, "Holes of the journal met by a reader", |counts| &counts.holes),
    ("unknown", Shape::Counter, "Quotes not known where their replay begins", |counts| &counts.unknown),
    ("errors", Shape::Counter, "Times that the journal could not be read", |counts| &counts.errors),
];

/// Every limit by its name in `[limits]`.
pub(crate) fn limit_values(limits: &Limits) -> Vec<(String, u64)> {
    let serde_json::Value::Object(limits) = serde_json::to_value(limits).expect("numbers have a JSON form") else {
        return Vec::new();
    };
    limits.into_iter().filter_map(|(name, value)| Some((name, value.as_u64()?))).collect()
}

/// Lane counters that may fall, or are set anew.
pub(crate) const fn lane_shape(counter: LaneCounter) -> Shape {
    match counter {
        LaneCounter::LiveOrders
        | LaneCounter::OrderLimit
        | LaneCounter::BurstMax
        | LaneCounter::LagNs
        | LaneCounter::LagMaxNs
        | LaneCounter::RatePerS
        | LaneCounter::Unrepaired => Shape::Gauge,
        _ => Shape::Counter,
    }
}

/// Journal counters that may fall.
const fn journal_shape(counter: JournalCounter) -> Shape {
    match counter {
        JournalCounter::State
        | JournalCounter::DurableOrders
        | JournalCounter::DurableMarket
        | JournalCounter::LagOrders
        | JournalCounter::LagMarket => Shape::Gauge,
        _ => Shape::Counter,
    }
}

/// Shape of a feed's counter; `None`: it is a stamp, shown in seconds.
const fn feed_shape(counter: FeedCounter) -> Option<Shape> {
    match counter {
        FeedCounter::LastByteNs => None,
        FeedCounter::NextSequence => Some(Shape::Gauge),
        _ => Some(Shape::Counter),
    }
}

/// A lane at the moment of the scrape.
#[derive(Debug)]
pub(crate) struct LaneSample {
    /// Lane name.
    pub(crate) name: String,
    /// What its writer is doing.
    pub(crate) state: LaneState,
    /// Its segment; `None` while there is none.
    pub(crate) segment: Option<Segment>,
}

/// Head of a ring: number of the next record.
pub(crate) fn head(segment: &Segment, ring: RingName) -> u64 {
    segment.ring(ring).head().load(Relaxed)
}

/// The feeds of a lane.
pub(crate) fn feeds(segment: &Segment) -> impl Iterator<Item = (FeedFacts, CounterReader)> + '_ {
    (0..FEEDS_MAX).filter_map(|index| segment.feed(index))
}

/// All metrics as text.
pub(crate) fn text(app: &App, lanes: Vec<LaneSample>, now_ns: u64) -> String {
    let mut registry = Registry::with_prefix("ticklane");
    let report = Arc::clone(&app.report);
    let (limits, journal) = (app.facts.limits, app.journal.clone());
    registry.register_collector(Box::new(Scrape { report, limits, journal, lanes, now_ns }));
    let mut text = String::with_capacity(16 << 10);
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("writing to a String cannot fail");
    text
}

#[derive(Debug)]
struct Scrape {
    report: Arc<Report>,
    limits: Limits,
    journal: Option<Recorded>,
    lanes: Vec<LaneSample>,
    now_ns: u64,
}

/// Labels of one sample: names are ours, values are escaped by the encoder.
#[derive(Debug)]
struct Labels<'a, const N: usize>([(&'static str, &'a str); N]);

impl<const N: usize> EncodeLabelSet for Labels<'_, N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), Error> {
        self.0.encode(encoder)
    }
}

/// A sample's value.
#[derive(Debug, Clone, Copy)]
enum Value {
    Whole(u64),
    Real(f64),
}

/// Writes one metric with all its samples: OpenMetrics wants them side by side.
fn metric<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, shape, help, unit): (&str, Shape, &str, Option<&Unit>),
    samples: impl IntoIterator<Item = ([(&'static str, &'a str); N], Value)>,
) -> Result<(), Error> {
    let kind = match shape {
        Shape::Counter => MetricType::Counter,
        Shape::Gauge => MetricType::Gauge,
    };
    let mut encoder = encoder.encode_descriptor(name, help.trim_end_matches('.'), unit, kind)?;
    for (labels, value) in samples {
        let labels = Labels(labels);
        let mut sample = encoder.encode_family(&labels)?;
        match (shape, value) {
            (Shape::Counter, Value::Whole(value)) => sample.encode_counter::<NoLabelSet, u64, u64>(&value, None)?,
            (Shape::Counter, Value::Real(value)) => sample.encode_counter::<NoLabelSet, f64, u64>(&value, None)?,
            (Shape::Gauge, Value::Whole(value)) => sample.encode_gauge(&value)?,
            (Shape::Gauge, Value::Real(value)) => sample.encode_gauge(&value)?,
        }
    }
    Ok(())
}

fn seconds(ns: u64) -> Value {
    Value::Real(ns as f64 / 1e9)
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let shards = self.report.shards();
        self.gateway(&mut encoder)?;
        self.lanes(&mut encoder)?;
        self.feeds(&mut encoder)?;
        shard_numbers(&mut encoder, &shards)?;
        hops(&mut encoder, &shards)
    }
}

impl Scrape {
    fn gateway(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        metric(encoder, ("gateway_build", Shape::Gauge, "This program; always 1", None), [(version, Value::Whole(1))])?;
        let uptime = seconds(self.now_ns.saturating_sub(self.report.started_ns));
        let help = "Time since the program began";
        metric(encoder, ("gateway_uptime", Shape::Gauge, help, Some(&Unit::Seconds)), [([], uptime)])?;
        let draining = Value::Whole(self.report.is_draining().into());
        metric(encoder, ("gateway_draining", Shape::Gauge, "1 once it has been told to stop", None), [([], draining)])?;
        for (name, shape, help, place) in DOOR_NUMBERS {
            let name = format!("gateway_door_{name}");
            let value = Value::Whole(place(&self.report.door).load(Relaxed));
            metric(encoder, (&name, *shape, help, None), [([], value)])?;
        }
        if let Some(Recorded { pool, config }) = &self.journal {
            for (name, shape, help, place) in POOL_NUMBERS {
                let name = format!("gateway_journal_{name}");
                let value = Value::Whole(place(pool.counts()).load(Relaxed));
                metric(encoder, (&name, *shape, help, None), [([], value)])?;
            }
            let (help, waiting) = ("Pieces of work that wait for a thread", Value::Whole(pool.waiting()));
            metric(encoder, ("gateway_journal_waiting", Shape::Gauge, help, None), [([], waiting)])?;
            let limits = config.limits().map(|(name, value, ..)| (name.trim_start_matches("journal."), value));
            let samples = limits.iter().map(|(name, value)| ([("limit", *name)], Value::Whole((*value).into())));
            let help = "Limits of [journal] in gateway.toml";
            metric(encoder, ("gateway_journal_limit", Shape::Gauge, help, None), samples)?;
        }
        let limits = limit_values(&self.limits);
        let samples = limits.iter().map(|(name, value)| ([("limit", name.as_str())], Value::Whole(*value)));
        metric(encoder, ("gateway_limit", Shape::Gauge, "Limits of [limits] in gateway.toml", None), samples)
    }

    /// Samples of every lane that has a segment.
    fn attached(&self) -> impl Iterator<Item = (&str, &Segment)> {
        self.lanes.iter().filter_map(|lane| Some((lane.name.as_str(), lane.segment.as_ref()?)))
    }

    fn lanes(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let live = self
            .lanes
            .iter()
            .map(|lane| ([("lane", lane.name.as_str())], Value::Whole((lane.state == LaneState::Live).into())));
        metric(encoder, ("lane_live", Shape::Gauge, "1 while the lane's writer shows life", None), live)?;
        let age = self.attached().map(|(lane, segment)| ([("lane", lane)], seconds(segment.heartbeat_age_ns())));
        let help = "Time since the writer's last sign of life";
        metric(encoder, ("lane_heartbeat_age", Shape::Gauge, help, Some(&Unit::Seconds)), age)?;
        for (name, ring) in [("lane_market_head", RingName::Market), ("lane_orders_head", RingName::Orders)] {
            let heads = self.attached().map(|(lane, segment)| ([("lane", lane)], Value::Whole(head(segment, ring))));
            metric(encoder, (name, Shape::Gauge, "Number of the ring's next record", None), heads)?;
        }
        let instruments =
            self.attached().map(|(lane, segment)| ([("lane", lane)], Value::Whole(segment.directory().count() as u64)));
        metric(encoder, ("lane_instruments", Shape::Gauge, "Entries of the lane's directory", None), instruments)?;
        for counter in LaneCounter::ALL {
            let name = format!("lane_{}", counter.name());
            let samples = self
                .attached()
                .map(|(lane, segment)| ([("lane", lane)], Value::Whole(segment.counters().lane(*counter))));
            metric(encoder, (&name, lane_shape(*counter), counter.help(), None), samples)?;
        }
        for counter in JournalCounter::ALL {
            let name = format!("lane_{}", counter.name());
            let samples = self
                .attached()
                .map(|(lane, segment)| ([("lane", lane)], Value::Whole(segment.journal_counters().journal(*counter))));
            metric(encoder, (&name, journal_shape(*counter), counter.help(), None), samples)?;
        }
        Ok(())
    }

    fn feeds(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let feeds: Vec<(&str, FeedFacts, CounterReader)> = self
            .attached()
            .flat_map(|(lane, segment)| feeds(segment).map(move |(facts, counters)| (lane, facts, counters)))
            .collect();
        let state = feeds.iter().map(|(lane, facts, _)| {
            let labels = [("lane", *lane), ("feed", facts.name.as_str()), ("state", FeedState::name_of(facts.state))];
            (labels, Value::Whole(1))
        });
        metric(encoder, ("feed_state", Shape::Gauge, "What the feed's session is doing; always 1", None), state)?;
        let sequence = feeds
            .iter()
            .map(|(lane, facts, _)| ([("lane", *lane), ("feed", facts.name.as_str())], Value::Whole(facts.sequence)));
        let help = "Venue sequence of the last event published";
        metric(encoder, ("feed_sequence", Shape::Gauge, help, None), sequence)?;
        for counter in FeedCounter::ALL {
            let samples = |value: fn(u64) -> Value| {
                feeds.iter().map(move |(lane, facts, counters)| {
                    ([("lane", *lane), ("feed", facts.name.as_str())], value(counters.feed(*counter)))
                })
            };
            match feed_shape(*counter) {
                Some(shape) => {
                    let name = format!("feed_{}", counter.name());
                    metric(encoder, (&name, shape, counter.help(), None), samples(Value::Whole))?;
                }
                None => {
                    let help = "When the last byte came, since the UNIX epoch";
                    let name = "feed_last_byte_timestamp";
                    metric(encoder, (name, Shape::Gauge, help, Some(&Unit::Seconds)), samples(seconds))?;
                }
            }
        }
        Ok(())
    }
}

fn shard_numbers(encoder: &mut DescriptorEncoder<'_>, shards: &[Arc<ShardReport>]) -> Result<(), Error> {
    let names: Vec<String> = (0..shards.len()).map(|index| index.to_string()).collect();
    for (name, shape, help, value) in SHARD_NUMBERS {
        let name = format!("gateway_{name}");
        let samples = names
            .iter()
            .zip(shards)
            .map(|(index, shard)| ([("shard", index.as_str())], Value::Whole(value(&shard.stats))));
        metric(encoder, (&name, *shape, help, None), samples)?;
    }
    let lanes: [(&str, Shape, &str, fn(&LaneReport) -> u64); 2] = [
        ("gateway_lag_slots", Shape::Gauge, "Slots between a shard and a lane's writer", |lane| lane.lag),
        ("gateway_version_mismatches", Shape::Counter, "Times that a segment of another layout was met", |lane| {
            lane.version_mismatches
        }),
    ];
    for (name, shape, help, value) in lanes {
        let samples = names.iter().zip(shards).flat_map(|(index, shard)| {
            let labels = |lane| [("shard", index.as_str()), ("lane", lane)];
            shard.lanes.iter().map(move |lane| (labels(&lane.name), Value::Whole(value(lane))))
        });
        metric(encoder, (name, shape, help, None), samples)?;
    }
    Ok(())
}

/// One row of hop percentiles with what names it.
type HopRow<'a> = ([(&'static str, &'a str); 3], &'a Percentiles);

fn hops(encoder: &mut DescriptorEncoder<'_>, shards: &[Arc<ShardReport>]) -> Result<(), Error> {
    let names: Vec<String> = (0..shards.len()).map(|index| index.to_string()).collect();
    let mut rows: Vec<HopRow<'_>> = Vec::new();
    for (index, shard) in names.iter().zip(shards) {
        let labels = |lane, hop| [("shard", index.as_str()), ("lane", lane), ("hop", hop)];
        for lane in &shard.lanes {
            rows.push((labels(&lane.name, "venue_to_receive"), &lane.hops.venue_to_receive));
            rows.push((labels(&lane.name, "receive_to_publish"), &lane.hops.receive_to_publish));
            rows.push((labels(&lane.name, "publish_to_gateway"), &lane.hops.publish_to_gateway));
        }
        // A send carries events of any lane.
        rows.push((labels("", "gateway_to_socket"), &shard.state_age));
        rows.push((labels("", "pass"), &shard.pass));
    }
    let quantiles = rows.iter().filter(|(_, row)| row.count > 0).flat_map(|([shard, lane, hop], row)| {
        [("0.5", row.p50_ns), ("0.9", row.p90_ns), ("0.99", row.p99_ns), ("0.999", row.p99_9_ns), ("1", row.max_ns)]
            .map(|(quantile, ns)| ([*shard, *lane, *hop, ("quantile", quantile)], seconds(ns)))
    });
    let help = "Time that events took between two stamps, over the last 10 to 20 seconds";
    metric(encoder, ("gateway_hop", Shape::Gauge, help, Some(&Unit::Seconds)), quantiles)?;
    let totals: [(&str, &str, fn(&Percentiles) -> u64); 3] = [
        ("gateway_hop_samples", "Samples of a hop", |row| row.total),
        ("gateway_hop_negative", "Samples below zero: two hosts' clocks disagree", |row| row.negative),
        ("gateway_hop_implausible", "Samples left out: the stamps are of a recorded day", |row| row.implausible),
    ];
    for (name, help, value) in totals {
        let samples = rows.iter().map(|(labels, row)| (*labels, Value::Whole(value(row))));
        metric(encoder, (name, Shape::Counter, help, None), samples)?;
    }
    Ok(())
}
