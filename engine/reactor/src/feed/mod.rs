//! One feed's life on its reactor: sockets, clocks and waiting. What the bytes mean is decided in `market::ingest`.
//!
//! * `soup`: SoupBinTCP, from dialling to the end of the session and back.
//! * `datagrams`: lines, re-request servers, and images of the books.
//! * `replay`: feeds from recordings.

mod datagrams;
mod dial;
mod image;
pub(crate) mod replay;
mod sockets;
mod soup;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use market::ingest::Tap;
use shm_abi::control::PaceChange;
use shm_abi::sys::monotonic_ns;
use wire::Nanos;

use crate::config::{AllowList, FeedPlan, Transport, Wait};
use crate::control::{FeedCommand, FeedPort, TapKind};
use crate::lane::Lane;
use crate::rt;

/// Longest sleep of a reactor that waits for its socket or for a delay: how late it can notice a stop or a command.
const STOP_LATENCY_NS: u64 = 50_000_000;
/// Two lines of the log about the same kind of thing stand at least so far apart.
const LOG_EVERY_NS: u64 = 1_000_000_000;

/// What a feed task needs besides its lane.
pub(crate) struct FeedTask {
    pub(crate) plan: FeedPlan,
    pub(crate) allow: AllowList,
    pub(crate) wait: Wait,
    pub(crate) spin_ns: u64,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) lane: Rc<RefCell<Lane>>,
    pub(crate) port: FeedPort,
}

fn now() -> Nanos {
    Nanos(monotonic_ns())
}

impl FeedTask {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Runs until the engine stops.
    pub(crate) async fn run(mut self) {
        match (self.plan.replay.clone(), self.plan.transport.clone()) {
            (Some(plan), _) => replay::run(&mut self, &plan).await,
            (None, Transport::Soup(plan)) => soup::run(&mut self, plan).await,
            (None, Transport::Datagrams(plan)) => datagrams::run(&mut self, &plan).await,
            (None, Transport::Records) => unreachable!("the config has a recording for them"),
        }
    }

    /// Whether to go on spinning when there was nothing to receive, `quiet_ns` after there was something.
    fn spins(&self, quiet_ns: u64) -> bool {
        match self.wait {
            Wait::Spin => true,
            Wait::Park => false,
            Wait::Auto | Wait::Adaptive => quiet_ns < self.spin_ns,
        }
    }

    /// Tells the command server what the lane says about the feed, if that has changed. `reason` is asked for only then.
    fn tell_state(&self, told: &mut Option<shm_abi::layout::FeedState>, reason: impl FnOnce() -> String) {
        let state = self.lane.borrow().out.state();
        if *told != Some(state) {
            *told = Some(state);
            self.port.tell_state(state, &reason());
        }
    }

    /// The next command. New settings are taken here, as every kind of feed takes them alike: `true` then, and the command is
    /// not handed on.
    fn next_command(&mut self) -> Option<Asked> {
        match self.port.next_command()? {
            FeedCommand::Connect { address_index } => Some(Asked::Connect(address_index)),
            FeedCommand::Disconnect => Some(Asked::Disconnect),
            FeedCommand::Settings { plan, allow } => {
                self.port.tell_addresses(&plan.addresses);
                (self.plan, self.allow) = (*plan, allow);
                Some(Asked::Settings)
            }
            FeedCommand::Pace(change) => Some(Asked::Pace(change)),
        }
    }

    /// Sleeps until the engine stops, or a command asks for a connection: to which address.
    async fn paused(&mut self) -> Option<usize> {
        loop {
            if self.stopping() {
                return None;
            }
            if let Some(Asked::Connect(index)) = self.next_command() {
                return Some(index);
            }
            rt::sleep(STOP_LATENCY_NS).await;
        }
    }
}

/// What a command asks of a feed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    Connect(usize),
    Disconnect,
    /// The plan and the networks have changed, for the next connection.
    Settings,
    /// Of a replay.
    Pace(PaceChange),
}

/// How the tap's reader is to take the datagrams of a feed apart.
fn datagram_kind(plan: &FeedPlan) -> TapKind {
    if plan.protocol.iex().is_some() { TapKind::IexTp } else { TapKind::Mold }
}

/// The command server's tap on one line of a feed.
struct LineTap<'p> {
    port: &'p mut FeedPort,
    kind: TapKind,
    line: u8,
}

impl Tap for LineTap<'_> {
    #[inline]
    fn is_wanted(&self) -> bool {
        self.port.tap.is_wanted()
    }

    #[cold]
    fn packet(&mut self, ts_recv: u64, sequence: u64, bytes: &[u8]) {
        self.port.tap.push(self.kind, self.line, ts_recv, sequence, bytes);
    }
}

/// Keeps a kind of log line from flooding: at most one a second, with how many were left out.
#[derive(Debug, Default)]
struct Throttle {
    next: Nanos,
    left_out: u64,
}

impl Throttle {
    /// `Some(lines left out before this one)` when the line may be written.
    fn admit(&mut self, at: Nanos) -> Option<u64> {
        if at < self.next {
            self.left_out += 1;
            return None;
        }
        self.next = at.saturating_add(LOG_EVERY_NS);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_becomes_one_a_second_and_says_how_many_it_stands_for() {
        let mut throttle = Throttle::default();
        let mut written = Vec::new();
        for ms in 0..2_500_u64 {
            written.extend(throttle.admit(Nanos(ms * 1_000_000)));
        }
        assert_eq!(written, [0, 999, 999]);
    }
}
