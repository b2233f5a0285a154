//! The way out: records of one venue event staged for the two rings, and the fields that all of them share.

use shm_abi::board::{BoardWriter, RowUpdate};
use shm_abi::counters::CounterWriter;
use shm_abi::layout::row;
use shm_abi::record::{Anomaly, AnomalyCode, HEAD_WORDS, INSTRUMENT_NONE, flag, kind, side};
use shm_abi::ring::{RECORD_WORDS_MAX, RingWriter, word0};
use shm_abi::segment::{LaneWriter, MappedRing};
use shm_abi::slot::SLOT_WORDS;

use crate::feed::Resume;

/// What the heads of an event's records have in common.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Event {
    // Words that stand side by side in the head do not do so here: read in pairs right after they were stored one by one,
    // they would stall the processor for longer than all the rest of a record takes (10 % of the time per message).
    /// Publish delay and the low half of the sequence: word 3 of the head.
    pub(crate) delay_and_sequence: u64,
    pub(crate) sequence: u64,
    pub(crate) ts_recv: u64,
    pub(crate) instrument_id: u32,
    /// Receive flags, and SUSPECT once the instrument is known.
    pub(crate) flags: u8,
    pub(crate) ts_event: u64,
}

impl Event {
    /// About no instrument, and without a venue time.
    pub(crate) fn bare(sequence: u64, ts_recv: u64, ts_publish: u64, flags: u8) -> Event {
        let delay = ts_publish.saturating_sub(ts_recv).min(u32::MAX.into());
        let delay_and_sequence = delay | sequence << 32;
        Event { sequence, ts_event: 0, ts_recv, delay_and_sequence, flags, instrument_id: INSTRUMENT_NONE }
    }

    /// The same event under another number.
    pub(crate) fn with_sequence(&self, sequence: u64) -> Event {
        let delay = self.delay_and_sequence & u64::from(u32::MAX);
        Event { sequence, delay_and_sequence: delay | sequence << 32, ..*self }
    }

    /// From here on about an instrument. Of its `bits`, [`flag::SUSPECT`] goes into the records.
    #[inline(always)]
    pub(crate) fn about(&mut self, instrument_id: u32, bits: u8) {
        self.instrument_id = instrument_id;
        self.flags |= bits & flag::SUSPECT;
    }

    #[inline(always)]
    pub(crate) fn head(&self, kind: u8, code: u8, flags: u8) -> [u64; HEAD_WORDS] {
        let word0 = word0(kind, self.flags | flags, 1, code, self.instrument_id);
        [word0, self.ts_event, self.ts_recv, self.delay_and_sequence]
    }

    /// A record of one slot.
    #[inline(always)]
    pub(crate) fn record(&self, kind: u8, code: u8, flags: u8, body: [u64; 3]) -> [u64; SLOT_WORDS] {
        let [a, b, c, d] = self.head(kind, code, flags);
        [a, b, c, d, body[0], body[1], body[2]]
    }

    /// The time and ring number that a row reflects.
    #[inline(always)]
    pub(crate) fn stamp_row(&self, row: &mut RowUpdate<'_>, market_n: u64) {
        row.set(row::MARKET_N, market_n);
        row.set(row::TS_EVENT, self.ts_event);
    }
}

/// One ring's side of an event. The last record of an event says so; which one that is, is known at the end.
#[derive(Debug)]
pub(crate) struct Outbox<'r> {
    ring: &'r mut RingWriter<MappedRing>,
    /// Records so far, pushed or not.
    pub(crate) records: u32,
    /// Number of the newest record; while nothing is pushed, the last number of the ring.
    newest: u64,
    /// The newest record is pushed and does not say yet that it is the last.
    unmarked: bool,
    /// Off while the events are known from the epoch before: nothing is pushed then.
    pub(crate) on: bool,
}

const LAST: u64 = (flag::LAST as u64) << 8;

impl<'r> Outbox<'r> {
    #[inline(always)]
    pub(crate) fn new(ring: &'r mut RingWriter<MappedRing>, on: bool, first: Option<[u64; SLOT_WORDS]>) -> Self {
        let newest = ring.next_number().saturating_sub(1);
        let mut outbox = Outbox { ring, records: 0, newest, unmarked: false, on };
        if let Some(first) = first {
            outbox.put(first);
        }
        outbox
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, record: [u64; SLOT_WORDS]) {
        if self.on {
            self.newest = self.ring.push(&record);
            self.unmarked = true;
        }
        self.records += 1;
    }

    /// A record of several slots, the last of its event.
    pub(crate) fn put_last_span(&mut self, head: [u64; HEAD_WORDS], body: &[u64]) {
        let mut words = [0; HEAD_WORDS + 1 + shm_abi::record::VENUE_MESSAGE_MAX / 8];
        words[..HEAD_WORDS].copy_from_slice(&head);
        words[0] |= LAST;
        words[HEAD_WORDS..HEAD_WORDS + body.len()].copy_from_slice(body);
        if self.on {
            self.newest = self.ring.push_span(&words[..HEAD_WORDS + body.len()]);
        }
        self.unmarked = false;
        self.records += 1;
    }

