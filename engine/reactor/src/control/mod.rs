//! Commands: what an operator, or a gateway, may ask of a running engine.
//!
//! ```text
//! control.sock --> server thread --> FeedHandle --bounded queue--> FeedPort (polled by the feed's task between bursts)
//!                                               <--facts, tap-----
//! ```
//!
//! The server runs on a thread of its own, off the feeds' cores. It meets a feed's task at one place, the pair made by
//! [`feed_pair`]: commands go one way through a bounded queue, and the other way come facts (written when a connection
//! changes, never per packet) and, while somebody looks, copies of packets through a bounded ring.
//!
//! * `server`, `connection`: the socket, its clients, and who may ask what;
//! * `commands`: what each command does;
//! * `settings`: the config in force, and what of a newer one can be taken up;
//! * `definitions`, `demand`: what the engine was told and keeps;
//! * `status`, `tap`: what it tells.
//!
//! Source: decisions.md 14, 15, 23; reliability.md rows 14, 31, 44, 46.

mod commands;
mod config;
mod connection;
mod definitions;
mod demand;
mod link;
mod server;
mod settings;
mod status;
mod tap;
mod tap_ring;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use shm_abi::segment::Segment;

use crate::config::EnginePlan;
use crate::ids::IdStore;

use commands::Commands;
use server::Server;
use status::Feed;

pub(crate) use commands::LogLevel;
pub(crate) use config::ControlConfig;
pub(crate) use definitions::Definitions;
pub(crate) use link::{FeedCommand, FeedHandle, FeedIdentity, FeedPort, LineScore, feed_pair};
pub(crate) use settings::Settings;
pub(crate) use tap::{decode_capture, read_capture};
pub(crate) use tap_ring::TapKind;

/// What the command server is made from, before there are lanes.
pub(crate) struct Control {
    pub(crate) settings: Settings,
    pub(crate) definitions: Definitions,
    pub(crate) log_level: LogLevel,
}

impl Control {
    /// Makes the command socket and serves it until `stop`, unless the config wants none. Each feed is found in the
    /// segment of its lane.
    ///
    /// # Errors
    /// The text to refuse the start with.
    pub(crate) fn start(
        self,
        plan: &EnginePlan,
        handles: Vec<FeedHandle>,
        segments: &[Segment],
        ids: IdStore,
        stop: Arc<AtomicBool>,
    ) -> Result<Option<JoinHandle<()>>, String> {
        let hangup = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGHUP, hangup.clone())
            .map_err(|error| format!("signal handler: {error}"))?;
        tracing::info!(definitions = self.definitions.count(), socket = plan.control.enabled, "commands");
        if !plan.control.enabled {
            return Ok(None);
        }
        let segment = |handle: &FeedHandle| segments.iter().find(|segment| segment.lane() == handle.identity.lane);
        let feed = |handle| segment(&handle).cloned().map(|segment| Feed { handle, segment });
        let feeds = handles.into_iter().filter_map(feed).collect();
        let feed_cores = plan.lanes.iter().filter_map(|lane| lane.config.core).collect();
        let commands = Commands::new(feeds, plan.clone(), self.settings, self.definitions, ids, self.log_level);
        let server = Server::bind(&plan.engine.runtime_dir, commands).map_err(|error| error.to_string())?;
        let thread = server.start(feed_cores, stop, hangup).map_err(|error| format!("command thread: {error}"))?;
        Ok(Some(thread))
    }
}
