//! Images of the order books in the journal: the resting orders of every instrument in priority order, as of one number of
//! the orders ring. Who joins late loads the last image before its place and the records since.
//!
//! An image is a row of blocks ("parts") with the same number, from part 0 to the one that is marked last; other blocks
//! may stand between them, also the end of a file. The payload of a part:
//!
//! | words | what |
//! |---|---|
//! | 0 | bit 0: instruments that the image does not name have no orders (else nothing is known of them) |
//! | then sections: 0 | instrument id in the low 32 bits; bit 32: every order of the book is known; bit 33: this goes on with the last section of the part before |
//! | 1 | bids in the low 32 bits, asks in the high 32: how many orders follow |
//! | 3 per order | id, price, quantity: bids first, best price first, at a price those that came first |

use shm_abi::record::Side;
use shm_abi::segment::RingName;

use crate::book::{Books, Order};
use crate::damage::Damage;
use crate::disk::{ReadAt, read_full};
use crate::format::{ALIGN, BLOCK_HEADER_WORDS, BlockHeader, BlockKind, verify_payload};
use crate::index::{BlockEntry, FileIndex};
use crate::journal::{Journal, ReadError};
use crate::pages::Pages;
use crate::reader::{Entry, Reader, SeekError};
use crate::writer::Durable;

const UNSEEN_COMPLETE: u64 = 1;
const COMPLETE: u64 = 1 << 32;
const CONTINUED: u64 = 1 << 33;
const LAST: u64 = 1 << 32;
/// Words of a section before its orders.
const SECTION_WORDS: usize = 2;
/// Words of an order.
const ORDER_WORDS: usize = 3;

/// Which part of which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Epoch that it is of.
    pub epoch: u64,
    /// It reflects every slot of the orders ring before this number, and none from it on.
    pub n: u64,
    /// From 0.
    pub part: u32,
    /// No further part follows.
    pub last: bool,
    /// Orders in it.
    pub orders: u32,
}

impl Part {
    /// As in a block's header.
    pub(crate) const fn detail(&self) -> u64 {
        self.part as u64 | if self.last { LAST } else { 0 }
    }
}

/// An image on its way out, part by part.
#[derive(Debug)]
struct Emission {
    part: Part,
    instruments: Vec<u32>,
    /// Place of the instrument whose orders are in `orders`, of which those before `order` are out.
    at: usize,
    order: usize,
    orders: Vec<Order>,
    bids: usize,
    words: Vec<u64>,
    /// `words` were made and wait to be taken.
    ready: bool,
}

/// Makes images: follows the orders ring in the journal's own files, behind the writer, so that whoever drains the ring
/// has nothing to do with it.
#[derive(Debug)]
pub struct Imager {
    reader: Reader,
    books: Books,
    epoch: Option<u64>,
    interval_ns: u64,
    next_ns: u64,
    emission: Option<Box<Emission>>,
    /// Number of the last image.
    imaged: Option<(u64, u64)>,
    words_max: usize,
}

impl Imager {
    /// Follows the orders ring from the oldest file on, or from the last image that there is.
    ///
    /// # Errors
    /// [`ReadError`] of looking for it.
    pub fn new(
        journal: &Journal,
        config: &crate::JournalConfig,
        words_max: usize,
        monotonic_ns: u64,
    ) -> Result<Imager, ReadError> {
        let limit = config.image_orders as usize;
        let mut loaded = None;
        for epoch in journal.epochs().into_iter().rev() {
            loaded = load(journal, epoch, u64::MAX, limit)?;
            if loaded.is_some() {
                break;
            }
        }
        let (books, reader) = match loaded {
            Some((books, n, epoch)) => match journal.seek(RingName::Orders, epoch, n) {
                Ok(reader) => (books, reader),
                Err(SeekError::Read(e)) => return Err(e),
                Err(_) => (Books::new(false, limit), journal.oldest(RingName::Orders)),
            },
            None => {
                let begins = journal.files().first().is_none_or(|file| file.first[0] == 0 && file.old_epoch == 0);
                (Books::new(begins, limit), journal.oldest(RingName::Orders))
            }
        };
        let interval_ns = config.image_interval_s.saturating_mul(1_000_000_000);
        let next_ns = monotonic_ns.saturating_add(interval_ns);
        Ok(Imager {
            epoch: reader.epoch(),
            reader,
            books,
            interval_ns,
            next_ns,
            emission: None,
            imaged: None,
            words_max,
        })
    }

    /// The books as they are.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Number of the orders ring that the books have come to.
    pub fn reached(&self) -> u64 {
        self.reader.next_number()
    }

