//! A reader that follows both rings from one writer to the next, and what it was told.

use std::collections::HashSet;

use shm_abi::record::{Body, INSTRUMENT_NONE, StatusCause, flag, kind, restart_reason};
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{MappedRing, RingName, Segment};

use crate::common::{Got, Mirror};
use crate::trust::Trust;

/// What one ring told of one session of the venue.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Numbers of the messages, as they came.
    pub(crate) messages: Vec<u64>,
    /// First and last number of each declared gap, as they came.
    pub(crate) gaps: Vec<(u64, u64)>,
    /// Highest number so far, told or declared missing.
    last: u64,
    /// A record said that its book is suspect.
    pub(crate) suspect: bool,
}

/// What a whole event was about.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// A writer began. The number at which the ring before ended, and its session and sequence.
    Began { old_end: u64, session: [u8; 16], sequence: u64 },
    /// The venue began another session.
    Session,
    /// Messages are missing.
    Gap,
    /// A message of the venue.
    Message,
    /// A part of an image of the books; `true`: the one that every image begins with.
    Image(bool),
    /// Something else: the lane's own status, a book that was emptied.
    Other,
}

/// One ring over all its writers.
#[derive(Debug)]
struct Follower {
    name: RingName,
    ring: Option<RingReader<MappedRing>>,
    /// Records of the event that is not whole yet.
    event: Vec<Got>,
    /// Number after the last whole event of the present ring; what the next writer must say.
    end: u64,
    /// What was told of each session.
    told: Vec<Told>,
    writers: u32,
    /// Why gaps were declared.
    reasons: HashSet<u64>,
    /// Of every word read.
    hash: u64,
}

/// Both rings, and the books that a reader builds from their records.
#[derive(Debug)]
pub(crate) struct Reader {
    orders: Follower,
    market: Follower,
    pub(crate) mirror: Mirror,
    /// Which books are whole, by what the orders ring said.
    pub(crate) trust: Trust,
    /// By ring: lives of the engine had different messages, so the books that a reader builds from all of them mean
    /// nothing before an image or another session.
    astray: [bool; 2],
}

impl Follower {
    fn new(name: RingName) -> Follower {
        Follower {
            name,
            ring: None,
            event: Vec::new(),
            end: 0,
            told: vec![Told::default()],
            writers: 0,
            reasons: HashSet::new(),
            hash: 0,
        }
    }

    fn attach(&mut self, segment: &Segment) {
        self.ring = Some(segment.read_from(self.name, 0, Rejoin::Oldest));
        // A tail without an end is void.
        self.event.clear();
        self.writers += 1;
    }

    /// Reads all there is, event by event.
    fn drain(&mut self, mut each: impl FnMut(&[Got], &Event)) {
        loop {
            let Some(ring) = &mut self.ring else { return };
            match ring.poll() {
                Polled::Empty => return,
                Polled::Lost(lost) => panic!("the simulation's rings are large enough: {lost:?}"),
                Polled::Record { n, words } => self.event.push(Got { n, words: words.to_vec() }),
            }
            let head = self.event.last().expect("just pushed").head();
            if head.is_last() {
                let records = std::mem::take(&mut self.event);
                let event = self.note(&records);
                self.end = ring_end(&records);
                self.hash = records
                    .iter()
                    .flat_map(|got| &got.words)
                    .fold(self.hash, |hash, word| (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29));
                each(&records, &event);
                self.event = records;
                self.event.clear();
            }
        }
    }

    fn note(&mut self, records: &[Got]) -> Event {
        let name = self.name;
        let first = records[0].record();
        let sequence = u64::from(first.head.venue_sequence_low);
        for got in records {
            assert_eq!(u64::from(got.head().venue_sequence_low), sequence, "{name:?}: one event, one sequence");
        }
        if first.head.flags & flag::SNAPSHOT != 0 {
            let told = self.told.last().expect("never empty");
            assert!(sequence >= told.last, "{name:?}: an image of {sequence} after {}", told.last);
            return Event::Image((first.head.kind, first.head.instrument_id) == (kind::CLEAR, INSTRUMENT_NONE));
        }
        let suspect = records.iter().any(|got| got.head().flags & flag::SUSPECT != 0);
        match (first.head.kind, first.body()) {
            (kind::RESTART, Body::Restart(restart)) if restart.reason == restart_reason::SESSION => {
                assert_eq!(restart.old_end, records[0].n, "{name:?}: the old session ended here");
                self.told.push(Told::default());
                Event::Session
            }
            (kind::RESTART, Body::Restart(restart)) => {
                assert_eq!(records[0].n, 0, "{name:?}: a writer begins with a restart");
                let (old_end, session) = (restart.old_end, restart.session);
                Event::Began { old_end, session, sequence: restart.venue_sequence }
            }
            (_, Body::Status(status)) if status.cause == StatusCause::Session => Event::Other,
            (kind::CLEAR, _) if sequence == 0 => Event::Other,
            (kind::GAP, Body::Gap { first, last, reason }) => {
                self.reasons.insert(reason);
                let told = self.told.last_mut().expect("never empty");
                assert!(first > told.last && first <= last, "{name:?}: gap {first}..{last} after {}", told.last);
                (told.last, told.suspect) = (last, told.suspect | suspect);
                told.gaps.push((first, last));
                Event::Gap
            }
            _ => {
                let told = self.told.last_mut().expect("never empty");
                assert!(sequence > told.last, "{name:?}: message {sequence} after {}", told.last);
                (told.last, told.suspect) = (sequence, told.suspect | suspect);
                told.messages.push(sequence);
                Event::Message
            }
        }
    }
}

