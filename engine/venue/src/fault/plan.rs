//! The faults of a SoupBinTCP endpoint as its connections use them up. No socket: bytes in, decisions out.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ALWAYS;
use super::tcp::{Acceptance, Inserted, TcpFault};

/// What becomes of a login request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginFate {
    /// Judge it as usual, and if it is good, accept it in this way.
    Judge,
    /// Reject it with this letter.
    Reject(u8),
    /// Say nothing.
    Ignore,
}

/// A connection's end, as scripted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes after the login acceptance.
    pub at: u64,
    /// By a TCP reset.
    pub reset: bool,
}

/// All faults of one endpoint, used up by its connections.
#[derive(Debug)]
pub struct Plan {
    left: Mutex<Left>,
}

#[derive(Debug)]
struct Left {
    chunk: usize,
    coalesce: usize,
    cuts: VecDeque<Cut>,
    /// Message, byte, and whether by a reset.
    cut_ins: Vec<(u64, u64, bool)>,
    refusals: u64,
    rejects: VecDeque<(u8, u64)>,
    ignores: u64,
    accepts: VecDeque<(Acceptance, u64)>,
    silence: Option<u64>,
    mute: bool,
    inserts: Vec<(u64, Inserted)>,
    played: u64,
}

impl Plan {
    /// Combines faults. Cuts add up; of several pieces the smallest counts, and of several silences the last.
    #[must_use]
    pub fn new<'f>(faults: impl IntoIterator<Item = &'f TcpFault>) -> Self {
        let plan = Self {
            left: Mutex::new(Left {
                chunk: usize::MAX,
                coalesce: 0,
                cuts: VecDeque::new(),
                cut_ins: Vec::new(),
                refusals: 0,
                rejects: VecDeque::new(),
                ignores: 0,
                accepts: VecDeque::new(),
                silence: None,
                mute: false,
                inserts: Vec::new(),
                played: 0,
            }),
        };
        faults.into_iter().for_each(|fault| plan.add(fault));
        plan
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        // A thread that panics cannot leave the counters half changed: every change is one assignment.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more fault, from now on.
    pub fn add(&self, fault: &TcpFault) {
        let mut left = self.left();
        match fault {
            TcpFault::Cuts { at, reset } => left.cuts.extend(at.iter().map(|&at| Cut { at, reset: *reset })),
            TcpFault::CutIn { sequence, byte, reset } => left.cut_ins.push((*sequence, *byte, *reset)),
            TcpFault::Chunk(bytes) => left.chunk = left.chunk.min((*bytes).max(1)),
            TcpFault::Coalesce(bytes) => left.coalesce = *bytes,
            TcpFault::Refuse(times) => left.refusals = left.refusals.saturating_add(*times),
            TcpFault::Reject { code, times } => left.rejects.push_back((*code, *times)),
            TcpFault::NoLoginAnswer(times) => left.ignores = left.ignores.saturating_add(*times),
            TcpFault::Accept { how, times } => left.accepts.push_back((*how, *times)),
            TcpFault::Silence(message) => left.silence = Some(*message),
            TcpFault::Mute => left.mute = true,
            TcpFault::Insert { what, before } => left.inserts.push((*before, *what)),
        }
    }

    /// Takes back what is left of all faults of a kind, by a name of [`TcpFault::name`]; every kind for `all`. False when
    /// there is no such kind.
    pub fn clear(&self, name: &str) -> bool {
        let mut left = self.left();
        let all = name == "all";
        let mut known = all;
        let mut is = |kind: &str| {
            known |= kind == name;
            all || kind == name
        };
        if is("cut") {
            left.cuts.clear();
            left.cut_ins.clear();
        }
        if is("chunk") {
            left.chunk = usize::MAX;
        }
        if is("coalesce") {
            left.coalesce = 0;
        }
        if is("refuse") {
            left.refusals = 0;
        }
        if is("reject") {
            left.rejects.clear();
        }
        if is("no-login-answer") {
            left.ignores = 0;
        }
        if is("accept") {
            left.accepts.clear();
        }
        if is("silence") {
            left.silence = None;
        }
        if is("mute") {
            left.mute = false;
        }
        if is("insert") {
            left.inserts.clear();
        }
        known
    }

    /// A connection has come: true when it must be reset at once.
    pub fn refuses(&self) -> bool {
        let mut left = self.left();
        let refused = left.refusals > 0;
        left.refusals = used(left.refusals);
        left.played += u64::from(refused);
        refused
    }

    /// A login request has come.
    pub fn login(&self) -> LoginFate {
        let mut left = self.left();
        if left.ignores > 0 {
            left.ignores = used(left.ignores);
            left.played += 1;
            return LoginFate::Ignore;
        }
        match take(&mut left.rejects) {
            Some(code) => {
                left.played += 1;
                LoginFate::Reject(code)
            }
            None => LoginFate::Judge,
        }
    }

    /// A login is good: how it is accepted.
    pub fn acceptance(&self) -> Acceptance {
        let mut left = self.left();
        let how = take(&mut left.accepts);
        left.played += u64::from(how.is_some());
        how.unwrap_or(Acceptance::Plain)
    }

    /// A login has been accepted: what this connection must suffer.
    pub fn accepted(&self) -> Script {
        let mut left = self.left();
        let cut = left.cuts.pop_front();
        Script { chunk: left.chunk, cut, counting: false, counted: 0 }
    }

    /// For connections that are not logged in: pieces only.
    #[must_use]
    pub fn stranger(&self) -> Script {
        Script { chunk: self.left().chunk, cut: None, counting: false, counted: 0 }
    }

    /// The first message at or behind `next` in front of which, or in which, something happens; none mostly.
    pub fn next_stop(&self, next: u64) -> Option<u64> {
        let left = self.left();
        let cuts = left.cut_ins.iter().map(|cut| cut.0);
        cuts.chain(left.inserts.iter().map(|insert| insert.0)).filter(|at| *at >= next).min()
    }

    /// What stands in front of this message, once.
    pub fn inserted(&self, before: u64) -> Option<Inserted> {
        let mut left = self.left();
        let at = left.inserts.iter().position(|insert| insert.0 == before)?;
        left.played += 1;
        Some(left.inserts.remove(at).1)
    }

    /// The byte of this message's packet at which the connection ends, and whether by a reset; once.
    pub fn cut_in(&self, sequence: u64) -> Option<(u64, bool)> {
        let mut left = self.left();
        let at = left.cut_ins.iter().position(|cut| cut.0 == sequence)?;
        let (_, byte, reset) = left.cut_ins.remove(at);
        Some((byte, reset))
    }

    /// Bytes that must be there before a write; 0 for no such wait.
    pub fn coalesce(&self) -> usize {
        self.left().coalesce
    }

    /// Pieces as they are now, for a connection that lives already.
    pub fn chunk(&self) -> usize {
        self.left().chunk
    }

    /// Whether nothing may be sent.
    pub fn is_mute(&self) -> bool {
        self.left().mute
    }

    /// Last message before the silence; none when none is scripted or it has happened.
    pub fn silence_after(&self) -> Option<u64> {
        self.left().silence
    }

    /// A connection has reached the silence and asks to be the silent one. False when another was faster.
    pub fn fall_silent(&self) -> bool {
        let mut left = self.left();
        let first = left.silence.take().is_some();
        left.played += u64::from(first);
        first
    }

    /// A cut has been played.
    pub fn cut_played(&self) {
        self.left().played += 1;
    }

    /// Faults that have happened; delivery in pieces is not counted.
    pub fn played(&self) -> u64 {
        self.left().played
    }
}

