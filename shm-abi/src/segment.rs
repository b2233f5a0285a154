//! One file per lane: making it, finding it, refusing what is not one.
//!
//! Source: design.md 3; decisions.md 5, 13; reliability.md rows 32 to 37.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::board::{BoardReader, BoardWriter};
use crate::counters::{
    CounterReader, CounterWriter, FeedCounter, JOURNAL_COUNTER_WORDS, JOURNAL_COUNTERS, JournalCounter, LaneCounter,
};
use crate::directory::{DirectoryError, DirectoryReader, DirectoryWriter, Instrument, Text};
use crate::layout::{
    FEED_COUNTER_WORDS, FEED_WORDS, FEEDS_MAX, FeedState, HEADER_BYTES, HEARTBEAT_LIMIT_NS, LANE_NAME_RULE, Layout,
    Plan, PlanError, STATIC_WORDS, State, feed, fnv_words, header, is_lane_name, layout_hash, live,
};
use crate::record::{join_words, split_words};
use crate::ring::{Rejoin, RingMemory, RingReader, RingWriter};
use crate::slot::Slot;
use crate::sync::{AtomicU32, AtomicU64, Site, fence_acquire, store_release};
use crate::sys::{self, Directory, Mapping, SlotTable};
use crate::{ABI_VERSION, MAGIC, seqlock, wake};

/// Which of a lane's rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RingName {
    /// Every order-level event, for strategies.
    Orders,
    /// Quotes, level changes, trades, status, gaps: what gateways read.
    Market,
}

impl RingName {
    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            RingName::Orders => "orders",
            RingName::Market => "market",
        }
    }
}

/// A ring in a mapped segment. Holds the mapping, so a reader outlives a renamed or removed file.
#[derive(Debug, Clone)]
pub struct MappedRing {
    slots: SlotTable,
    head: usize,
}

impl MappedRing {
    fn new(mapping: Arc<Mapping>, layout: &Layout, name: RingName) -> Self {
        let (offset, slots, head) = match name {
            RingName::Orders => (layout.orders, layout.orders_slots, live::ORDERS_HEAD),
            RingName::Market => (layout.market, layout.market_slots, live::MARKET_HEAD),
        };
        MappedRing { slots: SlotTable::new(mapping, offset, slots), head }
    }
}

impl RingMemory for MappedRing {
    #[inline(always)]
    fn slot(&self, n: u64) -> &Slot {
        self.slots.get(n)
    }
    #[inline(always)]
    fn slot_count(&self) -> u64 {
        self.slots.count()
    }
    #[inline(always)]
    fn head(&self) -> &AtomicU64 {
        self.slots.mapping().word(self.head)
    }
    #[inline(always)]
    fn expect_write(&self, n: u64) {
        sys::prefetch_write(self.slots.get(n));
    }
}

/// Why a segment could not be made or opened. Every variant says what was seen, what is wanted and what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The plan has a number out of range.
    #[error("lane plan: {0}")]
    Plan(#[from] PlanError),
    /// A system call failed.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system has no room for the segment.
    #[error(
        "{path}: no room for a segment of {bytes} bytes: free some, or lower orders_slots, market_slots or instruments"
    )]
    NoRoom {
        /// The segment.
        path: PathBuf,
        /// Bytes wanted.
        bytes: u64,
    },
    /// Another process writes this lane.
    #[error("{path} is locked: another engine writes this lane; stop it, or choose another runtime_dir or lane name")]
    Taken {
        /// The lock file.
        path: PathBuf,
    },
    /// Something that is not ours stands where the segment should.
    #[error("{path} is {found}: expected a Ticklane segment owned by uid {uid}, or nothing; move it away by hand")]
    Foreign {
        /// The place.
        path: PathBuf,
        /// What stands there.
        found: String,
        /// Who we are.
        uid: u32,
    },
    /// The runtime directory could be changed by others.
    #[error("{path} is {found}: expected a directory owned by uid {uid} and writable by its owner only (chmod go-w)")]
    UnsafeDirectory {
        /// The directory.
        path: PathBuf,
        /// What it is.
        found: String,
        /// Who we are.
        uid: u32,
    },
    /// There is no segment.
    #[error("{path}: no segment; is the engine running, with this runtime directory and lane?")]
    Missing {
        /// The place.
        path: PathBuf,
    },
    /// The file is not a segment, or not a whole one.
    #[error("{path}: not a segment: {why}")]
    NotASegment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file has another version of the layout.
    #[error(
        "{path}: the segment has ABI {found_major}.{found_minor} (layout {found_hash:016x}), this program reads \
         {own_major}.{own_minor} (layout {own_hash:016x}): use programs of one release"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its major version.
        found_major: u32,
        /// Its minor version.
        found_minor: u32,
        /// Its layout.
        found_hash: u64,
        /// Our major version.
        own_major: u32,
        /// Our minor version.
        own_minor: u32,
        /// Our layout.
        own_hash: u64,
    },
    /// The segment was made before the host was booted last.
    #[error("{path}: made before the last boot of this host; its engine must make it anew")]
    Stale {
        /// The file.
        path: PathBuf,
    },
}

