//! Rows of the board, moved by the records of the market ring as their events moved them.

use shm_abi::board::{BoardWriter, Level, Quality, RowUpdate};
use shm_abi::directory::{DirectoryWriter, Instrument, Text, xstream};
use shm_abi::layout::row;
use shm_abi::record::{
    Head, INSTRUMENT_NONE, Side, StatusCause, TradingStatus, flag, gap_reason, kind, official_code, restart_reason,
    session_code, side, trade_code,
};

use super::facts::{ANNOUNCED, Facts, First, GAPPED, SUSPECT, XSTREAM, announce_unheard, clear, head, makes_suspect};
use super::prints::{NO_PRINT, Prints};
use super::statistics::{Print, begin_row, print, range, set_last};
use super::status::{Phases, Scope};
use super::window::set_level;
use crate::ids::IdIndex;

/// What an event's part in the orders ring said, where that tells what its part in the market ring means, and what stands
/// behind a record's first slot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said {
    /// The session begins anew: every instrument is to be announced again.
    pub(super) restart: bool,
    /// An image of all books ends whole.
    pub(super) image_end: bool,
    /// A message could not be applied.
    pub(super) anomaly: bool,
    /// Why the sequence began anew, of a restart in the market ring.
    pub(super) restart_reason: u64,
}

/// What is kept of every row.
#[derive(Debug)]
pub(super) struct Rows {
    facts: Vec<Facts>,
    boards: Vec<Text<8>>,
    index: IdIndex,
    phases: Phases,
    prints: Prints,
    /// Quality of the feed.
    quality: Quality,
    /// Words 2 and 3 of the restart that came last: the clears of its event have the same.
    restart: Option<[u64; 2]>,
    any_xstream: bool,
}

/// What of the lane an event changes beside the rings.
#[derive(Debug)]
pub(super) struct Target<'l> {
    pub(super) board: &'l mut BoardWriter,
    pub(super) directory: &'l mut DirectoryWriter,
    pub(super) said: Said,
    /// Number of the event's last market record.
    pub(super) market_n: u64,
}

#[inline(always)]
fn instrument_of(words: &First) -> u32 {
    (words[0] >> 32) as u32
}

fn stamp(row: &mut RowUpdate<'_>, ts_event: u64, market_n: u64) {
    row.set(row::MARKET_N, market_n);
    row.set(row::TS_EVENT, ts_event);
}

impl Rows {
    /// Room for so many instruments, and so many prints of a day of venues that break trades.
    pub(super) fn new(instruments: usize, prints: usize) -> Rows {
        Rows {
            facts: Vec::with_capacity(instruments),
            boards: Vec::with_capacity(instruments),
            index: IdIndex::default(),
            phases: Phases::new(),
            prints: Prints::new(prints),
            quality: Quality::Fresh,
            restart: None,
            any_xstream: false,
        }
    }

    /// Row of an instrument.
    pub(super) fn row_of(&self, instrument_id: u32) -> Option<usize> {
        self.index.get(instrument_id)
    }

    /// A row was added for an instrument.
    pub(super) fn add(&mut self, instrument: &Instrument, row: usize) {
        debug_assert_eq!(row, self.facts.len());
        let traits = &instrument.provider_traits;
        let is_xstream = traits[xstream::MARK] == xstream::MARK_VALUE;
        let mut facts = Facts { newest_print: NO_PRINT, phase: TradingStatus::Unknown, state: 0, bits: 0 };
        facts.put(XSTREAM, is_xstream);
        self.any_xstream |= is_xstream;
        self.facts.push(facts);
        self.boards.push(if is_xstream { Text::new(&traits[xstream::BOARD]) } else { Text::new(b"") });
        self.index.set(instrument.instrument_id, row as u32);
    }

    /// A record with this first word comes soon: asks for the lines that it will need.
    #[inline(always)]
    pub(super) fn expect(&self, word0: u64, board: &BoardWriter) {
        if let Some(at) = self.index.get((word0 >> 32) as u32) {
            let is_ask = (word0 >> 24) as u8 == side::ASK;
            board.prefetch(at, if is_ask { Side::Ask } else { Side::Bid });
        }
    }

    /// The market ring's part of an event, or of as much of it as is there. Returns the records whose instrument has no
    /// row.
    #[inline]
    pub(super) fn apply(&mut self, event: &[First], target: &mut Target<'_>) -> u64 {
        let mut rest = event;
        let mut unnamed = 0;
        while let Some(first) = rest.first() {
            let id = instrument_of(first);
            let len = rest.iter().take_while(|words| instrument_of(words) == id).count();
            let (records, behind) = rest.split_at(len);
            if id == INSTRUMENT_NONE {
                records.iter().for_each(|words| self.venue_wide(words, target));
            } else if let Some(at) = self.index.get(id) {
                self.about(at, records, target);
            } else {
                unnamed += len as u64;
            }
            rest = behind;
        }
        unnamed
    }

