//! What the fuzz targets run, and a test over seeded inputs: readers over memory that a hostile writer filled.
//!
//! Nothing here may panic, hang, or allocate by a number that stands in the memory. Not part of the contract.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::board::RowImage;
use crate::directory::Instrument;
use crate::layout::{FEEDS_MAX, Layout, Plan, STATIC_WORDS, fnv_words, header, layout_hash};
use crate::record::{Body, Record, Side};
use crate::ring::{Polled, Rejoin, RingMemory, RingReader, SEQUENCE_LIMIT};
use crate::segment::{LaneWriter, RingName, Segment};
use crate::slot::{SLOT_WORDS, Slot};
use crate::sync::AtomicU64;
use crate::sys::Mapping;
use crate::{ABI_VERSION, MAGIC};

/// Most polls of one ring: more than any input here can give reasons for.
const POLLS: usize = 600;
/// Largest segment that is mapped for an input.
const BYTES_MAX: usize = 16 << 20;

/// Takes words off an input; zeros when it has ended.
struct Input<'d>(&'d [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let len = self.0.len().min(N);
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        std::array::from_fn(|i| taken.get(i).copied().unwrap_or(0))
    }
    fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Looks at a record as every reader of records does.
fn use_record(n: u64, words: &[u64]) {
    let record = Record::new(n, words).expect("a ring gives whole slots");
    if let Body::VenueMessage(message) = record.body() {
        assert_eq!(message.bytes().count(), message.len());
    }
}

/// Polls until nothing comes, or often enough: numbers only ever rise, and nothing is skipped undeclared.
fn drain<M: RingMemory>(mut reader: RingReader<M>) {
    for _ in 0..POLLS {
        let before = reader.cursor();
        match reader.poll() {
            Polled::Empty => break,
            Polled::Record { n, words } => {
                assert_eq!(n, before);
                use_record(n, words);
            }
            Polled::Lost(lost) => assert_eq!((lost.first, lost.last + 1), (before, reader.cursor())),
        }
        assert!(reader.cursor() > before, "a reader that stands still");
    }
}

fn walk_rings(segment: &Segment) {
    for name in [RingName::Orders, RingName::Market] {
        for rejoin in [Rejoin::Latest, Rejoin::Oldest] {
            drain(segment.join(name, rejoin));
            for n in [0, 1, SEQUENCE_LIMIT - 1, u64::MAX] {
                drain(segment.read_from(name, n, rejoin));
            }
        }
    }
}

/// Everything a reader can do with a segment that it could open.
fn walk(segment: &Segment) {
    let _ = (segment.identity(), segment.lane(), segment.state(), segment.writer_alive(), segment.created_ns());
    let counters = segment.counters();
    for index in 0..200 {
        let _ = counters.get(index);
    }
    for index in 0..FEEDS_MAX + 1 {
        let _ = segment.feed(index);
    }
    let (directory, board, mut image) = (segment.directory(), segment.board(), RowImage::default());
    let rows = directory.count();
    assert!(rows <= segment.layout().instruments);
    for row in (0..rows.min(64)).chain([rows, usize::MAX]) {
        let _ = directory.get(row).map(|instrument| instrument.symbol.to_string());
        if board.read(row, &mut image, || false).is_ok() {
            for side in [Side::Bid, Side::Ask] {
                let _ = (image.best(side), image.window(side).count());
            }
            let _ = (image.status(), image.quality(), image.turnover());
        }
    }
    walk_rings(segment);
}

fn store(mapping: &Mapping, at: usize, value: u64) {
    mapping.word(at / 8 * 8 % mapping.len()).store(value, Relaxed);
}

/// A file whose header is the input: 64 words of static header, then pairs of (place, value). The first byte says how
/// much of the header is put right first, so that checks behind other checks are reached as well. Returns whether the
/// header passed and the segment was walked.
pub fn header(data: &[u8]) -> bool {
    let mut input = Input(data);
    let [repair] = input.take();
    let mut words: [u64; STATIC_WORDS] = std::array::from_fn(|_| input.word());
    if repair & 1 != 0 {
        words[header::MAGIC] = MAGIC;
        words[header::ABI_VERSION] = ABI_VERSION;
        words[header::LAYOUT_HASH] = layout_hash();
        words[header::BOOT_ID..header::BOOT_ID + 2].copy_from_slice(&crate::segment::boot_id());
    }
    if repair & 2 != 0 {
        let plan = Plan {
            lane: "f".into(),
            orders_slots: 1024 << (words[header::ORDERS_SLOTS] % 4),
            market_slots: 1024 << (words[header::MARKET_SLOTS] % 4),
            instruments: 1 + words[header::INSTRUMENTS] as usize % 100,
            depth_bytes: words[header::DEPTH_BYTES] as usize % (1 << 16),
        };
        Layout::of(&plan).expect("every number was cut to its range").store(&mut words);
    }
    if repair & 4 != 0 {
        words[header::CHECKSUM] = fnv_words(&words[..header::CHECKSUM]);
    }
    let bytes = Layout::load(&words).map_or(8192, |layout| layout.bytes);
    if bytes > BYTES_MAX {
        return false;
    }
    let mapping = Mapping::anonymous(bytes).expect("a few megabytes");
    for (at, word) in words.into_iter().enumerate() {
        store(&mapping, at * 8, word);
    }
    while !input.is_empty() {
        // The checks are made on the header as it stands; what comes here changes the rest.
        let at = u32::from_le_bytes(input.take()) as usize;
        store(&mapping, STATIC_WORDS * 8 + at % (bytes - STATIC_WORDS * 8), input.word());
    }
    let opened = Segment::over(mapping, std::path::Path::new("fuzz"));
    opened.as_ref().map(walk).is_ok()
}

