//! A writer that is killed at any moment: what it had written is there, and the next one goes on from there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Rng;
use common::*;
use journal::disk::{Disk, FsFolder, drive};
use journal::format::HoleReason;
use journal::writer::{Now, Source, Writer};
use journal::{Journal, JournalConfig, RINGS, recover, ring_index};

const FOLDER: &str = "TICKLANE_KILL_FOLDER";

/// What stands at number `n`, and for how many slots; `None`: a hole of three.
fn at_number(n: u64) -> Option<Vec<u64>> {
    match n % 97 {
        5 => None,
        11 => Some(record(b'n', 1, 1 + (n % 60) as usize, T0 + n, [n, 2, 3], n)),
        _ => Some(add((n % 3) as u32, n, T0 + n)),
    }
}

fn span(words: &[u64]) -> u64 {
    1 + (words.len() as u64 - 7) / 6
}

/// Writes each block in pieces of a sector, in any order: a kill finds every state that a block can be in.
struct Pieces {
    folder: FsFolder,
    rng: Rng,
}

impl Disk for Pieces {
    fn create(&mut self, number: u64) -> io::Result<()> {
        self.folder.create(number)
    }
    fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut pieces: Vec<(usize, &[u8])> = bytes.chunks(512).enumerate().collect();
        while !pieces.is_empty() {
            let (place, piece) = pieces.swap_remove(self.rng.below(pieces.len() as u64) as usize);
            self.folder.write(number, offset + 512 * place as u64, piece)?;
            std::thread::sleep(Duration::from_micros(20));
        }
        Ok(())
    }
    fn sync(&mut self, number: u64) -> io::Result<()> {
        self.folder.sync(number)
    }
    fn close(&mut self, number: u64, length: u64) -> io::Result<()> {
        self.folder.close(number, length)
    }
    fn delete(&mut self, number: u64) -> io::Result<()> {
        self.folder.delete(number)
    }
}

/// The child: recovers, goes on, and tells what is durable until it is killed.
fn write_until_killed(folder: &Path) {
    let mut disk = Pieces { folder: FsFolder::new(folder), rng: Rng(std::process::id().into()) };
    disk.folder.make().unwrap();
    let recovered = recover(Arc::new(FsFolder::new(folder)), "test").unwrap();
    let first = recovered.stopped.map_or([0, 0], |stopped| stopped.next);
    let config = JournalConfig { sync_interval_ms: 2, retain_bytes: 1 << 30, file_bytes: 512 << 10, ..small() };
    let began = Instant::now();
    let now = || {
        let ns = began.elapsed().as_nanos() as u64;
        Now { unix_ns: T0 + ns, monotonic_ns: ns }
    };
    let mut writer = Writer::new(config, "test", &recovered, Source { first, ..source(7) }, now()).unwrap();
    let mut next = first;
    // The end is the parent's, but a child that is forgotten ends, too.
    while began.elapsed() < Duration::from_secs(20) {
        for ring in RINGS.into_iter().cycle().take(100) {
            let n = &mut next[ring_index(ring)];
            match at_number(*n) {
                Some(words) => {
                    assert!(writer.push(ring, *n, &words));
                    *n += span(&words);
                }
                None => {
                    writer.lost(ring, *n, *n + 2, HoleReason::Lapped);
                    *n += 3;
                }
            }
        }
        writer.handle_time(now());
        drive(&mut writer, &mut disk, now());
        let durable = RINGS.map(|ring| writer.durable(ring).until);
        if durable[0] > first[0] + 200 && !folder.join("going").exists() {
            std::fs::write(folder.join("going"), "").unwrap();
        }
        std::fs::write(folder.join("durable"), durable.map(|n| n.to_string()).join(" ")).unwrap();
    }
}

fn durable(folder: &Path) -> [u64; 2] {
    let text = std::fs::read_to_string(folder.join("durable")).unwrap();
    let mut numbers = text.split(' ').map(|n| n.parse().unwrap_or(0));
    [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
}

#[test]
fn a_killed_writer_leaves_all_that_it_had_called_durable_and_the_next_goes_on_there() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_until_killed(&PathBuf::from(folder));
    }
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let kills = std::env::var("TICKLANE_JOURNAL_KILLS").map_or(20, |text| text.parse().unwrap());
    let (mut rng, mut before, mut cuts) = (Rng(99), [0; 2], 0);
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_writer_leaves_all_that_it_had_called_durable_and_the_next_goes_on_there"])
            .env(FOLDER, folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !folder.join("going").exists() {
            assert!(began.elapsed() < Duration::from_secs(30), "the child writes");
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(rng.below(15_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(folder.join("going")).unwrap();
        let promised = durable(folder);
        let recovered = recover(Arc::new(FsFolder::new(folder)), "test").unwrap();
        cuts += usize::from(recovered.cut.is_some());
        let stopped = recovered.stopped.unwrap();
        let journal = Journal::open(folder).unwrap();
        for ring in RINGS {
            let i = ring_index(ring);
            assert!(
                stopped.next[i] >= promised[i] && stopped.next[i] > before[i],
                "kill {kill}: {stopped:?}, {promised:?}"
            );
            let mut next = 0;
            for got in read_all(&mut journal.oldest(ring)) {
                let want =
                    at_number(next).map_or(Got::Hole(next, next + 2, HoleReason::Lapped), |w| Got::Record(next, w));
                assert_eq!(got, want, "kill {kill}");
                next = match got {
                    Got::Record(n, words) => n + span(&words),
                    Got::Hole(_, last, _) => last + 1,
                    Got::Epoch(_) => 0,
                };
            }
            assert_eq!(next, stopped.next[i], "kill {kill}");
        }
        before = stopped.next;
    }
    assert!(cuts > 0 || kills < 20, "some kill met a write");
    println!("{kills} kills, {cuts} of them cut a file; numbers came to {before:?}");
}
