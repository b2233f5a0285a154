//! A feed of datagrams: lines A and B, re-request servers, and images of the books.

use market::ingest::{DatagramNews, Datagrams};
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::sys::realtime_ns;
use wire::Nanos;
use wire::dialect::WINDOW;
use wire::multicast::{LineId, Source};

use super::dial::Dialler;
use super::image::ImageLink;
use super::sockets::{open_line, open_server};
use super::{Asked, FeedTask, LineTap, STOP_LATENCY_NS, Throttle, datagram_kind, now};
use crate::config::{DatagramPlan, Transport};
use crate::control::LineScore;
use crate::rt::{self, DatagramSocket};
use crate::sys::{self, DatagramBuffer};

/// Between two tries to open the lines' sockets: an interface may come up later.
const REOPEN_NS: u64 = 1_000_000_000;
/// How long re-request servers are listened to after the last request.
const ANSWERS_NS: u64 = 5_000_000_000;
/// Longest sleep while answers or an image are awaited: their sockets do not wake the reactor.
const SIDE_LATENCY_NS: u64 = 1_000_000;
/// How often the command server is told of scores.
const SCORES_NS: u64 = 100_000_000;
/// Both lines, in their order.
const LINES: [LineId; 2] = [LineId::A, LineId::B];

/// How many datagrams a look at a socket asks for.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// The lines were silent: the first datagram to come is published before a second one is looked for.
    One,
    /// Data flows: as many as there are.
    Burst,
}

/// Runs until the engine stops.
pub(super) async fn run(task: &mut FeedTask, plan: &DatagramPlan) {
    let seed = task.lane.borrow().out.writer.identity().incarnation;
    let feed = match Datagrams::new(plan.config, seed) {
        Ok(feed) => feed,
        Err(error) => {
            // The plan was checked with the same limits.
            tracing::error!(feed = task.plan.name, %error, "the feed cannot be made");
            return;
        }
    };
    let mut feed = DatagramFeed {
        plan: plan.clone(),
        feed,
        buffer: DatagramBuffer::new(plan.datagram_bytes, WINDOW),
        servers: Vec::new(),
        image: ImageLink::Closed,
        answers_until: Nanos(0),
        scores_due: Nanos(0),
        told: None,
        reason: String::new(),
        gap_log: Throttle::default(),
        news_log: Throttle::default(),
        task,
    };
    while !feed.task.stopping() {
        let Some(lines) = feed.open().await else { return };
        feed.listen(&lines).await;
        if feed.task.stopping() {
            return;
        }
        drop(lines);
        feed.close_by_command();
        if feed.task.paused().await.is_none() {
            return;
        }
    }
}

struct DatagramFeed<'t> {
    task: &'t mut FeedTask,
    plan: DatagramPlan,
    feed: Datagrams,
    buffer: DatagramBuffer,
    servers: Vec<Option<DatagramSocket>>,
    image: ImageLink,
    answers_until: Nanos,
    scores_due: Nanos,
    told: Option<FeedState>,
    reason: String,
    gap_log: Throttle,
    news_log: Throttle,
}

