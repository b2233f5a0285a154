//! Messages about an instrument's state, auctions and bands, and those that go on verbatim.

use shm_abi::board::RowUpdate;
use shm_abi::record::{
    AnomalyCode, Imbalance, PRICE_NONE, Price, StatusCause, TradingStatus, VENUE_MESSAGE_MAX, imbalance_body, kind,
    status_body, venue_message_body,
};
use shm_abi::segment::LaneWriter;
use wire::itch50::{LuldCollar, Message, Noii, SystemEvent};

use super::orders::NASDAQ_PRICE_MAX;
use super::{CROSSED, Facts, Fate, Feed, InstrumentIds, Io, TRADING};
use crate::publish::{Event, NO_SIDE};

/// A reason of the wire as it stands in a status record.
pub(super) fn reason(bytes: &[u8]) -> [u8; 8] {
    std::array::from_fn(|i| bytes.get(i).copied().unwrap_or(b' '))
}

/// A price that may be absent: the wire says 0, or its largest price.
fn optional_price(facts: &Facts, raw: u32) -> Price {
    if raw == 0 || raw >= NASDAQ_PRICE_MAX { PRICE_NONE } else { facts.price(raw) }
}

/// Status of the venue's phase, by the letter of its last system event. DSE has four more letters than Nasdaq: `A` halt,
/// `B` resume, `I` accepting orders, `V` post-close.
pub(super) fn phase_status(letter: u8) -> TradingStatus {
    match letter {
        b'O' | b'S' | b'I' => TradingStatus::PreOpen,
        b'Q' | b'B' => TradingStatus::Trading,
        b'A' => TradingStatus::Halted,
        b'M' | b'V' => TradingStatus::PostClose,
        b'E' | b'C' => TradingStatus::Closed,
        _ => TradingStatus::Unknown,
    }
}

