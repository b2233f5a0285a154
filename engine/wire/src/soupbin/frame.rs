//! Framing: a big-endian `u16` length, a type byte, a payload. The length counts the type byte but not itself.

use super::field::{Password, SEQUENCE_BYTES, SESSION_BYTES, SessionId, USERNAME_BYTES, Username, sequence_field};

/// Bytes of the length field.
pub const LENGTH_BYTES: usize = 2;
/// Bytes before the payload: length and type.
pub const HEADER_BYTES: usize = 3;
/// Largest payload: the length field's maximum less the type byte.
pub const PAYLOAD_MAX_BYTES: usize = u16::MAX as usize - 1;
/// Largest packet. A receive buffer must hold at least one.
pub const PACKET_MAX_BYTES: usize = HEADER_BYTES + PAYLOAD_MAX_BYTES;
/// A login request in all.
pub const LOGIN_REQUEST_BYTES: usize = 49;
/// A login acceptance in all.
pub const LOGIN_ACCEPTED_BYTES: usize = 33;
/// A login rejection in all.
pub const LOGIN_REJECTED_BYTES: usize = 4;

/// The packet types of the protocol.
pub mod kind {
    /// Both: free text, never acted on.
    pub const DEBUG: u8 = b'+';
    /// Client: who it is, and from which session and number it wants to hear.
    pub const LOGIN_REQUEST: u8 = b'L';
    /// Server: which session, and the number of the next sequenced packet.
    pub const LOGIN_ACCEPTED: u8 = b'A';
    /// Server: one letter says why not.
    pub const LOGIN_REJECTED: u8 = b'J';
    /// Server: the next message of the session.
    pub const SEQUENCED: u8 = b'S';
    /// Client, at some venues both: a message outside of the sequence.
    pub const UNSEQUENCED: u8 = b'U';
    /// Server: nothing to say for a second.
    pub const SERVER_HEARTBEAT: u8 = b'H';
    /// Client: nothing to say for a second.
    pub const CLIENT_HEARTBEAT: u8 = b'R';
    /// Server: no more messages in this session, ever.
    pub const END_OF_SESSION: u8 = b'Z';
    /// Client: close the connection.
    pub const LOGOUT_REQUEST: u8 = b'O';
}

/// [`kind::LOGIN_REJECTED`]: bad user or password, or not authorised.
pub const REJECT_NOT_AUTHORISED: u8 = b'A';
/// [`kind::LOGIN_REJECTED`]: the session asked for is invalid or not available.
pub const REJECT_NO_SESSION: u8 = b'S';

/// The server's heartbeat.
pub const SERVER_HEARTBEAT: [u8; HEADER_BYTES] = bare(kind::SERVER_HEARTBEAT);
/// The client's heartbeat.
pub const CLIENT_HEARTBEAT: [u8; HEADER_BYTES] = bare(kind::CLIENT_HEARTBEAT);
/// The end of a session.
pub const END_OF_SESSION: [u8; HEADER_BYTES] = bare(kind::END_OF_SESSION);
/// The client's wish to be disconnected.
pub const LOGOUT_REQUEST: [u8; HEADER_BYTES] = bare(kind::LOGOUT_REQUEST);

/// Why the bytes are no packets. The connection has lost its frame and must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A packet of length 0 has no type.
    #[error("packet length 0: the smallest legal length is 1, the type byte")]
    ZeroLength,
}

/// Why a packet cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// More payload than the length field can name.
    #[error("payload of {len} bytes exceeds {PAYLOAD_MAX_BYTES}")]
    TooLong {
        /// Bytes of the payload.
        len: usize,
    },
}

/// One whole packet at the start of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The type byte, see [`kind`]; any byte may come.
    pub kind: u8,
    /// What follows the type byte.
    pub payload: &'a [u8],
    /// Bytes of the buffer that the packet takes; the next packet begins there.
    pub consumed: usize,
}

