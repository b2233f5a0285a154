//! What a shard asks of the recorded bus, and what it is handed: for clients whose cursor the ring no longer holds.
//!
//! The core opens no file and waits for nobody. It says what it wants ([`Want`]); whoever reads the journal hands it one
//! [`Batch`] for each want, and is asked for the next one only when the client has room for it. So neither a slow client
//! nor a slow disk makes anybody hold more than one batch.

use crate::state::RecordedQuote;

/// Names one reading of the journal in a shard. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplayId(pub u64);

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Behind a number of an epoch: everything up to it is known.
    After {
        /// Names the sequence.
        epoch: u64,
        /// Last number that is known.
        seq: u64,
    },
    /// At the first record that was published at this time or later, ns since the UNIX epoch.
    Time(u64),
}

/// An instrument that is wanted. Its id lasts as long as the engine's list of them; its name is what counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Lasting id, as of now.
    pub id: u32,
    /// The venue's symbol.
    pub symbol: String,
    /// Venue.
    pub venue: String,
}

/// What of the wanted instruments is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Trades and trade breaks.
    Trades,
    /// Every record that a quote follows from, and the end of each event that has one. A reading that begins at a time gives
    /// the quotes as they were before it.
    Quotes,
}

/// What is asked of whoever reads the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Begin, and hand over the first batch.
    Begin {
        /// Its name from now on.
        id: ReplayId,
        /// Lane name.
        lane: String,
        /// Where.
        start: Start,
        /// What.
        what: What,
        /// Of these, in this order.
        wanted: Vec<Wanted>,
    },
    /// Hand over the next batch.
    More(ReplayId),
    /// Nobody wants it any more.
    End(ReplayId),
}

/// The step into an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Epoch of what follows.
    pub epoch: u64,
    /// Everything up to this number of it is known: what follows has higher ones.
    pub seq: u64,
    /// What lies behind; `None` for the epoch that reading begins in.
    pub old: Option<OldEpoch>,
    /// Its writer knew of none before it: what instruments were is over.
    pub anew: bool,
}

/// An epoch that was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldEpoch {
    /// Names it.
    pub epoch: u64,
    /// Number after the last that was read of it.
    pub drained_to: u64,
    /// Where it ended by the word of the next; `None`: the next one does not say.
    pub end: Option<u64>,
}

/// One thing of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'b> {
    /// The quote of a wanted instrument where the reading begins. Before the first step, and only there.
    Quote {
        /// Place among the wanted.
        wanted: u16,
        /// Quote.
        quote: &'b RecordedQuote,
    },
    /// What follows is of this epoch. The first piece of a reading but for those quotes.
    Step(Step),
    /// A record of a wanted instrument.
    Record {
        /// Place among the wanted.
        wanted: u16,
        /// Number of its first slot.
        n: u64,
        /// Its words, as a ring reader gives them.
        words: &'b [u64],
    },
    /// The last record of an event of which there were some, when it is none of them. For quotes only.
    Last {
        /// Number of its first slot.
        n: u64,
        /// Its words.
        words: &'b [u64],
    },
    /// Numbers that the journal does not have although there were some; inclusive.
    Hole {
        /// First missing.
        first: u64,
        /// Last missing.
        last: u64,
    },
}

#[derive(Debug, Clone, Copy)]
enum Kept {
    Quote { wanted: u16, place: u32 },
    Step(Step),
    Record { wanted: u16, n: u64, begin: u32, end: u32 },
    Last { n: u64, begin: u32, end: u32 },
    Hole { first: u64, last: u64 },
}

/// Why reading the journal came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The journal has nothing of that epoch.
    UnknownEpoch,
    /// It begins behind that number.
    TooOld,
    /// It cannot be read.
    Unreadable,
    /// Too many read already.
    Busy,
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// There is more.
    #[default]
    More,
    /// That is all there is now; more may be recorded later.
    Reached,
    /// There will be nothing more.
    Failed(Failure),
}

/// Things of the journal, in order.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    words: Vec<u64>,
    quotes: Vec<RecordedQuote>,
    kept: Vec<Kept>,
    /// Everything up to this number, of the epoch of the last step, is in this batch or before it. Whole events only.
    pub seq: u64,
    /// How it ended.
    pub end: End,
}

impl Batch {
    /// One that only says how it ended.
    pub fn failed(failure: Failure) -> Batch {
        Batch { end: End::Failed(failure), ..Batch::default() }
    }

