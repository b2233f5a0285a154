//! What is subscribed and what is known of it: pure, so that every turn of a connection can be tested without one.

use std::collections::{BTreeMap, HashMap};

use shm_abi::cursor::Cursor;
use shm_abi::directory::Text;

use super::chain::{Link, Verdict};
use super::command::Ask;
use super::decode::AckFrame;
use super::event::{Ack, Gap, Op, Refused, Replay};
use super::topic::{Channel, Subscription, Topic};

/// Streams that a connection may name: one per lane and epoch.
const STREAMS_MAX: usize = 1024;
/// Symbols of one command, unless the gateway allows fewer.
pub(crate) const SYMBOLS_MAX: usize = 500;
/// Commands for trades of one lane when they are resumed. Beyond it topics share the cursor of the oldest among them,
/// and what the others knew already is passed over.
const RESUMES_MAX: usize = 64;

/// One topic that stands.
#[derive(Debug)]
struct Entry {
    link: Link,
    /// Of its last frame on this connection; 0: none yet.
    stream: u32,
    /// Where trades go on.
    resume: Option<Cursor>,
    /// It was refused and is asked for again.
    retry: bool,
}

/// Who a command is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    User,
    /// Subscribed anew after a reconnection or a hole.
    Own,
    /// A refused topic, asked for again: what stays refused is not said twice.
    Retry,
}

#[derive(Debug)]
struct Pending {
    op: Op,
    subscription: Subscription,
    origin: Origin,
}

/// What an ack turned out to mean.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) refused: Vec<Refused>,
    pub(crate) ack: Option<Ack>,
}

/// Topics, commands without answer, streams.
#[derive(Debug, Default)]
pub(crate) struct Table {
    topics: BTreeMap<Topic, Entry>,
    pending: BTreeMap<u64, Pending>,
    /// By the symbol that frames have: what was asked for with a venue before it.
    venued: HashMap<(Channel, String), Vec<String>>,
    streams: HashMap<u32, (Text<32>, u64)>,
    last_id: u64,
    symbols_max: usize,
}

impl Table {
    /// Topics that stand or were asked for.
    pub(crate) fn size(&self) -> usize {
        let asked =
            self.pending.values().filter(|pending| pending.op == Op::Subscribe && pending.origin == Origin::User);
        self.topics.len() + asked.map(|pending| pending.subscription.symbols.len()).sum::<usize>()
    }

    /// Commands that were not answered yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A user's command. It stays here until it is answered, across connections.
    pub(crate) fn ask(&mut self, op: Op, subscription: Subscription) -> (u64, Ask) {
        self.command(op, subscription, None, Origin::User)
    }

    fn command(&mut self, op: Op, subscription: Subscription, cursor: Option<String>, origin: Origin) -> (u64, Ask) {
        let id = self.next_id();
        self.pending.insert(id, Pending { op, subscription: subscription.clone(), origin });
        let ask = match op {
            Op::Subscribe => Ask::Subscribe { subscription, cursor },
            Op::Unsubscribe => Ask::Unsubscribe(subscription),
        };
        (id, ask)
    }

    /// Names a stream. False when a connection names more than any gateway has.
    pub(crate) fn bind(&mut self, stream: u32, lane: &str, epoch: u64) -> bool {
        if self.streams.len() >= STREAMS_MAX && !self.streams.contains_key(&stream) {
            return false;
        }
        self.streams.insert(stream, (Text::new(lane.as_bytes()), epoch));
        true
    }

    /// A connection stands: everything that must be asked on it. `symbols_max` is what the gateway allows per command.
    pub(crate) fn connected(&mut self, symbols_max: u64) -> Vec<(u64, Ask)> {
        self.symbols_max = usize::try_from(symbols_max).unwrap_or(0).clamp(1, SYMBOLS_MAX);
        if symbols_max == 0 {
            self.symbols_max = SYMBOLS_MAX;
        }
        let mut asks = Vec::new();
        for (channel, cursor, symbols) in self.plan() {
            for symbols in symbols.chunks(self.symbols_max) {
                let subscription = Subscription::new(channel, symbols.to_vec());
                let cursor = cursor.map(|cursor| cursor.to_string());
                asks.push(self.command(Op::Subscribe, subscription, cursor, Origin::Own));
            }
        }
        for (id, pending) in self.pending.iter().filter(|(_, pending)| pending.origin == Origin::User) {
            let subscription = pending.subscription.clone();
            asks.push((
                *id,
                match pending.op {
                    Op::Subscribe => Ask::Subscribe { subscription, cursor: None },
                    Op::Unsubscribe => Ask::Unsubscribe(subscription),
                },
            ));
        }
        asks
    }

