//! Tick files and journals: a file becomes a journal, a journal becomes a file, and books are doubted where they must be.

use std::fs;
use std::sync::Arc;

use journal::disk::{MemoryFolder, drive};
use journal::export::{Counts, Exporter, Feed, Schema};
use journal::format::HoleReason;
use journal::import::{DbnImport, RecordError, Recorder};
use journal::reader::Entry;
use journal::replay::{self, SourceOptions};
use journal::writer::{Now, Source, Writer};
use journal::{Journal, JournalConfig, Recovered};
use shm_abi::record::{Body, Head, INSTRUMENT_NONE, Record, Restart, flag, kind, restart_body, restart_reason, side};
use shm_abi::segment::{Identity, RingName};

use crate::common::{NOON, Words, dbn, export, head, instruments, order, words};

const NOW: Now = Now { unix_ns: NOON, monotonic_ns: 1 };

/// The records of a DBN file, without its head.
fn records(bytes: &[u8]) -> &[u8] {
    &bytes[8 + u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize..]
}

fn feed(journal: &Journal, path: &std::path::Path, schema: Schema) -> Counts {
    let mut feed = Feed::new(journal.oldest(schema.ring()));
    let known = feed.instruments().unwrap().to_vec();
    let mut exporter = Exporter::create(path, &dbn(schema), &known).unwrap();
    while feed.feed(&mut exporter, 7).unwrap() > 0 {}
    exporter.finish().unwrap()
}

#[test]
fn a_file_becomes_a_journal_and_the_same_file_again() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.dbn"), folder.path().join("second.dbn"));
    let mut flow: Vec<Words> = (0..5000).map(|id| order(kind::ADD, id, 10 + id as i64, 5)).collect();
    flow.push(words(head(kind::TRADE, side::ASK, 0), &[9, 10, 3]));
    flow.push(words(head(kind::FILL, side::ASK, 0), &[4, 10, 3]));
    flow.push(words(head(kind::CANCEL, side::ASK, flag::LAST), &[4, 10, 3]));
    export(&first, &dbn(Schema::Orders), &flow);

    let place = folder.path().join("journal");
    let mut import = DbnImport::open(&first).unwrap();
    let mut recorder = Recorder::create(&place, "import", NOON, NOW).unwrap();
    while let Some(said) = import.next().unwrap() {
        said.iter().for_each(|imported| recorder.take(imported, NOW).unwrap());
    }
    let counters = recorder.finish(NOW).unwrap();
    // A restart in each ring; two announcements and a trade in the market's.
    assert_eq!(counters.records, [5003 + 1, 1 + 2 + 1]);
    assert_eq!(counters.missing_slots, [0, 0]);

    let journal = Journal::open(&place).unwrap();
    assert_eq!(journal.lane().unwrap().as_str(), "import");
    let mut reader = journal.oldest(RingName::Orders);
    let Some(Entry::Record { n: 0, words }) = reader.next().unwrap() else { panic!() };
    let Body::Restart(restart) = Record::new(0, words).unwrap().body() else { panic!() };
    assert_eq!((restart.reason, restart.old_epoch), (restart_reason::UNKNOWN, 0));
    let Some(Entry::Record { n, words }) = reader.next().unwrap() else { panic!() };
    assert_eq!((n, Record::new(n, words).unwrap().head.ts_recv), (2, NOON), "a restart has two slots");

    let counts = feed(&journal, &second, Schema::Orders);
    assert_eq!((counts.rows, counts.doubtful_rows, counts.restarts), (5003, 0, 1));
    assert!(records(&fs::read(&first).unwrap()) == records(&fs::read(&second).unwrap()));
    let symbols = DbnImport::open(&second).unwrap().metadata().mappings.len();
    assert_eq!((symbols, feed(&journal, &second, Schema::Trades).rows), (2, 1));
    assert_eq!(feed(&journal, &second, Schema::Definitions).rows, 2);

    // A second import has a folder of its own.
    let error = Recorder::create(&place, "import", NOON, NOW).unwrap_err();
    assert!(matches!(error, RecordError::NotEmpty { files: 1, .. }), "{error}");
    let error = Recorder::create(&folder.path().join("x"), "No Lane", NOON, NOW).unwrap_err();
    assert!(error.to_string().contains("No Lane"), "{error}");
}

fn restart(reason: u64, old_epoch: u64, old_end: u64) -> Words {
    let body = Restart { old_epoch, old_end, session: [b' '; 16], venue_sequence: 3, reason };
    let head = Head { span: 2, instrument_id: INSTRUMENT_NONE, ..head(kind::RESTART, side::NONE, flag::LAST) };
    let mut words = words(head, &restart_body(&body));
    words.resize(13, 0);
    words
}

