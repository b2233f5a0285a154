use super::super::{DSE, JNX_16, NASDAQ_50};
use super::*;

#[test]
fn messages_by_hand() {
    let mut out = b"before".to_vec();
    let add = [
        (Role::TimestampNs, Value::Number(1)),
        (Role::Reference, Value::Number(2)),
        (Role::Side, Value::Letter(b'S')),
        (Role::Quantity, Value::Number(3)),
        (Role::Orderbook, 1001_u32.into()),
        (Role::Price, Value::Number(5)),
    ];
    DSE.encode(b'A', 30, &add, &mut out).unwrap();
    let wire = b"A\0\0\0\x01\0\0\0\0\0\0\0\x02S\0\0\0\0\0\0\0\x03\0\0\x03\xe9\0\0\0\x05";
    assert_eq!(out, [b"before", wire.as_slice()].concat());

    out.clear();
    let appended = [(Role::Yield, Value::Number(u64::from((-1_i32).cast_unsigned())))];
    DSE.encode(b'A', 34, &[add.as_slice(), &appended].concat(), &mut out).unwrap();
    assert_eq!(out, [wire.as_slice(), &[0xff; 4]].concat());

    out.clear();
    let event = [(Role::Group, "DAY".into()), (Role::EventCode, Value::Letter(b'Q'))];
    JNX_16.encode(b'S', 10, &event, &mut out).unwrap();
    assert_eq!(out, b"S\0\0\0\0DAY Q", "padded");

    out.clear();
    NASDAQ_50.encode(b'D', 19, &[(Role::Orderbook, 13_u32.into()), (Role::Reference, 7_u64.into())], &mut out).unwrap();
    assert_eq!(out, b"D\0\x0d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07");

    out.clear();
    let news = [
        (Role::NewsId, Value::Number(77)),
        (Role::FirmId, "DSE".into()),
        (Role::Text, "last".into()),
        (Role::Title, "first".into()),
    ];
    DSE.encode(b'N', 43, &news, &mut out).unwrap();
    let fixed = [b"N\0\0\0\0\0\0\0\0\0\0\0\x4dDSE".as_slice(), &[b' '; 27]].concat();
    assert_eq!(out, [fixed.as_slice(), b"first\0\0last\0"].concat(), "in the order of the wire");

    out.clear();
    DSE.encode(b'S', 18, &[], &mut out).unwrap();
    assert_eq!(out, b"S\0\0\0\0         \0\0\0\0", "what is not named is 0 or blank");
}

#[test]
fn mistakes_are_named_and_leave_nothing() {
    let at = |message_type, length| (message_type, length);
    let table: &[((u8, usize), Role, Value<'_>, EncodeError)] = &[
        (at(b'A', 31), Role::Price, Value::Number(1), EncodeError::NoForm { message_type: b'A', length: 31 }),
        (at(b'?', 30), Role::Price, Value::Number(1), EncodeError::NoForm { message_type: b'?', length: 30 }),
        (
            at(b'A', 30),
            Role::Yield,
            Value::Number(1),
            EncodeError::NoField { message_type: b'A', length: 30, role: Role::Yield },
        ),
        (
            at(b'A', 30),
            Role::Price,
            Value::Number(1 << 32),
            EncodeError::Range { role: Role::Price, value: 1 << 32, width: 4 },
        ),
        (at(b'A', 30), Role::Price, Value::Letter(b'B'), EncodeError::Kind { role: Role::Price }),
        (at(b'A', 30), Role::Price, "12".into(), EncodeError::Kind { role: Role::Price }),
        (at(b'A', 30), Role::Side, Value::Number(66), EncodeError::Kind { role: Role::Side }),
        (at(b'A', 30), Role::Side, "BS".into(), EncodeError::TooLong { role: Role::Side, length: 2, width: 1 }),
        (at(b'S', 18), Role::Group, Value::Letter(b'B'), EncodeError::Kind { role: Role::Group }),
        (
            at(b'S', 18),
            Role::Group,
            "MAINBOARD".into(),
            EncodeError::TooLong { role: Role::Group, length: 9, width: 8 },
        ),
        (at(b'N', 43), Role::Text, "a\0b".into(), EncodeError::Nul { role: Role::Text }),
        (at(b'N', 43), Role::Text, Value::Number(1), EncodeError::Kind { role: Role::Text }),
    ];
    for ((message_type, length), role, value, want) in table {
        let mut out = b"before".to_vec();
        let error = DSE.encode(*message_type, *length, &[(*role, *value)], &mut out).unwrap_err();
        assert_eq!(error, *want);
        assert_eq!(out, b"before");
        assert!(matches!(error, EncodeError::NoForm { .. }) || error.to_string().contains(&format!("{role:?}")));
    }
}

#[test]
fn the_last_value_of_a_field_holds() {
    let mut out = Vec::new();
    let long_then_short = [(Role::Group, "MAINMAIN".into()), (Role::Group, "SME".into())];
    DSE.encode(b'S', 18, &long_then_short, &mut out).unwrap();
    assert_eq!(&out[5..13], b"SME     ");
    out.clear();
    DSE.encode(b'N', 43, &[(Role::Title, "a".into()), (Role::Title, "b".into())], &mut out).unwrap();
    assert_eq!(&out[43..], b"b\0\0\0");
}
