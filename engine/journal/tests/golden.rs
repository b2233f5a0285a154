//! The bytes of a small file, spelled from `FORMAT.md` and not by the crate's own code.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use common::*;
use journal::format::HoleReason;
use shm_abi::segment::RingName;

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// CRC-32 (IEEE), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

fn fnv_words(words: &[u8]) -> u64 {
    words.chunks(8).fold(0xcbf2_9ce4_8422_2325u64, |h, w| {
        (h ^ u64::from_le_bytes(w.try_into().unwrap())).wrapping_mul(0x0100_0000_01b3).rotate_left(29)
    })
}

/// The fields of a block header that the table names: kind, ring, payload bytes, count, first, end, detail.
type Fields = (u8, u8, u32, u32, u64, u64, u64);

#[test]
fn a_small_file_has_the_bytes_that_the_format_says() {
    let mut recording = Recording::new(&small());
    recording.ms = 5;
    recording.push(RingName::Orders, &record(b'A', 1, 1, T0 + 10, [0x11, 0x22, 0x33], 7));
    recording.push(RingName::Orders, &record(b'n', 2, 2, T0 + 9, [0x44, 0x55, 0x66], 8));
    recording.lose(RingName::Market, 3, HoleReason::Lapped);
    recording.tick(1);
    let part = journal::image::Part { epoch: 7, n: 3, part: 0, last: true, orders: 0 };
    assert!(recording.writer.push_image(&part, &[1]));
    recording.drive();
    recording.finish();
    let bytes = recording.disk.files()[&0].clone();

    assert_eq!(&bytes[..8], b"TLJOURNL");
    let expected: &[(usize, u64)] = &[
        (1, 1 << 32),
        (2, shm_abi::ABI_VERSION),
        (3, shm_abi::layout::layout_hash()),
        (4, 4096),
        (5, 1 << 20),
        (6, 0),
        (7, T0 + 6 * MS),
        (8, u64::from_le_bytes(*b"test\0\0\0\0")),
        (9, 0),
        (12, 7),
        (13, 8),
        (14, 0),
        (15, 0),
        (16, 0),
        (17, 0),
        (18, 0),
        (19, 0),
        (511, fnv_words(&bytes[..4088])),
    ];
    for (at, value) in expected {
        assert_eq!(word(&bytes, at * 8), *value, "header word {at}");
    }
    assert!(bytes[160..4088].iter().all(|byte| *byte == 0));

    let blocks: &[Fields] = &[
        (b'D', 255, 3 * 256, 3, 0, 3, 0),
        (b'S', 0, 3 * 56, 2, 0, 3, 0),
        (b'H', 1, 0, 1, 0, 3, 1),
        (b'I', 0, 8, 0, 3, 3, 1 << 32),
        (b'M', 255, 64, 1, 0, 0, 3),
    ];
    assert_eq!(bytes.len(), 4096 * (1 + blocks.len()));
    for (place, (kind, ring, payload, count, first, end, detail)) in blocks.iter().enumerate() {
        let at = 4096 * (1 + place);
        let block = &bytes[at..at + 4096];
        assert_eq!(&block[..4], b"TLBK", "block {place}");
        assert_eq!((block[4], block[5], block[6], block[7]), (*kind, *ring, 0, 0), "block {place}");
        assert_eq!(word(block, 8), u64::from(*payload) | u64::from(*count) << 32, "block {place}");
        assert_eq!([word(block, 16), word(block, 24), word(block, 48)], [*first, *end, *detail], "block {place}");
        let times = if *kind == b'S' { [T0 + 9, T0 + 10] } else { [T0 + 6 * MS; 2] };
        assert_eq!([word(block, 32), word(block, 40)], times, "block {place}");
        assert_eq!(word(block, 56) as u32, crc32(&block[64..]), "payload of block {place}");
        let salted = [&bytes[4088..4096], &(at as u64).to_le_bytes(), &block[..60]].concat();
        assert_eq!((word(block, 56) >> 32) as u32, crc32(&salted), "header of block {place}");
        assert!(block[64 + *payload as usize..].iter().all(|byte| *byte == 0), "padding of block {place}");
    }

    let slots = &bytes[2 * 4096 + 64..];
    let slot = |n: usize| -> [u64; 7] { std::array::from_fn(|i| word(slots, n * 56 + i * 8)) };
    // Kind, flags LAST, span, side, instrument; then times; delay 700 and sequence; the body.
    assert_eq!(slot(0)[0], u64::from(b'A') | 0x80 << 8 | 1 << 16 | u64::from(b'B') << 24 | 1 << 32);
    assert_eq!(slot(0)[1..], [T0 + 10 - 900, T0 + 10 - 700, 700 | 7 << 32, 0x11, 0x22, 0x33]);
    assert_eq!(slot(1)[0], u64::from(b'n') | 0x80 << 8 | 2 << 16 | u64::from(b'B') << 24 | 2 << 32);
    let rest: [u64; 6] = std::array::from_fn(|i| 8 * 31 + i as u64);
    assert_eq!(slot(2)[0], u64::from(b'n') | 0x80 << 8 | 0x81 << 16 | u64::from(b'B') << 24 | 2 << 32);
    assert_eq!(slot(2)[1..], rest);
    let row = &bytes[4096 + 64..];
    assert_eq!((word(row, 256), &row[256 + 8..256 + 12]), (1, &b"SYM1"[..]));
    let mark = &bytes[5 * 4096 + 64..];
    assert_eq!([0, 8, 16, 24].map(|at| word(mark, at)), [3, 3, 0, 0]);
}
