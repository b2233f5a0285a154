//! The header of a file.

use shm_abi::ABI_VERSION;
use shm_abi::directory::Text;
use shm_abi::layout::{fnv_words, is_lane_name, layout_hash};
use shm_abi::ring::SEQUENCE_LIMIT;

use super::{ALIGN, BLOCK_BYTES_MAX, FILE_MAGIC, FORMAT_VERSION};
use crate::damage::Damage;

/// Words of the header.
const WORDS: usize = ALIGN / 8;

/// Words of the header; those that have no name are zero.
mod word {
    pub(super) const MAGIC: usize = 0;
    pub(super) const FORMAT_VERSION: usize = 1;
    pub(super) const ABI_VERSION: usize = 2;
    pub(super) const LAYOUT_HASH: usize = 3;
    pub(super) const ALIGN: usize = 4;
    pub(super) const BLOCK_BYTES_MAX: usize = 5;
    pub(super) const NUMBER: usize = 6;
    pub(super) const CREATED_NS: usize = 7;
    pub(super) const LANE: usize = 8;
    pub(super) const EPOCH: usize = 12;
    pub(super) const INCARNATION: usize = 13;
    pub(super) const OLD_EPOCH: usize = 14;
    pub(super) const FLAGS: usize = 15;
    pub(super) const FIRST: usize = 16;
    pub(super) const PRIOR_LATEST_NS: usize = 18;
    pub(super) const CHECKSUM: usize = super::WORDS - 1;
}

/// Who a file is: one lane, epoch and incarnation, and the numbers that it goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// Number of the file in its folder; rises by time.
    pub number: u64,
    /// Wall-clock time of its creation, ns since the UNIX epoch.
    pub created_ns: u64,
    /// Lane name.
    pub lane: Text<32>,
    /// Names the sequence.
    pub epoch: u64,
    /// Names the mapping that was read.
    pub incarnation: u64,
    /// Epoch before this one; 0: unknown.
    pub old_epoch: u64,
    /// The segment's header flags: see [`shm_abi::layout::FLAG_REPLAY`].
    pub flags: u64,
    /// By ring: number of the first slot that the file speaks of, as slots or as a hole.
    pub first: [u64; 2],
    /// By ring: latest publish time of all earlier files of the folder, ns since the UNIX epoch; 0: none. A search by
    /// time finds its file by this alone.
    pub prior_latest_ns: [u64; 2],
}

impl FileHeader {
    /// The header as words, in the machine's byte order, and the salt of the file's block checksums.
    pub fn words(&self) -> ([u64; WORDS], u64) {
        let mut words = [0; WORDS];
        words[word::MAGIC] = FILE_MAGIC;
        words[word::FORMAT_VERSION] = FORMAT_VERSION;
        words[word::ABI_VERSION] = ABI_VERSION;
        words[word::LAYOUT_HASH] = layout_hash();
        words[word::ALIGN] = ALIGN as u64;
        words[word::BLOCK_BYTES_MAX] = BLOCK_BYTES_MAX as u64;
        words[word::NUMBER] = self.number;
        words[word::CREATED_NS] = self.created_ns;
        for (word, bytes) in words[word::LANE..].iter_mut().zip(self.lane.bytes().chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
        }
        words[word::EPOCH] = self.epoch;
        words[word::INCARNATION] = self.incarnation;
        words[word::OLD_EPOCH] = self.old_epoch;
        words[word::FLAGS] = self.flags;
        words[word::FIRST..][..2].copy_from_slice(&self.first);
        words[word::PRIOR_LATEST_NS..][..2].copy_from_slice(&self.prior_latest_ns);
        let salt = fnv_words(&words[..word::CHECKSUM]);
        words[word::CHECKSUM] = salt;
        (words, salt)
    }

    /// Reads the header from the first [`ALIGN`] bytes of a file. Returns it with the salt of the file's block checksums:
    /// the header's own checksum, so that a block of another file is never taken for one of this.
    ///
    /// # Errors
    /// The first field that is wrong, in the order length, magic, version, checksum, then the others.
    pub fn parse(bytes: &[u8]) -> Result<(FileHeader, u64), Damage> {
        let Some(bytes) = bytes.first_chunk::<ALIGN>() else {
            return Err(Damage::rule(0, "file length", bytes.len() as u64, "at least 4096 bytes of header"));
        };
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
        }
        Damage::unless_is(0, "file magic", words[word::MAGIC], FILE_MAGIC)?;
        let version = words[word::FORMAT_VERSION];
        if version >> 32 != FORMAT_VERSION >> 32 {
            return Err(Damage::rule(0, "format version", version, "major version 1"));
        }
        let salt = fnv_words(&words[..word::CHECKSUM]);
        Damage::unless_is(0, "file header checksum", words[word::CHECKSUM], salt)?;
        let abi = words[word::ABI_VERSION];
        Damage::unless_is(0, "ABI major version", abi >> 32, ABI_VERSION >> 32)?;
        Damage::unless_is(0, "layout hash", words[word::LAYOUT_HASH], layout_hash())?;
        Damage::unless_is(0, "block alignment", words[word::ALIGN], ALIGN as u64)?;
        Damage::unless_at_most(0, "largest block", words[word::BLOCK_BYTES_MAX], BLOCK_BYTES_MAX as u64)?;
        let lane: [u8; 32] = std::array::from_fn(|i| words[word::LANE + i / 8].to_le_bytes()[i % 8]);
        let lane = Text::new(&lane);
        if !is_lane_name(lane.as_str()) {
            return Err(Damage::rule(0, "lane name", words[word::LANE], "1 to 31 characters of a-z, 0-9, '-' and '_'"));
        }
        let pair = |at: usize| [words[at], words[at + 1]];
        let first = pair(word::FIRST);
        for n in first {
            Damage::unless_at_most(0, "first number", n, SEQUENCE_LIMIT)?;
        }
        let header = FileHeader {
            number: words[word::NUMBER],
            created_ns: words[word::CREATED_NS],
            lane,
            epoch: words[word::EPOCH],
            incarnation: words[word::INCARNATION],
            old_epoch: words[word::OLD_EPOCH],
            flags: words[word::FLAGS],
            first,
            prior_latest_ns: pair(word::PRIOR_LATEST_NS),
        };
        Ok((header, salt))
    }
}
