//! The story that all lives of the engine have told together, held against what they had.

use shm_abi::counters::LaneCounter;
use shm_abi::segment::Segment;

use crate::books::Truth;
use crate::exchange::Session;
use crate::reader::Reader;

/// A session of the venue that the engine has followed.
#[derive(Debug)]
struct Followed {
    session: usize,
    /// Everything up to this message has been published.
    floor: u64,
    /// Lives that have followed it: the newest one's number, and how many.
    life: u32,
    lives: u32,
    /// First and last number of what the venue would not bring, in any of them.
    gaps: Vec<(u64, u64)>,
}

/// All sessions, in their order.
#[derive(Debug, Default)]
pub(crate) struct Stories {
    followed: Vec<Followed>,
    /// What the newest dead life left.
    pub(crate) segment: Option<Segment>,
    /// The session that it named.
    pub(crate) named: Option<[u8; 16]>,
}

impl Stories {
    /// A burst has been published by life number `life`.
    pub(crate) fn follow(&mut self, life: u32, truth: &Truth) {
        let Some(session) = truth.session else { return };
        if self.followed.last().is_none_or(|last| last.session != session) {
            self.followed.push(Followed { session, floor: 0, life, lives: 1, gaps: Vec::new() });
        }
        let last = self.followed.last_mut().expect("just made sure");
        last.floor = last.floor.max(truth.next - 1);
        if last.life != life {
            (last.life, last.lives) = (life, last.lives + 1);
        }
        for gap in &truth.gaps {
            if !last.gaps.contains(gap) {
                last.gaps.push(*gap);
            }
        }
    }

    /// A life has ended; `killed` in the middle of a burst, of which `truth` knows more than was published.
    pub(crate) fn died(&mut self, life: u32, truth: &Truth, sessions: &[Session], segment: Segment, killed: bool) {
        let named = segment.feed(0).and_then(|(facts, _)| facts.session).filter(|name| name.iter().any(|b| *b > b' '));
        let truly = truth.session.map(|index| sessions[index].bus_name());
        if killed && named.is_some() && named == truly {
            let floor =
                self.followed.last().filter(|last| Some(last.session) == truth.session).map_or(0, |last| last.floor);
            self.follow(life, truth);
            self.followed.last_mut().expect("just followed").floor = floor;
        }
        let last = self.followed.last().map(|last| sessions[last.session].bus_name());
        assert_eq!(named, last, "the session that a dead writer names");
        (self.segment, self.named) = (Some(segment), named);
    }

    /// Gaps in all lives.
    pub(crate) fn gaps(&self) -> usize {
        self.followed.iter().map(|followed| followed.gaps.len()).sum()
    }

    /// Whether the session that is followed was begun by an earlier life.
    pub(crate) fn goes_on(&self) -> bool {
        self.followed.last().is_some_and(|last| last.lives > 1)
    }

    /// Whether the newest dead life had lost messages of the session that it followed.
    pub(crate) fn unrepaired(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.counters().lane(LaneCounter::Unrepaired) > 0)
    }

    /// Nothing was lost in silence, nothing told twice, nothing declared missing that was not. Returns a hash of the
    /// story.
    pub(crate) fn check(&self, reader: &Reader, sessions: &[Session]) -> u64 {
        assert_eq!(reader.sessions(), self.followed.len().max(1), "sessions told");
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for (index, followed) in self.followed.iter().enumerate() {
            let name = &sessions[followed.session].name;
            let (top, gaps) = reader.account(index);
            assert!(top >= followed.floor, "{name}: {top} told, {} published", followed.floor);
            assert!(top <= sessions[followed.session].len(), "{name}: {top} told, more than there are");
            if index + 1 == self.followed.len() {
                assert_eq!(top, sessions[followed.session].len(), "{name}: everything is told in the end");
            }
            for (first, last) in gaps {
                let is_true = followed.gaps.iter().any(|(from, to)| from <= first && last <= to);
                assert!(is_true, "{name}: {first}..{last} is declared missing, and was {:?}", followed.gaps);
            }
            if sessions[followed.session].honest && followed.gaps.is_empty() {
                assert!(!reader.was_suspect(index), "{name}: suspect, and nothing is missing");
            }
            for word in [top, gaps.len() as u64, followed.lives.into()] {
                hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
            }
        }
        hash ^ reader.hash()
    }
}
