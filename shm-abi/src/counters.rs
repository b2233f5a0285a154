//! Public numbers: one 64-bit word each, written by the lane's writer alone, read by anybody.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::sys::Mapping;

macro_rules! counters {
    ($(#[$outer:meta])* $name:ident { $($(#[doc = $help:literal])* $variant:ident = $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum $name { $($(#[doc = $help])* $variant,)* }

        impl $name {
            /// Every counter, in the order of the segment.
            pub const ALL: &[$name] = &[$($name::$variant,)*];
            /// Name, as tools and metrics show it.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
            /// What it counts, in a sentence.
            pub const fn help(self) -> &'static str {
                match self { $($name::$variant => concat!($($help,)*).trim_ascii(),)* }
            }
        }
    };
}

counters! {
    /// Counters of a lane. `received = published + duplicates + rejected` holds whenever the writer is between bursts.
    LaneCounter {
        /// Sequenced venue messages taken in since this segment was created, those that only rebuild books left out.
        Received = "received",
        /// Of these, messages that were applied and published.
        Published = "published",
        /// Of these, messages that had been seen before and were dropped.
        Duplicates = "duplicates",
        /// Of these, messages that could not be applied; each is declared by an anomaly record.
        Rejected = "rejected",
        /// Messages replayed after a restart to rebuild the books, without being published again.
        Rebuilt = "rebuilt",
        /// Messages that name an order which is not in the book.
        UnknownOrder = "unknown_order",
        /// Messages that take more from an order than is left.
        Overfill = "overfill",
        /// Messages that add an order under a live reference.
        DuplicateOrder = "duplicate_order",
        /// Messages of a type that the dialect does not have.
        UnknownType = "unknown_type",
        /// Messages shorter than their type needs.
        Malformed = "malformed",
        /// Messages with a value outside its range.
        BadField = "bad_field",
        /// Messages for an instrument that was never announced.
        UnknownInstrument = "unknown_instrument",
        /// Messages that found a table of fixed size full.
        TableFull = "table_full",
        /// Events after which a book in continuous trading was crossed.
        Crossed = "crossed",
        /// Venue messages declared missing.
        GapMessages = "gap_messages",
        /// Gaps declared.
        Gaps = "gaps",
        /// Events whose best quote changed.
        QuoteEvents = "quote_events",
        /// Trades published.
        Trades = "trades",
        /// Orders live in all books.
        LiveOrders = "live_orders",
        /// Most orders that the books can hold.
        OrderLimit = "order_limit",
        /// Bursts taken from the feed.
        Bursts = "bursts",
        /// Largest number of messages in one burst.
        BurstMax = "burst_max",
        /// Sleeping readers woken.
        Wakes = "wakes",
        /// Allocations made between receiving a burst and publishing it: only instruments seen for the first time cost any.
        HotAllocations = "hot_allocations",
        /// Messages longer than the longest form that the dialect knows: read by their prefix, and applied.
        Extended = "extended",
        /// From receiving the newest batch of messages to publishing it, ns.
        LagNs = "lag_ns",
        /// Longest such time since the segment was created, ns.
        LagMaxNs = "lag_max_ns",
        /// Messages taken in during the last whole second.
        RatePerS = "rate_per_s",
        /// Losses that readers were told of since the books that they keep were last whole: gaps, beginnings in the middle,
        /// images that are not complete yet. 0: nothing is missing to them. It outlives its writer.
        Unrepaired = "unrepaired",
        /// Times that the books were published anew, whole, because readers lacked what a writer before had lost.
        Repairs = "repairs",
    }
}

