//! A SoupBinTCP feed: dial, log in, receive, hand over, and come back after every way a line can end.

use market::ingest::{News, SoupBin};
use shm_abi::counters::LaneCounter;
use shm_abi::layout::FeedState;
use shm_abi::sys::realtime_ns;
use wire::Nanos;
use wire::soupbin::backoff::Attempt;
use wire::soupbin::client::CloseReason;

use super::dial::Dialler;
use super::{Asked, FeedTask, LineTap, STOP_LATENCY_NS, now};
use crate::config::{SoupPlan, Transport};
use crate::control::TapKind;
use crate::rt::{self, Connection};
use crate::sys::{self, Received};

/// What was asked while a connection was made or open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intent {
    /// Nothing: the policy says what comes next.
    Policy,
    /// Stay closed until asked.
    Pause,
    /// Dial this address at once.
    Dial(usize),
}

/// Runs until the engine stops. Every end of a connection is counted and told, then the policy, or whoever gives commands,
/// says what comes next.
pub(super) async fn run(task: &mut FeedTask, plan: SoupPlan) {
    let seed = task.lane.borrow().out.writer.identity().incarnation;
    let mut feed = SoupFeed {
        soup: SoupBin::new(plan.config, seed),
        plan,
        dialler: Dialler::default(),
        told: None,
        intent: Intent::Policy,
        task,
    };
    let mut attempt = feed.soup.first(now());
    loop {
        feed.wait_until(attempt.at).await;
        let mut reason = CloseReason::LoggedOut;
        if feed.intent == Intent::Policy && !feed.task.stopping() {
            reason = feed.connection(attempt).await;
        }
        match feed.next(reason).await {
            Some(next) => attempt = next,
            None => return,
        }
    }
}

/// One feed over its connections.
struct SoupFeed<'t> {
    task: &'t mut FeedTask,
    plan: SoupPlan,
    soup: SoupBin,
    dialler: Dialler,
    /// State that the command server was told.
    told: Option<FeedState>,
    intent: Intent,
}

