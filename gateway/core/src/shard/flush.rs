//! One send with everything that a connection lacks.

use std::io::{ErrorKind, IoSlice};

use super::Shard;
use super::connections::Phase;
use super::out::Out;
use super::plan::SLICES_MAX;
use super::types::{ConnectionId, Flush, Flushed, Now, Sink};

/// Slices of most sends. More need an array whose making takes longer than everything else here.
const SLICES_FEW: usize = 8;

impl Shard {
    pub(super) fn send(&mut self, id: ConnectionId, now: Now, sink: &mut impl Sink) -> Flushed {
        let mut flushed = Flushed { flush: Flush::Finished, bytes: 0, frames: 0, newest_ns: 0 };
        let Self { world, out, plan, .. } = self;
        let Some(connection) = out.connections.get(id) else { return flushed };
        if connection.blocked || connection.phase == Phase::Over {
            flushed.flush = if connection.blocked { Flush::Blocked } else { Flush::Finished };
            return flushed;
        }
        let first = connection.outbox.pending(0);
        if first.is_some_and(|first| out.ring.get(out.ring.widen(first.number)).is_none()) {
            // What it refers to was overwritten: whether it is merged or closed, it is never read.
            out.fall_behind(world, id.index);
        }
        plan.make(world, out, id, now);
        let (mut few, mut many);
        let slices: &mut [IoSlice<'_>] = if plan.slices_most() <= SLICES_FEW {
            few = [IoSlice::new(&[]); SLICES_FEW];
            &mut few
        } else {
            many = [IoSlice::new(&[]); SLICES_MAX];
            &mut many
        };
        let (count, wanted) = plan.slices(out, id, slices);
        let sent = if wanted > 0 { sink.send(&slices[..count]) } else { Ok(0) };
        out.stats.sends += u64::from(wanted > 0);
        let interrupted = matches!(&sent, Err(error) if error.kind() == ErrorKind::Interrupted);
        flushed.bytes = match sent {
            Ok(taken) => taken.min(wanted),
            Err(error) if interrupted || error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => {
                let connection = out.connections.get_mut(id).expect("it was there");
                connection.phase = Phase::Over;
                return flushed;
            }
        };
        plan.account(world, out, id, now, &mut flushed);
        out.stats.bytes += flushed.bytes as u64;
        out.stats.frames += u64::from(flushed.frames);
        let all = flushed.bytes == wanted;
        flushed.flush = conclude(out, id, now, all || interrupted, flushed.bytes > 0, plan.is_full || interrupted);
        flushed
    }
}

/// What comes after a send of which the kernel took `all`, or `some`; `more`: there is more to send at once.
fn conclude(out: &mut Out, id: ConnectionId, now: Now, all: bool, some: bool, more: bool) -> Flush {
    let connection = out.connections.get_mut(id).expect("it was there");
    if !all {
        out.stats.blocked += 1;
        connection.blocked = true;
        if some || connection.stalled_ns == 0 {
            connection.stalled_ns = now.mono_ns.max(1);
        }
        return Flush::Blocked;
    }
    connection.stalled_ns = 0;
    if connection.phase == Phase::Closing && connection.outbox.is_empty() {
        connection.phase = Phase::Over;
        return Flush::Finished;
    }
    if more || !connection.outbox.is_empty() && connection.lacks_something() {
        out.connections.enqueue(id.index);
        return Flush::More;
    }
    Flush::Clean
}