counters! {
    /// Counters of one feed.
    FeedCounter {
        /// Bytes received.
        Bytes = "bytes",
        /// Packets of sequenced data.
        SequencedPackets = "sequenced_packets",
        /// Packets outside the sequence.
        UnsequencedPackets = "unsequenced_packets",
        /// Debug packets.
        DebugPackets = "debug_packets",
        /// Heartbeats of the server.
        Heartbeats = "heartbeats",
        /// Connections attempted.
        Connects = "connects",
        /// Logins accepted.
        Logins = "logins",
        /// Logins rejected.
        Rejects = "rejects",
        /// Live connections that broke.
        Disconnects = "disconnects",
        /// Protocol errors of the server.
        ProtocolErrors = "protocol_errors",
        /// Connections closed because the server was silent.
        Silences = "silences",
        /// Changes of the venue's session.
        SessionChanges = "session_changes",
        /// CLOCK_REALTIME of the last byte received, ns.
        LastByteNs = "last_byte_ns",
        /// Next venue sequence expected.
        NextSequence = "next_sequence",
        /// Which of the feed's addresses is connected, or was last dialled, from 0.
        AddressIndex = "address_index",
        /// Datagrams that were no packet.
        MalformedPackets = "malformed_packets",
        /// Packets of sessions that are not followed; ignored.
        ForeignPackets = "foreign_packets",
        /// Packets without a number, from farther ahead than any window, from before a new start, or after the end; ignored.
        OddPackets = "odd_packets",
        /// Requests for lost messages sent.
        Requests = "requests",
        /// Of these, repetitions for want of an answer.
        RequestRetries = "request_retries",
        /// Packets of answers.
        Answers = "answers",
        /// Messages that answers brought.
        Recovered = "recovered",
        /// Answers that were no packet, and messages in answers that nobody had asked for; ignored.
        StrayAnswers = "stray_answers",
        /// Holes that are neither filled nor declared yet.
        OpenHoles = "open_holes",
        /// Messages held back behind them, or while an image is loaded.
        HeldMessages = "held_messages",
        /// Images of the books that were loaded.
        Images = "images",
        /// Line A: datagrams of our session.
        LineAPackets = "line_a_packets",
        /// Line A: messages, first copies and later ones.
        LineAMessages = "line_a_messages",
        /// Line A: messages of which it brought the first copy.
        LineAWins = "line_a_wins",
        /// Line A: messages that had come before.
        LineADuplicates = "line_a_duplicates",
        /// Line A: messages that it skipped.
        LineASkipped = "line_a_skipped",
        /// Line A: bytes of messages.
        LineABytes = "line_a_bytes",
        /// Line A: CLOCK_REALTIME of its last packet, ns.
        LineALastNs = "line_a_last_ns",
        /// Line A: median time by which it was ahead when it won, ns.
        LineALeadNs = "line_a_lead_ns",
        /// Line A: 0 no packet yet, 1 live, 2 behind the other line, 3 silent for too long.
        LineAState = "line_a_state",
        /// Line A: datagrams that the kernel dropped before they were taken.
        LineAKernelDrops = "line_a_kernel_drops",
        /// Line B: datagrams of our session.
        LineBPackets = "line_b_packets",
        /// Line B: messages, first copies and later ones.
        LineBMessages = "line_b_messages",
        /// Line B: messages of which it brought the first copy.
        LineBWins = "line_b_wins",
        /// Line B: messages that had come before.
        LineBDuplicates = "line_b_duplicates",
        /// Line B: messages that it skipped.
        LineBSkipped = "line_b_skipped",
        /// Line B: bytes of messages.
        LineBBytes = "line_b_bytes",
        /// Line B: CLOCK_REALTIME of its last packet, ns.
        LineBLastNs = "line_b_last_ns",
        /// Line B: median time by which it was ahead when it won, ns.
        LineBLeadNs = "line_b_lead_ns",
        /// Line B: 0 no packet yet, 1 live, 2 behind the other line, 3 silent for too long.
        LineBState = "line_b_state",
        /// Line B: datagrams that the kernel dropped before they were taken.
        LineBKernelDrops = "line_b_kernel_drops",
        /// Of a replay: how much of its source was read; bytes of a file, slots of a journal.
        SourceDone = "source_done",
        /// How much there is, in the same unit; 0: no replay, or not known.
        SourceTotal = "source_total",
    }
}

counters! {
    /// Counters of a lane's journal, written by who records it. All are 0 while the lane is not recorded.
    JournalCounter {
        /// 0 not recorded, 1 as it should, 2 the disk is slow, 3 it is full, 4 it refuses to write, 5 ended.
        State = "journal_state",
        /// Every number of this epoch's orders ring below this one that was recorded or declared missing is on disk.
        DurableOrders = "journal_durable_orders",
        /// The same of the market ring.
        DurableMarket = "journal_durable_market",
        /// Slots of the orders ring that were taken and are not yet known to be on disk.
        LagOrders = "journal_lag_orders",
        /// The same of the market ring.
        LagMarket = "journal_lag_market",
        /// Records taken.
        Records = "journal_records",
        /// Slots declared missing.
        MissingSlots = "journal_missing_slots",
        /// Holes declared.
        Holes = "journal_holes",
        /// Blocks written.
        Blocks = "journal_blocks",
        /// Bytes written.
        Bytes = "journal_bytes",
        /// Files begun.
        Files = "journal_files",
        /// Files removed by retention.
        FilesRemoved = "journal_files_removed",
        /// Times that the disk confirmed what was written.
        Syncs = "journal_syncs",
        /// Writes, syncs and creations that the disk refused.
        Refusals = "journal_refusals",
        /// Times that something took longer than it should.
        SlowTimes = "journal_slow_times",
        /// Parts of images of the order books.
        Images = "journal_images",
    }
}

/// Counters that each line of a datagram feed has.
pub const LINE_COUNTERS: usize = 10;

