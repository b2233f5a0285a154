//! A feed on a lane of this process that is recorded as it goes, and the same lane replayed.

use journal::disk::{MemoryFolder, drive};
use journal::replay::{Republisher, Source, SourceOptions};
use journal::writer::{Now, Writer};
use journal::{Digest, Journal, JournalConfig, RINGS, Recovered};
use market::ingest::{Output, SessionEvent, SessionStart};
use market::{DenseIds, MessageAt, Normaliser, Stamps};
use shm_abi::board::{Level, RowImage};
use shm_abi::directory::{DirectoryReader, Instrument};
use shm_abi::layout::{Plan, ROW_WORDS, row};
use shm_abi::record::Side;
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{LaneWriter, MappedRing};
use std::sync::Arc;

/// Start of the tests' time, ns since the UNIX epoch.
pub(crate) const T0: u64 = 1_700_000_000_000_000_000;

pub(crate) fn plan() -> Plan {
    Plan { lane: "test".into(), orders_slots: 1 << 13, market_slots: 1 << 13, instruments: 300, depth_bytes: 4 << 20 }
}

/// All that the board says, at a moment that is told by the numbers of the rings' next records.
pub(crate) struct Moment {
    pub(crate) next: [u64; 2],
    pub(crate) rows: Vec<RowImage>,
    pub(crate) instruments: Vec<Instrument>,
}

fn next_of(lane: &LaneWriter) -> [u64; 2] {
    [lane.orders.next_number(), lane.market.next_number()]
}

impl Moment {
    pub(crate) fn of(lane: &LaneWriter) -> Moment {
        let segment = lane.reader();
        let (board, directory) = (segment.board(), segment.directory());
        let rows = (0..directory.count()).map(|at| {
            let mut image = RowImage::default();
            board.read(at, &mut image, || true).unwrap();
            image
        });
        let instruments = (0..directory.count()).map(|at| directory.get(at).unwrap()).collect();
        Moment { next: next_of(lane), rows: rows.collect(), instruments }
    }
}

/// Panics with the first word in which two moments differ, but for the `unknown` ones.
pub(crate) fn assert_same(got: &Moment, want: &Moment, unknown: &[usize], case: &str) {
    assert!(got.rows.len() >= want.rows.len(), "{case}: {} rows of {}", got.rows.len(), want.rows.len());
    for (at, (got_row, want_row)) in got.rows.iter().zip(&want.rows).enumerate() {
        let case = format!("{case}, next {:?}, row {at}", want.next);
        assert_eq!(got.instruments[at], want.instruments[at], "{case}");
        for word in (row::MARKET_N..ROW_WORDS).filter(|word| !unknown.contains(word)) {
            assert_eq!(got_row.word(word), want_row.word(word), "{case}, word {word}");
        }
        for side in [Side::Bid, Side::Ask] {
            let window = |row: &RowImage| row.window(side).collect::<Vec<Level>>();
            assert_eq!(window(got_row), window(want_row), "{case}, {side:?}");
        }
    }
}

/// A feed, its lane, and the journal of it.
pub(crate) struct Bus {
    pub(crate) output: Output<DenseIds>,
    pub(crate) folder: MemoryFolder,
    pub(crate) moments: Vec<Moment>,
    writer: Writer<DirectoryReader>,
    readers: [RingReader<MappedRing>; 2],
    digests: [Digest; 2],
    sequence: u64,
    now_ns: u64,
    /// Records that a hole takes instead of the journal.
    pub(crate) deaf: bool,
}

impl Bus {
    pub(crate) fn new(normaliser: Normaliser<DenseIds>) -> Bus {
        let lane = LaneWriter::anonymous(&plan()).unwrap();
        let segment = lane.reader();
        let source =
            journal::writer::Source { identity: lane.identity(), directory: segment.directory(), first: [0, 0] };
        let config = JournalConfig { block_bytes: 32 << 10, buffer_bytes: 1 << 20, ..JournalConfig::default() };
        let now = Now { unix_ns: T0, monotonic_ns: 1 };
        let writer = Writer::new(config, "test", &Recovered::default(), source, now).unwrap();
        let readers = RINGS.map(|name| segment.read_from(name, 0, Rejoin::Oldest));
        let mut bus = Bus {
            output: Output::new(lane, normaliser, None, Box::new(|_| T0)),
            folder: MemoryFolder::default(),
            moments: Vec::new(),
            writer,
            readers,
            digests: [Digest::new(), Digest::new()],
            sequence: 0,
            now_ns: T0,
            deaf: false,
        };
        bus.output.session_began(b"first           ", SessionStart::First, None, bus.stamps());
        bus.end();
        bus
    }

