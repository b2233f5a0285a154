//! Copies of a feed's packets for whoever looks: a bounded ring from one writer to one reader, without locks, and without
//! allocation after it was made.
//!
//! The writer never waits: what finds no room is dropped and counted, and the count is handed over with the next packet
//! that does. While nobody looks it costs one load of a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Words of a ring: 256 KiB a feed, room for a read's worth of the largest packets. A power of two.
const RING_WORDS: usize = 1 << 15;
/// Longest packet, in bytes: the length field of every protocol here has 16 bits, and its two own bytes.
pub(crate) const TAP_PACKET_BYTES_MAX: usize = (1 << 16) + 2;
/// Words before an entry's bytes: length and kind, receive stamp, sequence, packets dropped so far.
const HEADER_WORDS: usize = 4;
const _: () = assert!(RING_WORDS.is_power_of_two() && TAP_PACKET_BYTES_MAX.div_ceil(8) + HEADER_WORDS < RING_WORDS);

/// What an entry's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TapKind {
    /// A SoupBinTCP packet without its length field: type byte, then payload. Received.
    Soup = 1,
    /// A whole MoldUDP64 datagram.
    Mold = 2,
    /// A whole IEX-TP segment.
    IexTp = 3,
}

impl TapKind {
    fn from_code(code: u64) -> Option<TapKind> {
        match code {
            1 => Some(TapKind::Soup),
            2 => Some(TapKind::Mold),
            3 => Some(TapKind::IexTp),
            _ => None,
        }
    }
}

/// One packet as the reader gets it; the bytes are in the buffer it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TapEntry {
    pub(crate) kind: TapKind,
    /// Line it came on: 0 is A (and every TCP feed), 1 is B, 2 is recovery.
    pub(crate) line: u8,
    /// CLOCK_REALTIME of its receipt, ns.
    pub(crate) ts_recv: u64,
    /// Sequence of its first message; 0 where it has none.
    pub(crate) sequence: u64,
    /// Packets dropped since the tap was made, before this one.
    pub(crate) dropped: u64,
}

#[derive(Debug)]
struct Ring {
    wanted: AtomicBool,
    /// Words written, ever. Only the writer stores it.
    head: AtomicU64,
    /// Words read, ever. Only the reader stores it.
    tail: AtomicU64,
    dropped: AtomicU64,
    words: Box<[AtomicU64]>,
}

impl Ring {
    fn word(&self, at: u64) -> &AtomicU64 {
        &self.words[at as usize & (RING_WORDS - 1)]
    }
}

/// The feed task's end.
#[derive(Debug)]
pub(crate) struct TapWriter {
    ring: Arc<Ring>,
    head: u64,
    dropped: u64,
}

/// The server's end.
#[derive(Debug)]
pub(crate) struct TapReader {
    ring: Arc<Ring>,
}

/// A ring that nobody reads yet.
pub(crate) fn tap_ring() -> (TapWriter, TapReader) {
    let words: Box<[AtomicU64]> = (0..RING_WORDS).map(|_| AtomicU64::new(0)).collect();
    let ring = Arc::new(Ring {
        wanted: AtomicBool::new(false),
        head: AtomicU64::new(0),
        tail: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
        words,
    });
    (TapWriter { ring: ring.clone(), head: 0, dropped: 0 }, TapReader { ring })
}

impl TapWriter {
    /// Whether anybody looks. Ask before every push: it is all that a tap costs otherwise.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.ring.wanted.load(Ordering::Relaxed)
    }

    /// Copies a packet, or counts it as dropped when there is no room for it. Never waits, never allocates.
    pub(crate) fn push(&mut self, kind: TapKind, line: u8, ts_recv: u64, sequence: u64, bytes: &[u8]) {
        let need = (HEADER_WORDS + bytes.len().div_ceil(8)) as u64;
        // Acquire: the reader has finished with the words that it gave back.
        let used = self.head - self.ring.tail.load(Ordering::Acquire);
        if bytes.len() > TAP_PACKET_BYTES_MAX || used + need > RING_WORDS as u64 {
            self.dropped += 1;
            self.ring.dropped.store(self.dropped, Ordering::Relaxed);
            return;
        }
        let first = bytes.len() as u64 | (kind as u64) << 32 | u64::from(line) << 40;
        let header = [first, ts_recv, sequence, self.dropped];
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let body = words.iter().chain((!rest.is_empty()).then_some(&last)).map(|word| u64::from_le_bytes(*word));
        for (offset, word) in header.into_iter().chain(body).enumerate() {
            self.ring.word(self.head + offset as u64).store(word, Ordering::Relaxed);
        }
        self.head += need;
        // Release: whoever sees this head sees the words before it.
        self.ring.head.store(self.head, Ordering::Release);
    }
}