    /// Records about one instrument.
    #[inline]
    fn about(&mut self, at: usize, records: &[First], target: &mut Target<'_>) {
        let facts = &mut self.facts[at];
        let mut row = target.board.update(at);
        let last = head(&records[records.len() - 1]);
        // A record says whether the book was suspect before its event.
        let suspect = head(&records[0]).flags & flag::SUSPECT != 0;
        if suspect != facts.has(SUSPECT) {
            facts.put(SUSPECT, suspect);
            row.set_quality(facts.quality(self.quality));
        }
        if !facts.has(ANNOUNCED) && last.kind != kind::CLEAR && last.kind != kind::INSTRUMENT {
            announce_unheard(facts, &mut row, records, self.phases.of(&self.boards[at]), self.quality);
        }
        let mut venue_wide = None;
        for words in records {
            let [.., a, b, c] = *words;
            match words[0] as u8 {
                kind::LEVEL => {
                    if let Some(side) = Side::from_code(head(words).side_or_code) {
                        let level = Level { price: a as i64, quantity: b, orders: c as u32 };
                        set_level(&mut row, side, (c >> 32) as usize, level);
                    }
                }
                kind::QUOTE => {
                    if let Some(side) = Side::from_code(head(words).side_or_code) {
                        let orders = c.min(u32::MAX.into()) as u32;
                        row.set_quote(side, Level { price: a as i64, quantity: b, orders });
                    }
                }
                kind::TRADE => {
                    let Head { flags, side_or_code, ts_event, .. } = head(words);
                    let trade = Print { match_id: a, price: b as i64, quantity: c, ts_event };
                    if flags & flag::NOT_PRINTED == 0 {
                        if c > 0 {
                            print(&mut row, &trade, flags & flag::VOLUME_ONLY != 0);
                            if facts.has(XSTREAM) {
                                self.prints.keep(trade, &mut facts.newest_print);
                            }
                        }
                        if side_or_code == trade_code::CROSS_CLOSE && trade.price > 0 {
                            row.set(row::CLOSE, b);
                        }
                    }
                }
                kind::TRADE_BREAK if facts.has(XSTREAM) => {
                    self.prints.take_out(&mut row, facts.newest_print, a, b as i64, c);
                }
                kind::OFFICIAL_PRICE => match head(words).side_or_code {
                    official_code::REFERENCE => row.set(row::PREVIOUS_CLOSE, a),
                    official_code::CLOSE => row.set(row::CLOSE, a),
                    _ => {}
                },
                kind::INDEX_VALUE => {
                    let ts_event = last.ts_event;
                    set_last(&mut row, &Print { match_id: 0, price: a as i64, quantity: 0, ts_event });
                    range(&mut row, a as i64);
                }
                kind::CLEAR => {
                    let of_restart = self.restart == Some([words[2], words[3]]);
                    clear(facts, &mut row, head(words).side_or_code, of_restart, self.quality);
                }
                kind::STATUS => {
                    let (cause, letter) = (StatusCause::from_code(a as u8), (a >> 8) as u8);
                    if cause == StatusCause::TradingAction {
                        facts.state = letter;
                        row.set_status(TradingStatus::from_code(head(words).side_or_code), letter);
                    } else if cause == StatusCause::SystemEvent && facts.has(XSTREAM) {
                        venue_wide = Some(words);
                    }
                }
                kind::INSTRUMENT => {
                    if !facts.has(ANNOUNCED) {
                        facts.state = 0;
                        facts.newest_print = NO_PRINT;
                        facts.phase = self.phases.of(&self.boards[at]);
                        facts.put(ANNOUNCED, true);
                        row.set_status(facts.status(), 0);
                    }
                    row.set_quality(facts.quality(self.quality));
                    target.directory.set_provider_code(at, c);
                }
                kind::ANOMALY if makes_suspect(words, target.said.anomaly) => {
                    facts.put(SUSPECT, true);
                    row.set_quality(facts.quality(self.quality));
                }
                kind::GAP => {
                    facts.put(SUSPECT, true);
                    row.set_quality(facts.quality(self.quality));
                }
                _ => {}
            }
        }
        stamp(&mut row, last.ts_event, target.market_n);
        drop(row);
        if let Some(words) = venue_wide {
            self.phase(words, Scope::One(at), target);
        }
    }

