//! Where the command server and a feed's task meet.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shm_abi::control::PaceChange;
use shm_abi::layout::FeedState;
use shm_abi::sys::realtime_ns;

use crate::config::{AllowList, FeedPlan, LanePlan};
use crate::control::tap_ring::{TapReader, TapWriter, tap_ring};

/// Commands that may wait for a feed's task. It takes them between bursts, so more than a few means it hangs.
const COMMANDS_MAX: usize = 16;
/// Lines that a feed can have: A, B and recovery.
pub(crate) const LINES_MAX: usize = 3;
/// Longest reason kept, in bytes: it is shown, not parsed.
const REASON_BYTES_MAX: usize = 512;

/// What never changes about a feed while the engine runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeedIdentity {
    pub(crate) name: String,
    pub(crate) lane: String,
    /// As the config writes it, such as `soupbintcp-itch50`.
    pub(crate) protocol: String,
    /// ITCH dialect for the tap's decoder, as the config writes it; empty where the protocol names none.
    pub(crate) dialect: String,
    /// `marketfeed`, `index` or `news`.
    pub(crate) client_type: String,
    /// Addresses at the start, in order of preference: primary, then failover.
    pub(crate) addresses: Vec<String>,
    /// Whether it plays a recording.
    pub(crate) is_replay: bool,
}

impl FeedIdentity {
    /// What a lane's plan says of its feed.
    pub(crate) fn of(lane: &LanePlan) -> FeedIdentity {
        FeedIdentity {
            name: lane.feed.name.clone(),
            lane: lane.plan.lane.clone(),
            protocol: lane.feed.protocol.name().into(),
            dialect: lane.feed.dialect.name().into(),
            client_type: lane.feed.client_type.name().into(),
            addresses: lane.feed.addresses.clone(),
            is_replay: lane.feed.replay.is_some(),
        }
    }
}

/// What a feed's task is asked to do. Every command can be repeated without harm.
#[derive(Debug)]
pub(crate) enum FeedCommand {
    /// Close what is open, unless it is this address, and dial it now: also out of a pause, a back-off, or after the end
    /// of a session.
    Connect { address_index: usize },
    /// Log out, close, and stay closed until a [`FeedCommand::Connect`].
    Disconnect,
    /// Use these addresses, timers and networks from the next connection on (timers at once where that is possible).
    /// Nothing else of the plan has changed.
    Settings { plan: Box<FeedPlan>, allow: AllowList },
    /// Play the recording so.
    Pace(PaceChange),
}

/// What a feed's task tells about its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeedFacts {
    pub(crate) state: FeedState,
    /// Why the state is what it is, where there is something to say; never a credential.
    pub(crate) reason: String,
    /// Addresses now in use, in order of preference.
    pub(crate) addresses: Vec<String>,
    /// Which of them is dialled or connected; `None` before the first.
    pub(crate) address_index: Option<usize>,
    /// What it resolved to.
    pub(crate) remote: Option<SocketAddr>,
    /// CLOCK_REALTIME, ns, at which data began to flow; 0 while it does not.
    pub(crate) connected_since_ns: u64,
    /// Number of times that the state was told: a waiting command sees by it that something happened.
    pub(crate) changes: u64,
    /// Commands taken so far.
    pub(crate) commands_taken: u64,
    /// `changes` when the last command was taken: what came after is what it did.
    pub(crate) changes_when_taken: u64,
}

/// How one line of a feed fares against the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LineScore {
    /// Datagrams received on it.
    pub(crate) datagrams: u64,
    /// Of these, datagrams that brought at least one message first.
    pub(crate) wins: u64,
    /// Median time by which its wins came before the other line's copy, ns.
    pub(crate) median_lead_ns: u64,
    /// Datagrams that the kernel dropped before we took them (SO_RXQ_OVFL).
    pub(crate) kernel_drops: u64,
}

/// Words of a line's score.
const SCORE_WORDS: usize = 4;

