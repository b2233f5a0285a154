use proptest::prelude::*;

use super::*;

#[test]
fn sequences_parse_whatever_side_is_padded() {
    let table: &[(&str, &[u8; 20], Option<u64>)] = &[
        ("padded left", b"                 135", Some(135)),
        ("left-justified", b"135                 ", Some(135)),
        ("padded on both sides", b"        135         ", Some(135)),
        ("leading zeros", b"00000000000000000135", Some(135)),
        ("zero", b"                   0", Some(0)),
        ("above 2^32", b"          4294967297", Some((1 << 32) + 1)),
        ("above 2^53", b"    9007199254740993", Some((1 << 53) + 1)),
        ("largest", b"18446744073709551615", Some(u64::MAX)),
        ("one too many", b"18446744073709551616", None),
        ("twenty nines", b"99999999999999999999", None),
        ("blank", b"                    ", None),
        ("a letter", b"                 1x5", None),
        ("a gap", b"                1 35", None),
        ("a sign", b"                +135", None),
        ("a minus", b"                  -1", None),
        ("a NUL", b"                135\0", None),
    ];
    for (name, field, want) in table {
        assert_eq!(parse_sequence(field), *want, "case: {name}");
    }
}

#[test]
fn texts_are_trimmed_and_bounded() {
    let table: &[(&str, &str, Result<&[u8], TextError>)] = &[
        ("blank", "", Ok(b"")),
        ("spaces", "        ", Ok(b"")),
        ("short", "ab", Ok(b"ab")),
        ("full", "abcdef", Ok(b"abcdef")),
        ("trimmed", "  ab  ", Ok(b"ab")),
        ("inner space", "a b", Ok(b"a b")),
        ("too long", "abcdefg", Err(TextError::TooLong { len: 7, width: 6 })),
        ("control character", "a\tb", Err(TextError::NotAscii { byte: b'\t', position: 1 })),
        ("umlaut", "\u{fc}", Err(TextError::NotAscii { byte: 0xc3, position: 0 })),
    ];
    for (name, text, want) in table {
        assert_eq!(Username::new(text).as_ref().map(|text| text.as_bytes()), want.as_ref().copied(), "case: {name}");
    }
}

#[test]
fn texts_of_the_wire_compare_trimmed() {
    let left = Username::from_wire(b"   ab ");
    let right = Username::from_wire(b"ab    ");
    assert_eq!(left, right);
    assert_eq!(left, Username::new("ab").unwrap());
    assert_eq!(left.padded_left(), *b"    ab");
    assert_eq!(left.padded_right(), *b"ab    ");
    assert!(left.eq_ignore_case(&Username::new("AB").unwrap()));
    assert!(!left.eq_ignore_case(&Username::new("AC").unwrap()));
    assert_ne!(left, Username::new("AB").unwrap());
    assert!(Username::from_wire(b"      ").is_blank());
    assert_eq!(Username::from_wire(b"a\xff\n   ").to_string(), "a\\xff\\n");
}

#[test]
fn a_password_shows_itself_to_nobody() {
    let password = Password::new("hunter2").unwrap();
    assert_eq!(format!("{password:?}"), "***");
    assert!(password.eq_ignore_case(&Password::from_wire(b"HUNTER2   ")));
    assert!(!password.eq_ignore_case(&Password::from_wire(b"HUNTER3   ")));
}

proptest! {
    #[test]
    fn sequences_round_trip(number in any::<u64>()) {
        prop_assert_eq!(parse_sequence(&sequence_field(number)), Some(number));
        let text = format!("{number:>20}");
        let field = sequence_field(number);
        prop_assert_eq!(field.as_slice(), text.as_bytes());
    }

    #[test]
    fn any_field_is_a_number_or_not(field in any::<[u8; 20]>()) {
        let text = std::str::from_utf8(&field).ok().map(|text| text.trim_matches(' '));
        let want = text.filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
        prop_assert_eq!(parse_sequence(&field), want);
    }

    #[test]
    fn any_field_is_a_text(field in any::<[u8; 10]>()) {
        let text = SessionId::from_wire(&field);
        prop_assert_eq!(SessionId::from_wire(&text.padded_left()), text);
        prop_assert_eq!(SessionId::from_wire(&text.padded_right()), text);
    }
}
