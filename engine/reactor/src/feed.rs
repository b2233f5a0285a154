//! One feed's life: connect, log in, receive, hand over, and come back after every way a line can end.
//!
//! This is the only code that meets a socket and a clock at the same time. The session itself is a state machine in
//! `wire`; the books are in `market`.

use std::cell::RefCell;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use market::{MessageAt, Stamps};
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::{FeedState, State};
use shm_abi::record::{flag, gap_reason};
use shm_abi::sys::{monotonic_ns, realtime_ns};
use wire::Nanos;
use wire::soupbin::backoff::{Attempt, Backoff};
use wire::soupbin::client::{Client, ClientConfig, CloseReason, SessionChange, Step};
use wire::soupbin::field::SessionId;
use wire::soupbin::frame::{kind as packet, next_packet};

use crate::config::{AllowList, FeedPlan, Wait};
use crate::inbox::Inbox;
use crate::lane::{Lane, SessionEvent};
use crate::rt::{self, Connection};
use crate::sys::{self, Received};

/// Messages handed to the book at a time: enough for its look-ahead (performance.md 9), few enough to stay in the
/// first-level cache.
const BATCH: usize = market::BATCH;
/// Longest sleep of a reactor that waits for its socket or for a delay: how late it can notice a stop.
const STOP_LATENCY_NS: u64 = 50_000_000;
/// Bytes waiting to be sent: a login and a few heartbeats. A server that takes less is dead.
const OUTBOX_BYTES: usize = 256;

/// What a feed task needs besides its lane.
pub(crate) struct FeedTask {
    pub(crate) plan: FeedPlan,
    pub(crate) allow: AllowList,
    pub(crate) wait: Wait,
    pub(crate) spin_ns: u64,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) lane: Rc<RefCell<Lane>>,
    /// What the next connection logs in with.
    login: ClientConfig,
    /// The session that the books belong to; `None` until the first login.
    session: Option<SessionId>,
}

fn now() -> Nanos {
    Nanos(monotonic_ns())
}

/// A session's name as the ABI keeps it: 16 bytes of ASCII, space-padded.
fn session_bytes(session: SessionId) -> [u8; 16] {
    let mut bytes = [b' '; 16];
    let name = session.as_bytes();
    bytes[..name.len()].copy_from_slice(name);
    bytes
}

