//! What one send holds, in order: the rest of a begun frame, answers, frames of the ring, then frames made for this
//! send (snapshots, and what was merged). Whatever the kernel takes of it, whole frames are out or begun, and the rest
//! is made anew from newer state.

use std::io::IoSlice;

use super::connections::{Mode, Phase, Subscription, widen};
use super::out::Out;
use super::types::{ConnectionId, Flushed, Now};
use super::world::{Topic, Words, World};
use crate::dialect::{Delta, Merged, Outgoing, SlowPolicy};
use crate::frames::{Frame, FrameRing, PING, push_server_frame};
use crate::outbox::PENDING_MAX;
use crate::topic::Channel;

/// Slices of one send: tail, answers, frames of the ring, and what was made for it. Far below the system's 1024.
pub(super) const SLICES_MAX: usize = PENDING_MAX + SLICES_BESIDE;
/// Slices besides those of the ring's frames.
const SLICES_BESIDE: usize = 3;

/// What a frame made for one send is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// The last of a subscription: it is live once this is begun. `merged` events are told by it.
    Last {
        subscription: u16,
        merged: u64,
        snapshot: bool,
    },
    /// It says how many events a subscription will not get; a snapshot follows.
    Gap {
        subscription: u16,
        merged: u64,
    },
    Ping,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    made: Made,
    /// Where it ends among the bytes made.
    end: usize,
    /// `ts_gateway` of its event; 0: it is none.
    event_ns: u64,
}

/// How a due subscription was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// Its frames are among the pieces.
    Made,
    /// There is nothing to say; it is not due any more.
    Nothing,
    /// Its state is in the middle of an event: it stays due, until that ends.
    Open,
}

/// What one flush makes, in memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Plan {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    /// Frames of the ring, in the order of the references.
    frames: Vec<Frame>,
    /// Subscriptions whose state is in the middle of an event.
    open: Vec<u16>,
    /// There was more than one send may have.
    pub(super) is_full: bool,
}

impl Plan {
    /// Makes what the connection lacks and may get.
    pub(super) fn make(&mut self, world: &mut World, out: &mut Out, id: ConnectionId, now: Now) {
        self.bytes.clear();
        self.pieces.clear();
        self.frames.clear();
        self.is_full = false;
        let Out { connections, ring, words, .. } = out;
        let Some(connection) = connections.get_mut(id) else { return };
        if connection.phase != Phase::Open || connection.clock.holds() {
            return;
        }
        for at in 0..connection.outbox.pending_len() {
            let reference = connection.outbox.pending(at).expect("as many wait as were counted");
            self.frames.push(ring.get(ring.widen(reference.number)).expect("none is lost but those before the first"));
        }
        let most = world.limits.snapshot_bytes as usize;
        while let Some(place) = connection.due.pop_front() {
            let (bytes, pieces) = (self.bytes.len(), self.pieces.len());
            let Some(subscription) = connection.subscriptions.get_mut(usize::from(place)) else { continue };
            match self.serve(world, ring, words, (connection.dialect, connection.slow), place, subscription) {
                Served::Made => {}
                Served::Nothing => subscription.due = false,
                Served::Open => {
                    self.open.push(place);
                    let lane = world.topics[subscription.topic].lane;
                    world.lanes[usize::from(lane)].parked.push(id.index);
                }
            }
            if self.bytes.len() > most && bytes > 0 {
                self.bytes.truncate(bytes);
                self.pieces.truncate(pieces);
                connection.due.push_front(place);
                self.is_full = true;
                break;
            }
        }
        connection.due.extend(self.open.drain(..));
        let data = !self.frames.is_empty() || !self.pieces.is_empty();
        let clocked = data && connection.slow != SlowPolicy::Close;
        if let Some(payload) = connection.clock.due_behind_data(now.mono_ns, &world.limits).filter(|_| clocked) {
            push_server_frame(&mut self.bytes, PING, &payload);
            self.piece(Made::Ping, 0);
        }
    }

