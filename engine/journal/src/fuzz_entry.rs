//! What the fuzz targets run, and tests over seeded inputs: files that a hostile hand has written.
//!
//! Nothing here may panic, hang, or take memory by a number that stands in a file. Not part of the crate's interface.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use shm_abi::layout::Plan;
use shm_abi::segment::{LaneWriter, RingName};

use crate::RINGS;
use crate::book::Books;
use crate::disk::{MemoryFolder, drive};
use crate::format::{ALIGN, BLOCK_HEADER_BYTES, BlockHeader, BlockKind, FileHeader, seal_block};
use crate::image::{apply_part, books_at, load};
use crate::journal::Journal;
use crate::merged::Merged;
use crate::reader::{Entry, Reader};
use crate::recover::{Recovered, recover};
use crate::replay::{Republisher, Source as Recording, SourceOptions, Start};
use crate::writer::{Now, Source, Writer};

/// Most things that a file of an input here can yield: more than its bytes.
const ENTRIES: usize = 1 << 22;

/// Reads to the end: numbers rise, none twice, none left out within an epoch.
fn drain(mut reader: Reader) {
    let mut next = None;
    for _ in 0..ENTRIES {
        match reader.next().expect("memory does not fail") {
            None => return,
            Some(Entry::Record { n, words }) => {
                assert!(next.is_none_or(|next| next == n), "{n} after {next:?}");
                next = Some(n + 1 + (words.len() as u64 - 7) / 6);
            }
            Some(Entry::Hole(hole)) => {
                assert!(hole.first <= hole.last && next.is_none_or(|next| next == hole.first), "{hole:?} at {next:?}");
                next = Some(hole.last + 1);
            }
            Some(Entry::Epoch(step)) => {
                assert!(next.is_none_or(|next| next == step.old_end));
                next = Some(0);
            }
        }
    }
    panic!("a reader that does not end");
}

/// Through a lane again: rings take every record, whatever stands in it.
fn replay(journal: &Journal, start: Start) {
    let plan =
        Plan { lane: "fuzz".into(), orders_slots: 1024, market_slots: 1024, instruments: 8, depth_bytes: 1 << 16 };
    let mut lane = LaneWriter::anonymous(&plan).expect("a little memory");
    let mut republisher = Republisher::new(plan.instruments);
    let options = SourceOptions { start, order_limit: 1 << 12, ..SourceOptions::default() };
    let Ok(mut source) = Recording::of_journal(journal, &options) else { return };
    for _ in 0..ENTRIES {
        match source.next().expect("memory does not fail") {
            None => return republisher.finish(&mut lane),
            // More instruments than there is room for.
            Some(step) if republisher.take(&step, &mut lane).is_err() => return,
            Some(_) => republisher.publish_heads(&mut lane),
        }
    }
    panic!("a source that does not end");
}

/// Everything that can be done with a folder.
fn walk(folder: &MemoryFolder) {
    let journal = Journal::of(Arc::new(folder.clone())).expect("memory does not fail");
    replay(&journal, Start::Oldest);
    replay(&journal, Start::Time(1_700_000_000_010_000_000));
    for ring in RINGS {
        drain(journal.oldest(ring));
        for header in journal.files() {
            for n in [0, 1, header.first[0], header.first[1].wrapping_add(1), u64::MAX] {
                let _ = journal.seek(ring, header.epoch, n).map(drain);
            }
        }
        for ns in [0, 1, 1 << 40, u64::MAX] {
            drain(journal.seek_time(ring, ns).expect("memory does not fail"));
        }
    }
    let mut merged = Merged::oldest(&journal);
    let mut count = 0;
    while merged.next().expect("memory does not fail").is_some() {
        count += 1;
        assert!(count < ENTRIES, "a reader that does not end");
    }
    for epoch in journal.epochs() {
        let _ = load(&journal, epoch, u64::MAX, 1 << 16);
        let _ = books_at(&journal, epoch, 3, 1 << 16);
    }
}

/// A file's bytes as they are, and with a header put in front: what the index makes of them, before and after recovery.
pub fn file(bytes: &[u8]) {
    let good = FileHeader { number: 1, ..header() };
    let (words, _) = good.words();
    let whole: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).chain(bytes.iter().copied()).collect();
    let folder = MemoryFolder::default();
    folder.files().insert(0, bytes.to_vec());
    folder.files().insert(1, whole);
    walk(&folder);
    let recovered = recover(Arc::new(folder.clone()), "fuzz");
    walk(&folder);
    if let Ok(again) = recovered {
        // What was cut once is not cut again, and stands where it did.
        let twice = recover(Arc::new(folder), "fuzz").expect("the same lane");
        assert_eq!((twice.stopped, twice.cut), (again.stopped, None));
    }
}

