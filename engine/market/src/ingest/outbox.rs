//! What waits to be sent on a SoupBinTCP connection.

use wire::soupbin::client::Transmit;

/// Bytes waiting to be sent: a login and a few heartbeats. A server that takes less is dead.
pub const OUTBOX_BYTES: usize = 256;

#[derive(Debug)]
pub(super) struct Outbox {
    bytes: [u8; OUTBOX_BYTES],
    len: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox { bytes: [0; OUTBOX_BYTES], len: 0 }
    }
}

impl Outbox {
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Takes every packet that there is; an error when the server takes too little for that.
    pub(super) fn gather(&mut self, mut packets: impl FnMut() -> Option<Transmit>) -> Result<(), ()> {
        while let Some(packet) = packets() {
            let packet = packet.as_bytes();
            let space = self.bytes[self.len..].get_mut(..packet.len()).ok_or(())?;
            space.copy_from_slice(packet);
            self.len += packet.len();
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn sent(&mut self, count: usize) {
        self.bytes.copy_within(count..self.len, 0);
        self.len -= count;
    }
}
