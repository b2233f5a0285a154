//! Messages held back behind a hole: a bounded store, allocated once.

use crate::time::Nanos;
use crate::{BATCH, MessageAt};

use super::sink::{LineId, Source};

/// Bytes are handed out in chunks of this size, each at least as large as the longest message.
pub(super) const CHUNK_BYTES: usize = 1 << 16;
/// Readable bytes behind the last message, so that a decoder may look beyond its end.
const PADDING_BYTES: usize = 64;

/// Place of a held message; its sequence is the slot's index, modulo the window.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    recv: Nanos,
    at: u32,
    len: u16,
    source: u8,
}

/// [`Slot::source`] of a slot that holds nothing.
const EMPTY: u8 = 0;

const fn tag(source: Source) -> u8 {
    match source {
        Source::Line(LineId::A) => 1,
        Source::Line(LineId::B) => 2,
        Source::Recovery => 3,
    }
}

const fn untag(tag: u8) -> Source {
    match tag {
        1 => Source::Line(LineId::A),
        2 => Source::Line(LineId::B),
        _ => Source::Recovery,
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Chunk {
    used: u32,
    /// Messages in it that are still held. At zero the chunk is free again.
    live: u32,
}

/// Holds messages by sequence, and their bytes in chunks that are filled front to back.
///
/// A chunk is reused when the last of its messages has left: simple, never moved, and the messages of one packet stay
/// side by side.
#[derive(Debug)]
pub(super) struct Window {
    bytes: Box<[u8]>,
    chunks: Box<[Chunk]>,
    free: Vec<u16>,
    /// The chunk being filled; it is not in `free`.
    open: u16,
    slots: Box<[Slot]>,
    held: u32,
}

/// Held messages with consecutive numbers from one packet.
pub(super) struct Run<'w> {
    pub(super) buffer: &'w [u8],
    pub(super) len: usize,
    pub(super) recv: Nanos,
    pub(super) source: Source,
}

impl Window {
    /// A window of `messages` (a power of two) and `bytes` (a multiple of [`CHUNK_BYTES`], at least one).
    pub(super) fn new(messages: u32, bytes: u32) -> Self {
        let chunks = bytes as usize / CHUNK_BYTES;
        let mut window = Self {
            bytes: vec![0; chunks * CHUNK_BYTES + PADDING_BYTES].into(),
            chunks: vec![Chunk::default(); chunks].into(),
            free: Vec::with_capacity(chunks),
            open: 0,
            slots: vec![Slot::default(); messages as usize].into(),
            held: 0,
        };
        window.clear();
        window
    }

    /// Forgets all messages.
    pub(super) fn clear(&mut self) {
        if self.held > 0 {
            self.slots.fill(Slot::default());
        }
        self.chunks.fill(Chunk::default());
        self.free.clear();
        self.free.extend((1..self.chunks.len() as u16).rev());
        (self.open, self.held) = (0, 0);
    }

    /// Messages that the window spans.
    #[inline]
    pub(super) const fn span(&self) -> u64 {
        self.slots.len() as u64
    }

    #[inline]
    pub(super) const fn held(&self) -> u32 {
        self.held
    }

    /// Whether message `sequence` is held; `next` is where the window begins.
    #[inline]
    pub(super) fn holds(&self, next: u64, sequence: u64) -> bool {
        sequence.checked_sub(next).is_some_and(|ahead| ahead < self.span())
            && self.slots[self.index(sequence)].source != EMPTY
    }

    #[inline]
    fn index(&self, sequence: u64) -> usize {
        sequence as usize & (self.slots.len() - 1)
    }

    /// Holds a message whose slot is empty and lies within the window. `false`: there is no room for its bytes.
    pub(super) fn put(&mut self, sequence: u64, message: &[u8], recv: Nanos, source: Source) -> bool {
        let Ok(len) = u16::try_from(message.len()) else { return false };
        // An empty message takes a byte as well, so that its offset lies in the chunk that counts it.
        let room = u32::from(len.max(1));
        if (self.chunks[usize::from(self.open)].used + room) as usize > CHUNK_BYTES {
            let Some(fresh) = self.free.pop() else { return false };
            // The full one is not lost: it holds messages, and is freed with the last of them.
            self.open = fresh;
        }
        let chunk = &mut self.chunks[usize::from(self.open)];
        let at = usize::from(self.open) * CHUNK_BYTES + chunk.used as usize;
        chunk.used += room;
        chunk.live += 1;
        self.bytes[at..][..message.len()].copy_from_slice(message);
        let index = self.index(sequence);
        self.slots[index] = Slot { recv, at: at as u32, len, source: tag(source) };
        self.held += 1;
        true
    }

    /// Lets go of message `sequence`, if it is held.
    pub(super) fn release(&mut self, sequence: u64) {
        let index = self.index(sequence);
        let slot = std::mem::take(&mut self.slots[index]);
        if slot.source == EMPTY {
            return;
        }
        self.held -= 1;
        let number = slot.at as usize / CHUNK_BYTES;
        let chunk = &mut self.chunks[number];
        chunk.live -= 1;
        if chunk.live == 0 {
            chunk.used = 0;
            if number != usize::from(self.open) {
                self.free.push(number as u16);
            }
        }
    }

    /// The longest run of held messages from `next` on that came in one packet; at most a batch.
    pub(super) fn run(&self, next: u64, places: &mut [MessageAt; BATCH]) -> Option<Run<'_>> {
        if self.held == 0 {
            return None;
        }
        let first = self.slots[self.index(next)];
        if first.source == EMPTY {
            return None;
        }
        let mut len = 0;
        for (sequence, place) in (next..).zip(places.iter_mut()) {
            let slot = self.slots[self.index(sequence)];
            // A window of fewer slots than a batch would come round to its own beginning; `validate` forbids that.
            if slot.source != first.source || slot.recv != first.recv {
                break;
            }
            *place = MessageAt { sequence, at: slot.at, len: u32::from(slot.len) };
            len += 1;
        }
        Some(Run { buffer: &self.bytes, len, recv: first.recv, source: untag(first.source) })
    }
}

#[cfg(test)]
mod tests;