    /// Topics by channel and, for trades, by the cursor to go on from.
    fn plan(&self) -> Vec<(Channel, Option<Cursor>, Vec<String>)> {
        let mut plain: BTreeMap<Channel, Vec<String>> = BTreeMap::new();
        let mut lanes: BTreeMap<(String, u64), Vec<(Cursor, String)>> = BTreeMap::new();
        for (Topic { channel, symbol }, entry) in &self.topics {
            match entry.resume {
                Some(cursor) => {
                    let lane = lanes.entry((cursor.lane.to_string(), cursor.epoch)).or_default();
                    lane.push((cursor, symbol.clone()));
                }
                None => plain.entry(*channel).or_default().push(symbol.clone()),
            }
        }
        let mut plan: Vec<_> = plain.into_iter().map(|(channel, symbols)| (channel, None, symbols)).collect();
        for mut resumed in lanes.into_values() {
            resumed.sort_by_key(|(cursor, _)| cursor.seq);
            let mut rest = resumed.as_slice();
            let share = resumed.len().div_ceil(RESUMES_MAX);
            while let Some((oldest, _)) = rest.first() {
                let same = rest.iter().take_while(|(cursor, _)| cursor == oldest).count();
                let (now, later) = rest.split_at(same.max(share).min(rest.len()));
                let symbols = now.iter().map(|(_, symbol)| symbol.clone()).collect();
                plan.push((Channel::Trades, Some(*oldest), symbols));
                rest = later;
            }
        }
        plan
    }

    /// The connection is over: streams mean nothing any more, topics are to be subscribed anew.
    pub(crate) fn disconnected(&mut self) {
        self.pending.retain(|_, pending| pending.origin == Origin::User);
        let leaving: Vec<Topic> =
            self.pending.values().filter(|it| it.op == Op::Unsubscribe).flat_map(topics).collect();
        self.pending.retain(|_, pending| pending.op == Op::Subscribe);
        for topic in leaving {
            self.remove(&topic);
        }
        for (topic, entry) in &mut self.topics {
            let binding = self.streams.get(&entry.stream).copied();
            entry.stream = 0;
            if topic.channel != Channel::Trades {
                entry.link = Link::Fresh;
                continue;
            }
            match (entry.link, entry.link.known(), binding) {
                (_, Some(seq), Some((lane, epoch))) => {
                    entry.resume = Some(Cursor { lane, epoch, seq });
                    entry.link = Link::Resumed(seq);
                }
                // Nothing came on this connection: where it goes on is what it was.
                (Link::Resumed(_), ..) => {}
                _ => {
                    entry.resume = None;
                    entry.link = Link::Fresh;
                }
            }
        }
        self.streams.clear();
    }

    /// Refused topics, to be asked for again; none while an earlier such command has no answer.
    pub(crate) fn retries(&mut self) -> Vec<(u64, Ask)> {
        if self.pending.values().any(|pending| pending.origin == Origin::Retry) {
            return Vec::new();
        }
        let mut again: BTreeMap<Channel, Vec<String>> = BTreeMap::new();
        for (topic, _) in self.topics.iter().filter(|(_, entry)| entry.retry) {
            again.entry(topic.channel).or_default().push(topic.symbol.clone());
        }
        let mut asks = Vec::new();
        for (channel, symbols) in again {
            for symbols in symbols.chunks(self.symbols_max.max(1)) {
                let subscription = Subscription::new(channel, symbols.to_vec());
                asks.push(self.command(Op::Subscribe, subscription, None, Origin::Retry));
            }
        }
        asks
    }