/// Name of a lane's segment in the runtime directory.
pub fn segment_file(lane: &str) -> String {
    format!("{lane}.seg")
}

/// Name of a lane's lock file in the runtime directory.
pub fn lock_file(lane: &str) -> String {
    format!("{lane}.lock")
}

/// Name of the socket that hands out a lane's sleeper flag.
pub fn wake_socket(lane: &str) -> String {
    format!("{lane}.wake")
}

/// Lane names become file names: nothing that could lead out of the runtime directory may pass.
fn check_lane_name(lane: &str) -> Result<(), PlanError> {
    if is_lane_name(lane) {
        return Ok(());
    }
    Err(PlanError { field: "lane name", value: lane.into(), expected: LANE_NAME_RULE })
}

/// Boot id of this host: two words; zeros when the kernel does not tell.
pub(crate) fn boot_id() -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let word = |range| hex.get(range).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    [word(0..16), word(16..32)]
}

fn lane_name_words(lane: &str) -> [u64; 4] {
    let text = Text::<32>::new(lane.as_bytes());
    std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|b| text.bytes()[i * 8 + b])))
}

/// Who a sequence and a mapping are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Names the sequence.
    pub epoch: u64,
    /// Names the mapping.
    pub incarnation: u64,
    /// Epoch before this one; 0: unknown.
    pub old_epoch: u64,
    /// Header flags.
    pub flags: u64,
}

impl Identity {
    /// A new random identity after `old_epoch`.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub fn random(old_epoch: u64) -> io::Result<Identity> {
        // 0 means "unknown" wherever an epoch stands.
        let nonzero = || sys::random_u64().map(|value| value.max(1));
        Ok(Identity { epoch: nonzero()?, incarnation: nonzero()?, old_epoch, flags: 0 })
    }
}

/// The directory that holds an instance's segments, and this process's right to one lane in it.
#[derive(Debug)]
pub struct LaneLock {
    directory: Directory,
    path: PathBuf,
    lane: String,
    _lock: OwnedFd,
}

