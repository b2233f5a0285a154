//! The request for lost messages: 20 bytes by unicast to a re-request server.

use super::{COUNT_END_OF_SESSION, HEADER_BYTES, header, parse_header};
use crate::multicast::{RecoveryRequest, SessionKey};

/// Asks a re-request server for messages. It answers with one ordinary packet, holding as many of them as fit, or not at
/// all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The session that they belong to.
    pub session: SessionKey,
    /// Number of the first message wanted.
    pub sequence: u64,
    /// Messages wanted, 1 to 65,534.
    pub count: u16,
}

/// Why 20 bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A request has exactly 20 bytes.
    #[error("a request has 20 bytes, not {have}")]
    Length {
        /// Bytes that came.
        have: usize,
    },
    /// 0 asks for nothing and 65,535 is reserved.
    #[error("a request for {count} messages")]
    Count {
        /// The count that came.
        count: u16,
    },
}

impl Request {
    /// Reads the payload of one datagram.
    ///
    /// # Errors
    /// [`RequestError`] when the length is not 20, or the count asks for nothing that can be sent.
    pub fn parse(datagram: &[u8]) -> Result<Self, RequestError> {
        match parse_header(datagram) {
            Some(_) | None if datagram.len() != HEADER_BYTES => Err(RequestError::Length { have: datagram.len() }),
            Some((_, _, count @ (0 | COUNT_END_OF_SESSION))) => Err(RequestError::Count { count }),
            Some((session, sequence, count)) => Ok(Self { session, sequence, count }),
            None => Err(RequestError::Length { have: datagram.len() }),
        }
    }

    /// The request as it goes to the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        header(self.session, self.sequence, self.count)
    }
}

impl From<&RecoveryRequest> for Request {
    fn from(wanted: &RecoveryRequest) -> Self {
        Self { session: wanted.session, sequence: wanted.first, count: wanted.count }
    }
}