/// The first packet of `bytes`; `None` while it is not whole.
///
/// # Errors
/// [`FrameError::ZeroLength`].
#[inline]
pub fn next_packet(bytes: &[u8]) -> Result<Option<Packet<'_>>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let len = u16::from_be_bytes(*length) as usize;
    if len == 0 {
        return Err(FrameError::ZeroLength);
    }
    let Some((kind, payload)) = rest.get(..len).and_then(<[u8]>::split_first) else {
        return Ok(None);
    };
    Ok(Some(Packet { kind: *kind, payload, consumed: LENGTH_BYTES + len }))
}

/// Appends one packet to `out`.
///
/// # Errors
/// [`EncodeError::TooLong`] over [`PAYLOAD_MAX_BYTES`]; `out` is then as it was.
#[inline]
pub fn append(out: &mut Vec<u8>, kind: u8, payload: &[u8]) -> Result<(), EncodeError> {
    let too_long = EncodeError::TooLong { len: payload.len() };
    let len = u16::try_from(payload.len() + 1).map_err(|_| too_long)?;
    let [high, low] = len.to_be_bytes();
    out.extend_from_slice(&[high, low, kind]);
    out.extend_from_slice(payload);
    Ok(())
}

/// A login request. A blank session asks for the one that is active now; sequence 0 for the message that comes next.
#[must_use]
pub fn login_request(
    username: &Username,
    password: &Password,
    session: &SessionId,
    sequence: u64,
) -> [u8; LOGIN_REQUEST_BYTES] {
    let mut packet = headed(kind::LOGIN_REQUEST);
    let (name, rest) = packet[HEADER_BYTES..].split_at_mut(USERNAME_BYTES);
    let (secret, rest) = rest.split_at_mut(super::field::PASSWORD_BYTES);
    let (wanted, number) = rest.split_at_mut(SESSION_BYTES);
    name.copy_from_slice(&username.padded_right());
    secret.copy_from_slice(&password.padded_right());
    wanted.copy_from_slice(&session.padded_right());
    number.copy_from_slice(&sequence_field(sequence));
    packet
}

/// A login acceptance: `sequence` is the number of the next sequenced packet on this connection.
#[must_use]
pub fn login_accepted(session: &SessionId, sequence: u64) -> [u8; LOGIN_ACCEPTED_BYTES] {
    let mut packet = headed(kind::LOGIN_ACCEPTED);
    let (name, number) = packet[HEADER_BYTES..].split_at_mut(SESSION_BYTES);
    name.copy_from_slice(&session.padded_left());
    number.copy_from_slice(&sequence_field(sequence));
    packet
}

/// A login rejection, see [`REJECT_NOT_AUTHORISED`] and [`REJECT_NO_SESSION`].
#[must_use]
pub const fn login_rejected(reason: u8) -> [u8; LOGIN_REJECTED_BYTES] {
    [0, 2, kind::LOGIN_REJECTED, reason]
}

/// The fields of a login acceptance; `None` when the payload has another length or the sequence is no number.
#[must_use]
pub fn parse_login_accepted(payload: &[u8]) -> Option<(SessionId, u64)> {
    let (session, number) = payload.split_first_chunk::<SESSION_BYTES>()?;
    let number: &[u8; SEQUENCE_BYTES] = number.try_into().ok()?;
    Some((SessionId::from_wire(session), super::field::parse_sequence(number)?))
}

/// A packet without payload.
const fn bare(kind: u8) -> [u8; HEADER_BYTES] {
    [0, 1, kind]
}

/// `N` bytes with length and type filled in.
fn headed<const N: usize>(kind: u8) -> [u8; N] {
    const { assert!(N >= HEADER_BYTES && N <= u8::MAX as usize) }
    let mut packet = [b' '; N];
    packet[0] = 0;
    packet[1] = (N - LENGTH_BYTES) as u8;
    packet[2] = kind;
    packet
}

#[cfg(test)]
mod tests;
