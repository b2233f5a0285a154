//! Statuses: of an instrument, and of the venue's day.

use shm_abi::board::RowUpdate;
use shm_abi::record::{AnomalyCode, StatusCause, TradingStatus, kind, status_body};
use shm_abi::segment::LaneWriter;
use wire::iex;

use super::{CROSSED, Facts, Fate, Iex, InstrumentIds, Io, TRADING};
use crate::itch::declare;
use crate::publish::{Event, NO_SIDE};

/// A reason of the wire as it stands in a status record.
fn reason(bytes: &[u8]) -> [u8; 8] {
    std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(b' '))
}

/// Status of the venue's phase, by the letter of its last system event.
fn phase_status(letter: u8) -> TradingStatus {
    match letter {
        b'O' | b'S' => TradingStatus::PreOpen,
        b'R' => TradingStatus::Trading,
        b'M' => TradingStatus::PostClose,
        b'E' | b'C' => TradingStatus::Closed,
        _ => TradingStatus::Unknown,
    }
}

/// Status of an instrument: its own state within the venue's phase. Until a phase was announced, as when the feed was
/// joined in the middle, its own state alone.
fn status_of(state: u8, phase: u8) -> TradingStatus {
    let venue = phase_status(phase);
    if venue == TradingStatus::Closed {
        return venue;
    }
    match state {
        b'H' => TradingStatus::Halted,
        // Halted, and orders for the opening auction are taken.
        b'O' => TradingStatus::PreOpen,
        b'P' => TradingStatus::Paused,
        b'T' if venue == TradingStatus::Unknown => TradingStatus::Trading,
        b'T' => venue,
        _ => TradingStatus::Unknown,
    }
}

/// Writes the status that follows from state and phase to the row, and keeps what the hot path needs of it.
pub(super) fn set_status(facts: &mut Facts, phase: u8, row: &mut RowUpdate<'_>) -> TradingStatus {
    let status = status_of(facts.state, phase);
    facts.bits &= !(TRADING | CROSSED);
    if status == TradingStatus::Trading {
        facts.bits |= TRADING;
    }
    row.set_status(status, facts.state);
    status
}

impl<I: InstrumentIds> Iex<I> {
    /// `H`.
    pub(super) fn trading_status(
        &mut self,
        at: usize,
        message: &iex::TradingStatus,
        event: &Event,
        io: &mut Io<'_>,
    ) -> Fate {
        let letter = message.trading_status;
        if !matches!(letter, b'H' | b'O' | b'P' | b'T') {
            return self.bad_field(at, iex::TradingStatus::TYPE, letter.into(), event, io);
        }
        self.facts[at].state = letter;
        self.status(at, StatusCause::TradingAction, letter, reason(&message.reason), event, io)
    }

    /// `O`: a halt of this venue alone; the status of the instrument stays.
    pub(super) fn operational_halt(
        &mut self,
        at: usize,
        message: &iex::OperationalHalt,
        event: &Event,
        io: &mut Io<'_>,
    ) -> Fate {
        let letter = message.halt_status;
        if !matches!(letter, b'O' | b'N') {
            return self.bad_field(at, iex::OperationalHalt::TYPE, letter.into(), event, io);
        }
        self.status(at, StatusCause::OperationalHalt, letter, reason(b""), event, io)
    }

    /// `P`. The wire has a number here; the record has its digit, as for other venues.
    pub(super) fn short_sale(&mut self, at: usize, message: &iex::ShortSale, event: &Event, io: &mut Io<'_>) -> Fate {
        let test = message.test_status;
        if test > 1 {
            return self.bad_field(at, iex::ShortSale::TYPE, test.into(), event, io);
        }
        self.status(at, StatusCause::ShortSale, b'0' + test, reason(&[message.detail]), event, io)
    }