/// Status of an instrument: its own state within the venue's phase. Until a phase was announced, as when the feed was
/// joined in the middle, its own state alone.
pub(super) fn status_of(state: u8, phase: u8) -> TradingStatus {
    let venue = phase_status(phase);
    if matches!(venue, TradingStatus::Closed | TradingStatus::Halted) {
        return venue;
    }
    match state {
        b'H' | b'V' => TradingStatus::Halted,
        b'P' => TradingStatus::Paused,
        b'Q' => TradingStatus::QuoteOnly,
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

impl<I: InstrumentIds> Feed<I> {
    /// Everything that is not about an order.
    pub(super) fn other(&mut self, bytes: &[u8], at: u32, event: Event, lane: &mut LaneWriter) -> Fate {
        if self.direct { self.nasdaq(bytes, at, event, lane) } else { self.xstream(bytes, at, event, lane) }
    }

    /// Nasdaq's, by the venue's own names: it has messages that no other dialect has.
    fn nasdaq(&mut self, bytes: &[u8], at: u32, event: Event, lane: &mut LaneWriter) -> Fate {
        let Ok(message) = Message::parse(bytes) else {
            unreachable!("the decoder has checked type and length");
        };
        match message {
            Message::StockDirectory(directory) => return self.directory(directory, at, event, lane),
            Message::SystemEvent(system) => return self.system_event(system, event, lane),
            _ => {}
        }
        let mut io = self.begin(&event, lane);
        // These three are about the venue when they name no instrument.
        let venue_wide = matches!(message, Message::MwcbDecline(_) | Message::MwcbStatus(_) | Message::BrokenTrade(_));
        let allowed = self.facts[at as usize].is_known() || (venue_wide && at == 0);
        if !allowed {
            return self.reject(AnomalyCode::UnknownInstrument, at.into(), bytes[0].into(), None, &event, &mut io);
        }
        let io = &mut io;
        match message {
            Message::Trade(trade) => self.hidden_trade(trade, at, event, io),
            Message::CrossTrade(cross) => self.cross(cross, at, event, io),
            Message::BrokenTrade(broken) => self.broken_trade(broken, at, event, io),
            Message::TradingAction(action) => {
                if !matches!(action.state, b'H' | b'P' | b'Q' | b'T') {
                    let (kind, value) = (b'H'.into(), action.state.into());
                    return self.reject(AnomalyCode::BadField, kind, value, Some(at), &event, io);
                }
                self.facts[at as usize].state = action.state;
                self.status(at, StatusCause::TradingAction, action.state, reason(&action.reason), event, io)
            }
            Message::RegSho(sho) => self.status(at, StatusCause::ShortSale, sho.action, reason(b""), event, io),
            Message::OperationalHalt(halt) => {
                let market = reason(&[halt.market_code]);
                self.status(at, StatusCause::OperationalHalt, halt.action, market, event, io)
            }
            Message::MwcbStatus(mwcb) => {
                self.status(at, StatusCause::CircuitBreaker, mwcb.breached_level, reason(b""), event, io)
            }
            Message::Noii(noii) => self.imbalance(noii, at, event, io),
            Message::LuldCollar(collar) => self.price_band(collar, at, event, io),
            _ => self.verbatim(message.as_bytes(), at, event, io),
        }
    }

    /// Ends an event about instrument `at`, or about the venue when that was never announced.
    pub(super) fn finish_for(&mut self, at: u32, event: &Event, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[at as usize];
        if facts.is_known() {
            let row = io.board.update(facts.row as usize);
            io.out.finish_with_row(event, row);
        } else {
            io.out.finish();
        }
        Fate::Applied
    }

    /// A status record with what the instrument's status is after it.
    fn status(
        &mut self,
        at: u32,
        cause: StatusCause,
        letter: u8,
        reason: [u8; 8],
        mut event: Event,
        io: &mut Io<'_>,
    ) -> Fate {
        let facts = &mut self.facts[at as usize];
        if !facts.is_known() {
            let status = phase_status(self.phase);
            io.out.market.put(event.record(kind::STATUS, status as u8, 0, status_body(cause, letter, reason)));
            return self.finish_for(at, &event, io);
        }
        facts.name(&mut event);
        let mut row = io.board.update(facts.row as usize);
        let status = match cause {
            StatusCause::TradingAction => set_status(facts, self.phase, &mut row),
            _ => status_of(facts.state, self.phase),
        };
        io.out.market.put(event.record(kind::STATUS, status as u8, 0, status_body(cause, letter, reason)));
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// `S`: the venue's phase, and with it the status of every instrument. Rows first, then the one record.
    fn system_event(&mut self, system: &SystemEvent, event: Event, lane: &mut LaneWriter) -> Fate {
        let mut io = self.begin(&event, lane);
        let letter = system.event_code;
        if !matches!(letter, b'O' | b'S' | b'Q' | b'M' | b'E' | b'C') {
            return self.reject(AnomalyCode::BadField, b'S'.into(), letter.into(), None, &event, &mut io);
        }
        self.phase = letter;
        let status = phase_status(letter);
        let body = status_body(StatusCause::SystemEvent, letter, reason(b""));
        io.out.market.put(event.record(kind::STATUS, status as u8, 0, body));
        self.tell_all(&event, &mut io, |facts, row| {
            set_status(facts, letter, row);
        });
        Fate::Applied
    }

    /// `I`.
    fn imbalance(&mut self, noii: &Noii, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[at as usize];
        facts.name(&mut event);
        let imbalance = Imbalance {
            paired: noii.paired_shares.get(),
            imbalance: noii.imbalance_shares.get(),
            reference_price: optional_price(&facts, noii.reference_price.get()),
            far_price: optional_price(&facts, noii.far_price.get()),
            near_price: optional_price(&facts, noii.near_price.get()),
            letters: [noii.imbalance_direction, noii.cross_type, noii.price_variation],
        };
        io.out.market_last_span(&event, kind::IMBALANCE, NO_SIDE, &imbalance_body(&imbalance));
        self.finish_for(at, &event, io)
    }

    /// `J`.
    fn price_band(&mut self, collar: &LuldCollar, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[at as usize];
        facts.name(&mut event);
        let prices = [collar.reference_price, collar.lower_price, collar.upper_price];
        let body = prices.map(|raw| optional_price(&facts, raw.get()) as u64);
        io.out.market.put(event.record(kind::PRICE_BAND, NO_SIDE, 0, body));
        self.finish_for(at, &event, io)
    }

    /// A message without a normalised form.
    pub(super) fn verbatim(&mut self, bytes: &[u8], at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        if self.facts[at as usize].is_known() {
            self.facts[at as usize].name(&mut event);
        }
        let mut words = [0; 1 + VENUE_MESSAGE_MAX / 8];
        let used = venue_message_body(bytes, &mut words);
        io.out.market_last_span(&event, kind::VENUE_MESSAGE, NO_SIDE, &words[..used]);
        self.finish_for(at, &event, io)
    }
}
