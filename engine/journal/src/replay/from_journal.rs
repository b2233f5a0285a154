//! A journal's two rings, venue event by venue event.

use std::collections::{HashSet, VecDeque};

use shm_abi::directory::Instrument;
use shm_abi::record::{flag, kind};
use shm_abi::segment::RingName;
use shm_abi::slot::SLOT_WORDS;

use super::prelude::{Found, Prelude};
use super::source::{SourceOptions, Start};
use super::step::{Missing, Step};
use crate::journal::{Journal, ReadError};
use crate::reader::{Entry, Reader, Ready, SeekError};
use crate::{RINGS, ring_index};

/// Slots by which a record is announced before it comes: time enough to fetch a line from memory.
const AHEAD: usize = 24;

/// What records of one venue event in both rings have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct EventKey {
    published_ns: u64,
    sequence_low: u32,
    instrument: u32,
}

/// A record that has not been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Peeked {
    key: EventKey,
    last: bool,
}

/// What stands at the front of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Front {
    /// Not looked at since the last was taken.
    Unknown,
    Nothing,
    Record,
    Hole,
    Epoch,
}

/// Where a ring is.
#[derive(Debug)]
struct Side {
    reader: Reader,
    /// Asked of the reader once for each thing that it gives.
    front: Front,
    /// Of a record at the front.
    peeked: Peeked,
    /// Instruments of the reader that were looked at.
    told: usize,
    /// An epoch has ended at this number of this epoch; the next record must go on from there.
    stepped: Option<(u64, u64)>,
    /// Epochs that were left.
    steps: u32,
    /// Its next record is one at which the replay ends.
    over: bool,
}

/// A journal as a source: see [`super::Source`].
#[derive(Debug)]
pub struct FromJournal {
    /// What comes before the first record.
    prelude: Option<Box<Prelude>>,
    sides: [Side; 2],
    /// The ring whose event is open.
    inside: Option<usize>,
    instruments: VecDeque<Instrument>,
    current: Option<Instrument>,
    known: HashSet<u32>,
    until_ns: Option<u64>,
    /// Number and length of each file.
    files: Vec<(u64, u64)>,
    total: u64,
}

