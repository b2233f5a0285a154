//! The only contract between Ticklane's processes: what stands in shared memory, bit by bit.
//!
//! A **segment** is one file per lane. Its writer maps it for writing, everybody else read-only. It holds two broadcast
//! **rings** (`orders`, `market`), the **board** (latest values, one seqlock row per instrument), the **directory**
//! (append-only instruments) and the **counters**. Nothing in it is a pointer and every shared word is an atomic, so
//! any bytes are valid bytes and a reader that races the writer is defined behaviour.
//!
//! The same layout is spelled in C in `include/ticklane.h`; a test holds the two together.
//!
//! Source: design.md section 3, decisions.md 1 to 13.

pub mod ring;
pub mod slot;
pub mod sync;
pub mod wake;

#[cfg(not(loom))]
pub mod board;
#[cfg(all(feature = "control", not(loom)))]
pub mod control;
#[cfg(not(loom))]
pub mod counters;
#[cfg(not(loom))]
pub mod cursor;
#[cfg(not(loom))]
pub mod directory;
#[cfg(not(loom))]
pub mod follow;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod fuzz_entry;
#[cfg(not(loom))]
pub mod layout;
#[cfg(not(loom))]
pub mod record;
#[cfg(not(loom))]
pub mod segment;
#[cfg(not(loom))]
pub mod sys;

pub mod seqlock;

/// Version of the layout. The upper 32 bits are the major version: readers refuse another major version, and name both.
pub const ABI_VERSION: u64 = 1 << 32 | 2;
/// First eight bytes of every segment, as a little-endian word: `TICKLANE`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"TICKLANE");