fn header() -> FileHeader {
    FileHeader {
        number: 0,
        created_ns: 1,
        lane: shm_abi::directory::Text::new(b"fuzz"),
        epoch: 7,
        incarnation: 8,
        old_epoch: 0,
        flags: 0,
        first: [0, 0],
        prior_latest_ns: [0, 0],
    }
}

/// Takes bytes off an input; zeros when it has ended.
struct Input<'d>(&'d [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_at(self.0.len().min(N));
        self.0 = rest;
        std::array::from_fn(|i| taken.get(i).copied().unwrap_or(0))
    }
}

/// Blocks whose checksums are right and whose fields are the input's: so that what stands behind the checksums is reached.
pub fn blocks(data: &[u8]) {
    let mut input = Input(data);
    let good = header();
    let (words, salt) = good.words();
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut next = [0u64; 2];
    while !input.0.is_empty() && bytes.len() < 40 * ALIGN {
        let [kind, how, count, pages] = input.take();
        let ring = usize::from(how & 1);
        let (kind, named) = match kind % 6 {
            0 | 1 => (BlockKind::Slots, true),
            2 => (BlockKind::Directory, false),
            3 => (BlockKind::Image, true),
            4 => (BlockKind::Hole, true),
            _ => (BlockKind::Mark, false),
        };
        let span = u64::from(count % 140) + 1;
        let (first, end, payload) = match kind {
            BlockKind::Slots => (next[ring], next[ring] + span, span * 56),
            BlockKind::Directory => (span / 2, span / 2 + u64::from(count % 9), u64::from(count % 9) * 256),
            BlockKind::Image => (next[0] / 2, next[0] / 2, span * 8),
            BlockKind::Hole => (next[ring], next[ring] + span, 0),
            BlockKind::Mark => (0, 0, 64),
        };
        let mut header = BlockHeader {
            kind,
            ring: named.then(|| RINGS[if kind == BlockKind::Image { 0 } else { ring }]),
            payload_bytes: payload as u32,
            count: if kind == BlockKind::Directory { (end - first) as u32 } else { 1 },
            first,
            end,
            earliest_ns: span,
            latest_ns: u64::from_le_bytes(input.take()),
            detail: u64::from(pages & 3) | u64::from(how & 0x40) << 26,
            payload_checksum: 0,
        };
        if how & 0x20 != 0 {
            // Any field may be anything, too, as long as there is a block to put it in.
            header.first = u64::from_le_bytes(input.take()) >> 8;
            header.count = u32::from_le_bytes(input.take());
        }
        let mut block = vec![0; header.bytes()];
        for byte in block[BLOCK_HEADER_BYTES..][..payload as usize].chunks_mut(8).take(64) {
            let fill: [u8; 8] = input.take();
            byte.copy_from_slice(&fill[..byte.len()]);
            // Spans that make sense are more often than not what is wanted behind the checksum.
            if how & 0x80 != 0 && byte.len() == 8 {
                byte[2] = 1;
            }
        }
        seal_block(&header, salt, bytes.len() as u64, &mut block);
        if matches!(kind, BlockKind::Slots | BlockKind::Hole) {
            next[ring] = end;
        }
        bytes.extend(block);
    }
    let folder = MemoryFolder::default();
    folder.files().insert(0, bytes);
    walk(&folder);
    let _ = recover(Arc::new(folder), "fuzz");
}

