//! Files by a hostile hand: a value, or an error that names the field, what stands there, and what was expected.

use std::io::Cursor;

use journal::export::Schema;
use journal::import::fuzz_entry::dbn_file;
use journal::import::{DbnImport, ImportError};
use proptest::prelude::*;
use shm_abi::record::kind;

use crate::common::{dbn, export, order};

/// A good file with three orders.
fn good() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.dbn");
    let records: Vec<_> = (0..3).map(|id| order(kind::ADD, id, 10, 5)).collect();
    export(&path, &dbn(Schema::Orders), &records);
    std::fs::read(path).unwrap()
}

fn first_error(bytes: Vec<u8>) -> ImportError {
    let mut import = match DbnImport::of(Cursor::new(bytes)) {
        Ok(import) => import,
        Err(error) => return error,
    };
    loop {
        match import.next() {
            Ok(None) => panic!("no error"),
            Ok(Some(_)) => {}
            Err(error) => return error,
        }
    }
}

#[test]
fn errors_name_the_field_and_what_was_expected() {
    let good = good();
    let first = good.len() - 3 * 56;
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let table: &[(&str, Vec<u8>, &str)] = &[
        ("empty", Vec::new(), "at byte 0: file length is 0x0, expected at least 0x8"),
        ("not DBN", with(0, b"PAR"), "at byte 0: magic is 0x524150, expected 0x4e4244"),
        ("version", with(3, &[9]), "at byte 3: version is 0x9, expected 1, 2 or 3"),
        ("short metadata", with(4, &99_u32.to_le_bytes()), "metadata length is 0x63, expected at least 0x64"),
        (
            "long metadata",
            with(4, &u32::MAX.to_le_bytes()),
            "metadata length is 0xffffffff, expected at most 0x2000000",
        ),
        ("cut metadata", good[..200].to_vec(), "metadata length is"),
        ("symbol width", with(53, &1_u16.to_le_bytes()), "at byte 53: symbol width is 0x1, expected at least 0x16"),
        ("symbols", with(112, &u32::MAX.to_le_bytes()), "at byte 112: symbols is 0xffffffff, expected at most"),
        ("a record of nothing", with(first, &[0]), "record length is 0x0, expected at least 0x10"),
        ("a short order", with(first, &[13]), "record 0 at byte"),
        ("action", with(first + 38, b"Z"), "record 0 at byte"),
        ("action, in words", with(first + 38, b"Z"), "action is 0x5a, expected ACMFTRN"),
        ("instrument", with(first + 4, &[0xff; 4]), "instrument_id is 0xffffffff, expected not 0xffffffff"),
        ("cut record", good[..good.len() - 1].to_vec(), "bytes of a record is 0x37, expected 0x38"),
        ("cut header", good[..good.len() - 50].to_vec(), "bytes of a record's header is 0x6, expected 0x10"),
        ("not zstd", b"\x28\xb5\x2f\xfd nothing of the kind".to_vec(), "reading"),
    ];
    for (name, file, want) in table {
        let error = first_error(file.clone()).to_string();
        assert!(error.contains(want), "case {name}: {error}");
    }
}

#[test]
fn a_bad_record_does_not_hide_those_behind_it() {
    let mut file = good();
    let first = file.len() - 3 * 56;
    file[first + 56 + 38] = b'Z';
    let mut import = DbnImport::of(Cursor::new(file)).unwrap();
    let (mut bad, mut steps) = (0, 0);
    loop {
        match import.next() {
            Ok(None) => break,
            Ok(Some(_)) => steps += 1,
            Err(ImportError::Record { record, .. }) => {
                assert_eq!(record, 1);
                bad += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    // Two instruments, two records.
    assert_eq!((bad, steps), (1, 4));
    assert_eq!((import.counts().records, import.counts().given), (3, [2, 0]));
}

#[test]
fn several_frames_and_skippable_ones_are_one_file() {
    let good = good();
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat();
    let half = good.len() - 56;
    let pack = |bytes: &[u8]| zstd::stream::encode_all(bytes, 1).unwrap();
    let file = [skippable.clone(), pack(&good[..half]), skippable, pack(&good[half..])].concat();
    let mut import = DbnImport::of(Cursor::new(file)).unwrap();
    while import.next().unwrap().is_some() {}
    assert_eq!(import.counts().records, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        dbn_file(&bytes);
    }

    #[test]
    fn a_good_file_with_bytes_changed_is_read_or_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        tail in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut file = good();
        // The head is mostly room: every other time only the part that says something.
        let said = file.len() - 3 * 56;
        for (at, byte) in changes {
            let at = if tail { said + at.index(file.len() - said) } else { at.index(160) };
            file[at] = byte;
        }
        if is_cut {
            file.truncate(cut.index(file.len()));
        }
        dbn_file(&file);
    }
}