impl LaneLock {
    /// Opens the runtime directory, checks that nobody else can change it, and locks the lane.
    ///
    /// # Errors
    /// [`SegmentError::Plan`] for a name that is none, [`SegmentError::UnsafeDirectory`], [`SegmentError::Taken`],
    /// [`SegmentError::Foreign`], [`SegmentError::Io`].
    pub fn take(runtime_dir: &Path, lane: &str) -> Result<LaneLock, SegmentError> {
        check_lane_name(lane)?;
        let io = |action, path: PathBuf| move |source| SegmentError::Io { action, path, source };
        let directory = Directory::open(runtime_dir).map_err(io("open directory", runtime_dir.into()))?;
        let facts = directory.facts().map_err(io("stat", runtime_dir.into()))?;
        let uid = sys::effective_uid();
        if facts.uid != uid || facts.mode & 0o022 != 0 {
            let found = format!("owned by uid {} with mode {:04o}", facts.uid, facts.mode & 0o7777);
            return Err(SegmentError::UnsafeDirectory { path: runtime_dir.into(), found, uid });
        }
        let path = runtime_dir.join(lock_file(lane));
        let lock = directory
            .open_at(&lock_file(lane), libc::O_RDWR | libc::O_CREAT, 0o600)
            .map_err(io("open lock file", path.clone()))?;
        let lock_facts = sys::facts(&lock).map_err(io("stat", path.clone()))?;
        if !lock_facts.is_regular() || lock_facts.uid != uid {
            return Err(SegmentError::Foreign { path, found: lock_facts.kind().into(), uid });
        }
        sys::set_mode(&lock, 0o600).map_err(io("set the mode of", path.clone()))?;
        sys::lock_exclusive(&lock).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => SegmentError::Taken { path: path.clone() },
            _ => SegmentError::Io { action: "lock", path: path.clone(), source },
        })?;
        Ok(LaneLock { directory, path: runtime_dir.into(), lane: lane.into(), _lock: lock })
    }

    /// The segment that the writer before us left, if it can be read: the recovery state. A segment of another version
    /// or an earlier boot is `None`; it will be replaced.
    ///
    /// # Errors
    /// [`SegmentError::Foreign`] when what stands there is not ours to replace.
    pub fn predecessor(&self) -> Result<Option<Segment>, SegmentError> {
        let name = segment_file(&self.lane);
        let path = self.path.join(&name);
        let uid = sys::effective_uid();
        let facts = match self.directory.facts_at(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SegmentError::Io { action: "stat", path, source }),
            Ok(facts) => facts,
        };
        if !facts.is_regular() || facts.uid != uid {
            let found = format!("{} owned by uid {}", facts.kind(), facts.uid);
            return Err(SegmentError::Foreign { path, found, uid });
        }
        match Segment::open_in(&self.directory, &self.path, &self.lane) {
            Ok(segment) => Ok(Some(segment)),
            Err(SegmentError::Version { .. } | SegmentError::Stale { .. }) => Ok(None),
            // Ours, but cut short or overwritten. A file with our magic is a broken segment and may go; anything else
            // may be somebody's data.
            Err(SegmentError::NotASegment { .. }) if self.has_magic(&name) => Ok(None),
            Err(SegmentError::NotASegment { why, .. }) => Err(SegmentError::Foreign { path, found: why, uid }),
            Err(error) => Err(error),
        }
    }

    fn has_magic(&self, name: &str) -> bool {
        use std::io::Read;
        let Ok(file) = self.directory.open_at(name, libc::O_RDONLY, 0) else { return false };
        let mut magic = [0; 8];
        std::fs::File::from(file).read_exact(&mut magic).is_ok() && u64::from_le_bytes(magic) == MAGIC
    }

    /// Makes the lane's segment under its final name, replacing the predecessor by renaming: readers that hold the old
    /// file keep it until they let go. The file gets its whole size at once, mode 0640, and its header is whole before
    /// it has a name.
    ///
    /// # Errors
    /// [`SegmentError::Plan`], [`SegmentError::Foreign`] when what stands there is not ours to replace,
    /// [`SegmentError::NoRoom`], [`SegmentError::Io`].
    pub fn create(&self, plan: &Plan, identity: Identity) -> Result<LaneWriter, SegmentError> {
        self.create_with(plan, identity, |_| {})
    }

    /// As [`LaneLock::create`], with first contents: `prepare` runs before the segment has its name, so whoever finds it
    /// finds what was written there, also after a crash at any moment.
    ///
    /// # Errors
    /// As [`LaneLock::create`].
    pub fn create_with(
        &self,
        plan: &Plan,
        identity: Identity,
        prepare: impl FnOnce(&mut LaneWriter),
    ) -> Result<LaneWriter, SegmentError> {
        let layout = Layout::of(plan)?;
        if plan.lane != self.lane {
            let expected = "the lane whose lock is held";
            return Err(PlanError { field: "lane name", value: plan.lane.clone(), expected }.into());
        }
        // Renaming replaces whatever has the name, so look once more: only a segment of ours may go.
        self.predecessor()?;
        let name = segment_file(&self.lane);
        let path = self.path.join(&name);
        let temporary = format!("{name}.new");
        let io = |action| {
            let path = path.clone();
            move |source| SegmentError::Io { action, path, source }
        };
        // A leftover of a start that was killed; the lock says that nobody else is using it.
        match self.directory.unlink(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("remove leftover of")(error)),
            _ => {}
        }
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        let file = self.directory.open_at(&temporary, flags, 0o600).map_err(io("create"))?;
        let made = Self::fill(&file, &layout, plan, identity).and_then(|mut writer| {
            prepare(&mut writer);
            self.directory.rename(&temporary, &name)?;
            Ok(writer)
        });
        made.map_err(|source| {
            // Nothing half made stays behind; the first error is the one worth telling.
            let _ = self.directory.unlink(&temporary);
            match source.kind() {
                io::ErrorKind::StorageFull => SegmentError::NoRoom { path: path.clone(), bytes: layout.bytes as u64 },
                _ => SegmentError::Io { action: "make", path: path.clone(), source },
            }
        })
    }

    fn fill(file: &OwnedFd, layout: &Layout, plan: &Plan, identity: Identity) -> io::Result<LaneWriter> {
        sys::allocate(file, layout.bytes as u64)?;
        let mapping = Mapping::of_file(file, layout.bytes, true)?;
        let writer = LaneWriter::new(Arc::new(mapping), *layout, plan, identity);
        sys::set_mode(file, 0o640)?;
        Ok(writer)
    }
}

