//! Files: names, heads, compression, and going on with what a cut export left.

use std::fs;
use std::path::Path;

use journal::export::{Counts, ExportError, ExportOptions, Exporter, Format, Schema};
use journal::import::{DbnImport, Stype};
use shm_abi::directory::Instrument;
use shm_abi::record::{flag, kind, side};
use shm_abi::segment::RingName;

use crate::common::{NOON, Said, Words, dbn, export, head, import, instruments, order, words};

fn adds(count: u64) -> Vec<Words> {
    (0..count).map(|id| order(kind::ADD, id, 10 + (id % 7) as i64, 1 + id % 100)).collect()
}

fn partial(path: &Path) -> std::path::PathBuf {
    path.with_file_name(format!("{}.partial", path.file_name().unwrap().to_str().unwrap()))
}

#[test]
fn a_file_has_its_name_only_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::Dbn, Format::DbnZstd, Format::Parquet] {
        let path = folder.path().join("out");
        let mut exporter =
            Exporter::create(&path, &ExportOptions::new(Schema::Orders, format), &instruments()).unwrap();
        exporter.record(RingName::Orders, 0, &adds(1)[0]).unwrap();
        // Of the other ring: passed over.
        exporter.record(RingName::Market, 0, &adds(1)[0]).unwrap();
        assert!(!path.exists() && partial(&path).exists(), "{format:?}");
        assert_eq!(exporter.finish().unwrap().records, 1);
        assert!(path.exists() && !partial(&path).exists(), "{format:?}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn the_head_says_what_the_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    for (schema, number) in [(Schema::Orders, 0), (Schema::Trades, 4), (Schema::Quotes, 1), (Schema::Definitions, 9)] {
        for format in [Format::Dbn, Format::DbnZstd] {
            let path = folder.path().join("out");
            export(
                &path,
                &ExportOptions::new(schema, format),
                &[words(head(kind::TRADE, side::BID, flag::LAST), &[1, 2, 3])],
            );
            let import = DbnImport::open(&path).unwrap();
            let metadata = import.metadata();
            assert_eq!((metadata.version, metadata.schema), (3, Some(number)), "{schema:?}");
            assert_eq!(metadata.dataset, "NASDAQ.TICKLANE");
            assert_eq!((metadata.stype_in, metadata.stype_out), (Stype::RawSymbol, Stype::InstrumentId));
            let mapped: Vec<_> =
                metadata.mappings.iter().map(|m| (m.name.as_str(), m.means.as_str(), m.start, m.end)).collect();
            // A file of quotes has no rows here, and so no days.
            if schema != Schema::Quotes {
                let day = (20_240_508, 20_240_509);
                assert_eq!(mapped, [("SEVEN", "7", day.0, day.1), ("EIGHT", "8", day.0, day.1)]);
                assert_eq!((metadata.start, metadata.end), (NOON, NOON + 1));
            }
        }
    }
}

#[test]
fn instruments_beyond_the_room_of_the_head_make_a_longer_one() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::Dbn, Format::DbnZstd] {
        for more in [0, 3, 4, 5, 200] {
            let path = folder.path().join("out");
            let options = ExportOptions { symbol_room: 4, ..ExportOptions::new(Schema::Orders, format) };
            let mut exporter = Exporter::create(&path, &options, &instruments()).unwrap();
            for record in adds(1000) {
                exporter.record(RingName::Orders, 0, &record).unwrap();
            }
            for id in 100..100 + more {
                exporter.define(&Instrument::equity(id, format!("S{id}").as_bytes(), b"NASDAQ"));
            }
            exporter.finish().unwrap();
            let mut import = DbnImport::open(&path).unwrap();
            assert_eq!(import.metadata().mappings.len(), 2 + more as usize, "{format:?}");
            let said = Said::of(&mut import);
            assert_eq!(said.instruments.len(), 2 + more as usize);
            assert_eq!(said.ring(RingName::Orders).len(), 1000, "{format:?}, {more} more");
        }
    }
}

#[test]
fn definitions_tell_each_instrument_once_when_it_was_announced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("definitions.dbn");
    let mut announced = head(kind::INSTRUMENT, side::NONE, flag::LAST);
    announced.instrument_id = 8;
    let mut later = announced;
    later.ts_recv += 5;
    let records =
        [words(head(kind::STATUS, 2, flag::LAST), &[0; 3]), words(announced, &[1, 10, 12]), words(later, &[1, 10, 12])];
    let counts = export(&path, &dbn(Schema::Definitions), &records);
    assert_eq!((counts.records, counts.rows), (3, 2));
    let said = import(&path);
    let [first, second] = &said.instruments[..] else { panic!("{:?}", said.instruments) };
    let seven = &instruments()[0];
    assert_eq!((first.instrument_id, first.symbol.as_str(), first.kind), (7, "SEVEN", seven.kind));
    assert_eq!((first.tick, first.lot, first.provider_code), (seven.tick, seven.lot, seven.provider_code));
    assert_eq!((first.price_decimals, first.quantity_decimals), (seven.price_decimals, seven.quantity_decimals));
    assert_eq!((first.expiry_ns, first.strike, first.underlying), (0, seven.strike, u32::MAX));
    assert_eq!((second.instrument_id, second.symbol.as_str()), (8, "EIGHT"));
}

