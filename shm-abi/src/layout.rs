//! Where everything stands in a segment: the header's words, the sections behind it, and the plan they come from.
//!
//! All offsets are bytes from the start of the file. Sections start on 4096-byte boundaries, in the order counters,
//! feeds, directory, board, depth, orders ring, market ring.

use crate::counters::LANE_COUNTER_WORDS;

/// Bytes of the header: one page.
pub const HEADER_BYTES: usize = 4096;
/// Words of the static part of the header. The last holds the checksum of those before it.
pub const STATIC_WORDS: usize = 64;

/// Words of the static part of the header: written once, before the segment gets its name.
pub mod header {
    /// [`crate::MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`crate::ABI_VERSION`].
    pub const ABI_VERSION: usize = 1;
    /// [`super::layout_hash`].
    pub const LAYOUT_HASH: usize = 2;
    /// Bytes of the whole segment.
    pub const SEGMENT_BYTES: usize = 3;
    /// Boot id of the host, two words.
    pub const BOOT_ID: usize = 4;
    /// Names the sequence: random, new at each writer start.
    pub const EPOCH: usize = 6;
    /// Names this mapping: random, new for each file.
    pub const INCARNATION: usize = 7;
    /// CLOCK_REALTIME at creation, ns.
    pub const CREATED_NS: usize = 8;
    /// Process id of the writer.
    pub const WRITER_PID: usize = 9;
    /// Bits: see [`super::FLAG_REPLAY`].
    pub const FLAGS: usize = 10;
    /// Lane name, 32 bytes of ASCII, NUL-padded.
    pub const LANE_NAME: usize = 11;
    /// Offset of the orders ring.
    pub const ORDERS_OFFSET: usize = 15;
    /// Slots of the orders ring.
    pub const ORDERS_SLOTS: usize = 16;
    /// Offset of the market ring.
    pub const MARKET_OFFSET: usize = 17;
    /// Slots of the market ring.
    pub const MARKET_SLOTS: usize = 18;
    /// Offset of the lane's counters.
    pub const COUNTERS_OFFSET: usize = 19;
    /// Offset of the feed table.
    pub const FEEDS_OFFSET: usize = 20;
    /// Entries of the feed table.
    pub const FEEDS: usize = 21;
    /// Offset of the directory.
    pub const DIRECTORY_OFFSET: usize = 22;
    /// Instruments that directory and board can hold.
    pub const INSTRUMENTS: usize = 23;
    /// Offset of the board.
    pub const BOARD_OFFSET: usize = 24;
    /// Offset of the depth area.
    pub const DEPTH_OFFSET: usize = 25;
    /// Bytes of the depth area.
    pub const DEPTH_BYTES: usize = 26;
    /// Epoch of the sequence before this one; 0: unknown.
    pub const OLD_EPOCH: usize = 27;
    /// FNV-1a of the 63 words before it.
    pub const CHECKSUM: usize = 63;
}

/// Header flag: the segment replays recorded data; its stamps are those of the recording.
pub const FLAG_REPLAY: u64 = 1;

/// Bytes of the header's dynamic words, each on lines of its own: written by the writer while readers look.
pub mod live {
    /// [`super::State`].
    pub const STATE: usize = 0x200;
    /// CLOCK_MONOTONIC of the writer's last sign of life, ns.
    pub const HEARTBEAT_NS: usize = 0x280;
    /// Head of the orders ring.
    pub const ORDERS_HEAD: usize = 0x300;
    /// Head of the market ring.
    pub const MARKET_HEAD: usize = 0x380;
    /// Wake word: a 32-bit futex in the low half of the word.
    pub const WAKE: usize = 0x400;
    /// Entries of the directory.
    pub const DIRECTORY_COUNT: usize = 0x480;
}

/// Life of a segment, as its writer says. A killed writer says nothing: readers judge by the heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// Made, but books are still being rebuilt.
    Recovering = 1,
    /// In use.
    Live = 2,
    /// Its writer has ended in order; nothing more will come.
    Closed = 3,
}

impl State {
    /// The state whose code this is.
    pub const fn from_code(code: u64) -> Option<State> {
        match code {
            1 => Some(State::Recovering),
            2 => Some(State::Live),
            3 => Some(State::Closed),
            _ => None,
        }
    }
    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Recovering => "recovering",
            State::Live => "live",
            State::Closed => "closed",
        }
    }
}

