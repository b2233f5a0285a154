//! Messages that one step of the market has made and that the caller has not yet taken.

use zerocopy::{Immutable, IntoBytes};

/// Framed messages of one step, all due at the same time or later than the one before.
#[derive(Debug, Default)]
pub(super) struct Tape {
    bytes: Vec<u8>,
    taken: usize,
    /// Messages put on the tape since the start of the market.
    pub(super) written: u64,
}

const HEAD_BYTES: usize = 9;

impl Tape {
    /// Takes the memory for `messages` messages once, so that steps need none.
    pub(super) fn with_room_for(messages: usize) -> Self {
        const LARGEST_MESSAGE: usize = 50;
        Self { bytes: Vec::with_capacity(messages * (HEAD_BYTES + LARGEST_MESSAGE)), taken: 0, written: 0 }
    }

    #[inline]
    pub(super) fn push<M: IntoBytes + Immutable>(&mut self, due_ns: u64, message: &M) {
        let message = message.as_bytes();
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(&due_ns.to_le_bytes());
        head[8] = message.len() as u8;
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(message);
        self.written += 1;
    }

    /// Appends the next message to `out` and returns its time; none when all are taken.
    #[inline]
    pub(super) fn take(&mut self, out: &mut Vec<u8>) -> Option<u64> {
        let (head, rest) = self.bytes[self.taken..].split_first_chunk::<HEAD_BYTES>()?;
        let [due @ .., len] = head;
        out.extend_from_slice(&rest[..usize::from(*len)]);
        let due_ns = u64::from_le_bytes(*due);
        self.taken += HEAD_BYTES + usize::from(*len);
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        }
        Some(due_ns)
    }
}
