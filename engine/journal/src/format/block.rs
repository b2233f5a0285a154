//! The header of a block, and the bodies of the small kinds.

use shm_abi::layout::DIRECTORY_ENTRY_WORDS;
use shm_abi::ring::{LossReason, SEQUENCE_LIMIT};
use shm_abi::segment::RingName;

use super::{BLOCK_BYTES_MAX, BLOCK_HEADER_BYTES, BLOCK_HEADER_WORDS, BLOCK_MAGIC, SLOT_BYTES, block_bytes};
use crate::damage::Damage;
use crate::{RINGS, ring_index};

/// `ring` of a block that belongs to none.
const RING_NONE: u8 = 0xff;
/// Most rows of a directory, as the segment has it.
const ROWS_MAX: u64 = 1 << 22;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BlockKind {
    /// Slots of one ring: whole records, numbers `first..end`, seven words each.
    Slots = b'S',
    /// Directory rows `first..end`, 32 words each as in the segment.
    Directory = b'D',
    /// A part of an image of the order books at number `first` of the orders ring: see [`crate::image`].
    Image = b'I',
    /// Numbers `first..end` of one ring are not in the journal: see [`HoleReason`].
    Hole = b'H',
    /// The file is over: see [`Mark`].
    Mark = b'M',
}

impl BlockKind {
    const fn from_code(code: u8) -> Option<BlockKind> {
        match code {
            b'S' => Some(BlockKind::Slots),
            b'D' => Some(BlockKind::Directory),
            b'I' => Some(BlockKind::Image),
            b'H' => Some(BlockKind::Hole),
            b'M' => Some(BlockKind::Mark),
            _ => None,
        }
    }
}

/// Why numbers are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum HoleReason {
    /// Of a newer writer.
    Unknown = 0,
    /// The ring's writer overtook the journal.
    Lapped = 1,
    /// The ring's writer says that the numbers do not exist: nothing was lost.
    Skipped = 2,
    /// The ring held something that no writer of this layout writes.
    Malformed = 3,
    /// The disk was full, and the journal's buffer too.
    DiskFull = 4,
    /// The disk was slower than the ring for longer than the journal's buffer lasts.
    DiskSlow = 5,
    /// The disk refused to write, until the journal's buffer was full.
    DiskError = 6,
    /// The one who fed the writer left them out without a word.
    Undeclared = 7,
    /// Only from readers: a block of the journal is damaged, or a file was cut before its end.
    Damaged = 8,
    /// Only from readers: the file that held them was removed by retention, or the recording began later.
    NotRecorded = 9,
}

impl HoleReason {
    /// The reason whose code this is; unknown codes of newer writers read as `Unknown`.
    pub const fn from_code(code: u8) -> HoleReason {
        match code {
            1 => HoleReason::Lapped,
            2 => HoleReason::Skipped,
            3 => HoleReason::Malformed,
            4 => HoleReason::DiskFull,
            5 => HoleReason::DiskSlow,
            6 => HoleReason::DiskError,
            7 => HoleReason::Undeclared,
            8 => HoleReason::Damaged,
            9 => HoleReason::NotRecorded,
            _ => HoleReason::Unknown,
        }
    }

    /// Lower-case name, as tools and JSON show it.
    pub const fn name(self) -> &'static str {
        match self {
            HoleReason::Unknown => "unknown",
            HoleReason::Lapped => "lapped",
            HoleReason::Skipped => "skipped",
            HoleReason::Malformed => "malformed",
            HoleReason::DiskFull => "disk_full",
            HoleReason::DiskSlow => "disk_slow",
            HoleReason::DiskError => "disk_error",
            HoleReason::Undeclared => "undeclared",
            HoleReason::Damaged => "damaged",
            HoleReason::NotRecorded => "not_recorded",
        }
    }
}

impl From<LossReason> for HoleReason {
    fn from(reason: LossReason) -> HoleReason {
        match reason {
            LossReason::Lapped => HoleReason::Lapped,
            LossReason::Skipped => HoleReason::Skipped,
            LossReason::Malformed => HoleReason::Malformed,
        }
    }
}