/// Everything the one writer of a lane writes. The parts are public because they are written together, event by event.
#[derive(Debug)]
pub struct LaneWriter {
    mapping: Arc<Mapping>,
    layout: Layout,
    identity: Identity,
    /// The orders ring.
    pub orders: RingWriter<MappedRing>,
    /// The market ring.
    pub market: RingWriter<MappedRing>,
    /// The board.
    pub board: BoardWriter,
    /// The directory.
    pub directory: DirectoryWriter,
    /// The lane's counters.
    pub counters: CounterWriter,
}

impl LaneWriter {
    fn new(mapping: Arc<Mapping>, layout: Layout, plan: &Plan, identity: Identity) -> Self {
        let mut words = [0u64; STATIC_WORDS];
        words[header::MAGIC] = MAGIC;
        words[header::ABI_VERSION] = ABI_VERSION;
        words[header::LAYOUT_HASH] = layout_hash();
        words[header::BOOT_ID..header::BOOT_ID + 2].copy_from_slice(&boot_id());
        words[header::EPOCH] = identity.epoch;
        words[header::INCARNATION] = identity.incarnation;
        words[header::OLD_EPOCH] = identity.old_epoch;
        words[header::CREATED_NS] = sys::realtime_ns();
        words[header::WRITER_PID] = std::process::id().into();
        words[header::FLAGS] = identity.flags;
        words[header::LANE_NAME..header::LANE_NAME + 4].copy_from_slice(&lane_name_words(&plan.lane));
        layout.store(&mut words);
        words[header::CHECKSUM] = fnv_words(&words[..header::CHECKSUM]);
        for (place, value) in mapping.words(0, STATIC_WORDS).iter().zip(words) {
            place.store(value, Relaxed);
        }
        let mut writer = LaneWriter {
            orders: RingWriter::new(MappedRing::new(mapping.clone(), &layout, RingName::Orders), 0),
            market: RingWriter::new(MappedRing::new(mapping.clone(), &layout, RingName::Market), 0),
            board: BoardWriter::new(mapping.clone(), layout),
            directory: DirectoryWriter::new(mapping.clone(), layout),
            counters: CounterWriter::new(mapping.clone(), layout.counters, JOURNAL_COUNTERS),
            mapping,
            layout,
            identity,
        };
        writer.set_state(State::Recovering);
        writer.heartbeat(sys::monotonic_ns());
        writer
    }

    /// A lane in memory of this process alone, for tests and benches; [`LaneWriter::reader`] gives its other side.
    ///
    /// # Errors
    /// As [`LaneLock::create`].
    pub fn anonymous(plan: &Plan) -> Result<LaneWriter, SegmentError> {
        Self::anonymous_as(plan, Identity { epoch: 1, incarnation: 1, old_epoch: 0, flags: 0 })
    }

    /// The same, with names of the caller's choice.
    ///
    /// # Errors
    /// As [`LaneLock::create`].
    pub fn anonymous_as(plan: &Plan, identity: Identity) -> Result<LaneWriter, SegmentError> {
        let layout = Layout::of(plan)?;
        let io = |source| SegmentError::Io { action: "map memory for", path: plan.lane.clone().into(), source };
        let mapping = Mapping::anonymous(layout.bytes).map_err(io)?;
        Ok(Self::new(Arc::new(mapping), layout, plan, identity))
    }