    /// Numbers of the venue's next message.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn stamps(&self) -> Stamps {
        Stamps { ts_recv: self.now_ns, ts_publish: self.now_ns + 300, flags: 0 }
    }

    /// Messages of one burst.
    pub(crate) fn apply(&mut self, messages: &[Vec<u8>]) {
        let (mut buffer, mut batch) = (Vec::new(), Vec::new());
        for message in messages {
            self.sequence += 1;
            batch.push(MessageAt { sequence: self.sequence, at: buffer.len() as u32, len: message.len() as u32 });
            buffer.extend_from_slice(message);
        }
        let stamps = self.stamps();
        self.output.apply(&buffer, &batch, stamps);
        self.end();
    }

    /// Messages of an image, which count by themselves.
    pub(crate) fn image(&mut self, messages: &[Vec<u8>]) {
        let stamps = self.stamps();
        self.output.normaliser.snapshot_begin(stamps, &mut self.output.writer);
        self.end();
        let sequence = self.sequence;
        messages.chunks(8).for_each(|messages| self.apply(messages));
        self.sequence = sequence;
        let stamps = self.stamps();
        assert!(self.output.normaliser.snapshot_end(sequence, stamps, &mut self.output.writer));
        self.end();
    }

    pub(crate) fn gap(&mut self, count: u64) {
        let (first, stamps) = (self.sequence + 1, self.stamps());
        self.sequence += count;
        self.output.gap(first, self.sequence, 2, stamps);
        self.end();
    }

    pub(crate) fn session_event(&mut self, event: SessionEvent) {
        self.output.session_event(event, self.now_ns + 300);
        self.end();
    }

    pub(crate) fn new_session(&mut self, name: &[u8; 16]) {
        self.sequence = 0;
        let stamps = self.stamps();
        self.output.session_began(name, SessionStart::New, None, stamps);
        self.end();
    }

    /// End of a burst: everything goes to the journal.
    pub(crate) fn end(&mut self) {
        self.output.end_burst(self.sequence + 1);
        for (at, name) in RINGS.into_iter().enumerate() {
            loop {
                match self.readers[at].poll() {
                    Polled::Empty => break,
                    Polled::Record { n, words } if self.deaf => {
                        let last = n + (words[0] >> 16 & 0xff) - 1;
                        self.writer.lost(name, n, last, journal::format::HoleReason::Lapped);
                    }
                    Polled::Record { n, words } => {
                        self.digests[at].update(words);
                        assert!(self.writer.push(name, n, words));
                    }
                    Polled::Lost(lost) => panic!("a burst is shorter than the ring: {lost:?}"),
                }
            }
        }
        self.now_ns += 1_000_000;
        let now = Now { unix_ns: self.now_ns, monotonic_ns: self.now_ns - T0 + 1 };
        self.writer.handle_time(now);
        drive(&mut self.writer, &mut self.folder, now);
    }

    /// Remembers what the board says now.
    pub(crate) fn look(&mut self) {
        self.moments.push(Moment::of(&self.output.writer));
    }

    /// Closes the journal and opens it for reading.
    pub(crate) fn close(&mut self) -> Journal {
        self.writer.finish();
        drive(&mut self.writer, &mut self.folder, Now { unix_ns: self.now_ns, monotonic_ns: self.now_ns });
        Journal::of(Arc::new(self.folder.clone())).unwrap()
    }

    /// Digests of what the rings' readers have seen.
    pub(crate) fn digests(&self) -> [String; 2] {
        [self.digests[0].to_string(), self.digests[1].to_string()]
    }
}

/// A lane that a journal is replayed into, and its readers.
pub(crate) struct Replay {
    pub(crate) lane: LaneWriter,
    pub(crate) republisher: Republisher,
    pub(crate) source: Source,
    pub(crate) seen: [Vec<Vec<u64>>; 2],
    readers: [RingReader<MappedRing>; 2],
    digests: [Digest; 2],
}

impl Replay {
    pub(crate) fn new(journal: &Journal, options: &SourceOptions) -> Replay {
        let lane = LaneWriter::anonymous(&plan()).unwrap();
        let segment = lane.reader();
        Replay {
            republisher: Republisher::new(plan().instruments),
            source: Source::of_journal(journal, options).unwrap(),
            readers: RINGS.map(|name| segment.read_from(name, 0, Rejoin::Oldest)),
            digests: [Digest::new(), Digest::new()],
            seen: [Vec::new(), Vec::new()],
            lane,
        }
    }

    /// Takes steps up to the end of an event; `false` at the end of the recording.
    pub(crate) fn step(&mut self) -> bool {
        loop {
            let Some(step) = self.source.next().unwrap() else {
                self.republisher.finish(&mut self.lane);
                self.read();
                return false;
            };
            let ends = matches!(step, journal::replay::Step::Record { whole: true, .. });
            self.republisher.take(&step, &mut self.lane).unwrap();
            if ends {
                self.read();
                return true;
            }
        }
    }

    fn read(&mut self) {
        for (at, reader) in self.readers.iter_mut().enumerate() {
            loop {
                match reader.poll() {
                    Polled::Empty => break,
                    Polled::Record { words, .. } => {
                        self.digests[at].update(words);
                        self.seen[at].push(words.to_vec());
                    }
                    Polled::Lost(lost) => panic!("{lost:?}"),
                }
            }
        }
    }

    pub(crate) fn next(&self) -> [u64; 2] {
        next_of(&self.lane)
    }

    pub(crate) fn digests(&self) -> [String; 2] {
        [self.digests[0].to_string(), self.digests[1].to_string()]
    }
}

/// Replays the whole of an unbroken recording and holds every moment of the live lane against it.
pub(crate) fn assert_replays(bus: &mut Bus, unknown: &[usize], case: &str) -> Replay {
    let journal = bus.close();
    let mut replay = Replay::new(&journal, &SourceOptions::default());
    let mut moments = bus.moments.iter().peekable();
    loop {
        let goes_on = replay.step();
        while moments.peek().is_some_and(|moment| moment.next == replay.next()) {
            assert_same(&Moment::of(&replay.lane), moments.next().unwrap(), unknown, case);
        }
        if !goes_on {
            break;
        }
    }
    assert!(moments.next().is_none(), "{case}: not every moment came again: {:?}", replay.next());
    assert_eq!(replay.digests(), bus.digests(), "{case}");
    replay
}
