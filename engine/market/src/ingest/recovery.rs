//! What a killed writer left behind: where each ring ended, in its own numbers and in the venue's.
//!
//! Source: decisions.md 5. The predecessor's segment is the recovery state; nothing else is kept anywhere.

use shm_abi::counters::LaneCounter;
use shm_abi::record::{Record, Restart, kind, restart_body, restart_reason, side};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{FeedWriter, LaneWriter, RingName, Segment};

use super::output::lane_head;

/// Where one ring of the predecessor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RingEnd {
    /// Number after the last whole event.
    pub end: u64,
    /// The venue's sequence of that event; 0: none.
    pub venue_sequence: u64,
}

/// What the predecessor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// Epoch of its rings.
    pub old_epoch: u64,
    /// The venue's session; `None` when the writer was killed while it wrote it, or never had one.
    pub session: Option<[u8; 16]>,
    /// Where its orders ring ended.
    pub orders: RingEnd,
    /// Where its market ring ended.
    pub market: RingEnd,
    /// Losses that it had told readers of and not made good: see [`LaneCounter::Unrepaired`].
    pub unrepaired: u64,
}

impl Predecessor {
    /// Reads a predecessor's segment to its end.
    pub fn read(segment: &Segment) -> Predecessor {
        let feed = segment.feed(0).map(|(facts, _)| facts);
        let session = feed.as_ref().and_then(|facts| facts.session).filter(|session| session.iter().any(|b| *b > b' '));
        let (sequence, orders_n, market_n) = match (&feed, session) {
            (Some(facts), Some(_)) => (facts.sequence, facts.session_orders_n, facts.session_market_n),
            // Sequences of an unknown session mean nothing.
            _ => (0, u64::MAX, u64::MAX),
        };
        Predecessor {
            old_epoch: segment.identity().epoch,
            session,
            orders: ring_end(segment, RingName::Orders, orders_n, sequence),
            market: ring_end(segment, RingName::Market, market_n, sequence),
            unrepaired: segment.counters().lane(LaneCounter::Unrepaired),
        }
    }

    /// The restart record that tells readers of one ring what happened.
    fn restart(&self, ring: RingName) -> Restart {
        let end = match ring {
            RingName::Orders => self.orders,
            RingName::Market => self.market,
        };
        Restart {
            old_epoch: self.old_epoch,
            old_end: end.end,
            session: self.session.unwrap_or([b' '; 16]),
            venue_sequence: end.venue_sequence,
            reason: restart_reason::ENGINE,
        }
    }
}

/// First records of both rings: what came before. The session of the predecessor is kept until the venue says another, and
/// what readers lack until it is made good, so that a writer killed while it rebuilds leaves as much as it found. `now_ns`: UNIX time.
pub fn begin_sequence(writer: &mut LaneWriter, feed: &mut FeedWriter, predecessor: Option<&Predecessor>, now_ns: u64) {
    let restart = |ring| predecessor.map_or_else(first_start, |found| found.restart(ring));
    publish_restart(writer, RingName::Orders, &restart(RingName::Orders), now_ns);
    publish_restart(writer, RingName::Market, &restart(RingName::Market), now_ns);
    writer.publish_heads();
    if let Some(Predecessor { session: Some(session), orders, market, unrepaired, .. }) = predecessor {
        writer.counters.set(LaneCounter::Unrepaired, *unrepaired);
        feed.set_session(session, 0, 0);
        feed.set_sequence(orders.venue_sequence.max(market.venue_sequence));
    }
}

fn publish_restart(writer: &mut LaneWriter, ring: RingName, restart: &Restart, now_ns: u64) {
    let head = lane_head(kind::RESTART, side::NONE, now_ns, restart.venue_sequence as u32);
    let mut words = Vec::from(head.words());
    words.extend(restart_body(restart));
    let ring = match ring {
        RingName::Orders => &mut writer.orders,
        RingName::Market => &mut writer.market,
    };
    ring.push_span(&words);
    ring.commit();
}

/// The restart record of a start without predecessor.
fn first_start() -> Restart {
    let reason = restart_reason::UNKNOWN;
    Restart { old_epoch: 0, old_end: 0, session: [b' '; 16], venue_sequence: 0, reason }
}

/// Walks the newest three quarters of a ring. Its writer is dead, so the walk meets an end: the first number that was
/// never stamped. What stands after the last record with LAST is void.
fn ring_end(segment: &Segment, ring: RingName, session_from: u64, sequence_near: u64) -> RingEnd {
    let mut reader = segment.join(ring, Rejoin::Oldest);
    let mut found = RingEnd::default();
    loop {
        match reader.poll() {
            Polled::Empty => return found,
            Polled::Lost(_) => {}
            Polled::Record { n, words } => {
                let Some(record) = Record::new(n, words) else { continue };
                if record.head.is_last() {
                    found.end = n + u64::from(record.head.span);
                    if n >= session_from {
                        found.venue_sequence = full_sequence(sequence_near, record.head.venue_sequence_low);
                    }
                }
            }
        }
    }
}

/// The full sequence whose low half is `low` and that lies nearest to `near`.
fn full_sequence(near: u64, low: u32) -> u64 {
    let distance = low.wrapping_sub(near as u32) as i32;
    near.saturating_add_signed(i64::from(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_sequence_is_the_nearest_one_with_that_low_half() {
        let table = [
            (0, 0, 0),
            (0, 7, 7),
            (100, 90, 90),
            (0x1_0000_0005, 2, 0x1_0000_0002),
            (0x1_0000_0005, 0xffff_fff0, 0xffff_fff0),
            (0xffff_fff0, 3, 0x1_0000_0003),
        ];
        for (near, low, full) in table {
            assert_eq!(full_sequence(near, low), full, "near {near:#x} low {low:#x}");
        }
    }
}
