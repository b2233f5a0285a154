//! Where a feed's messages come from, and when they begin and end.

use std::path::{Path, PathBuf};

use wire::dialect::{DSE, Dialect, NASDAQ_50};

use crate::dse::{Channel, DseConfig, DseMarket};
use crate::fault::Clock;
use crate::log::{Cursor, LogError, MessageLog};
use crate::market::{ConfigError, Market, MarketConfig, Profile};
use crate::pace::time_of_day_ns;

/// Where the messages come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A file of a `u16` big-endian length and the message, repeated. A first message `T` of 5 bytes says that stamps are
    /// X-stream's seconds and nanoseconds; otherwise they are Nasdaq's six bytes.
    File(PathBuf),
    /// A synthetic Nasdaq-like market.
    Market(MarketConfig),
    /// One channel of a synthetic DSE market.
    Dse(DseConfig, Channel),
}

/// When the first message is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first accepted login.
    Login,
    /// At once.
    Now,
    /// When told so.
    Command,
}

/// What clients get after the last message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// The end of the session, and then the end of the connection.
    EndSession,
    /// Heartbeats.
    Hold,
}

impl Source {
    /// Checks the settings of a market.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::File(_) => Ok(()),
            Self::Market(market) => market.validate(),
            Self::Dse(market, _) => market.validate(),
        }
    }

    /// Whether the market can start at the time of day that it is.
    pub(crate) fn can_be_live(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Market(market) => market.profile == Profile::Endless,
            Self::Dse(market, _) => market.profile == Profile::Endless,
        }
    }

    /// The dialect that its messages are of; a file's by its clock.
    pub(crate) fn dialect(&self) -> Result<&'static Dialect, LogError> {
        Ok(match self {
            Self::Market(_) => &NASDAQ_50,
            Self::Dse(..) => &DSE,
            Self::File(path) => match Stamps::of(&MessageLog::open(path)?)?.clock {
                Clock::Nanoseconds => &NASDAQ_50,
                Clock::Seconds => &DSE,
            },
        })
    }

    /// The log behind a session: a file is its own, unless its messages are to be changed on their way.
    pub(crate) fn open_log(&self, copy: bool, directory: &Path, max_bytes: u64) -> Result<MessageLog, LogError> {
        match self {
            Self::File(path) if !copy => MessageLog::open(path),
            _ => MessageLog::create(directory, max_bytes),
        }
    }
}

/// A source at work.
#[derive(Debug)]
pub(crate) enum Generator {
    Market(Box<Market>),
    Dse(Box<DseMarket>),
    File(Box<Player>),
}

impl Generator {
    /// `live_offset` is the venue's offset from UTC in seconds, to start at the time of day that it is.
    pub(crate) fn new(source: &Source, live_offset: Option<i64>) -> Result<Self, LogError> {
        const CHECKED: &str = "the config was checked at start-up";
        Ok(match source {
            Source::File(path) => Self::File(Box::new(Player::new(MessageLog::open(path)?)?)),
            Source::Market(config) => {
                let start_ns = live_offset.map_or(config.start_ns, time_of_day_ns);
                Self::Market(Box::new(Market::new(MarketConfig { start_ns, ..config.clone() }).expect(CHECKED)))
            }
            Source::Dse(config, channel) => {
                let start_ns = live_offset.map_or(config.start_ns, time_of_day_ns);
                let config = DseConfig { start_ns, ..config.clone() };
                Self::Dse(Box::new(DseMarket::new(config, *channel).expect(CHECKED)))
            }
        })
    }

    /// Appends the next message and gives the time it is due; none at the end.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<u64>, LogError> {
        match self {
            Self::Market(market) => Ok(market.next(out)),
            Self::Dse(market) => Ok(market.next(out)),
            Self::File(player) => player.next(out),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        match self {
            Self::Market(_) => Clock::Nanoseconds,
            Self::Dse(_) => Clock::Seconds,
            Self::File(player) => player.stamps.clock,
        }
    }
}

/// A file's messages with their times.
#[derive(Debug)]
pub(crate) struct Player {
    log: MessageLog,
    cursor: Cursor,
    stamps: Stamps,
}

impl Player {
    fn new(log: MessageLog) -> Result<Self, LogError> {
        let stamps = Stamps::of(&log)?;
        Ok(Self { log, cursor: Cursor::new(1), stamps })
    }

    fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<u64>, LogError> {
        let (until, before) = (self.log.end().min(self.cursor.next() + 1), self.cursor.next());
        let stamps = &mut self.stamps;
        let mut due_ns = 0;
        self.log.read(&mut self.cursor, until, |message| {
            out.extend_from_slice(message);
            due_ns = stamps.due_ns(message);
            false
        })?;
        Ok((self.cursor.next() > before).then_some(due_ns))
    }
}

/// Reads the time of one message after the other; never decreases.
#[derive(Debug)]
pub(crate) struct Stamps {
    pub(crate) clock: Clock,
    second_ns: u64,
    last_ns: u64,
}

impl Stamps {
    /// By the first message.
    pub(crate) fn of(log: &MessageLog) -> Result<Self, LogError> {
        let mut clock = Clock::Nanoseconds;
        log.read(&mut Cursor::new(1), 2, |message| {
            if matches!(message, [b'T', _, _, _, _]) {
                clock = Clock::Seconds;
            }
            false
        })?;
        Ok(Self { clock, second_ns: 0, last_ns: 0 })
    }

    /// When this message is due, in nanoseconds since the venue's midnight; a message without a stamp with the one before.
    pub(crate) fn due_ns(&mut self, message: &[u8]) -> u64 {
        let stamp_ns = match (self.clock, message) {
            (Clock::Nanoseconds, _) => message.get(5..11).map(big_endian),
            (Clock::Seconds, [b'T', second @ ..]) => {
                self.second_ns = big_endian(&second[..second.len().min(4)]) * 1_000_000_000;
                Some(self.second_ns)
            }
            (Clock::Seconds, _) => message.get(1..5).map(|ns| self.second_ns + big_endian(ns)),
        };
        self.last_ns = self.last_ns.max(stamp_ns.unwrap_or(0));
        self.last_ns
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_by_their_clock() {
        let nasdaq: &[(&[u8], u64)] = &[
            (b"S\0\0\0\0\0\0\0\0\x01\x02O", 0x102),
            (b"S\0\0\0\0\0\0\0\0\0\x01O", 0x102),
            (b"S\0\0\0\0\0\0\0\0\x01", 0x102),
            (b"", 0x102),
            (b"S\0\0\0\0\xff\xff\xff\xff\xff\xff", (1 << 48) - 1),
        ];
        let xstream: &[(&[u8], u64)] = &[
            (b"T\0\0\0\x02", 2_000_000_000),
            (b"S\0\0\0\x07", 2_000_000_007),
            (b"T\0\0\0\x03", 3_000_000_000),
            (b"S\0\0\0\x01", 3_000_000_001),
            (b"T", 3_000_000_001),
        ];
        for (clock, table) in [(Clock::Nanoseconds, nasdaq), (Clock::Seconds, xstream)] {
            let mut stamps = Stamps { clock, second_ns: 0, last_ns: 0 };
            for (message, want) in table {
                assert_eq!(stamps.due_ns(message), *want, "case: {clock:?} {message:?}");
            }
        }
    }
}