/// A journal that was written well, of which any bytes are changed, cut or appended: pairs of (how and where, value). What
/// is served is what was written.
pub fn recovery(data: &[u8]) {
    let folder = written();
    let mut input = Input(data);
    let [cut_low, cut_high, which] = input.take();
    {
        let mut files = folder.files();
        let count = files.len() as u64;
        let file = files.get_mut(&(u64::from(which) % count)).expect("numbered from 0");
        let len = file.len();
        file.truncate(len - usize::from(u16::from_le_bytes([cut_low, cut_high])).min(len));
        while !input.0.is_empty() {
            let [low, high, how, value] = input.take();
            let at = usize::from(u16::from_le_bytes([low, high])) | usize::from(how & 3) << 16;
            match file.get_mut(at) {
                Some(byte) => *byte = value,
                None => file.push(value),
            }
        }
    }
    walk(&folder);
    let recovered = recover(Arc::new(folder.clone()), "fuzz").expect("the lane is part of the checksum");
    walk(&folder);
    let journal = Journal::of(Arc::new(folder)).expect("memory does not fail");
    let mut reader = journal.oldest(RingName::Orders);
    while let Some(entry) = reader.next().expect("memory does not fail") {
        if let Entry::Record { n, words } = entry {
            assert_eq!(words, record(n), "what is served is what was written");
        }
    }
    assert!(recovered.next_file >= 1);
}

fn record(n: u64) -> [u64; 7] {
    [u64::from(b'A') | 1 << 16, n, 1000 + n, n << 32, n, n * 3, 9]
}

/// A few small files, made once.
fn written() -> MemoryFolder {
    static FILES: OnceLock<BTreeMap<u64, Vec<u8>>> = OnceLock::new();
    let folder = MemoryFolder::default();
    *folder.files() = FILES.get_or_init(|| make().files().clone()).clone();
    folder
}

fn make() -> MemoryFolder {
    let config = crate::JournalConfig {
        block_bytes: 8192,
        buffer_bytes: 8 * 8192,
        file_bytes: 32 << 10,
        ..crate::JournalConfig::default()
    };
    let now = |ms: u64| Now { unix_ns: ms * 1_000_000, monotonic_ns: ms * 1_000_000 };
    let identity = shm_abi::segment::Identity { epoch: 7, incarnation: 8, old_epoch: 0, flags: 0 };
    let directory = vec![shm_abi::directory::Instrument::equity(1, b"AAPL", b"XNAS")];
    let source = Source { identity, directory, first: [0, 0] };
    let mut writer =
        Writer::new(config, "fuzz", &Recovered::default(), source, now(0)).expect("limits in their ranges");
    let mut folder = MemoryFolder::default();
    for n in 0..450 {
        writer.push(RingName::Orders, n, &record(n));
        writer.push(RingName::Market, n, &record(n));
        if n % 100 == 0 {
            writer.handle_time(now(n));
        }
        drive(&mut writer, &mut folder, now(n));
    }
    writer.handle_time(now(2000));
    drive(&mut writer, &mut folder, now(2000));
    folder
}

/// Payload words of an image.
pub fn image(bytes: &[u8]) {
    let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let mut books = Books::new(true, 1 << 16);
    let _ = apply_part(&words, true, 0, &mut books);
    let _ = apply_part(&words, false, 0, &mut books);
    let mut orders = Vec::new();
    let instruments: Vec<u32> = books.instruments().collect();
    let sum: usize = instruments.iter().map(|id| (books.orders(*id, &mut orders), orders.len()).1).sum();
    assert_eq!(sum, books.live());
}

#[cfg(test)]
mod tests {
    /// Seeded inputs of each length class, so that the targets' own code is run by every test run.
    fn seeded(count: u64, run: impl Fn(&[u8])) {
        for seed in 0..count {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut byte = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            };
            let len = usize::from(byte()) * (1 + seed as usize % 24);
            let data: Vec<u8> = (0..len).map(|_| byte()).collect();
            run(&data);
        }
    }

    #[test]
    fn files_of_seeded_bytes() {
        seeded(200, super::file);
    }
    #[test]
    fn blocks_of_seeded_fields() {
        seeded(400, super::blocks);
    }
    /// Records from the end of time: no reader may take them for the end, and none may wait for what is behind it.
    #[test]
    fn blocks_that_were_found() {
        let mut endless = vec![0xff; 43];
        endless[..17]
            .copy_from_slice(&[0x61, 0, 0, 0, 0x2a, 0xdb, 7, 0xdb, 0x2a, 0x28, 0xb5, 7, 0, 0xb5, 0x28, 0xb5, 0x4b]);
        endless[39..].copy_from_slice(&[0x4a, 0xff, 0xb5, 0xb5]);
        super::blocks(&endless);
    }
    #[test]
    fn journals_with_seeded_damage() {
        seeded(60, super::recovery);
        super::recovery(&[]);
    }
    #[test]
    fn images_of_seeded_words() {
        seeded(200, super::image);
    }
}
