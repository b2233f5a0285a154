use proptest::prelude::*;

use super::super::{DSE, JNX_16, NASDAQ_50};
use super::*;

fn window(bytes: &[u8]) -> [u8; WINDOW] {
    let mut window = [0xa5; WINDOW];
    window[..bytes.len().min(WINDOW)].copy_from_slice(&bytes[..bytes.len().min(WINDOW)]);
    window
}

/// Without the fields that the kind does not have.
fn settled(op: Op) -> Op {
    let is = |kinds: &[OpKind]| kinds.contains(&op.kind);
    let keep = |kept: bool, value: u64| if kept { value } else { 0 };
    Op {
        new_reference: keep(is(&[OpKind::Replace]), op.new_reference),
        match_number: keep(is(&[OpKind::Execute, OpKind::ExecutePrice]), op.match_number),
        quantity: keep(!is(&[OpKind::Delete]), op.quantity),
        price: if is(&[OpKind::Add, OpKind::ExecutePrice, OpKind::Replace]) { op.price } else { 0 },
        side: if is(&[OpKind::Add]) { op.side } else { 0 },
        printable: is(&[OpKind::ExecutePrice]) && op.printable,
        ..op
    }
}

const NASDAQ_OP: Op = Op {
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
    form_length: 0,
};

#[test]
fn nasdaq_by_hand() {
    let base = NASDAQ_OP;
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
        ("cancel", b'X', b"\xff\xff\xff\xff", Op { kind: OpKind::Cancel, quantity: u32::MAX.into(), ..base }),
        ("delete", b'D', b"", Op { kind: OpKind::Delete, ..base }),
        (
            "replace",
            b'U',
            b"\0\0\0\0\0\0\0\x05\0\0\0\x06\0\0\0\x07",
            Op { kind: OpKind::Replace, new_reference: 5, quantity: 6, price: 7, ..base },
        ),
    ];
    for (name, letter, body, want) in table {
        let message = [&[*letter], b"\x00\x0d\x00\x02\x0a\x37\xb4\x2c\x11\xc9".as_slice(), &[1; 8], body].concat();
        let decode = |len| settled(NASDAQ_50.decode(&window(&message), len));
        let want = Op { form_length: message.len() as u8, ..*want };
        assert_eq!(decode(message.len()), want, "case: {name}");
        assert_eq!(decode(message.len() + 9), want, "case: {name}, appended fields");
        assert_eq!(decode(message.len() - 1).kind, OpKind::Malformed, "case: {name}, short");
    }
}

/// Name, message, the fields that count, and the lengths just above and below that are of no form.
type Case = (&'static str, &'static [u8], Op, bool);

#[test]
fn dse_by_hand() {
    let base = Op { reference: 0x0102_0304_0506_0708, timestamp_ns: 999_999_999, locate: 0, ..NASDAQ_OP };
    let add = Op { kind: OpKind::Add, side: b'B', quantity: 0x1_0000_0064, locate: 1001, price: 51_550, ..base };
    let print = Op { kind: OpKind::ExecutePrice, quantity: 7, match_number: 9, printable: true, price: 11, ..base };
    let replace = Op { kind: OpKind::Replace, new_reference: 5, quantity: 6, price: 0x7fff_ffff, ..base };
    // The last column: whether a byte more makes a length between the two forms.
    let table: &[Case] = &[
        ("add", b"\x01\x02\x03\x04\x05\x06\x07\x08B\0\0\0\x01\0\0\0\x64\0\0\x03\xe9\0\0\xc9\x5e", add, true),
        (
            "add with yield",
            b"\x01\x02\x03\x04\x05\x06\x07\x08B\0\0\0\x01\0\0\0\x64\0\0\x03\xe9\0\0\xc9\x5e\xff\xff\xff\xff",
            add,
            false,
        ),
        (
            "execute at a price, without orderbook",
            b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x09Y\0\0\0\x0b",
            print,
            true,
        ),
        (
            "execute at a price, with orderbook",
            b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x09Y\0\0\0\x0b\xff\0\0\x01",
            Op { locate: 0xff00_0001, ..print },
            false,
        ),
        (
            "replace by a market order",
            b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x06\x7f\xff\xff\xff",
            replace,
            true,
        ),
        (
            "execute",
            b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x09",
            Op { kind: OpKind::Execute, quantity: 7, match_number: 9, ..base },
            false,
        ),
        ("delete", b"\x01\x02\x03\x04\x05\x06\x07\x08", Op { kind: OpKind::Delete, ..base }, false),
    ];
    let letters = b"AACCUED";
    for ((name, body, want, shorter_form), letter) in table.iter().zip(letters) {
        let message = [&[*letter], b"\x3b\x9a\xc9\xff".as_slice(), body].concat();
        let decode = |len| settled(DSE.decode(&window(&message), len));
        let want = Op { form_length: message.len() as u8, ..*want };
        assert_eq!(decode(message.len()), want, "case: {name}");
        assert_eq!(decode(message.len() - 1).kind, OpKind::Malformed, "case: {name}, a byte less");
        let more = decode(message.len() + 1);
        if *shorter_form {
            assert_eq!(more.kind, OpKind::Malformed, "case: {name}, between two lengths");
        } else {
            assert_eq!(more, want, "case: {name}, appended fields");
        }
    }
}