fn source(epoch: u64, old_epoch: u64) -> Source<Vec<shm_abi::directory::Instrument>> {
    let identity = Identity { epoch, incarnation: epoch, old_epoch, flags: 0 };
    Source { identity, directory: instruments(), first: [0, 0] }
}

/// What a step of a recording does.
enum Step {
    Push(Words),
    Lose(u64),
    Epoch(u64),
}
use Step::{Epoch, Lose, Push};

/// Rows and doubtful rows of the orders that the steps record, from epoch 7 on.
fn rows(steps: Vec<Step>) -> (u64, u64) {
    let mut disk = MemoryFolder::default();
    let mut writer = Writer::new(JournalConfig::default(), "test", &Recovered::default(), source(7, 0), NOW).unwrap();
    let mut next = 0;
    for step in steps {
        match step {
            Push(words) => {
                assert!(writer.push(RingName::Orders, next, &words));
                next += 1 + (words.len() as u64 - 7) / 6;
            }
            Lose(slots) => {
                writer.lost(RingName::Orders, next, next + slots - 1, HoleReason::Lapped);
                next += slots;
            }
            Epoch(epoch) => {
                writer.change_source(source(epoch, 7));
                next = 0;
            }
        }
    }
    writer.finish();
    drive(&mut writer, &mut disk, NOW);
    assert!(writer.is_finished());
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::of(Arc::new(disk)).unwrap();
    let counts = feed(&journal, &folder.path().join("orders.dbn"), Schema::Orders);
    (counts.rows, counts.doubtful_rows)
}

#[test]
fn books_are_doubted_after_holes_and_steps_that_leave_something_out() {
    let add = || Push(order(kind::ADD, 1, 10, 5));
    let clear = || Push(words(head(kind::CLEAR, side::NONE, flag::LAST), &[0; 3]));
    let unknown = || Push(restart(restart_reason::UNKNOWN, 0, 0));
    let engine = |old_epoch, old_end| Push(restart(restart_reason::ENGINE, old_epoch, old_end));
    let table: Vec<(&str, Vec<Step>, (u64, u64))> = vec![
        ("from the beginning", vec![unknown(), add(), add()], (2, 0)),
        ("from the middle", vec![add(), add()], (2, 2)),
        ("from an engine's start", vec![engine(6, 5), add()], (1, 1)),
        ("a hole", vec![unknown(), add(), Lose(3), add(), clear(), add()], (4, 1)),
        ("an engine that goes on", vec![unknown(), add(), Epoch(8), engine(7, 3), add()], (2, 0)),
        ("an engine that had gone further", vec![unknown(), add(), Epoch(8), engine(7, 4), add()], (2, 1)),
        ("an engine after another", vec![unknown(), add(), Epoch(8), engine(9, 3), add()], (2, 1)),
        // The unknown predecessor clears the one book that there is.
        ("an engine that knows nothing", vec![unknown(), add(), Epoch(8), unknown(), add()], (3, 0)),
        ("no word of a restart", vec![unknown(), add(), Epoch(8), add()], (2, 1)),
    ];
    for (name, steps, want) in table {
        assert_eq!(rows(steps), want, "case: {name}");
    }
}

#[test]
fn a_replayed_file_says_what_the_journal_of_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let (path, place) = (folder.path().join("first.dbn"), folder.path().join("journal"));
    let mut flow: Vec<Words> = (0..500).map(|id| order(kind::ADD, id, 10 + id as i64, 5)).collect();
    flow.push(words(head(kind::TRADE, side::ASK, 0), &[9, 10, 3]));
    flow.push(words(head(kind::FILL, side::ASK, 0), &[4, 10, 3]));
    flow.push(words(head(kind::CANCEL, side::ASK, flag::LAST), &[4, 10, 3]));
    export(&path, &dbn(Schema::Orders), &flow);
    let start = DbnImport::open(&path).unwrap().metadata().start;
    let mut import = DbnImport::open(&path).unwrap();
    let mut recorder = Recorder::create(&place, "import", start, NOW).unwrap();
    while let Some(said) = import.next().unwrap() {
        said.iter().for_each(|imported| recorder.take(imported, NOW).unwrap());
    }
    recorder.finish(NOW).unwrap();
    let steps = |path: &std::path::Path| {
        let mut source = replay::Source::open(path, &SourceOptions::default()).unwrap();
        let (mut rings, mut instruments) = ([Vec::new(), Vec::new()], Vec::new());
        while let Some(step) = source.next().unwrap() {
            match step {
                replay::Step::Record { ring, words, .. } => rings[journal::ring_index(ring)].push(words.to_vec()),
                replay::Step::Instrument(instrument) => instruments.push(*instrument),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(source.position(), source.total());
        (rings, instruments)
    };
    let (file, recorded) = (steps(&path), steps(&place));
    assert_eq!(file.0.each_ref().map(Vec::len), [503 + 1, 1 + 2 + 1]);
    assert!(file == recorded);
}
