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
const AHEAD: usize = 12;

/// What records of one venue event in both rings have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EventKey {
    published_ns: u64,
    sequence_low: u32,
    instrument: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Peeked {
    key: EventKey,
    last: bool,
}

/// Where a ring is.
#[derive(Debug)]
struct Side {
    reader: Reader,
    /// Instruments of the reader that were looked at.
    told: usize,
    /// An epoch has ended at this number of this epoch; the next record must go on from there.
    stepped: Option<(u64, u64)>,
    /// Epochs that were left.
    steps: u32,
    /// Lengths of the files before the one that is read are passed.
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
    until_ns: u64,
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
            sides: readers.map(|reader| Side { reader, told: 0, stepped: None, steps: 0, over: false }),
            inside: None,
            instruments: VecDeque::new(),
            current: None,
            known: HashSet::new(),
            until_ns: options.until_ns.unwrap_or(u64::MAX),
            files,
            total,
        })
    }

    /// What the ring's next record is; `None`: something else is next, or nothing.
    #[inline(always)]
    fn peek(&mut self, ring: usize) -> Result<(Ready, Option<Peeked>), ReadError> {
        let reader = &mut self.sides[ring].reader;
        let ready = reader.ready()?;
        let Ready::Record(ns) = ready else { return Ok((ready, None)) };
        let slot = reader.peek();
        let key =
            EventKey { published_ns: ns, sequence_low: (slot[3] >> 32) as u32, instrument: (slot[0] >> 32) as u32 };
        let last = slot[0] >> 8 & u64::from(flag::LAST) != 0;
        Ok((ready, Some(Peeked { key, last })))
    }

    /// The ring that comes next, and whether its next record completes a venue event; `None` at the end.
    #[inline]
    fn choose(&mut self) -> Result<Option<(usize, Ready, bool)>, ReadError> {
        if let Some(ring) = self.inside {
            let (ready, peeked) = self.peek(ring)?;
            if let Some(peeked) = peeked {
                return self.chosen(ring, ready, peeked).map(Some);
            }
            // The event was cut.
            self.inside = None;
        }
        let (orders, of_orders) = self.peek(0)?;
        let (market, of_market) = self.peek(1)?;
        let ring = match (orders, market) {
            (Ready::Nothing, Ready::Nothing) => return Ok(None),
            (Ready::Hole, _) => 0,
            (_, Ready::Hole) => 1,
            // Nothing of the next epoch before both rings have come to it.
            (Ready::Epoch, _) if self.sides[0].steps < self.sides[1].steps => 0,
            (_, Ready::Epoch) if self.sides[1].steps < self.sides[0].steps => 1,
            (Ready::Record(_), Ready::Record(_)) => match (of_orders, of_market) {
                (Some(a), Some(b)) => usize::from(is_before(&b.key, &a.key)),
                _ => 0,
            },
            (Ready::Record(_), _) => 0,
            (_, Ready::Record(_)) => 1,
            (Ready::Epoch, _) => 0,
            (_, Ready::Epoch) => 1,
        };
        match ([orders, market][ring], [of_orders, of_market][ring]) {
            (ready, Some(peeked)) => self.chosen(ring, ready, peeked).map(Some),
            (ready, None) => Ok(Some((ring, ready, false))),
        }
    }

    /// Whether the event goes on in this ring, or in the market ring.
    #[inline(always)]
    fn chosen(&mut self, ring: usize, ready: Ready, peeked: Peeked) -> Result<(usize, Ready, bool), ReadError> {
        if !peeked.last {
            self.inside = Some(ring);
            return Ok((ring, ready, false));
        }
        self.inside = None;
        if ring == 0 && matches!(self.peek(1)?, (_, Some(other)) if other.key == peeked.key) {
            self.inside = Some(1);
            return Ok((ring, ready, false));
        }
        Ok((ring, ready, true))
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
            let Some((ring, ready, whole)) = self.choose()? else { return Ok(None) };
            self.look_at_instruments(ring);
            if !self.instruments.is_empty() {
                continue;
            }
            match ready {
                Ready::Record(ns) => {
                    if ns >= self.until_ns {
                        self.sides[ring].over = true;
                        return Ok(None);
                    }
                    if self.sides[ring].stepped.is_some()
                        && let Some(missing) = self.seam(ring, ns)
                    {
                        return Ok(Some(Step::Missing(missing)));
                    }
                    let reader = &mut self.sides[ring].reader;
                    let ahead = reader.peek_ahead(AHEAD);
                    return match reader.next()? {
                        Some(Entry::Record { words, .. }) => {
                            Ok(Some(Step::Record { ring: RINGS[ring], words, published_ns: ns, whole, ahead }))
                        }
                        // What looked like a record is none: the block was given up.
                        Some(Entry::Hole(hole)) => Ok(Some(Step::Missing(Missing {
                            ring: RINGS[ring],
                            slots: hole.slots(),
                            next_sequence_low: None,
                            published_ns: ns,
                        }))),
                        _ => Ok(None),
                    };
                }
                Ready::Hole => {
                    let Some(Entry::Hole(hole)) = self.sides[ring].reader.next()? else { return Ok(None) };
                    let (_, after) = self.peek(ring)?;
                    return Ok(Some(Step::Missing(Missing {
                        ring: RINGS[ring],
                        slots: hole.slots(),
                        next_sequence_low: after.map(|peeked| peeked.key.sequence_low),
                        published_ns: after.map_or(0, |peeked| peeked.key.published_ns),
                    })));
                }
                Ready::Epoch => {
                    if let Some(Entry::Epoch(step)) = self.sides[ring].reader.next()? {
                        let side = &mut self.sides[ring];
                        (side.stepped, side.told) = (Some((step.old_epoch, step.old_end)), 0);
                        side.steps += 1;
                    }
                }
                Ready::Nothing => return Ok(None),
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
                side.reader.set_until(epoch, reader.next_number());
            }
        }
    }

    /// Whether anything is there now.
    pub(super) fn has_next(&mut self) -> Result<bool, ReadError> {
        let prelude = self.prelude.as_ref().is_some();
        let mut ready =
            || Ok(self.sides[0].reader.ready()? != Ready::Nothing || self.sides[1].reader.ready()? != Ready::Nothing);
        Ok(prelude || !self.instruments.is_empty() || ready()?)
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

/// Whether an event of one ring comes before one of the other.
#[inline(always)]
fn is_before(a: &EventKey, b: &EventKey) -> bool {
    match a.published_ns == b.published_ns {
        true => (a.sequence_low.wrapping_sub(b.sequence_low) as i32) < 0,
        false => a.published_ns < b.published_ns,
    }
}
