//! What goes over a shard's sockets: sends, what clients say, and their coming and going.

use gateway_core::dialect::SlowPolicy;
use gateway_core::shard::{ConnectionId, Flush, Now};

use super::inbox::{Speech, Upgraded};
use super::sockets::{Received, Socket, Wire, receive, tune};
use super::{
    ECHO, FAREWELL, LAST_SENDS, NATIVE, QUESTIONS_PER_PASS, READS_PER_PASS, SENDS_PER_CLOCK, SENDS_PER_PASS,
    SOCKETS_PER_PASS, ShardTask, clock,
};
use crate::ws::connection::{Ears, Heard, close_code};
use crate::ws::echo::Mirror;

impl ShardTask {
    /// Sends to the connections that have waited longest; `pressed`: to everybody who waits now. Returns how many sends
    /// it was.
    pub(super) fn send(&mut self, pressed: bool) -> usize {
        let most = if pressed { self.core.dirty_len() } else { SENDS_PER_PASS };
        let mut now = Now::default();
        for count in 0..most {
            let Some(id) = self.core.next_dirty() else { return count };
            // A send takes microseconds, and what goes by this clock milliseconds.
            if count % SENDS_PER_CLOCK == 0 {
                now = clock::now();
            }
            self.send_to(id, now);
        }
        most
    }

