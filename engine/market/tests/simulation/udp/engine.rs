//! The engine's side: its real arbiter and ingest, its real lane, one life after the other.

use market::ingest::{DatagramNews, Datagrams, DatagramsConfig, Framing};
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::record::gap_reason;
use wire::Nanos;
use wire::mold;
use wire::multicast::{ArbiterConfig, Body, LineId, Source};

use super::script::{Fault, Script};
use super::venue::key;
use crate::books::Truth;
use crate::exchange::Session;
use crate::lane::{EPOCH_NS, Fuse, Killed, Life, tear};
use crate::reader::Reader;
use crate::schedule::{MS, S};
use crate::story::Stories;

/// What is missing is filled or declared within this time of being known.
const GAP_LIMIT: u64 = 2 * S;
/// How much later than planned that may be seen: the timer that a kill or a burst has delayed.
const SLACK: u64 = MS;

/// What the engine wants done.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Requests for a server.
    pub(super) requests: Vec<Vec<u8>>,
    /// When to look at the timers.
    pub(super) timer: Option<u64>,
    /// When to begin anew.
    pub(super) revive: Option<u64>,
}

/// What the network has brought in this life, of the session that it follows.
#[derive(Debug, Default)]
struct Brought {
    /// By number less one: whether the message came.
    came: Vec<bool>,
    /// By number less one: when a line first showed that the message exists, ns.
    known: Vec<Option<u64>>,
    /// First number that no line has shown to exist.
    highest: u64,
    /// First and last number of every request.
    asked: Vec<(u64, u64)>,
    /// When the last packet came on a line, ns.
    heard: u64,
}

/// The engine, dead or alive.
pub(super) struct Engine {
    config: DatagramsConfig,
    seed: u64,
    feed: Datagrams,
    life: Option<Life>,
    /// Lives so far.
    lives: u32,
    timer: u64,
    fuse: Fuse,
    /// What a kill by the fuse is followed by: how long it is dead, and what it leaves.
    fate: (u64, [u64; 2]),
    truth: Truth,
    brought: Brought,
    requests: u64,
    /// The end of a session is announced in this run; while it is, servers are asked as often as there is time.
    ends: bool,
    reader: Reader,
    stories: Stories,
    bursts: u64,
}