    fn piece(&mut self, made: Made, event_ns: u64) {
        self.pieces.push(Piece { made, end: self.bytes.len(), event_ns });
    }

    /// Makes the frames of one due subscription.
    fn serve(
        &mut self,
        world: &World,
        ring: &FrameRing,
        words: &mut Words,
        (dialect, slow): (u8, SlowPolicy),
        place: u16,
        subscription: &Subscription,
    ) -> Served {
        let Some(topic) = world.topics.get(subscription.topic) else { return Served::Nothing };
        let joining = subscription.mode == Mode::Joining;
        let waits = matches!(subscription.mode, Mode::Live | Mode::Replaying);
        if waits || (joining && !world.is_ready(topic)) {
            return Served::Nothing;
        }
        if world.is_open(topic) {
            return Served::Open;
        }
        let snapshot = Made::Last { subscription: place, merged: 0, snapshot: true };
        if joining {
            world.snapshot(dialect, topic, None, words, &mut self.bytes);
            self.piece(snapshot, 0);
            return Served::Made;
        }
        let merged = Merged { count: subscription.count, first: subscription.first, last: topic.seq };
        let (prev, event_ns) = (subscription.sent, topic.stamps.ts_gateway);
        let told = Made::Last { subscription: place, merged: merged.count, snapshot: false };
        if subscription.owes_snapshot && merged.count == 0 {
            world.snapshot(dialect, topic, None, words, &mut self.bytes);
            self.piece(snapshot, event_ns);
        } else if let Some(frame) = only_frame(ring, topic, dialect, subscription) {
            self.bytes.extend_from_slice(ring.bytes(&frame));
            self.piece(Made::Last { subscription: place, merged: 0, snapshot: false }, event_ns);
        } else if topic.channel == Channel::Trades {
            world.topic_gap(dialect, topic, merged, prev, words, &mut self.bytes);
            self.piece(told, 0);
        } else if slow == SlowPolicy::Gap {
            world.topic_gap(dialect, topic, merged, prev, words, &mut self.bytes);
            self.piece(Made::Gap { subscription: place, merged: merged.count }, 0);
            world.snapshot(dialect, topic, None, words, &mut self.bytes);
            self.piece(snapshot, event_ns);
        } else {
            merged_state(world, topic, dialect, merged, prev, words, &mut self.bytes);
            self.piece(told, event_ns);
        }
        Served::Made
    }

    /// How many slices there may be.
    pub(super) fn slices_most(&self) -> usize {
        self.frames.len() + SLICES_BESIDE
    }

