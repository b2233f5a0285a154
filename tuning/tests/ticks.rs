//! `ticklane import` and `ticklane export` as their users meet them.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/test_lane.rs"]
#[allow(dead_code, reason = "shared with the unit tests, which use more of it")]
mod test_lane;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use journal::export::{ExportOptions, Exporter, Format, Schema};
use shm_abi::record::{Head, flag, kind, side};
use shm_abi::segment::RingName;
use test_lane::TestLane;
use ticklane_client::Instrument;

/// Exit code, standard output, standard error.
fn ticklane(words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticklane"));
    let Output { status, stdout, stderr } = command.args(words).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// An mbo file of so many orders of one instrument.
fn file(path: &Path, orders: u64) {
    let known = [Instrument::equity(5, b"FIVE", b"XNAS")];
    let mut exporter = Exporter::create(path, &ExportOptions::new(Schema::Orders, Format::Dbn), &known).unwrap();
    for id in 0..orders {
        let head = Head {
            kind: kind::ADD,
            flags: flag::LAST,
            span: 1,
            side_or_code: side::BID,
            instrument_id: 5,
            ts_event: 1_715_169_600_000_000_000 + id,
            ts_recv: 1_715_169_600_000_000_100 + id,
            publish_delay_ns: 0,
            venue_sequence_low: id as u32,
        };
        let words: Vec<u64> = head.words().into_iter().chain([id, 1_000_000_000, 7]).collect();
        exporter.record(RingName::Orders, id, &words).unwrap();
    }
    exporter.finish().unwrap();
}

#[test]
fn a_file_goes_into_a_journal_and_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let (first, place, second) = (at("first.dbn"), at("journal"), at("second.dbn"));
    file(Path::new(&first), 3000);
    let (code, out, errors) = ticklane(&["import", &first, "--journal", &place]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("records 3000\norders 3000\nmarket 0\ninstruments 1\n"), "{out}");
    assert!(errors.contains("3000 records"), "{errors}");
    assert!(!errors.contains('\x1b'), "no bar without a terminal: {errors}");

    let export = |to: &str, more: &[&str]| {
        let words = ["export", "--from", &place, "--to", to, "--schema", "orders"];
        ticklane(&[&words[..], more].concat())
    };
    let (code, out, errors) = export(&second, &["--dataset", "XNAS.TICKLANE"]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(out, "rows 3000\nactions A=3000\n");
    let (one, two) = (fs::read(&first).unwrap(), fs::read(&second).unwrap());
    assert!(one[one.len() - 3000 * 56..] == two[two.len() - 3000 * 56..]);

    for (name, magic) in [("o.parquet", &b"PAR1"[..]), ("o.dbn.zst", b"\x28\xb5\x2f\xfd"), ("o.dbn", b"DBN\x03")] {
        let (code, _, errors) = export(&at(name), &[]);
        assert_eq!(code, Some(0), "{errors}");
        assert!(fs::read(at(name)).unwrap().starts_with(magic), "{name}");
    }
    // What is there is not replaced without being asked.
    let (code, _, errors) = export(&second, &[]);
    assert!(code == Some(1) && errors.contains("add --force"), "{errors}");
    assert_eq!(export(&second, &["--force"]).0, Some(0));
}

#[test]
fn a_segment_gives_what_its_ring_still_holds() {
    let mut lane = TestLane::new();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let segment = lane.dir.path().join("lane0.seg").into_os_string().into_string().unwrap();
    lane.quotes(10);
    let (code, out, errors) = ticklane(&["export", "--from", &segment, "--to", &at("q.dbn"), "--schema", "quotes"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.starts_with("rows 10\nactions A=1 M=9") && !out.contains("doubtful"), "{out}");
    // The ring of 1024 slots has lost its beginning: three quarters of it are left, of a book that is not known whole.
    lane.quotes(2000);
    let (_, out, errors) = ticklane(&["export", "--from", &segment, "--to", &at("r.dbn"), "--schema", "quotes"]);
    assert!(out.starts_with("rows 768\nactions A=1 M=767"), "{out}{errors}");
    let (code, _, errors) = ticklane(&["export", "--from", &at("no.seg"), "--to", &at("s.dbn"), "--schema", "quotes"]);
    assert!(code == Some(1) && errors.contains("no.seg"), "{errors}");
}

#[test]
fn errors_say_what_was_seen_and_what_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    fs::write(at("no.dbn"), b"PAR1 and so on").unwrap();
    fs::create_dir(at("empty")).unwrap();
    file(Path::new(&at("good.dbn")), 3);
    let mut bars = fs::read(at("good.dbn")).unwrap();
    // Schema 5 is ohlcv-1s.
    bars[24] = 5;
    fs::write(at("bars.dbn"), &bars).unwrap();
    let mut bad = fs::read(at("good.dbn")).unwrap();
    let action = bad.len() - 56 + 38;
    bad[action] = b'Z';
    fs::write(at("bad.dbn"), &bad).unwrap();
    let (place, out) = (at("journal"), at("out.dbn"));
    let table: &[(&str, &[&str], &[&str])] = &[
        ("no such file", &["import", &at("gone"), "--journal", &place], &["gone", "No such file"]),
        ("not DBN", &["import", &at("no.dbn"), "--journal", &place], &["magic is 0x524150, expected 0x4e4244"]),
        ("bars", &["import", &at("bars.dbn"), "--journal", &place], &["number 5, has no meaning", "mbo, trades"]),
        (
            "one bad record",
            &["import", &at("bad.dbn"), "--journal", &place],
            &["record 2", "action is 0x5a", "1 records"],
        ),
        ("journal is there", &["import", &at("good.dbn"), "--journal", &place], &["1 files already", "empty folder"]),
        (
            "no journal",
            &["export", "--from", &at("empty"), "--to", &out, "--schema", "orders"],
            &["no journal in", "expected the folder of one lane"],
        ),
        (
            "no ending",
            &["export", "--from", &place, "--to", &at("out"), "--schema", "orders"],
            &["expected a name that ends in .dbn, .dbn.zst or .parquet"],
        ),
        (
            "long dataset",
            &["export", "--from", &place, "--to", &out, "--schema", "orders", "--dataset", "SIXTEENCHARACTER"],
            &["dataset is", "1 to 15 characters"],
        ),
        (
            "no such epoch",
            &["export", "--from", &place, "--to", &out, "--schema", "orders", "--since", "import.0000000000000001.5"],
            &["the journal has nothing of epoch 0000000000000001"],
        ),
    ];
    for (name, words, says) in table {
        let (code, _, errors) = ticklane(words);
        assert_eq!(code, Some(1), "case {name}: {errors}");
        assert!(says.iter().all(|part| errors.contains(part)), "case {name}: {errors}");
    }
    let (code, _, errors) = ticklane(&["import", &at("good.dbn"), "--journal", &place, "--lane", "A B"]);
    assert!(code == Some(2) && errors.contains("'A B'") && errors.contains("1 to 31"), "{errors}");
    let (code, _, errors) = ticklane(&["export", "--from", &place, "--to", &out, "--schema", "bars"]);
    assert!(code == Some(2) && errors.contains("expected one of orders, trades, quotes, definitions"), "{errors}");
}
