//! What can be asked.

use serde::{Deserialize, Serialize};

use super::reply::{Refusal, RefusalCode};
use super::{DEMAND_INSTRUMENTS_MAX, Definition, DefinitionKind, VERSION, WAIT_MS_MAX};

/// One request. The answer carries the same `id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// Chosen by the client.
    pub id: u64,
    /// What is asked.
    pub command: Command,
}

/// Every verb.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Command {
    /// All feeds, or one, as they are now.
    Status {
        /// Only this feed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        feed: Option<String>,
        /// Only feeds whose names come after this one: for the next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// Dial this feed now. Asked again while it is connected there, it changes nothing and says so.
    Connect {
        /// The feed's name.
        feed: String,
        /// Which of its addresses.
        #[serde(default)]
        address: AddressChoice,
        /// How long the answer may wait for the outcome, ms, at most [`WAIT_MS_MAX`]; 0: answer at once.
        #[serde(default)]
        wait_ms: u64,
    },
    /// Log out and stay closed until `connect`.
    Disconnect {
        /// The feed's name.
        feed: String,
        /// Only if it is connected there; absent: wherever it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<AddressChoice>,
        /// As for `connect`.
        #[serde(default)]
        wait_ms: u64,
    },
    /// Read the config again, apply what can be applied, name what needs a restart. A bad one changes nothing.
    Reload {},
    /// Keep this, over restarts too. Defining the same again changes nothing.
    Define(Definition),
    /// Forget it. What is not there is forgotten already.
    Undefine {
        /// What kind of thing.
        kind: DefinitionKind,
        /// Its key, as [`Definition::key`] gives it.
        key: String,
    },
    /// Definitions of one kind, in the order of their keys.
    Definitions {
        /// What kind of thing.
        kind: DefinitionKind,
        /// Only keys after this one: for the next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// These instruments are wanted for as long as this connection lives, and 30 s longer. Replaces what this connection
    /// wanted before.
    Demand {
        /// At most [`DEMAND_INSTRUMENTS_MAX`].
        instruments: Vec<InstrumentName>,
    },
    /// Change the pace of a replay, or let a paused one go on by some events.
    Pace {
        /// The feed's name.
        feed: String,
        /// What it shall do.
        pace: PaceChange,
    },
    /// Copies of packets, decoded, until the limit, the end of the source, or the end of the connection.
    Tap {
        /// Of what.
        source: TapSource,
        /// Most packets; absent: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    },
}

/// What a replay is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PaceChange {
    /// Stop before the next event.
    Pause {},
    /// Play so many events more, then stop; counted from those that were asked for before.
    Step {
        /// At least 1.
        events: u64,
    },
    /// Go on, so many times as fast as it was recorded.
    Times {
        /// 0.001 to 1,000,000.
        times: f64,
    },
    /// Go on as fast as it can be taken.
    Max {},
}

impl PaceChange {
    fn check(self) -> Result<(), Refusal> {
        match self {
            PaceChange::Step { events: 0 } => Err(Refusal::value("events", 0, "at least 1")),
            PaceChange::Times { times } if !(0.001..=1e6).contains(&times) => {
                Err(Refusal::value("times", times, "0.001 to 1000000"))
            }
            _ => Ok(()),
        }
    }
}

/// Which of a feed's addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressChoice {
    /// The first.
    #[default]
    Primary,
    /// The second.
    Failover,
}

impl AddressChoice {
    /// Its place among the feed's addresses.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            AddressChoice::Primary => 0,
            AddressChoice::Failover => 1,
        }
    }
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            AddressChoice::Primary => "primary",
            AddressChoice::Failover => "failover",
        }
    }
}

/// Where tapped packets come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TapSource {
    /// A feed, as its packets come.
    Feed {
        /// Its name.
        name: String,
    },
    /// A capture on the engine's host, without sequencing: decisions.md 23.
    Pcap {
        /// Absolute path of a regular file that the engine can read.
        path: String,
        /// Dialect of its ITCH messages; absent: found out from their types and lengths.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dialect: Option<String>,
    },
}

/// An instrument by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstrumentName {
    /// Venue: 1 to 8 letters and digits, ISO 10383 where there is one.
    pub venue: String,
    /// Symbol, as the venue writes it.
    pub symbol: String,
}

/// Who may ask: decisions.md 14.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Gateways and operators.
    Look,
    /// Operators.
    Operate,
}

impl Command {
    /// The verb, as it is written.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Command::Status { .. } => "status",
            Command::Connect { .. } => "connect",
            Command::Disconnect { .. } => "disconnect",
            Command::Reload {} => "reload",
            Command::Define(_) => "define",
            Command::Undefine { .. } => "undefine",
            Command::Definitions { .. } => "definitions",
            Command::Demand { .. } => "demand",
            Command::Pace { .. } => "pace",
            Command::Tap { .. } => "tap",
        }
    }

    /// The right that it needs.
    #[must_use]
    pub const fn right(&self) -> Right {
        match self {
            Command::Status { .. } | Command::Demand { .. } => Right::Look,
            _ => Right::Operate,
        }
    }

    /// Checks what can be known without an engine.
    ///
    /// # Errors
    /// [`Refusal`] with the field, its value and what was expected.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Command::Connect { wait_ms, .. } | Command::Disconnect { wait_ms, .. } if *wait_ms > WAIT_MS_MAX => {
                Err(Refusal::value("wait_ms", wait_ms, format!("0 to {WAIT_MS_MAX}")))
            }
            Command::Define(definition) => definition.check(),
            Command::Pace { pace, .. } => pace.check(),
            Command::Demand { instruments } if instruments.len() > DEMAND_INSTRUMENTS_MAX => Err(Refusal {
                code: RefusalCode::Limit,
                ..Refusal::value("instruments", instruments.len(), format!("at most {DEMAND_INSTRUMENTS_MAX}"))
            }),
            Command::Demand { instruments } => instruments.iter().try_for_each(InstrumentName::check),
            Command::Tap { source: TapSource::Pcap { path, .. }, .. } if !path.starts_with('/') => {
                Err(Refusal::value("path", path, "an absolute path"))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a request from the bytes of one message, and checks it.
///
/// # Errors
/// The `id` to answer with, as far as it could be read (else 0), and the [`Refusal`].
pub fn read_request(payload: &[u8]) -> Result<Request, (u64, Refusal)> {
    /// What every version has.
    #[derive(Deserialize)]
    struct Envelope {
        version: u32,
        #[serde(default)]
        id: u64,
    }
    let syntax = |error: serde_json::Error| Refusal {
        code: RefusalCode::BadRequest,
        field: "request".into(),
        value: String::from_utf8_lossy(&payload[..payload.len().min(64)]).into_owned(),
        expected: format!("a request of version {VERSION}: {error}"),
    };
    let envelope: Envelope = serde_json::from_slice(payload).map_err(|error| (0, syntax(error)))?;
    let id = envelope.id;
    if envelope.version != VERSION {
        let code = RefusalCode::Version;
        return Err((id, Refusal { code, ..Refusal::value("version", envelope.version, VERSION.to_string()) }));
    }
    let request: Request = serde_json::from_slice(payload).map_err(|error| (id, syntax(error)))?;
    request.command.check().map_err(|refusal| (id, refusal))?;
    Ok(request)
}
