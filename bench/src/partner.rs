//! The second role: this very program, started again in another process, pinned to the other core.
//!
//! The two talk over one shared page, each word on lines of its own. A partner dies with its parent, and a parent that
//! drops its [`Partner`] ends it: nothing that spins is ever left behind.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use shm_abi::sys::Mapping;

use crate::fanout::peers::Peer;
use crate::floor::Lines;
use crate::{BenchError, Result, fanout, floor, io_error, ring, sys};

/// Longest wait for the other role to get ready or to finish.
pub const PARTNER_LIMIT: Duration = Duration::from_secs(120);
/// Looks at a shared word between two looks at the clock.
const SPINS_PER_LOOK: u32 = 4096;
const PAGE_BYTES: usize = 4096;
/// Apart far enough that no adjacent-line prefetch joins two words.
const WORD_SPACING: usize = 256;

/// Words of the shared page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The partner has mapped everything and waits.
    Ready = 0,
    /// The partner may begin.
    Go = 1,
    /// The partner has finished; its results stand.
    Done = 2,
    /// The bare cache line that goes there.
    Ping = 3,
    /// The bare cache line that comes back.
    Pong = 4,
    /// Result: messages received.
    Received = 5,
    /// Result: messages lost.
    Lost = 6,
    /// Result: ticks from the first message to the last.
    Ticks = 7,
    /// The port that the partner listens on.
    Port = 8,
}

/// The shared page.
#[derive(Debug)]
pub struct Page {
    mapping: Mapping,
}

impl Page {
    fn path(dir: &Path) -> PathBuf {
        dir.join("page")
    }

    /// Makes the page, zeroed.
    ///
    /// # Errors
    /// When the file cannot be made or mapped.
    pub fn create(dir: &Path) -> Result<Page> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).to_owned();
        let file = options.open(Self::path(dir)).map_err(io_error("make the shared page"))?;
        file.set_len(PAGE_BYTES as u64).map_err(io_error("size the shared page"))?;
        Self::map(file.into())
    }

    /// Opens the page that the other role has made.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(dir: &Path) -> Result<Page> {
        let options = OpenOptions::new().read(true).write(true).to_owned();
        Self::map(options.open(Self::path(dir)).map_err(io_error("open the shared page"))?.into())
    }

    fn map(file: OwnedFd) -> Result<Page> {
        let mapping = Mapping::of_file(&file, PAGE_BYTES, true).map_err(io_error("map the shared page"))?;
        Ok(Page { mapping })
    }

    /// One word.
    #[inline(always)]
    pub fn word(&self, word: Word) -> &AtomicU64 {
        self.mapping.word(word as usize * WORD_SPACING)
    }

    /// Spins until the word is not 0; false when the limit has passed or `give_up` says so.
    pub fn wait(&self, word: Word, mut give_up: impl FnMut() -> bool) -> bool {
        let started = Instant::now();
        loop {
            for _ in 0..SPINS_PER_LOOK {
                if self.word(word).load(Acquire) != 0 {
                    return true;
                }
                std::hint::spin_loop();
            }
            if started.elapsed() > PARTNER_LIMIT || give_up() {
                return false;
            }
        }
    }
}

/// What the partner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answers on one bare cache line.
    CacheLine,
    /// Answers on a cache line of its own.
    CacheLines,
    /// Answers over the ring.
    RingPong,
    /// Counts what it gets of a ring at full speed.
    RingReader,
    /// Joins a ring, reads it, and then only exists.
    RingIdler,
    /// Answers over iceoryx2.
    Iceoryx2Pong,
    /// Serves a lane to WebSockets by a bare loop of sends.
    FanoutFloor,
    /// Serves a lane to WebSockets by tokio-tungstenite.
    FanoutTungstenite,
    /// Serves a lane to WebSockets by axum.
    FanoutAxum,
}

/// Arguments of the hidden subcommand `partner`.
#[derive(Debug, Clone, Args)]
pub struct PartnerArgs {
    /// What to do.
    #[arg(long, value_enum)]
    pub role: Role,
    /// Folder of the run.
    #[arg(long)]
    pub dir: PathBuf,
    /// Core to be pinned to.
    #[arg(long)]
    pub core: usize,
    /// Round trips to answer.
    #[arg(long, default_value_t = 0)]
    pub rounds: u64,
}

