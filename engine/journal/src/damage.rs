//! What is wrong with bytes of a journal file.

use std::fmt;

/// What would have been right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Exactly this.
    Is(u64),
    /// This or less.
    AtMost(u64),
    /// This or more.
    AtLeast(u64),
    /// In words.
    Rule(&'static str),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Is(value) => write!(f, "{value:#x}"),
            Expected::AtMost(value) => write!(f, "at most {value:#x}"),
            Expected::AtLeast(value) => write!(f, "at least {value:#x}"),
            Expected::Rule(rule) => f.write_str(rule),
        }
    }
}

/// The first thing that is wrong with a header or a block. Files are untrusted: each is an input, not a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {field} is {seen:#x}, expected {expected}")]
pub struct Damage {
    /// Byte of the file at which the header or the block begins.
    pub offset: u64,
    /// Which field, by its name in `FORMAT.md`.
    pub field: &'static str,
    /// What stands there.
    pub seen: u64,
    /// What would have been right.
    pub expected: Expected,
}

impl Damage {
    /// `Ok` when `seen` is `expected`.
    pub(crate) fn unless_is(offset: u64, field: &'static str, seen: u64, expected: u64) -> Result<(), Damage> {
        if seen == expected { Ok(()) } else { Err(Damage { offset, field, seen, expected: Expected::Is(expected) }) }
    }

    /// `Ok` when `seen` is at most `limit`.
    pub(crate) fn unless_at_most(offset: u64, field: &'static str, seen: u64, limit: u64) -> Result<(), Damage> {
        if seen <= limit { Ok(()) } else { Err(Damage { offset, field, seen, expected: Expected::AtMost(limit) }) }
    }

    /// `Ok` when `seen` is at least `limit`.
    pub(crate) fn unless_at_least(offset: u64, field: &'static str, seen: u64, limit: u64) -> Result<(), Damage> {
        if seen >= limit { Ok(()) } else { Err(Damage { offset, field, seen, expected: Expected::AtLeast(limit) }) }
    }

    /// A rule in words was broken.
    pub(crate) fn rule(offset: u64, field: &'static str, seen: u64, rule: &'static str) -> Damage {
        Damage { offset, field, seen, expected: Expected::Rule(rule) }
    }
}