    /// Whether any topic waits to be asked for again.
    pub(crate) fn has_refused(&self) -> bool {
        self.topics.values().any(|entry| entry.retry)
    }

    /// A topic of which a fresh snapshot is wanted.
    pub(crate) fn refresh(&mut self, topic: &Topic) -> (u64, Ask) {
        let subscription = Subscription::new(topic.channel, [topic.symbol.clone()]);
        self.command(Op::Subscribe, subscription, None, Origin::Own)
    }

    fn insert(&mut self, topic: Topic, retry: bool) -> &mut Entry {
        if let Some((_, symbol)) = topic.symbol.split_once(':') {
            let asked = self.venued.entry((topic.channel, symbol.into())).or_default();
            if !asked.contains(&topic.symbol) {
                asked.push(topic.symbol.clone());
            }
        }
        self.topics.entry(topic).or_insert(Entry { link: Link::Fresh, stream: 0, resume: None, retry })
    }

    fn remove(&mut self, topic: &Topic) {
        self.topics.remove(topic);
        let Some((_, symbol)) = topic.symbol.split_once(':') else { return };
        let key = (topic.channel, symbol.to_string());
        if let Some(asked) = self.venued.get_mut(&key) {
            asked.retain(|it| *it != topic.symbol);
            if asked.is_empty() {
                self.venued.remove(&key);
            }
        }
    }

    /// The topic as it was asked for. Frames name the symbol alone, and only snapshots the venue; two venues of one
    /// symbol are told apart by their streams then.
    pub(crate) fn find(&self, topic: &Topic, venue: Option<&str>, stream: u32) -> Option<Topic> {
        if self.topics.contains_key(topic) {
            return Some(topic.clone());
        }
        let asked = self.venued.get(&(topic.channel, topic.symbol.clone()))?;
        let topics = || asked.iter().map(|symbol| Topic { channel: topic.channel, symbol: symbol.clone() });
        let of_venue =
            |topic: &Topic| venue.is_none_or(|venue| topic.symbol.split_once(':').is_some_and(|it| it.0 == venue));
        let of_stream = |topic: &Topic| self.topics.get(topic).is_some_and(|entry| entry.stream == stream);
        topics().filter(of_venue).find(of_stream).or_else(|| topics().find(of_venue))
    }

    /// The answer to a command. An ack that is of no command of ours changes nothing.
    pub(crate) fn ack(&mut self, frame: AckFrame) -> Acked {
        let pending = frame.id.and_then(|id| self.pending.remove(&id)).filter(|pending| pending.op == frame.op);
        let Some(channel) = pending.as_ref().map(|pending| pending.subscription.channel).or(frame.channel) else {
            return Acked { refused: Vec::new(), ack: None };
        };
        let Some(Pending { op, subscription, origin }) = pending else {
            let ack = Ack { id: frame.id, op: frame.op, channel, symbols: frame.symbols };
            return Acked { refused: Vec::new(), ack: Some(ack) };
        };
        for symbol in frame.symbols.iter().take(subscription.symbols.len()) {
            let topic = Topic { channel, symbol: symbol.clone() };
            match op {
                Op::Unsubscribe => self.remove(&topic),
                Op::Subscribe => {
                    let entry = self.insert(topic, false);
                    entry.retry = false;
                    if origin == Origin::User {
                        entry.link.loosen();
                    }
                }
            }
        }
        let refused: Vec<Refused> =
            frame.refused.into_iter().map(|refusal| self.refuse(frame.id, op, channel, refusal)).collect();
        let nothing_new = origin == Origin::Retry && frame.symbols.is_empty();
        Acked {
            refused: if origin == Origin::Retry { Vec::new() } else { refused },
            ack: (!nothing_new).then_some(Ack { id: frame.id, op, channel, symbols: frame.symbols }),
        }
    }

