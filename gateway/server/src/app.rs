//! What a REST handler is given: where the lanes are, what the shards told, and a way to ask the shard that it runs on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use gateway_core::dialect::Trade;
use gateway_core::limits::Limits;
use tokio::sync::oneshot;

use crate::journal::JournalConfig;
use crate::journal::pool::Pool;
use crate::report::Report;
use crate::shard::inbox::Inbox;

/// State of every handler. Cheap to clone. One a shard: handlers run on the shard's own thread, so they must not block.
#[derive(Debug, Clone)]
pub(crate) struct AppState(Arc<App>);

/// What stands behind [`AppState`].
#[derive(Debug)]
pub(crate) struct App {
    /// Where the engine's segments stand. May not exist yet.
    pub(crate) runtime_dir: PathBuf,
    /// What the shards told last, and the lanes by name in it.
    pub(crate) report: Arc<Report>,
    /// What was configured.
    pub(crate) facts: Facts,
    /// Asks the shard on whose thread the handler runs.
    pub(crate) trades: TradesAsker,
    /// The recorded bus; `None`: there is no journal.
    pub(crate) journal: Option<Recorded>,
}

/// The recorded bus, and who reads it.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// Threads that may wait for a disk.
    pub(crate) pool: Pool,
    /// Where it is, and the limits of reading it.
    pub(crate) config: JournalConfig,
}

/// Facts of the configuration, for `/status`.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Names the instance in messages.
    pub(crate) instance: String,
    /// Address that is listened on, with the true port.
    pub(crate) listen: SocketAddr,
    /// Threads that serve.
    pub(crate) shards: usize,
    /// How a shard waits: `spin` or `adaptive`.
    pub(crate) wait: &'static str,
    /// Lanes that were configured; empty: every lane that is found in the runtime directory.
    pub(crate) lanes: Vec<String>,
    /// Whether `/echo` is served.
    pub(crate) echo: bool,
    /// `[limits]`.
    pub(crate) limits: Limits,
}

/// A question for the newest trades of an instrument.
#[derive(Debug)]
pub(crate) struct TradesRequest {
    /// Lane name.
    pub(crate) lane: String,
    /// Lasting id.
    pub(crate) instrument_id: u32,
    /// At most so many, the newest.
    pub(crate) max: usize,
    /// Gets them; `None`: the shard knows no such lane. Dropped unanswered: the shard is stopping.
    pub(crate) reply: oneshot::Sender<Option<RecentTrades>>,
}

/// The newest trades of an instrument, as a shard keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecentTrades {
    /// Names the sequence that the numbers of the trades belong to.
    pub(crate) epoch: u64,
    /// Oldest first.
    pub(crate) trades: Vec<Trade>,
}

/// Why a shard does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    /// Answer it with 503 and `Retry-After: 1`.
    #[error("too many questions wait for this shard")]
    Busy,
    /// Answer it with 503.
    #[error("this shard is stopping")]
    Stopping,
}

/// Asks one shard.
#[derive(Debug, Clone)]
pub(crate) struct TradesAsker(pub(crate) Inbox);

impl TradesAsker {
    /// The newest trades of an instrument that the shard keeps, at most `max`, oldest first; `None`: no such lane.
    ///
    /// # Errors
    /// [`AskError`], when it cannot answer now.
    pub(crate) async fn recent(
        &self,
        lane: &str,
        instrument_id: u32,
        max: usize,
    ) -> Result<Option<RecentTrades>, AskError> {
        let (reply, answer) = oneshot::channel();
        self.0.ask(TradesRequest { lane: lane.into(), instrument_id, max, reply })?;
        answer.await.map_err(|_| AskError::Stopping)
    }
}

impl AppState {
    /// State around these things.
    pub(crate) fn new(app: App) -> AppState {
        AppState(Arc::new(app))
    }
}

impl std::ops::Deref for AppState {
    type Target = App;
    fn deref(&self) -> &App {
        &self.0
    }
}