/// One time less, unless it is always.
pub(super) fn used(times: u64) -> u64 {
    if times == ALWAYS { ALWAYS } else { times.saturating_sub(1) }
}

/// The first of a queue with times left.
fn take<T: Copy>(queue: &mut VecDeque<(T, u64)>) -> Option<T> {
    while let Some((what, times)) = queue.front_mut() {
        match *times {
            0 => drop(queue.pop_front()),
            left => {
                *times = used(left);
                return Some(*what);
            }
        }
    }
    None
}

/// What to do with bytes that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Write this many in one call, at least 1.
    Write(usize),
    /// Break the connection now.
    Cut {
        /// By a TCP reset.
        reset: bool,
    },
}

/// One connection's part of the plan. No socket: bytes in, decisions out.
#[derive(Debug, Clone)]
pub struct Script {
    chunk: usize,
    cut: Option<Cut>,
    counting: bool,
    counted: u64,
}

impl Script {
    /// From here on bytes count towards the cut: the login acceptance is out.
    pub fn start_counting(&mut self) {
        self.counting = true;
    }

    /// Where the connection ends, if it does.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// Pieces as they are from now on.
    pub fn set_chunk(&mut self, chunk: usize) {
        self.chunk = chunk.max(1);
    }

    /// Ends the connection after `bytes` more than were written so far, unless it ends earlier anyway.
    pub fn cut_after(&mut self, bytes: u64, reset: bool) {
        let at = self.counted.saturating_add(bytes);
        if self.cut.is_none_or(|cut| at < cut.at) {
            self.cut = Some(Cut { at, reset });
        }
    }

    /// Decides about `ready` bytes, at least 1. After a `Write(n)` the caller has written n bytes.
    pub fn next_piece(&mut self, ready: usize) -> Piece {
        let mut bytes = ready.min(self.chunk);
        if !self.counting {
            return Piece::Write(bytes);
        }
        if let Some(cut) = self.cut {
            let room = cut.at - self.counted;
            if room == 0 {
                return Piece::Cut { reset: cut.reset };
            }
            bytes = bytes.min(usize::try_from(room).unwrap_or(usize::MAX));
        }
        self.counted += bytes as u64;
        Piece::Write(bytes)
    }

    /// Whether the connection must break now, although nothing is ready.
    #[must_use]
    pub fn is_cut_due(&self) -> Option<Cut> {
        self.cut.filter(|cut| self.counting && self.counted == cut.at)
    }
}
