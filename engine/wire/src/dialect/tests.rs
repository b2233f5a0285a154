//! The tables against the documents' own lines, copied as they stand (but "as A" written out).

use std::collections::BTreeSet;

use super::*;

/// A form of a message as a document has it: type, length, places of the fields.
type Form = (u8, usize, Vec<(u16, u16)>);

/// Forms of a document's line with the given column of totals.
fn form(line: &str, total_column: usize, edition: &str) -> Form {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let message_type = cells[1].trim_matches('`').as_bytes()[0];
    let total = cells[total_column].trim_matches(['*', '+']).parse().unwrap();
    (message_type, total, places(cells[cells.len() - 2], edition))
}

/// Every `offset:width` of a line that is not marked as another edition's.
fn places(fields: &str, edition: &str) -> Vec<(u16, u16)> {
    let of_edition = |field: &&str| !field.contains("2.") || field.contains(edition);
    let place = |word: &str| {
        let (offset, width) = word.split_once(':')?;
        Some((offset.parse().ok()?, width.parse().ok()?))
    };
    fields.split([',', '/']).filter(of_edition).flat_map(|field| field.split(' ').filter_map(place)).collect()
}

/// The same of a table. The common head of Nasdaq's messages is not in the document's lines.
fn forms(dialect: &Dialect, from: u16) -> BTreeSet<Form> {
    let mut forms = BTreeSet::new();
    for entry in dialect.entries() {
        for length in entry.lengths {
            let fields = entry.fields.iter().filter(|field| field.end() <= *length && field.offset >= from);
            forms.insert((entry.message_type, *length, fields.map(|field| (field.offset, field.width)).collect()));
        }
    }
    forms
}

#[test]
fn dse_is_its_document() {
    let mut document = BTreeSet::new();
    for line in include_str!("documents/dse.txt").lines() {
        for (column, edition) in [(2, "2.2"), (3, "2.0")] {
            let (message_type, total, places) = form(line, column, edition);
            // The document counts the NULs of three empty texts.
            document.insert((message_type, if message_type == b'N' { total - 3 } else { total }, places));
        }
    }
    assert_eq!(document.len(), 19 + 6, "19 types, six of them in two forms");
    assert_eq!(forms(&DSE, 0), document);
}

#[test]
fn jnx_is_its_document() {
    let document: BTreeSet<_> = include_str!("documents/jnx.txt").lines().map(|line| form(line, 2, "1.6")).collect();
    assert_eq!(document.len(), 11);
    assert_eq!(forms(&JNX_16, 0), document);
}

#[test]
fn nasdaq_is_its_document() {
    let lines = include_str!("documents/nasdaq.txt").lines();
    let document: BTreeSet<_> = lines.map(|line| form(line, 2, "5.0")).collect();
    let ours = forms(&NASDAQ_50, 11);
    let heads = |forms: &BTreeSet<Form>| forms.iter().map(|(letter, length, _)| (*letter, *length)).collect::<Vec<_>>();
    assert_eq!(heads(&ours), heads(&document));
    let itch50: BTreeSet<_> = crate::itch50::TYPES.iter().copied().collect();
    assert_eq!(itch50, heads(&ours).into_iter().collect());
    for (ours, theirs) in ours.iter().zip(&document) {
        // The table names fewer fields; those of order messages it names all.
        assert!(ours.2.iter().all(|place| theirs.2.contains(place)), "{ours:?} is not in {theirs:?}");
        let entry = NASDAQ_50.entries().iter().find(|entry| entry.message_type == ours.0).unwrap();
        let order = entry.field(Role::Reference, ours.1).is_some();
        assert!(!order || ours.2 == theirs.2, "{ours:?} against {theirs:?}");
    }
}

#[test]
fn dialects_are_found_by_name() {
    for dialect in ALL {
        assert!(std::ptr::eq(Dialect::by_name(dialect.name()).unwrap(), dialect));
    }
    assert!(Dialect::by_name("asx").is_none());
}

#[test]
fn a_dialect_is_detected_by_types_and_lengths() {
    let names = |messages: &[(u8, usize)]| detect(messages).map(Dialect::name).collect::<Vec<_>>();
    // What sister venues have sent, and our own.
    let table: &[(&[(u8, usize)], &[&str])] = &[
        (&[(b'T', 5), (b'S', 10)], &["jnx-1.6"]),
        (&[(b'Y', 14)], &["jnx-1.6"]),
        (&[(b'E', 25)], &["jnx-1.6"]),
        (&[(b'D', 13)], &["dse", "jnx-1.6"]),
        (&[(b'A', 34), (b'Q', 30), (b'R', 163)], &["dse"]),
        (&[(b'N', 139)], &["dse"]),
        (&[(b'A', 36), (b'P', 44)], &["nasdaq-5.0"]),
        // ASX, then Borsa Istanbul.
        (&[(b'T', 5), (b'A', 40)], &[]),
        (&[(b'D', 20)], &[]),
        (&[(b'O', 12)], &[]),
        (&[(b'T', 5), (b'S', 6), (b'R', 113), (b'L', 25)], &[]),
        (&[], &["nasdaq-5.0", "dse", "jnx-1.6"]),
    ];
    for (messages, want) in table {
        assert_eq!(names(messages), *want, "{messages:?}");
    }
}

#[test]
fn prices_that_are_none() {
    let table = [(&NASDAQ_50, [false, false]), (&DSE, [true, true]), (&JNX_16, [true, false])];
    for (dialect, want) in table {
        assert_eq!([0x7fff_ffff, 0xffff_ffff].map(|raw| dialect.is_no_price(raw)), want, "{}", dialect.name());
        assert!(!dialect.is_no_price(0));
    }
}
