//! GLIMPSE: a snapshot over a SoupBinTCP session of its own, and the number from which the live feed goes on.
//!
//! The session carries the messages that rebuild the state (directory, trading states, an add for each live order), then
//! one message `G` that names the live feed's next number. Meanwhile the caller keeps the live feed back, see
//! [`Arbiter::hold`](crate::multicast::Arbiter::hold) and
//! [`release_from`](crate::multicast::Arbiter::release_from).
//!
//! Sources: GLIMPSE 5.0, Nasdaq; Japannext ITCH 1.6, whose `G` has a binary number.

pub mod client;
pub mod server;

use crate::soupbin::field::{SEQUENCE_BYTES, parse_sequence, sequence_field};

/// Type of the message that ends a snapshot.
pub const END: u8 = b'G';
/// Longest message that ends a snapshot.
pub const END_MAX_BYTES: usize = 1 + SEQUENCE_BYTES;

/// How the last message names the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndForm {
    /// 20 ASCII digits: Nasdaq, Borsa Istanbul.
    Text,
    /// 8 bytes, big-endian: Japannext.
    Binary,
}

/// Whether a message of a snapshot is its last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A message of the feed.
    Message,
    /// The snapshot is whole: the live feed goes on with message `next`.
    End {
        /// Its number, at least 1.
        next: u64,
    },
    /// A `G` that names no number. The snapshot is of no use.
    BadEnd,
}

/// Tells a snapshot's last message from the others. Text may be padded on either side.
#[must_use]
pub fn part(message: &[u8]) -> Part {
    let Some((&END, number)) = message.split_first() else { return Part::Message };
    let next = match number.len() {
        SEQUENCE_BYTES => number.first_chunk().and_then(parse_sequence),
        _ => number.try_into().ok().map(u64::from_be_bytes),
    };
    next.filter(|next| *next > 0).map_or(Part::BadEnd, |next| Part::End { next })
}

/// The message that ends a snapshot, appended to `out`.
pub fn append_end(out: &mut Vec<u8>, form: EndForm, next: u64) {
    out.push(END);
    match form {
        EndForm::Text => out.extend_from_slice(&sequence_field(next)),
        EndForm::Binary => out.extend_from_slice(&next.to_be_bytes()),
    }
}

#[cfg(test)]
mod tests;
