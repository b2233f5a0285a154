use proptest::prelude::*;

use super::super::TYPES;
use super::*;

fn window(bytes: &[u8]) -> [u8; WINDOW] {
    let mut window = [0xa5; WINDOW];
    window[..bytes.len()].copy_from_slice(bytes);
    window
}

#[test]
fn order_messages_by_hand() {
    let head = b"\x00\x0d\x00\x02\x0a\x37\xb4\x2c\x11\xc9";
    let base = Op {
        reference: 0x0101_0101_0101_0101,
        new_reference: 0,
        match_number: 0,
        timestamp_ns: 0x0a37_b42c_11c9,
        quantity: 0,
        price: 0,
        slot: NIL,
        locate: 13,
        kind: OpKind::Other,
        side: 0,
        printable: false,
    };
    // Name, type, body behind the reference, and the fields that count for the type.
    let table: &[(&str, u8, &[u8], Op)] = &[
        (
            "add",
            b'A',
            b"B\0\0\0\x64AAPL    \0\x30\xf2\x78",
            Op { kind: OpKind::Add, side: b'B', quantity: 100, price: 3_207_800, ..base },
        ),
        (
            "add with MPID",
            b'F',
            b"S\0\0\0\x65AAPL    \0\x30\xf2\x79NSDQ",
            Op { kind: OpKind::Add, side: b'S', quantity: 101, price: 3_207_801, ..base },
        ),
        (
            "execute",
            b'E',
            b"\0\0\0\x07\0\0\0\0\0\0\0\x09",
            Op { kind: OpKind::Execute, quantity: 7, match_number: 9, ..base },
        ),
        (
            "execute at a price",
            b'C',
            b"\0\0\0\x07\0\0\0\0\0\0\0\x09Y\0\0\0\x0b",
            Op { kind: OpKind::ExecutePrice, quantity: 7, match_number: 9, printable: true, price: 11, ..base },
        ),
        (
            "execute, not printable",
            b'C',
            b"\0\0\0\x07\0\0\0\0\0\0\0\x09N\0\0\0\x0b",
            Op { kind: OpKind::ExecutePrice, quantity: 7, match_number: 9, price: 11, ..base },
        ),
        ("cancel", b'X', b"\xff\xff\xff\xff", Op { kind: OpKind::Cancel, quantity: u32::MAX, ..base }),
        ("delete", b'D', b"", Op { kind: OpKind::Delete, ..base }),
        (
            "replace",
            b'U',
            b"\0\0\0\0\0\0\0\x05\0\0\0\x06\0\0\0\x07",
            Op { kind: OpKind::Replace, new_reference: 5, quantity: 6, price: 7, ..base },
        ),
    ];
    for (name, letter, body, want) in table {
        let message = [&[*letter], head.as_slice(), &[1; 8], body].concat();
        let got = decode_op(&window(&message), message.len());
        let counting = Op {
            new_reference: if want.kind == OpKind::Replace { got.new_reference } else { 0 },
            match_number: if matches!(want.kind, OpKind::Execute | OpKind::ExecutePrice) {
                got.match_number
            } else {
                0
            },
            quantity: if want.kind == OpKind::Delete { 0 } else { got.quantity },
            price: if matches!(want.kind, OpKind::Add | OpKind::ExecutePrice | OpKind::Replace) {
                got.price
            } else {
                0
            },
            side: if want.kind == OpKind::Add { got.side } else { 0 },
            printable: want.kind == OpKind::ExecutePrice && got.printable,
            ..got
        };
        assert_eq!(&counting, want, "case: {name}");
        assert_eq!(decode_op(&window(&message), message.len() - 1).kind, OpKind::Malformed, "case: {name}, short");
        assert_eq!(decode_op(&window(&message), message.len() + 9).kind, want.kind, "case: {name}, appended fields");
    }
}

#[test]
fn every_letter_has_its_kind() {
    for letter in 0..=u8::MAX {
        let len = message_len(letter);
        let want = match letter {
            b'A' | b'F' => OpKind::Add,
            b'E' => OpKind::Execute,
            b'C' => OpKind::ExecutePrice,
            b'X' => OpKind::Cancel,
            b'D' => OpKind::Delete,
            b'U' => OpKind::Replace,
            _ if len.is_some() => OpKind::Other,
            _ => OpKind::Unknown,
        };
        let bytes = window(&[letter]);
        assert_eq!(decode_op(&bytes, len.unwrap_or(1)).kind, want, "letter {letter:#04x}");
        assert_eq!(decode_op(&bytes, 0).kind, OpKind::Malformed, "letter {letter:#04x}, empty message");
    }
}

#[test]
fn no_message_reaches_behind_the_window() {
    // An order message ends inside of the window, or what lies behind it (an attribution) is not an order's field.
    for &(letter, len) in TYPES {
        let kind = LAYOUTS[letter as usize].kind;
        assert!(kind == OpKind::Other || len <= WINDOW, "type {}", letter.escape_ascii());
    }
}

#[test]
fn the_end_of_the_buffer_bounds_the_message() {
    let delete = b"D\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07";
    assert_eq!(decode_op_at(delete, 0, 19).kind, OpKind::Delete);
    assert_eq!(decode_op_at(delete, 0, 19).reference, 7);
    assert_eq!(decode_op_at(&delete[..18], 0, 19).kind, OpKind::Malformed);
    assert_eq!(decode_op_at(delete, 19, 19).kind, OpKind::Malformed);
    assert_eq!(decode_op_at(delete, usize::MAX, 19).kind, OpKind::Malformed);
    // An imbalance is longer than the window: its framing may promise more than the buffer holds.
    let mut imbalance = [0; WINDOW];
    imbalance[0] = b'I';
    assert_eq!(decode_op_at(&imbalance, 0, 50).kind, OpKind::Malformed);
}

proptest! {
    #[test]
    fn in_place_and_padded_agree(kind in 0..TYPES.len(), mut bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        if let Some(letter) = bytes.first_mut() {
            *letter = TYPES[kind].0;
        }
        crate::fuzz_entry::itch50_message(&bytes);
    }

    #[test]
    fn any_bytes_agree_with_the_views(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        crate::fuzz_entry::itch50_message(&bytes);
    }

    #[test]
    fn any_offset_is_safe(bytes in prop::collection::vec(any::<u8>(), 0..90), at in 0_usize..100, len in any::<u16>()) {
        let op = decode_op_at(&bytes, at, len as usize);
        let tail = bytes.get(at..).unwrap_or_default();
        let message = &tail[..tail.len().min(len as usize)];
        prop_assert_eq!(op.kind, decode_op_at(message, 0, message.len()).kind);
    }
}
