//! Frames that answer a command or tell of a lane: rare, one connection each.

use super::PROTOCOL_VERSION;
use super::encode::{push_channel, push_number};
use super::text::{push_cursor, push_epoch, push_id, push_list, push_quoted, push_string, put};
use crate::dialect::{LaneFacts, LaneState, Outgoing, Place, Refusal, RefusedSymbol, SlowPolicy};
use crate::limits::Limits;
use crate::replay::OldEpoch;
use crate::topic::Channel;

/// Appends a frame that is not of a topic's data. Those are `encode`'s, and leave nothing here.
pub(super) fn push_reply(out: &mut Vec<u8>, server: &str, outgoing: &Outgoing<'_>) {
    match outgoing {
        Outgoing::Hello { slow, lanes, limits } => push_hello(out, server, *slow, lanes, limits),
        Outgoing::Ack { id, op, channel, symbols, refused, lanes } => {
            put(out, "{\"type\":\"ack\"");
            push_id(out, *id);
            push_text(out, ",\"op\":", op);
            push_channel(out, *channel);
            put(out, ",\"symbols\":");
            push_list(out, *symbols, |out, symbol| push_string(out, symbol));
            put(out, ",\"refused\":");
            push_list(out, *refused, push_refused);
            put(out, ",\"streams\":");
            push_list(out, *lanes, push_stream);
            out.push(b'}');
        }
        Outgoing::Error(refusal) => push_error(out, refusal),
        Outgoing::Subscriptions { id, list } => {
            put(out, "{\"type\":\"subscriptions\"");
            push_id(out, *id);
            put(out, ",\"subscriptions\":");
            push_list(out, *list, |out, (channel, symbols)| {
                let begin = out.len();
                push_channel(out, *channel);
                // The first member of an object has no comma before it.
                out[begin] = b'{';
                put(out, ",\"symbols\":");
                push_list(out, symbols, |out, symbol| push_string(out, symbol));
                out.push(b'}');
            });
            out.push(b'}');
        }
        Outgoing::Pong { id, ts_gateway } => {
            put(out, "{\"type\":\"pong\"");
            push_id(out, *id);
            put(out, ",\"ts_gateway\":");
            push_quoted(out, *ts_gateway);
            out.push(b'}');
        }
        Outgoing::Restart { place, old_stream, old_epoch, reason, drained_to, old_end } => {
            push_restart(out, place, *old_stream, *old_epoch, reason, *drained_to, *old_end);
        }
        Outgoing::Lane(facts) => {
            put(out, "{\"type\":\"lane\",\"lane\":");
            push_string(out, facts.lane);
            push_number(out, ",\"stream\":", stream_of(facts).into());
            push_text(out, ",\"state\":", facts.state.name());
            out.push(b'}');
        }
        Outgoing::Replay { channel, symbols, place, old, known } => {
            push_replay(out, *channel, symbols, place, *old, *known);
        }
        Outgoing::Snapshot { .. }
        | Outgoing::Update { .. }
        | Outgoing::TopicGap { .. }
        | Outgoing::ResumeGap { .. }
        | Outgoing::ReplayGap { .. }
        | Outgoing::LaneGap { .. } => {}
    }
}