    /// Everything as slices for the kernel, of which there is room for [`Plan::slices_most`]: how many, and of how many
    /// bytes.
    pub(super) fn slices<'s>(&'s self, out: &'s Out, id: ConnectionId, slices: &mut [IoSlice<'s>]) -> (usize, usize) {
        let (mut count, mut wanted) = (0, 0);
        let mut push = |bytes: &'s [u8]| {
            if !bytes.is_empty() {
                slices[count] = IoSlice::new(bytes);
                (count, wanted) = (count + 1, wanted + bytes.len());
            }
        };
        let Some(connection) = out.connections.get(id) else { return (0, 0) };
        push(connection.outbox.tail());
        push(connection.outbox.answers());
        let mut frames = self.frames.iter().peekable();
        while let Some(frame) = frames.next() {
            let mut run = *frame;
            // Frames that stand side by side go as one.
            while let Some(next) = frames.next_if(|next| is_beside(&out.ring, &run, next)) {
                run.len += next.len;
            }
            push(out.ring.bytes(&run));
        }
        push(&self.bytes);
        (count, wanted)
    }

    /// The kernel took `flushed.bytes`: notes what is out, keeps the rest of the frame that it cut, and puts back what it
    /// did not begin.
    pub(super) fn account(&mut self, world: &World, out: &mut Out, id: ConnectionId, now: Now, flushed: &mut Flushed) {
        let Out { connections, ring, stats, .. } = out;
        let Some(connection) = connections.get_mut(id) else { return };
        let (mut rest, answers) = connection.outbox.took(flushed.bytes);
        let mut begun = 0;
        for frame in &self.frames {
            if rest == 0 {
                break;
            }
            let used = rest.min(frame.len as usize);
            rest -= used;
            let reference = connection.outbox.pending(begun).expect("a reference for each frame");
            let subscription = &mut connection.subscriptions[usize::from(reference.subscription)];
            subscription.sent = widen(world.topics[subscription.topic].seq, reference.seq);
            flushed.newest_ns = flushed.newest_ns.max(frame.ts_gateway);
            if used < frame.len as usize {
                connection.outbox.cut(&ring.bytes(frame)[used..]);
            }
            begun += 1;
        }
        connection.outbox.drop_first(begun);
        let (mut start, mut made) = (0, 0);
        for piece in &self.pieces {
            let len = piece.end - start;
            if rest == 0 && len > 0 {
                break;
            }
            let used = rest.min(len);
            rest -= used;
            if used < len {
                connection.outbox.cut(&self.bytes[start + used..piece.end]);
            }
            start = piece.end;
            made += 1;
            flushed.newest_ns = flushed.newest_ns.max(piece.event_ns);
            match piece.made {
                Made::Last { subscription, merged, snapshot } => {
                    connection.set_mode(subscription, Mode::Live);
                    let subscription = &mut connection.subscriptions[usize::from(subscription)];
                    subscription.sent = world.topics[subscription.topic].seq;
                    subscription.due = false;
                    stats.merged += merged;
                    stats.snapshots += u64::from(snapshot);
                }
                Made::Gap { subscription, merged } => {
                    let subscription = &mut connection.subscriptions[usize::from(subscription)];
                    subscription.sent = world.topics[subscription.topic].seq;
                    (subscription.count, subscription.owes_snapshot) = (0, true);
                    stats.merged += merged;
                }
                Made::Ping => connection.clock.sent_behind_data(now.mono_ns),
            }
        }
        for piece in self.pieces[made..].iter().rev() {
            if let Made::Last { subscription, .. } = piece.made {
                connection.due.push_front(subscription);
            }
        }
        if connection.dirty == 0 && !connection.clock.is_late() {
            connection.conflated = false;
        }
        flushed.frames = answers + begun as u32 + made as u32;
    }
}

/// Whether two frames stand side by side in the ring's memory.
fn is_beside(ring: &FrameRing, run: &Frame, next: &Frame) -> bool {
    ring.bytes(run).as_ptr_range().end == ring.bytes(next).as_ptr()
}

/// The frame of the one event that a subscription lacks, while the ring has it: nothing needs to be merged then.
fn only_frame(ring: &FrameRing, topic: &Topic, dialect: u8, subscription: &Subscription) -> Option<Frame> {
    let latest = topic.latest[usize::from(dialect)];
    let is_only = latest.seq == subscription.first && topic.seq == subscription.first;
    let is_only = is_only && !subscription.owes_snapshot;
    ring.get(latest.frame).filter(|_| is_only)
}

/// Appends the newest state of a topic, which stands for several events.
fn merged_state(
    world: &World,
    topic: &Topic,
    dialect: u8,
    merged: Merged,
    prev: u64,
    words: &mut Words,
    bytes: &mut Vec<u8>,
) {
    let instrument = &world.instruments[topic.instrument];
    let delta = match topic.channel {
        Channel::Quotes => Delta::Quote(&instrument.quote),
        Channel::Status => Delta::Status(instrument.status),
        Channel::Depth(_) | Channel::Trades => {
            world.snapshot(dialect, topic, Some((merged, prev)), words, bytes);
            return;
        }
    };
    let (subject, place) = (world.subject(topic), world.place(topic.lane, topic.seq));
    let update = Outgoing::Update { subject, place, prev, stamps: topic.stamps, merged: Some(merged), delta };
    world.encode(dialect, &update, words, bytes);
}