/// Leaves a partial file with so many bytes of what a whole export would have.
fn cut(path: &Path, records: &[Words], bytes: u64) {
    let options = dbn(Schema::Orders);
    export(path, &options, records);
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(bytes).unwrap();
    fs::rename(path, partial(path)).unwrap();
}

fn resumed(path: &Path, records: &[Words]) -> Result<Counts, ExportError> {
    let options = ExportOptions { resume: true, ..dbn(Schema::Orders) };
    let mut exporter = Exporter::create(path, &options, &instruments())?;
    for (n, record) in records.iter().enumerate() {
        exporter.record(RingName::Orders, n as u64, record)?;
    }
    exporter.finish()
}

#[test]
fn a_cut_export_goes_on_behind_its_last_whole_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.dbn");
    // More than one buffer.
    let records = adds(60_000);
    export(&path, &dbn(Schema::Orders), &records);
    let whole = fs::read(&path).unwrap();
    let head = whole.len() as u64 - 60_000 * 56;
    for kept in [0, 1, 55, 56, 57, 56 * 18_725, 56 * 18_724 + 7, 56 * 59_999, 56 * 60_000] {
        cut(&path, &records, head + kept);
        let counts = resumed(&path, &records).unwrap();
        assert_eq!((counts.rows, counts.resumed_rows), (60_000, kept / 56), "{kept} bytes of records");
        assert!(fs::read(&path).unwrap() == whole, "{kept} bytes of records");
        assert!(!partial(&path).exists());
    }
    // Nothing to go on with: it begins.
    fs::remove_file(&path).unwrap();
    assert_eq!(resumed(&path, &records).unwrap().resumed_rows, 0);
    assert!(fs::read(&path).unwrap() == whole);
}

#[test]
fn what_does_not_fit_a_cut_export_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.dbn");
    let records = adds(100);
    let whole = {
        export(&path, &dbn(Schema::Orders), &records);
        fs::read(&path).unwrap()
    };
    let refused = |bytes: &[u8], records: &[Words], field: &str| {
        fs::write(partial(&path), bytes).unwrap();
        let error = resumed(&path, records).unwrap_err();
        assert!(matches!(error, ExportError::Resume { .. }), "{error}");
        assert!(error.to_string().contains(field), "{field}: {error}");
        assert!(partial(&path).exists(), "it stays for whoever wants to look");
    };
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    refused(&whole[..20], &records, "length is 20");
    refused(&with(0, b'X'), &records, "beginning");
    refused(&with(3, 2), &records, "beginning");
    refused(&with(7, 0xff), &records, "length of the head");
    refused(&with(8, b'Z'), &records, "dataset is ZASDAQ.TICKLANE, expected NASDAQ.TICKLANE");
    refused(&with(24, 4), &records, "schema is 4, expected 0");
    refused(&with(whole.len() - 1, 77), &records, "row 99");
    refused(&whole, &records[..50], "number of rows is 100, expected 50");
    // Without resuming it is begun anew, whatever there is.
    export(&path, &dbn(Schema::Orders), &records);
    assert!(fs::read(&path).unwrap() == whole && !partial(&path).exists());
}

#[test]
fn compressed_and_plain_files_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let records = adds(50_000);
    let (plain, packed) = (folder.path().join("a.dbn"), folder.path().join("a.dbn.zst"));
    export(&plain, &dbn(Schema::Orders), &records);
    export(&packed, &ExportOptions::new(Schema::Orders, Format::DbnZstd), &records);
    let unpacked = zstd::stream::decode_all(fs::File::open(&packed).unwrap()).unwrap();
    assert!(unpacked == fs::read(&plain).unwrap());
    assert!(fs::metadata(&packed).unwrap().len() * 2 < fs::metadata(&plain).unwrap().len());
}

#[test]
fn progress_is_told_and_options_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let options = ExportOptions { progress_every: 10, ..dbn(Schema::Orders) };
    let mut exporter = Exporter::create(folder.path().join("o"), &options, &[]).unwrap();
    let tell = told.clone();
    exporter.on_progress(move |counts| tell.lock().unwrap().push(counts.records));
    for record in adds(25) {
        exporter.record(RingName::Orders, 0, &record).unwrap();
    }
    exporter.finish().unwrap();
    assert_eq!(*told.lock().unwrap(), [10, 20, 25]);

    let refused = |options: ExportOptions, says: &str| {
        let error = Exporter::create(folder.path().join("x"), &options, &[]).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(
        ExportOptions { dataset: Some("MUCH TOO LONG A NAME".into()), ..dbn(Schema::Orders) },
        "1 to 15 characters",
    );
    refused(ExportOptions { zstd_level: 40, ..dbn(Schema::Orders) }, "zstd_level is \"40\", expected 1 to 19");
    let nowhere = Exporter::create(folder.path().join("no/such/folder"), &dbn(Schema::Orders), &[]).unwrap_err();
    assert!(nowhere.to_string().contains("no/such/folder.partial"), "{nowhere}");
    assert_eq!("quotes".parse(), Ok(Schema::Quotes));
    assert!("dbn.zip".parse::<Format>().unwrap_err().contains("dbn.zst, parquet"));
}
