//! One number for a sequence of records: BLAKE3 over the payload words of whole records.
//!
//! The words are those that readers get (stamps and the marks of continuation slots left out), so a strategy on the live
//! ring, a reader of the journal and a reader of a replay compute the same. Holes leave no trace: who compares digests
//! compares losses, too.
//!
//! Source: decisions.md 22.

use std::fmt;

use zerocopy::IntoBytes;

/// Words that are gathered before they are hashed: BLAKE3 is several times faster on long inputs.
const GATHERED: usize = 1 << 11;

/// A running digest of one ring.
#[derive(Clone)]
pub struct Digest {
    hasher: blake3::Hasher,
    words: Box<[u64; GATHERED]>,
    gathered: usize,
    records: u64,
}

impl Digest {
    /// Of nothing yet.
    pub fn new() -> Digest {
        Digest { hasher: blake3::Hasher::new(), words: Box::new([0; GATHERED]), gathered: 0, records: 0 }
    }

    /// Takes in a record's words.
    #[inline]
    pub fn update(&mut self, words: &[u64]) {
        self.records += 1;
        let mut rest = words;
        while !rest.is_empty() {
            let room = &mut self.words[self.gathered..];
            let len = rest.len().min(room.len());
            for (to, from) in room.iter_mut().zip(&rest[..len]) {
                *to = from.to_le();
            }
            self.gathered += len;
            rest = &rest[len..];
            if self.gathered == GATHERED {
                self.hasher.update(self.words.as_bytes());
                self.gathered = 0;
            }
        }
    }

    /// Records taken in.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The digest of what was taken in so far. More may follow.
    pub fn value(&self) -> [u8; 32] {
        let mut hasher = self.hasher.clone();
        hasher.update(self.words[..self.gathered].as_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self}, {} records)", self.records)
    }
}
