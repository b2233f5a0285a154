//! Trading status: an instrument's own state within the venue's phase, by the rules of the venues' normalisers.

use shm_abi::directory::Text;
use shm_abi::record::TradingStatus;

/// Most boards whose phase is kept for orderbooks that are announced later: as many as the engine keeps.
const BOARDS_LIMIT: usize = 64;

/// The venue's phase, and those of boards that have one of their own since.
#[derive(Debug)]
pub(super) struct Phases {
    all: TradingStatus,
    boards: Vec<(Text<8>, TradingStatus)>,
}

/// Whom a phase is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Board(Text<8>),
    /// A row.
    One(usize),
}

impl Phases {
    pub(super) fn new() -> Phases {
        Phases { all: TradingStatus::Unknown, boards: Vec::with_capacity(BOARDS_LIMIT) }
    }

    /// A new session begins.
    pub(super) fn clear(&mut self) {
        self.all = TradingStatus::Unknown;
        self.boards.clear();
    }

    /// The phase that an orderbook of this board begins with.
    pub(super) fn of(&self, board: &Text<8>) -> TradingStatus {
        self.boards.iter().find(|(name, _)| name == board).map_or(self.all, |(_, phase)| *phase)
    }

    /// A phase begins. What an undocumented letter means for trading is not known: the phase stays.
    pub(super) fn set(&mut self, scope: Scope, phase: TradingStatus) {
        match scope {
            _ if phase == TradingStatus::Unknown => {}
            Scope::All => {
                self.all = phase;
                self.boards.clear();
            }
            Scope::Board(board) => match self.boards.iter().position(|(name, _)| *name == board) {
                Some(known) => self.boards[known].1 = phase,
                None if self.boards.len() < BOARDS_LIMIT => self.boards.push((board, phase)),
                None => {}
            },
            Scope::One(_) => {}
        }
    }
}

/// Status of an instrument whose last trading action has this letter (0: none yet). Until a phase was announced, as when
/// the recording begins in the middle, its own state alone.
pub(super) fn status_of(state: u8, phase: TradingStatus, xstream: bool) -> TradingStatus {
    if matches!(phase, TradingStatus::Closed | TradingStatus::Halted) {
        return phase;
    }
    match state {
        b'H' | b'V' => TradingStatus::Halted,
        b'P' => TradingStatus::Paused,
        b'Q' => TradingStatus::QuoteOnly,
        // IEX: halted, and orders for the opening auction are taken.
        b'O' if !xstream => TradingStatus::PreOpen,
        b'T' if phase == TradingStatus::Unknown => TradingStatus::Trading,
        b'T' => phase,
        _ => TradingStatus::Unknown,
    }
}
