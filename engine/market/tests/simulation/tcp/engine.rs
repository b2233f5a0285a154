//! The engine's side: its real session, its real lane, one life after the other, with what must be true of each.

use market::ingest::{News, SoupBin, SoupBinConfig};
use shm_abi::counters::{FeedCounter, LaneCounter};
use wire::Nanos;
use wire::soupbin::backoff::{Attempt, BackoffConfig};
use wire::soupbin::client::{ClientConfig, ClientTimers, CloseReason};

use super::model::Model;
use super::script::Script;
use crate::exchange::Session;
use crate::lane::{EPOCH_NS, Fuse, Killed, Life, tear};
use crate::reader::Reader;
use crate::schedule::S;
use crate::story::Stories;

/// Most logins of one life within ten seconds, whatever happens.
const LOGINS_MAX: usize = 12;

/// What the engine wants done.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Bytes for a connection.
    pub(super) send: Option<(usize, Vec<u8>)>,
    /// A connection to close.
    pub(super) end: Option<usize>,
    /// A connection to make.
    pub(super) dial: Option<Attempt>,
    /// When to look at the timers.
    pub(super) timer: Option<u64>,
    /// When to begin anew.
    pub(super) revive: Option<u64>,
}

/// The engine, dead or alive.
pub(super) struct Engine {
    config: SoupBinConfig,
    seed: u64,
    soup: SoupBin,
    life: Option<Life>,
    /// Lives so far.
    lives: u32,
    connection: Option<usize>,
    /// Which address it goes to.
    address: usize,
    /// When the session on this connection began.
    live_since: Option<u64>,
    timer: u64,
    /// When this life has sent logins, ns.
    logins: Vec<u64>,
    fuse: Fuse,
    /// What a kill by the fuse is followed by: how long it is dead, and what it leaves.
    fate: (u64, [u64; 2]),
    model: Model,
    reader: Reader,
    stories: Stories,
    bursts: u64,
}

/// The back-off of a run.
pub(super) fn backoff(script: &Script) -> BackoffConfig {
    BackoffConfig {
        address_count: script.hosts,
        cold_max_ns: 10 * S,
        reject_ns: script.reject_delay,
        next_session_ns: script.session_delay,
        ..BackoffConfig::default()
    }
}

impl Engine {
    pub(super) fn new(script: &Script, seed: u64) -> Engine {
        let timers = ClientTimers {
            silence_limit_ns: script.silence_limit,
            login_timeout_ns: script.login_timeout,
            ..ClientTimers::default()
        };
        let login = ClientConfig::new("SIM", "SECRET", "", 1, timers).expect("a valid login");
        let config = SoupBinConfig { login, backoff: backoff(script), receive_buffer_bytes: 1 << 17 };
        Engine {
            config,
            seed,
            soup: SoupBin::new(config, seed),
            life: None,
            lives: 0,
            connection: None,
            address: 0,
            live_since: None,
            timer: 0,
            logins: Vec::new(),
            fuse: Fuse::default(),
            fate: (S, [0; 2]),
            model: Model::default(),
            reader: Reader::new(),
            stories: Stories::default(),
            bursts: 0,
        }
    }

    /// Which life it is.
    pub(super) fn life(&self) -> u32 {
        self.lives
    }

    /// Whether it lives, and this is its life.
    pub(super) fn lives(&self, life: u32) -> bool {
        self.life.is_some() && self.lives == life
    }

    /// Begins a life.
    pub(super) fn revive(&mut self, now: u64) -> Step {
        let (unrepaired, goes_on) = (self.stories.unrepaired(), self.stories.goes_on());
        if unrepaired && goes_on {
            self.reader.go_astray();
        }
        let predecessor = self.stories.segment.take();
        let life = Life::begin(predecessor.as_ref(), EPOCH_NS + now);
        self.reader.attach(&life.segment, self.stories.named, unrepaired);
        self.life = Some(life);
        self.lives += 1;
        self.logins.clear();
        self.timer = 0;
        self.model = Model::default();
        self.soup = SoupBin::new(self.config, self.seed.wrapping_add(self.lives.into()));
        Step { dial: Some(self.soup.first(Nanos(now))), ..Step::default() }
    }

    /// Kills it: now, or in the middle of a burst to come.
    pub(super) fn kill(
        &mut self,
        now: u64,
        down: u64,
        batches: Option<u32>,
        torn: [u64; 2],
        sessions: &[Session],
    ) -> Step {
        self.fate = (down, torn);
        match batches {
            Some(batches) if self.life.is_some() => {
                self.fuse.light(batches);
                Step::default()
            }
            None if self.life.is_some() => {
                self.check_all(sessions);
                self.die(now, sessions, false)
            }
            _ => Step::default(),
        }
    }

    /// No fuse burns any more.
    pub(super) fn calm(&mut self) {
        self.fuse.put_out();
    }

    fn die(&mut self, now: u64, sessions: &[Session], in_burst: bool) -> Step {
        let mut life = self.life.take().expect("alive");
        let (down, torn) = self.fate;
        tear(&mut life.out, torn);
        self.stories.died(self.lives, &self.model.truth, sessions, life.segment, in_burst);
        self.fuse.put_out();
        self.live_since = None;
        Step { end: self.connection.take(), revive: Some(now + down), ..Step::default() }
    }

    pub(super) fn dialling(&mut self, attempt: Attempt) {
        let life = self.life.as_mut().expect("alive");
        self.soup.dialling(attempt, &mut life.out);
    }

    pub(super) fn connected(&mut self, now: u64, index: usize, attempt: Attempt) -> Step {
        let life = self.life.as_mut().expect("alive");
        self.soup.connected(attempt, Nanos(now), &mut life.out);
        self.address = attempt.address_index;
        self.connection = Some(index);
        self.logins.push(now);
        let storm = self.logins.iter().rev().take_while(|at| now - **at < 10 * S).count();
        assert!(storm <= LOGINS_MAX, "{storm} logins within ten seconds");
        self.model.connected();
        self.timer(now)
    }

