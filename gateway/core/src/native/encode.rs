//! Data frames: snapshots, updates and gaps. The hot path of a shard: once per event and dialect, straight into the
//! caller's buffer, without a tree, a formatter or an allocation of its own.

use super::objects::{push_changes, push_levels, push_quote, push_stamps, push_status, push_trade, push_trade_fields};
use super::text::{push_cursor, push_list, push_quoted, push_string, put};
use crate::dialect::{Delta, GapReason, Merged, Place, Snapshot, Stamps, Subject};
use crate::number::push_integer;
use crate::topic::Channel;

/// Appends one event of a topic, or several merged into one.
#[inline]
pub(super) fn push_update(
    out: &mut Vec<u8>,
    subject: &Subject<'_>,
    place: &Place<'_>,
    prev: u64,
    stamps: &Stamps,
    merged: Option<&Merged>,
    delta: &Delta<'_>,
) {
    put(out, "{\"type\":\"update\"");
    push_topic(out, subject);
    push_number(out, ",\"stream\":", place.stream.into());
    push_number(out, ",\"seq\":", place.seq);
    push_number(out, ",\"prev\":", prev);
    if let Some(merged) = merged {
        push_merged(out, merged);
    }
    out.push(b',');
    push_stamps(out, stamps);
    put(out, ",\"data\":");
    push_delta(out, delta, subject.quantity_decimals);
    out.push(b'}');
}

#[inline]
fn push_delta(out: &mut Vec<u8>, delta: &Delta<'_>, quantity_decimals: u8) {
    match delta {
        Delta::Quote(quote) => push_quote(out, quote, quantity_decimals),
        Delta::Depth(changes) => {
            put(out, "{\"changes\":");
            push_changes(out, changes, quantity_decimals);
            out.push(b'}');
        }
        Delta::Trade(trade) => {
            out.push(b'{');
            push_trade_fields(out, trade, quantity_decimals);
            out.push(b'}');
        }
        Delta::TradeBreak(match_id) => {
            put(out, "{\"broken\":");
            push_quoted(out, *match_id);
            out.push(b'}');
        }
        Delta::Status(status) => push_status(out, *status),
    }
}

/// Appends the whole state of a topic; `merged` with the number before it when it stands for events that did not come.
pub(super) fn push_snapshot(
    out: &mut Vec<u8>,
    subject: &Subject<'_>,
    place: &Place<'_>,
    stamps: &Stamps,
    merged: Option<&(Merged, u64)>,
    state: &Snapshot<'_>,
) {
    put(out, "{\"type\":\"snapshot\"");
    push_topic(out, subject);
    put(out, ",\"venue\":");
    push_string(out, subject.venue);
    push_number(out, ",\"stream\":", place.stream.into());
    push_number(out, ",\"seq\":", place.seq);
    if let Some((merged, prev)) = merged {
        push_number(out, ",\"prev\":", *prev);
        push_merged(out, merged);
    }
    put(out, ",\"cursor\":");
    push_cursor(out, place.lane, place.epoch, place.seq);
    out.push(b',');
    push_stamps(out, stamps);
    put(out, ",\"data\":");
    push_state(out, state, subject.quantity_decimals);
    out.push(b'}');
}

fn push_state(out: &mut Vec<u8>, state: &Snapshot<'_>, quantity_decimals: u8) {
    match state {
        Snapshot::Quote(quote) => push_quote(out, quote, quantity_decimals),
        Snapshot::Depth(window) => {
            put(out, "{\"bids\":");
            push_levels(out, &window.bids, quantity_decimals);
            put(out, ",\"asks\":");
            push_levels(out, &window.asks, quantity_decimals);
            out.push(b'}');
        }
        Snapshot::Trades(trades) => {
            put(out, "{\"trades\":");
            push_list(out, *trades, |out, trade| push_trade(out, trade, quantity_decimals));
            out.push(b'}');
        }
        Snapshot::Status(status) => push_status(out, *status),
    }
}

/// Appends that events of one topic were left out for this client.
pub(super) fn push_topic_gap(out: &mut Vec<u8>, subject: &Subject<'_>, stream: u32, merged: &Merged, prev: u64) {
    push_gap(out, GapReason::Slow);
    push_topic(out, subject);
    push_number(out, ",\"stream\":", stream.into());
    push_number(out, ",\"merged\":", merged.count);
    push_number(out, ",\"prev\":", prev);
    push_number(out, ",\"first\":", merged.first);
    push_number(out, ",\"last\":", merged.last);
    out.push(b'}');
}

/// Appends that a resume cannot be done.
pub(super) fn push_resume_gap(out: &mut Vec<u8>, subject: &Subject<'_>, stream: u32, reason: GapReason, cursor: &str) {
    push_gap(out, reason);
    push_topic(out, subject);
    push_number(out, ",\"stream\":", stream.into());
    put(out, ",\"cursor\":");
    push_string(out, cursor);
    out.push(b'}');
}

/// Appends that the journal does not have some numbers.
pub(super) fn push_replay_gap(
    out: &mut Vec<u8>,
    subject: &Subject<'_>,
    stream: u32,
    prev: u64,
    (first, last): (u64, u64),
) {
    push_gap(out, GapReason::Hole);
    push_topic(out, subject);
    push_number(out, ",\"stream\":", stream.into());
    push_number(out, ",\"prev\":", prev);
    push_number(out, ",\"first\":", first);
    push_number(out, ",\"last\":", last);
    out.push(b'}');
}

/// Appends that numbers of a lane will not come. What the feed never delivered is told by a record of its own, whose
/// number is `seq`; what the gateway never saw has no such record.
pub(super) fn push_lane_gap(out: &mut Vec<u8>, place: &Place<'_>, reason: GapReason, first: u64, last: u64) {
    push_gap(out, reason);
    push_number(out, ",\"stream\":", place.stream.into());
    if reason == GapReason::Venue {
        push_number(out, ",\"seq\":", place.seq);
    }
    push_number(out, ",\"first\":", first);
    push_number(out, ",\"last\":", last);
    out.push(b'}');
}

fn push_gap(out: &mut Vec<u8>, reason: GapReason) {
    put(out, "{\"type\":\"gap\",\"reason\":\"");
    put(out, reason.name());
    out.push(b'"');
}

/// Appends `,"channel":...`, and the levels of a depth channel.
#[inline]
pub(super) fn push_channel(out: &mut Vec<u8>, channel: Channel) {
    put(
        out,
        match channel {
            Channel::Quotes => ",\"channel\":\"quotes\"",
            Channel::Depth(_) => ",\"channel\":\"depth\"",
            Channel::Trades => ",\"channel\":\"trades\"",
            Channel::Status => ",\"channel\":\"status\"",
        },
    );
    if let Some(levels) = channel.levels() {
        push_number(out, ",\"levels\":", levels.count() as u64);
    }
}

#[inline]
fn push_topic(out: &mut Vec<u8>, subject: &Subject<'_>) {
    push_channel(out, subject.channel);
    put(out, ",\"symbol\":");
    push_string(out, subject.symbol);
}

#[inline]
fn push_merged(out: &mut Vec<u8>, merged: &Merged) {
    push_number(out, ",\"merged\":", merged.count);
    push_number(out, ",\"first\":", merged.first);
    push_number(out, ",\"last\":", merged.last);
}

#[inline]
pub(super) fn push_number(out: &mut Vec<u8>, name: &str, value: u64) {
    put(out, name);
    push_integer(out, value);
}

#[cfg(test)]
mod tests;