#[derive(Debug)]
struct Shared {
    /// Commands sent less commands taken: the task looks at this one word between bursts, and at the queue only when it
    /// is not 0.
    waiting: AtomicU64,
    /// Locked when a connection changes and when somebody asks, each time for a copy of a few words.
    facts: Mutex<FeedFacts>,
    lines: [[AtomicU64; SCORE_WORDS]; LINES_MAX],
}

impl Shared {
    fn facts(&self) -> MutexGuard<'_, FeedFacts> {
        // Every change of the facts is a few assignments: whoever panicked between them left usable ones.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server's end of a feed.
#[derive(Debug)]
pub(crate) struct FeedHandle {
    pub(crate) identity: FeedIdentity,
    shared: Arc<Shared>,
    commands: SyncSender<FeedCommand>,
    /// Copies of the feed's packets, while [`TapReader::open`].
    pub(crate) tap: TapReader,
}

/// The task's end of a feed. Lives on its reactor.
#[derive(Debug)]
pub(crate) struct FeedPort {
    shared: Arc<Shared>,
    commands: Receiver<FeedCommand>,
    /// Where packets are copied to, while [`TapWriter::is_wanted`].
    pub(crate) tap: TapWriter,
}

/// Makes the two ends of a feed. Allocates all that both will ever need.
pub(crate) fn feed_pair(identity: FeedIdentity) -> (FeedHandle, FeedPort) {
    let (sender, receiver) = sync_channel(COMMANDS_MAX);
    let facts = FeedFacts {
        state: FeedState::Idle,
        reason: String::new(),
        addresses: identity.addresses.clone(),
        address_index: None,
        remote: None,
        connected_since_ns: 0,
        changes: 0,
        commands_taken: 0,
        changes_when_taken: 0,
    };
    let lines = std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)));
    let shared = Arc::new(Shared { waiting: AtomicU64::new(0), facts: Mutex::new(facts), lines });
    let (writer, reader) = tap_ring();
    let port = FeedPort { shared: shared.clone(), commands: receiver, tap: writer };
    (FeedHandle { identity, shared, commands: sender, tap: reader }, port)
}

impl FeedHandle {
    /// Leaves a command for the feed's task.
    ///
    /// # Errors
    /// The sentence to answer with, when the task has ended or takes no commands.
    pub(crate) fn send(&self, command: FeedCommand) -> Result<(), &'static str> {
        // Counted first: a task that sees the count and not yet the command looks again; the other way round it would
        // take a command that was not counted.
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        self.commands.try_send(command).map_err(|refused| {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => "its task takes no commands: is its reactor alive?",
                TrySendError::Disconnected(_) => "its task has ended",
            }
        })
    }

    /// What the task last told.
    pub(crate) fn facts(&self) -> FeedFacts {
        self.shared.facts().clone()
    }

    /// Scores of the lines that have received anything, with their index: 0 is A, 1 is B, 2 is recovery.
    pub(crate) fn lines(&self) -> Vec<(usize, LineScore)> {
        let score = |words: &[AtomicU64; SCORE_WORDS]| {
            let [datagrams, wins, median_lead_ns, kernel_drops] =
                std::array::from_fn(|i| words[i].load(Ordering::Relaxed));
            LineScore { datagrams, wins, median_lead_ns, kernel_drops }
        };
        let scores = self.shared.lines.iter().map(score).enumerate();
        scores.filter(|(_, score)| *score != LineScore::default()).collect()
    }
}

