//! What is checked before any handler runs, and what is said with every answer.

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, ErrorCode};
use crate::ws::origin::is_loopback_host;

/// For answers that are no page: nothing in them may load, run or be framed.
const NO_PAGE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Refuses what no handler shall see, then adds the headers that every answer has.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, NO_PAGE_POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn check(request: &Request) -> Result<(), ApiError> {
    check_host(request)?;
    check_body(request.headers())
}

/// The name by which a browser was led here must be this host's own: a page of another name that was made to resolve to
/// a loopback address (DNS rebinding) could read everything otherwise.
fn check_host(request: &Request) -> Result<(), ApiError> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let one_host = || ApiError::new(ErrorCode::BadRequest, "A request needs one Host header.").close();
    let host = hosts.next().ok_or_else(|| one_host().blame("Host", "", "one Host header"))?;
    if hosts.next().is_some() {
        return Err(one_host().blame("Host", host.to_str().unwrap_or_default(), "one Host header"));
    }
    let host = host.to_str().unwrap_or_default();
    let target = request.uri().authority().map_or(host, |authority| authority.as_str());
    for name in [host, target] {
        if !is_loopback_host(name) {
            let error = ApiError::new(ErrorCode::ForbiddenHost, "The Host header does not name this host.");
            return Err(error.blame("Host", name, "localhost or a loopback address, with or without a port").close());
        }
    }
    Ok(())
}

/// No route takes a body. Refusing every one also refuses each message whose length could be understood in two ways,
/// which the HTTP layer below settles in silence.
fn check_body(headers: &HeaderMap) -> Result<(), ApiError> {
    let refuse = |field, value: &HeaderValue| {
        let error = ApiError::new(ErrorCode::BadRequest, "No route takes a request body.");
        Err(error.blame(field, value.to_str().unwrap_or_default(), "no body").close())
    };
    if let Some(value) = headers.get(TRANSFER_ENCODING) {
        return refuse("Transfer-Encoding", value);
    }
    match headers.get(CONTENT_LENGTH) {
        Some(value) if value != "0" => refuse("Content-Length", value),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn requests() {
        let table: &[(&str, &str, &[(&str, &str)], Option<ErrorCode>)] = &[
            ("plain", "/x", &[("host", "localhost")], None),
            ("own authority", "http://127.0.0.1:1/x", &[("host", "localhost")], None),
            ("foreign host", "/x", &[("host", "localhost.example.com")], Some(ErrorCode::ForbiddenHost)),
            ("foreign authority", "http://evil/x", &[("host", "localhost")], Some(ErrorCode::ForbiddenHost)),
            ("no host", "/x", &[], Some(ErrorCode::BadRequest)),
            ("authority, no host", "http://localhost/x", &[], Some(ErrorCode::BadRequest)),
            ("two hosts", "/x", &[("host", "localhost"), ("host", "localhost")], Some(ErrorCode::BadRequest)),
            ("no body", "/x", &[("host", "localhost"), ("content-length", "0")], None),
            ("body", "/x", &[("host", "localhost"), ("content-length", "1")], Some(ErrorCode::BadRequest)),
            ("chunks", "/x", &[("host", "localhost"), ("transfer-encoding", "chunked")], Some(ErrorCode::BadRequest)),
        ];
        for (name, uri, headers, want) in table {
            let mut request = Request::builder().uri(*uri);
            for (header, value) in *headers {
                request = request.header(*header, *value);
            }
            let got = check(&request.body(Body::empty()).unwrap()).err().map(|error| error.code());
            assert_eq!(got, *want, "case: {name}");
        }
    }
}
