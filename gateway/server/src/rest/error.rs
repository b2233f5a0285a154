//! The one form that every refusal has.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Most bytes of a client's value that an error repeats.
const VALUE_MAX: usize = 64;

/// What a client reads when its request was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

/// Why a request was refused. `field`, `value` and `expected` are null where no field is to blame.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// What went wrong, for programs.
    #[schema(example = "unknown_symbol", value_type = ErrorCode)]
    code: &'static str,
    /// What went wrong, for people.
    #[schema(example = "No attached lane has this symbol.")]
    message: String,
    /// Which parameter or header is wrong.
    #[schema(example = "symbol")]
    field: Option<&'static str>,
    /// What it held, cut to 64 bytes.
    #[schema(example = "NOPE", max_length = 64)]
    value: Option<String>,
    /// What it may hold.
    #[schema(example = "a symbol of /api/v1/instruments")]
    expected: Option<String>,
    /// Names this refusal in the log: 16 hex digits.
    #[schema(example = "00c0ffee00c0ffee", pattern = "^[0-9a-f]{16}$")]
    id: String,
}

/// Every code that an error can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    /// 400: the request cannot be understood: its Host header, its body, the encoding of its path or query.
    BadRequest,
    /// 400: a parameter has a value outside its range.
    BadValue,
    /// 400: the route has no such parameter.
    UnknownField,
    /// 403: the Host header does not name this host.
    ForbiddenHost,
    /// 403: pages of this origin may not open a WebSocket here.
    ForbiddenOrigin,
    /// 404: there is no such path.
    UnknownRoute,
    /// 404: no attached lane has this symbol.
    UnknownSymbol,
    /// 405: the path does not take this method; `Allow` says which it takes.
    MethodNotAllowed,
    /// 409: more than one venue has this symbol.
    AmbiguousSymbol,
    /// 426: this path speaks WebSocket.
    UpgradeRequired,
    /// 503: the engine or the shard is busy with it; try again.
    Busy,
    /// 503: no lane is attached, or the gateway is stopping.
    Unavailable,
    /// 503: the engine died while it wrote this row; the next engine makes it whole.
    WriterDead,
}

impl ErrorCode {
    /// Every code.
    #[cfg(test)]
    pub(crate) const ALL: [ErrorCode; 13] = [
        ErrorCode::BadRequest,
        ErrorCode::BadValue,
        ErrorCode::UnknownField,
        ErrorCode::ForbiddenHost,
        ErrorCode::ForbiddenOrigin,
        ErrorCode::UnknownRoute,
        ErrorCode::UnknownSymbol,
        ErrorCode::MethodNotAllowed,
        ErrorCode::AmbiguousSymbol,
        ErrorCode::UpgradeRequired,
        ErrorCode::Busy,
        ErrorCode::Unavailable,
        ErrorCode::WriterDead,
    ];

    /// As clients see it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "bad_request",
            ErrorCode::BadValue => "bad_value",
            ErrorCode::UnknownField => "unknown_field",
            ErrorCode::ForbiddenHost => "forbidden_host",
            ErrorCode::ForbiddenOrigin => "forbidden_origin",
            ErrorCode::UnknownRoute => "unknown_route",
            ErrorCode::UnknownSymbol => "unknown_symbol",
            ErrorCode::MethodNotAllowed => "method_not_allowed",
            ErrorCode::AmbiguousSymbol => "ambiguous_symbol",
            ErrorCode::UpgradeRequired => "upgrade_required",
            ErrorCode::Busy => "busy",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::WriterDead => "writer_dead",
        }
    }

    /// Its HTTP status.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            ErrorCode::BadRequest | ErrorCode::BadValue | ErrorCode::UnknownField => StatusCode::BAD_REQUEST,
            ErrorCode::ForbiddenHost | ErrorCode::ForbiddenOrigin => StatusCode::FORBIDDEN,
            ErrorCode::UnknownRoute | ErrorCode::UnknownSymbol => StatusCode::NOT_FOUND,
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::AmbiguousSymbol => StatusCode::CONFLICT,
            ErrorCode::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            ErrorCode::Busy | ErrorCode::Unavailable | ErrorCode::WriterDead => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A refusal on its way to the client.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    message: String,
    blamed: Option<Blamed>,
    close: bool,
}

#[derive(Debug)]
struct Blamed {
    field: &'static str,
    value: String,
    expected: String,
}

impl ApiError {
    /// A refusal that blames no field.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError { code, message: message.into(), blamed: None, close: false }
    }

    /// Says which field is wrong, what it held and what it may hold.
    pub(crate) fn blame(mut self, field: &'static str, value: &str, expected: impl Into<String>) -> ApiError {
        self.blamed = Some(Blamed { field, value: cut(value).into(), expected: expected.into() });
        self
    }

    /// Ends the connection after it: what follows on it cannot be trusted.
    pub(crate) fn close(mut self) -> ApiError {
        self.close = true;
        self
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }
}

/// The first 64 bytes, or a little less: a character is not cut in two.
fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE_MAX)]
}

/// A number that no other request of this program has, and that says nothing about how many there were.
fn next_id() -> String {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}", SEED.hash_one(COUNT.fetch_add(1, Relaxed)))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let id = next_id();
        tracing::debug!(id, code = self.code.name(), message = self.message, blamed = ?self.blamed, "request refused");
        let (field, value, expected) = match self.blamed {
            Some(blamed) => (Some(blamed.field), Some(blamed.value), Some(blamed.expected)),
            None => (None, None, None),
        };
        let error = ErrorDetail { code: self.code.name(), message: self.message, field, value, expected, id };
        let body = serde_json::to_vec(&ErrorBody { error }).expect("strings and options always have a JSON form");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.code.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_between_characters() {
        let table = [("", ""), ("short", "short")];
        for (value, want) in table {
            assert_eq!(cut(value), want);
        }
        assert_eq!(cut(&"x".repeat(65)).len(), 64);
        // 21 characters of three bytes are 63: the 22nd does not fit.
        assert_eq!(cut(&"\u{20ac}".repeat(30)), "\u{20ac}".repeat(21));
    }

    #[test]
    fn codes_have_the_names_that_their_schema_lists() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }

    #[test]
    fn ids_are_all_different() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| next_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 16));
    }
}