    /// A record of many slots, with text.
    #[cold]
    pub(crate) fn put_text(&mut self, head: [u64; HEAD_WORDS], body: &[u64], last: bool) {
        let mut words = [0; RECORD_WORDS_MAX];
        words[..HEAD_WORDS].copy_from_slice(&head);
        words[0] |= if last { LAST } else { 0 };
        words[HEAD_WORDS..HEAD_WORDS + body.len()].copy_from_slice(body);
        if self.on {
            self.newest = self.ring.push_span(&words[..HEAD_WORDS + body.len()]);
        }
        self.unmarked = false;
        self.records += 1;
    }

    /// Ends the event; its slots are written but not yet visible. Returns the number of its last record; while nothing
    /// is pushed, the last number of the ring.
    #[inline(always)]
    pub(crate) fn close(&mut self) -> u64 {
        if self.unmarked {
            self.ring.amend_newest(LAST);
        }
        self.newest
    }
}

/// Both rings.
#[derive(Debug)]
pub(crate) struct Out<'r> {
    pub(crate) orders: Outbox<'r>,
    pub(crate) market: Outbox<'r>,
}

impl Out<'_> {
    /// A record that both rings carry.
    #[inline(always)]
    pub(crate) fn both(&mut self, record: [u64; SLOT_WORDS]) {
        self.orders.put(record);
        self.market.put(record);
    }

    /// The restart record: each ring has ended where it ends itself.
    pub(crate) fn restart(&mut self, event: &Event, bodies: &[[u64; 6]; 2]) {
        let head = event.head(kind::RESTART, NO_SIDE, 0);
        self.orders.put_last_span(head, &bodies[0]);
        self.market.put_last_span(head, &bodies[1]);
    }

    /// A record of several slots in the market ring, the last of its event.
    pub(crate) fn market_last_span(&mut self, event: &Event, kind: u8, code: u8, body: &[u64]) {
        self.market.put_last_span(event.head(kind, code, 0), body);
    }

    /// Whether nothing of the event goes out.
    #[inline(always)]
    pub(crate) fn is_rebuilding(&self) -> bool {
        !self.orders.on && !self.market.on
    }

    /// Ends an event that is about no row.
    pub(crate) fn finish(&mut self) {
        self.orders.close();
        self.market.close();
        self.commit();
    }

    /// Makes the event visible. After both rings were closed.
    #[inline(always)]
    pub(crate) fn commit(&mut self) {
        self.orders.ring.commit();
        self.market.ring.commit();
    }

    /// Ends an event: the row is whole, naming the number of the event's last market record, before either ring shows
    /// it. An event without a market record left the row as it was.
    #[inline(always)]
    pub(crate) fn finish_with_row(&mut self, event: &Event, mut row: RowUpdate<'_>) {
        self.orders.close();
        let market_n = self.market.close();
        if self.market.records > 0 {
            event.stamp_row(&mut row, market_n);
        }
        drop(row);
        self.commit();
    }

    /// Declares what is wrong with a message, in both rings.
    #[cold]
    pub(crate) fn anomaly(&mut self, event: &Event, anomaly: &Anomaly) {
        let body = [anomaly.venue_sequence, anomaly.subject, anomaly.detail];
        self.both(event.record(kind::ANOMALY, anomaly.code as u8, 0, body));
    }
}

/// Code of records that have no side.
pub(crate) const NO_SIDE: u8 = side::NONE;

/// An anomaly of the message of `event`.
pub(crate) fn anomaly_of(event: &Event, code: AnomalyCode, subject: u64, detail: u64) -> Anomaly {
    Anomaly { code, venue_sequence: event.sequence, subject, detail }
}

/// Which rings of the epoch before already have an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) orders: bool,
    pub(crate) market: bool,
    pub(crate) everywhere: bool,
}

impl Known {
    /// Neither has it: what no venue message caused.
    pub(crate) const NOWHERE: Known = Known { orders: false, market: false, everywhere: false };

    #[inline(always)]
    pub(crate) fn of(sequence: u64, resume: &Resume) -> Known {
        let (orders, market) = (sequence <= resume.orders_after, sequence <= resume.market_after);
        Known { orders, market, everywhere: orders && market }
    }
}

/// What one event is written to.
#[derive(Debug)]
pub(crate) struct Io<'r> {
    pub(crate) out: Out<'r>,
    pub(crate) board: &'r mut BoardWriter,
    pub(crate) counters: &'r mut CounterWriter,
}

impl<'r> Io<'r> {
    /// Opens an event in both rings.
    #[inline(always)]
    pub(crate) fn open(known: Known, mark: Option<[u64; SLOT_WORDS]>, lane: &'r mut LaneWriter) -> Io<'r> {
        let LaneWriter { orders, market, board, counters, .. } = lane;
        Io {
            out: Out {
                orders: Outbox::new(orders, !known.orders, mark),
                market: Outbox::new(market, !known.market, mark),
            },
            board,
            counters,
        }
    }
}
