//! Why a client could not do what it was asked.

use std::time::Duration;

/// Why a client could not do what it was asked. A connection that ends is no error but an event:
/// [`super::Event::Disconnected`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be one of a gateway.
    #[error("{url}: {why}: expected ws://host[:port]/ws/v1")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The first connection could not be made.
    #[error("{url}: {why} (tried for {waited:?}): is the gateway running?")]
    Connect {
        /// Where.
        url: String,
        /// What happened.
        why: String,
        /// How long it may have taken.
        waited: Duration,
    },
    /// The gateway speaks another protocol. The client goes on trying.
    #[error("the gateway speaks protocol {got}, this client {want}: use programs of one release")]
    Protocol {
        /// The gateway's.
        got: u64,
        /// This client's.
        want: u64,
    },
    /// A command has too many symbols, or none.
    #[error("{count} symbols: expected 1 to {max} in one command")]
    Symbols {
        /// How many.
        count: usize,
        /// Allowed.
        max: usize,
    },
    /// A symbol that no gateway can know.
    #[error("symbol `{symbol}`: expected 1 to {max} bytes")]
    Symbol {
        /// Its beginning.
        symbol: String,
        /// Allowed.
        max: usize,
    },
    /// More topics than [`super::Options::subscriptions`].
    #[error("{count} topics: at most {max}; raise Options::subscriptions, or unsubscribe some")]
    Subscriptions {
        /// How many they would be.
        count: usize,
        /// Allowed.
        max: usize,
    },
    /// More commands wait to be sent than [`super::Options::commands_queued`].
    #[error("{max} commands wait to be sent: call next_within, or raise Options::commands_queued")]
    Queue {
        /// Allowed.
        max: usize,
    },
    /// The command makes sense on a connection only, and there is none.
    #[error("there is no connection")]
    NotConnected,
}
