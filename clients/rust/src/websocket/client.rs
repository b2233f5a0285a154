//! The client: one connection at a time, and what is told of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use shm_abi::sys::random_u64;
use tungstenite::Message;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use super::chain::{Link, Verdict};
use super::command::Ask;
use super::data::{Snapshot, State, Update};
use super::decode::{Frame, PROTOCOL, Unreadable, parse};
use super::dial::{Dial, Socket, Url};
use super::error::Error;
use super::event::{Event, Gap, Hello, LaneState, Op};
use super::options::Options;
use super::pace::{Backoff, Pace};
use super::receive::{Fall, broken, closed, read, receive};
use super::table::{SYMBOLS_MAX, Table};
use super::topic::{Channel, Subscription, Topic};

/// Longest symbol, with its venue, bytes.
const SYMBOL_BYTES_MAX: usize = 41;
/// Bytes of a frame that cannot be read that are shown.
const HEAD_BYTES: usize = 64;
/// Longest wait that is asked of the clock: longer ones are as good as endless.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where the client stands with its gateway.
#[derive(Debug)]
enum Phase {
    /// Between two attempts.
    Waiting { until: Instant },
    /// An attempt is under way.
    Dialing(Dial),
    /// Connected, without a word from the gateway yet.
    Greeting { socket: Box<Socket>, by: Instant },
    /// Connected and greeted.
    Live(Live),
}

#[derive(Debug)]
struct Live {
    socket: Box<Socket>,
    since: Instant,
    heard: Instant,
    pinged: bool,
    pace: Pace,
    retry_refused: Instant,
}

/// A client of one gateway. Blocking, without a thread of its own.
#[derive(Debug)]
pub struct Client {
    url: Url,
    options: Options,
    phase: Phase,
    table: Table,
    /// Commands of this connection that were not sent yet.
    outgoing: VecDeque<String>,
    /// What was heard and not yet told: at most what one frame gives.
    ready: VecDeque<Event>,
    backoff: Backoff,
    greeted: bool,
}

impl Client {
    /// Connects to the gateway at `url`: `ws://host[:port]/ws/v1`, with `?slow=` if another policy than conflation is
    /// wanted.
    ///
    /// # Errors
    /// [`Error::Url`]; [`Error::Connect`] when this first attempt fails. Later ones are made by the client itself.
    pub fn connect(url: &str, options: Options) -> Result<Client, Error> {
        let url = Url::parse(url)?;
        let dial = Dial::start(&url, &options);
        let by = Instant::now() + options.connect_timeout;
        let outcome = dial.wait(by).unwrap_or_else(|| Err("no connection within the time limit".into()));
        let socket =
            outcome.map_err(|why| Error::Connect { url: url.text.clone(), why, waited: options.connect_timeout })?;
        Ok(Client {
            phase: Phase::Greeting { socket, by: Instant::now() + options.connect_timeout },
            backoff: Backoff::new(options.retry_min, options.retry_max),
            url,
            options,
            table: Table::default(),
            outgoing: VecDeque::new(),
            ready: VecDeque::new(),
            greeted: false,
        })
    }

    /// Subscribes; the answer comes as [`Event::Ack`] and [`Event::Refused`] with the id that this returns. While there
    /// is no connection it waits for the next.
    ///
    /// # Errors
    /// [`Error::Symbols`], [`Error::Symbol`], [`Error::Subscriptions`], [`Error::Queue`]: nothing was asked then.
    pub fn subscribe(&mut self, subscription: Subscription) -> Result<u64, Error> {
        self.check(&subscription)?;
        let (count, max) = (self.table.size() + subscription.symbols.len(), self.options.subscriptions);
        if count > max {
            return Err(Error::Subscriptions { count, max });
        }
        Ok(self.ask(Op::Subscribe, subscription))
    }

    /// Unsubscribes; the answer comes as [`Event::Ack`], and nothing of these topics after it.
    ///
    /// # Errors
    /// [`Error::Symbols`], [`Error::Symbol`], [`Error::Queue`].
    pub fn unsubscribe(&mut self, subscription: Subscription) -> Result<u64, Error> {
        self.check(&subscription)?;
        Ok(self.ask(Op::Unsubscribe, subscription))
    }

