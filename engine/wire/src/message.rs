//! Where a message lies: what sessions hand to the code that decodes.

/// Most messages of one batch: their lines of cache are asked for together.
pub const BATCH: usize = 32;

/// Place of one message in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageAt {
    /// The venue's sequence, from 1 in each session.
    pub sequence: u64,
    /// Offset of its first byte, the type.
    pub at: u32,
    /// Its bytes. 0 is legal on UDP: an empty message that still uses up a number.
    pub len: u32,
}
