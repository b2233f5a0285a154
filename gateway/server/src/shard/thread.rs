//! A shard's thread: pinned if that is wanted, with a runtime of its own.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::sync::watch;

use super::ShardTask;
use super::inbox::Inbox;
use crate::app::{App, AppState, Facts, Recorded, TradesAsker};
use crate::config::{Plan, Wait};
use crate::http::seats::Seats;
use crate::http::serve::Server;
use crate::http::{self};
use crate::journal::pool::Pool;
use crate::report::Report;
use crate::ws::Handshakes;

/// What all shards share.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) plan: Arc<Plan>,
    /// Resolved: not `auto`.
    pub(crate) wait: Wait,
    pub(crate) report: Arc<Report>,
    pub(crate) seats: Seats,
    pub(crate) facts: Facts,
    /// Readers of the journal; `None`: there is none.
    pub(crate) pool: Option<Pool>,
    /// Told to the shards' tasks.
    pub(crate) stop: Arc<AtomicBool>,
    /// Told to everything else.
    pub(crate) closing: watch::Receiver<bool>,
}

/// Starts a shard; returns once it serves.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn start(index: usize, listener: TcpListener, common: Common) -> io::Result<JoinHandle<()>> {
    let (started, wait_for_start) = mpsc::channel();
    let thread = Builder::new().name(format!("shard-{index}")).spawn(move || {
        let runtime = match prepare(index, &common) {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(error))),
        };
        runtime.block_on(async {
            match assemble(index, listener, common) {
                Ok(task) => {
                    // Whoever started this thread waits for the word.
                    let _ = started.send(Ok(()));
                    task.run().await;
                }
                Err(error) => drop(started.send(Err(error))),
            }
        });
        // What is still open now is cut off: its time is over.
        runtime.shutdown_background();
    })?;
    match wait_for_start.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the thread ended before it served")),
    }
}

fn prepare(index: usize, common: &Common) -> io::Result<tokio::runtime::Runtime> {
    if let Some(core) = common.plan.gateway.cores.get(index) {
        let mut set = CpuSet::new();
        set.set(*core);
        sched_setaffinity(None, &set)?;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Puts a shard together, on its runtime: the task, and accepting beside it.
fn assemble(index: usize, listener: TcpListener, common: Common) -> io::Result<ShardTask> {
    let Common { plan, wait, report, seats, facts, pool, stop, closing } = common;
    let inbox = Inbox::new()?;
    let task = ShardTask::new(index, &plan, wait, inbox.clone(), Arc::clone(&report), stop, pool.clone())?;
    let state = AppState::new(App {
        runtime_dir: plan.gateway.runtime_dir.clone(),
        report: Arc::clone(&report),
        facts,
        trades: TradesAsker(inbox.clone()),
        journal: pool.map(|pool| Recorded { pool, config: plan.journal.clone() }),
    });
    let handshakes = Handshakes { inbox, report: Arc::clone(&report), origins: plan.origins.clone().into() };
    let router = http::router(&plan, state, handshakes);
    let server = Server { router, seats, report, config: plan.http.clone(), stop: closing };
    tokio::spawn(server.accept(tokio::net::TcpListener::from_std(listener)?));
    Ok(task)
}
