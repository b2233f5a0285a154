//! What is kept of a row beside it, and what single records do to it.

use shm_abi::board::{Quality, RowUpdate};
use shm_abi::record::{AnomalyCode, HEAD_WORDS, Head, TradingStatus, clear_code, flag, kind};
use shm_abi::slot::SLOT_WORDS;

use super::prints::NO_PRINT;
use super::statistics::{begin_day, clear_book};
use super::status::status_of;

/// First slot of a record: all that rows need of any.
pub(super) type First = [u64; SLOT_WORDS];

/// What is kept of a row beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The instrument's newest print that is kept.
    pub(super) newest_print: u32,
    /// The venue's phase as it is for this instrument.
    pub(super) phase: TradingStatus,
    /// Letter of the last trading action; 0: none yet.
    pub(super) state: u8,
    pub(super) bits: u8,
}

/// Bit of [`Facts::bits`]: records are missing here since the book was last whole.
pub(super) const GAPPED: u8 = 0x01;
/// Bit of [`Facts::bits`]: announced in this session.
pub(super) const ANNOUNCED: u8 = 0x02;
/// Bit of [`Facts::bits`]: of an X-stream venue.
pub(super) const XSTREAM: u8 = 0x04;
/// Bit of [`Facts::bits`]: as in records.
pub(super) const SUSPECT: u8 = flag::SUSPECT;

#[inline(always)]
pub(super) fn head(words: &First) -> Head {
    let head: &[u64; HEAD_WORDS] = words.first_chunk().expect("a slot is longer than a head");
    Head::from_words(head)
}

impl Facts {
    #[inline(always)]
    pub(super) fn has(&self, bit: u8) -> bool {
        self.bits & bit != 0
    }

    #[inline(always)]
    pub(super) fn put(&mut self, bit: u8, on: bool) {
        self.bits = if on { self.bits | bit } else { self.bits & !bit };
    }

    /// Quality of its row: that of the feed, but gapped while a live feed's book is not whole.
    pub(super) fn quality(&self, feed: Quality) -> Quality {
        if feed == Quality::Fresh && self.bits & (SUSPECT | GAPPED) != 0 { Quality::Gapped } else { feed }
    }

    pub(super) fn status(&self) -> TradingStatus {
        status_of(self.state, self.phase, self.has(XSTREAM))
    }
}

/// An instrument is spoken of whose announcement was not heard: the records begin in the middle of its session.
#[cold]
pub(super) fn announce_unheard(
    facts: &mut Facts,
    row: &mut RowUpdate<'_>,
    records: &[First],
    phase: TradingStatus,
    feed: Quality,
) {
    if records.iter().any(|words| words[0] as u8 == kind::INSTRUMENT) {
        return;
    }
    facts.phase = phase;
    facts.put(ANNOUNCED, true);
    row.set_quality(facts.quality(feed));
}

/// Whether an anomaly about an instrument makes its book suspect. A venue of orders tells of anomalies in both rings, one
/// of levels in the market ring alone.
#[cold]
pub(super) fn makes_suspect(words: &First, of_orders: bool) -> bool {
    let [.., subject, detail] = *words;
    let code = AnomalyCode::from_code(head(words).side_or_code);
    match (code, of_orders) {
        (AnomalyCode::UnknownOrder, _) => true,
        (AnomalyCode::DuplicateOrder | AnomalyCode::Overfill, true) => true,
        (AnomalyCode::BadField, true) => detail > u32::MAX.into(),
        (AnomalyCode::TableFull, false) => true,
        // The letters of IEX's level messages.
        (AnomalyCode::BadField, false) => subject == u64::from(b'8') || subject == u64::from(b'5'),
        _ => false,
    }
}

/// The book is empty, and unless nothing else is meant, the day begins anew.
pub(super) fn clear(facts: &mut Facts, row: &mut RowUpdate<'_>, code: u8, of_restart: bool, feed: Quality) {
    clear_book(row);
    if code != clear_code::BOOK {
        begin_day(row);
        facts.newest_print = NO_PRINT;
        row.set_status(TradingStatus::Unknown, 0);
    }
    facts.put(GAPPED, false);
    if of_restart {
        (facts.state, facts.phase) = (0, TradingStatus::Unknown);
        facts.put(SUSPECT, false);
        row.set_status(TradingStatus::Unknown, 0);
    }
    row.set_quality(facts.quality(feed));
}
