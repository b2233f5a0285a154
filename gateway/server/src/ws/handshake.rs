//! The opening handshake of RFC 6455, as a function of the request: no socket in here.

use axum::http::header::{CONNECTION, HOST, HeaderName, ORIGIN, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Version};
use gateway_core::dialect::SlowPolicy;
use tungstenite::handshake::derive_accept_key;

use super::origin::{Origin, is_loopback_host};

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
/// Header that says which version is spoken.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
/// The one version that is spoken.
pub(crate) const VERSION_SPOKEN: &str = "13";

/// A handshake that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Value of `Sec-WebSocket-Accept`.
    pub(crate) accept: String,
    /// What happens when the client is slow.
    pub(crate) slow: SlowPolicy,
}

/// Kind of a refusal: decides the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 400: not a handshake.
    Malformed,
    /// 400: a query parameter.
    Query,
    /// 403: the Host is not this machine's.
    Host,
    /// 403: the page comes from elsewhere.
    Origin,
    /// 426: another version, or no upgrade at all.
    Upgrade,
}

/// Why a handshake is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Decides the status.
    pub(crate) kind: Kind,
    /// Header or parameter that is wrong.
    pub(crate) field: &'static str,
    /// What it held.
    pub(crate) value: String,
    /// What it may hold.
    pub(crate) expected: &'static str,
}

fn refuse<T>(kind: Kind, field: &'static str, value: &str, expected: &'static str) -> Result<T, Refused> {
    Err(Refused { kind, field, value: value.into(), expected })
}

/// Judges a request for a WebSocket. `origins` are allowed besides those of the request's own host.
pub(crate) fn judge(request: &Parts, origins: &[Origin]) -> Result<Accepted, Refused> {
    if request.method != Method::GET || request.version != Version::HTTP_11 {
        let seen = format!("{} {:?}", request.method, request.version);
        return refuse(Kind::Malformed, "method", &seen, "GET of HTTP/1.1");
    }
    let headers = &request.headers;
    let host = one(headers, &HOST, "Host")?.unwrap_or("");
    if !is_loopback_host(host) {
        let expected = "localhost or a loopback address: a page of another name was made to resolve to this machine";
        return refuse(Kind::Host, "Host", host, expected);
    }
    if let Some(origin) = one(headers, &ORIGIN, "Origin")? {
        let parsed = Origin::parse(origin);
        if !parsed.is_some_and(|parsed| parsed.is_of(host) || origins.contains(&parsed)) {
            let expected = "this host's own pages, or one of http.origins in gateway.toml";
            return refuse(Kind::Origin, "Origin", origin, expected);
        }
    }
    if !has_token(headers, &UPGRADE, "websocket") {
        return refuse(Kind::Upgrade, "Upgrade", &told(headers, &UPGRADE), "websocket");
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return refuse(Kind::Malformed, "Connection", &told(headers, &CONNECTION), "upgrade");
    }
    match one(headers, &VERSION, "Sec-WebSocket-Version")? {
        Some(VERSION_SPOKEN) => {}
        other => return refuse(Kind::Upgrade, "Sec-WebSocket-Version", other.unwrap_or(""), VERSION_SPOKEN),
    }
    let key = one(headers, &KEY, "Sec-WebSocket-Key")?.unwrap_or("");
    if !is_key(key) {
        return refuse(Kind::Malformed, "Sec-WebSocket-Key", key, "16 bytes in base64");
    }
    let slow = slow_policy(request.uri.query().unwrap_or(""))?;
    Ok(Accepted { accept: derive_accept_key(key.as_bytes()), slow })
}

/// The value of a header that may stand once at most, and must be text.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName, told: &'static str) -> Result<Option<&'h str>, Refused> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text)),
        Ok(text) => refuse(Kind::Malformed, told, text, "this header once"),
        Err(_) => refuse(Kind::Malformed, told, &String::from_utf8_lossy(value.as_bytes()), "visible ASCII"),
    }
}

