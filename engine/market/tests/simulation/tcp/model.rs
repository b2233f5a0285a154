//! What a SoupBinTCP client must make of the bytes that it is given: the protocol, read off the document.

use crate::books::Truth;
use crate::exchange::Session;

/// The model of one life of the engine, over all its connections.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) truth: Truth,
    /// Bytes of this connection that are not a whole packet yet.
    waiting: Vec<u8>,
    /// Number of the next message on this connection; `None` before the login is accepted.
    wire: Option<u64>,
    /// Nothing of this connection counts any more.
    over: bool,
}

impl Model {
    /// A new connection.
    pub(super) fn connected(&mut self) {
        self.waiting.clear();
        (self.wire, self.over) = (None, false);
    }

    /// Bytes came.
    pub(super) fn bytes(&mut self, bytes: &[u8], sessions: &[Session]) {
        self.waiting.extend_from_slice(bytes);
        let mut at = 0;
        while !self.over {
            let rest = &self.waiting[at..];
            let [high, low, ..] = *rest else { break };
            let len = usize::from(high) << 8 | usize::from(low);
            if len == 0 {
                self.over = true;
                break;
            }
            let Some(packet) = rest.get(2..2 + len) else { break };
            at += 2 + len;
            let packet = packet.to_vec();
            self.packet(packet[0], &packet[1..], sessions);
        }
        self.waiting.drain(..at);
    }

    fn packet(&mut self, kind: u8, payload: &[u8], sessions: &[Session]) {
        match (kind, self.wire) {
            (b'H' | b'+', _) => {}
            (b'U', Some(_)) => {}
            (b'S', Some(sequence)) => {
                self.wire = Some(sequence + 1);
                if sequence < self.truth.next {
                    self.truth.duplicates += 1;
                } else {
                    let session = &sessions[self.truth.session.expect("logged in")];
                    assert_eq!(payload, session.message(sequence), "the simulated venue sends what it has");
                    self.truth.deliver(payload);
                }
            }
            (b'A', None) => match accepted(payload, sessions) {
                Some((session, sequence)) => self.accepted(session, sequence),
                None => self.over = true,
            },
            // The end of the session, a rejection, or a packet that has no place: nothing after it counts.
            _ => self.over = true,
        }
    }

    fn accepted(&mut self, session: usize, sequence: u64) {
        if self.truth.session != Some(session) {
            self.truth.begin_session(session);
        }
        self.wire = Some(sequence);
        if sequence > self.truth.next {
            self.truth.skip_to(sequence);
        }
    }
}

fn accepted(payload: &[u8], sessions: &[Session]) -> Option<(usize, u64)> {
    let (name, number) = payload.split_at_checked(10)?;
    let name = std::str::from_utf8(name).ok()?.trim();
    let number: u64 = std::str::from_utf8(number).ok().filter(|text| text.len() == 20)?.trim().parse().ok()?;
    let session = sessions.iter().position(|session| session.name == name)?;
    (number > 0).then_some((session, number))
}
