//! One message from the gateway, or the end of the connection.

use std::io::ErrorKind;
use std::time::Instant;

use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error as WsError, Message};

use super::dial::Socket;

/// Why a connection is over.
pub(crate) struct Fall {
    pub(crate) code: Option<u16>,
    pub(crate) reason: String,
}

impl Fall {
    pub(crate) fn because(reason: impl Into<String>) -> Fall {
        Fall { code: None, reason: reason.into() }
    }
}

/// The next text, until `until` at most.
pub(crate) fn receive(socket: &mut Socket, until: Instant) -> Result<Option<String>, Fall> {
    match read(socket, until)? {
        Some(Message::Text(text)) => Ok(Some(text.as_str().into())),
        Some(Message::Close(frame)) => Err(closed(socket, frame)),
        Some(Message::Binary(_)) => Err(Fall::because("a binary message: expected text")),
        _ => Ok(None),
    }
}

/// The next message, until `until` at most.
pub(crate) fn read(socket: &mut Socket, until: Instant) -> Result<Option<Message>, Fall> {
    socket.get_mut().set_deadline(until);
    match socket.read() {
        Ok(message) => Ok(Some(message)),
        Err(WsError::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => {
            // Whoever sends what cannot be accepted is told so, if it still listens.
            let code = match &error {
                WsError::Capacity(_) => Some(CloseCode::Size),
                WsError::Utf8(_) => Some(CloseCode::Invalid),
                WsError::Protocol(_) => Some(CloseCode::Protocol),
                _ => None,
            };
            if let Some(code) = code {
                let _ = socket.close(Some(CloseFrame { code, reason: "".into() }));
            }
            Err(broken(&error))
        }
    }
}

/// What an error means for the connection.
pub(crate) fn broken(error: &WsError) -> Fall {
    Fall::because(match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => "the connection ended".into(),
        other => other.to_string(),
    })
}

/// Answers a close frame and takes its reason.
pub(crate) fn closed(socket: &mut Socket, frame: Option<CloseFrame>) -> Fall {
    let _ = socket.flush();
    match frame {
        Some(frame) => Fall { code: Some(frame.code.into()), reason: frame.reason.as_str().into() },
        None => Fall::because("closed without a code"),
    }
}
