//! What one connection still lacks: references into the frame ring, bytes of its own, and the rest of a cut frame.

/// References that a connection may hold. One more, and it is conflated.
pub const PENDING_MAX: usize = 64;
/// Memory up to this stays with a connection once what it held is out.
const KEEP_BYTES: usize = 256;

/// A frame of the shard's ring that a connection lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Low half of the frame's number.
    pub number: u32,
    /// Low half of the event's number.
    pub seq: u32,
    /// Place of the subscription among those of the connection.
    pub subscription: u16,
}

/// A queue of fixed size.
#[derive(Debug)]
struct Pending {
    numbers: [u32; PENDING_MAX],
    seqs: [u32; PENDING_MAX],
    subscriptions: [u16; PENDING_MAX],
    first: u8,
    len: u8,
}

/// One connection's queue. Empty it owns no memory but itself.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Made with the first reference, and kept: whoever gets data once gets more.
    pending: Option<Box<Pending>>,
    /// Whole frames of this connection alone; those before `answers_at` are out.
    answers: Vec<u8>,
    answers_at: usize,
    /// Rest of the frame that the kernel cut; bytes before `tail_at` are out.
    tail: Vec<u8>,
    tail_at: usize,
}

impl Outbox {
    /// Bytes that wait here: all that a connection holds outside the frame ring.
    pub fn queued_bytes(&self) -> usize {
        self.answers().len() + self.tail().len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queued_bytes() == 0 && self.pending_len() == 0
    }

    /// Rest of a frame that is begun: it goes out before everything else.
    pub fn tail(&self) -> &[u8] {
        &self.tail[self.tail_at..]
    }

    /// Whole frames that go out after it.
    pub fn answers(&self) -> &[u8] {
        &self.answers[self.answers_at..]
    }

    /// Appends whole frames to the answers.
    pub fn answer(&mut self, frames: &[u8]) {
        self.answers.extend_from_slice(frames);
    }

    /// Nothing but what is begun and this frame goes out from now on.
    pub fn end_with(&mut self, frame: &[u8]) {
        self.clear_pending();
        self.answers.clear();
        self.answers_at = 0;
        self.answers.extend_from_slice(frame);
    }

    /// References that wait.
    pub fn pending_len(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.len.into())
    }

    /// The reference at place `index` of those that wait.
    pub fn pending(&self, index: usize) -> Option<Reference> {
        let pending = self.pending.as_ref().filter(|pending| index < pending.len.into())?;
        let at = (usize::from(pending.first) + index) % PENDING_MAX;
        let (number, seq, subscription) = (pending.numbers[at], pending.seqs[at], pending.subscriptions[at]);
        Some(Reference { number, seq, subscription })
    }

    /// Appends a reference, unless `bound` of them wait already.
    #[must_use]
    pub fn push(&mut self, reference: Reference, bound: usize) -> bool {
        let pending = self.pending.get_or_insert_with(|| {
            let (numbers, seqs, subscriptions) = ([0; PENDING_MAX], [0; PENDING_MAX], [0; PENDING_MAX]);
            Box::new(Pending { numbers, seqs, subscriptions, first: 0, len: 0 })
        });
        if usize::from(pending.len) >= bound.min(PENDING_MAX) {
            return false;
        }
        let at = (usize::from(pending.first) + usize::from(pending.len)) % PENDING_MAX;
        pending.numbers[at] = reference.number;
        pending.seqs[at] = reference.seq;
        pending.subscriptions[at] = reference.subscription;
        pending.len += 1;
        true
    }

    /// Forgets the first `count` references: they are out.
    pub fn drop_first(&mut self, count: usize) {
        if let Some(pending) = &mut self.pending {
            let count = count.min(pending.len.into());
            pending.first = ((usize::from(pending.first) + count) % PENDING_MAX) as u8;
            pending.len -= count as u8;
            if pending.len == 0 {
                // Whoever keeps up uses the same few bytes for every reference: they are likelier to be near.
                pending.first = 0;
            }
        }
    }

    /// Forgets every reference.
    pub fn clear_pending(&mut self) {
        self.drop_first(PENDING_MAX);
    }

    /// Forgets the references of one subscription; the others keep their order.
    pub fn purge(&mut self, subscription: u16) {
        for _ in 0..self.pending_len() {
            let reference = self.pending(0).expect("as many wait as were counted");
            self.drop_first(1);
            if reference.subscription != subscription {
                assert!(self.push(reference, PENDING_MAX), "one place was just made free");
            }
        }
    }

    /// The kernel took `taken` bytes: of the tail, then of the answers. A frame that it cut becomes the tail. Returns the
    /// bytes taken of what was sent behind both, and how many answers are out or begun.
    pub fn took(&mut self, taken: usize) -> (usize, u32) {
        let of_tail = taken.min(self.tail().len());
        self.tail_at += of_tail;
        let mut left = taken - of_tail;
        let mut frames = 0;
        while left > 0 && !self.answers().is_empty() {
            let len = frame_len(self.answers());
            let used = left.min(len);
            if used < len {
                self.tail.clear();
                self.tail_at = 0;
                self.tail.extend_from_slice(&self.answers[self.answers_at + used..self.answers_at + len]);
            }
            self.answers_at += len;
            left -= used;
            frames += 1;
        }
        self.tidy();
        (left, frames)
    }

    /// The kernel cut a frame that is not among the answers: this rest of it is still to go out.
    ///
    /// # Panics
    /// When the rest of another frame waits: frames go out one after the other.
    pub fn cut(&mut self, rest: &[u8]) {
        assert!(self.tail().is_empty(), "two frames are begun");
        self.tail.clear();
        self.tail_at = 0;
        self.tail.extend_from_slice(rest);
    }

    /// Gives memory back that is not needed any more.
    fn tidy(&mut self) {
        if self.tail().is_empty() {
            release(&mut self.tail);
            self.tail_at = 0;
        }
        if self.answers().is_empty() {
            release(&mut self.answers);
            self.answers_at = 0;
        } else if self.answers_at > self.answers.len() / 2 {
            self.answers.drain(..self.answers_at);
            self.answers_at = 0;
        }
    }
}