impl SoupFeed<'_> {
    /// Sleeps until `at`, or until the engine stops or a command asks for something else.
    async fn wait_until(&mut self, at: Nanos) {
        while !self.task.stopping() {
            self.take_commands(None);
            if self.intent != Intent::Policy {
                return;
            }
            match at.since(now()) {
                0 => return,
                left => rt::sleep(left.min(STOP_LATENCY_NS)).await,
            }
        }
    }

    /// Takes what was asked meanwhile. `connected`: the address that is connected now.
    fn take_commands(&mut self, connected: Option<usize>) {
        while let Some(asked) = self.task.next_command() {
            match asked {
                Asked::Disconnect => self.intent = Intent::Pause,
                Asked::Connect(index) if connected == Some(index) => self.intent = Intent::Policy,
                Asked::Connect(index) => self.intent = Intent::Dial(index),
                Asked::Settings => {
                    if let Transport::Soup(plan) = &self.task.plan.transport {
                        self.plan = plan.clone();
                        self.soup.reconfigure(plan.config);
                    }
                }
                // A venue keeps its own.
                Asked::Pace(_) => {}
            }
        }
    }

    /// After the end of a connection: the next one to make; `None` when the engine stops.
    async fn next(&mut self, reason: CloseReason) -> Option<Attempt> {
        let next = {
            let mut lane = self.task.lane.borrow_mut();
            let next = self.soup.closed(reason, now(), realtime_ns(), &mut lane.out);
            lane.wake();
            next
        };
        if reason != CloseReason::LoggedOut {
            tracing::info!(feed = self.task.plan.name, %reason, "connection ended");
        }
        self.task.tell_state(&mut self.told, || reason.to_string());
        if self.task.stopping() {
            return None;
        }
        match std::mem::replace(&mut self.intent, Intent::Policy) {
            Intent::Policy => next.or_else(|| Some(self.soup.first(now()))),
            Intent::Dial(index) => Some(self.soup.redirect(index, now())),
            Intent::Pause => {
                {
                    let mut lane = self.task.lane.borrow_mut();
                    self.soup.paused(realtime_ns(), &mut lane.out);
                    lane.wake();
                }
                tracing::info!(feed = self.task.plan.name, "closed by command");
                self.task.tell_state(&mut self.told, || "closed by command".into());
                let index = self.task.paused().await?;
                if let Transport::Soup(plan) = &self.task.plan.transport {
                    self.plan = plan.clone();
                    self.soup.reconfigure(plan.config);
                }
                Some(self.soup.redirect(index, now()))
            }
        }
    }

    /// One connection from dialling to its end.
    async fn connection(&mut self, attempt: Attempt) -> CloseReason {
        let index = attempt.address_index % self.task.plan.addresses.len().max(1);
        self.soup.dialling(attempt, &mut self.task.lane.borrow_mut().out);
        self.task.port.tell_address(index, None);
        self.task.tell_state(&mut self.told, String::new);
        let Some(text) = self.task.plan.addresses.get(index).cloned() else { return CloseReason::LineBroken };
        let Some(connection) = self.dial(&text, index).await else { return CloseReason::LineBroken };
        if let Err(error) = sys::enable_receive_stamps(&connection) {
            tracing::warn!(feed = self.task.plan.name, %error, "no kernel receive stamps; stamping in user space");
        }
        self.soup.connected(attempt, now(), &mut self.task.lane.borrow_mut().out);
        self.task.tell_state(&mut self.told, String::new);
        let reason = self.link(&connection, index).await;
        let asked = self.task.stopping() || self.intent != Intent::Policy;
        if asked { CloseReason::LoggedOut } else { reason }
    }

    /// Dials, but gives up when the engine stops or a command comes.
    async fn dial(&mut self, text: &str, index: usize) -> Option<Connection> {
        let (stop, waiting) = (self.task.stop.clone(), &self.task.port);
        let connected =
            self.dialler.connect(&self.task.plan.name, text, &self.task.allow, self.plan.connect_timeout_ms);
        let interrupted = async {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) && !waiting.has_command() {
                rt::sleep(STOP_LATENCY_NS).await;
            }
            None
        };
        let (connection, remote) = rt::first(connected, interrupted).await?;
        self.task.port.tell_address(index, Some(remote));
        Some(connection)
    }

    /// The reactor's loop: receive a burst, hand it over, yield; wait as configured when there is nothing.
    async fn link(&mut self, connection: &Connection, index: usize) -> CloseReason {
        let mut heard = now();
        let mut asked_to_close = false;
        loop {
            let received = match sys::receive(connection.descriptor(), self.soup.space()) {
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
            self.take_commands(Some(index));
            if (self.task.stopping() || self.intent != Intent::Policy) && !asked_to_close {
                asked_to_close = true;
                self.soup.request_logout(at);
            }
            // A stream that never pauses still needs its heartbeats sent and its timers looked at.
            if let Err(reason) = self.tick(connection, at) {
                return reason;
            }
            match received {
                Received::WouldBlock => self.wait(connection, at, heard).await,
                _ => rt::yield_if_needed(at).await,
            }
        }
    }

    /// Timers and what waits to be sent.
    fn tick(&mut self, connection: &Connection, at: Nanos) -> Result<(), CloseReason> {
        self.soup.tick(at)?;
        if !self.soup.outgoing().is_empty() {
            match sys::send(connection.descriptor(), self.soup.outgoing()) {
                Ok(count) => self.soup.sent(at, count),
                Err(_) => return Err(self.soup.disconnected()),
            }
        }
        Ok(())
    }

    /// Nothing was there: spins or sleeps, by the plan.
    async fn wait(&self, connection: &Connection, at: Nanos, heard: Nanos) {
        if self.task.spins(at.since(heard)) {
            std::hint::spin_loop();
            rt::yield_if_needed(at).await;
            return;
        }
        let due = self.soup.poll_timeout().map_or(STOP_LATENCY_NS, |due| due.since(at));
        connection.readable(due.clamp(1, STOP_LATENCY_NS)).await;
    }

    /// `count` bytes have just come in one read, stamped `stamp_ns`.
    fn burst(&mut self, at: Nanos, count: usize, stamp_ns: Option<u64>) -> Result<(), CloseReason> {
        let allocations = sys::allocations();
        let mut tap = LineTap { port: &mut self.task.port, kind: TapKind::Soup, line: 0 };
        let outcome = {
            let mut lane = self.task.lane.borrow_mut();
            let outcome = self.soup.received(at, count, stamp_ns, realtime_ns, &mut tap, &mut lane.out);
            lane.wake();
            lane.out.count_lane(LaneCounter::HotAllocations, sys::allocations() - allocations);
            outcome
        };
        if let Some(News::LoggedIn { session, sequence, start, gap, rebuilding }) = self.soup.poll_news() {
            tracing::info!(feed = self.task.plan.name, %session, sequence, ?start, ?gap, rebuilding, "logged in");
            self.task.tell_state(&mut self.told, String::new);
        }
        outcome
    }
}