    pub(super) fn not_connected(&mut self, now: u64) -> Step {
        self.closed(now, CloseReason::LineBroken)
    }

    /// The connection ended under it.
    pub(super) fn ended(&mut self, now: u64, index: usize) -> Step {
        if self.life.is_none() || self.connection != Some(index) {
            return Step::default();
        }
        let reason = self.soup.disconnected();
        self.closed(now, reason)
    }

    /// Bytes came: as the reactor does, as much as there is room for at a time.
    pub(super) fn bytes(&mut self, now: u64, index: usize, bytes: &[u8], sessions: &[Session]) -> Step {
        if self.life.is_none() || self.connection != Some(index) {
            return Step::default();
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let life = self.life.as_mut().expect("alive");
            let space = self.soup.space();
            let count = rest.len().min(space.len());
            space[..count].copy_from_slice(&rest[..count]);
            let (read, after) = rest.split_at(count);
            rest = after;
            let (soup, fuse) = (&mut self.soup, &self.fuse);
            let clock = fuse.clock(EPOCH_NS + now);
            let outcome = fuse.survive(|| soup.received(Nanos(now), count, None, clock, &mut (), &mut life.out));
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(Killed) => {
                    // What of this burst was published the reader will find; the next life goes on from there.
                    self.model.bytes(read, sessions);
                    return self.die(now, sessions, true);
                }
            };
            self.model.bytes(read, sessions);
            self.after_burst(now, sessions);
            if let Err(reason) = outcome {
                return self.closed(now, reason);
            }
        }
        self.timer(now)
    }

    fn after_burst(&mut self, now: u64, sessions: &[Session]) {
        let life = self.life.as_ref().expect("alive");
        if let Some(News::LoggedIn { .. }) = self.soup.poll_news() {
            self.live_since = Some(now);
        }
        let truth = &self.model.truth;
        truth.check_ledger(&life.out);
        if truth.session.is_some() {
            assert_eq!(
                life.out.feed.counters.get_feed(FeedCounter::NextSequence),
                truth.next,
                "the feed's next number"
            );
            self.stories.follow(self.lives, truth);
            if self.stories.goes_on() && life.out.writer.counters.get(LaneCounter::Unrepaired) > 0 {
                self.reader.go_astray();
            }
        }
        self.bursts += 1;
        if self.bursts.is_multiple_of(61) {
            self.check_all(sessions);
        }
    }

    /// Books, rows and the reader's books.
    fn check_all(&mut self, sessions: &[Session]) {
        let life = self.life.as_ref().expect("alive");
        let truth = &self.model.truth;
        let Some(session) = truth.session else { return };
        self.reader.drain();
        let replayed = truth.next > self.reader.top();
        if replayed && truth.gaps.is_empty() {
            truth.check_trust(&self.reader, &sessions[session]);
        }
        let comparable = replayed && self.reader.has_books();
        truth.check_books(&life.out, &life.segment, comparable.then_some(&self.reader.mirror));
        if self.live_since.is_some() {
            truth.check_quality(&life.out, &life.segment, &sessions[session]);
        }
    }

    /// Timers, and what is to be sent.
    pub(super) fn timer(&mut self, now: u64) -> Step {
        let Some(index) = self.connection else { return Step::default() };
        if let Err(reason) = self.soup.tick(Nanos(now)) {
            return self.closed(now, reason);
        }
        let bytes = self.soup.outgoing().to_vec();
        self.soup.sent(Nanos(now), bytes.len());
        let due = self.soup.poll_timeout().expect("connected").0;
        assert!(due > now, "a timer that is due for ever");
        let timer = (self.timer <= now || due < self.timer).then_some(due);
        self.timer = timer.unwrap_or(self.timer);
        Step { send: (!bytes.is_empty()).then_some((index, bytes)), timer, ..Step::default() }
    }

    fn closed(&mut self, now: u64, reason: CloseReason) -> Step {
        let life = self.life.as_mut().expect("alive");
        let end = self.connection.take();
        let dial = self.soup.closed(reason, Nanos(now), EPOCH_NS + now, &mut life.out).expect("never logged out");
        let lived = self.live_since.take().map(|since| now - since);
        // A line that has proved itself is followed by another at once.
        let proved = lived.is_some_and(|lived| lived >= self.config.backoff.stable_after_ns);
        if proved && reason == CloseReason::LineBroken {
            assert_eq!(dial.at, Nanos(now), "the next address at once");
            let others = self.config.backoff.address_count > 1;
            assert_eq!(dial.address_index != self.address, others, "the other address, where there is one");
        }
        Step { end, dial: Some(dial), ..Step::default() }
    }

    /// Whether it is live and has published message `last` of session number `session`.
    pub(super) fn has_all_of(&self, session: usize, last: u64) -> bool {
        let truth = &self.model.truth;
        self.live_since.is_some() && truth.session == Some(session) && truth.next == last + 1
    }

    /// Where it stands, for a message.
    pub(super) fn describe(&self, sessions: &[Session]) -> String {
        let Model { truth, .. } = &self.model;
        let name = truth.session.map(|index| sessions[index].name.as_str());
        let (alive, live) = (self.life.is_some(), self.live_since.is_some());
        format!("alive {alive}, live {live}, session {name:?}, next {}", truth.next)
    }

    /// What must hold at the end of a run. Returns a hash of what the reader was told.
    pub(super) fn finish(&mut self, sessions: &[Session]) -> u64 {
        self.check_all(sessions);
        self.stories.check(&self.reader, sessions)
    }
}