fn release(bytes: &mut Vec<u8>) {
    bytes.clear();
    if bytes.capacity() > KEEP_BYTES {
        *bytes = Vec::new();
    }
}

/// Bytes of the server frame that `bytes` begin with; all of them when they do not hold that many.
fn frame_len(bytes: &[u8]) -> usize {
    let len = match bytes {
        [_, 127, rest @ ..] => rest.first_chunk().map(|len| u64::from_be_bytes(*len).saturating_add(10)),
        [_, 126, rest @ ..] => rest.first_chunk().map(|len| u64::from(u16::from_be_bytes(*len)) + 4),
        [_, len, ..] => Some(u64::from(*len) + 2),
        _ => None,
    };
    len.and_then(|len| usize::try_from(len).ok()).unwrap_or(usize::MAX).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(number: u32) -> Reference {
        Reference { number, seq: number + 1000, subscription: (number % 3) as u16 }
    }

    fn numbers(outbox: &Outbox) -> Vec<u32> {
        (0..outbox.pending_len()).map(|i| outbox.pending(i).unwrap().number).collect()
    }

    fn frame(len: usize) -> Vec<u8> {
        let mut bytes = match len {
            0..126 => vec![0x81, len as u8],
            126..65536 => [vec![0x81, 126], (len as u16).to_be_bytes().to_vec()].concat(),
            _ => [vec![0x81, 127], (len as u64).to_be_bytes().to_vec()].concat(),
        };
        bytes.extend((0..len).map(|i| i as u8));
        bytes
    }

    #[test]
    fn references_are_bounded_and_in_order() {
        let mut outbox = Outbox::default();
        for round in 0..100 {
            assert!(outbox.push(reference(round), 3));
            outbox.drop_first(usize::from(round >= 2));
        }
        assert_eq!(numbers(&outbox), [98, 99]);
        assert!(outbox.push(reference(100), 3) && !outbox.push(reference(101), 3));
        outbox.purge(0);
        assert_eq!(numbers(&outbox), [98, 100]);
        assert_eq!(outbox.pending(0), Some(reference(98)));
        outbox.clear_pending();
        assert!(outbox.is_empty() && outbox.pending(0).is_none());
        for number in 0..64 {
            assert!(outbox.push(reference(number), 1000));
        }
        assert!(!outbox.push(reference(64), 1000), "no more than there is room for");
    }

    #[test]
    fn lengths_of_frames() {
        for len in [0, 1, 125, 126, 127, 65535, 65536] {
            let mut bytes = frame(len);
            let whole = bytes.len();
            bytes.push(0x81);
            assert_eq!(frame_len(&bytes), whole);
        }
        assert_eq!(
            frame_len(&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255]),
            10,
            "no longer than there are bytes"
        );
        assert_eq!(frame_len(&[0x81]), 1);
    }

    #[test]
    fn the_end_lets_a_begun_frame_finish() {
        let mut outbox = Outbox::default();
        outbox.answer(&[frame(10), frame(20)].concat());
        assert!(outbox.push(reference(1), 64));
        assert_eq!(outbox.took(5), (0, 1));
        outbox.end_with(&frame(2));
        assert_eq!((outbox.tail(), outbox.answers()), (&frame(10)[5..], &frame(2)[..]));
        assert_eq!(outbox.pending_len(), 0);
        assert_eq!(outbox.took(12), (1, 1));
        assert!(outbox.is_empty());
    }

    proptest! {
        /// However the kernel takes them, the bytes are those that were queued, and answers begin at a frame.
        #[test]
        fn bytes_go_out_as_they_came(
            lens in prop::collection::vec(0usize..400, 1..20),
            takes in prop::collection::vec(0usize..300, 1..200),
        ) {
            let mut outbox = Outbox::default();
            let (mut want, mut got) = (Vec::new(), Vec::new());
            let mut lens = lens.into_iter();
            for take in takes {
                if let Some(len) = lens.next() {
                    outbox.answer(&frame(len));
                    want.extend(frame(len));
                }
                let all = [outbox.tail(), outbox.answers()].concat();
                let taken = take.min(all.len());
                got.extend_from_slice(&all[..taken]);
                prop_assert_eq!(outbox.took(taken).0, 0);
                prop_assert_eq!(outbox.queued_bytes(), want.len() - got.len());
                prop_assert!(outbox.answers().is_empty() || outbox.answers()[0] == 0x81);
            }
            prop_assert_eq!(&got[..], &want[..got.len()]);
        }
    }
}
