//! WebSocket: the handshake's routes, and what clients send.

pub(crate) mod connection;
pub(crate) mod echo;
pub(crate) mod handshake;
pub(crate) mod linger;
pub(crate) mod origin;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, HeaderName, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use self::handshake::{Accepted, Kind, Refused, VERSION, VERSION_SPOKEN};
use self::origin::Origin;
use crate::http::seats::Seat;
use crate::report::Report;
use crate::rest::error::{ApiError, ErrorCode};
use crate::shard::inbox::{Inbox, Speech, Upgraded};

const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// What a handshake needs.
#[derive(Debug, Clone)]
pub(crate) struct Handshakes {
    /// The shard on whose thread it happens.
    pub(crate) inbox: Inbox,
    /// Counters.
    pub(crate) report: Arc<Report>,
    /// Whose pages may open a WebSocket, besides this host's.
    pub(crate) origins: Arc<[Origin]>,
}

/// The routes: `/ws/v1`, and `/echo` if it is wanted.
pub(crate) fn router(handshakes: Handshakes, echo: bool) -> Router {
    let native = any(|State(handshakes): State<Handshakes>, request| async move {
        shake_hands(&handshakes, Speech::Native, request)
    });
    let router = Router::new().route("/ws/v1", native);
    let router = if echo {
        let mirror = any(|State(handshakes): State<Handshakes>, request| async move {
            shake_hands(&handshakes, Speech::Echo, request)
        });
        router.route("/echo", mirror)
    } else {
        router
    };
    router.with_state(handshakes)
}

/// Answers a handshake; if it is good, the socket goes to the shard once the answer is out.
fn shake_hands(handshakes: &Handshakes, speech: Speech, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let accepted = match handshake::judge(&parts, &handshakes.origins) {
        Ok(accepted) => accepted,
        Err(refused) => {
            handshakes.report.door.handshake_refusals.fetch_add(1, Relaxed);
            return refusal(&refused);
        }
    };
    let (Some(upgrade), Some(seat)) = (parts.extensions.remove::<OnUpgrade>(), parts.extensions.remove::<Seat>())
    else {
        // Only a server that is not ours gives neither.
        return ApiError::new(ErrorCode::Unavailable, "this connection cannot be upgraded").into_response();
    };
    handshakes.report.door.handshakes.fetch_add(1, Relaxed);
    let Accepted { accept, slow } = accepted;
    let inbox = handshakes.inbox.clone();
    tokio::spawn(async move {
        // An error here is a client that went away before it was answered.
        if let Ok((stream, early)) = take_socket(upgrade).await {
            inbox.admit(Upgraded { stream, early, slow, speech, seat });
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(ACCEPT, HeaderValue::from_str(&accept).expect("base64 is visible ASCII"));
    response
}

/// The socket itself, away from hyper and tokio, and what the client sent behind its handshake.
async fn take_socket(upgrade: OnUpgrade) -> std::io::Result<(std::net::TcpStream, Vec<u8>)> {
    let upgraded = upgrade.await.map_err(std::io::Error::other)?;
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| std::io::Error::other("an upgraded connection of another kind"))?;
    Ok((parts.io.into_inner().into_std()?, parts.read_buf.to_vec()))
}

fn refusal(refused: &Refused) -> Response {
    let (code, message) = match refused.kind {
        Kind::Malformed => (ErrorCode::BadRequest, "This is no WebSocket handshake."),
        Kind::Query => (ErrorCode::BadValue, "The query of the WebSocket's address is wrong."),
        Kind::Host => (ErrorCode::ForbiddenHost, "The Host header does not name this host."),
        Kind::Origin => (ErrorCode::ForbiddenOrigin, "Pages of this origin may not open a WebSocket here."),
        Kind::Upgrade => (ErrorCode::UpgradeRequired, "This path speaks WebSocket, version 13."),
    };
    let mut response =
        ApiError::new(code, message).blame(refused.field, &refused.value, refused.expected).into_response();
    if refused.kind == Kind::Upgrade {
        response.headers_mut().insert(VERSION, HeaderValue::from_static(VERSION_SPOKEN));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    response
}