impl FeedTask {
    pub(crate) fn new(
        plan: FeedPlan,
        allow: AllowList,
        wait: Wait,
        spin_ns: u64,
        stop: Arc<AtomicBool>,
        lane: Rc<RefCell<Lane>>,
    ) -> FeedTask {
        let login = plan.login;
        FeedTask { plan, allow, wait, spin_ns, stop, lane, login, session: None }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Runs until told to stop. Every end of a connection is counted and told, then the policy says what comes next.
    pub(crate) async fn run(mut self) {
        let seed = self.lane.borrow().writer.identity().incarnation;
        let mut backoff = Backoff::new(self.plan.backoff, seed);
        let mut attempt = backoff.first(now());
        let mut inbox = Inbox::new(self.plan.receive_buffer_bytes);
        while self.wait_until(attempt.at).await {
            let reason = self.connection(attempt, &mut backoff, &mut inbox).await;
            self.report_end(reason);
            match backoff.on_closed(reason, now()) {
                Some(next) => attempt = next,
                None => break,
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
    async fn connection(&mut self, attempt: Attempt, backoff: &mut Backoff, inbox: &mut Inbox) -> CloseReason {
        self.set_state(FeedState::Connecting);
        self.count(FeedCounter::Connects, 1);
        let text = self.plan.addresses[attempt.address_index % self.plan.addresses.len()].clone();
        let Some(connection) = self.dial(&text).await else { return CloseReason::LineBroken };
        if let Err(error) = sys::enable_receive_stamps(&connection) {
            tracing::warn!(feed = self.plan.name, %error, "no kernel receive stamps; stamping in user space");
        }
        let client = Client::new(self.login.ask_current(attempt.blank_session), now());
        self.set_state(FeedState::LoginSent);
        inbox.clear();
        let reason = Link { task: self, connection, client, inbox, backoff, outbox: Vec::with_capacity(OUTBOX_BYTES) }
            .run()
            .await;
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

    fn set_state(&self, state: FeedState) {
        self.lane.borrow_mut().feed.set_state(state);
    }

    fn count(&self, counter: FeedCounter, by: u64) {
        self.lane.borrow_mut().feed.counters.add_feed(counter, by);
    }

    /// Tells readers, counters and the log how a connection ended.
    fn report_end(&self, reason: CloseReason) {
        let mut lane = self.lane.borrow_mut();
        let lane = &mut *lane;
        let (state, counter, event) = match reason {
            CloseReason::LoggedOut => return,
            CloseReason::Rejected { .. } => (FeedState::Rejected, Some(FeedCounter::Rejects), SessionEvent::Down),
            CloseReason::SessionEnded => (FeedState::EndOfSession, None, SessionEvent::Ended),
            CloseReason::Silence { .. } | CloseReason::LoginTimeout { .. } => {
                (FeedState::Reconnecting, Some(FeedCounter::Silences), SessionEvent::Down)
            }
            CloseReason::LineBroken => (FeedState::Reconnecting, Some(FeedCounter::Disconnects), SessionEvent::Down),
            _ => (FeedState::Reconnecting, Some(FeedCounter::ProtocolErrors), SessionEvent::Down),
        };
        lane.feed.set_state(state);
        if let Some(counter) = counter {
            lane.feed.counters.add_feed(counter, 1);
        }
        lane.session_event(event, realtime_ns());
        lane.writer.publish_heads();
        lane.writer.wake_sleepers(&lane.sleepers);
        tracing::info!(feed = self.plan.name, %reason, "connection ended");
    }
}

/// One live connection.
struct Link<'t> {
    task: &'t mut FeedTask,
    connection: Connection,
    client: Client,
    inbox: &'t mut Inbox,
    backoff: &'t mut Backoff,
    outbox: Vec<u8>,
}

impl Link<'_> {
    /// The reactor's loop: receive a burst, hand it over, yield; wait as configured when there is nothing.
    async fn run(mut self) -> CloseReason {
        let mut heard = now();
        let mut asked_to_stop = false;
        loop {
            let received = match sys::receive(self.connection.descriptor(), self.inbox.space()) {
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
                    self.inbox.filled(count);
                    self.client.handle_bytes_received(at);
                    if let Err(reason) = self.burst(at, count, stamp_ns) {
                        return reason;
                    }
                }
                Received::End => return self.client.handle_disconnect(),
                Received::WouldBlock => {
                    if self.task.stopping() && !asked_to_stop {
                        asked_to_stop = true;
                        self.client.request_logout(at);
                    }
                    if let Some(reason) = self.tick(at) {
                        return reason;
                    }
                    self.wait(at, heard).await;
                    continue;
                }
            }
            if self.task.stopping() && !asked_to_stop {
                asked_to_stop = true;
                self.client.request_logout(at);
            }
            // A stream that never pauses still needs its heartbeats sent and its timers looked at.
            if let Some(reason) = self.tick(at) {
                return reason;
            }
            rt::yield_if_needed().await;
        }
    }

    /// Timers and what waits to be sent.
    fn tick(&mut self, at: Nanos) -> Option<CloseReason> {
        if self.client.poll_timeout().is_some_and(|due| due <= at)
            && let Step::Close(reason) = self.client.handle_timeout(at)
        {
            return Some(reason);
        }
        while let Some(packet) = self.client.poll_transmit() {
            if self.outbox.len() + packet.as_bytes().len() > OUTBOX_BYTES {
                return Some(self.client.handle_disconnect());
            }
            self.outbox.extend_from_slice(packet.as_bytes());
        }
        if !self.outbox.is_empty() {
            match sys::send(self.connection.descriptor(), &self.outbox) {
                Ok(0) => {}
                Ok(sent) => {
                    self.outbox.drain(..sent);
                    self.client.handle_sent(at);
                }
                Err(_) => return Some(self.client.handle_disconnect()),
            }
        }
        None
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
        let due = self.client.poll_timeout().map_or(STOP_LATENCY_NS, |due| due.since(at));
        self.connection.readable(due.clamp(1, STOP_LATENCY_NS)).await;
    }

    /// Takes every whole packet of the inbox. `count` bytes have just come in one read, stamped `stamp_ns`.
    fn burst(&mut self, at: Nanos, count: usize, stamp_ns: Option<u64>) -> Result<(), CloseReason> {
        let allocations = sys::allocations();
        let lane = self.task.lane.clone();
        let mut lane = lane.borrow_mut();
        let lane = &mut *lane;
        let ts_recv = stamp_ns.unwrap_or_else(realtime_ns);
        lane.feed.counters.add_feed(FeedCounter::Bytes, count as u64);
        lane.feed.counters.set_feed(FeedCounter::LastByteNs, ts_recv);
        let flags = if stamp_ns.is_some() { 0 } else { flag::RECV_USER };
        let mut burst = Burst {
            batch: [MessageAt { sequence: 0, at: 0, len: 0 }; BATCH],
            len: 0,
            total: 0,
            duplicates: 0,
            ts_recv,
            flags,
        };
        let outcome = self.packets(at, lane, &mut burst);
        // Also after an error: what was complete before it counts.
        burst.flush(self.inbox.bytes(), lane);
        self.inbox.consume();
        burst.finish(lane);
        lane.end_burst(self.client.next_sequence());
        lane.feed.counters.set_feed(FeedCounter::NextSequence, self.client.next_sequence());
        if let Some(session) = self.task.session {
            // What the next connection asks for: only what has been published counts as received.
            self.task.login = self.task.login.resume(session, self.client.next_sequence());
        }
        lane.writer.counters.add(LaneCounter::HotAllocations, sys::allocations() - allocations);
        outcome
    }

    fn packets(&mut self, at: Nanos, lane: &mut Lane, burst: &mut Burst) -> Result<(), CloseReason> {
        loop {
            let start = self.inbox.start();
            let next = match next_packet(self.inbox.waiting()) {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(()),
                Err(error) => match self.client.handle_frame_error(error) {
                    Step::Close(reason) => return Err(reason),
                    _ => return Err(CloseReason::LineBroken),
                },
            };
            let (kind, consumed) = (next.kind, next.consumed);
            match self.client.handle_packet(at, kind, next.payload) {
                Step::Deliver { sequence, payload } => {
                    let place = (start + consumed - payload.len()) as u32;
                    burst.push(MessageAt { sequence, at: place, len: payload.len() as u32 });
                    if burst.len == BATCH {
                        burst.flush(self.inbox.bytes(), lane);
                    }
                }
                Step::Duplicate { .. } => burst.duplicates += 1,
                Step::Nothing => {
                    if kind == packet::SERVER_HEARTBEAT {
                        lane.feed.counters.add_feed(FeedCounter::Heartbeats, 1);
                    }
                }
                Step::Unsequenced { .. } => lane.feed.counters.add_feed(FeedCounter::UnsequencedPackets, 1),
                Step::Debug { .. } => lane.feed.counters.add_feed(FeedCounter::DebugPackets, 1),
                Step::LoggedIn { session, sequence, change, gap, .. } => {
                    burst.flush(self.inbox.bytes(), lane);
                    self.backoff.on_live(at);
                    let gap = gap.map(|gap| (gap.first, gap.last));
                    self.task.logged_in(lane, burst.stamps(), session, change, gap);
                    tracing::info!(feed = self.task.plan.name, %session, sequence, ?change, ?gap, "logged in");
                }
                // The venue closes soon; the connection's end is then told as the end of the session.
                Step::EndOfSession => {}
                Step::Close(reason) => return Err(reason),
            }
            self.inbox.take(consumed);
        }
    }
}

impl FeedTask {
    /// The login was accepted: which session, whether its numbers go on, and what it will not bring.
    fn logged_in(
        &mut self,
        lane: &mut Lane,
        stamps: Stamps,
        session: SessionId,
        change: SessionChange,
        gap: Option<(u64, u64)>,
    ) {
        let bytes = session_bytes(session);
        lane.feed.counters.add_feed(FeedCounter::Logins, 1);
        match (self.session, change) {
            (None, _) => lane.first_session(&bytes),
            (Some(_), SessionChange::SameSession) => {}
            (Some(_), SessionChange::NewSession) => {
                lane.feed.counters.add_feed(FeedCounter::SessionChanges, 1);
                lane.nasdaq.set_midnight(self.plan.calendar.midnight_ns(stamps.ts_recv));
                lane.nasdaq.new_session(&bytes, stamps, &mut lane.writer);
                let (orders_n, market_n) = (lane.writer.orders.next_number(), lane.writer.market.next_number());
                lane.feed.set_session(&bytes, orders_n, market_n);
                lane.market_sequence = 0;
            }
        }
        self.session = Some(session);
        if let Some((first, last)) = gap {
            lane.nasdaq.gap(first, last, gap_reason::SKIPPED_AT_LOGIN, stamps, &mut lane.writer);
        }
        lane.feed.set_state(FeedState::Live);
        lane.session_event(SessionEvent::Up, stamps.ts_recv);
        lane.writer.set_state(if lane.nasdaq.is_rebuilding() { State::Recovering } else { State::Live });
    }
}

/// Messages of one read on their way to the book.
struct Burst {
    batch: [MessageAt; BATCH],
    len: usize,
    total: u64,
    duplicates: u64,
    ts_recv: u64,
    flags: u8,
}

impl Burst {
    fn push(&mut self, message: MessageAt) {
        self.batch[self.len] = message;
        self.len += 1;
        self.total += 1;
    }

    fn stamps(&self) -> Stamps {
        let coalesced = if self.total > 1 { flag::RECV_COALESCED } else { 0 };
        Stamps { ts_recv: self.ts_recv, ts_publish: realtime_ns(), flags: self.flags | coalesced }
    }

    /// Hands what is gathered to the book.
    fn flush(&mut self, bytes: &[u8], lane: &mut Lane) {
        if self.len > 0 {
            let was_rebuilding = lane.nasdaq.is_rebuilding();
            lane.nasdaq.apply(bytes, &self.batch[..self.len], self.stamps(), &mut lane.writer);
            if was_rebuilding && !lane.nasdaq.is_rebuilding() {
                lane.writer.set_state(State::Live);
            }
            self.len = 0;
        }
    }

    fn finish(&self, lane: &mut Lane) {
        lane.feed.counters.add_feed(FeedCounter::SequencedPackets, self.total + self.duplicates);
        if self.duplicates > 0 {
            lane.nasdaq.duplicate(&mut lane.writer, self.duplicates);
        }
        if self.total > 0 {
            lane.writer.counters.add(LaneCounter::Bursts, 1);
            if self.total > lane.writer.counters.get(LaneCounter::BurstMax) {
                lane.writer.counters.set(LaneCounter::BurstMax, self.total);
            }
        }
    }
}
