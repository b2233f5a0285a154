//! REST: health, status, metrics and the data of the board, for programs that ask now and then.
//!
//! Every handler runs on a shard's own thread and must not hold it up: it reads shared memory, the shards' last report,
//! or asks the shard a question and waits for the answer without blocking.
//!
//! | module | job |
//! |---|---|
//! | [`guard`] | what is checked before a handler runs, what is said with every answer |
//! | [`error`] | the one form that every refusal has |
//! | [`query`] | query strings and path segments |
//! | [`lanes`] | open segments and their symbols |
//! | [`health`] | `/health`, `/ready`, `/status`, `/metrics` |
//! | [`instruments`], [`market`] | `/api/v1/...` |
//! | [`history`] | `/api/v1/trades` and `/api/v1/quotes` over a time, from the journal |
//! | [`schema`] | schemas of what is written by hand |
//!
//! Prices and quantities are written by the core, as exact decimals: never through a float.

pub(crate) mod error;
mod guard;
mod health;
mod history;
mod instruments;
mod lanes;
mod market;
mod query;
mod schema;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Uri};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::error::{ApiError, ErrorBody, ErrorCode};
use self::lanes::Lanes;
use self::query::Query;
use crate::app::AppState;
use crate::openapi;

/// State of every handler.
#[derive(Debug)]
struct Rest {
    app: AppState,
    /// One thread uses it, and never across an `await`: the lock is never waited for.
    lanes: Mutex<Lanes>,
    document: Bytes,
}

impl Rest {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every route of REST and its documentation, with a fallback for those that are not there.
pub(crate) fn router(app: AppState) -> Router {
    let (routes, document) = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(health::status))
        .routes(routes!(health::scrape))
        .routes(routes!(instruments::instruments))
        .routes(routes!(market::quotes))
        .routes(routes!(market::depth))
        .routes(routes!(market::trades))
        .routes(routes!(history::trades))
        .routes(routes!(history::quotes))
        .routes(routes!(openapi_json))
        .split_for_parts();
    let document = openapi::finish(document);
    let document = serde_json::to_vec(&document).expect("an OpenAPI document has a JSON form").into();
    let lanes = Mutex::new(Lanes::new(app.runtime_dir.clone(), &app.facts.lanes));
    routes
        .merge(openapi::pages())
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(unknown_route)
        .layer(axum::middleware::from_fn(guard::guard))
        .with_state(Arc::new(Rest { app, lanes, document }))
}

/// This document: OpenAPI 3.1.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "state", responses(
    (status = 200, description = "The document.", body = Object),
    (status = 400, description = "`bad_request`, `unknown_field`", body = ErrorBody),
))]
async fn openapi_json(State(rest): State<Arc<Rest>>, uri: Uri) -> Result<Response, ApiError> {
    Query::parse(&uri, &[])?;
    Ok(json(rest.document.clone()))
}

/// 404 for a path that nobody serves.
pub(crate) async fn unknown_route(uri: Uri) -> ApiError {
    let error = ApiError::new(ErrorCode::UnknownRoute, "There is no such path.");
    error.blame("path", uri.path(), "a path of /api/v1/openapi.json")
}

/// 405 for a path that does not take this method. The router adds `Allow`.
async fn method_not_allowed(method: Method) -> ApiError {
    let error = ApiError::new(ErrorCode::MethodNotAllowed, "This path does not take this method.");
    error.blame("method", method.as_str(), "GET or HEAD")
}

/// An answer whose body is JSON already.
fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Appends a JSON string.
fn push_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string to memory cannot fail");
}

/// CLOCK_REALTIME, ns since the UNIX epoch.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