fn ring_end(records: &[Got]) -> u64 {
    let last = records.last().expect("an event has records");
    last.n + u64::from(last.head().span)
}

impl Reader {
    pub(crate) fn new() -> Reader {
        let (orders, market) = (Follower::new(RingName::Orders), Follower::new(RingName::Market));
        Reader { orders, market, mirror: Mirror::default(), trust: Trust::default(), astray: [false; 2] }
    }

    /// What comes from here on may not go with what came before.
    pub(crate) fn go_astray(&mut self) {
        self.astray = [true; 2];
    }

    /// Reads the old writer's rings to their end, then attaches to the new one's and checks what that says of the old.
    /// `session`: the session that the old one followed, if it had one. `unrepaired`: the old one had lost messages.
    pub(crate) fn attach(&mut self, segment: &Segment, session: Option<[u8; 16]>, unrepaired: bool) {
        self.drain();
        if unrepaired {
            self.go_astray();
        }
        let first = self.orders.writers == 0;
        for follower in [&mut self.orders, &mut self.market] {
            let (name, end) = (follower.name, follower.end);
            let last = follower.told.last().expect("never empty").last;
            follower.attach(segment);
            let mut began = None;
            follower.drain(|_, event| {
                assert!(began.is_none(), "{name:?}: a new writer has published more than its restart");
                if let Event::Began { old_end, session, sequence } = *event {
                    began = Some((old_end, session, sequence));
                }
            });
            let (old_end, named, sequence) = began.expect("a new writer begins with a restart");
            if first {
                continue;
            }
            assert_eq!(old_end, end, "{name:?}: where the old writer ended");
            if let Some(session) = session {
                assert_eq!(named, session, "{name:?}: the session of the old writer");
                assert!(sequence >= last, "{name:?}: the new writer goes on after {sequence}, {last} was told");
            }
        }
    }

    /// Reads all there is.
    pub(crate) fn drain(&mut self) {
        let Reader { orders, market, mirror, trust, astray: [orders_astray, market_astray] } = self;
        orders.drain(|records, event| {
            trust.event(records);
            if matches!(event, Event::Session | Event::Image(true)) {
                mirror.orders.clear();
                *orders_astray = false;
            }
            if !*orders_astray {
                mirror.orders(records);
            }
        });
        market.drain(|records, event| {
            // Whatever was shown before, an image begins each book with a clear.
            if *event == Event::Session || (*market_astray && matches!(event, Event::Image(_))) {
                mirror.windows.clear();
                mirror.quotes.clear();
                *market_astray = false;
            }
            if !*market_astray {
                mirror.market(records);
            }
        });
    }

    /// Sessions told so far: at least 1.
    pub(crate) fn sessions(&self) -> usize {
        assert_eq!(self.orders.told.len(), self.market.told.len(), "both rings tell of every session");
        self.orders.told.len()
    }

    /// What both rings told of session `index`: the gaps, and the last number such that everything up to it was told
    /// once, in a ring or as a gap. Nothing beyond it may have been told.
    pub(crate) fn account(&self, index: usize) -> (u64, &[(u64, u64)]) {
        let (orders, market) = (&self.orders.told[index], &self.market.told[index]);
        let top = orders.last.max(market.last) as usize;
        let mut told = vec![0u8; top + 1];
        for (bit, ring) in [(1, orders), (2, market)] {
            for sequence in &ring.messages {
                told[*sequence as usize] |= bit;
            }
        }
        let missing =
            |gaps: &[(u64, u64)]| gaps.iter().flat_map(|(first, last)| *first..=*last).collect::<HashSet<_>>();
        let missing = [missing(&orders.gaps), missing(&market.gaps)];
        assert!(missing[0].is_subset(&missing[1]), "missing in the orders ring alone: {missing:?}");
        for sequence in &missing[1] {
            let told = &mut told[*sequence as usize];
            // A killed writer may have finished its last event in the orders ring alone, so of that one the market ring
            // may say that it is missing.
            let half = !missing[0].contains(sequence) && *told == 1;
            assert!(half || *told == 0, "message {sequence} was told, and declared missing");
            *told |= 4;
        }
        if let Some(sequence) = (1..=top).find(|sequence| told[*sequence] == 0) {
            panic!("message {sequence} of {top} was neither told nor declared missing");
        }
        (top as u64, &market.gaps)
    }

    /// Why gaps were declared.
    pub(crate) fn gap_reasons(&self) -> &HashSet<u64> {
        &self.market.reasons
    }

    /// A hash of every word of both rings.
    pub(crate) fn hash(&self) -> u64 {
        self.orders.hash ^ self.market.hash.rotate_left(1)
    }

    /// The highest number told of the newest session.
    pub(crate) fn top(&self) -> u64 {
        [&self.orders, &self.market]
            .map(|ring| ring.told.last().expect("never empty").last)
            .into_iter()
            .max()
            .expect("two")
    }

    /// Whether the books that it makes mean anything.
    pub(crate) fn has_books(&self) -> bool {
        self.astray == [false; 2]
    }

    /// Whether a record of session `index` said that its book is suspect.
    pub(crate) fn was_suspect(&self, index: usize) -> bool {
        self.orders.told[index].suspect || self.market.told[index].suspect
    }
}
