//! What an exchange tells about itself.

use std::fmt;

use serde::Serialize;

/// Counters of an exchange at one moment. Its text is one line of `name=number` pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Sequenced messages handed to connections, repetitions after a resume among them.
    pub messages: u64,
    /// Bytes written to sockets.
    pub bytes: u64,
    /// Connections taken.
    pub connections: u64,
    /// Connections closed at once because of the client limit.
    pub refused: u64,
    /// Logins accepted.
    pub logins: u64,
    /// Logins rejected, by a fault or deservedly.
    pub rejected: u64,
    /// Accepted logins that asked for a number above 1.
    pub resumes: u64,
    /// Clients closed because their next message was no longer held.
    pub fell_behind: u64,
    /// Faults that have happened.
    pub faults: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, bytes, connections, refused, logins, rejected, resumes, fell_behind, faults } = self;
        write!(
            f,
            "messages={messages} bytes={bytes} connections={connections} refused={refused} logins={logins} \
             rejected={rejected} resumes={resumes} fell_behind={fell_behind} faults={faults}"
        )
    }
}
