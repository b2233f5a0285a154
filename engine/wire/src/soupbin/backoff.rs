//! When and where to connect again, as a state machine without clock and without randomness of its own.
//!
//! * A session that was live and broke: the other address at once, then the addresses in turn with doubling, jittered
//!   delays. Both hosts serve the same numbers, so the other one is the fastest way back.
//! * A session that was never live: some tries at a fixed interval per address, then the next address; each round over
//!   all addresses doubles the interval up to a cap.
//! * A refusal: not at speed. Accounts get locked.

use super::client::CloseReason;
use super::frame::REJECT_NO_SESSION;
use crate::time::{MILLISECOND_NS, Nanos, SECOND_NS};

/// Every number of the policy. The defaults are the Nasdaq profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffConfig {
    /// Addresses that serve the same session, in order of preference. At least 1; 0 counts as 1.
    pub address_count: usize,
    /// First delay after a live session broke and the immediate try failed too. 100 ms.
    pub broken_first_ns: u64,
    /// Cap of the doubling delays after a live session broke. 10 s.
    pub broken_max_ns: u64,
    /// A session that lived less than this has not proved the line well: its break goes on with the delays instead of
    /// earning another immediate try. 10 s.
    pub stable_after_ns: u64,
    /// Tries per address while no session has been live. 5; 0 counts as 1.
    pub cold_tries: u32,
    /// Interval of those tries in the first round. 2 s.
    pub cold_first_ns: u64,
    /// Cap of that interval. 60 s.
    pub cold_max_ns: u64,
    /// Delay after a refused login. 60 s.
    pub reject_ns: u64,
    /// Delay between the end of a session and the first login to the next, which may be tomorrow's. 10 s.
    pub next_session_ns: u64,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            address_count: 1,
            broken_first_ns: 100 * MILLISECOND_NS,
            broken_max_ns: 10 * SECOND_NS,
            stable_after_ns: 10 * SECOND_NS,
            cold_tries: 5,
            cold_first_ns: 2 * SECOND_NS,
            cold_max_ns: 60 * SECOND_NS,
            reject_ns: 60 * SECOND_NS,
            next_session_ns: 10 * SECOND_NS,
        }
    }
}

/// The next connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Which address.
    pub address_index: usize,
    /// Not before this moment.
    pub at: Nanos,
    /// Log in with a blank session, see [`ClientConfig::ask_current`](super::client::ClientConfig::ask_current).
    pub blank_session: bool,
}

/// What the failures so far say about the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// No session since the start, a refusal or an end of session; `tries` so far.
    Cold { tries: u32 },
    /// A session was live; `tries` in a row have not brought a stable one back.
    Broken { tries: u32 },
}

/// The policy of one feed. Tell it what happened; it says what to try next.
#[derive(Debug, Clone)]
pub struct Backoff {
    config: BackoffConfig,
    mode: Mode,
    address_index: usize,
    blank_session: bool,
    live_since: Option<Nanos>,
    random: u64,
}

impl Backoff {
    /// A policy that has not tried anything. `seed` makes its jitter reproducible; give every feed its own.
    #[must_use]
    pub const fn new(config: BackoffConfig, seed: u64) -> Self {
        Self {
            config,
            mode: Mode::Cold { tries: 0 },
            address_index: 0,
            blank_session: false,
            live_since: None,
            random: seed,
        }
    }

    /// The first connection: the preferred address, at once.
    #[must_use]
    pub const fn first(&self, now: Nanos) -> Attempt {
        Attempt { address_index: self.address_index, at: now, blank_session: self.blank_session }
    }

    /// Goes to this address next, whatever went before.
    pub fn prefer(&mut self, address_index: usize) {
        self.address_index = address_index % self.config.address_count.max(1);
    }

    /// Follows other numbers from now on.
    pub fn reconfigure(&mut self, config: BackoffConfig) {
        self.config = config;
        self.prefer(self.address_index);
    }

    /// A login has been accepted.
    pub const fn on_live(&mut self, now: Nanos) {
        self.live_since = Some(now);
        self.blank_session = false;
    }

    /// A connection is over, or could not be made ([`CloseReason::LineBroken`]). `None` after a logout: we wanted that.
    pub fn on_closed(&mut self, reason: CloseReason, now: Nanos) -> Option<Attempt> {
        let lived_ns = self.live_since.take().map(|since| now.since(since));
        let delay_ns = match reason {
            CloseReason::LoggedOut => return None,
            CloseReason::Rejected { code } => self.after_reject(code),
            CloseReason::SessionEnded => self.after_session(),
            _ => self.after_break(lived_ns),
        };
        let at = now.saturating_add(delay_ns);
        Some(Attempt { address_index: self.address_index, at, blank_session: self.blank_session })
    }

    fn after_reject(&mut self, code: u8) -> u64 {
        // The blank try happens once; refused again, the server simply has no session for us now.
        if code == REJECT_NO_SESSION && !self.blank_session {
            self.blank_session = true;
            // It counts: a venue that changes its session at every login must not be met at speed.
            if let Mode::Broken { tries } = &mut self.mode {
                *tries = tries.saturating_add(1);
            }
            return self.config.broken_first_ns;
        }
        self.mode = Mode::Cold { tries: 0 };
        self.config.reject_ns
    }

    fn after_session(&mut self) -> u64 {
        self.mode = Mode::Cold { tries: 0 };
        self.blank_session = true;
        self.config.next_session_ns
    }

    fn after_break(&mut self, lived_ns: Option<u64>) -> u64 {
        let tries = match (self.mode, lived_ns) {
            (Mode::Broken { tries }, Some(lived_ns)) if lived_ns < self.config.stable_after_ns => tries,
            (_, Some(_)) => 0,
            (Mode::Broken { tries }, None) => tries,
            (Mode::Cold { tries }, None) => return self.after_cold_try(tries),
        };
        self.mode = Mode::Broken { tries: tries.saturating_add(1) };
        self.next_address();
        match tries {
            0 => 0,
            tries => self.jittered_ns(tries - 1),
        }
    }

    fn after_cold_try(&mut self, tries: u32) -> u64 {
        let tries_per_address = self.config.cold_tries.max(1);
        let tries = tries.saturating_add(1);
        self.mode = Mode::Cold { tries };
        if tries.is_multiple_of(tries_per_address) {
            self.next_address();
        }
        let address_count = u32::try_from(self.config.address_count.max(1)).unwrap_or(u32::MAX);
        let round = tries / tries_per_address.saturating_mul(address_count);
        doubled_ns(self.config.cold_first_ns, round, self.config.cold_max_ns)
    }

    fn next_address(&mut self) {
        self.address_index = (self.address_index + 1) % self.config.address_count.max(1);
    }

    /// The upper half of the doubled delay, but never less than the first: spread, without giving up the floor.
    fn jittered_ns(&mut self, doublings: u32) -> u64 {
        let longest = doubled_ns(self.config.broken_first_ns, doublings, self.config.broken_max_ns);
        let shortest = (longest / 2).max(self.config.broken_first_ns).min(longest);
        let span = longest - shortest;
        shortest + split_mix(&mut self.random) % span.saturating_add(1)
    }
}

/// `first_ns * 2^doublings`, at most `max_ns`.
fn doubled_ns(first_ns: u64, doublings: u32, max_ns: u64) -> u64 {
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    first_ns.saturating_mul(factor).min(max_ns)
}

/// One step of SplitMix64: enough randomness to keep a crowd of clients apart.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
