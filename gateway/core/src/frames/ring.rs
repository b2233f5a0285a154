//! The shard's frame ring: what many connections get is encoded once, stands here in one piece, and outboxes refer to
//! it by number.
//!
//! Both of its parts are rings: the bytes, and the entries that say where a frame stands. The oldest frames make room,
//! whoever still needs them: who refers to a lost one finds out by [`FrameRing::get`] and is conflated.

use crate::limits::LimitError;

/// Most bytes of one frame, header included. The longest update, of depth with all 20 levels of both sides changed, is
/// a tenth of it.
pub const FRAME_MAX: usize = 16 << 10;

/// Fewest bytes of a ring: the frame that is pushed never takes the place of the one before it.
const BYTES_MIN: u32 = 4 * FRAME_MAX as u32;
/// Most entries: numbers are told by their low 32 bits (see [`FrameRing::widen`]), so the ring must hold far fewer.
const FRAMES_MAX: u32 = 1 << 24;

/// Where a frame stands, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frame {
    /// Position of its first byte, counted from the ring's beginning and never wrapped.
    pub start: u64,
    /// When the shard read its event, ns since the UNIX epoch.
    pub ts_gateway: u64,
    /// Bytes, header included.
    pub len: u32,
    /// The shard's number of its topic.
    pub topic: u32,
    /// Place of its dialect in the shard.
    pub dialect: u8,
}

/// Frames by number. Numbers begin at 0 and never repeat.
#[derive(Debug)]
pub struct FrameRing {
    bytes: Box<[u8]>,
    /// Position behind the newest frame, never wrapped.
    byte_head: u64,
    frames: Box<[Frame]>,
    /// Number of the next frame.
    frame_head: u64,
}

impl FrameRing {
    /// An empty ring of `byte_count` bytes and `frame_count` entries.
    ///
    /// # Errors
    /// One of the two is no power of two, or out of its range; fields are named as in `[limits]`.
    pub fn new(byte_count: u32, frame_count: u32) -> Result<FrameRing, LimitError> {
        if !byte_count.is_power_of_two() || byte_count < BYTES_MIN {
            let expected = "a power of two, at least 65536";
            return Err(LimitError { field: "frame_ring_bytes", value: byte_count, expected });
        }
        if !frame_count.is_power_of_two() || frame_count > FRAMES_MAX {
            let expected = "a power of two, at most 16777216";
            return Err(LimitError { field: "frame_ring_frames", value: frame_count, expected });
        }
        Ok(FrameRing {
            bytes: vec![0; byte_count as usize].into(),
            byte_head: 0,
            frames: vec![Frame::default(); frame_count as usize].into(),
            frame_head: 0,
        })
    }

    /// Copies a frame in and returns its number. `None`, and nothing happens, when it is longer than [`FRAME_MAX`]:
    /// count it.
    #[inline]
    pub fn push(&mut self, topic: u32, dialect: u8, ts_gateway: u64, frame: &[u8]) -> Option<u64> {
        if frame.len() > FRAME_MAX {
            return None;
        }
        if self.offset(self.byte_head) + frame.len() > self.bytes.len() {
            // It would go over the end: it begins at the beginning, so that it stands in one piece.
            self.byte_head = self.byte_head.next_multiple_of(self.bytes.len() as u64);
        }
        let (start, number) = (self.byte_head, self.frame_head);
        let offset = self.offset(start);
        self.bytes[offset..offset + frame.len()].copy_from_slice(frame);
        let entry = self.entry(number);
        self.frames[entry] = Frame { start, ts_gateway, len: frame.len() as u32, topic, dialect };
        self.byte_head += frame.len() as u64;
        self.frame_head += 1;
        Some(number)
    }

    /// Number of the next frame.
    #[inline]
    pub fn head(&self) -> u64 {
        self.frame_head
    }

    /// The frame of that number, while both its entry and every byte of it are still here. Where one is lost, so are
    /// all before it.
    #[inline]
    pub fn get(&self, number: u64) -> Option<Frame> {
        if number >= self.frame_head || self.frame_head - number > self.frames.len() as u64 {
            return None;
        }
        let frame = self.frames[self.entry(number)];
        // What stands behind a position is written over by what is pushed one length of the ring later.
        (self.byte_head - frame.start <= self.bytes.len() as u64).then_some(frame)
    }

    /// Bytes of a frame that [`FrameRing::get`] just gave; after another push they may be those of a newer one.
    #[inline]
    pub fn bytes(&self, frame: &Frame) -> &[u8] {
        let offset = self.offset(frame.start);
        &self.bytes[offset..offset + frame.len as usize]
    }

    /// The number whose low 32 bits these are, of the last 2^32 that were given. Of bits that no frame has had yet, a
    /// number that [`FrameRing::get`] knows nothing of.
    #[inline]
    pub fn widen(&self, low: u32) -> u64 {
        let newest = self.frame_head.wrapping_sub(1);
        newest.wrapping_sub((newest as u32).wrapping_sub(low).into())
    }

    #[inline]
    fn offset(&self, position: u64) -> usize {
        position as usize & (self.bytes.len() - 1)
    }

    #[inline]
    fn entry(&self, number: u64) -> usize {
        number as usize & (self.frames.len() - 1)
    }
}

#[cfg(test)]
mod tests;