impl Engine {
    pub(super) fn new(script: &Script, seed: u64) -> Engine {
        let arbiter = ArbiterConfig {
            lines: script.lines as u8,
            servers: script.servers,
            window_messages: 512,
            window_bytes: 1 << 17,
            max_holes: script.max_holes,
            ..ArbiterConfig::default()
        };
        let config = DatagramsConfig { framing: Framing::Mold, arbiter, glimpse: None };
        Engine {
            config,
            seed,
            feed: Datagrams::new(config, seed).expect("a valid config"),
            life: None,
            lives: 0,
            timer: 0,
            fuse: Fuse::default(),
            fate: (S, [0; 2]),
            truth: Truth::default(),
            brought: Brought::default(),
            requests: 0,
            ends: script.faults.iter().any(|(_, fault)| matches!(fault, Fault::NewSession { said: true, .. })),
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

    /// Whether it is live, and has heard of its session lately: it takes no other then.
    pub(super) fn hears_ours(&self, now: u64) -> bool {
        self.state() == Some(FeedState::Live) && now - self.brought.heard < S
    }

    fn state(&self) -> Option<FeedState> {
        self.life.as_ref().map(|life| life.out.state())
    }

    /// Begins a life.
    pub(super) fn revive(&mut self, now: u64) -> Step {
        let (unrepaired, goes_on) = (self.stories.unrepaired(), self.stories.goes_on());
        if unrepaired && goes_on {
            self.reader.go_astray();
        }
        let predecessor = self.stories.segment.take();
        let mut life = Life::begin(predecessor.as_ref(), EPOCH_NS + now);
        self.reader.attach(&life.segment, self.stories.named, unrepaired);
        self.lives += 1;
        self.timer = 0;
        (self.truth, self.brought) = (Truth::default(), Brought::default());
        self.feed = Datagrams::new(self.config, self.seed.wrapping_add(self.lives.into())).expect("a valid config");
        self.feed.listening(&mut life.out);
        self.life = Some(life);
        self.turn(now, &[])
    }

    /// Kills it: now, or in the middle of a burst to come.
    pub(super) fn kill(&mut self, now: u64, down: u64, batches: Option<u32>, torn: [u64; 2], all: &[Session]) -> Step {
        if self.life.is_none() {
            return Step::default();
        }
        self.fate = (down, torn);
        match batches {
            Some(batches) => {
                self.fuse.light(batches);
                Step::default()
            }
            None => {
                self.check_all(all);
                self.die(now, all, false)
            }
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
        if in_burst {
            // Numbers move on with what is published, one batch or gap at a time.
            self.advance(life.out.normaliser.sequence() + 1, sessions);
        }
        self.stories.died(self.lives, &self.truth, sessions, life.segment, in_burst);
        self.fuse.put_out();
        Step { revive: Some(now + down), ..Step::default() }
    }

    /// A datagram came, on a line or from a server.
    pub(super) fn datagram(&mut self, now: u64, line: Option<usize>, bytes: &[u8], sessions: &[Session]) -> Step {
        let Some(life) = &mut self.life else { return Step::default() };
        let source = match line {
            Some(0) => Source::Line(LineId::A),
            Some(_) => Source::Line(LineId::B),
            None => Source::Recovery,
        };
        let (feed, fuse) = (&mut self.feed, &self.fuse);
        let clock = fuse.clock(EPOCH_NS + now);
        let taken = fuse.survive(|| {
            let place = 0..bytes.len();
            feed.datagram(Nanos(now), source, bytes, place, None, clock, &mut (), &mut life.out);
            feed.end_burst(&mut life.out);
        });
        self.follow_news(sessions);
        self.note(now, line, bytes, sessions);
        if taken == Err(Killed) {
            return self.die(now, sessions, true);
        }
        self.after_burst(now, sessions);
        self.turn(now, sessions)
    }

    /// Timers and requests, as the reactor looks at them after every burst and whenever they are due.
    pub(super) fn turn(&mut self, now: u64, sessions: &[Session]) -> Step {
        if self.feed.poll_timeout() <= Nanos(now) {
            let life = self.life.as_mut().expect("alive");
            let (feed, fuse) = (&mut self.feed, &self.fuse);
            let clock = fuse.clock(EPOCH_NS + now);
            let ticked = fuse.survive(|| {
                if feed.tick(Nanos(now), clock, &mut life.out) {
                    feed.end_burst(&mut life.out);
                }
            });
            self.follow_news(sessions);
            if ticked == Err(Killed) {
                return self.die(now, sessions, true);
            }
            self.after_burst(now, sessions);
        }
        self.plan(now)
    }

    /// Requests and the next timer.
    fn plan(&mut self, now: u64) -> Step {
        let mut requests = Vec::new();
        while let Some(request) = self.feed.poll_request(Nanos(now)) {
            assert!(request.server < usize::from(self.config.arbiter.servers), "a server that there is");
            let asked = mold::Request::parse(request.as_bytes()).expect("a whole request");
            self.brought.asked.push((asked.sequence, asked.sequence + u64::from(asked.count) - 1));
            // Once the beginning of a hole has come, another number is asked for.
            let times = self.brought.asked.iter().filter(|(first, _)| *first == asked.sequence).count();
            let tries = usize::from(self.config.arbiter.request_tries);
            assert!(self.ends || times <= tries, "message {} was asked for {times} times", asked.sequence);
            requests.push(request.as_bytes().to_vec());
            self.requests += 1;
        }
        let due = self.feed.poll_timeout().0;
        assert!(due > now, "a timer that is due for ever");
        let timer = (self.timer <= now || due < self.timer).then_some(due);
        self.timer = timer.unwrap_or(self.timer);
        Step { requests, timer, revive: None }
    }

    /// Another session may have been adopted.
    fn follow_news(&mut self, sessions: &[Session]) {
        while let Some(news) = self.feed.poll_news() {
            if let DatagramNews::Session { session, .. } = news {
                if self.truth.session.is_some() {
                    // What was held back of the session before has been handed over, and the rest declared.
                    self.advance(self.brought.highest, sessions);
                    self.stories.follow(self.lives, &self.truth);
                }
                let index = sessions.iter().position(|known| key(known) == session);
                self.truth.begin_session(index.expect("a session of the exchange"));
                self.brought = Brought { heard: self.brought.heard, highest: 1, ..Brought::default() };
            }
        }
    }

    /// What the datagram says, if it is of the session followed.
    fn note(&mut self, now: u64, line: Option<usize>, bytes: &[u8], sessions: &[Session]) {
        let Some(index) = self.truth.session else { return };
        let Ok(packet) = mold::parse(bytes) else { return };
        let session = &sessions[index];
        let brought = &mut self.brought;
        let len = session.messages.len();
        brought.came.resize(len.max(brought.came.len()), false);
        brought.known.resize(len.max(brought.known.len()), None);
        // Absurd numbers are no news of the feed.
        if packet.session != key(session) || packet.sequence > session.len() + 1 {
            return;
        }
        let first = packet.sequence.max(1);
        let count = match packet.body {
            Body::Messages(blocks) => u64::from(blocks.message_count()),
            Body::Heartbeat | Body::EndOfSession => 0,
        };
        if line.is_some() {
            brought.heard = now;
            for sequence in brought.highest..first + count {
                brought.known[sequence as usize - 1] = Some(now);
            }
            brought.highest = brought.highest.max(first + count);
        }
        for sequence in first..(first + count).min(session.len() + 1) {
            let wanted = line.is_some() || brought.asked.iter().any(|asked| (asked.0..=asked.1).contains(&sequence));
            brought.came[sequence as usize - 1] |= wanted;
        }
    }

    /// Moves on to message `next`: what came is delivered; what did not come must have been declared.
    fn advance(&mut self, next: u64, sessions: &[Session]) {
        let Some(index) = self.truth.session else { return };
        while self.truth.next < next {
            let sequence = self.truth.next;
            let came = |sequence: u64| self.brought.came.get(sequence as usize - 1).copied().unwrap_or(false);
            if came(sequence) {
                self.truth.deliver(sessions[index].message(sequence));
            } else {
                let end = (sequence..next).find(|sequence| came(*sequence)).unwrap_or(next);
                self.truth.skip_to(end);
            }
        }
    }

    fn after_burst(&mut self, now: u64, sessions: &[Session]) {
        if self.truth.session.is_some() {
            let next = self.life.as_ref().expect("alive").out.normaliser.sequence() + 1;
            assert!(next >= self.truth.next, "numbers go on");
            self.advance(next, sessions);
            let missing = self.brought.known.get(self.truth.next as usize - 1).copied().flatten();
            if let Some(known) = missing {
                let waits = now - known;
                assert!(waits <= GAP_LIMIT + SLACK, "message {next} is missing for {} ms", waits / MS);
            }
            let counted = self.life.as_ref().expect("alive").out.feed.counters.get_feed(FeedCounter::NextSequence);
            assert_eq!(counted, self.truth.next, "the feed's next number");
            self.stories.follow(self.lives, &self.truth);
            let unrepaired = self.life.as_ref().expect("alive").out.writer.counters.get(LaneCounter::Unrepaired);
            if self.stories.goes_on() && unrepaired > 0 {
                self.reader.go_astray();
            }
        }
        self.truth.check_ledger(&self.life.as_ref().expect("alive").out);
        self.bursts += 1;
        if self.bursts.is_multiple_of(127) {
            self.check_all(sessions);
        }
    }

    /// Books, rows and the reader's books.
    fn check_all(&mut self, sessions: &[Session]) {
        let life = self.life.as_ref().expect("alive");
        let Some(session) = self.truth.session else { return };
        self.reader.drain();
        let replayed = self.truth.next > self.reader.top();
        if replayed && self.truth.gaps.is_empty() {
            self.truth.check_trust(&self.reader, &sessions[session]);
        }
        let comparable = replayed && self.reader.has_books();
        self.truth.check_books(&life.out, &life.segment, comparable.then_some(&self.reader.mirror));
        if life.out.state() == FeedState::Live {
            self.truth.check_quality(&life.out, &life.segment, &sessions[session]);
        }
    }

    /// Whether it is live and has published message `last` of session number `session`, or declared it missing.
    pub(super) fn has_all_of(&self, session: usize, last: u64) -> bool {
        self.state() == Some(FeedState::Live) && self.truth.session == Some(session) && self.truth.next == last + 1
    }

    /// Where it stands, for a message.
    pub(super) fn describe(&self) -> String {
        format!("{:?}, session {:?}, next {}", self.state(), self.truth.session, self.truth.next)
    }

    /// What must hold at the end of a run. Returns a hash of what the reader was told.
    pub(super) fn finish(&mut self, script: &Script, sessions: &[Session]) -> u64 {
        self.check_all(sessions);
        let gaps = self.stories.gaps();
        if script.one_line_only.is_some() {
            assert_eq!((gaps, self.requests), (0, 0), "gaps and requests, with losses on one line at a time");
        }
        if script.servers_are_good() {
            assert_eq!(gaps, 0, "gaps, with servers that answer");
        }
        let untrue = if script.servers == 0 { gap_reason::UNFILLED } else { gap_reason::NO_SERVER };
        let reasons = self.reader.gap_reasons();
        assert!(!reasons.contains(&untrue), "{} servers, and gaps for {reasons:?}", script.servers);
        self.stories.check(&self.reader, sessions)
    }
}