    fn send_to(&mut self, id: ConnectionId, now: Now) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let flushed = self.core.flush(id, now, &mut Wire(&socket.stream));
        if flushed.newest_ns != 0 {
            let sent_ns = shm_abi::sys::realtime_ns();
            self.state_age.take(sent_ns.saturating_sub(flushed.newest_ns));
        }
        match flushed.flush {
            Flush::More | Flush::Blocked => {}
            Flush::Clean => self.echo_more(id),
            Flush::Finished => self.part(id),
        }
    }

    /// What an echoing connection has still to send back goes on; once it is little again, so does reading.
    fn echo_more(&mut self, id: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        let Some(mirror) = &mut socket.mirror else { return };
        mirror.sent();
        let was_full = mirror.is_full();
        self.replies.clear();
        mirror.give(&mut self.replies);
        if was_full && !mirror.is_full() && !socket.queued {
            socket.queued = true;
            self.unread.push_back(id);
        }
        if !self.replies.is_empty() {
            self.core.answer(id, &self.replies, clock::now());
        }
    }

    /// What sockets, new ones and questioners have to say. Returns whether there may be more.
    pub(super) fn hear(&mut self) -> bool {
        let mut ready = std::mem::take(&mut self.ready);
        let polled = self.poller.poll(&mut ready);
        if polled.rang {
            self.look_into_inbox();
        }
        for event in ready.drain(..) {
            if event.writable {
                self.core.writable(event.id);
            }
            if event.readable {
                if event.ended
                    && let Some(socket) = self.sockets.get_mut(event.id)
                {
                    socket.ended = true;
                }
                self.read(event.id);
            }
        }
        self.ready = ready;
        for _ in 0..self.unread.len().min(READS_PER_PASS) {
            let Some(id) = self.unread.pop_front() else { break };
            if let Some(socket) = self.sockets.get_mut(id) {
                socket.queued = false;
                self.read(id);
            }
        }
        polled.more || !self.unread.is_empty()
    }

    fn look_into_inbox(&mut self) {
        for count in 0..=SOCKETS_PER_PASS {
            if count == SOCKETS_PER_PASS {
                // The bell is silent again: it has to say that there is more.
                self.inbox.bell().ring();
            } else if let Some(socket) = self.inbox.socket() {
                self.admit(socket);
            } else {
                break;
            }
        }
        while let Some((id, batch)) = self.inbox.batch() {
            self.core.replayed(id, batch);
        }
        for count in 0..=QUESTIONS_PER_PASS {
            if count == QUESTIONS_PER_PASS {
                self.inbox.bell().ring();
            } else if let Some(question) = self.inbox.question() {
                self.answer(question);
            } else {
                break;
            }
        }
    }

    /// Makes a connection of a socket whose handshake is done.
    fn admit(&mut self, upgraded: Upgraded) {
        let Upgraded { stream, early, slow, speech, seat } = upgraded;
        // A socket that cannot be prepared is gone.
        if tune(&stream).is_err() {
            return;
        }
        let now = clock::now();
        let (dialect, message_bytes) = match speech {
            Speech::Native => (NATIVE, self.message_bytes),
            // The policy is the client's choice for data, of which an echo has none.
            Speech::Echo => (ECHO, self.echo_message_bytes),
        };
        let slow = if speech == Speech::Echo { SlowPolicy::default() } else { slow };
        let Some(id) = self.core.open(dialect, slow, now) else {
            self.report.door.refused_full.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            refuse_late(&stream);
            return self.lingering.let_go(stream, seat);
        };
        let mirror = (speech == Speech::Echo).then(|| Box::new(Mirror::new(self.queued_bytes)));
        let watched = self.poller.watch(&stream, id);
        let ears = Ears::new(speech, message_bytes);
        self.sockets.insert(Socket { id, stream, ears, mirror, seat, queued: false, ended: false });
        if watched.is_err() {
            return self.part(id);
        }
        if self.leave_by_ns.is_some() {
            self.core.close(id, close_code::AWAY, FAREWELL, now);
        }
        if !early.is_empty() {
            self.core.received(id, early.len(), now);
            self.take_in(id, &early);
        }
    }

    /// Reads once from a connection: at most so many bytes, so that none keeps the others waiting.
    fn read(&mut self, id: ConnectionId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        if socket.mirror.as_ref().is_some_and(|mirror| mirror.is_full()) {
            // Reading goes on once what waits is out; until then the client's own window stops it.
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        match receive(&socket.stream, &mut scratch) {
            Received::Nothing => {}
            Received::End => self.drop_socket(id),
            Received::Bytes(count) => {
                // A buffer that was not filled was all there is: the next bytes are the next event. But an end that came
                // together with the last bytes has had its event already.
                if (count == scratch.len() || socket.ended) && !socket.queued {
                    socket.queued = true;
                    self.unread.push_back(id);
                }
                if socket.mirror.is_none() {
                    self.core.received(id, count, clock::now());
                }
                self.take_in(id, &scratch[..count]);
            }
        }
        self.scratch = scratch;
    }

    /// Does what a client's bytes ask for.
    fn take_in(&mut self, id: ConnectionId, mut input: &[u8]) {
        let now = clock::now();
        self.replies.clear();
        let Some(socket) = self.sockets.get_mut(id) else { return };
        while let Some(heard) = socket.ears.hear(&mut input, &mut self.replies) {
            match (heard, &mut socket.mirror) {
                (Heard::Text(text), None) => self.core.message(id, &text, now),
                (Heard::Text(text), Some(mirror)) => mirror.take(text.into(), true),
                (Heard::Binary(bytes), Some(mirror)) => mirror.take(bytes, false),
                // Where binary is not taken it is heard as a Close.
                (Heard::Binary(_), None) => {}
                (Heard::Pong(payload), _) => self.core.pong(id, &payload, now),
                (Heard::Close(closing), mirror) => {
                    // What was said before the Close is answered before it, as far as the kernel takes it: a Close
                    // leaves behind what was not begun.
                    if let Some(mirror) = mirror {
                        mirror.give(&mut self.replies);
                    }
                    if !self.replies.is_empty() {
                        self.core.answer(id, &self.replies, now);
                        self.replies.clear();
                    }
                    let mut flush = Flush::More;
                    for _ in 0..LAST_SENDS {
                        if flush == Flush::More {
                            flush = self.core.flush(id, now, &mut Wire(&socket.stream)).flush;
                        }
                    }
                    if flush == Flush::Finished {
                        return self.part(id);
                    }
                    self.core.close(id, closing.code, closing.reason, now);
                }
            }
        }
        if let Some(mirror) = &mut socket.mirror {
            mirror.give(&mut self.replies);
        }
        if !self.replies.is_empty() {
            self.core.answer(id, &self.replies, now);
        }
    }

    /// The connection is over by our doing: its last frame is with the kernel, which must have time to deliver it.
    pub(super) fn part(&mut self, id: ConnectionId) {
        self.core.remove(id);
        if let Some(socket) = self.sockets.remove(id) {
            self.poller.forget(&socket.stream);
            self.lingering.let_go(socket.stream, socket.seat);
        }
    }

    /// The client is gone.
    fn drop_socket(&mut self, id: ConnectionId) {
        self.core.remove(id);
        // Closing a descriptor takes it out of the epoll.
        drop(self.sockets.remove(id));
    }
}

/// Tells a client, for which there is no place any more after its handshake, to try again.
fn refuse_late(stream: &std::net::TcpStream) {
    use std::io::Write;
    let [high, low] = close_code::AGAIN.to_be_bytes();
    // A fresh socket takes four bytes, or it is gone.
    let _ = (&mut &*stream).write_all(&[0x88, 2, high, low]);
}