/// Whether a list header, however many lines it has, names a token; case does not matter.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// What a header said, for a refusal.
fn told(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// Whether a text is base64 of 16 bytes: 22 characters and two pads, of which the last character has only two bits.
fn is_key(text: &str) -> bool {
    let Some(digits) = text.strip_suffix("==") else { return false };
    digits.len() == 22
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
        && digits.ends_with(['A', 'Q', 'g', 'w'])
}

/// `slow=` of the query. Anything else in it is refused, not ignored.
fn slow_policy(query: &str) -> Result<SlowPolicy, Refused> {
    let mut policy = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "slow" {
            return refuse(Kind::Query, "query", pair, "slow=conflate, slow=gap or slow=close");
        }
        match SlowPolicy::from_name(value) {
            Some(named) if policy.is_none() => policy = Some(named),
            _ => return refuse(Kind::Query, "slow", value, "conflate, gap or close, once"),
        }
    }
    Ok(policy.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    /// A good handshake with some headers changed: an empty value removes one, `+name` adds a second line.
    fn judged(method: &str, uri: &str, changes: &[(&str, &str)]) -> Result<Accepted, Refused> {
        let mut headers = vec![
            ("host", "localhost:8080"),
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in changes {
            match name.strip_prefix('+') {
                Some(name) => headers.push((name, value)),
                None => {
                    headers.retain(|(other, _)| other != name);
                    headers.extend((!value.is_empty()).then_some((*name, *value)));
                }
            }
        }
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let origins = [Origin::parse("https://charts.example.com").unwrap()];
        judge(&request.body(()).unwrap().into_parts().0, &origins)
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let accepted = judged("GET", "/ws/v1", &[]).unwrap();
        assert_eq!(accepted.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accepted.slow, SlowPolicy::Conflate);
    }

    #[test]
    fn variations_that_are_good() {
        let table: &[(&str, &str, &[(&str, &str)])] = &[
            ("case of tokens", "/", &[("upgrade", "WebSocket"), ("connection", "UPGRADE")]),
            ("token in a second line", "/", &[("connection", "keep-alive"), ("+connection", "upgrade")]),
            ("own origin", "/", &[("origin", "http://localhost:8080")]),
            ("configured origin", "/", &[("origin", "https://charts.example.com")]),
            ("v6 host", "/", &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")]),
            ("empty query", "/?", &[]),
        ];
        for (name, uri, changes) in table {
            assert!(judged("GET", uri, changes).is_ok(), "case: {name}");
        }
        let named = |uri| judged("GET", uri, &[]).unwrap().slow;
        assert_eq!(named("/?slow=conflate"), SlowPolicy::Conflate);
        assert_eq!(named("/?slow=gap"), SlowPolicy::Gap);
        assert_eq!(named("/?slow=close"), SlowPolicy::Close);
    }

    #[test]
    fn refusals_name_the_header_that_is_wrong() {
        let table: &[(&str, &str, &[(&str, &str)], Kind, &str)] = &[
            ("POST", "/", &[], Kind::Malformed, "method"),
            ("GET", "/", &[("host", "")], Kind::Host, "Host"),
            ("GET", "/", &[("host", "evil.example.com:8080")], Kind::Host, "Host"),
            ("GET", "/", &[("+host", "localhost")], Kind::Malformed, "Host"),
            ("GET", "/", &[("origin", "http://evil.example.com")], Kind::Origin, "Origin"),
            ("GET", "/", &[("origin", "http://localhost:8081")], Kind::Origin, "Origin"),
            ("GET", "/", &[("origin", "http://charts.example.com")], Kind::Origin, "Origin"),
            ("GET", "/", &[("origin", "null")], Kind::Origin, "Origin"),
            ("GET", "/", &[("upgrade", "")], Kind::Upgrade, "Upgrade"),
            ("GET", "/", &[("upgrade", "h2c")], Kind::Upgrade, "Upgrade"),
            ("GET", "/", &[("connection", "keep-alive")], Kind::Malformed, "Connection"),
            ("GET", "/", &[("sec-websocket-version", "8")], Kind::Upgrade, "Sec-WebSocket-Version"),
            ("GET", "/", &[("sec-websocket-version", "")], Kind::Upgrade, "Sec-WebSocket-Version"),
            ("GET", "/", &[("sec-websocket-key", "")], Kind::Malformed, "Sec-WebSocket-Key"),
            ("GET", "/", &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25j")], Kind::Malformed, "Sec-WebSocket-Key"),
            ("GET", "/", &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZR==")], Kind::Malformed, "Sec-WebSocket-Key"),
            ("GET", "/", &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25j!Q==")], Kind::Malformed, "Sec-WebSocket-Key"),
            ("GET", "/", &[("+sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")], Kind::Malformed, "Sec-WebSocket-Key"),
            ("GET", "/?slow=never", &[], Kind::Query, "slow"),
            ("GET", "/?slow=gap&slow=gap", &[], Kind::Query, "slow"),
            ("GET", "/?fast=1", &[], Kind::Query, "query"),
        ];
        for (method, uri, changes, kind, field) in table {
            let refused = judged(method, uri, changes).expect_err(&format!("{uri} {changes:?}"));
            assert_eq!((refused.kind, refused.field), (*kind, *field), "case: {uri} {changes:?}");
        }
    }
}
