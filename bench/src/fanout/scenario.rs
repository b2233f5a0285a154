//! What is offered to whom: the table of scenarios, and the servers that stand against each other.

use clap::ValueEnum;

use super::gateway::Wait;
use super::peers::Peer;
use super::subscriber::{Pace, Topics};

/// A scenario's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// One topic, 100 subscribers, 1000 updates a second.
    #[value(name = "100x1000")]
    Few,
    /// One topic, 1000 subscribers, 100 updates a second.
    #[value(name = "1000x100")]
    Many,
    /// One topic, 1000 subscribers, 200 updates a second: near what one core can send.
    #[value(name = "1000x200")]
    Dense,
    /// 500 topics, 1000 subscribers of 20 each, 50,000 deliveries a second.
    Topics,
    /// One topic, 1000 subscribers, 1000 updates a second: some times more than one core can send one by one.
    Overload,
    /// One subscriber, 50 updates a second: everybody sleeps in between.
    Idle,
    /// 1000 subscribers, 100 updates a second, without and with one more that has stopped reading.
    Stopped,
    /// 100 subscribers, 100 updates a second, and one more that reads a seventh of that.
    Slow,
}

/// One scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Its name.
    pub name: Name,
    /// Subscribers that read promptly.
    pub subscribers: u32,
    /// Topics of the lane.
    pub topics: u32,
    /// Topics of each subscriber.
    pub topics_each: u32,
    /// Updates of all topics in a second.
    pub per_second: u64,
}

impl Scenario {
    /// The scenario of that name, with at most `cap` subscribers.
    pub fn of(name: Name, cap: u32) -> Scenario {
        let (subscribers, topics, topics_each, per_second) = match name {
            Name::Few => (100, 1, 1, 1000),
            Name::Many | Name::Stopped => (1000, 1, 1, 100),
            Name::Dense => (1000, 1, 1, 200),
            // Each topic has 40 subscribers.
            Name::Topics => (1000, 500, 20, 1250),
            Name::Overload => (1000, 1, 1, 1000),
            Name::Idle => (1, 1, 1, 50),
            Name::Slow => (100, 1, 1, 100),
        };
        Scenario { name, subscribers: subscribers.min(cap), topics, topics_each, per_second }
    }

    /// For rows and progress.
    pub fn label(&self) -> String {
        self.name.to_possible_value().expect("no scenario is skipped").get_name().to_owned()
    }

    /// Topics of subscriber `index`: all topics have the same number of subscribers.
    pub fn topics_of(&self, index: u32) -> Topics {
        let first = (u64::from(index) * u64::from(self.topics_each) % u64::from(self.topics)) as u32;
        Topics { first, count: self.topics_each, of: self.topics }
    }

    /// The subscriber besides the prompt ones that some scenarios have.
    pub fn laggard(&self) -> Option<Pace> {
        match self.name {
            Name::Stopped => Some(Pace::Stopped),
            // 100 updates a second are about 55 KB.
            Name::Slow => Some(Pace::Slow(8_000)),
            _ => None,
        }
    }

    /// The servers that it makes sense for, ours first.
    pub fn servers(&self) -> &'static [Server] {
        match self.name {
            Name::Stopped => &[Server::Ours(Wait::Adaptive)],
            Name::Slow => &[Server::Ours(Wait::Adaptive), Server::Peer(Peer::Tungstenite)],
            // One send for each update of each subscriber cannot be had: the floor has nothing to say.
            Name::Overload => &[
                Server::Ours(Wait::Adaptive),
                Server::Ours(Wait::Spin),
                Server::Peer(Peer::Tungstenite),
                Server::Peer(Peer::Axum),
            ],
            _ => &[
                Server::Ours(Wait::Adaptive),
                Server::Ours(Wait::Spin),
                Server::Floor,
                Server::Peer(Peer::Tungstenite),
                Server::Peer(Peer::Axum),
            ],
        }
    }
}

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The gateway.
    Ours(Wait),
    /// A bare loop of sends.
    Floor,
    /// A crate.
    Peer(Peer),
}

impl Server {
    /// For rows and progress.
    pub fn label(self) -> &'static str {
        match self {
            Server::Ours(Wait::Adaptive) => "gateway, adaptive",
            Server::Ours(Wait::Spin) => "gateway, spinning",
            Server::Floor => "bare send loop",
            Server::Peer(Peer::Tungstenite) => "tokio-tungstenite",
            Server::Peer(Peer::Axum) => "axum",
        }
    }
}

/// Whom the gateway is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Against {
    /// The bare send loop.
    Floor,
    /// tokio-tungstenite.
    Tungstenite,
    /// axum.
    Axum,
}

impl Against {
    /// The server that it names.
    pub fn server(self) -> Server {
        match self {
            Against::Floor => Server::Floor,
            Against::Tungstenite => Server::Peer(Peer::Tungstenite),
            Against::Axum => Server::Peer(Peer::Axum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_the_same_number_of_subscribers() {
        let scenario = Scenario::of(Name::Topics, u32::MAX);
        let mut subscribers = vec![0; scenario.topics as usize];
        for index in 0..scenario.subscribers {
            scenario.topics_of(index).iter().for_each(|topic| subscribers[topic as usize] += 1);
        }
        assert_eq!(subscribers, [40; 500]);
        assert_eq!(scenario.per_second * 40, 50_000, "deliveries a second");
    }

    #[test]
    fn scenarios_can_be_made_smaller() {
        for name in Name::value_variants() {
            assert_eq!(Scenario::of(*name, 1).subscribers, 1, "{name:?}");
            let whole = Scenario::of(*name, u32::MAX);
            assert!(!whole.servers().is_empty() && whole.topics_each <= whole.topics, "{name:?}");
        }
    }
}