impl FeedCounter {
    /// The counters of line `index`, 0 for A and 1 for B: packets, messages, wins, duplicates, skipped, bytes, last
    /// packet, lead, state, kernel drops.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn of_line(index: usize) -> &'static [FeedCounter; LINE_COUNTERS] {
        use FeedCounter as C;
        const LINES: [[FeedCounter; LINE_COUNTERS]; 2] = [
            [
                C::LineAPackets,
                C::LineAMessages,
                C::LineAWins,
                C::LineADuplicates,
                C::LineASkipped,
                C::LineABytes,
                C::LineALastNs,
                C::LineALeadNs,
                C::LineAState,
                C::LineAKernelDrops,
            ],
            [
                C::LineBPackets,
                C::LineBMessages,
                C::LineBWins,
                C::LineBDuplicates,
                C::LineBSkipped,
                C::LineBBytes,
                C::LineBLastNs,
                C::LineBLeadNs,
                C::LineBState,
                C::LineBKernelDrops,
            ],
        ];
        &LINES[index]
    }
}

/// Words reserved for a lane's counters.
pub const LANE_COUNTER_WORDS: usize = 128;
/// Where the journal's stand among them: on lines of their own, for another core writes them.
pub const JOURNAL_COUNTERS: usize = 64;
/// Words reserved for the journal's.
pub const JOURNAL_COUNTER_WORDS: usize = LANE_COUNTER_WORDS - JOURNAL_COUNTERS;
const _: () = assert!(LaneCounter::ALL.len() <= JOURNAL_COUNTERS);
const _: () = assert!(JournalCounter::ALL.len() <= JOURNAL_COUNTER_WORDS);
const _: () = assert!(FeedCounter::ALL.len() <= crate::layout::FEED_COUNTER_WORDS);

/// Counters at a place in a mapping, for reading.
#[derive(Debug, Clone)]
pub struct CounterReader {
    mapping: Arc<Mapping>,
    offset: usize,
    count: usize,
}

impl CounterReader {
    /// `count` counters at byte `offset`, which the layout has checked.
    pub(crate) fn new(mapping: Arc<Mapping>, offset: usize, count: usize) -> Self {
        CounterReader { mapping, offset, count }
    }
    /// Counter number `index`; 0 for an index that this segment does not have.
    pub fn get(&self, index: usize) -> u64 {
        if index < self.count { self.mapping.word(self.offset + index * 8).load(Relaxed) } else { 0 }
    }
    /// A lane's counter.
    pub fn lane(&self, counter: LaneCounter) -> u64 {
        self.get(counter as usize)
    }
    /// A feed's counter.
    pub fn feed(&self, counter: FeedCounter) -> u64 {
        self.get(counter as usize)
    }
    /// A journal's counter.
    pub fn journal(&self, counter: JournalCounter) -> u64 {
        self.get(counter as usize)
    }
}

/// Counters at a place in a mapping, for their one writer: it keeps the truth in its own memory, so that counting
/// never waits for another core's cache line, and stores it to the shared word.
#[derive(Debug)]
pub struct CounterWriter {
    mapping: Arc<Mapping>,
    offset: usize,
    values: Box<[u64]>,
}

impl CounterWriter {
    pub(crate) fn new(mapping: Arc<Mapping>, offset: usize, count: usize) -> Self {
        CounterWriter { mapping, offset, values: vec![0; count].into_boxed_slice() }
    }
    /// Sets one.
    #[inline(always)]
    pub fn set_index(&mut self, index: usize, value: u64) {
        self.values[index] = value;
        self.mapping.word(self.offset + index * 8).store(value, Relaxed);
    }
    /// Adds to a lane's counter.
    #[inline(always)]
    pub fn add(&mut self, counter: LaneCounter, by: u64) {
        self.set_index(counter as usize, self.values[counter as usize].wrapping_add(by));
    }
    /// Sets a lane's counter.
    #[inline(always)]
    pub fn set(&mut self, counter: LaneCounter, value: u64) {
        self.set_index(counter as usize, value);
    }
    /// A lane's counter.
    #[inline(always)]
    pub fn get(&self, counter: LaneCounter) -> u64 {
        self.values[counter as usize]
    }
    /// Adds to a feed's counter.
    #[inline(always)]
    pub fn add_feed(&mut self, counter: FeedCounter, by: u64) {
        self.set_index(counter as usize, self.values[counter as usize].wrapping_add(by));
    }
    /// Sets a feed's counter.
    #[inline(always)]
    pub fn set_feed(&mut self, counter: FeedCounter, value: u64) {
        self.set_index(counter as usize, value);
    }
    /// Sets a journal's counter.
    #[inline(always)]
    pub fn set_journal(&mut self, counter: JournalCounter, value: u64) {
        self.set_index(counter as usize, value);
    }
    /// A feed's counter.
    #[inline(always)]
    pub fn get_feed(&self, counter: FeedCounter) -> u64 {
        self.values[counter as usize]
    }
}
