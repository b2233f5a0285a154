//! Everything that can be chosen about an exchange.

use std::net::SocketAddr;
use std::path::PathBuf;

use wire::soupbin::field::{Password, SessionId, Username};
use wire::soupbin::server::ServerTimers;

use crate::fault::{Fault, FaultError};
use crate::log::{DEFAULT_MAX_LOG_BYTES, LogError};
use crate::market::ConfigError;
use crate::pace::Pace;
use crate::source::{AtEnd, Source, Start};

/// Default of the most clients at a time.
pub const DEFAULT_MAX_CLIENTS: usize = 64;

/// One exchange: one session on one address.
#[derive(Debug, Clone)]
pub struct ExchangeConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Name of the session, not blank.
    pub session: SessionId,
    /// Where the messages come from.
    pub source: Source,
    /// How fast they are released.
    pub pace: Pace,
    /// When the first one is released.
    pub start: Start,
    /// What comes after the last one.
    pub at_end: AtEnd,
    /// User and password that a login must name; none to take any.
    pub credentials: Option<(Username, Password)>,
    /// Starts a synthetic market at the real time of day at this offset from UTC in seconds. Needs [`Pace::Times`] of 1
    /// and an endless market.
    pub live_clock: Option<i64>,
    /// Heartbeats, silence and login limits.
    pub timers: ServerTimers,
    /// Most clients at a time, logged in or not; one more is closed at once.
    pub max_clients: usize,
    /// Most bytes of a synthetic market that are kept for resuming; the oldest go first.
    pub max_log_bytes: u64,
    /// Where the log's nameless files are.
    pub log_directory: PathBuf,
    /// What goes wrong, on purpose.
    pub faults: Vec<Fault>,
}

/// A fault of lines at a SoupBinTCP endpoint.
pub(super) fn wrong_place(fault: &'static str) -> FaultError {
    FaultError::Place { fault, feed: "a SoupBinTCP feed", hint: "give it to a MoldUDP64 feed" }
}

impl ExchangeConfig {
    /// Loopback, a free port, 1x, and nothing goes wrong.
    #[must_use]
    pub fn new(source: Source, session: SessionId) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            session,
            source,
            pace: Pace::Times(1.0),
            start: Start::Login,
            at_end: AtEnd::EndSession,
            credentials: None,
            live_clock: None,
            timers: ServerTimers::default(),
            max_clients: DEFAULT_MAX_CLIENTS,
            max_log_bytes: DEFAULT_MAX_LOG_BYTES,
            log_directory: std::env::temp_dir(),
            faults: Vec::new(),
        }
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`StartError::Market`], [`StartError::LiveClock`], [`StartError::BlankSession`].
    pub(super) fn validate(&self) -> Result<(), StartError> {
        if self.session.is_blank() {
            return Err(StartError::BlankSession);
        }
        self.source.validate()?;
        if let Some(Fault::Line(fault)) = self.faults.iter().find(|fault| matches!(fault, Fault::Line(_))) {
            return Err(StartError::Fault(wrong_place(fault.name())));
        }
        let can_be_live = self.source.can_be_live() && self.pace == Pace::Times(1.0);
        match self.live_clock {
            Some(_) if !can_be_live => Err(StartError::LiveClock),
            _ => Ok(()),
        }
    }
}

/// Why an exchange does not start: what was seen, what is wanted, how to change it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The market's settings.
    #[error(transparent)]
    Market(#[from] ConfigError),
    /// The file or the log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The settings of a MoldUDP64 feed.
    #[error("{0}")]
    Mold(String),
    /// A line's destination, interface or lifetime is not possible.
    #[error("cannot send to {address}: {cause}; give another destination, or an interface of this machine")]
    Line {
        /// The destination as configured.
        address: SocketAddr,
        /// The system's words.
        cause: std::io::Error,
    },
    /// A fault that this feed cannot have.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// Clients ask for a blank session to get the active one, so the active one needs a name.
    #[error("the session name is blank; give 1 to 10 letters or digits with --session")]
    BlankSession,
    /// A live clock contradicts the rest.
    #[error("--live-clock needs --speed 1x and a synthetic market with --profile endless; drop it or change them")]
    LiveClock,
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {cause}; give another address with --listen, port 0 for a free one")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// The system's words.
        cause: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}; allow more processes (ulimit -u)")]
    Thread(std::io::Error),
}
