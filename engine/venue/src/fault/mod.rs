//! Scripted faults: what a venue may do wrong, on purpose, exactly once, so many times, or all the time.
//!
//! Text is `NAME` or `NAME:ARGUMENT,ARGUMENT`; `@` and `=` behind the name do as well as the colon. LINES is `a`, `b`,
//! `ab` (both, at the same places), `r` (answers of the re-request server) or any of these letters together. SEQ is the
//! number of a message in the order of the source, from 1.
//!
//! | SoupBinTCP | what happens |
//! |---|---|
//! | `cut:K` | the next accepted login gets exactly K bytes after the login acceptance, then the end of the stream |
//! | `rst:K` | the same, ended by a TCP reset; bytes that the client has not read yet may be lost |
//! | `cut-list:K,K,..` or `cut-list:FILE` | each accepted login uses up the next number; `rst-list` likewise |
//! | `cut-in:SEQ,K` | the first connection that comes there ends K bytes into the packet of message SEQ; `rst-in` by a reset |
//! | `rst-length:SEQ` | a reset between the two length bytes of the packet of message SEQ, once |
//! | `one-byte` | every write is one byte |
//! | `chunk:N` | every write is at most N bytes |
//! | `coalesce:N` | bytes are held back until there are N of them, for 50 ms at most |
//! | `refuse`, `refuse:TIMES` | connections are reset as soon as they are taken |
//! | `reject:A` or `reject:S`, `reject:A,TIMES` | logins are rejected with this letter, always or TIMES times |
//! | `no-login-answer`, `no-login-answer:TIMES` | login requests are ignored, always or TIMES times |
//! | `login-pieces`, `login-pieces:TIMES` | the acceptance comes in single bytes, 1 ms apart |
//! | `login-garbage`, `login-garbage:TIMES` | the answer to a login is 64 bytes of noise |
//! | `wrong-session`, `wrong-session:TIMES` | the acceptance names session `WRONG00001` |
//! | `skip:N`, `skip:N,TIMES` | the acceptance names a number N higher than it should, and data goes on from there |
//! | `rewind:N`, `rewind:N,TIMES` | the acceptance names a number N lower: N messages come a second time |
//! | `silence:N` | after message N nothing more is sent on that connection, no heartbeat either; happens once |
//! | `mute` | nothing is sent on any connection as long as it lasts |
//! | `garbage:SEQ`, `garbage:SEQ,BYTES` | noise in front of message SEQ, 64 bytes if not given, once |
//! | `zero-length:SEQ`, `huge-length:SEQ` | a packet of length 0, or of 65535 and an unknown type, there, once |
//! | `debug-flood:SEQ`, `debug-flood:SEQ,COUNT` | 50,000 or COUNT debug packets there, once; `unsequenced-flood` likewise |
//! | `unknown-packet:SEQ` | a packet of type `?` there, once |
//!
//! | MoldUDP64 | what happens |
//! |---|---|
//! | `drop:LINES,P%` or `drop:LINES,P%,SEED` | this share of the datagrams is lost, the same ones for the same seed |
//! | `drop:LINES,SEQ,SEQ-SEQ,..` | every datagram with one of these messages is lost |
//! | `dup:LINES,SEQ`, `dup:LINES,SEQ,COUNT` | behind SEQ the last 200 or COUNT messages are sent once more |
//! | `swap:LINES,EVERY`, `swap:LINES,EVERY,SPAN` | every EVERY-th datagram comes SPAN datagrams late, 1 if not given |
//! | `delay:LINES,MICROSECONDS` | the line is late by this; 0 ends it |
//! | `mute:LINES`, `mute:LINES,SEQ` | no data, no heartbeats, no answers, at once or from message SEQ on |
//! | `kill:LINES` | the same for ever |
//! | `stray:LINES,EVERY` | before every EVERY-th datagram one of session `STRAY00001` with the same number |
//! | `noise:LINES,EVERY` | before every EVERY-th datagram one whose bytes are no MoldUDP64 |
//! | `off-range:N`, `off-range:N,TIMES` | answers to re-requests carry numbers N higher than the ones asked for |
//!
//! | the messages themselves | what happens |
//! |---|---|
//! | `malformed:EVERY` | behind every EVERY-th message one that is cut to half, in a right frame, with a number of its own |
//! | `unknown:EVERY` | the same with a message of type `~` |
//! | `clock:SEQ,MILLISECONDS` | from message SEQ on all time stamps are off by this, which may be negative |
//! | `burst:SEQ,COUNT` | COUNT messages from SEQ on come at full speed |
//! | `new-session:SEQ,NAME`, `new-session:SEQ,NAME,end` | from message SEQ on the session is another one, numbered from 1; with `end` the old one is ended in good order |
//!
//! `mute` without lines mutes SoupBinTCP. All faults of one kind are cleared together, by their name.

