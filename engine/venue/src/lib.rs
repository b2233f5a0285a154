//! The other end: an exchange that plays ITCH files or a seeded synthetic market over SoupBinTCP, with scripted faults.
#![forbid(unsafe_code)]

pub mod market;
