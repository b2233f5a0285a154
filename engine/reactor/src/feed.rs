//! One feed's life: connect, log in, receive, hand over, and come back after every way a line can end.
//!
//! This is the only code that meets a socket and a clock at the same time. What the bytes mean is decided in
//! `market::ingest`.

use std::cell::RefCell;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use market::ingest::{News, SoupBin, SoupBinConfig};
use shm_abi::counters::LaneCounter;
use shm_abi::sys::{monotonic_ns, realtime_ns};
use wire::Nanos;
use wire::soupbin::backoff::Attempt;
use wire::soupbin::client::CloseReason;

use crate::config::{AllowList, FeedPlan, Wait};
use crate::lane::Lane;
use crate::rt::{self, Connection};
use crate::sys::{self, Received};

/// Longest sleep of a reactor that waits for its socket or for a delay: how late it can notice a stop.
const STOP_LATENCY_NS: u64 = 50_000_000;

/// What a feed task needs besides its lane.
pub(crate) struct FeedTask {
    pub(crate) plan: FeedPlan,
    pub(crate) allow: AllowList,
    pub(crate) wait: Wait,
    pub(crate) spin_ns: u64,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) lane: Rc<RefCell<Lane>>,
}

fn now() -> Nanos {
    Nanos(monotonic_ns())
}

impl FeedTask {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Runs until told to stop. Every end of a connection is counted and told, then the policy says what comes next.
    pub(crate) async fn run(self) {
        let seed = self.lane.borrow().out.writer.identity().incarnation;
        let config = SoupBinConfig {
            login: self.plan.login,
            backoff: self.plan.backoff,
            receive_buffer_bytes: self.plan.receive_buffer_bytes,
        };
        let mut soup = SoupBin::new(config, seed);
        let mut next = Some(soup.first(now()));
        while let Some(attempt) = next
            && self.wait_until(attempt.at).await
        {
            let reason = self.connection(attempt, &mut soup).await;
            let mut lane = self.lane.borrow_mut();
            next = soup.closed(reason, now(), realtime_ns(), &mut lane.out);
            lane.wake();
            if reason != CloseReason::LoggedOut {
                tracing::info!(feed = self.plan.name, %reason, "connection ended");
            }
        }
    }

    /// Sleeps until `at`; `false` when the engine stops first.
    async fn wait_until(&self, at: Nanos) -> bool {
        loop {
            if self.stopping() {
                return false;
            }
            match at.since(now()) {
                0 => return true,
                left => rt::sleep(left.min(STOP_LATENCY_NS)).await,
            }
        }
    }

    /// One connection from dialling to its end.
    async fn connection(&self, attempt: Attempt, soup: &mut SoupBin) -> CloseReason {
        soup.dialling(&mut self.lane.borrow_mut().out);
        let text = self.plan.addresses[attempt.address_index % self.plan.addresses.len()].clone();
        let Some(connection) = self.dial(&text).await else { return CloseReason::LineBroken };
        if let Err(error) = sys::enable_receive_stamps(&connection) {
            tracing::warn!(feed = self.plan.name, %error, "no kernel receive stamps; stamping in user space");
        }
        soup.connected(attempt, now(), &mut self.lane.borrow_mut().out);
        let reason = Link { task: self, connection, soup }.run().await;
        if self.stopping() { CloseReason::LoggedOut } else { reason }
    }

    /// Resolves (off the reactor), checks against the allow list, connects.
    async fn dial(&self, text: &str) -> Option<Connection> {
        let (feed, owned) = (&self.plan.name, text.to_owned());
        let resolved: Vec<SocketAddr> = match text.parse::<SocketAddr>() {
            Ok(address) => vec![address],
            Err(_) => match rt::offload(move || owned.to_socket_addrs().map(Iterator::collect)).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    tracing::warn!(feed, address = text, %error, "name not resolved");
                    return None;
                }
            },
        };
        let Some(address) = resolved.iter().find(|address| self.allow.allows(address.ip())) else {
            tracing::error!(feed, address = text, ?resolved, "not in [feeds] allow: add its network there to dial it");
            return None;
        };
        match Connection::open(*address, self.plan.connect_timeout_ms).await {
            Ok(connection) => Some(connection),
            Err(error) => {
                tracing::warn!(feed, %address, %error, "connection failed");
                None
            }
        }
    }
}

/// One live connection.
struct Link<'t> {
    task: &'t FeedTask,
    connection: Connection,
    soup: &'t mut SoupBin,
}

impl Link<'_> {
    /// The reactor's loop: receive a burst, hand it over, yield; wait as configured when there is nothing.
    async fn run(mut self) -> CloseReason {
        let mut heard = now();
        let mut asked_to_stop = false;
        loop {
            let received = match sys::receive(self.connection.descriptor(), self.soup.space()) {
                Ok(received) => received,
                Err(error) => {
                    tracing::info!(feed = self.task.plan.name, %error, "receive failed");
                    Received::End
                }
            };
            let at = now();
            match received {
                Received::Bytes { count, stamp_ns } => {
                    heard = at;
                    if let Err(reason) = self.burst(at, count, stamp_ns) {
                        return reason;
                    }
                }
                Received::End => return self.soup.disconnected(),
                Received::WouldBlock => {}
            }
            if self.task.stopping() && !asked_to_stop {
                asked_to_stop = true;
                self.soup.request_logout(at);
            }
            // A stream that never pauses still needs its heartbeats sent and its timers looked at.
            if let Err(reason) = self.tick(at) {
                return reason;
            }
            match received {
                Received::WouldBlock => self.wait(at, heard).await,
                _ => rt::yield_if_needed().await,
            }
        }
    }

    /// Timers and what waits to be sent.
    fn tick(&mut self, at: Nanos) -> Result<(), CloseReason> {
        self.soup.tick(at)?;
        if !self.soup.outgoing().is_empty() {
            match sys::send(self.connection.descriptor(), self.soup.outgoing()) {
                Ok(count) => self.soup.sent(at, count),
                Err(_) => return Err(self.soup.disconnected()),
            }
        }
        Ok(())
    }

    /// Nothing was there: spins or sleeps, by the plan.
    async fn wait(&self, at: Nanos, heard: Nanos) {
        let spin = match self.task.wait {
            Wait::Spin => true,
            Wait::Park => false,
            Wait::Auto | Wait::Adaptive => at.since(heard) < self.task.spin_ns,
        };
        if spin {
            std::hint::spin_loop();
            rt::yield_if_needed().await;
            return;
        }
        let due = self.soup.poll_timeout().map_or(STOP_LATENCY_NS, |due| due.since(at));
        self.connection.readable(due.clamp(1, STOP_LATENCY_NS)).await;
    }

    /// `count` bytes have just come in one read, stamped `stamp_ns`.
    fn burst(&mut self, at: Nanos, count: usize, stamp_ns: Option<u64>) -> Result<(), CloseReason> {
        let allocations = sys::allocations();
        let mut lane = self.task.lane.borrow_mut();
        let outcome = self.soup.received(at, count, stamp_ns, realtime_ns, &mut (), &mut lane.out);
        lane.wake();
        lane.out.count_lane(LaneCounter::HotAllocations, sys::allocations() - allocations);
        if let Some(News::LoggedIn { session, sequence, start, gap, rebuilding }) = self.soup.poll_news() {
            tracing::info!(feed = self.task.plan.name, %session, sequence, ?start, ?gap, rebuilding, "logged in");
        }
        outcome
    }
}