/// Header of a block. Its checksums are made by [`seal_block`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// What it holds.
    pub kind: BlockKind,
    /// Of which ring; `None` for directory and mark.
    pub ring: Option<RingName>,
    /// Bytes behind the header, without the padding.
    pub payload_bytes: u32,
    /// Records of slots, rows of a directory, orders of an image; 1 otherwise.
    pub count: u32,
    /// First number or row; of an image the number that it reflects: every slot before it and none from it on.
    pub first: u64,
    /// The number or row after the last; of an image equal to `first`.
    pub end: u64,
    /// Of slots: earliest publish time of the records, ns since the UNIX epoch. Otherwise the time of writing.
    pub earliest_ns: u64,
    /// Of slots: latest publish time of the records. Otherwise the time of writing.
    pub latest_ns: u64,
    /// Of a hole: [`HoleReason`]. Of an image: part in the low 32 bits, bit 32 set in the last part. Of a mark:
    /// [`MarkReason`]. Otherwise 0.
    pub detail: u64,
    /// CRC-32 of payload and padding.
    pub payload_checksum: u32,
}

impl BlockHeader {
    /// Bytes that the block takes in the file, header and padding included.
    pub const fn bytes(&self) -> usize {
        block_bytes(self.payload_bytes as usize)
    }

    /// The words but for the header's checksum.
    fn words(&self) -> [u64; BLOCK_HEADER_WORDS] {
        let ring = self.ring.map_or(RING_NONE, |ring| ring_index(ring) as u8);
        [
            u64::from(BLOCK_MAGIC) | u64::from(self.kind as u8) << 32 | u64::from(ring) << 40,
            u64::from(self.payload_bytes) | u64::from(self.count) << 32,
            self.first,
            self.end,
            self.earliest_ns,
            self.latest_ns,
            self.detail,
            u64::from(self.payload_checksum),
        ]
    }

    /// Reads the header that stands at byte `offset` of the file whose salt this is.
    ///
    /// # Errors
    /// The first field that is wrong: magic and checksum first, then what its kind asks of the others.
    pub fn parse(bytes: &[u8; BLOCK_HEADER_BYTES], salt: u64, offset: u64) -> Result<BlockHeader, Damage> {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at * 8 + i]));
        let words: [u64; BLOCK_HEADER_WORDS] = std::array::from_fn(word);
        Damage::unless_is(offset, "block magic", words[0] & 0xffff_ffff, BLOCK_MAGIC.into())?;
        let checksum = header_checksum(&words, salt, offset);
        Damage::unless_is(offset, "block header checksum", words[7] >> 32, checksum.into())?;
        let Some(kind) = BlockKind::from_code((words[0] >> 32) as u8) else {
            return Err(Damage::rule(offset, "kind", words[0] >> 32 & 0xff, "one of S D I H M"));
        };
        let ring = match (words[0] >> 40) as u8 {
            RING_NONE => None,
            code => match RINGS.get(usize::from(code)) {
                Some(ring) => Some(*ring),
                None => return Err(Damage::rule(offset, "ring", code.into(), "0, 1 or 255")),
            },
        };
        Damage::unless_is(offset, "reserved bits", words[0] >> 48, 0)?;
        let header = BlockHeader {
            kind,
            ring,
            payload_bytes: words[1] as u32,
            count: (words[1] >> 32) as u32,
            first: words[2],
            end: words[3],
            earliest_ns: words[4],
            latest_ns: words[5],
            detail: words[6],
            payload_checksum: words[7] as u32,
        };
        header.check(offset)?;
        Ok(header)
    }

    /// What a kind asks of the fields.
    fn check(&self, offset: u64) -> Result<(), Damage> {
        let payload = u64::from(self.payload_bytes);
        Damage::unless_at_most(offset, "payload bytes", payload, (BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES) as u64)?;
        let limit = if self.kind == BlockKind::Directory { ROWS_MAX } else { SEQUENCE_LIMIT };
        Damage::unless_at_most(offset, "end", self.end, limit)?;
        Damage::unless_at_most(offset, "first", self.first, self.end)?;
        let span = self.end - self.first;
        if self.ring.is_some() == matches!(self.kind, BlockKind::Directory | BlockKind::Mark) {
            return Err(Damage::rule(offset, "ring", self.ring.is_some().into(), "0 or 1 for S, I, H; 255 for D, M"));
        }
        match self.kind {
            BlockKind::Slots => {
                Damage::unless_at_least(offset, "numbers", span, 1)?;
                // The span is below 2^53 and a slot has 56 bytes: the product could only overflow where it is refused.
                Damage::unless_is(offset, "payload bytes", payload, span.saturating_mul(SLOT_BYTES as u64))?;
                Damage::unless_at_least(offset, "count", self.count.into(), 1)?;
                Damage::unless_at_most(offset, "count", self.count.into(), span)
            }
            BlockKind::Directory => {
                Damage::unless_at_least(offset, "count", self.count.into(), 1)?;
                Damage::unless_is(offset, "count", self.count.into(), span)?;
                Damage::unless_is(offset, "payload bytes", payload, span * DIRECTORY_ENTRY_WORDS as u64 * 8)
            }
            BlockKind::Image => {
                Damage::unless_is(offset, "numbers", span, 0)?;
                Damage::unless_is(offset, "payload bytes modulo 8", payload % 8, 0)?;
                Damage::unless_at_most(offset, "count", self.count.into(), payload / 8)
            }
            BlockKind::Hole => {
                Damage::unless_at_least(offset, "numbers", span, 1)?;
                Damage::unless_is(offset, "payload bytes", payload, 0)
            }
            BlockKind::Mark => Damage::unless_is(offset, "payload bytes", payload, MARK_WORDS as u64 * 8),
        }
    }
}