/// The partner's whole life.
///
/// # Errors
/// What its role says.
pub fn run(args: &PartnerArgs) -> Result<()> {
    sys::die_with_parent().map_err(io_error("tie the partner's life to its parent's"))?;
    // The parent has judged whether pinning is possible, and gives no verdict where it is not.
    let _ = sys::pin(args.core);
    let page = Page::open(&args.dir)?;
    match args.role {
        Role::CacheLine => floor::answer_cache_line(&page, Lines::One, args.rounds),
        Role::CacheLines => floor::answer_cache_line(&page, Lines::Two, args.rounds),
        Role::RingPong => ring::ours::answer(&page, &args.dir, args.rounds)?,
        Role::RingReader => ring::ours::count(&page, &args.dir)?,
        Role::RingIdler => ring::ours::idle(&page, &args.dir)?,
        Role::Iceoryx2Pong => ring::peers::answer_iceoryx2(&page, &args.dir, args.rounds)?,
        Role::FanoutFloor => fanout::bare::serve(&page, &args.dir)?,
        Role::FanoutTungstenite => fanout::peers::serve(&page, &args.dir, Peer::Tungstenite)?,
        Role::FanoutAxum => fanout::peers::serve(&page, &args.dir, Peer::Axum)?,
    }
    page.word(Word::Done).store(1, Release);
    Ok(())
}

/// The parent's hold on its partner.
#[derive(Debug)]
pub struct Partner {
    child: Child,
    role: Role,
}

impl Partner {
    /// Starts the partner and waits until it is ready. The page must be fresh.
    ///
    /// # Errors
    /// When the program cannot be started, or ends, or is not ready in time.
    pub fn start(page: &Page, role: Role, dir: &Path, core: usize, rounds: u64) -> Result<Partner> {
        let program = std::env::current_exe().map_err(io_error("find this program"))?;
        let name = role.to_possible_value().expect("no role is skipped").get_name().to_owned();
        let child = Command::new(program)
            .args(["partner", "--role", &name, "--core", &core.to_string(), "--rounds", &rounds.to_string()])
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(io_error(format!("start the partner {name}")))?;
        let mut partner = Partner { child, role };
        partner.wait(page, Word::Ready)?;
        Ok(partner)
    }

    /// Waits until the partner sets `word`.
    ///
    /// # Errors
    /// When it ends before, or takes longer than [`PARTNER_LIMIT`].
    pub fn wait(&mut self, page: &Page, word: Word) -> Result<()> {
        let child = &mut self.child;
        let mut gone = false;
        let seen = page.wait(word, || {
            gone = !matches!(child.try_wait(), Ok(None));
            gone
        });
        // It may have set the word as its last act.
        match seen || page.word(word).load(Acquire) != 0 {
            true => Ok(()),
            false if gone => Err(self.error(format!("ended before {word:?}"))),
            false => Err(self.error(format!("no {word:?} within {} s", PARTNER_LIMIT.as_secs()))),
        }
    }

    /// Whether the partner has ended.
    pub fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The partner's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn error(&self, what: String) -> BenchError {
        BenchError::Partner { role: format!("partner {:?}", self.role), what }
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of this run's own, gone with it: in memory where there is a memory file system.
///
/// # Errors
/// When no folder can be made.
pub fn run_dir() -> Result<tempfile::TempDir> {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("ticklane-bench-");
        builder
    };
    let in_memory = builder().tempdir_in("/dev/shm");
    in_memory.or_else(|_| builder().tempdir()).map_err(io_error("make a folder for the run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_page() {
        let dir = run_dir().unwrap();
        let ours = Page::create(dir.path()).unwrap();
        let theirs = Page::open(dir.path()).unwrap();
        ours.word(Word::Ticks).store(7, Release);
        assert_eq!(theirs.word(Word::Ticks).load(Acquire), 7);
        assert_eq!(theirs.word(Word::Lost).load(Acquire), 0);
        assert!(theirs.wait(Word::Ticks, || false));
        assert!(!theirs.wait(Word::Done, || true), "gives up when told so");
    }
}
