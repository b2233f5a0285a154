//! Several feeds in one program, and the line protocol that changes them while they run.
//!
//! | line | what happens |
//! |---|---|
//! | `fault NAME:ARGS`, `fault FEED/NAME:ARGS` | one more fault, in all feeds that can have it or in one |
//! | `clear NAME`, `clear FEED/NAME`, `clear all` | what is left of a kind of faults is taken back |
//! | `start`, `start FEED` | sessions that wait for a command begin |
//! | `report` | the line of counters that comes at the end, now |
//! | `stop` | the program ends in good order |
//!
//! Every line is answered by one: `ok`, `error` and why, or the report.

use std::net::SocketAddr;

use serde::Serialize;

use crate::fault::{Fault, FaultError};
use crate::mold::{MoldReport, MoldVenue};
use crate::server::{Exchange, Report};

/// One feed by its name.
#[derive(Debug)]
pub struct Feed {
    /// Name in the commands and the report.
    pub name: String,
    /// The feed itself.
    pub venue: Venue,
}

/// A feed over either transport.
#[derive(Debug)]
pub enum Venue {
    /// SoupBinTCP.
    Soup(Exchange),
    /// MoldUDP64.
    Mold(MoldVenue),
}

/// Counters of one feed.
#[derive(Debug, Serialize)]
#[serde(tag = "protocol")]
pub enum FeedReport {
    /// SoupBinTCP.
    #[serde(rename = "soupbintcp")]
    Soup {
        /// Its name.
        feed: String,
        /// Its counters.
        #[serde(flatten)]
        report: Report,
    },
    /// MoldUDP64.
    #[serde(rename = "moldudp64")]
    Mold {
        /// Its name.
        feed: String,
        /// Its counters.
        #[serde(flatten)]
        report: MoldReport,
    },
}

/// All feeds of a program.
#[derive(Debug, Default)]
pub struct Feeds {
    feeds: Vec<Feed>,
}

/// What a line of the protocol comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The line to answer with.
    Line(String),
    /// The same, and the program ends.
    Stop,
}

/// A command that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// Not a command.
    #[error("unknown command {0:?}; use fault, clear, start, report or stop")]
    Unknown(String),
    /// No feed has this name.
    #[error("no feed is called {name:?}; there are {known}")]
    NoFeed {
        /// The name as given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// No kind of faults has this name.
    #[error("no kind of faults is called {0:?}")]
    NoKind(String),
    /// The fault itself.
    #[error(transparent)]
    Fault(#[from] FaultError),
}

impl Venue {
    fn add_fault(&self, fault: &Fault) -> Result<(), FaultError> {
        match self {
            Self::Soup(exchange) => exchange.add_fault(fault),
            Self::Mold(venue) => venue.add_fault(fault),
        }
    }

    fn clear_faults(&self, name: &str) -> bool {
        match self {
            Self::Soup(exchange) => exchange.clear_faults(name),
            Self::Mold(venue) => venue.clear_faults(name),
        }
    }

    fn begin(&self) {
        match self {
            Self::Soup(exchange) => exchange.begin(),
            Self::Mold(venue) => venue.begin(),
        }
    }

    /// What listens and what sends, with its part in the feed.
    #[must_use]
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        match self {
            Self::Soup(exchange) => vec![("tcp", exchange.address())],
            Self::Mold(venue) => {
                let lines = ["line-a", "line-b"].into_iter().zip(venue.destinations());
                let servers = [("rerequest", venue.rerequest()), ("glimpse", venue.glimpse())];
                let servers = servers.into_iter().filter_map(|(part, address)| Some((part, address?)));
                lines.chain(servers).collect()
            }
        }
    }
}

impl Feeds {
    /// These feeds, each of a name of its own.
    #[must_use]
    pub fn new(feeds: Vec<Feed>) -> Self {
        Self { feeds }
    }

    /// The feeds.
    #[must_use]
    pub fn all(&self) -> &[Feed] {
        &self.feeds
    }