#[test]
fn reference_prices_are_not_orders() {
    let add = |reference, quantity: u64| {
        let mut message = Vec::from(*b"A\0\0\0\x01");
        message.extend(u64::to_be_bytes(reference));
        message.push(b'B');
        message.extend(quantity.to_be_bytes());
        message.extend(b"\0\0\0\x07\0\0\0\x08");
        message
    };
    // Order number, quantity (of JNX, the upper half of it), kind in DSE and in JNX.
    let table = [
        (0, 0, OpKind::Other, OpKind::Other),
        (0, 1 << 32, OpKind::Add, OpKind::Other),
        (0, 1 << 63, OpKind::Add, OpKind::Other),
        (1, 0, OpKind::Add, OpKind::Add),
        (1 << 63, 0, OpKind::Add, OpKind::Add),
    ];
    for (reference, quantity, dse, jnx) in table {
        let message = add(reference, quantity);
        assert_eq!(DSE.decode_at(&message, 0, 30).kind, dse, "{reference}, {quantity}");
        assert_eq!(JNX_16.decode_at(&message, 0, 30).kind, jnx, "{reference}, {quantity}");
        assert_eq!(DSE.decode_at(&message, 0, 30).locate, 7, "known of a special form too");
        assert_eq!(DSE.decode_at(&message, 0, 29).kind, OpKind::Malformed);
    }
    // Only plain adds have the special form.
    assert_eq!(DSE.decode_at(&[b"F".as_slice(), &[0; 37]].concat(), 0, 38).kind, OpKind::Add);
}

#[test]
fn every_letter_has_its_kind() {
    for dialect in super::super::ALL {
        for letter in 0..=u8::MAX {
            let of_type = |entry: &&Entry| entry.message_type == letter;
            let entry = dialect.entries().iter().find(of_type);
            let want = entry.map_or(OpKind::Unknown, |entry| kind_of(entry.event));
            let bytes = window(&[letter]);
            let len = entry.map_or(1, |entry| entry.lengths[0]);
            assert_eq!(dialect.decode(&bytes, len).kind, want, "{}, letter {letter:#04x}", dialect.name());
            assert_eq!(dialect.decode(&bytes, len - 1).kind, OpKind::Malformed, "letter {letter:#04x}, a byte less");
            assert_eq!(dialect.decode(&bytes, 0).kind, OpKind::Malformed, "letter {letter:#04x}, empty message");
        }
    }
}

#[test]
fn the_end_of_the_buffer_bounds_the_message() {
    let delete = b"D\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07";
    let decode = |at, len| NASDAQ_50.decode_at(delete, at, len);
    assert_eq!(decode(0, 19).kind, OpKind::Delete);
    assert_eq!(decode(0, 19).reference, 7);
    assert_eq!(NASDAQ_50.decode_at(&delete[..18], 0, 19).kind, OpKind::Malformed);
    assert_eq!(decode(19, 19).kind, OpKind::Malformed);
    assert_eq!(decode(usize::MAX, 19).kind, OpKind::Malformed);
    // An imbalance is longer than the window: its framing may promise more than the buffer holds.
    let mut imbalance = [0; WINDOW];
    imbalance[0] = b'I';
    assert_eq!(NASDAQ_50.decode_at(&imbalance, 0, 50).kind, OpKind::Malformed);
}

/// Bytes that mostly are of some form of a dialect's type.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let forms = super::super::ALL.into_iter().flat_map(Dialect::entries);
    let forms: Vec<_> = forms.flat_map(|entry| entry.lengths.iter().map(|len| (entry.message_type, *len))).collect();
    let near = (0..forms.len(), 0_usize..12, prop::collection::vec(any::<u8>(), 190), 0_usize..4);
    near.prop_map(move |(form, more, mut bytes, zeros)| {
        let (letter, len) = forms[form];
        bytes.truncate((len + more).saturating_sub(6));
        if zeros == 0 {
            bytes.fill(0);
        }
        if let Some(first) = bytes.first_mut() {
            *first = letter;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn decode_view_and_encoder_agree(bytes in bytes()) {
        crate::fuzz_entry::dialect_message(&bytes);
        crate::fuzz_entry::itch50_message(&bytes);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        crate::fuzz_entry::dialect_message(&bytes);
        crate::fuzz_entry::itch50_message(&bytes);
    }

    #[test]
    fn any_offset_is_safe(bytes in prop::collection::vec(any::<u8>(), 0..90), at in 0_usize..100, len in any::<u16>()) {
        for dialect in super::super::ALL {
            let op = dialect.decode_at(&bytes, at, len as usize);
            let tail = bytes.get(at..).unwrap_or_default();
            let message = &tail[..tail.len().min(len as usize)];
            prop_assert_eq!(op.kind, dialect.decode_at(message, 0, message.len()).kind);
        }
    }
}
