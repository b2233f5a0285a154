use super::*;

fn blocks(bytes: &[u8], count: u16, order: ByteOrder) -> Result<Vec<&[u8]>, PacketError> {
    Ok(Blocks::parse(bytes, 0..bytes.len(), count, order)?.collect())
}

#[test]
fn blocks_end_exactly_at_the_payloads_end() {
    use PacketError::{Overrun, Trailing};
    let table: &[(&str, &[u8], u16, Result<Vec<&[u8]>, PacketError>)] = &[
        ("none", b"", 0, Ok(vec![])),
        ("one", b"\0\x02ab", 1, Ok(vec![b"ab"])),
        ("an empty one between two", b"\0\x01a\0\0\0\x01b", 3, Ok(vec![b"a", b"", b"b"])),
        ("a byte too few", b"\0\x02a", 1, Err(Overrun { index: 0, count: 1, need: 4, have: 3 })),
        ("half a length", b"\0\x01a\0", 2, Err(Overrun { index: 1, count: 2, need: 2, have: 1 })),
        ("a block too few", b"\0\x01a", 2, Err(Overrun { index: 1, count: 2, need: 2, have: 0 })),
        ("a block too many", b"\0\x01a\0\x01b", 1, Err(Trailing { have: 3 })),
        ("blocks without count", b"\0\0", 0, Err(Trailing { have: 2 })),
    ];
    for (name, bytes, count, want) in table {
        assert_eq!(&blocks(bytes, *count, ByteOrder::Big), want, "case: {name}");
    }
    assert_eq!(blocks(b"\x02\0ab", 1, ByteOrder::Little), Ok(vec![&b"ab"[..]]));
}

#[test]
fn places_count_in_the_whole_buffer() {
    let buffer = b"????\0\x01a\0\x02bc!!!!";
    let blocks = Blocks::parse(buffer, 4..11, 2, ByteOrder::Big).unwrap();
    let places: Vec<_> = blocks.places(7).collect();
    assert_eq!(places, [MessageAt { sequence: 7, at: 6, len: 1 }, MessageAt { sequence: 8, at: 9, len: 2 }]);
    assert_eq!((blocks.message_count(), blocks.bytes(), blocks.buffer()), (2, 7, &buffer[..]));
    for outside in [0..buffer.len() + 1, usize::MAX - 1..usize::MAX, Range { start: 3, end: 2 }] {
        assert!(matches!(Blocks::parse(buffer, outside, 0, ByteOrder::Big), Err(PacketError::Truncated { .. })));
    }
}

#[test]
fn a_session_shows_as_its_name() {
    assert_eq!(SessionKey::padded(b"000008412A").to_string(), "000008412A");
    assert_eq!(SessionKey::padded(b"AB  \0\0\0\0\0\0").to_string(), "AB");
    assert_eq!(SessionKey::padded(&[0; 10]).to_string(), "");
    assert_eq!(SessionKey::padded(&[7; 40]).to_string(), r"\x07".repeat(16));
}