/// A writer shows life every this many nanoseconds.
pub const HEARTBEAT_INTERVAL_NS: u64 = 50_000_000;
/// A heartbeat older than this means the writer is silent. Readers are to know of a death within 250 ms: 10 ms are left for
/// them to look.
pub const HEARTBEAT_LIMIT_NS: u64 = 240_000_000;

/// Entries of the feed table.
pub const FEEDS_MAX: usize = 16;
/// Words of a feed's entry.
pub const FEED_WORDS: usize = 64;

/// Words of a feed's entry.
pub mod feed {
    /// Odd while the session words are written: a predecessor killed there tells no session.
    pub const VERSION: usize = 0;
    /// Name, 32 bytes of ASCII, NUL-padded; the entry is unused while it is empty.
    pub const NAME: usize = 1;
    /// [`crate::layout::FeedState`].
    pub const STATE: usize = 5;
    /// The venue's session, 16 bytes of ASCII, space-padded.
    pub const SESSION: usize = 6;
    /// First number of the orders ring whose venue sequences count in that session.
    pub const SESSION_ORDERS_N: usize = 8;
    /// First number of the market ring whose venue sequences count in that session.
    pub const SESSION_MARKET_N: usize = 9;
    /// The venue's full sequence of the last event published, stored once per burst after the heads.
    pub const SEQUENCE: usize = 10;
    /// First of the feed's counters: see [`crate::counters::FeedCounter`].
    pub const COUNTERS: usize = 16;
}

/// Words of a feed's counters.
pub const FEED_COUNTER_WORDS: usize = FEED_WORDS - feed::COUNTERS;

/// State of a feed's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
#[non_exhaustive]
pub enum FeedState {
    /// Never connected.
    Idle = 0,
    /// A connection is being made.
    Connecting = 1,
    /// Logged in, not yet answered.
    LoginSent = 2,
    /// Data flows.
    Live = 3,
    /// The line broke; waiting to connect again.
    Reconnecting = 4,
    /// The login was refused; waiting longer.
    Rejected = 5,
    /// The venue ended its session.
    EndOfSession = 6,
    /// Closed by us.
    Closed = 7,
}

impl FeedState {
    /// Lower-case name, as tools and JSON show it; unknown codes of newer writers read as `unknown`.
    pub const fn name_of(code: u64) -> &'static str {
        match code {
            0 => "idle",
            1 => "connecting",
            2 => "login_sent",
            3 => "live",
            4 => "reconnecting",
            5 => "rejected",
            6 => "end_of_session",
            7 => "closed",
            _ => "unknown",
        }
    }
}

/// Words of a directory entry.
pub const DIRECTORY_ENTRY_WORDS: usize = 32;
/// Words of the fixed part of a board row.
pub const ROW_WORDS: usize = 32;
/// Words of one level in the depth area: price, quantity, orders.
pub const LEVEL_WORDS: usize = 3;
/// Depth classes: how many levels per side an instrument's window may have.
pub const DEPTH_CLASSES: [u16; 6] = [0, 5, 10, 20, 50, 200];

/// Bytes of one side of a window of `levels`: whole cache lines, so that no line holds levels of both sides.
pub const fn side_bytes(levels: u16) -> usize {
    (levels as usize * LEVEL_WORDS * 8).next_multiple_of(64)
}

/// Bytes of the depth area that one instrument of `levels` per side takes: bids, then asks.
pub const fn depth_bytes(levels: u16) -> usize {
    2 * side_bytes(levels)
}

/// Bytes of a provider's attributes in a directory entry.
pub const PROVIDER_TRAITS_BYTES: usize = 112;
const _: () = assert!(entry::PROVIDER_TRAITS + PROVIDER_TRAITS_BYTES / 8 <= DIRECTORY_ENTRY_WORDS);