    /// A record about no instrument.
    #[cold]
    fn venue_wide(&mut self, words: &First, target: &mut Target<'_>) {
        let [.., a, b, c] = *words;
        let Head { ts_event, side_or_code, .. } = head(words);
        let market_n = target.market_n;
        match words[0] as u8 {
            kind::STATUS => match (StatusCause::from_code(a as u8), (a >> 8) as u8) {
                (StatusCause::SystemEvent, _) => {
                    let board = Text::new(&b.to_le_bytes());
                    let named = self.any_xstream && !board.as_str().is_empty();
                    self.phase(words, if named { Scope::Board(board) } else { Scope::All }, target);
                }
                (StatusCause::Session, session_code::SUSPECT) => {
                    self.tell_announced(ts_event, target, |facts| facts.put(SUSPECT, true));
                }
                (StatusCause::Session, session_code::IMAGE) => {
                    // The engine says it in the orders ring, too, when every book of the image is whole.
                    let whole = target.said.image_end;
                    self.tell_announced(ts_event, target, |facts| {
                        facts.bits &= if whole { !(SUSPECT | GAPPED) } else { !GAPPED };
                    });
                }
                (StatusCause::Session, letter) => {
                    self.quality = match letter {
                        session_code::UP => Quality::Fresh,
                        session_code::DOWN => Quality::Stale,
                        session_code::ENDED => Quality::Closed,
                        _ => return,
                    };
                    for (at, facts) in self.facts.iter().enumerate() {
                        let mut row = target.board.update(at);
                        row.set_quality(facts.quality(self.quality));
                        row.set(row::MARKET_N, market_n);
                    }
                }
                _ => {}
            },
            // A hole of a recording is not mended by what was recorded behind it.
            kind::GAP if c == gap_reason::RECORDING => {
                self.tell_all(ts_event, target, |facts| facts.put(GAPPED, true));
            }
            kind::GAP => self.tell_announced(ts_event, target, |facts| facts.put(SUSPECT, true)),
            kind::CLEAR => {
                for at in 0..self.facts.len() {
                    let mut row = target.board.update(at);
                    clear(&mut self.facts[at], &mut row, side_or_code, false, self.quality);
                    stamp(&mut row, ts_event, market_n);
                }
            }
            kind::RESTART => self.restart(words, target),
            _ => {}
        }
    }

    /// What an event about the feed changes of every row that was announced.
    fn tell_announced(&mut self, ts_event: u64, target: &mut Target<'_>, mut change: impl FnMut(&mut Facts)) {
        self.tell(ts_event, target, ANNOUNCED, &mut change);
    }

    fn tell_all(&mut self, ts_event: u64, target: &mut Target<'_>, mut change: impl FnMut(&mut Facts)) {
        self.tell(ts_event, target, 0, &mut change);
    }

    fn tell(&mut self, ts_event: u64, target: &mut Target<'_>, with: u8, change: &mut dyn FnMut(&mut Facts)) {
        for (at, facts) in self.facts.iter_mut().enumerate().filter(|(_, facts)| facts.bits & with == with) {
            change(facts);
            let mut row = target.board.update(at);
            row.set_quality(facts.quality(self.quality));
            stamp(&mut row, ts_event, target.market_n);
        }
    }

    /// A phase of the venue begins, of a board, or of one orderbook; every row tells of it.
    fn phase(&mut self, words: &First, scope: Scope, target: &mut Target<'_>) {
        let Head { ts_event, side_or_code, .. } = head(words);
        let phase = TradingStatus::from_code(side_or_code);
        self.phases.set(scope, phase);
        let boards = &self.boards;
        for (at, facts) in self.facts.iter_mut().enumerate().filter(|(_, facts)| facts.has(ANNOUNCED)) {
            let in_scope = match scope {
                Scope::All => true,
                Scope::Board(board) => boards[at] == board,
                Scope::One(one) => one == at,
            };
            if in_scope && phase != TradingStatus::Unknown {
                facts.phase = phase;
            }
            let mut row = target.board.update(at);
            row.set_status(facts.status(), facts.state);
            stamp(&mut row, ts_event, target.market_n);
        }
        let day_begins = scope == Scope::All && self.any_xstream && (words[4] >> 8) as u8 == b'O';
        if day_begins {
            self.forget_prints();
        }
    }

    /// A session or a sequence begins anew; clears of what it had follow.
    fn restart(&mut self, words: &First, target: &mut Target<'_>) {
        match target.said.restart_reason {
            restart_reason::SESSION => {
                self.restart = Some([words[2], words[3]]);
                self.phases.clear();
                if target.said.restart {
                    for facts in &mut self.facts {
                        facts.put(ANNOUNCED | SUSPECT, false);
                        (facts.state, facts.phase) = (0, TradingStatus::Unknown);
                    }
                    self.forget_prints();
                }
            }
            // A writer that knew of none before it: its rows began empty.
            restart_reason::UNKNOWN => {
                self.phases.clear();
                self.forget_prints();
                self.quality = Quality::Fresh;
                for (at, facts) in self.facts.iter_mut().enumerate() {
                    facts.put(ANNOUNCED | SUSPECT | GAPPED, false);
                    (facts.state, facts.phase) = (0, TradingStatus::Unknown);
                    begin_row(&mut target.board.update(at));
                }
            }
            // The engine goes on where it ended: so do the rows.
            _ => {}
        }
    }

    fn forget_prints(&mut self) {
        self.prints.clear();
        self.facts.iter_mut().for_each(|facts| facts.newest_print = NO_PRINT);
    }
}
