//! What stands in a journal file. `FORMAT.md` says the same in words; a test holds golden bytes against both.
//!
//! A file is a header of 4 KiB and then blocks, each of which begins and ends at a multiple of 4 KiB. All numbers are
//! little-endian words of 64 bits or parts of them.

mod block;
mod file;
mod slots;

pub use block::{BlockHeader, BlockKind, HoleReason, MARK_WORDS, Mark, MarkReason, seal_block, verify_payload};
pub use file::FileHeader;
pub use slots::{SlotRecords, TimeSpan, record_span};
pub(crate) use slots::{published_ns, write_record};

/// First eight bytes of a file: `TLJOURNL`.
pub const FILE_MAGIC: u64 = u64::from_le_bytes(*b"TLJOURNL");
/// First four bytes of a block: `TLBK`.
pub const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"TLBK");
/// Version of the format: the upper 32 bits are the major version, and readers refuse another one.
pub const FORMAT_VERSION: u64 = 1 << 32;
/// Blocks begin and end at multiples of this many bytes; also the size of the file header.
///
/// A block that is durable is never written again, not even a sector of it: without this rule the next block would
/// rewrite the last sector of the one before, and a power loss could tear what was already promised. It is also what
/// direct I/O asks for. The price is 2 KiB per block on average: under 1 % of full blocks, and for a ring with little to
/// say at most 4 KiB per flush interval.
pub const ALIGN: usize = 4096;
/// Most bytes of a block, header and padding included. Nothing that a file says makes a reader take more memory.
pub const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Bytes of a block's header.
pub const BLOCK_HEADER_BYTES: usize = 64;
/// Words of a block's header.
pub const BLOCK_HEADER_WORDS: usize = BLOCK_HEADER_BYTES / 8;
/// Bytes that a slot takes in a block: its words without the stamp, which follows from its number.
pub const SLOT_BYTES: usize = shm_abi::slot::SLOT_WORDS * 8;
/// Most slots of one block.
pub const BLOCK_SLOTS_MAX: usize = (BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES) / SLOT_BYTES;

/// Bytes that a block with this payload takes in the file.
pub const fn block_bytes(payload_bytes: usize) -> usize {
    (BLOCK_HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN)
}

/// Name of the file with this number: twelve decimal digits, so that names sort like numbers.
pub fn file_name(number: u64) -> String {
    format!("{number:012}.tlj")
}

/// Number in a file's name; `None` for a name that [`file_name`] does not give.
pub fn file_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".tlj")?;
    let number = digits.parse().ok()?;
    (file_name(number) == name).then_some(number)
}