    /// Asks for a list of what is subscribed: [`Event::Subscriptions`].
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Queue`].
    pub fn list(&mut self) -> Result<u64, Error> {
        self.ask_now(&Ask::List)
    }

    /// Asks for a sign of life and the gateway's clock: [`Event::Pong`].
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::Queue`].
    pub fn ping(&mut self) -> Result<u64, Error> {
        self.ask_now(&Ask::Ping)
    }

    /// Whether there is a connection, and the gateway has said `hello` on it.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// Says goodbye. Dropping the client ends the connection without it.
    pub fn close(mut self) {
        if let Phase::Greeting { socket, .. } | Phase::Live(Live { socket, .. }) = &mut self.phase {
            // The gateway learns of the end in any case.
            let _ = socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }));
        }
    }

    /// The next event, or `None` when there was none for `limit`. Connecting, subscribing anew and answering pings all
    /// happen in here.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the gateway speaks another protocol, once per connection; the client goes on trying.
    pub fn next_within(&mut self, limit: Duration) -> Result<Option<Event>, Error> {
        let deadline = Instant::now() + limit.min(WAIT_MAX);
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            self.step(deadline)?;
            if self.ready.is_empty() && Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    fn check(&self, subscription: &Subscription) -> Result<(), Error> {
        let symbols = &subscription.symbols;
        if symbols.is_empty() || symbols.len() > SYMBOLS_MAX {
            return Err(Error::Symbols { count: symbols.len(), max: SYMBOLS_MAX });
        }
        if let Some(symbol) = symbols.iter().find(|symbol| symbol.is_empty() || symbol.len() > SYMBOL_BYTES_MAX) {
            let symbol = symbol.chars().take(SYMBOL_BYTES_MAX).collect();
            return Err(Error::Symbol { symbol, max: SYMBOL_BYTES_MAX });
        }
        self.room()
    }

    fn room(&self) -> Result<(), Error> {
        let max = self.options.commands_queued;
        if self.outgoing.len().max(self.table.unanswered()) >= max { Err(Error::Queue { max }) } else { Ok(()) }
    }

    fn ask(&mut self, op: Op, subscription: Subscription) -> u64 {
        let (id, ask) = self.table.ask(op, subscription);
        // Without a connection it waits in the table, and the next connection begins with it.
        if self.is_connected() {
            self.outgoing.push_back(ask.encode(id));
        }
        id
    }

    fn ask_now(&mut self, ask: &Ask) -> Result<u64, Error> {
        if !self.is_connected() {
            return Err(Error::NotConnected);
        }
        self.room()?;
        let id = self.table.next_id();
        self.outgoing.push_back(ask.encode(id));
        Ok(id)
    }

    /// Does one thing, and waits for it until `deadline` at most.
    fn step(&mut self, deadline: Instant) -> Result<(), Error> {
        let outcome = match &mut self.phase {
            Phase::Waiting { until } => {
                let wait = (*until).min(deadline).saturating_duration_since(Instant::now());
                std::thread::sleep(wait);
                if Instant::now() >= *until {
                    self.phase = Phase::Dialing(Dial::start(&self.url, &self.options));
                }
                return Ok(());
            }
            Phase::Dialing(dial) => match dial.wait(deadline) {
                None => return Ok(()),
                Some(Ok(socket)) => {
                    self.phase = Phase::Greeting { socket, by: Instant::now() + self.options.connect_timeout };
                    return Ok(());
                }
                Some(Err(why)) => Err(Fall::because(why)),
            },
            Phase::Greeting { socket, by } => match receive(socket, (*by).min(deadline)) {
                Ok(Some(text)) => return self.greet(&text),
                Ok(None) if Instant::now() >= *by => Err(Fall::because("no hello within the time limit")),
                Ok(None) => return Ok(()),
                Err(fall) => Err(fall),
            },
            Phase::Live(_) => self.converse(deadline),
        };
        if let Err(fall) = outcome {
            self.fall(fall);
        }
        Ok(())
    }

    /// The connection is over: says so, and when the next attempt begins.
    fn fall(&mut self, Fall { code, reason }: Fall) {
        if let Phase::Live(live) = &self.phase {
            self.backoff.stood(live.since.elapsed());
        }
        // Without random numbers the delay is still right, only not spread.
        let retry_in = self.backoff.delay(random_u64().unwrap_or(u64::MAX));
        self.phase = Phase::Waiting { until: Instant::now() + retry_in };
        self.outgoing.clear();
        self.table.disconnected();
        self.ready.push_back(Event::Disconnected { code, reason, retry_in });
    }

    /// The first words of a gateway.
    fn greet(&mut self, text: &str) -> Result<(), Error> {
        match parse(text) {
            Ok(Frame::Hello(hello)) => self.welcome(hello),
            Ok(_) => self.fall(Fall::because("the gateway did not begin with hello")),
            Err(Unreadable::Frame(why)) => self.fall(Fall::because(format!("hello cannot be read: {why}"))),
            Err(Unreadable::Protocol(got)) => {
                self.fall(Fall::because(format!("protocol {got}, expected {PROTOCOL}")));
                return Err(Error::Protocol { got, want: PROTOCOL });
            }
        }
        Ok(())
    }

    fn welcome(&mut self, hello: Hello) {
        let now = Instant::now();
        let limits = hello.limits;
        self.phase = match std::mem::replace(&mut self.phase, Phase::Waiting { until: now }) {
            Phase::Greeting { socket, .. } => Phase::Live(Live {
                socket,
                since: now,
                heard: now,
                pinged: false,
                pace: Pace::new(&limits, now),
                retry_refused: now + self.options.refused_retry,
            }),
            other => other,
        };
        for lane in hello.lanes.iter().filter(|lane| lane.stream != 0) {
            if let Some(epoch) = lane.epoch {
                self.bind(lane.stream, &lane.lane, epoch);
            }
        }
        let asks = self.table.connected(limits.symbols);
        self.outgoing.extend(asks.into_iter().map(|(id, ask)| ask.encode(id)));
        let again = std::mem::replace(&mut self.greeted, true);
        self.ready.push_back(if again { Event::Reconnected(hello) } else { Event::Connected(hello) });
    }

    /// A turn of a connection that stands: sends what is due, reads one message.
    fn converse(&mut self, deadline: Instant) -> Result<(), Fall> {
        let Phase::Live(live) = &mut self.phase else { return Ok(()) };
        let now = Instant::now();
        if now >= live.retry_refused {
            live.retry_refused = now + self.options.refused_retry;
            if self.outgoing.is_empty() {
                self.outgoing.extend(self.table.retries().into_iter().map(|(id, ask)| ask.encode(id)));
            }
        }
        while live.pace.next() <= now
            && let Some(command) = self.outgoing.pop_front()
        {
            live.socket.send(Message::text(command)).map_err(|error| broken(&error))?;
            live.pace.sent(now);
        }
        let silence_ends = live.heard + self.options.read_timeout;
        if now >= silence_ends {
            return Err(Fall::because(format!("no sign of life for {:?}", self.options.read_timeout)));
        }
        let ping_at = live.heard + self.options.read_timeout / 2;
        if now >= ping_at && !live.pinged {
            live.socket.send(Message::Ping(Vec::new().into())).map_err(|error| broken(&error))?;
            live.pinged = true;
        }
        let mut until = deadline.min(if live.pinged { silence_ends } else { ping_at });
        if !self.outgoing.is_empty() {
            until = until.min(live.pace.next());
        }
        if self.table.has_refused() {
            until = until.min(live.retry_refused);
        }
        let message = read(&mut live.socket, until)?;
        if message.is_some() {
            live.heard = Instant::now();
            live.pinged = false;
        }
        match message {
            Some(Message::Text(text)) => self.hear(text.as_str()),
            Some(Message::Close(frame)) => return Err(closed(&mut live.socket, frame)),
            Some(Message::Binary(bytes)) => self.ready.push_back(Event::Malformed {
                why: format!("a binary message of {} bytes: expected text", bytes.len()),
                head: String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD_BYTES)]).into_owned(),
            }),
            _ => {}
        }
        Ok(())
    }

    /// One message of the gateway.
    fn hear(&mut self, text: &str) {
        match parse(text) {
            Ok(frame) => self.take(frame, text),
            Err(Unreadable::Frame(why)) => self.malformed(why, text),
            Err(Unreadable::Protocol(got)) => self.malformed(format!("a second hello, of protocol {got}"), text),
        }
    }

    fn malformed(&mut self, why: impl Into<String>, text: &str) {
        let head = text.chars().take(HEAD_BYTES).collect();
        self.ready.push_back(Event::Malformed { why: why.into(), head });
    }

    fn take(&mut self, frame: Frame, text: &str) {
        match frame {
            Frame::Update(update) => self.take_update(update, text),
            Frame::Snapshot(snapshot) => self.take_snapshot(snapshot, None, text),
            Frame::Merged(snapshot, prev) => self.take_snapshot(snapshot, Some(prev), text),
            Frame::Ack(frame) => {
                for (stream, cursor) in &frame.streams {
                    self.bind(*stream, cursor.lane.as_str(), cursor.epoch);
                }
                let acked = self.table.ack(frame);
                self.ready.extend(acked.refused.into_iter().map(Event::Refused));
                self.ready.extend(acked.ack.map(Event::Ack));
            }
            Frame::Gap(gap) => self.take_gap(gap, text),
            Frame::Restart(restart) => {
                if !restart.is_new_session() {
                    self.table.restart(restart.old_stream, restart.step.old_epoch);
                }
                self.bind(restart.stream, &restart.lane, restart.step.new_epoch);
                self.ready.push_back(Event::Restart(restart));
                self.retry_soon();
            }
            Frame::Replay(mut replay) => {
                self.bind(replay.stream, replay.cursor.lane.as_str(), replay.cursor.epoch);
                let (stream, table) = (replay.stream, &self.table);
                // Who has left meanwhile is told nothing more.
                replay.topics = replay.topics.iter().filter_map(|topic| table.find(topic, None, stream)).collect();
                self.table.replay(&replay);
                self.ready.push_back(Event::Replay(replay));
            }
            Frame::Lane { lane, stream, state } => {
                self.ready.push_back(Event::LaneState { lane, stream, state });
                if state == LaneState::Live {
                    self.retry_soon();
                }
            }
            Frame::Error(error) => {
                self.table.error(error.id);
                self.ready.push_back(Event::ServerError(error));
            }
            Frame::Subscriptions { id, subscriptions } => {
                self.ready.push_back(Event::Subscriptions { id, subscriptions });
            }
            Frame::Pong { id, ts_gateway } => self.ready.push_back(Event::Pong { id, ts_gateway }),
            Frame::Unknown(kind) => self.ready.push_back(Event::Unknown { kind }),
            Frame::Hello(_) => self.malformed("a second hello", text),
        }
    }

    fn take_gap(&mut self, mut gap: Gap, text: &str) {
        if let Gap::Slow { topic, stream, .. } | Gap::Resume { topic, stream, .. } | Gap::Hole { topic, stream, .. } =
            &mut gap
        {
            match self.table.find(topic, None, *stream) {
                Some(named) => *topic = named,
                None => return self.malformed(format!("{topic} is not subscribed"), text),
            }
        }
        if let Some((topic, Verdict::Hole { expected, got })) = self.table.gap(&gap) {
            self.undeclared(topic, expected, got);
        }
        self.ready.push_back(Event::Gap(gap));
    }

    fn take_update(&mut self, mut update: Update, text: &str) {
        let Some(topic) = self.table.find(&update.topic, None, update.stream) else {
            return self.malformed(format!("{} is not subscribed", update.topic), text);
        };
        update.topic = topic;
        let (prev, seq) = (update.prev, update.seq);
        match self.table.judge(&update.topic, update.stream, |link| link.update(prev, seq)) {
            Some(Verdict::Hole { expected, got }) => self.undeclared(update.topic.clone(), expected, got),
            Some(Verdict::Known) => return,
            Some(Verdict::Fits) | None => {}
        }
        self.ready.push_back(Event::Update(update));
    }

    fn take_snapshot(&mut self, mut snapshot: Snapshot, prev: Option<u64>, text: &str) {
        let Some(topic) = self.table.find(&snapshot.topic, Some(&snapshot.venue), snapshot.stream) else {
            return self.malformed(format!("{} is not subscribed", snapshot.topic), text);
        };
        snapshot.topic = topic;
        let seq = snapshot.seq;
        let judge = |link: &mut Link| match &snapshot.state {
            State::Trades(trades) => link.trades(seq, trades.is_empty()),
            _ => link.state(prev, seq),
        };
        if let Some(Verdict::Hole { expected, got }) = self.table.judge(&snapshot.topic, snapshot.stream, judge) {
            // The snapshot that shows the hole also mends it.
            let topic = snapshot.topic.clone();
            self.ready.push_back(Event::Undeclared { topic, expected_prev: expected, got_prev: got });
        }
        self.ready.push_back(Event::Snapshot(snapshot));
    }

    /// Says that something is missing; a window that changes were missed of needs a fresh snapshot.
    fn undeclared(&mut self, topic: Topic, expected_prev: Option<u64>, got_prev: u64) {
        if matches!(topic.channel, Channel::Depth(_)) && self.room().is_ok() {
            let (id, ask) = self.table.refresh(&topic);
            self.outgoing.push_back(ask.encode(id));
        }
        self.ready.push_back(Event::Undeclared { topic, expected_prev, got_prev });
    }

    fn bind(&mut self, stream: u32, lane: &str, epoch: u64) {
        if !self.table.bind(stream, lane, epoch) {
            self.malformed(format!("stream {stream}: more streams than a gateway has"), "");
        }
    }

    /// A lane came: what was refused for want of it may be there now.
    fn retry_soon(&mut self) {
        if let Phase::Live(live) = &mut self.phase {
            live.retry_refused = Instant::now();
        }
    }
}
