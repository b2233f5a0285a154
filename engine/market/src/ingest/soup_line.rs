//! One SoupBinTCP connection between the socket's bytes and the session's steps: what comes in, what waits to go out.

use wire::Nanos;
use wire::soupbin::client::{Client, ClientConfig, CloseReason, Step};

use super::Inbox;

/// Bytes waiting to be sent: a login and a few heartbeats. A server that takes less is dead.
pub const OUTBOX_BYTES: usize = 256;

/// The client of the connection that is open now, or of the last one.
#[derive(Debug)]
pub(super) struct SoupLine {
    pub(super) client: Client,
    pub(super) inbox: Inbox,
    outbox: [u8; OUTBOX_BYTES],
    outbox_len: usize,
}

impl SoupLine {
    pub(super) fn new(login: ClientConfig, receive_buffer_bytes: usize) -> SoupLine {
        // Until the first connection there is a client that has already closed: every input gives that answer.
        let mut client = Client::new(login, Nanos(0));
        client.handle_disconnect();
        SoupLine { client, inbox: Inbox::new(receive_buffer_bytes), outbox: [0; OUTBOX_BYTES], outbox_len: 0 }
    }

    /// A new connection, which logs in with `login`.
    pub(super) fn connected(&mut self, login: ClientConfig, now: Nanos) {
        self.client = Client::new(login, now);
        self.inbox.clear();
        self.outbox_len = 0;
    }

    /// Runs the timers that are due and gathers what is to be sent.
    pub(super) fn tick(&mut self, now: Nanos) -> Result<(), CloseReason> {
        if self.client.poll_timeout().is_some_and(|due| due <= now)
            && let Step::Close(reason) = self.client.handle_timeout(now)
        {
            return Err(reason);
        }
        while let Some(packet) = self.client.poll_transmit() {
            let packet = packet.as_bytes();
            let Some(space) = self.outbox[self.outbox_len..].get_mut(..packet.len()) else {
                return Err(self.client.handle_disconnect());
            };
            space.copy_from_slice(packet);
            self.outbox_len += packet.len();
        }
        Ok(())
    }

    pub(super) fn outgoing(&self) -> &[u8] {
        &self.outbox[..self.outbox_len]
    }

    pub(super) fn sent(&mut self, now: Nanos, count: usize) {
        self.outbox.copy_within(count..self.outbox_len, 0);
        self.outbox_len -= count;
        if count > 0 {
            self.client.handle_sent(now);
        }
    }
}