    /// A topic that stood before, or that no lane is there to have, is not given up.
    fn refuse(&mut self, id: Option<u64>, op: Op, channel: Channel, refusal: (String, String, String)) -> Refused {
        let (symbol, code, expected) = refusal;
        let topic = Topic { channel, symbol: symbol.clone() };
        let stood = self.topics.contains_key(&topic);
        let lasting = !matches!(code.as_str(), "unavailable" | "unknown_symbol");
        let will_retry = op == Op::Subscribe && !lasting && (stood || code == "unavailable");
        if will_retry {
            self.insert(topic, true).retry = true;
        } else {
            self.remove(&topic);
        }
        Refused { id, op, channel, symbol, code, expected, will_retry }
    }

    /// The command with this id was not understood: it is not asked again.
    pub(crate) fn error(&mut self, id: Option<u64>) {
        if let Some(id) = id {
            self.pending.remove(&id);
        }
    }

    /// A frame of a topic: what it means for the chain. `None`: the topic is not subscribed.
    pub(crate) fn judge(
        &mut self,
        topic: &Topic,
        stream: u32,
        judge: impl FnOnce(&mut Link) -> Verdict,
    ) -> Option<Verdict> {
        let epoch = self.streams.get(&stream).map(|(_, epoch)| *epoch);
        let entry = self.topics.get_mut(topic)?;
        let before = entry.link.known();
        // Numbers of different sequences say nothing about one another.
        let left = entry.stream != 0 && entry.stream != stream;
        let other_epoch = matches!(entry.link, Link::Resumed(_))
            && entry.stream == 0
            && entry.resume.map(|cursor| cursor.epoch) != epoch;
        entry.stream = stream;
        if (left || other_epoch) && before.is_some() {
            entry.link = Link::Open;
            let got = match judge(&mut entry.link) {
                Verdict::Hole { got, .. } => got,
                _ => entry.link.known().unwrap_or(0),
            };
            return Some(Verdict::Hole { expected: before, got });
        }
        Some(judge(&mut entry.link))
    }

    /// Takes note of a declared loss. Returns the hole that it leaves undeclared, if there is one.
    pub(crate) fn gap(&mut self, gap: &Gap) -> Option<(Topic, Verdict)> {
        match gap {
            Gap::Slow { topic, stream, prev, missing } => {
                let verdict = self.judge(topic, *stream, |link| link.gap(*prev, missing.last))?;
                Some((topic.clone(), verdict))
            }
            Gap::Hole { topic, stream, prev, last, .. } => {
                let verdict = self.judge(topic, *stream, |link| link.gap(*prev, *last))?;
                Some((topic.clone(), verdict))
            }
            Gap::Lapped { stream, .. } => {
                self.open(|entry| entry.stream == *stream || entry.stream == 0);
                None
            }
            Gap::Resume { topic, .. } => {
                if let Some(entry) = self.topics.get_mut(topic) {
                    entry.link = Link::Open;
                }
                None
            }
            // The venue's own sequence: the ring's is whole.
            Gap::Venue { .. } => None,
            Gap::Other { .. } => {
                self.open(|_| true);
                None
            }
        }
    }

    /// Topics go on in another stream, behind a number.
    pub(crate) fn replay(&mut self, replay: &Replay) {
        for topic in &replay.topics {
            if let Some(entry) = self.topics.get_mut(topic) {
                entry.stream = replay.stream;
                entry.link = Link::Resumed(replay.cursor.seq);
            }
        }
    }

    /// A lane's sequence is over: what follows on its topics begins anew.
    pub(crate) fn restart(&mut self, old_stream: u32, old_epoch: u64) {
        let resumed = |entry: &Entry| entry.stream == 0 && entry.resume.is_some_and(|it| it.epoch == old_epoch);
        self.open(|entry| entry.stream == old_stream || resumed(entry));
    }

    fn open(&mut self, of: impl Fn(&Entry) -> bool) {
        for entry in self.topics.values_mut().filter(|entry| of(entry) && entry.link != Link::Fresh) {
            entry.link = Link::Open;
        }
    }
}

fn topics(pending: &Pending) -> Vec<Topic> {
    let Subscription { channel, symbols } = &pending.subscription;
    symbols.iter().map(|symbol| Topic { channel: *channel, symbol: symbol.clone() }).collect()
}

#[cfg(test)]
mod tests;