struct Slots {
    slots: Vec<Slot>,
    head: AtomicU64,
}

impl RingMemory for Arc<Slots> {
    fn slot(&self, n: u64) -> &Slot {
        &self.slots[(n % self.slot_count()) as usize]
    }
    fn slot_count(&self) -> u64 {
        self.slots.len() as u64
    }
    fn head(&self) -> &AtomicU64 {
        &self.head
    }
}

/// A ring of 8 to 128 slots in ordinary memory, slots and head from the input: place, number or stamp, words.
pub fn slots(data: &[u8]) {
    let mut input = Input(data);
    let [size] = input.take();
    let count = 8usize << (size % 5);
    let memory = Arc::new(Slots { slots: (0..count).map(|_| Slot::new()).collect(), head: AtomicU64::new(0) });
    memory.head.store(input.word(), Relaxed);
    while !input.is_empty() {
        let [place, how] = input.take();
        let number = match how & 3 {
            // A number that belongs there, in one of the first laps.
            0..=2 => u64::from(place) % count as u64 + count as u64 * (u64::from(how >> 2) % 3),
            _ => input.word() >> 2,
        };
        let mut words: [u64; SLOT_WORDS] = std::array::from_fn(|_| 0);
        let [kind, span] = input.take();
        words[0] = u64::from(kind) | u64::from(span) << 16;
        for word in &mut words[1..] {
            *word = u64::from(u16::from_le_bytes(input.take()));
        }
        let slot = &memory.slots[usize::from(place) % count];
        slot.write(number, &words);
        if how & 0x80 == 0 {
            slot.finish(number);
        }
    }
    for rejoin in [Rejoin::Latest, Rejoin::Oldest] {
        drain(RingReader::join(memory.clone(), rejoin));
        for n in (0..3 * count as u64).chain([memory.head.load(Relaxed), u64::MAX]) {
            drain(RingReader::new(memory.clone(), n, rejoin));
        }
    }
}

/// A whole lane with four instruments and a few records, of which any words are changed: pairs of (place, value). Four
/// of five places are steered to the directory, the board and the live words.
pub fn rows(data: &[u8]) {
    let plan = Plan { lane: "f".into(), orders_slots: 1024, market_slots: 1024, instruments: 4, depth_bytes: 1 << 15 };
    let mut writer = LaneWriter::anonymous(&plan).expect("a small lane");
    for (id, depth_class) in [0, 5, 200, 10].into_iter().enumerate() {
        let instrument = Instrument { depth_class, ..Instrument::equity(id as u32, b"AAPL", b"XNAS") };
        writer.add_instrument(&instrument).expect("four fit");
        writer.market.push_span(&[id as u64; 20]);
        writer.market.commit();
    }
    writer.publish_heads();
    let segment = writer.reader();
    let layout = *segment.layout();
    let mut input = Input(data);
    while !input.is_empty() {
        let [how] = input.take();
        let at = u16::from_le_bytes(input.take()) as usize;
        let value = if how & 0x80 == 0 { input.word() } else { u64::from(u16::from_le_bytes(input.take())) };
        let at = match how % 5 {
            0 => layout.directory + at % (4 * 256),
            1 => layout.board + at % (4 * 256),
            2 => STATIC_WORDS * 8 + at % (4096 - STATIC_WORDS * 8),
            3 => layout.feeds + at % 8192,
            _ => layout.orders + at,
        };
        segment.poke(at / 8 * 8, value);
    }
    walk(&segment);
}

/// A client's bytes on the command socket: as a stream of messages, and as one.
#[cfg(feature = "control")]
pub fn control(bytes: &[u8]) {
    use crate::control::{Definition, Response, encode, next_frame, read_request};
    let mut rest = bytes;
    while let Ok(Some((payload, consumed))) = next_frame(rest) {
        take_request(payload);
        rest = &rest[consumed..];
    }
    take_request(bytes);
    let _ = serde_json::from_slice::<Response>(bytes);
    let _ = serde_json::from_slice::<Definition>(bytes).map(|definition| (definition.check(), definition.key()));

    /// What was understood is understood again when it is sent on.
    fn take_request(payload: &[u8]) {
        let Ok(request) = read_request(payload) else { return };
        let mut out = Vec::new();
        if encode(&request, &mut out).is_ok() {
            let (again, _) = next_frame(&out).expect("our own framing").expect("whole");
            assert_eq!(read_request(again), Ok(request));
        }
    }
}