/// Words of a directory entry. All but the provider code stay as they were written.
pub mod entry {
    /// Lasting id, in the low 32 bits.
    pub const INSTRUMENT_ID: usize = 0;
    /// Symbol, 32 bytes of ASCII, NUL-padded.
    pub const SYMBOL: usize = 1;
    /// Venue, 8 bytes of ASCII, NUL-padded.
    pub const VENUE: usize = 5;
    /// From the lowest byte: kind (see [`crate::directory::InstrumentKind`]), price decimals, quantity decimals, option
    /// side, then 16 bits of depth class.
    pub const TRAITS: usize = 6;
    /// Tick: smallest price step, 1e-9.
    pub const TICK: usize = 7;
    /// Round lot.
    pub const LOT: usize = 8;
    /// Bytes from the start of the depth area to the instrument's levels.
    pub const DEPTH_AT: usize = 9;
    /// Expiry, ns since the UNIX epoch; 0: none.
    pub const EXPIRY_NS: usize = 10;
    /// Strike, 1e-9; `i64::MAX`: none.
    pub const STRIKE: usize = 11;
    /// Lasting id of the underlying; `u32::MAX`: none.
    pub const UNDERLYING: usize = 12;
    /// The provider's index for today (Nasdaq: stock locate). May be written again.
    pub const PROVIDER_CODE: usize = 13;
    /// The provider's attributes, [`super::PROVIDER_TRAITS_BYTES`] (Nasdaq: the bytes of `R` from market category on,
    /// zero-padded; X-stream venues: see [`crate::directory::xstream`]).
    pub const PROVIDER_TRAITS: usize = 14;
}

/// Words of a board row. An order event writes the first line alone: whatever it would have to keep beyond that line
/// costs a fetch from memory each time, and stands in the ring record at [`row::MARKET_N`] anyway.
pub mod row {
    /// Version: odd while the row is written.
    pub const VERSION: usize = 0;
    /// Number in the market ring of the last record of the event that the row reflects.
    pub const MARKET_N: usize = 1;
    /// `ts_event` of that event.
    pub const TS_EVENT: usize = 2;
    /// Best bid: price, or none.
    pub const BID_PRICE: usize = 3;
    /// Best bid: quantity.
    pub const BID_QUANTITY: usize = 4;
    /// Best ask: price, or none.
    pub const ASK_PRICE: usize = 5;
    /// Best ask: quantity.
    pub const ASK_QUANTITY: usize = 6;
    /// From the lowest bit: orders at the best bid (24 bits), orders at the best ask (24), levels in the window of bids
    /// (8), of asks (8). More orders than 24 bits hold read as 2^24 - 1.
    pub const TOUCH: usize = 7;
    /// Status in the lowest byte, then [`crate::board::Quality`], then the venue's status letter.
    pub const STATUS: usize = 8;
    /// Last trade: price, or none.
    pub const LAST_PRICE: usize = 9;
    /// Last trade: quantity.
    pub const LAST_QUANTITY: usize = 10;
    /// Last trade: match id.
    pub const LAST_MATCH: usize = 11;
    /// Last trade: venue time.
    pub const LAST_TS: usize = 12;
    /// First printed price of the day, or none.
    pub const OPEN: usize = 13;
    /// Highest printed price of the day, or none.
    pub const HIGH: usize = 14;
    /// Lowest printed price of the day, or none.
    pub const LOW: usize = 15;
    /// Official closing price of the day, or none.
    pub const CLOSE: usize = 16;
    /// Quantity traded in the day.
    pub const VOLUME: usize = 17;
    /// Sum of price times quantity of the day in 1e-9, low word.
    pub const TURNOVER_LOW: usize = 18;
    /// High word of the turnover.
    pub const TURNOVER_HIGH: usize = 19;
    /// Trades of the day.
    pub const TRADES: usize = 20;
    /// Previous close, or none.
    pub const PREVIOUS_CLOSE: usize = 21;
    /// Open interest; `u64::MAX`: none.
    pub const OPEN_INTEREST: usize = 22;
}

/// The layout in words. A test spells it anew from the numbers above, so whoever changes one of them changes the hash,
/// and readers of another layout refuse.
const LAYOUT_TEXT: &str = concat!(
    "ticklane;header=4096;static=64:magic0,abi1,hash2,bytes3,boot4,epoch6,incarnation7,created8,pid9,flags10,name11,",
    "orders15-16,market17-18,counters19,feeds20-21,dir22-23,board24,depth25-26,old27,sum63;",
    "slot=64,stamp8,words7;head=4,body=3,span<=64;",
    "live=state200,beat280,orders300,market380,wake400,dir480;",
    "counters=128;feeds=16x64,version0,name1,state5,session6,ordersn8,marketn9,seq10,counters16;",
    "entry=32:id0,symbol1,venue5,traits6,tick7,lot8,depth9,expiry10,strike11,under12,code13,ptraits14;",
    "row=32:version0,n1,tse2,bid3-4,ask5-6,touch7,status8,last9-12,ohlc13-16,vol17,turn18-19,trades20,prev21,oi22;level=3,side64;classes=0,5,10,20,50,200"
);

