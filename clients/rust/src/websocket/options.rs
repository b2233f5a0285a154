//! Limits of a client.

use std::time::Duration;

/// Limits of a client. Every default is safe to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Longest message that is accepted, bytes. A longer one ends the connection.
    pub message_bytes: usize,
    /// Topics that may be subscribed at once.
    pub subscriptions: usize,
    /// Commands that may wait to be sent: a gateway takes only so many a second.
    pub commands_queued: usize,
    /// How long an attempt to connect may take, name look-up and handshake included; and then how long the gateway may
    /// take to say `hello`.
    pub connect_timeout: Duration,
    /// Longest silence of the gateway. After half of it the client pings; after all of it the connection counts as lost.
    pub read_timeout: Duration,
    /// How long the gateway may take to accept a command.
    pub write_timeout: Duration,
    /// Delay before the first attempt to connect again; doubled from attempt to attempt, each cut by up to half at
    /// random.
    pub retry_min: Duration,
    /// Longest such delay. A connection that stood for as long begins again at the shortest.
    pub retry_max: Duration,
    /// How often refused topics that may yet appear are asked for again: see [`super::Refused::will_retry`].
    pub refused_retry: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            message_bytes: 1024 * 1024,
            subscriptions: 1000,
            commands_queued: 4096,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(5),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
            refused_retry: Duration::from_secs(1),
        }
    }
}