    /// Goes on for at most `budget` records, or hands over parts of the image that is due to `take`, which says `false`
    /// when it has no room. Returns the records read; 0 also when there is nothing to do now.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn step(
        &mut self,
        monotonic_ns: u64,
        durable: Durable,
        budget: usize,
        mut take: impl FnMut(&Part, &[u64]) -> bool,
    ) -> Result<usize, ReadError> {
        if let Some(emission) = &mut self.emission {
            while emission.make(&self.books, self.words_max) {
                if !take(&emission.part, &emission.words) {
                    return Ok(0);
                }
                emission.taken();
            }
            self.emission = None;
        }
        self.reader.set_until(durable.epoch, durable.until);
        let mut count = 0;
        while count < budget {
            let Some(entry) = self.reader.next()? else { break };
            self.books.apply(&entry);
            count += 1;
        }
        self.epoch = self.reader.epoch();
        if self.interval_ns > 0 && monotonic_ns >= self.next_ns && self.is_between_records() {
            self.begin();
            self.next_ns = monotonic_ns.saturating_add(self.interval_ns);
        }
        Ok(count)
    }

    /// An epoch of which nothing was read yet cannot be imaged, and the same image is not made twice.
    fn is_between_records(&self) -> bool {
        self.epoch.is_some_and(|epoch| self.imaged != Some((epoch, self.reached())))
    }

    fn begin(&mut self) {
        let Some(epoch) = self.epoch else { return };
        let n = self.reached();
        self.imaged = Some((epoch, n));
        let mut instruments: Vec<u32> = self.books.instruments().collect();
        instruments.sort_unstable();
        self.emission = Some(Box::new(Emission {
            part: Part { epoch, n, part: 0, last: false, orders: 0 },
            instruments,
            at: 0,
            order: 0,
            orders: Vec::new(),
            bids: 0,
            words: Vec::with_capacity(self.words_max),
            ready: false,
        }));
    }
}

impl Emission {
    /// Fills `words` with the next part. `false` when the last was taken.
    fn make(&mut self, books: &Books, words_max: usize) -> bool {
        if self.ready {
            return true;
        }
        if self.part.last {
            return false;
        }
        self.words.clear();
        self.words.push(if books.unseen_complete() { UNSEEN_COMPLETE } else { 0 });
        self.part.orders = 0;
        while let Some(instrument) = self.instruments.get(self.at).copied() {
            if self.order == 0 {
                self.bids = books.orders(instrument, &mut self.orders);
            }
            let room = words_max.saturating_sub(self.words.len() + SECTION_WORDS) / ORDER_WORDS;
            let left = &self.orders[self.order..];
            if self.words.len() + SECTION_WORDS > words_max || (room == 0 && !left.is_empty()) {
                break;
            }
            let taken = left.len().min(room);
            let bids = self.bids.saturating_sub(self.order).min(taken);
            let complete = if books.is_complete(instrument) { COMPLETE } else { 0 };
            let continued = if self.order > 0 { CONTINUED } else { 0 };
            self.words.push(u64::from(instrument) | complete | continued);
            self.words.push(bids as u64 | ((taken - bids) as u64) << 32);
            for order in &left[..taken] {
                self.words.extend([order.id, order.price as u64, order.quantity]);
            }
            self.part.orders += taken as u32;
            if self.order + taken < self.orders.len() {
                self.order += taken;
                break;
            }
            (self.at, self.order) = (self.at + 1, 0);
        }
        self.part.last = self.at == self.instruments.len();
        self.ready = true;
        true
    }

    fn taken(&mut self) {
        self.ready = false;
        if !self.part.last {
            self.part.part += 1;
        }
    }
}

/// Takes the sections of a part into `books`. `offset` is where its block begins, for what it says when they are wrong.
pub(crate) fn apply_part(words: &[u64], first: bool, offset: u64, books: &mut Books) -> Result<(), Damage> {
    let Some((flags, mut rest)) = words.split_first() else {
        return Err(Damage::rule(offset, "payload bytes", 0, "at least 8 bytes of image"));
    };
    if first {
        books.begin(flags & UNSEEN_COMPLETE != 0);
    }
    while let Some((&[head, counts], orders)) = rest.split_first_chunk::<SECTION_WORDS>() {
        let (bids, asks) = (counts as u32 as usize, (counts >> 32) as usize);
        let Some((orders, behind)) = orders.split_at_checked((bids + asks).saturating_mul(ORDER_WORDS)) else {
            return Err(Damage::unless_at_most(
                offset,
                "orders of a section",
                (bids + asks) as u64,
                orders.len() as u64 / 3,
            )
            .err()
            .unwrap_or_else(|| Damage::rule(offset, "orders of a section", counts, "what the part holds")));
        };
        let instrument = head as u32;
        for (place, order) in orders.as_chunks::<ORDER_WORDS>().0.iter().enumerate() {
            let side = if place < bids { Side::Bid } else { Side::Ask };
            let [id, price, quantity] = *order;
            books.state_order(instrument, id, side, price as i64, quantity);
        }
        books.state_book(instrument, head & COMPLETE != 0);
        rest = behind;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Damage::rule(offset, "payload bytes", words.len() as u64 * 8, "whole sections"))
    }
}

