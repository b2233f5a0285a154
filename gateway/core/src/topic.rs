//! What can be subscribed: a channel of an instrument.

/// Kind of topic. `Ord` so that an instrument's topics can stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Best bid and ask, last trade, the day's statistics.
    Quotes,
    /// The best levels of both sides.
    Depth(Levels),
    /// Every trade.
    Trades,
    /// Trading status and quality.
    Status,
}

/// Levels per side of a depth topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Levels {
    /// 5.
    Five = 5,
    /// 10.
    Ten = 10,
    /// 20.
    Twenty = 20,
}

impl Levels {
    /// As a number of levels.
    pub const fn count(self) -> usize {
        self as usize
    }
    /// The depth of that many levels: 5, 10 or 20.
    pub const fn from_count(count: u64) -> Option<Levels> {
        match count {
            5 => Some(Levels::Five),
            10 => Some(Levels::Ten),
            20 => Some(Levels::Twenty),
            _ => None,
        }
    }
}

impl Channel {
    /// Every channel, in the order of [`Channel::index`].
    pub const ALL: [Channel; 6] = [
        Channel::Quotes,
        Channel::Depth(Levels::Five),
        Channel::Depth(Levels::Ten),
        Channel::Depth(Levels::Twenty),
        Channel::Trades,
        Channel::Status,
    ];

    /// Place in tables of an instrument's topics, 0 to 5.
    pub const fn index(self) -> usize {
        match self {
            Channel::Quotes => 0,
            Channel::Depth(Levels::Five) => 1,
            Channel::Depth(Levels::Ten) => 2,
            Channel::Depth(Levels::Twenty) => 3,
            Channel::Trades => 4,
            Channel::Status => 5,
        }
    }

    /// Name, as dialects show it.
    pub const fn name(self) -> &'static str {
        match self {
            Channel::Quotes => "quotes",
            Channel::Depth(_) => "depth",
            Channel::Trades => "trades",
            Channel::Status => "status",
        }
    }

    /// Levels per side, of depth channels.
    pub const fn levels(self) -> Option<Levels> {
        match self {
            Channel::Depth(levels) => Some(levels),
            _ => None,
        }
    }

    /// Whether the newest event says everything, so that events between may be left out.
    pub const fn is_state(self) -> bool {
        !matches!(self, Channel::Trades)
    }
}
