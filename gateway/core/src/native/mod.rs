//! The native dialect: one JSON object a message, as `gateway/PROTOCOL.md` describes it. And the JSON objects that the
//! REST answers share with it, so that memory, WebSocket and REST tell a quote in the same digits.
//!
//! | module | job |
//! |---|---|
//! | `decode` | commands, strictly: what is not understood is refused by name, not passed over |
//! | `encode` | data frames: bytes straight into the caller's buffer |
//! | `reply` | frames that answer a command, or tell of a lane |
//! | `objects` | quotes, levels, trades, status and stamps as JSON |
//! | `text` | JSON texts and numbers |

mod decode;
mod encode;
mod objects;
mod reply;
mod text;

pub use objects::{push_best, push_levels, push_quote, push_stamps, push_status, push_trade, push_trade_fields};
pub use text::push_string;

use crate::dialect::{Dialect, Outgoing, Refusal, Request};
use crate::limits::Limits;

/// Version of the protocol, as `hello` tells it.
pub const PROTOCOL_VERSION: u64 = 1;
/// Most bytes of a request id that is a text.
pub const ID_BYTES: usize = 64;
/// Request ids that are numbers stay below this, so that a double holds them exactly.
pub const ID_LIMIT: u64 = 1 << 53;
/// Most bytes of a symbol of a command: venue, colon, symbol, as wide as the directory's.
pub const SYMBOL_BYTES: usize = 8 + 1 + 32;
/// Most bytes of a cursor.
pub const CURSOR_BYTES: usize = 128;
/// Bytes to which a refusal cuts what it repeats.
pub const VALUE_BYTES: usize = 64;

/// The native dialect.
#[derive(Debug, Clone)]
pub struct Native {
    /// Program and version, as `hello` tells them.
    server: String,
    /// Symbols of one command.
    symbols: usize,
}

impl Native {
    /// The dialect of a server that calls itself `server`. Of the limits it takes those of one command.
    pub fn new(server: impl Into<String>, limits: &Limits) -> Native {
        Native { server: server.into(), symbols: limits.symbols as usize }
    }
}

impl Dialect for Native {
    fn decode(&self, text: &str) -> Result<Request, Refusal> {
        decode::decode(text, self.symbols)
    }

    #[inline]
    fn encode(&self, outgoing: &Outgoing<'_>, out: &mut Vec<u8>) {
        match outgoing {
            Outgoing::Update { subject, place, prev, stamps, merged, delta } => {
                encode::push_update(out, subject, place, *prev, stamps, merged.as_ref(), delta);
            }
            Outgoing::Snapshot { subject, place, stamps, merged, state } => {
                encode::push_snapshot(out, subject, place, stamps, merged.as_ref(), state);
            }
            Outgoing::TopicGap { subject, stream, merged, prev } => {
                encode::push_topic_gap(out, subject, *stream, merged, *prev);
            }
            Outgoing::ResumeGap { subject, stream, reason, cursor } => {
                encode::push_resume_gap(out, subject, *stream, *reason, cursor);
            }
            Outgoing::ReplayGap { subject, stream, prev, first, last } => {
                encode::push_replay_gap(out, subject, *stream, *prev, (*first, *last));
            }
            Outgoing::LaneGap { place, reason, first, last } => {
                encode::push_lane_gap(out, place, *reason, *first, *last);
            }
            other => reply::push_reply(out, &self.server, other),
        }
    }
}