    /// `E`: the opening or the closing process of one security is complete. An event of the market's day, but of one
    /// instrument alone.
    pub(super) fn security_event(
        &mut self,
        at: usize,
        message: &iex::SecurityEvent,
        event: &Event,
        io: &mut Io<'_>,
    ) -> Fate {
        let letter = message.security_event;
        if !matches!(letter, b'O' | b'C') {
            return self.bad_field(at, iex::SecurityEvent::TYPE, letter.into(), event, io);
        }
        self.status(at, StatusCause::SystemEvent, letter, reason(b""), event, io)
    }

    /// A status record with what the instrument's status is after it.
    fn status(
        &mut self,
        at: usize,
        cause: StatusCause,
        letter: u8,
        reason: [u8; 8],
        event: &Event,
        io: &mut Io<'_>,
    ) -> Fate {
        let facts = &mut self.facts[at];
        let mut row = io.board.update(facts.row as usize);
        let status = match cause {
            StatusCause::TradingAction => set_status(facts, self.phase, &mut row),
            _ => status_of(facts.state, self.phase),
        };
        io.out.market.put(event.record(kind::STATUS, status as u8, 0, status_body(cause, letter, reason)));
        io.out.finish_with_row(event, row);
        Fate::Applied
    }

    /// `S`: the venue's phase, and with it the status of every instrument. Rows first, then the one record.
    pub(super) fn system_event(&mut self, system: &iex::SystemEvent, event: &Event, lane: &mut LaneWriter) -> Fate {
        let mut io = self.begin(event, lane);
        let letter = system.event_code;
        if !matches!(letter, b'O' | b'S' | b'R' | b'M' | b'E' | b'C') {
            let subject = iex::SystemEvent::TYPE.into();
            declare(AnomalyCode::BadField, subject, letter.into(), event, &mut io.out, io.counters);
            io.out.finish();
            return Fate::Rejected;
        }
        self.phase = letter;
        let status = phase_status(letter);
        let body = status_body(StatusCause::SystemEvent, letter, reason(b""));
        io.out.market.put(event.record(kind::STATUS, status as u8, 0, body));
        self.tell_all(event, &mut io, |facts, row| {
            set_status(facts, letter, row);
        });
        Fate::Applied
    }

    /// A status about the feed's session, with what it changes of every instrument.
    pub(super) fn session_status(
        &mut self,
        letter: u8,
        event: &Event,
        lane: &mut LaneWriter,
        change: impl FnMut(&mut Facts, &mut RowUpdate<'_>),
    ) {
        let mut io = Io::open(super::market_only(false), None, lane);
        let body = status_body(StatusCause::Session, letter, reason(b""));
        io.out.market.put(event.record(kind::STATUS, TradingStatus::Unknown as u8, 0, body));
        self.tell_all(event, &mut io, change);
    }

    /// Ends an event about the feed as a whole, with what it changes of every instrument: rows first, then the ring.
    pub(super) fn tell_all(
        &mut self,
        event: &Event,
        io: &mut Io<'_>,
        mut change: impl FnMut(&mut Facts, &mut RowUpdate<'_>),
    ) {
        io.out.orders.close();
        let market_n = io.out.market.close();
        for facts in &mut self.facts {
            let mut row = io.board.update(facts.row as usize);
            change(facts, &mut row);
            event.stamp_row(&mut row, market_n);
        }
        io.out.commit();
    }

    /// A message without a normalised form.
    pub(super) fn verbatim(&mut self, at: usize, bytes: &[u8], event: &Event, io: &mut Io<'_>) -> Fate {
        let mut words = [0; 1 + shm_abi::record::VENUE_MESSAGE_MAX / 8];
        let used = shm_abi::record::venue_message_body(bytes, &mut words);
        io.out.market_last_span(event, kind::VENUE_MESSAGE, NO_SIDE, &words[..used]);
        io.out.finish_with_row(event, io.board.update(self.facts[at].row as usize));
        Fate::Applied
    }
}
