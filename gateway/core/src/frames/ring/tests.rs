use proptest::prelude::*;

use super::*;

const BYTES: u32 = BYTES_MIN;
const FRAMES: u32 = 16;

/// A frame of `len` bytes that no other number has.
fn payload(number: u64, len: usize) -> Vec<u8> {
    let seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..len).map(|at| (seed.rotate_left(at as u32 % 61) as u8).wrapping_add(at as u8)).collect()
}

/// What a ring must do, spelled without a ring: every frame that was ever pushed, and where it stands.
#[derive(Default)]
struct Model {
    pushed: Vec<(Frame, Vec<u8>)>,
    end: u64,
}

impl Model {
    fn push(&mut self, topic: u32, dialect: u8, ts_gateway: u64, frame: &[u8]) {
        let left_on_this_lap = u64::from(BYTES) - self.end % u64::from(BYTES);
        if frame.len() as u64 > left_on_this_lap {
            self.end += left_on_this_lap;
        }
        let entry = Frame { start: self.end, ts_gateway, len: frame.len() as u32, topic, dialect };
        self.pushed.push((entry, frame.to_vec()));
        self.end += frame.len() as u64;
    }

    /// A frame is there as long as its entry is among the newest, and no byte behind its start is of a later lap.
    fn get(&self, number: u64) -> Option<&(Frame, Vec<u8>)> {
        let kept = self.pushed.len() as u64 - number <= u64::from(FRAMES);
        self.pushed.get(number as usize).filter(|(frame, _)| kept && self.end <= frame.start + u64::from(BYTES))
    }
}

/// Lengths that fill the bytes first, and lengths that fill the entries first.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![
        4 => 0..200_usize,
        4 => 1_000..FRAME_MAX + 1,
        1 => Just(FRAME_MAX),
        1 => FRAME_MAX + 1..FRAME_MAX + 100,
    ];
    proptest::collection::vec(length, 0..120)
}

proptest! {
    #[test]
    fn what_is_got_is_what_was_pushed(lengths in lengths()) {
        let mut ring = FrameRing::new(BYTES, FRAMES).unwrap();
        let mut model = Model::default();
        for (step, len) in lengths.into_iter().enumerate() {
            let (topic, dialect, ts_gateway) = (step as u32 * 3, step as u8, step as u64 * 1_000);
            let number = model.pushed.len() as u64;
            let frame = payload(number, len);
            let pushed = ring.push(topic, dialect, ts_gateway, &frame);
            prop_assert_eq!(pushed, (len <= FRAME_MAX).then_some(number));
            if pushed.is_some() {
                model.push(topic, dialect, ts_gateway, &frame);
            }
            prop_assert_eq!(ring.head(), model.pushed.len() as u64);
            // Each number that was ever given, at each step: also those that the next push will write over.
            for number in 0..ring.head() {
                let got = ring.get(number);
                let want = model.get(number);
                prop_assert_eq!(got, want.map(|(frame, _)| *frame), "number {}", number);
                if let (Some(got), Some((_, bytes))) = (got, want) {
                    prop_assert_eq!(ring.bytes(&got), &bytes[..], "number {}", number);
                }
                prop_assert_eq!(ring.widen(number as u32), number);
            }
            prop_assert_eq!(ring.get(ring.head()), None);
            prop_assert_eq!(ring.get(u64::MAX), None);
        }
    }

    #[test]
    fn numbers_are_widened_across_32_bits(
        head in prop_oneof![0..1_u64 << 34, u64::MAX - 1_000..u64::MAX],
        back in prop_oneof![Just(0), Just(u32::MAX), any::<u32>()],
    ) {
        let mut ring = FrameRing::new(BYTES, FRAMES).unwrap();
        ring.frame_head = head;
        match head.checked_sub(1 + u64::from(back)) {
            Some(number) => prop_assert_eq!(ring.widen(number as u32), number),
            // Bits of numbers that were never given.
            None => prop_assert!(ring.widen((head as u32).wrapping_sub(1).wrapping_sub(back)) >= head),
        }
    }
}

#[test]
fn the_oldest_stays_until_its_first_byte_is_taken() {
    let mut ring = FrameRing::new(BYTES, FRAMES).unwrap();
    for number in 0..4 {
        assert_eq!(ring.push(0, 0, 0, &payload(number, FRAME_MAX)), Some(number));
    }
    // The ring is full to the last byte, and everything is there.
    for number in 0..4 {
        let frame = ring.get(number).unwrap();
        assert_eq!(ring.bytes(&frame), payload(number, FRAME_MAX));
    }
    assert_eq!(ring.push(0, 0, 0, b"x"), Some(4));
    assert_eq!(ring.get(0), None);
    assert!(ring.get(1).is_some());
}

#[test]
fn entries_run_out_before_bytes() {
    let mut ring = FrameRing::new(BYTES, FRAMES).unwrap();
    for number in 0..=u64::from(FRAMES) {
        assert_eq!(ring.push(0, 0, 0, b"x"), Some(number));
    }
    assert_eq!(ring.get(0), None);
    assert!(ring.get(1).is_some());
}

#[test]
fn sizes_that_are_refused() {
    let table: &[(u32, u32, &str)] = &[
        (0, 16, "limits.frame_ring_bytes = 0: expected a power of two, at least 65536"),
        (32_768, 16, "limits.frame_ring_bytes = 32768: expected a power of two, at least 65536"),
        (65_537, 16, "limits.frame_ring_bytes = 65537: expected a power of two, at least 65536"),
        (65_536, 0, "limits.frame_ring_frames = 0: expected a power of two, at most 16777216"),
        (65_536, 3, "limits.frame_ring_frames = 3: expected a power of two, at most 16777216"),
        (65_536, 1 << 25, "limits.frame_ring_frames = 33554432: expected a power of two, at most 16777216"),
    ];
    for (bytes, frames, want) in table {
        assert_eq!(FrameRing::new(*bytes, *frames).unwrap_err().to_string(), *want);
    }
    assert!(FrameRing::new(65_536, 1).is_ok());
    let limits = crate::limits::Limits::default();
    assert!(FrameRing::new(limits.frame_ring_bytes, limits.frame_ring_frames).is_ok());
}