fn header_checksum(words: &[u64; BLOCK_HEADER_WORDS], salt: u64, offset: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = [0; 16 + BLOCK_HEADER_BYTES - 4];
    bytes[..8].copy_from_slice(&salt.to_le_bytes());
    bytes[8..16].copy_from_slice(&offset.to_le_bytes());
    for (bytes, word) in bytes[16..].chunks_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
    }
    hasher.update(&bytes);
    hasher.finalize()
}

/// Puts the header, with both checksums, in front of the payload that stands in `block` behind its first 64 bytes, for
/// byte `offset` of the file whose salt this is. The padding must be zero.
///
/// # Panics
/// When `block` is not as long as the header says.
pub fn seal_block(header: &BlockHeader, salt: u64, offset: u64, block: &mut [u8]) {
    assert_eq!(block.len(), header.bytes(), "a block as long as its header says");
    let (head, payload) = block.split_at_mut(BLOCK_HEADER_BYTES);
    let sealed = BlockHeader { payload_checksum: crc32fast::hash(payload), ..*header };
    let mut words = sealed.words();
    words[7] |= u64::from(header_checksum(&words, salt, offset)) << 32;
    for (bytes, word) in head.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}

/// Holds payload and padding of a whole block against the header's checksum.
///
/// # Errors
/// The checksum that does not fit, or a block that ends before its header says.
pub fn verify_payload(header: &BlockHeader, offset: u64, block: &[u8]) -> Result<(), Damage> {
    let Some(payload) = block.get(BLOCK_HEADER_BYTES..header.bytes()) else {
        return Err(Damage::rule(offset, "file length", offset + block.len() as u64, "the block's end"));
    };
    let seen = crc32fast::hash(payload);
    Damage::unless_is(offset, "payload checksum", seen.into(), header.payload_checksum.into())
}

/// Words of a mark's payload.
pub const MARK_WORDS: usize = 8;

/// Why a file is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum MarkReason {
    /// Of a newer writer.
    Unknown = 0,
    /// It was large or old enough; the next file goes on.
    Rotated = 1,
    /// The next file is of another epoch or incarnation.
    Epoch = 2,
    /// The recording ended in order.
    Ended = 3,
}

/// The last block of a file that was closed in order. Everything before it was on disk before it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Why. In the header's `detail`.
    pub reason: MarkReason,
    /// By ring: the next number that the file would have held. Words 0 and 1.
    pub next: [u64; 2],
    /// Epoch of the next file; 0: not known. Word 2. Words 3 to 7 are zero.
    pub next_epoch: u64,
}

impl Mark {
    /// The payload.
    pub const fn words(&self) -> [u64; MARK_WORDS] {
        [self.next[0], self.next[1], self.next_epoch, 0, 0, 0, 0, 0]
    }

    /// Reads a mark from its header and payload words.
    pub fn parse(header: &BlockHeader, words: &[u64; MARK_WORDS]) -> Mark {
        let reason = match header.detail {
            1 => MarkReason::Rotated,
            2 => MarkReason::Epoch,
            3 => MarkReason::Ended,
            _ => MarkReason::Unknown,
        };
        Mark { reason, next: [words[0], words[1]], next_epoch: words[2] }
    }
}