/// FNV-1a over 64-bit words: catches a torn or foreign header; it is no protection against forgery.
pub const fn fnv_words(words: &[u64]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut i = 0;
    while i < words.len() {
        hash = (hash ^ words[i]).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        i += 1;
    }
    hash
}

/// Hash of the layout's description; equal in writer and reader, or the reader refuses.
pub const fn layout_hash() -> u64 {
    let bytes = LAYOUT_TEXT.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

/// What a segment shall hold. The config's numbers, checked once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Lane name: 1 to 31 of `a-z`, `0-9`, `-`, `_`.
    pub lane: String,
    /// Slots of the orders ring: a power of two, 1024 to 2^30. 64 bytes each.
    pub orders_slots: usize,
    /// Slots of the market ring: the same.
    pub market_slots: usize,
    /// Instruments that the lane can hold, 1 to 2^22.
    pub instruments: usize,
    /// Bytes of the depth area, up to 2^36.
    pub depth_bytes: usize,
}

/// A number of the plan that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: expected {expected}")]
pub struct PlanError {
    /// Which.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What it should be.
    pub expected: &'static str,
}

/// Fewest slots of a ring.
pub const SLOTS_MIN: usize = 1024;
/// Most slots of a ring.
pub const SLOTS_MAX: usize = 1 << 30;
/// Most instruments of a lane.
pub const INSTRUMENTS_MAX: usize = 1 << 22;
/// Largest depth area, bytes.
pub const DEPTH_BYTES_MAX: usize = 1 << 36;

/// Offsets of a segment's sections, computed from a plan or read from a header and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Offset of the lane's counters.
    pub counters: usize,
    /// Offset of the feed table.
    pub feeds: usize,
    /// Offset of the directory.
    pub directory: usize,
    /// Instruments.
    pub instruments: usize,
    /// Offset of the board.
    pub board: usize,
    /// Offset of the depth area.
    pub depth: usize,
    /// Bytes of the depth area.
    pub depth_bytes: usize,
    /// Offset of the orders ring.
    pub orders: usize,
    /// Slots of the orders ring.
    pub orders_slots: usize,
    /// Offset of the market ring.
    pub market: usize,
    /// Slots of the market ring.
    pub market_slots: usize,
    /// Bytes of the whole segment.
    pub bytes: usize,
}

fn ring_fits(slots: usize) -> bool {
    slots.is_power_of_two() && (SLOTS_MIN..=SLOTS_MAX).contains(&slots)
}

/// What a lane name must be, in words.
pub const LANE_NAME_RULE: &str = "1 to 31 characters of a-z, 0-9, '-' and '_'";