impl TapReader {
    /// Begins or ends looking. What was left from the last time is passed over.
    pub(crate) fn open(&mut self, wanted: bool) {
        if wanted && !self.ring.wanted.load(Ordering::Relaxed) {
            self.ring.tail.store(self.ring.head.load(Ordering::Acquire), Ordering::Release);
        }
        self.ring.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Packets dropped since the ring was made.
    pub(crate) fn dropped(&self) -> u64 {
        self.ring.dropped.load(Ordering::Relaxed)
    }

    /// The next packet; its bytes replace what is in `bytes`.
    pub(crate) fn next(&mut self, bytes: &mut Vec<u8>) -> Option<TapEntry> {
        let tail = self.ring.tail.load(Ordering::Relaxed);
        // Acquire: pairs with the writer's Release, so the words before this head are whole.
        if self.ring.head.load(Ordering::Acquire) == tail {
            return None;
        }
        let word = |offset: usize| self.ring.word(tail + offset as u64).load(Ordering::Relaxed);
        let first = word(0);
        let len = (first & 0xffff_ffff) as usize;
        let count = len.div_ceil(8);
        bytes.clear();
        for offset in 0..count {
            bytes.extend_from_slice(&word(HEADER_WORDS + offset).to_le_bytes());
        }
        bytes.truncate(len);
        let entry = TapEntry {
            kind: TapKind::from_code(first >> 32 & 0xff).expect("only the writer of this process writes the ring"),
            line: (first >> 40) as u8,
            ts_recv: word(1),
            sequence: word(2),
            dropped: word(3),
        };
        // Release: the writer may use the words again only after they were read.
        self.ring.tail.store(tail + (HEADER_WORDS + count) as u64, Ordering::Release);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_as_they_went_in() {
        let (mut writer, mut reader) = tap_ring();
        assert!(!writer.is_wanted());
        reader.open(true);
        assert!(writer.is_wanted());
        let mut bytes = vec![9; 3];
        assert_eq!(reader.next(&mut bytes), None);
        // Lengths around the word size, and enough of them to go round the ring several times.
        for round in 0..3_000u64 {
            let packet: Vec<u8> = (0..round % 200).map(|i| (i + round) as u8).collect();
            writer.push(TapKind::Mold, (round % 3) as u8, round, round + 7, &packet);
            let entry = reader.next(&mut bytes).unwrap();
            assert_eq!(bytes, packet);
            let line = (round % 3) as u8;
            assert_eq!(entry, TapEntry { kind: TapKind::Mold, line, ts_recv: round, sequence: round + 7, dropped: 0 });
            assert_eq!(reader.next(&mut bytes), None);
        }
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_told_with_the_next() {
        let (mut writer, mut reader) = tap_ring();
        reader.open(true);
        let largest = vec![1; TAP_PACKET_BYTES_MAX];
        let fit = RING_WORDS / (HEADER_WORDS + TAP_PACKET_BYTES_MAX.div_ceil(8));
        for sequence in 0..fit as u64 + 2 {
            writer.push(TapKind::Soup, 0, 0, sequence, &largest);
        }
        writer.push(TapKind::Soup, 0, 0, 99, &vec![1; TAP_PACKET_BYTES_MAX + 1]);
        assert_eq!(reader.dropped(), 3);
        let mut bytes = Vec::new();
        for sequence in 0..fit as u64 {
            let entry = reader.next(&mut bytes).unwrap();
            assert_eq!((entry.sequence, entry.dropped, bytes.len()), (sequence, 0, TAP_PACKET_BYTES_MAX));
        }
        assert_eq!(reader.next(&mut bytes), None);
        writer.push(TapKind::Soup, 0, 0, 7, b"x");
        assert_eq!(reader.next(&mut bytes).map(|entry| entry.dropped), Some(3));
    }

    #[test]
    fn a_new_look_does_not_show_what_the_last_one_left() {
        let (mut writer, mut reader) = tap_ring();
        reader.open(true);
        writer.push(TapKind::IexTp, 0, 0, 1, b"old");
        reader.open(false);
        assert!(!writer.is_wanted());
        reader.open(true);
        let mut bytes = Vec::new();
        assert_eq!(reader.next(&mut bytes), None);
        writer.push(TapKind::IexTp, 0, 0, 2, b"new");
        assert_eq!(reader.next(&mut bytes).map(|entry| entry.sequence), Some(2));
        assert_eq!(bytes, b"new");
    }

    #[test]
    fn two_threads_agree() {
        let (mut writer, mut reader) = tap_ring();
        reader.open(true);
        let packets = 20_000u64;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for sequence in 1..=packets {
                    let len = (sequence % 50) as usize;
                    writer.push(TapKind::Mold, 0, 0, sequence, &[sequence as u8; 50][..len]);
                }
            });
            let (mut bytes, mut last, mut seen) = (Vec::new(), 0, 0);
            while last < packets && seen + reader.dropped() < packets {
                let Some(entry) = reader.next(&mut bytes) else { continue };
                assert!(entry.sequence > last, "in order");
                assert_eq!(bytes, vec![entry.sequence as u8; (entry.sequence % 50) as usize]);
                (last, seen) = (entry.sequence, seen + 1);
                assert_eq!(entry.sequence, seen + entry.dropped, "what is missing is what was dropped");
            }
        });
    }
}
