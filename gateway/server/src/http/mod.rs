//! HTTP: the port, who may connect, and what they reach.

pub(crate) mod listen;
pub(crate) mod seats;
pub(crate) mod serve;

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::app::AppState;
use crate::config::Plan;
use crate::page;
use crate::rest;
use crate::ws::{self, Handshakes};

/// Everything that this port serves.
pub(crate) fn router(plan: &Plan, state: AppState, handshakes: Handshakes) -> Router {
    let timeout = Duration::from_millis(plan.http.body_timeout_ms.into());
    // REST refuses every body by itself, in its own form.
    let others = page::routes().merge(ws::router(handshakes, plan.gateway.echo));
    rest::router(state)
        .merge(others.layer(RequestBodyLimitLayer::new(plan.http.body_bytes as usize)))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, timeout))
        // Without it the handlers are built anew for each connection.
        .with_state(())
}