mod flow;
mod lines;
mod plan;
mod tcp;
mod words;

use std::path::PathBuf;
use std::str::FromStr;

pub(crate) use flow::Clock;
pub use flow::{FlowFault, FlowPlan};
pub use lines::{Answer, Fate, LineFault, LinePlan, LineSet, Losses, MAX_LINES};
pub use plan::{Cut, LoginFate, Piece, Plan, Script};
pub use tcp::{Acceptance, Inserted, MAX_CUTS, TcpFault};

use self::words::Words;

/// One fault as it stands on the command line. See the module's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Of a SoupBinTCP endpoint.
    Tcp(TcpFault),
    /// Of the lines and the re-request server of MoldUDP64.
    Line(LineFault),
    /// Of the messages, however they are carried.
    Flow(FlowFault),
}

/// A fault that could not be understood: what was seen and what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// No fault has this form.
    #[error(
        "unknown fault {0:?}; use cut, rst, cut-list, rst-list, cut-in, rst-in, rst-length, one-byte, chunk, coalesce, \
         refuse, reject, no-login-answer, login-pieces, login-garbage, wrong-session, skip, rewind, silence, mute, \
         garbage, zero-length, huge-length, debug-flood, unsequenced-flood, unknown-packet; for MoldUDP64 drop, dup, \
         swap, delay, mute, kill, stray, noise, off-range; for all malformed, unknown, clock, burst, new-session; \
         arguments as in NAME:ARGUMENT,ARGUMENT"
    )]
    Unknown(String),
    /// An argument is missing, or not of its kind, or out of its range.
    #[error("fault {fault:?}: {seen:?} is no {want}")]
    Argument {
        /// The fault as given.
        fault: String,
        /// The part that should be something else.
        seen: String,
        /// What is wanted there.
        want: &'static str,
    },
    /// A list file cannot be read.
    #[error(
        "fault {fault:?}: cannot read {path}: {cause}; give numbers with commas between them, or a file of numbers"
    )]
    ListFile {
        /// The fault as given.
        fault: String,
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// The feed has no place where this could happen.
    #[error("fault {fault} is not for {feed}; {hint}")]
    Place {
        /// The fault's name.
        fault: &'static str,
        /// What the feed is.
        feed: &'static str,
        /// What would take it.
        hint: &'static str,
    },
}

impl FaultError {
    /// A fault of the messages, when they are served from the file that they are in.
    pub(crate) fn file_in_place(fault: &'static str) -> Self {
        let hint = "give any such fault at the start, so that the file is copied";
        Self::Place { fault, feed: "a file that is served as it lies", hint }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, mut words) = Words::of(text);
        let fault = match name {
            // Both transports can be mute; only one has lines.
            "mute" if words.is_empty() => Self::Tcp(TcpFault::Mute),
            name => {
                if let Some(fault) = tcp::parse(name, &mut words)? {
                    Self::Tcp(fault)
                } else if let Some(fault) = lines::parse(name, &mut words)? {
                    Self::Line(fault)
                } else if let Some(fault) = flow::parse(name, &mut words)? {
                    Self::Flow(fault)
                } else {
                    return Err(FaultError::Unknown(text.into()));
                }
            }
        };
        words.end().map(|()| fault)
    }
}

impl Fault {
    /// The name that clears it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tcp(fault) => fault.name(),
            Self::Line(fault) => fault.name(),
            Self::Flow(fault) => fault.name(),
        }
    }
}

/// Times that stand for always.
pub const ALWAYS: u64 = u64::MAX;

#[cfg(test)]
mod tests;
