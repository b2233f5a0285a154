//! The arguments of a fault, one by one.

use super::lines::LineSet;
use super::{ALWAYS, FaultError};

/// What is left of a fault's text behind its name.
#[derive(Debug)]
pub(super) struct Words<'t> {
    fault: &'t str,
    rest: Option<&'t str>,
}

impl<'t> Words<'t> {
    /// The name of a fault and its arguments.
    pub(super) fn of(fault: &'t str) -> (&'t str, Self) {
        match fault.split_once([':', '@', '=', ',']) {
            Some((name, rest)) => (name, Self { fault, rest: Some(rest) }),
            None => (fault, Self { fault, rest: None }),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_none()
    }

    /// The whole fault, for messages.
    pub(super) fn fault(&self) -> &'t str {
        self.fault
    }

    /// The next argument.
    pub(super) fn next(&mut self) -> Option<&'t str> {
        let rest = self.rest?;
        let (word, rest) = rest.split_once([',', ':']).map_or((rest, None), |(word, rest)| (word, Some(rest)));
        self.rest = rest;
        Some(word)
    }

    /// Everything that is left, commas and colons too.
    pub(super) fn all(&mut self) -> &'t str {
        self.rest.take().unwrap_or("")
    }

    pub(super) fn wrong(&self, seen: &str, want: &'static str) -> FaultError {
        FaultError::Argument { fault: self.fault.into(), seen: seen.into(), want }
    }

    pub(super) fn number(&mut self, want: &'static str) -> Result<u64, FaultError> {
        let seen = self.next().unwrap_or("");
        seen.parse().map_err(|_| self.wrong(seen, want))
    }

    pub(super) fn positive(&mut self, want: &'static str) -> Result<u64, FaultError> {
        match self.number(want)? {
            0 => Err(self.wrong("0", want)),
            number => Ok(number),
        }
    }

    /// A number that may be left out.
    pub(super) fn or(&mut self, default: u64, want: &'static str) -> Result<u64, FaultError> {
        if self.is_empty() { Ok(default) } else { self.number(want) }
    }

    pub(super) fn times(&mut self) -> Result<u64, FaultError> {
        self.or(ALWAYS, "number of times")
    }

    pub(super) fn lines(&mut self) -> Result<LineSet, FaultError> {
        let seen = self.next().unwrap_or("");
        LineSet::parse(seen).ok_or_else(|| self.wrong(seen, "set of lines like a, b, ab or r"))
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), FaultError> {
        self.rest.map_or(Ok(()), |rest| Err(self.wrong(rest, "argument of this fault")))
    }
}
