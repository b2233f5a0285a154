//! Origins and hosts: who may open a WebSocket from a browser.

use std::net::IpAddr;
use std::str::FromStr;

/// `scheme://host[:port]`, in lower case; the port is the scheme's own when it is not named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads an Origin header. `None` for `null`, other schemes, and anything with a path, user or query.
    pub(crate) fn parse(text: &str) -> Option<Origin> {
        let (scheme, authority) = text.split_once("://")?;
        let (scheme, port) = match scheme.to_ascii_lowercase() {
            http if http == "http" => (http, 80),
            https if https == "https" => (https, 443),
            _ => return None,
        };
        let (host, named) = split_authority(authority)?;
        Some(Origin { scheme, host, port: named.unwrap_or(port) })
    }

    /// Whether this is where a page of this host and port comes from. `authority` is a request's Host.
    pub(crate) fn is_of(&self, authority: &str) -> bool {
        let default = if self.scheme == "https" { 443 } else { 80 };
        split_authority(authority).is_some_and(|(host, port)| host == self.host && port.unwrap_or(default) == self.port)
    }
}

/// Whether a Host header names this machine's loopback. A page of another name that was made to resolve to it (DNS
/// rebinding) has that other name here.
pub(crate) fn is_loopback_host(authority: &str) -> bool {
    let Some((host, _)) = split_authority(authority) else { return false };
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => IpAddr::from_str(address).is_ok_and(|address| address.is_loopback()),
        None => host == "localhost" || IpAddr::from_str(&host).is_ok_and(|address| address.is_loopback()),
    }
}

/// Host in lower case (an IPv6 address in its brackets) and port.
fn split_authority(text: &str) -> Option<(String, Option<u16>)> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at(end);
    let port = match rest.strip_prefix(':') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        None if rest.is_empty() => None,
        _ => return None,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    (!host.is_empty() && host.bytes().all(plain)).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        let table = [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("example.com:8080", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("192.0.2.1", false),
            ("[::]", false),
            ("::1", false),
            ("", false),
            ("localhost:", false),
            ("localhost:99999", false),
            ("user@localhost", false),
        ];
        for (host, expected) in table {
            assert_eq!(is_loopback_host(host), expected, "{host:?}");
        }
    }

    #[test]
    fn an_origin_is_of_the_host_with_its_very_port() {
        let table = [
            ("http://localhost:8080", "localhost:8080", true),
            ("http://LocalHost:8080", "localhost:8080", true),
            ("http://localhost", "localhost:80", true),
            ("http://localhost", "localhost", true),
            ("https://localhost", "localhost", true),
            ("http://localhost:8081", "localhost:8080", false),
            ("http://localhost", "localhost:8080", false),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://127.0.0.1:8080", "localhost:8080", false),
        ];
        for (origin, host, expected) in table {
            assert_eq!(Origin::parse(origin).unwrap().is_of(host), expected, "{origin} {host}");
        }
        for origin in
            ["null", "", "file://x", "http://", "http://a/b", "http://a:b", "http://u@a", "http://a?b", "localhost"]
        {
            assert_eq!(Origin::parse(origin), None, "{origin}");
        }
    }
}