/// Whether `name` may name a lane.
pub fn is_lane_name(name: &str) -> bool {
    (1..=31).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

impl Layout {
    /// The layout of a plan.
    ///
    /// # Errors
    /// Names the first number that is out of range.
    pub fn of(plan: &Plan) -> Result<Layout, PlanError> {
        let refuse = |field, value: String, expected| Err(PlanError { field, value, expected });
        if !is_lane_name(&plan.lane) {
            return refuse("lane name", plan.lane.clone(), LANE_NAME_RULE);
        }
        for (field, slots) in [("orders_slots", plan.orders_slots), ("market_slots", plan.market_slots)] {
            if !ring_fits(slots) {
                return refuse(field, slots.to_string(), "a power of two from 1024 to 2^30");
            }
        }
        if !(1..=INSTRUMENTS_MAX).contains(&plan.instruments) {
            return refuse("instruments", plan.instruments.to_string(), "1 to 4194304");
        }
        if plan.depth_bytes > DEPTH_BYTES_MAX {
            return refuse("depth_bytes", plan.depth_bytes.to_string(), "at most 2^36");
        }
        Ok(Self::place(plan.orders_slots, plan.market_slots, plan.instruments, plan.depth_bytes.next_multiple_of(64)))
    }

    /// Places sections whose sizes are in range.
    fn place(orders_slots: usize, market_slots: usize, instruments: usize, depth_bytes: usize) -> Layout {
        let mut at = HEADER_BYTES;
        let mut take = |bytes: usize| {
            let start = at;
            at = (at + bytes).next_multiple_of(4096);
            start
        };
        let counters = take(LANE_COUNTER_WORDS * 8);
        let feeds = take(FEEDS_MAX * FEED_WORDS * 8);
        let directory = take(instruments * DIRECTORY_ENTRY_WORDS * 8);
        let board = take(instruments * ROW_WORDS * 8);
        let depth = take(depth_bytes);
        let orders = take(orders_slots * 64);
        let market = take(market_slots * 64);
        Layout {
            counters,
            feeds,
            directory,
            instruments,
            board,
            depth,
            depth_bytes,
            orders,
            orders_slots,
            market,
            market_slots,
            bytes: at,
        }
    }

    /// Writes the numbers into a header's static words.
    pub fn store(&self, words: &mut [u64; STATIC_WORDS]) {
        for (index, value) in self.fields() {
            words[index] = value;
        }
    }

    fn fields(&self) -> [(usize, u64); 13] {
        [
            (header::SEGMENT_BYTES, self.bytes as u64),
            (header::COUNTERS_OFFSET, self.counters as u64),
            (header::FEEDS_OFFSET, self.feeds as u64),
            (header::FEEDS, FEEDS_MAX as u64),
            (header::DIRECTORY_OFFSET, self.directory as u64),
            (header::INSTRUMENTS, self.instruments as u64),
            (header::BOARD_OFFSET, self.board as u64),
            (header::DEPTH_OFFSET, self.depth as u64),
            (header::DEPTH_BYTES, self.depth_bytes as u64),
            (header::ORDERS_OFFSET, self.orders as u64),
            (header::ORDERS_SLOTS, self.orders_slots as u64),
            (header::MARKET_OFFSET, self.market as u64),
            (header::MARKET_SLOTS, self.market_slots as u64),
        ]
    }

    /// The layout that a header claims: its sizes must be in range, and every offset must be where this version puts
    /// it, so nothing a header says can lead outside the file. `None` otherwise.
    pub fn load(words: &[u64; STATIC_WORDS]) -> Option<Layout> {
        let size = |index: usize, limit: usize| usize::try_from(words[index]).ok().filter(|value| *value <= limit);
        let orders_slots = size(header::ORDERS_SLOTS, SLOTS_MAX).filter(|slots| ring_fits(*slots))?;
        let market_slots = size(header::MARKET_SLOTS, SLOTS_MAX).filter(|slots| ring_fits(*slots))?;
        let instruments = size(header::INSTRUMENTS, INSTRUMENTS_MAX).filter(|count| *count > 0)?;
        let depth_bytes = size(header::DEPTH_BYTES, DEPTH_BYTES_MAX).filter(|bytes| bytes.is_multiple_of(64))?;
        let layout = Self::place(orders_slots, market_slots, instruments, depth_bytes);
        layout.fields().iter().all(|(index, value)| words[*index] == *value).then_some(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{CONTINUATION, SPAN_MAX};
    use crate::slot::{SLOT_WORDS, Slot};
    use proptest::prelude::*;

    fn plan() -> Plan {
        Plan { lane: "lane0".into(), orders_slots: 1024, market_slots: 4096, instruments: 100, depth_bytes: 1000 }
    }

    #[test]
    fn the_layout_text_spells_the_numbers() {
        use {entry as e, feed as f, header as h, live as l, row as r};
        let static_words = format!(
            "static={STATIC_WORDS}:magic{},abi{},hash{},bytes{},boot{},epoch{},incarnation{},created{},pid{},flags{},\
             name{},orders{}-{},market{}-{},counters{},feeds{}-{},dir{}-{},board{},depth{}-{},old{},sum{};",
            h::MAGIC,
            h::ABI_VERSION,
            h::LAYOUT_HASH,
            h::SEGMENT_BYTES,
            h::BOOT_ID,
            h::EPOCH,
            h::INCARNATION,
            h::CREATED_NS,
            h::WRITER_PID,
            h::FLAGS,
            h::LANE_NAME,
            h::ORDERS_OFFSET,
            h::ORDERS_SLOTS,
            h::MARKET_OFFSET,
            h::MARKET_SLOTS,
            h::COUNTERS_OFFSET,
            h::FEEDS_OFFSET,
            h::FEEDS,
            h::DIRECTORY_OFFSET,
            h::INSTRUMENTS,
            h::BOARD_OFFSET,
            h::DEPTH_OFFSET,
            h::DEPTH_BYTES,
            h::OLD_EPOCH,
            h::CHECKSUM
        );
        let slots = format!(
            "slot={},stamp{},words{SLOT_WORDS};head={},body={},span<={SPAN_MAX};",
            size_of::<Slot>(),
            size_of::<Slot>() - SLOT_WORDS * 8,
            crate::record::HEAD_WORDS,
            crate::record::BODY_WORDS,
        );
        let live = format!(
            "live=state{:x},beat{:x},orders{:x},market{:x},wake{:x},dir{:x};",
            l::STATE,
            l::HEARTBEAT_NS,
            l::ORDERS_HEAD,
            l::MARKET_HEAD,
            l::WAKE,
            l::DIRECTORY_COUNT
        );
        let feeds = format!(
            "counters={LANE_COUNTER_WORDS};feeds={FEEDS_MAX}x{FEED_WORDS},version{},name{},state{},session{},ordersn{},\
             marketn{},seq{},counters{};",
            f::VERSION,
            f::NAME,
            f::STATE,
            f::SESSION,
            f::SESSION_ORDERS_N,
            f::SESSION_MARKET_N,
            f::SEQUENCE,
            f::COUNTERS
        );
        let entries = format!(
            "entry={DIRECTORY_ENTRY_WORDS}:id{},symbol{},venue{},traits{},tick{},lot{},depth{},expiry{},strike{},\
             under{},code{},ptraits{};",
            e::INSTRUMENT_ID,
            e::SYMBOL,
            e::VENUE,
            e::TRAITS,
            e::TICK,
            e::LOT,
            e::DEPTH_AT,
            e::EXPIRY_NS,
            e::STRIKE,
            e::UNDERLYING,
            e::PROVIDER_CODE,
            e::PROVIDER_TRAITS
        );
        let rows = format!(
            "row={ROW_WORDS}:version{},n{},tse{},bid{}-{},ask{}-{},touch{},status{},last{}-{},ohlc{}-{},vol{},turn{}-{},trades{},prev{},oi{};",
            r::VERSION,
            r::MARKET_N,
            r::TS_EVENT,
            r::BID_PRICE,
            r::BID_QUANTITY,
            r::ASK_PRICE,
            r::ASK_QUANTITY,
            r::TOUCH,
            r::STATUS,
            r::LAST_PRICE,
            r::LAST_TS,
            r::OPEN,
            r::CLOSE,
            r::VOLUME,
            r::TURNOVER_LOW,
            r::TURNOVER_HIGH,
            r::TRADES,
            r::PREVIOUS_CLOSE,
            r::OPEN_INTEREST
        );
        let classes = DEPTH_CLASSES.map(|class| class.to_string()).join(",");
        let text = format!(
            "ticklane;header={HEADER_BYTES};{static_words}{slots}{live}{feeds}{entries}{rows}level={LEVEL_WORDS},side64;\
             classes={classes}"
        );
        assert_eq!(text, LAYOUT_TEXT);
        assert_eq!([r::LAST_QUANTITY, r::LAST_MATCH, r::HIGH, r::LOW], [10, 11, 14, 15]);
        assert_eq!(
            (CONTINUATION, layout_hash()),
            (0x80, 0xeeb5f3a7239fa999),
            "a new layout: raise ABI_VERSION with it"
        );
    }

    #[test]
    fn sections_follow_each_other_on_page_boundaries() {
        let layout = Layout::of(&plan()).unwrap();
        // Counters, feeds, directory (25,600 bytes), board (25,600), depth (1,024), 64 KiB and 256 KiB of rings.
        let want = [4096, 8192, 16384, 45056, 73728, 77824, 143360, 405504];
        let Layout { counters, feeds, directory, board, depth, orders, market, bytes, .. } = layout;
        assert_eq!([counters, feeds, directory, board, depth, orders, market, bytes], want);
        assert_eq!(layout.depth_bytes, 1024, "whole cache lines");
    }

    #[test]
    fn a_plan_out_of_range_is_refused_by_name() {
        let name = |lane: &str| Plan { lane: lane.into(), ..plan() };
        let table = [
            ("lane name", name("")),
            ("lane name", name("a/b")),
            ("lane name", name("..")),
            ("lane name", name("Lane")),
            ("lane name", name("a23456789012345678901234567890ab")),
            ("orders_slots", Plan { orders_slots: 512, ..plan() }),
            ("orders_slots", Plan { orders_slots: 1025, ..plan() }),
            ("orders_slots", Plan { orders_slots: 1 << 31, ..plan() }),
            ("market_slots", Plan { market_slots: 0, ..plan() }),
            ("instruments", Plan { instruments: 0, ..plan() }),
            ("instruments", Plan { instruments: INSTRUMENTS_MAX + 1, ..plan() }),
            ("depth_bytes", Plan { depth_bytes: DEPTH_BYTES_MAX + 1, ..plan() }),
        ];
        for (field, plan) in table {
            let error = Layout::of(&plan).unwrap_err();
            assert_eq!(error.field, field, "{plan:?}");
            assert!(error.to_string().contains(error.expected), "{error}");
        }
        for plan in [name("a"), name("a234567890123456789012345678901"), Plan { depth_bytes: 0, ..plan() }] {
            assert!(Layout::of(&plan).is_ok(), "{plan:?}");
        }
        let largest = Plan {
            orders_slots: SLOTS_MAX,
            market_slots: SLOTS_MAX,
            instruments: INSTRUMENTS_MAX,
            depth_bytes: DEPTH_BYTES_MAX,
            ..plan()
        };
        assert!(Layout::of(&largest).unwrap().bytes < 1 << 38);
    }

    #[test]
    fn one_changed_number_of_a_header_is_refused() {
        let layout = Layout::of(&plan()).unwrap();
        let mut words = [0; STATIC_WORDS];
        layout.store(&mut words);
        assert_eq!(Layout::load(&words), Some(layout));
        for (index, value) in layout.fields() {
            for wrong in [value + 1, value ^ 1 << 63, 0, u64::MAX, value * 2] {
                let mut changed = words;
                changed[index] = wrong;
                let loaded = Layout::load(&changed);
                // A few more instruments or levels may fit the same pages: then nothing else has moved.
                let same_pages = [header::INSTRUMENTS, header::DEPTH_BYTES].contains(&index)
                    && loaded.is_some_and(|other| (other.orders, other.bytes) == (layout.orders, layout.bytes));
                assert!(loaded.is_none() || same_pages, "word {index}: {wrong} for {value}");
            }
        }
    }

    fn cases() -> ProptestConfig {
        let cases = if cfg!(miri) { 4 } else { 2000 };
        ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(cases())]

        /// Random words, among them nearly right ones, never panic; what they give lies inside the file.
        #[test]
        fn a_layout_that_loads_lies_inside_the_file(
            slots in (prop::num::u64::ANY, 0..34u32, 0..34u32),
            instruments in prop_oneof![0..20u64, prop::num::u64::ANY],
            depth in prop_oneof![(0..2048u64).prop_map(|lines| lines * 64), prop::num::u64::ANY],
            random in prop::collection::vec(prop::num::u64::ANY, STATIC_WORDS),
            noise in prop::collection::vec((0..STATIC_WORDS, prop::num::u64::ANY), 0..3),
        ) {
            let mut words: [u64; STATIC_WORDS] = random.try_into().unwrap();
            let _ = Layout::load(&words);
            let placed = Layout::place(1 << slots.1.min(20), 1 << slots.2.min(20), instruments as usize % 5000, 64);
            placed.store(&mut words);
            words[header::INSTRUMENTS] = instruments;
            words[header::DEPTH_BYTES] = depth;
            let _ = Layout::load(&words);
            placed.store(&mut words);
            for (index, value) in noise {
                words[index] = value;
            }
            if let Some(layout) = Layout::load(&words) {
                prop_assert_eq!(layout.market + layout.market_slots * 64, layout.bytes);
                prop_assert!(layout.orders + layout.orders_slots * 64 <= layout.market);
                prop_assert!(layout.depth + layout.depth_bytes <= layout.orders);
                prop_assert!(layout.board + layout.instruments * ROW_WORDS * 8 <= layout.depth);
                prop_assert!(layout.directory + layout.instruments * DIRECTORY_ENTRY_WORDS * 8 <= layout.board);
                prop_assert!(layout.counters >= HEADER_BYTES && layout.feeds >= layout.counters + LANE_COUNTER_WORDS * 8);
            }
        }
    }

    #[test]
    fn depth_takes_whole_cache_lines() {
        for class in DEPTH_CLASSES {
            let (side, levels) = (side_bytes(class), usize::from(class) * 24);
            assert!(side.is_multiple_of(64) && (levels..levels + 64).contains(&side), "class {class}: {side}");
            assert_eq!(depth_bytes(class), 2 * side);
        }
    }
}
