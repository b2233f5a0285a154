//! What a client holds: the newest quote, window and status of every topic, and whether they are whole.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use ticklane_client::websocket::{Client, Levels, Options, view::View};
//! # fn main() -> Result<(), ticklane_client::websocket::Error> {
//! # let mut client = Client::connect("ws://127.0.0.1:8080/ws/v1", Options::default())?;
//! let mut view = View::default();
//! while let Some(event) = client.next_within(Duration::from_secs(1))? {
//!     view.apply(&event);
//!     if let Some(window) = view.depth("AAPL", Levels::Ten).and_then(|held| held.whole()) {
//!         println!("{:?}", window.bids().first());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;

use shm_abi::record::Side;

use super::data::{Change, Level, LevelChange, Quote, Snapshot, State, Status, Update};
use super::event::{Event, Gap};
use super::topic::{Channel, Levels, Topic};

/// Whether a held value is the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As far as this client can know.
    Whole,
    /// Something since then is missing; the next snapshot mends it.
    Stale(Why),
}

/// Why a held value is not the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is no connection, or none has brought it anew.
    Disconnected,
    /// A loss that the gateway declared.
    Gap,
    /// A loss that nobody declared.
    Undeclared,
    /// The lane's sequence began anew.
    Restart,
    /// Changes that the window cannot have had.
    Inconsistent,
}

/// A value, and how far it can be trusted. What the *venue* never delivered is not said here: that is
/// [`Event::Gap`], and the quality in the instrument's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<T> {
    /// The newest that is known.
    pub value: T,
    /// Number of the event that made it so.
    pub seq: u64,
    /// Sequence that `seq` belongs to.
    pub stream: u32,
    /// Whether it is the present one.
    pub standing: Standing,
}

impl<T> Held<T> {
    /// The value, if it is the present one.
    pub fn whole(&self) -> Option<&T> {
        (self.standing == Standing::Whole).then_some(&self.value)
    }
}

/// The best levels of both sides of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    levels: Levels,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl Window {
    /// A window as a snapshot gives it. `None` for one that no book has: too many levels, out of order, or without
    /// quantity.
    pub fn new(levels: Levels, bids: &[Level], asks: &[Level]) -> Option<Window> {
        let window = Window { levels, bids: bids.into(), asks: asks.into() };
        window.is_sound().then_some(window)
    }

    /// Buyers, highest price first.
    pub fn bids(&self) -> &[Level] {
        &self.bids
    }

    /// Sellers, lowest price first.
    pub fn asks(&self) -> &[Level] {
        &self.asks
    }

    /// Takes the changes of one update. False when they do not fit: it is no window any more then.
    pub fn apply(&mut self, changes: &[LevelChange]) -> bool {
        changes.iter().all(|change| self.change(change)) && self.is_sound()
    }

    fn change(&mut self, LevelChange { side, level }: &LevelChange) -> bool {
        let levels = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        let place = levels.binary_search_by(|held| match side {
            Side::Bid => level.price.cmp(&held.price),
            Side::Ask => held.price.cmp(&level.price),
        });
        match (place, level.quantity.is_zero()) {
            (Ok(at), false) => levels[at] = *level,
            (Ok(at), true) => drop(levels.remove(at)),
            (Err(at), false) => levels.insert(at, *level),
            // It was not among the best: nobody would have to say that it is not any more.
            (Err(_), true) => return false,
        }
        true
    }

    fn is_sound(&self) -> bool {
        let size = |side: &[Level]| side.len() <= self.levels.count();
        let open = |side: &[Level]| side.iter().all(|level| !level.quantity.is_zero());
        let bids = self.bids.windows(2).all(|pair| pair[0].price > pair[1].price);
        let asks = self.asks.windows(2).all(|pair| pair[0].price < pair[1].price);
        bids && asks && [&self.bids, &self.asks].into_iter().all(|side| size(side) && open(side))
    }
}

/// What a client holds of all its topics. Give it every event in order.
#[derive(Debug, Default)]
pub struct View {
    quotes: HashMap<String, Held<Quote>>,
    depth: HashMap<(String, Levels), Held<Window>>,
    statuses: HashMap<String, Held<Status>>,
}

impl View {
    /// The quote of an instrument, once a snapshot has come.
    pub fn quote(&self, symbol: &str) -> Option<&Held<Quote>> {
        self.quotes.get(symbol)
    }

    /// The window of an instrument, once a snapshot has come.
    pub fn depth(&self, symbol: &str, levels: Levels) -> Option<&Held<Window>> {
        self.depth.get(&(symbol.into(), levels))
    }