impl FromJournal {
    pub(super) fn open(journal: &Journal, options: &SourceOptions) -> Result<FromJournal, SeekError> {
        let mut readers = match options.start {
            Start::Oldest => RINGS.map(|ring| journal.oldest(ring)),
            Start::Time(ns) => [journal.seek_time(RingName::Orders, ns)?, journal.seek_time(RingName::Market, ns)?],
            Start::Cursor { ring, cursor } => {
                let mut named = journal.seek(ring, cursor.epoch, cursor.seq)?;
                let ns = match named.ready()? {
                    Ready::Record(ns) => ns,
                    _ => u64::MAX,
                };
                match ring {
                    RingName::Orders => [named, journal.seek_time(RingName::Market, ns)?],
                    RingName::Market => [journal.seek_time(RingName::Orders, ns)?, named],
                }
            }
        };
        let mut files = Vec::new();
        for file in journal.files() {
            let io = |source| ReadError::Io { file: file.number, offset: 0, source };
            match journal.folder().open(file.number).and_then(|opened| opened.length()) {
                Ok(length) => files.push((file.number, length)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(io(e).into()),
            }
        }
        let total = files.iter().map(|(_, length)| length).sum();
        let prelude = Prelude::new(journal, options, &mut readers)?;
        Ok(FromJournal {
            prelude: Some(Box::new(prelude)),
            sides: readers.map(|reader| Side {
                reader,
                front: Front::Unknown,
                peeked: Peeked::default(),
                told: 0,
                stepped: None,
                steps: 0,
                over: false,
            }),
            inside: None,
            instruments: VecDeque::new(),
            current: None,
            known: HashSet::new(),
            until_ns: options.until_ns,
            files,
            total,
        })
    }

    /// What the ring's next thing is. At its end it is asked anew each time: the journal may have grown.
    #[inline(always)]
    fn front(&mut self, ring: usize) -> Result<Front, ReadError> {
        let side = &mut self.sides[ring];
        if matches!(side.front, Front::Unknown | Front::Nothing) {
            side.look()?;
        }
        Ok(side.front)
    }

    /// The ring that comes next, and what comes there; `None` at the end.
    #[inline(always)]
    fn choose(&mut self) -> Result<Option<(usize, Front)>, ReadError> {
        if let Some(ring) = self.inside {
            if self.front(ring)? == Front::Record {
                return Ok(Some((ring, Front::Record)));
            }
            // The event was cut.
            self.inside = None;
        }
        let fronts = [self.front(0)?, self.front(1)?];
        if fronts == [Front::Record; 2] {
            let [orders, market] = &self.sides;
            let ring = usize::from(is_before(&market.peeked.key, &orders.peeked.key));
            return Ok(Some((ring, Front::Record)));
        }
        Ok(self.choose_rarely(fronts).map(|ring| (ring, fronts[ring])))
    }

    /// The ring that comes next, where they have not both a record.
    #[cold]
    fn choose_rarely(&self, fronts: [Front; 2]) -> Option<usize> {
        let [orders, market] = &self.sides;
        Some(match fronts {
            [Front::Hole, _] => 0,
            [_, Front::Hole] => 1,
            // Nothing of the next epoch before both rings have come to it.
            [Front::Epoch, _] if orders.steps < market.steps => 0,
            [_, Front::Epoch] if market.steps < orders.steps => 1,
            [Front::Record, _] => 0,
            [_, Front::Record] => 1,
            [Front::Epoch, _] => 0,
            [_, Front::Epoch] => 1,
            _ => return None,
        })
    }

    /// Whether the record at the front of a ring completes its event: it does not while that goes on in the ring, or in
    /// the market ring.
    #[inline(always)]
    fn completes(&mut self, ring: usize) -> Result<bool, ReadError> {
        if !self.sides[ring].peeked.last {
            self.inside = Some(ring);
            return Ok(false);
        }
        let goes_on = ring == 0 && self.front(1)? == Front::Record && {
            let [orders, market] = &self.sides;
            orders.peeked.key == market.peeked.key
        };
        self.inside = goes_on.then_some(1);
        Ok(!goes_on)
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Step<'_>>, ReadError> {
        loop {
            if !self.instruments.is_empty() {
                self.current = self.instruments.pop_front();
                return Ok(self.current.as_ref().map(Step::Instrument));
            }
            if self.prelude.is_some() {
                match self.before()? {
                    // Behind this the borrow of the step ends the function, so it is asked for only when there is one.
                    true => match &mut self.prelude {
                        Some(prelude) => return prelude.step().map(Some),
                        None => unreachable!("it was just there"),
                    },
                    false => continue,
                }
            }
            let Some((ring, front)) = self.choose()? else { return Ok(None) };
            self.look_at_instruments(ring);
            if !self.instruments.is_empty() {
                continue;
            }
            match front {
                Front::Record => {
                    let published_ns = self.sides[ring].peeked.key.published_ns;
                    if self.until_ns.is_some_and(|until_ns| published_ns >= until_ns) {
                        self.sides[ring].over = true;
                        return Ok(None);
                    }
                    if self.sides[ring].stepped.is_some()
                        && let Some(missing) = self.seam(ring, published_ns)
                    {
                        return Ok(Some(Step::Missing(missing)));
                    }
                    let whole = self.completes(ring)?;
                    self.sides[ring].front = Front::Unknown;
                    let ahead = self.sides[ring].reader.peek_ahead(AHEAD);
                    // What looked like a record may be none: then a hole is next.
                    if self.sides[ring].reader.settle() {
                        let words = self.sides[ring].reader.take();
                        return Ok(Some(Step::Record { ring: RINGS[ring], words, published_ns, whole, ahead }));
                    }
                }
                Front::Hole => {
                    let side = &mut self.sides[ring];
                    side.front = Front::Unknown;
                    let Some(Entry::Hole(hole)) = side.reader.next()? else { return Ok(None) };
                    let behind = (self.front(ring)? == Front::Record).then_some(self.sides[ring].peeked.key);
                    return Ok(Some(Step::Missing(Missing {
                        ring: RINGS[ring],
                        slots: hole.slots(),
                        next_sequence_low: behind.map(|key| key.sequence_low),
                        published_ns: behind.map_or(0, |key| key.published_ns),
                    })));
                }
                Front::Epoch => {
                    let side = &mut self.sides[ring];
                    side.front = Front::Unknown;
                    if let Some(Entry::Epoch(step)) = side.reader.next()? {
                        (side.stepped, side.told) = (Some((step.old_epoch, step.old_end)), 0);
                        side.steps += 1;
                    }
                }
                Front::Nothing | Front::Unknown => return Ok(None),
            }
        }
    }

    /// Whether the prelude has a step now; when it will have none any more, it is over.
    #[cold]
    fn before(&mut self) -> Result<bool, ReadError> {
        let Some(prelude) = &mut self.prelude else { return Ok(false) };
        let found = prelude.advance()?;
        let (known, queue) = (&mut self.known, &mut self.instruments);
        if found != Found::Step {
            prelude.take_instruments(|named| {
                if known.insert(named.instrument_id) {
                    queue.push_back(named);
                }
            });
        }
        if found == Found::Over {
            self.prelude = None;
        }
        Ok(found == Found::Step)
    }

    /// Ends where these readers stand.
    pub(super) fn end_before(&mut self, readers: &[Reader; 2]) {
        for (side, reader) in self.sides.iter_mut().zip(readers) {
            if let Some(epoch) = reader.epoch() {
                side.front = Front::Unknown;
                side.reader.set_until(epoch, reader.next_number());
            }
        }
    }

    /// Whether anything is there now.
    pub(super) fn has_next(&mut self) -> Result<bool, ReadError> {
        if self.sides.iter().any(|side| side.over) {
            return Ok(false);
        }
        let promised = self.prelude.is_some() || !self.instruments.is_empty();
        Ok(promised || self.front(0)? != Front::Nothing || self.front(1)? != Front::Nothing)
    }

    /// The first record of an epoch: whether anything is missing between it and the end of the one before.
    #[cold]
    fn seam(&mut self, ring: usize, ns: u64) -> Option<Missing> {
        let side = &mut self.sides[ring];
        let (old_epoch, old_end) = side.stepped.take()?;
        let slot: [u64; SLOT_WORDS] = *side.reader.peek();
        let is_restart = slot[0] as u8 == kind::RESTART;
        let slots = match is_restart && slot[4] == old_epoch {
            true if slot[5] <= old_end => return None,
            true => slot[5] - old_end,
            // The epochs between them were not recorded, or the engine did not know of its predecessor.
            false => 0,
        };
        let sequence_low = if is_restart { slot[6] as u32 } else { (slot[3] >> 32) as u32 };
        Some(Missing {
            ring: RINGS[ring],
            slots,
            next_sequence_low: Some(sequence_low.wrapping_add(u32::from(is_restart))),
            published_ns: ns,
        })
    }

    /// Instruments that the ring's files have named since the last look.
    #[inline(always)]
    fn look_at_instruments(&mut self, ring: usize) {
        let Side { reader, told, .. } = &mut self.sides[ring];
        let named = reader.instruments();
        if named.len() == *told {
            return;
        }
        // A file begins with all that the one before had named.
        let from = if named.len() < *told { 0 } else { *told };
        *told = named.len();
        self.instruments.extend(named[from..].iter().filter(|named| self.known.insert(named.instrument_id)));
    }

    pub(super) fn position(&self) -> u64 {
        let at = |side: &Side| match side.reader.place() {
            _ if side.over => self.total,
            None => 0,
            Some((number, offset)) => {
                self.files.iter().take_while(|(n, _)| *n < number).map(|(_, length)| length).sum::<u64>() + offset
            }
        };
        at(&self.sides[ring_index(RingName::Orders)]).min(at(&self.sides[1])).min(self.total)
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

impl Side {
    /// Asks the reader what comes next.
    #[inline(always)]
    fn look(&mut self) -> Result<(), ReadError> {
        // An error leaves the question open.
        self.front = Front::Unknown;
        self.front = match self.reader.ready()? {
            Ready::Record(published_ns) => {
                let slot = self.reader.peek();
                let key =
                    EventKey { published_ns, sequence_low: (slot[3] >> 32) as u32, instrument: (slot[0] >> 32) as u32 };
                self.peeked = Peeked { key, last: slot[0] >> 8 & u64::from(flag::LAST) != 0 };
                Front::Record
            }
            Ready::Nothing => Front::Nothing,
            Ready::Hole => Front::Hole,
            Ready::Epoch => Front::Epoch,
        };
        Ok(())
    }
}

/// Whether an event of one ring comes before one of the other.
#[inline(always)]
fn is_before(a: &EventKey, b: &EventKey) -> bool {
    match a.published_ns == b.published_ns {
        true => (a.sequence_low.wrapping_sub(b.sequence_low) as i32) < 0,
        false => a.published_ns < b.published_ns,
    }
}