    /// The journal's counters, for the one who records this lane: no other thread may take them.
    pub fn journal_counters(&self) -> CounterWriter {
        let offset = self.layout.counters + JOURNAL_COUNTERS * 8;
        CounterWriter::new(self.mapping.clone(), offset, JOURNAL_COUNTER_WORDS)
    }

    /// A reader's view of the same memory, in this process.
    pub fn reader(&self) -> Segment {
        Segment { mapping: self.mapping.clone(), layout: self.layout }
    }

    /// Who this sequence and mapping are.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Appends an instrument to directory and board; returns its row.
    ///
    /// # Errors
    /// See [`DirectoryError`]; nothing has changed then.
    pub fn add_instrument(&mut self, instrument: &Instrument) -> Result<usize, DirectoryError> {
        let board = &mut self.board;
        self.directory.append(instrument, |depth_at| board.append(depth_at, instrument.depth_class))
    }

    /// Says what the segment is.
    pub fn set_state(&mut self, state: State) {
        // Release store: whoever sees "closed" finds every record that was published before it. Partner: StateLoad.
        store_release(self.mapping.word(live::STATE), state as u64, Site::StateStore);
    }

    /// Shows life. `now_ns` is CLOCK_MONOTONIC.
    pub fn heartbeat(&mut self, now_ns: u64) {
        self.mapping.word(live::HEARTBEAT_NS).store(now_ns, Relaxed);
    }

    /// End of a burst: moves both heads.
    #[inline(always)]
    pub fn publish_heads(&mut self) {
        self.orders.publish_head();
        self.market.publish_head();
    }

    /// Once per burst, after the heads: wakes sleeping readers if one has set the flag. Returns whether it did.
    #[inline(always)]
    pub fn wake_sleepers(&mut self, sleepers: &SleeperFlag) -> bool {
        let word = self.mapping.half_word(live::WAKE);
        let asleep = wake::bump_and_check(word, sleepers.flag());
        if asleep {
            sys::futex_wake_all(word);
            self.counters.add(LaneCounter::Wakes, 1);
        }
        asleep
    }

    /// The writer's view of feed `index`'s entry.
    ///
    /// # Panics
    /// When `index` is not below [`FEEDS_MAX`].
    pub fn feed(&self, index: usize) -> FeedWriter {
        assert!(index < FEEDS_MAX, "feed {index}");
        let offset = self.layout.feeds + index * FEED_WORDS * 8;
        FeedWriter {
            counters: CounterWriter::new(self.mapping.clone(), offset + feed::COUNTERS * 8, FEED_COUNTER_WORDS),
            mapping: self.mapping.clone(),
            offset,
        }
    }

    /// Touches every page, so that none faults on the hot path.
    pub fn prefault(&self) {
        self.mapping.prefault();
    }

    /// Locks the segment in memory.
    ///
    /// # Errors
    /// When the memlock limit is too low.
    pub fn lock_memory(&self) -> io::Result<()> {
        self.mapping.lock()
    }
}

/// The writer's side of a feed's entry.
#[derive(Debug)]
pub struct FeedWriter {
    mapping: Arc<Mapping>,
    offset: usize,
    /// The feed's counters.
    pub counters: CounterWriter,
}

impl FeedWriter {
    fn word(&self, index: usize) -> &AtomicU64 {
        self.mapping.word(self.offset + index * 8)
    }

    /// Names the feed; the entry is in use from then on.
    pub fn set_name(&mut self, name: &str) {
        for (i, word) in lane_name_words(name).into_iter().enumerate() {
            self.word(feed::NAME + i).store(word, Relaxed);
        }
    }

    /// Says what the session is doing.
    pub fn set_state(&mut self, state: FeedState) {
        self.word(feed::STATE).store(state as u64, Relaxed);
    }

    /// Names the venue's session, whose sequences count from the given ring numbers on.
    pub fn set_session(&mut self, session: &[u8; 16], orders_n: u64, market_n: u64) {
        let next = seqlock::write_begin(self.word(feed::VERSION));
        let [a, b] = split_words(session);
        for (index, value) in [
            (feed::SESSION, a),
            (feed::SESSION + 1, b),
            (feed::SESSION_ORDERS_N, orders_n),
            (feed::SESSION_MARKET_N, market_n),
            (feed::SEQUENCE, 0),
        ] {
            self.word(index).store(value, Relaxed);
        }
        seqlock::write_end(self.word(feed::VERSION), next);
    }

