use super::super::{DSE, JNX_16, NASDAQ_50};
use super::*;

#[test]
fn a_form_is_chosen_by_length() {
    let table = [
        // Dialect, type, length, what comes of it: bytes read and whether there were more.
        (&DSE, b'A', 30, Ok((30, false))),
        (&DSE, b'A', 34, Ok((34, false))),
        (&DSE, b'A', 35, Ok((34, true))),
        (&DSE, b'A', 33, Err(DecodeError::Length { message_type: b'A', length: 33 })),
        (&DSE, b'A', 29, Err(DecodeError::Length { message_type: b'A', length: 29 })),
        (&DSE, b'Q', 30, Ok((30, false))),
        (&DSE, b'Q', 34, Ok((34, false))),
        (&DSE, b'Q', 32, Err(DecodeError::Length { message_type: b'Q', length: 32 })),
        (&DSE, b'R', 163, Ok((163, false))),
        (&DSE, b'R', 171, Ok((171, false))),
        (&DSE, b'R', 180, Ok((171, true))),
        (&DSE, b'N', 43, Ok((43, false))),
        (&DSE, b'N', 46, Ok((46, false))),
        (&DSE, b'N', 900, Ok((900, false))),
        (&DSE, b'N', 42, Err(DecodeError::Length { message_type: b'N', length: 42 })),
        (&DSE, b'T', 5, Ok((5, false))),
        (&DSE, b'Y', 14, Err(DecodeError::UnknownType { got: b'Y' })),
        (&JNX_16, b'Y', 14, Ok((14, false))),
        (&NASDAQ_50, b'E', 31, Ok((31, false))),
        (&NASDAQ_50, b'E', 40, Ok((31, true))),
        (&NASDAQ_50, b'E', 30, Err(DecodeError::Length { message_type: b'E', length: 30 })),
    ];
    for (dialect, letter, length, want) in table {
        let mut bytes = vec![b'1'; length];
        bytes[0] = letter;
        let got = dialect.view(&bytes).map(|view| (view.as_bytes().len(), view.extended()));
        assert_eq!(got, want, "{} {} {length}", dialect.name(), letter.escape_ascii());
    }
    assert_eq!(DSE.view(b"").unwrap_err(), DecodeError::Truncated { need: 1, have: 0 });
}

#[test]
fn a_form_lacks_what_the_other_appended() {
    let short = [b"A\0\0\0\x01".as_slice(), &[7; 25]].concat();
    let long = [short.as_slice(), &(-25_000_i32).to_be_bytes()].concat();
    assert_eq!(DSE.view(&short).unwrap().i32(Role::Yield), None);
    assert_eq!(DSE.view(&long).unwrap().i32(Role::Yield), Some(-25_000), "a yield may be negative");
    assert_eq!(DSE.view(&long).unwrap().u64(Role::Price), Some(0x0707_0707));
    assert_eq!(DSE.view(&long).unwrap().u64(Role::MatchNumber), None, "no add has one");
    assert_eq!(DSE.view(&short).unwrap().fields().count(), 6);
    assert_eq!(DSE.view(&long).unwrap().fields().count(), 7);
}

#[test]
fn special_forms_are_told_by_their_zeros() {
    let message = |letter, len, set: &[usize]| {
        let mut message = vec![0; len];
        message[0] = letter;
        for at in set {
            message[*at] = 1;
        }
        message
    };
    // Dialect, message (type, length, bytes that are not 0), meaning.
    let table: &[(&Dialect, u8, usize, &[usize], Event)] = &[
        (&DSE, b'A', 30, &[25, 29], Event::ReferencePrice),
        (&DSE, b'A', 34, &[25, 29, 33], Event::ReferencePrice),
        (&DSE, b'A', 34, &[14], Event::Add),
        (&DSE, b'A', 34, &[5], Event::Add),
        (&DSE, b'F', 38, &[], Event::Add),
        (&DSE, b'Q', 30, &[16, 17, 21], Event::ClosePrice),
        (&DSE, b'Q', 34, &[16, 17, 21, 25], Event::ClosePrice),
        (&DSE, b'Q', 34, &[33], Event::Trade),
        (&DSE, b'Q', 30, &[29], Event::Trade),
        (&DSE, b'Q', 30, &[12], Event::Trade),
        (&JNX_16, b'A', 30, &[14, 17], Event::ReferencePrice),
        (&JNX_16, b'A', 30, &[12], Event::Add),
        (&NASDAQ_50, b'A', 36, &[], Event::Add),
    ];
    for (dialect, letter, len, set, want) in table {
        let message = message(*letter, *len, set);
        assert_eq!(dialect.view(&message).unwrap().event(), *want, "{} {set:?} of {len}", letter.escape_ascii());
    }
}

