//! What is due by time.

use super::connections::Phase;
use super::types::{ConnectionId, Now};
use super::{LaneId, Shard};
use crate::frames::{PING, push_server_frame};

/// One call looks at this share of the connections, so that it takes no longer than a send or two.
const SWEEP_SHARE: u32 = 8;
/// But never at fewer than these.
const SWEEP_MIN: u32 = 256;

/// What time has done to a connection.
enum Due {
    Nothing,
    /// It takes no bytes, or gives no sign of life.
    Dead {
        slow: bool,
    },
    Ping,
    /// Its pong has become late.
    Late,
}

impl Shard {
    pub(super) fn pass_time(&mut self, now: Now, dead: &mut Vec<ConnectionId>) {
        for lane in 0..self.world.lanes.len() {
            self.retry(LaneId(lane as u16), now);
        }
        let places = self.out.connections.places();
        let share = (places / SWEEP_SHARE).max(SWEEP_MIN).min(places);
        for _ in 0..share {
            self.sweep = if self.sweep + 1 >= places { 0 } else { self.sweep + 1 };
            let Some(id) = self.out.connections.id_at(self.sweep) else { continue };
            match self.due(id, now) {
                Due::Nothing => {}
                Due::Dead { slow } => {
                    let connection = self.out.connections.get_mut(id).expect("it is due");
                    if slow {
                        self.out.stats.slow_closes += u64::from(connection.phase == Phase::Open);
                        self.out.connections.close(id.index, super::connections::CLOSE_SLOW, "no byte was taken");
                    }
                    let connection = self.out.connections.get_mut(id).expect("it is due");
                    connection.phase = Phase::Over;
                    dead.push(id);
                }
                Due::Ping => self.ping(id, now),
                Due::Late => {
                    self.out.become_late(&self.world, id.index);
                }
            }
        }
    }

    fn due(&mut self, id: ConnectionId, now: Now) -> Due {
        let limits = &self.world.limits;
        let Some(connection) = self.out.connections.get_mut(id).filter(|c| c.phase != Phase::Over) else {
            return Due::Nothing;
        };
        let stalled_ns = u64::from(limits.stalled_ms) * 1_000_000;
        let stalled = connection.blocked && now.mono_ns.saturating_sub(connection.stalled_ns) >= stalled_ns;
        if stalled {
            return Due::Dead { slow: true };
        }
        if connection.phase != Phase::Open {
            return Due::Nothing;
        }
        match connection.clock.is_idle(now.mono_ns, limits) {
            true if connection.clock.is_dead(limits) => Due::Dead { slow: false },
            true => Due::Ping,
            false if connection.clock.check(now.mono_ns, limits) => Due::Late,
            false => Due::Nothing,
        }
    }

    fn ping(&mut self, id: ConnectionId, now: Now) {
        let Some(connection) = self.out.connections.get_mut(id) else { return };
        let payload = connection.clock.sent(now.mono_ns);
        self.out.frame.clear();
        push_server_frame(&mut self.out.frame, PING, &payload);
        self.out.connections.answer(id.index, &self.out.frame, &self.world.limits, &mut self.out.stats);
    }

    pub(super) fn take_pong(&mut self, id: ConnectionId, payload: &[u8], now: Now) {
        let Some(connection) = self.out.connections.get_mut(id) else { return };
        connection.clock.pong(payload, now.mono_ns, &self.world.limits);
        if connection.dirty == 0 && !connection.clock.is_late() {
            connection.conflated = false;
        }
        if connection.lacks_something() {
            self.out.connections.enqueue(id.index);
        }
    }
}