    /// Appends a thing.
    pub fn push(&mut self, piece: Piece<'_>) {
        let kept = match piece {
            Piece::Quote { wanted, quote } => {
                self.quotes.push(*quote);
                Kept::Quote { wanted, place: self.quotes.len() as u32 - 1 }
            }
            Piece::Step(step) => Kept::Step(step),
            Piece::Hole { first, last } => Kept::Hole { first, last },
            Piece::Record { wanted, n, words } => {
                let (begin, end) = self.keep(words);
                Kept::Record { wanted, n, begin, end }
            }
            Piece::Last { n, words } => {
                let (begin, end) = self.keep(words);
                Kept::Last { n, begin, end }
            }
        };
        self.kept.push(kept);
    }

    fn keep(&mut self, words: &[u64]) -> (u32, u32) {
        let begin = self.words.len() as u32;
        self.words.extend_from_slice(words);
        (begin, self.words.len() as u32)
    }

    /// Takes back everything from the `len`th thing on.
    pub fn truncate(&mut self, len: usize) {
        let words = self.kept[len.min(self.kept.len())..].iter().find_map(|kept| match kept {
            Kept::Record { begin, .. } | Kept::Last { begin, .. } => Some(*begin as usize),
            _ => None,
        });
        let quotes = self.kept[len.min(self.kept.len())..].iter().find_map(|kept| match kept {
            Kept::Quote { place, .. } => Some(*place as usize),
            _ => None,
        });
        self.quotes.truncate(quotes.unwrap_or(self.quotes.len()));
        self.kept.truncate(len);
        self.words.truncate(words.unwrap_or(self.words.len()));
    }

    /// Takes everything from the `len`th thing on out, into a batch of its own.
    #[must_use]
    pub fn split_off(&mut self, len: usize) -> Batch {
        let mut rest = Batch::default();
        (len..self.kept.len()).filter_map(|at| self.get(at)).for_each(|piece| rest.push(piece));
        self.truncate(len);
        rest
    }

    /// Appends all things of another one.
    pub fn append(&mut self, other: &Batch) {
        (0..other.len()).filter_map(|at| other.get(at)).for_each(|piece| self.push(piece));
    }

    /// Things in it.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The thing at a place.
    pub fn get(&self, at: usize) -> Option<Piece<'_>> {
        Some(match *self.kept.get(at)? {
            Kept::Quote { wanted, place } => Piece::Quote { wanted, quote: &self.quotes[place as usize] },
            Kept::Step(step) => Piece::Step(step),
            Kept::Hole { first, last } => Piece::Hole { first, last },
            Kept::Record { wanted, n, begin, end } => {
                Piece::Record { wanted, n, words: &self.words[begin as usize..end as usize] }
            }
            Kept::Last { n, begin, end } => Piece::Last { n, words: &self.words[begin as usize..end as usize] },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_and_can_be_taken_back() {
        let mut batch = Batch::default();
        let step = Step { epoch: 7, seq: 0, old: None, anew: false };
        let quotes = [RecordedQuote::empty(), RecordedQuote::default()];
        let pieces = [
            Piece::Step(step),
            Piece::Record { wanted: 1, n: 4, words: &[1, 2, 3] },
            Piece::Hole { first: 5, last: 9 },
            Piece::Last { n: 10, words: &[4; 7] },
        ];
        pieces.into_iter().for_each(|piece| batch.push(piece));
        assert_eq!((0..5).map(|at| batch.get(at)).collect::<Vec<_>>(), [pieces.map(Some).as_slice(), &[None]].concat());
        batch.truncate(2);
        batch.push(pieces[3]);
        assert_eq!((0..3).map(|at| batch.get(at).unwrap()).collect::<Vec<_>>(), [pieces[0], pieces[1], pieces[3]]);
        batch.truncate(9);
        assert_eq!((batch.len(), batch.is_empty()), (3, false));
        let rest = batch.split_off(1);
        assert_eq!((batch.len(), rest.get(0), rest.get(1), rest.len()), (1, Some(pieces[1]), Some(pieces[3]), 2));
        batch.append(&rest);
        assert_eq!((batch.get(1), batch.get(2), batch.len()), (Some(pieces[1]), Some(pieces[3]), 3));
        let quotes = [0, 1, 1].map(|at: u16| Piece::Quote { wanted: at, quote: &quotes[usize::from(at)] });
        batch.truncate(0);
        quotes.into_iter().for_each(|piece| batch.push(piece));
        batch.truncate(1);
        batch.push(quotes[2]);
        assert_eq!((batch.get(0), batch.get(1), batch.len()), (Some(quotes[0]), Some(quotes[2]), 2));
    }
}
