use proptest::prelude::*;

use super::*;

#[test]
fn walks() {
    type Outcome = Result<(usize, &'static [u8]), FileError>;
    let table: &[(&str, &[u8], &[Outcome], bool)] = &[
        ("empty file", b"", &[], false),
        ("one message", b"\0\x02ab", &[Ok((2, b"ab"))], false),
        ("two messages", b"\0\x01a\0\x02bc", &[Ok((2, b"a")), Ok((5, b"bc"))], false),
        ("ended session", b"\0\x01a\0\0", &[Ok((2, b"a"))], true),
        ("bytes after the end are not read", b"\0\0\0\x01a", &[], true),
        ("cut length", b"\0\x01a\0", &[Ok((2, b"a")), Err(FileError::Cut { offset: 3, need: 2, have: 1 })], false),
        ("cut message", b"\0\x03ab", &[Err(FileError::Cut { offset: 0, need: 5, have: 4 })], false),
        ("length without message", b"\xff\xff", &[Err(FileError::Cut { offset: 0, need: 65_537, have: 2 })], false),
    ];
    for (name, bytes, want, ended) in table {
        let mut messages = Messages::new(bytes);
        let got: Vec<_> = messages.by_ref().collect();
        assert_eq!(&got, want, "case: {name}");
        assert_eq!(messages.session_ended(), *ended, "case: {name}");
        assert_eq!(messages.next(), None, "case: {name}");
    }
}

#[test]
#[should_panic(expected = "would end the session")]
fn an_empty_message_cannot_be_written() {
    append(&mut Vec::new(), b"");
}

#[test]
#[should_panic(expected = "fits the two-byte length")]
fn an_endless_message_cannot_be_written() {
    append(&mut Vec::new(), &vec![b'x'; MESSAGE_MAX_BYTES + 1]);
}

#[test]
fn the_largest_message_round_trips() {
    let message = vec![b'x'; MESSAGE_MAX_BYTES];
    let mut file = Vec::new();
    append(&mut file, &message);
    assert_eq!(Messages::new(&file).collect::<Vec<_>>(), [Ok((2, message.as_slice()))]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..30)) {
        let mut file = Vec::new();
        messages.iter().for_each(|message| append(&mut file, message));
        append_end(&mut file);
        let mut walk = Messages::new(&file);
        let read: Vec<_> = walk.by_ref().map(|message| message.unwrap().1.to_vec()).collect();
        prop_assert_eq!(read, messages);
        prop_assert!(walk.session_ended());
    }

    #[test]
    fn any_bytes_are_walked(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz_entry::itch_file(&bytes);
    }
}