impl DatagramFeed<'_> {
    /// Opens the lines, however long that takes; `None` when the engine stops first.
    async fn open(&mut self) -> Option<Vec<DatagramSocket>> {
        loop {
            let opened: Result<Vec<_>, String> =
                self.plan.lines.iter().map(|line| open_line(&self.task.plan.name, line, &self.plan)).collect();
            match opened {
                Ok(lines) => {
                    self.open_servers().await;
                    self.feed.listening(&mut self.task.lane.borrow_mut().out);
                    self.reason = "waiting for the first packet".into();
                    self.tell_state();
                    return Some(lines);
                }
                Err(error) => {
                    tracing::error!(feed = self.task.plan.name, error, "a line cannot be listened to; trying again");
                    self.task.lane.borrow_mut().out.set_state(FeedState::Reconnecting);
                    self.reason = error;
                    self.tell_state();
                }
            }
            let again = now().saturating_add(REOPEN_NS);
            while now() < again {
                if self.task.stopping() {
                    return None;
                }
                rt::sleep(STOP_LATENCY_NS).await;
            }
        }
    }

    /// Servers that cannot be had are asked in vain: the arbiter goes on to the next one.
    async fn open_servers(&mut self) {
        self.servers.clear();
        for text in &self.plan.servers {
            let (name, allow) = (&self.task.plan.name, &self.task.allow);
            let address = Dialler::default().resolve(name, text, allow, self.plan.connect_timeout_ms).await;
            let socket = address.and_then(|address| match open_server(address) {
                Ok(socket) => Some(socket),
                Err(error) => {
                    tracing::error!(feed = name, %address, %error, "a re-request server cannot be asked");
                    None
                }
            });
            self.servers.push(socket);
        }
    }

    /// The reactor's loop: a burst from each line, then whatever else there is; waits when there was nothing. Returns when
    /// the engine stops or a command closes the feed.
    async fn listen(&mut self, lines: &[DatagramSocket]) {
        let mut heard = now();
        let mut look = Look::One;
        loop {
            let at = now();
            let mut taken = 0;
            for (line, socket) in LINES.into_iter().zip(lines) {
                taken += self.receive(at, Source::Line(line), socket, look);
            }
            look = if taken > 0 { Look::Burst } else { Look::One };
            if at < self.answers_until {
                taken += self.receive_answers(at);
            }
            self.turn(at);
            if self.task.stopping() || self.closes() {
                return;
            }
            if taken > 0 {
                heard = at;
                rt::yield_if_needed(at).await;
            } else {
                self.wait(lines, at, heard).await;
            }
        }
    }

    /// Takes what is there on one socket, up to one datagram or a burst: how many.
    fn receive(&mut self, at: Nanos, source: Source, socket: &DatagramSocket, look: Look) -> usize {
        let received = match look {
            Look::One => self.buffer.receive_one(socket.descriptor()),
            Look::Burst => self.buffer.receive(socket.descriptor()),
        };
        let count = match received {
            Ok(0) => return 0,
            Ok(count) => count,
            Err(error) => {
                // Such as a server that refuses: the error was taken, the socket goes on.
                if let Some(left_out) = self.news_log.admit(at) {
                    tracing::warn!(feed = self.task.plan.name, %error, left_out, "receive failed");
                }
                return 0;
            }
        };
        let allocations = sys::allocations();
        let mut lane = self.task.lane.borrow_mut();
        let lane = &mut *lane;
        let line = match source {
            Source::Line(line) => line.index() as u8,
            Source::Recovery => 2,
        };
        let kind = datagram_kind(&self.task.plan);
        let mut tap = LineTap { port: &mut self.task.port, kind, line };
        for index in 0..count {
            let datagram = self.buffer.datagram(index);
            if let (Source::Line(line), Some(dropped)) = (source, datagram.dropped) {
                self.feed.kernel_drops(line, dropped.into(), &mut lane.out);
            }
            if datagram.len > datagram.at.len() {
                self.feed.cut_datagram(source, datagram.len, &mut lane.out);
                continue;
            }
            let (bytes, place, stamp) = (self.buffer.bytes(), datagram.at, datagram.stamp_ns);
            self.feed.datagram(at, source, bytes, place, stamp, realtime_ns, &mut tap, &mut lane.out);
        }
        self.feed.end_burst(&mut lane.out);
        lane.wake();
        lane.out.count_lane(LaneCounter::HotAllocations, sys::allocations() - allocations);
        count
    }

    fn receive_answers(&mut self, at: Nanos) -> usize {
        let servers = std::mem::take(&mut self.servers);
        let taken =
            servers.iter().flatten().map(|socket| self.receive(at, Source::Recovery, socket, Look::Burst)).sum();
        self.servers = servers;
        taken
    }

    /// Timers, requests, images, scores, news.
    fn turn(&mut self, at: Nanos) {
        if self.feed.poll_timeout() <= at {
            let mut lane = self.task.lane.borrow_mut();
            if self.feed.tick(at, realtime_ns, &mut lane.out) {
                self.feed.end_burst(&mut lane.out);
                lane.wake();
            }
        }
        while let Some(request) = self.feed.poll_request(at) {
            self.answers_until = at.saturating_add(ANSWERS_NS);
            let Some(Some(socket)) = self.servers.get(request.server) else { continue };
            if let Err(error) = sys::send(socket.descriptor(), request.as_bytes())
                && let Some(left_out) = self.news_log.admit(at)
            {
                tracing::warn!(feed = self.task.plan.name, %error, left_out, "a request could not be sent");
            }
        }
        if let Some(attempt) = self.feed.image_wanted(at) {
            let (plan, name) = (&self.plan, &self.task.plan.name);
            self.image = ImageLink::dial(name, &plan.image_servers, attempt, &self.task.allow, plan.connect_timeout_ms);
        }
        if self.image.is_busy() {
            self.image.turn(at, &mut self.feed, &mut self.task.lane.borrow_mut());
        }
        if at >= self.scores_due {
            self.scores_due = at.saturating_add(SCORES_NS);
            self.tell_scores();
        }
        while let Some(news) = self.feed.poll_news() {
            self.tell_news(at, news);
        }
    }

    fn tell_scores(&self) {
        let lane = self.task.lane.borrow();
        for line in LINES.into_iter().take(self.plan.lines.len()) {
            let [datagrams, _, wins, .., median_lead_ns, _, kernel_drops] =
                FeedCounter::of_line(line.index()).map(|counter| lane.out.feed.counters.get_feed(counter));
            self.task.port.tell_line(line.index(), LineScore { datagrams, wins, median_lead_ns, kernel_drops });
        }
    }

    fn tell_news(&mut self, at: Nanos, news: DatagramNews) {
        let feed = self.task.plan.name.as_str();
        match news {
            DatagramNews::Session { session, first, start } => {
                tracing::info!(feed, %session, first, ?start, "session begins");
                self.reason.clear();
            }
            DatagramNews::Ended { session } => {
                tracing::info!(feed, %session, "session ended");
                self.reason = "session ended".into();
            }
            DatagramNews::Silent => {
                tracing::warn!(feed, "all lines are silent");
                self.reason = "all lines are silent".into();
            }
            DatagramNews::Heard => {
                tracing::info!(feed, "packets come again");
                self.reason.clear();
            }
            DatagramNews::Image { next } => tracing::info!(feed, next, "image loaded"),
            DatagramNews::Gap { first, last, reason } => {
                if let Some(left_out) = self.gap_log.admit(at) {
                    tracing::warn!(feed, first, last, ?reason, left_out, "messages lost");
                }
            }
            DatagramNews::NoImage { reason } => {
                if let Some(left_out) = self.news_log.admit(at) {
                    let why = reason.map_or("it is older than what was published".into(), |reason| reason.to_string());
                    tracing::warn!(feed, why, left_out, "no image");
                }
            }
        }
        self.tell_state();
    }

    fn tell_state(&mut self) {
        self.task.tell_state(&mut self.told, || self.reason.clone());
    }

    /// Takes commands: `true` when one closes the feed.
    fn closes(&mut self) -> bool {
        match self.task.next_command() {
            Some(Asked::Disconnect) => true,
            Some(Asked::Settings) => {
                // Servers may change while the lines go on; what the lines are made of stays until a restart.
                if let Transport::Datagrams(plan) = &self.task.plan.transport {
                    self.plan.image_servers.clone_from(&plan.image_servers);
                    self.plan.servers.clone_from(&plan.servers);
                }
                false
            }
            Some(Asked::Connect(_) | Asked::Pace(_)) | None => false,
        }
    }

    fn close_by_command(&mut self) {
        tracing::info!(feed = self.task.plan.name, "closed by command");
        {
            let mut lane = self.task.lane.borrow_mut();
            self.feed.paused(realtime_ns(), &mut lane.out);
            lane.wake();
        }
        self.reason = "closed by command".into();
        self.tell_state();
    }

    /// Nothing was there: spins or sleeps, by the plan.
    async fn wait(&self, lines: &[DatagramSocket], at: Nanos, heard: Nanos) {
        if self.task.spins(at.since(heard)) {
            std::hint::spin_loop();
            rt::yield_if_needed(at).await;
            return;
        }
        let side = at < self.answers_until || self.image.is_busy();
        let limit = if side { SIDE_LATENCY_NS } else { STOP_LATENCY_NS };
        let due = self.feed.poll_timeout().since(at).clamp(1, limit);
        rt::any_readable(lines, due).await;
    }
}