    /// The status of an instrument, once a snapshot has come.
    pub fn status(&self, symbol: &str) -> Option<&Held<Status>> {
        self.statuses.get(symbol)
    }

    /// Forgets a topic: after it was unsubscribed.
    pub fn forget(&mut self, topic: &Topic) {
        match topic.channel {
            Channel::Quotes => drop(self.quotes.remove(&topic.symbol)),
            Channel::Depth(levels) => drop(self.depth.remove(&(topic.symbol.clone(), levels))),
            Channel::Status => drop(self.statuses.remove(&topic.symbol)),
            Channel::Trades => {}
        }
    }

    /// Takes one event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Snapshot(snapshot) => self.replace(snapshot),
            Event::Update(update) => self.change(update),
            Event::Undeclared { topic, .. } => self.doubt(topic, Why::Undeclared),
            Event::Gap(Gap::Slow { topic, .. } | Gap::Resume { topic, .. }) => self.doubt(topic, Why::Gap),
            Event::Gap(Gap::Lapped { stream, .. }) => self.doubt_all(Why::Gap, |of| of == *stream),
            Event::Gap(Gap::Other { .. }) => self.doubt_all(Why::Gap, |_| true),
            Event::Restart(restart) if !restart.is_new_session() => {
                self.doubt_all(Why::Restart, |of| of == restart.old_stream);
            }
            Event::Disconnected { .. } => self.doubt_all(Why::Disconnected, |_| true),
            _ => {}
        }
    }

    fn replace(&mut self, Snapshot { topic, stream, seq, state, .. }: &Snapshot) {
        let symbol = || topic.symbol.clone();
        match (topic.channel, state) {
            (Channel::Quotes, State::Quote(quote)) => {
                self.quotes.insert(symbol(), held((**quote).clone(), *seq, *stream));
            }
            (Channel::Depth(levels), State::Depth { bids, asks }) => match Window::new(levels, bids, asks) {
                Some(window) => drop(self.depth.insert((symbol(), levels), held(window, *seq, *stream))),
                None => self.doubt(topic, Why::Inconsistent),
            },
            (Channel::Status, State::Status(status)) => {
                self.statuses.insert(symbol(), held(*status, *seq, *stream));
            }
            // Trades are events, not a state.
            _ => {}
        }
    }

    fn change(&mut self, Update { topic, stream, seq, change, .. }: &Update) {
        let symbol = || topic.symbol.clone();
        match (topic.channel, change) {
            // Each of these is the whole state, so it also mends what was missing.
            (Channel::Quotes, Change::Quote(quote)) => {
                self.quotes.insert(symbol(), held((**quote).clone(), *seq, *stream));
            }
            (Channel::Status, Change::Status(status)) => {
                self.statuses.insert(symbol(), held(*status, *seq, *stream));
            }
            (Channel::Depth(levels), Change::Depth(changes)) => {
                let Some(held) = self.depth.get_mut(&(symbol(), levels)) else { return };
                if held.standing != Standing::Whole {
                    return;
                }
                if !held.value.apply(changes) {
                    held.standing = Standing::Stale(Why::Inconsistent);
                }
                (held.seq, held.stream) = (*seq, *stream);
            }
            _ => {}
        }
    }

    fn doubt(&mut self, topic: &Topic, why: Why) {
        let standing = match topic.channel {
            Channel::Quotes => self.quotes.get_mut(&topic.symbol).map(|held| &mut held.standing),
            Channel::Depth(levels) => {
                self.depth.get_mut(&(topic.symbol.clone(), levels)).map(|held| &mut held.standing)
            }
            Channel::Status => self.statuses.get_mut(&topic.symbol).map(|held| &mut held.standing),
            Channel::Trades => None,
        };
        if let Some(standing) = standing {
            *standing = Standing::Stale(why);
        }
    }

    fn doubt_all(&mut self, why: Why, of_stream: impl Fn(u32) -> bool) {
        let quotes = self.quotes.values_mut().map(|held| (held.stream, &mut held.standing));
        let depth = self.depth.values_mut().map(|held| (held.stream, &mut held.standing));
        let statuses = self.statuses.values_mut().map(|held| (held.stream, &mut held.standing));
        for (stream, standing) in quotes.chain(depth).chain(statuses) {
            if of_stream(stream) {
                *standing = Standing::Stale(why);
            }
        }
    }
}

fn held<T>(value: T, seq: u64, stream: u32) -> Held<T> {
    Held { value, seq, stream, standing: Standing::Whole }
}

#[cfg(test)]
mod tests;
