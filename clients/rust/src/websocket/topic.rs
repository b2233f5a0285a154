//! What can be subscribed.

use std::fmt;

/// How many levels per side a depth topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Levels {
    /// 5.
    Five,
    /// 10.
    #[default]
    Ten,
    /// 20.
    Twenty,
}

impl Levels {
    /// The levels whose number this is.
    pub const fn from_count(count: u64) -> Option<Levels> {
        match count {
            5 => Some(Levels::Five),
            10 => Some(Levels::Ten),
            20 => Some(Levels::Twenty),
            _ => None,
        }
    }

    /// Per side.
    pub const fn count(self) -> usize {
        match self {
            Levels::Five => 5,
            Levels::Ten => 10,
            Levels::Twenty => 20,
        }
    }
}

/// A kind of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Best bid and ask, last trade, statistics of the day.
    Quotes,
    /// The best levels of each side.
    Depth(Levels),
    /// Every trade.
    Trades,
    /// Trading status and quality of the data.
    Status,
}

impl Channel {
    /// As the wire names it.
    pub const fn name(self) -> &'static str {
        match self {
            Channel::Quotes => "quotes",
            Channel::Depth(_) => "depth",
            Channel::Trades => "trades",
            Channel::Status => "status",
        }
    }

    /// The channel that a frame names, with the levels that it has if it is of depth.
    pub(crate) fn from_wire(name: &str, levels: Option<u64>) -> Option<Channel> {
        match name {
            "quotes" => Some(Channel::Quotes),
            "depth" => levels.and_then(Levels::from_count).map(Channel::Depth),
            "trades" => Some(Channel::Trades),
            "status" => Some(Channel::Status),
            _ => None,
        }
    }

    /// Depth only.
    pub(crate) const fn levels(self) -> Option<usize> {
        match self {
            Channel::Depth(levels) => Some(levels.count()),
            _ => None,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.levels() {
            Some(levels) => write!(f, "{}{levels}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

/// One thing that can be subscribed: a channel of an instrument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    /// Kind of data.
    pub channel: Channel,
    /// The instrument, as it was subscribed.
    pub symbol: String,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.channel, self.symbol)
    }
}

/// A channel of some instruments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Kind of data.
    pub channel: Channel,
    /// `SYMBOL` or, where two venues have it, `VENUE:SYMBOL`.
    pub symbols: Vec<String>,
}

impl Subscription {
    /// The channel of these instruments.
    pub fn new<S: Into<String>>(channel: Channel, symbols: impl IntoIterator<Item = S>) -> Subscription {
        Subscription { channel, symbols: symbols.into_iter().map(Into::into).collect() }
    }
}
