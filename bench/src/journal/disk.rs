//! The recorded bus on a disk: written, read back, replayed and exported, each beside what bounds it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use journal::disk::{FsFolder, drive};
use journal::export::{ExportOptions, Exporter, Format, Schema};
use journal::replay::{Republisher, Source as Recording, SourceOptions, Step};
use journal::writer::{Now, Source, Writer};
use journal::{Journal, JournalConfig, Merged, Recovered, ring_index};
use shm_abi::segment::{Identity, LaneWriter};

use super::flow::{Flow, START_NS};
use crate::facts::{MemoryLine, own_memory_mib};
use crate::itch::book::{RING_SLOTS, plan};
use crate::{BenchError, Result, io_error};

/// Records between two looks at the clock.
const BATCH: u64 = 512;
/// Bytes of one write of the bare file: those of a block.
const BLOCK_BYTES: usize = 1 << 20;
/// From one sync of the bare file to the next: the journal's default.
const SYNC_EVERY: Duration = Duration::from_millis(100);

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Market(error.to_string())
}

/// Writes the flow as a journal, to its end and on disk: seconds.
pub(super) fn write(flow: &Flow, folder: &Path) -> Result<f64> {
    let identity = Identity { epoch: 7, incarnation: 8, old_epoch: 0, flags: 0 };
    let source = Source { identity, directory: flow.instruments.clone(), first: [0, 0] };
    let began = Instant::now();
    let now = || {
        let ns = began.elapsed().as_nanos() as u64;
        Now { unix_ns: START_NS + ns, monotonic_ns: 1 + ns }
    };
    let mut disk = FsFolder::new(folder);
    disk.make().map_err(io_error("make the journal's folder"))?;
    let config = JournalConfig::default();
    let mut writer = Writer::new(config, "bench", &Recovered::default(), source, now()).map_err(failed)?;
    let (mut next, mut count, mut refused) = ([0u64; 2], 0u64, 0u64);
    flow.each(|ring, words| {
        let at = ring_index(ring);
        refused += u64::from(!writer.push(ring, next[at], words));
        next[at] += slots(words);
        count += 1;
        if count.is_multiple_of(BATCH) {
            let now = now();
            if writer.poll_timeout() <= now.monotonic_ns {
                writer.handle_time(now);
            }
            drive(&mut writer, &mut disk, now);
        }
    });
    writer.finish();
    drive(&mut writer, &mut disk, now());
    if refused > 0 || !writer.is_finished() {
        return Err(failed(format!("the journal refused {refused} records")));
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Slots of a record.
fn slots(words: &[u64]) -> u64 {
    words[0] >> 16 & 0xff
}

/// Bytes of the files in a folder.
pub(super) fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// As many bytes in one file, synced as often: seconds.
pub(super) fn bare_write(bytes: u64, path: &Path) -> Result<f64> {
    let block = vec![0x5a; BLOCK_BYTES];
    let (began, mut synced) = (Instant::now(), Instant::now());
    let written = (|| {
        let mut file = File::create(path)?;
        let mut left = bytes;
        while left > 0 {
            let count = left.min(BLOCK_BYTES as u64);
            file.write_all(&block[..count as usize])?;
            left -= count;
            if synced.elapsed() >= SYNC_EVERY {
                file.sync_data()?;
                synced = Instant::now();
            }
        }
        file.sync_data()
    })();
    written.map_err(io_error("write a bare file"))?;
    let seconds = began.elapsed().as_secs_f64();
    std::fs::remove_file(path).map_err(io_error("remove a bare file"))?;
    Ok(seconds)
}

/// Reads both rings in their order: seconds.
pub(super) fn read(flow: &Flow, folder: &Path) -> Result<f64> {
    let began = Instant::now();
    let mut merged = Merged::oldest(&Journal::open(folder).map_err(failed)?);
    let mut records = 0;
    while let Some((_, entry)) = merged.next().map_err(failed)? {
        records += u64::from(matches!(entry, journal::Entry::Record { .. }));
    }
    same(records, flow.records)?;
    Ok(began.elapsed().as_secs_f64())
}

/// What a long job took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// Seconds.
    pub seconds: f64,
    /// By how much anonymous memory has grown from the end of its first quarter on, MiB.
    pub growth_mib: f64,
}

/// Watches memory: what is there after the first quarter stays.
struct Growth {
    quarter: u64,
    then_mib: f64,
    most_mib: f64,
}

impl Growth {
    fn of(total: u64) -> Growth {
        Growth { quarter: total / 4, then_mib: f64::NAN, most_mib: f64::NAN }
    }

    fn look(&mut self, count: u64) {
        if !count.is_multiple_of(1 << 18) || count < self.quarter {
            return;
        }
        let mib = own_memory_mib(MemoryLine::Anonymous);
        if self.then_mib.is_nan() {
            self.then_mib = mib;
        }
        self.most_mib = self.most_mib.max(mib);
    }

    fn mib(&self) -> f64 {
        (self.most_mib - self.then_mib).max(0.0)
    }
}

/// Replays the journal into a lane, as fast as it goes.
pub(super) fn replay(flow: &Flow, folder: &Path, symbols: u32) -> Result<Job> {
    let mut lane = LaneWriter::anonymous(&plan(symbols, RING_SLOTS))?;
    lane.prefault();
    let mut republisher = Republisher::new(symbols as usize + 1);
    let mut growth = Growth::of(flow.records);
    let began = Instant::now();
    let mut source = Recording::open(folder, &SourceOptions::default()).map_err(failed)?;
    let mut records = 0u64;
    while let Some(step) = source.next().map_err(failed)? {
        republisher.take(&step, &mut lane).map_err(failed)?;
        if matches!(step, Step::Record { .. }) {
            records += 1;
            if records.is_multiple_of(BATCH) {
                republisher.publish_heads(&mut lane);
                growth.look(records);
            }
        }
    }
    republisher.finish(&mut lane);
    same(records, flow.records)?;
    Ok(Job { seconds: began.elapsed().as_secs_f64(), growth_mib: growth.mib() })
}

/// Exports the orders ring from the journal: the job, and how many records it was given.
pub(super) fn export(flow: &Flow, folder: &Path, path: &Path, format: Format) -> Result<(Job, u64)> {
    let mut growth = Growth::of(flow.records);
    let began = Instant::now();
    let schema = Schema::Orders;
    let reader = Journal::open(folder).map_err(failed)?.oldest(schema.ring());
    let mut feed = journal::export::Feed::new(reader);
    let instruments = feed.instruments().map_err(failed)?.to_vec();
    let options = ExportOptions::new(schema, format);
    let mut exporter = Exporter::create(path, &options, &instruments).map_err(failed)?;
    let mut given = 0;
    loop {
        match feed.feed(&mut exporter, 1 << 18).map_err(failed)? {
            0 => break,
            count => given += count,
        }
        growth.look(given & !((1 << 18) - 1));
    }
    exporter.finish().map_err(failed)?;
    let seconds = began.elapsed().as_secs_f64();
    std::fs::remove_file(path).map_err(io_error("remove the export"))?;
    Ok((Job { seconds, growth_mib: growth.mib() }, given))
}

fn same(seen: u64, wanted: u64) -> Result<()> {
    if seen == wanted { Ok(()) } else { Err(BenchError::UnequalWork(format!("records: {seen} of {wanted}"))) }
}