    /// Why one of them cannot go on, if so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.feeds.iter().find_map(|feed| {
            let cause = match &feed.venue {
                Venue::Soup(exchange) => exchange.failure(),
                Venue::Mold(venue) => venue.failure(),
            };
            cause.map(|cause| format!("feed {}: {cause}", feed.name))
        })
    }

    /// Counters of all feeds as one line of JSON: `{"feeds":[..]}`.
    #[must_use]
    pub fn report(&self) -> String {
        let reports = self.feeds.iter().map(|feed| {
            let name = feed.name.clone();
            match &feed.venue {
                Venue::Soup(exchange) => FeedReport::Soup { feed: name, report: exchange.report() },
                Venue::Mold(venue) => FeedReport::Mold { feed: name, report: venue.report() },
            }
        });
        json(reports.collect())
    }

    /// Stops all feeds, and gives their last counters.
    #[must_use]
    pub fn stop(self) -> String {
        let reports = self.feeds.into_iter().map(|feed| match feed.venue {
            Venue::Soup(exchange) => FeedReport::Soup { feed: feed.name, report: exchange.stop() },
            Venue::Mold(venue) => FeedReport::Mold { feed: feed.name, report: venue.stop() },
        });
        json(reports.collect())
    }

    /// Handles one line.
    #[must_use]
    pub fn command(&self, line: &str) -> Reply {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let done = match word {
            "fault" => self.fault(rest.trim()),
            "clear" => self.clear(rest.trim()),
            "start" => self.start(rest.trim()),
            "report" => return Reply::Line(self.report()),
            "stop" => return Reply::Stop,
            _ => Err(CommandError::Unknown(word.into())),
        };
        Reply::Line(done.map_or_else(|error| format!("error {error}"), |()| "ok".into()))
    }

    /// The feeds that a text is about, and the text without their name. A path in a fault has no feed in front of it.
    fn addressed<'t>(&self, text: &'t str) -> Result<(Vec<&Feed>, &'t str), CommandError> {
        match text.split_once('/') {
            Some((name, rest)) if !name.contains([':', '=', '@', ',']) => Ok((self.named(name)?, rest)),
            _ => Ok((self.feeds.iter().collect(), text)),
        }
    }

    fn named(&self, name: &str) -> Result<Vec<&Feed>, CommandError> {
        let found: Vec<&Feed> = self.feeds.iter().filter(|feed| feed.name == name).collect();
        if found.is_empty() {
            let known: Vec<&str> = self.feeds.iter().map(|feed| &feed.name[..]).collect();
            return Err(CommandError::NoFeed { name: name.into(), known: known.join(", ") });
        }
        Ok(found)
    }

    fn fault(&self, text: &str) -> Result<(), CommandError> {
        let (feeds, text) = self.addressed(text)?;
        let fault: Fault = text.parse()?;
        let mut refusal = None;
        let mut taken = 0;
        for feed in feeds {
            match feed.venue.add_fault(&fault) {
                Ok(()) => taken += 1,
                Err(error) => refusal = Some(error),
            }
        }
        // It is enough that one feed can have it: the others are of another transport.
        refusal.filter(|_| taken == 0).map_or(Ok(()), |error| Err(error.into()))
    }

    fn clear(&self, text: &str) -> Result<(), CommandError> {
        let (feeds, name) = self.addressed(text)?;
        let known = feeds.into_iter().map(|feed| feed.venue.clear_faults(name)).fold(false, |known, one| known | one);
        if known { Ok(()) } else { Err(CommandError::NoKind(name.into())) }
    }

    fn start(&self, name: &str) -> Result<(), CommandError> {
        let feeds = if name.is_empty() { self.feeds.iter().collect() } else { self.named(name)? };
        feeds.into_iter().for_each(|feed| feed.venue.begin());
        Ok(())
    }
}

fn json(feeds: Vec<FeedReport>) -> String {
    serde_json::json!({ "feeds": feeds }).to_string()
}
