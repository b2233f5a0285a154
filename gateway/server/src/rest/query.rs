//! Query strings and path segments: bytes of a client, taken apart once and checked before use.

use std::ops::RangeInclusive;

use axum::http::Uri;

use super::error::{ApiError, ErrorCode};

/// The parameters of a query, each known to its route and given once.
#[derive(Debug)]
pub(crate) struct Query {
    pairs: Vec<(&'static str, String)>,
}

impl Query {
    /// Takes a query apart. `known`: the route's parameters, which also bound how many there can be.
    ///
    /// # Errors
    /// A parameter that the route does not have, one that is given twice, one that is not UTF-8.
    pub(crate) fn parse(uri: &Uri, known: &[&'static str]) -> Result<Query, ApiError> {
        let mut pairs: Vec<(&'static str, String)> = Vec::with_capacity(known.len());
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true).ok_or_else(|| not_text(name))?;
            let Some(field) = known.iter().copied().find(|field| *field == name) else {
                let expected = match known {
                    [] => "no parameters".into(),
                    known => known.join(", "),
                };
                let error = ApiError::new(ErrorCode::UnknownField, "This route has no such query parameter.");
                return Err(error.blame("query", &name, expected));
            };
            let value = decode(value, true).ok_or_else(|| not_text(value))?;
            if pairs.iter().any(|(given, _)| *given == field) {
                let error = ApiError::new(ErrorCode::BadValue, "A query parameter is given twice.");
                return Err(error.blame(field, &value, "one value"));
            }
            pairs.push((field, value));
        }
        Ok(Query { pairs })
    }

    /// The value of a parameter; `None` when it is not given.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.pairs.iter().find(|(given, _)| *given == field).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that is a whole number.
    ///
    /// # Errors
    /// Anything but decimal digits that give a number in `range`.
    pub(crate) fn number(
        &self,
        field: &'static str,
        range: RangeInclusive<usize>,
        default: usize,
    ) -> Result<usize, ApiError> {
        let Some(text) = self.text(field) else { return Ok(default) };
        // `parse` alone would also take a leading plus.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| digits && range.contains(number)).ok_or_else(|| {
            let (first, last) = (range.start(), range.end());
            let expected = match *last {
                usize::MAX => format!("a whole number from {first}"),
                _ => format!("a whole number from {first} to {last}"),
            };
            ApiError::new(ErrorCode::BadValue, "A query parameter is out of its range.").blame(field, text, expected)
        })
    }
}

fn not_text(value: &str) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, "The query cannot be decoded.").blame("query", value, "UTF-8, percent-encoded")
}

/// Undoes percent-encoding, and, in a query, `+` for a space. `None`: a `%` without two hex digits, or not UTF-8.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Query, ApiError> {
        Query::parse(&format!("/x?{query}").parse().unwrap(), &["search", "limit"])
    }

    #[test]
    fn percent_encoding() {
        let table = [
            ("AAPL", Some("AAPL")),
            ("BRK%2eB", Some("BRK.B")),
            ("a+b", Some("a b")),
            ("%2B%20", Some("+ ")),
            ("%e2%82%ac", Some("\u{20ac}")),
            ("%", None),
            ("%4", None),
            ("%4g", None),
            ("%+4", None),
            ("%ff", None),
        ];
        for (text, want) in table {
            assert_eq!(decode(text, true).as_deref(), want, "case: {text}");
        }
        assert_eq!(decode("a+b", false).as_deref(), Some("a+b"));
    }

    #[test]
    fn only_known_parameters_and_each_once() {
        let table = [
            ("search=a&limit=3", None),
            ("", None),
            ("&&", None),
            ("search", None),
            ("%73earch=a", None),
            ("limits=3", Some(ErrorCode::UnknownField)),
            ("limit=3&limit=4", Some(ErrorCode::BadValue)),
            ("search=%ff", Some(ErrorCode::BadRequest)),
            ("%zz=1", Some(ErrorCode::BadRequest)),
        ];
        for (query, want) in table {
            assert_eq!(parse(query).err().map(|error| error.code()), want, "case: {query}");
        }
    }

    #[test]
    fn numbers_are_digits_in_a_range() {
        for (text, want) in [
            ("1", Some(1)),
            ("10", Some(10)),
            ("007", Some(7)),
            ("0", None),
            ("11", None),
            ("+1", None),
            ("-1", None),
            ("1.0", None),
            ("1e1", None),
            ("", None),
            ("99999999999999999999999", None),
            ("\u{0661}", None),
        ] {
            let query = Query { pairs: vec![("limit", text.into())] };
            assert_eq!(query.number("limit", 1..=10, 5).ok(), want, "case: {text}");
        }
        assert_eq!(parse("").unwrap().number("limit", 1..=10, 5).unwrap(), 5);
    }
}