impl FeedPort {
    /// Whether a command waits. Costs one load of a word.
    pub(crate) fn has_command(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) > 0
    }

    /// The next command, if there is one. Costs one load of a word when there is none, so it may be asked between
    /// bursts.
    pub(crate) fn next_command(&mut self) -> Option<FeedCommand> {
        if self.shared.waiting.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let command = self.commands.try_recv().ok()?;
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut facts = self.shared.facts();
        facts.commands_taken += 1;
        facts.changes_when_taken = facts.changes;
        Some(command)
    }

    /// Tells that the connection's state is now `state`, and why. Not for the hot path: it locks and may allocate.
    /// The reason must not hold a credential.
    pub(crate) fn tell_state(&self, state: FeedState, reason: &str) {
        let mut facts = self.shared.facts();
        facts.connected_since_ns = match (state, facts.connected_since_ns) {
            (FeedState::Live, 0) => realtime_ns(),
            (FeedState::Live, since) => since,
            _ => 0,
        };
        facts.state = state;
        facts.reason.clear();
        facts.reason.push_str(&reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]);
        facts.changes += 1;
    }

    /// Tells which address is being dialled, and what it resolved to once that is known. Not for the hot path.
    pub(crate) fn tell_address(&self, index: usize, remote: Option<SocketAddr>) {
        let mut facts = self.shared.facts();
        facts.address_index = Some(index);
        facts.remote = remote;
    }

    /// Tells the addresses that are used from now on. Not for the hot path.
    pub(crate) fn tell_addresses(&self, addresses: &[String]) {
        self.shared.facts().addresses = addresses.to_vec();
    }

    /// Tells how line `index` (0 A, 1 B, 2 recovery) fares. Four plain stores: may be called once per burst. A reader may
    /// see two of these numbers a burst apart.
    pub(crate) fn tell_line(&self, index: usize, score: LineScore) {
        let words = [score.datagrams, score.wins, score.median_lead_ns, score.kernel_drops];
        for (word, value) in self.shared.lines[index].iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (FeedHandle, FeedPort) {
        feed_pair(FeedIdentity {
            name: "nasdaq".into(),
            lane: "lane0".into(),
            protocol: "soupbintcp-itch50".into(),
            dialect: "nasdaq-5.0".into(),
            client_type: "marketfeed".into(),
            addresses: vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()],
            is_replay: false,
        })
    }

    #[test]
    fn commands_come_in_order_and_a_full_queue_is_told() {
        let (handle, mut port) = pair();
        assert!(port.next_command().is_none());
        for address_index in 0..COMMANDS_MAX {
            handle.send(FeedCommand::Connect { address_index }).unwrap();
        }
        assert!(handle.send(FeedCommand::Disconnect).unwrap_err().contains("takes no commands"));
        for expected in 0..COMMANDS_MAX {
            match port.next_command() {
                Some(FeedCommand::Connect { address_index }) => assert_eq!(address_index, expected),
                other => panic!("{other:?}"),
            }
        }
        assert!(port.next_command().is_none());
        assert_eq!(handle.facts().commands_taken, COMMANDS_MAX as u64);
        drop(port);
        assert!(handle.send(FeedCommand::Disconnect).unwrap_err().contains("has ended"));
    }

    #[test]
    fn what_the_task_tells_is_what_the_server_sees() {
        let (handle, port) = pair();
        port.tell_address(1, Some("127.0.0.1:2".parse().unwrap()));
        port.tell_state(FeedState::Live, "");
        let live = handle.facts();
        assert_eq!((live.state, live.address_index, live.changes), (FeedState::Live, Some(1), 1));
        assert!(live.connected_since_ns > 0);
        port.tell_state(FeedState::Rejected, &"\u{e9}".repeat(REASON_BYTES_MAX));
        let rejected = handle.facts();
        assert_eq!((rejected.state, rejected.connected_since_ns, rejected.changes), (FeedState::Rejected, 0, 2));
        assert_eq!(rejected.reason.len(), REASON_BYTES_MAX);
        assert!(handle.lines().is_empty());
        let score = LineScore { datagrams: 9, wins: 4, median_lead_ns: 700, kernel_drops: 1 };
        port.tell_line(1, score);
        assert_eq!(handle.lines(), [(1, score)]);
    }
}
