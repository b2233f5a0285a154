//! What the fuzz target feeds: hostile files.
#![doc(hidden)]

use std::io::Cursor;

use shm_abi::record::Record;

use super::{DbnImport, ImportError, Imported};

/// Reads `bytes` as a file, compressed or not: each record is a value or an error, and there are no more records than
/// bytes for them.
pub fn dbn_file(bytes: &[u8]) {
    let Ok(mut import) = DbnImport::of(Cursor::new(bytes.to_vec())) else { return };
    loop {
        match import.next() {
            Ok(None) => break,
            Ok(Some(said)) => {
                for imported in said {
                    if let Imported::Record { words, .. } = imported {
                        let record = Record::new(0, words).expect("a slot's words");
                        assert_eq!(record.head.span, 1);
                        let _ = record.body();
                    }
                }
            }
            Err(ImportError::Record { .. }) => {}
            Err(_) => break,
        }
    }
    assert!(import.next().is_ok_and(|said| said.is_none()), "over is over");
    let head = import.metadata().bytes;
    assert!(import.counts().records <= (import.bytes() - head) / 16);
}