/// Books as of the last whole image of `epoch` whose number is at most `n`, with the number from which on the orders ring
/// has to be read, and the epoch. `None` when there is no such image. An image with a damaged part is passed over for the
/// one before.
///
/// # Errors
/// [`ReadError::Io`].
pub fn load(journal: &Journal, epoch: u64, n: u64, limit: usize) -> Result<Option<(Books, u64, u64)>, ReadError> {
    let mut scratch = Pages::new(ALIGN);
    let mut found: Vec<(u64, BlockEntry)> = Vec::new();
    for file in journal.files().iter().rev().filter(|file| file.epoch == epoch && file.first[0] <= n) {
        let opened = journal.folder().open(file.number);
        let opened = match opened {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
            other => other.map_err(|source| ReadError::Io { file: file.number, offset: 0, source })?,
        };
        let index = match FileIndex::read(file.number, opened.as_ref(), &mut scratch) {
            Err(ReadError::Damaged { .. }) => continue,
            other => other?,
        };
        let images = index.blocks().iter().filter(|entry| {
            let BlockHeader { kind, first, .. } = entry.header;
            kind == BlockKind::Image && first <= n
        });
        // What was found in later files stands behind what this one has.
        found.splice(0..0, images.map(|entry| (file.number, *entry)));
        for parts in whole_images(&found).into_iter().rev() {
            let mut books = Books::new(false, limit);
            if load_parts(journal, parts, &mut scratch, &mut books)? {
                return Ok(Some((books, parts[0].1.header.first, epoch)));
            }
        }
    }
    Ok(None)
}

/// The rows of parts 0 to last that stand one behind the other.
fn whole_images(found: &[(u64, BlockEntry)]) -> Vec<&[(u64, BlockEntry)]> {
    let mut whole = Vec::new();
    let mut begin = 0;
    for (at, (_, entry)) in found.iter().enumerate() {
        let header = &entry.header;
        let part = header.detail & (LAST - 1);
        if part == 0 {
            begin = at;
        }
        let expected = (at - begin) as u64;
        if part != expected || header.first != found[begin].1.header.first {
            begin = at + 1;
        } else if header.detail & LAST != 0 {
            whole.push(&found[begin..=at]);
            begin = at + 1;
        }
    }
    whole
}

fn load_parts(
    journal: &Journal,
    parts: &[(u64, BlockEntry)],
    scratch: &mut Pages,
    books: &mut Books,
) -> Result<bool, ReadError> {
    let mut open: Option<(u64, Box<dyn ReadAt>)> = None;
    for (place, (number, entry)) in parts.iter().enumerate() {
        let io = |source| ReadError::Io { file: *number, offset: entry.offset, source };
        if open.as_ref().is_none_or(|(opened, _)| opened != number) {
            open = match journal.folder().open(*number) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                other => Some((*number, other.map_err(io)?)),
            };
        }
        let Some((_, file)) = &open else { return Ok(false) };
        scratch.make_room(entry.header.bytes());
        let block = &mut scratch.bytes_mut()[..entry.header.bytes()];
        let got = read_full(file.as_ref(), entry.offset, block).map_err(io)?;
        if verify_payload(&entry.header, entry.offset, &block[..got]).is_err() {
            return Ok(false);
        }
        if cfg!(target_endian = "big") {
            scratch.words_mut().iter_mut().for_each(|word| *word = u64::from_le(*word));
        }
        let words = entry.header.payload_bytes as usize / 8;
        let payload = &scratch.words()[BLOCK_HEADER_WORDS..][..words];
        if apply_part(payload, place == 0, entry.offset, books).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Books as of number `n` of an epoch's orders ring: the last image before it and the records since. Returns them with the
/// reader that stands there. Without an image, from the epoch's first record on.
///
/// # Errors
/// [`SeekError`] when the journal does not have that number.
pub fn books_at(journal: &Journal, epoch: u64, n: u64, limit: usize) -> Result<(Books, Reader), SeekError> {
    let (mut books, mut reader) = match load(journal, epoch, n, limit)? {
        Some((books, from, epoch)) => (books, journal.seek(RingName::Orders, epoch, from)?),
        None => {
            let file = journal.files().iter().find(|file| file.epoch == epoch);
            let file = file.ok_or(SeekError::UnknownEpoch { epoch })?;
            let begins = file.first[0] == 0 && file.old_epoch == 0;
            (Books::new(begins, limit), journal.seek(RingName::Orders, epoch, file.first[0])?)
        }
    };
    while reader.next_number() < n {
        match reader.next()? {
            Some(Entry::Epoch(step)) => return Err(SeekError::Beyond { next: step.old_end }),
            Some(entry) => books.apply(&entry),
            None => return Err(SeekError::Beyond { next: reader.next_number() }),
        }
    }
    Ok((books, reader))
}