    /// Once per burst, after the heads: the venue sequence of the last event published.
    #[inline(always)]
    pub fn set_sequence(&mut self, sequence: u64) {
        self.word(feed::SEQUENCE).store(sequence, Relaxed);
    }
}

/// A feed's entry as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedFacts {
    /// Name.
    pub name: String,
    /// Code of [`FeedState`].
    pub state: u64,
    /// The venue's session, ASCII, space-padded; `None` while it is being written (or was when the writer died).
    pub session: Option<[u8; 16]>,
    /// First number of the orders ring in that session.
    pub session_orders_n: u64,
    /// First number of the market ring in that session.
    pub session_market_n: u64,
    /// The venue sequence as of the last burst; 0: none yet.
    pub sequence: u64,
}

/// A mapped segment, for reading. Cheap to clone; every view made from it keeps the mapping.
#[derive(Debug, Clone)]
pub struct Segment {
    mapping: Arc<Mapping>,
    layout: Layout,
}

impl Segment {
    /// Opens the segment of `lane` in the runtime directory, checking everything before use.
    ///
    /// # Errors
    /// [`SegmentError::Plan`] for a name that is none, [`SegmentError::Missing`], [`SegmentError::NotASegment`], [`SegmentError::Version`], [`SegmentError::Stale`],
    /// [`SegmentError::Io`].
    pub fn open(runtime_dir: &Path, lane: &str) -> Result<Segment, SegmentError> {
        check_lane_name(lane)?;
        let directory = Directory::open(runtime_dir).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => SegmentError::Missing { path: runtime_dir.join(segment_file(lane)) },
            _ => SegmentError::Io { action: "open directory", path: runtime_dir.into(), source },
        })?;
        Self::open_in(&directory, runtime_dir, lane)
    }

    fn open_in(directory: &Directory, runtime_dir: &Path, lane: &str) -> Result<Segment, SegmentError> {
        let name = segment_file(lane);
        let path = runtime_dir.join(&name);
        let not_a_segment = |why: String| SegmentError::NotASegment { path: path.clone(), why };
        let io = |source: io::Error| match source.raw_os_error() {
            Some(libc::ENOENT) => SegmentError::Missing { path: path.clone() },
            Some(libc::ELOOP) => not_a_segment("it is a symbolic link".into()),
            _ => SegmentError::Io { action: "open", path: path.clone(), source },
        };
        let file = directory.open_at(&name, libc::O_RDONLY, 0).map_err(io)?;
        let facts = sys::facts(&file).map_err(io)?;
        if !facts.is_regular() {
            return Err(not_a_segment(format!("it is {}", facts.kind())));
        }
        let bytes = usize::try_from(facts.size).unwrap_or(0);
        if bytes < HEADER_BYTES {
            return Err(not_a_segment(format!("{bytes} bytes: a header alone has {HEADER_BYTES}")));
        }
        Self::over(Mapping::of_file(&file, bytes, false).map_err(io)?, &path)
    }

    /// A segment over memory that holds at least a header; `path` is for messages.
    pub(crate) fn over(mapping: Mapping, path: &Path) -> Result<Segment, SegmentError> {
        let layout = Self::check(&mapping, path)?;
        Ok(Segment { mapping: Arc::new(mapping), layout })
    }

    /// Changes a word, as a hostile writer would: for the fuzz targets, over memory of their own.
    pub(crate) fn poke(&self, at: usize, value: u64) {
        assert!(self.mapping.is_writable(), "a mapped file is read-only for readers");
        self.mapping.word(at).store(value, Relaxed);
    }

    /// Copies the static words, then checks the copy: what was checked is what is used.
    fn check(mapping: &Mapping, path: &Path) -> Result<Layout, SegmentError> {
        let not_a_segment = |why: String| SegmentError::NotASegment { path: path.into(), why };
        let shared = mapping.words(0, STATIC_WORDS);
        let words: [u64; STATIC_WORDS] = std::array::from_fn(|i| shared[i].load(Relaxed));
        if words[header::MAGIC] != MAGIC {
            return Err(not_a_segment(format!("it begins with {:016x}, not with TICKLANE", words[header::MAGIC])));
        }
        let (version, hash) = (words[header::ABI_VERSION], words[header::LAYOUT_HASH]);
        if version >> 32 != ABI_VERSION >> 32 || hash != layout_hash() {
            return Err(SegmentError::Version {
                path: path.into(),
                found_major: (version >> 32) as u32,
                found_minor: version as u32,
                found_hash: hash,
                own_major: (ABI_VERSION >> 32) as u32,
                own_minor: ABI_VERSION as u32,
                own_hash: layout_hash(),
            });
        }
        let sum = fnv_words(&words[..header::CHECKSUM]);
        if words[header::CHECKSUM] != sum {
            return Err(not_a_segment(format!("checksum {:016x}, expected {sum:016x}", words[header::CHECKSUM])));
        }
        let layout =
            Layout::load(&words).ok_or_else(|| not_a_segment("its sizes or offsets are out of range".into()))?;
        if layout.bytes != mapping.len() {
            let (have, want) = (mapping.len(), layout.bytes);
            return Err(not_a_segment(format!("{have} bytes, its header says {want}: cut short or being replaced")));
        }
        if words[header::BOOT_ID..header::BOOT_ID + 2] != boot_id() {
            return Err(SegmentError::Stale { path: path.into() });
        }
        Ok(layout)
    }

    fn static_word(&self, index: usize) -> u64 {
        self.mapping.word(index * 8).load(Relaxed)
    }

    /// Where everything stands.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Who this sequence and mapping are.
    pub fn identity(&self) -> Identity {
        Identity {
            epoch: self.static_word(header::EPOCH),
            incarnation: self.static_word(header::INCARNATION),
            old_epoch: self.static_word(header::OLD_EPOCH),
            flags: self.static_word(header::FLAGS),
        }
    }

    /// Process id of the writer.
    pub fn writer_pid(&self) -> u64 {
        self.static_word(header::WRITER_PID)
    }

    /// CLOCK_REALTIME at creation, ns.
    pub fn created_ns(&self) -> u64 {
        self.static_word(header::CREATED_NS)
    }

    /// Lane name.
    pub fn lane(&self) -> String {
        let bytes: Vec<u8> = (0..4).flat_map(|i| self.static_word(header::LANE_NAME + i).to_le_bytes()).collect();
        Text::<32>::new(bytes.split(|b| *b == 0).next().unwrap_or(&[])).as_str().into()
    }

    /// What the writer says the segment is; `None` for a code of a newer writer.
    pub fn state(&self) -> Option<State> {
        let code = self.mapping.word(live::STATE).load(Relaxed);
        // Acquire fence, partner of StateStore.
        fence_acquire(Site::StateLoad);
        State::from_code(code)
    }

    /// Nanoseconds since the writer's last sign of life.
    pub fn heartbeat_age_ns(&self) -> u64 {
        sys::monotonic_ns().saturating_sub(self.mapping.word(live::HEARTBEAT_NS).load(Relaxed))
    }

    /// Whether the writer has shown life within the limit. Readers judge by this alone (decisions.md 13).
    pub fn writer_alive(&self) -> bool {
        self.heartbeat_age_ns() <= HEARTBEAT_LIMIT_NS
    }

    /// A ring's memory, for a reader.
    pub fn ring(&self, name: RingName) -> MappedRing {
        MappedRing::new(self.mapping.clone(), &self.layout, name)
    }

    /// A reader of a ring that starts where `rejoin` says.
    pub fn join(&self, name: RingName, rejoin: Rejoin) -> RingReader<MappedRing> {
        RingReader::join(self.ring(name), rejoin)
    }

    /// A reader of a ring that starts at number `n`, and rejoins as told when it is lapped.
    pub fn read_from(&self, name: RingName, n: u64, rejoin: Rejoin) -> RingReader<MappedRing> {
        RingReader::new(self.ring(name), n, rejoin)
    }

    /// The directory.
    pub fn directory(&self) -> DirectoryReader {
        DirectoryReader::new(self.mapping.clone(), self.layout)
    }

    /// The board.
    pub fn board(&self) -> BoardReader {
        BoardReader::new(self.mapping.clone(), self.layout)
    }

    /// The lane's counters.
    pub fn counters(&self) -> CounterReader {
        CounterReader::new(self.mapping.clone(), self.layout.counters, LaneCounter::ALL.len())
    }

    /// The counters of the lane's journal.
    pub fn journal_counters(&self) -> CounterReader {
        let offset = self.layout.counters + JOURNAL_COUNTERS * 8;
        CounterReader::new(self.mapping.clone(), offset, JournalCounter::ALL.len())
    }

    /// Facts and counters of feed `index`; `None` for an unused entry.
    pub fn feed(&self, index: usize) -> Option<(FeedFacts, CounterReader)> {
        if index >= FEEDS_MAX {
            return None;
        }
        let offset = self.layout.feeds + index * FEED_WORDS * 8;
        let word = |index: usize| self.mapping.word(offset + index * 8).load(Relaxed);
        let name: Vec<u8> = (0..4).flat_map(|i| word(feed::NAME + i).to_le_bytes()).collect();
        let name = Text::<32>::new(name.split(|b| *b == 0).next().unwrap_or(&[]));
        if name.as_str().is_empty() {
            return None;
        }
        let version = self.mapping.word(offset + feed::VERSION * 8);
        let before = seqlock::read_begin(version);
        let mut facts = FeedFacts {
            name: name.as_str().into(),
            state: word(feed::STATE),
            session: Some(join_words(word(feed::SESSION), word(feed::SESSION + 1))),
            session_orders_n: word(feed::SESSION_ORDERS_N),
            session_market_n: word(feed::SESSION_MARKET_N),
            sequence: word(feed::SEQUENCE),
        };
        if !before.is_some_and(|before| seqlock::read_end(version, before)) {
            facts.session = None;
        }
        let counters = CounterReader::new(self.mapping.clone(), offset + feed::COUNTERS * 8, FeedCounter::ALL.len());
        Some((facts, counters))
    }

    /// Reader: announces a sleep. Look at the rings once more after it; then [`Segment::sleep`] on what it returns.
    pub fn announce_sleep(&self, sleepers: &SleeperFlag) -> u32 {
        wake::announce(self.mapping.half_word(live::WAKE), sleepers.flag())
    }

    /// Reader: sleeps until the writer wakes it, `seen` is outdated, or the limit of one millisecond has passed.
    pub fn sleep(&self, seen: u32) {
        sys::futex_wait(self.mapping.half_word(live::WAKE), seen, SLEEP_LIMIT_NS);
    }
}

