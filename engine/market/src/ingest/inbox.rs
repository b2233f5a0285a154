//! The receive buffer: bytes come in at the end, packets leave at the front, and a message can be read past its end by
//! as much as the straight decode loads.

use wire::dialect::WINDOW;
use wire::soupbin::frame::PACKET_MAX_BYTES;

/// A buffer that always has room for one whole packet behind what is waiting.
#[derive(Debug)]
pub struct Inbox {
    /// `capacity` bytes to fill, then [`WINDOW`] bytes of slack that are never filled.
    bytes: Box<[u8]>,
    capacity: usize,
    start: usize,
    end: usize,
}

impl Inbox {
    /// An empty buffer of `capacity` bytes.
    ///
    /// # Panics
    /// When `capacity` cannot hold a packet: the config was checked.
    pub fn new(capacity: usize) -> Inbox {
        assert!(capacity >= PACKET_MAX_BYTES, "a packet has up to {PACKET_MAX_BYTES} bytes");
        Inbox { bytes: vec![0; capacity + WINDOW].into_boxed_slice(), capacity, start: 0, end: 0 }
    }

    /// Forgets everything: a new connection begins with a new packet.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Where the next bytes go; never empty after [`Inbox::consume`].
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..self.capacity]
    }

    /// `count` bytes were put into the space.
    ///
    /// # Panics
    /// When it is smaller.
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.capacity - self.end, "{count} bytes filled");
        self.end += count;
    }

    /// What waits.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Place of the first byte that waits.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The whole buffer, slack included: what places of messages are relative to.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes a packet of `count` bytes from the front; its bytes stay readable until [`Inbox::consume`].
    ///
    /// # Panics
    /// When fewer wait.
    pub fn take(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "{count} bytes taken");
        self.start += count;
    }

    /// Ends a burst: makes room, so that the rest of a cut packet always fits.
    pub fn consume(&mut self) {
        if self.start == self.end {
            self.clear();
        } else if self.capacity - self.start < 2 * PACKET_MAX_BYTES.min(self.capacity / 2) || self.end == self.capacity
        {
            // What waits is less than one packet, so this moves little and rarely.
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stream_in_any_pieces_comes_out_as_it_went_in() {
        // A stream of packets of the largest and smallest sizes, fed in pieces of many sizes.
        for piece in [1_usize, 2, 3, 977, 4096, 65_537, 131_072] {
            let mut inbox = Inbox::new(PACKET_MAX_BYTES * 2);
            let packets: Vec<Vec<u8>> =
                (0..40_usize).map(|i| vec![i as u8; if i % 3 == 0 { PACKET_MAX_BYTES } else { 1 + i * 7 }]).collect();
            let stream: Vec<u8> = packets.concat();
            let (mut fed, mut out) = (0, Vec::new());
            let mut next = 0;
            while next < packets.len() {
                let space = inbox.space();
                assert!(!space.is_empty(), "no room with piece {piece}");
                let count = piece.min(space.len()).min(stream.len() - fed);
                space[..count].copy_from_slice(&stream[fed..fed + count]);
                inbox.filled(count);
                fed += count;
                while next < packets.len() && inbox.waiting().len() >= packets[next].len() {
                    out.extend_from_slice(&inbox.waiting()[..packets[next].len()]);
                    inbox.take(packets[next].len());
                    next += 1;
                }
                inbox.consume();
            }
            assert!(out == stream, "piece {piece}");
        }
    }
}