fn push_hello(out: &mut Vec<u8>, server: &str, slow: SlowPolicy, lanes: &[LaneFacts<'_>], limits: &Limits) {
    put(out, "{\"type\":\"hello\"");
    push_number(out, ",\"protocol\":", PROTOCOL_VERSION);
    push_text(out, ",\"server\":", server);
    push_text(out, ",\"slow\":", slow.name());
    put(out, ",\"lanes\":");
    push_list(out, lanes, |out, facts| {
        put(out, "{\"lane\":");
        push_string(out, facts.lane);
        push_number(out, ",\"stream\":", stream_of(facts).into());
        push_epoch_of(out, facts);
        push_text(out, ",\"state\":", facts.state.name());
        push_cursor_of(out, facts);
        out.push(b'}');
    });
    put(out, ",\"limits\":{");
    push_number(out, "\"subscriptions\":", limits.subscriptions.into());
    push_number(out, ",\"symbols\":", limits.symbols.into());
    push_number(out, ",\"message_bytes\":", limits.message_bytes.into());
    push_number(out, ",\"commands_per_second\":", limits.commands_per_second.into());
    push_number(out, ",\"commands_burst\":", limits.commands_burst.into());
    push_number(out, ",\"queued_bytes\":", limits.queued_bytes.into());
    put(out, "}}");
}

fn push_refused(out: &mut Vec<u8>, refused: &RefusedSymbol) {
    put(out, "{\"symbol\":");
    push_string(out, &refused.symbol);
    push_text(out, ",\"code\":", refused.code);
    push_text(out, ",\"expected\":", &refused.expected);
    out.push(b'}');
}

fn push_stream(out: &mut Vec<u8>, facts: &LaneFacts<'_>) {
    push_number(out, "{\"stream\":", stream_of(facts).into());
    push_text(out, ",\"lane\":", facts.lane);
    push_epoch_of(out, facts);
    push_cursor_of(out, facts);
    out.push(b'}');
}

/// An absent lane has neither epoch nor numbers.
fn stream_of(facts: &LaneFacts<'_>) -> u32 {
    if facts.state == LaneState::Absent { 0 } else { facts.stream }
}

fn push_epoch_of(out: &mut Vec<u8>, facts: &LaneFacts<'_>) {
    put(out, ",\"epoch\":");
    match facts.state {
        LaneState::Absent => put(out, "null"),
        _ => push_epoch(out, facts.epoch),
    }
}

fn push_cursor_of(out: &mut Vec<u8>, facts: &LaneFacts<'_>) {
    put(out, ",\"cursor\":");
    match facts.state {
        LaneState::Absent => put(out, "null"),
        _ => push_cursor(out, facts.lane, facts.epoch, facts.cursor_seq),
    }
}

fn push_error(out: &mut Vec<u8>, refusal: &Refusal) {
    put(out, "{\"type\":\"error\"");
    push_id(out, refusal.id.as_ref());
    push_text(out, ",\"code\":", refusal.code);
    push_text(out, ",\"field\":", &refusal.field);
    push_text(out, ",\"value\":", &refusal.value);
    push_text(out, ",\"expected\":", &refusal.expected);
    out.push(b'}');
}

fn push_restart(
    out: &mut Vec<u8>,
    place: &Place<'_>,
    old_stream: u32,
    old_epoch: u64,
    reason: &str,
    drained_to: u64,
    old_end: Option<u64>,
) {
    put(out, "{\"type\":\"restart\"");
    push_text(out, ",\"lane\":", place.lane);
    push_number(out, ",\"old_stream\":", old_stream.into());
    push_number(out, ",\"stream\":", place.stream.into());
    put(out, ",\"epoch\":");
    push_epoch(out, place.epoch);
    put(out, ",\"old_epoch\":");
    push_epoch(out, old_epoch);
    push_text(out, ",\"reason\":", reason);
    push_number(out, ",\"drained_to\":", drained_to);
    push_old_end(out, old_end);
    put(out, ",\"cursor\":");
    push_cursor(out, place.lane, place.epoch, place.seq);
    out.push(b'}');
}

fn push_replay(
    out: &mut Vec<u8>,
    channel: Channel,
    symbols: &[&str],
    place: &Place<'_>,
    old: Option<(u32, OldEpoch)>,
    known: Option<bool>,
) {
    put(out, "{\"type\":\"replay\"");
    push_channel(out, channel);
    put(out, ",\"symbols\":");
    push_list(out, symbols, |out, symbol| push_string(out, symbol));
    push_text(out, ",\"lane\":", place.lane);
    push_number(out, ",\"stream\":", place.stream.into());
    put(out, ",\"epoch\":");
    push_epoch(out, place.epoch);
    if let Some((stream, old)) = old {
        push_number(out, ",\"old_stream\":", stream.into());
        put(out, ",\"old_epoch\":");
        push_epoch(out, old.epoch);
        push_number(out, ",\"drained_to\":", old.drained_to);
        push_old_end(out, old.end);
    }
    put(out, ",\"cursor\":");
    push_cursor(out, place.lane, place.epoch, place.seq);
    if let Some(known) = known {
        put(out, if known { ",\"known\":true" } else { ",\"known\":false" });
    }
    out.push(b'}');
}

fn push_old_end(out: &mut Vec<u8>, old_end: Option<u64>) {
    match old_end {
        Some(old_end) => push_number(out, ",\"old_end\":", old_end),
        None => put(out, ",\"old_end\":null"),
    }
}

fn push_text(out: &mut Vec<u8>, name: &str, text: &str) {
    put(out, name);
    push_string(out, text);
}