/// Longest sleep between two looks at the ring.
pub const SLEEP_LIMIT_NS: u64 = 1_000_000;

/// The one cache line that readers write and the writer reads: "somebody sleeps". Lives in a memfd of its own, so that
/// segments stay read-only for readers; any value in it is harmless.
#[derive(Debug)]
pub struct SleeperFlag {
    mapping: Mapping,
    file: OwnedFd,
}

impl SleeperFlag {
    /// The writer's: makes the memfd.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn create() -> io::Result<SleeperFlag> {
        Self::from_file(sys::sleeper_memfd()?)
    }

    /// A reader's: maps the memfd that it was handed.
    ///
    /// # Errors
    /// `InvalidData` for a file of another size; whatever `mmap` says.
    pub fn from_file(file: OwnedFd) -> io::Result<SleeperFlag> {
        if sys::facts(&file)?.size != sys::SLEEPER_BYTES as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(SleeperFlag { mapping: Mapping::of_file(&file, sys::SLEEPER_BYTES, true)?, file })
    }

    /// A reader's: asks the engine's socket for it.
    ///
    /// # Errors
    /// Whatever connecting or receiving says: readers then sleep on time alone.
    pub fn request(runtime_dir: &Path, lane: &str) -> io::Result<SleeperFlag> {
        let socket = std::os::unix::net::UnixStream::connect(runtime_dir.join(wake_socket(lane)))?;
        socket.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
        Self::from_file(sys::receive_descriptor(&socket)?)
    }

    /// The memfd, to be handed out.
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }

    fn flag(&self) -> &AtomicU32 {
        self.mapping.half_word(0)
    }
}