#[test]
fn news_are_three_texts() {
    // What follows the fixed part, and the three texts in it.
    let table: &[(&[u8], [&[u8]; 3])] = &[
        (b"title\0ref\0text\0", [b"title", b"ref", b"text"]),
        (b"title\0ref\0text", [b"title", b"ref", b"text"]),
        (b"\0\0\0", [b"", b"", b""]),
        (b"", [b"", b"", b""]),
        (b"title", [b"title", b"", b""]),
        (b"title\0", [b"title", b"", b""]),
        (b"title\0ref", [b"title", b"ref", b""]),
        (b"\0\0text\0", [b"", b"", b"text"]),
        (b"a\0b\0c\0appended\0", [b"a", b"b", b"c"]),
        ("\u{9a2}\u{9be}\u{995}\u{9be}\0\0\0".as_bytes(), ["\u{9a2}\u{9be}\u{995}\u{9be}".as_bytes(), b"", b""]),
        (b"\xff\xfe\0\xc0\0\x80\0", [b"\xff\xfe", b"\xc0", b"\x80"]),
    ];
    for (texts, want) in table {
        let message = [b"N\0\0\0\x01\0\0\x03\xea\0\0\0\x4dDSE".as_slice(), &[b' '; 27], texts].concat();
        let view = DSE.view(&message).unwrap();
        let got = [Role::Title, Role::NewsReference, Role::Text].map(|role| view.bytes(role).unwrap());
        assert_eq!(got, *want, "{}", texts.escape_ascii());
        assert_eq!(view.event(), Event::News);
        assert_eq!((view.u32(Role::Orderbook), view.u32(Role::NewsId)), (Some(1002), Some(77)));
        assert_eq!(view.trimmed(Role::FirmId), Some(&b"DSE"[..]));
        assert!(!view.extended());
    }
}

#[test]
fn fields_by_kind() {
    let state = b"Y\x33\x91\x56\xf8\0\0\x25\xb8DAY 1";
    let view = JNX_16.view(state).unwrap();
    assert_eq!((view.event(), view.message_type(), view.form_length()), (Event::ShortSale, b'Y', 14));
    assert_eq!(view.u64(Role::TimestampNs), Some(0x3391_56f8));
    assert_eq!(view.u32(Role::Orderbook), Some(9656));
    assert_eq!(view.letter(Role::State), Some(b'1'));
    assert_eq!(view.u64(Role::State), Some(b'1'.into()), "a letter is its code");
    assert_eq!(view.letter(Role::Group), None, "four letters");
    assert_eq!(view.bytes(Role::Group), Some(&b"DAY "[..]));
    assert_eq!(view.trimmed(Role::Group), Some(&b"DAY"[..]));

    let company = [b"P\0\0\0\0\0\0\0\x01".as_slice(), &[b'n'; 30], b"TICK\0\0 ", &[0; 23]].concat();
    let view = DSE.view(&company).unwrap();
    assert_eq!(view.u64(Role::CompanyName), None, "thirty bytes are no number");
    assert_eq!(view.trimmed(Role::CompanyName), Some(&[b'n'; 30][..]));
    assert_eq!(view.trimmed(Role::CompanyTicker), Some(&b"TICK"[..]), "NULs are padding too");

    let index = b"Z\0\0\0\x01\0\0\x23\x29\xff\xff\xff\xff\xff\xff\xff\xff";
    let view = DSE.view(index).unwrap();
    assert_eq!(view.u64(Role::IndexValue), Some(u64::MAX));
    assert_eq!(view.u32(Role::IndexValue), None, "does not fit");
}
