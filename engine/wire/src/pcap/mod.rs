//! Classic pcap captures, from the file down to the payload of a datagram or to the bytes of a TCP stream.
//!
//! * [`Records`]: what the file holds, both byte orders, stamps of microseconds and of nanoseconds.
//! * [`Packets`]: the UDP and TCP payloads among them, with everything that was passed over counted by cause.
//! * [`Streams`]: TCP segments put in order, bounded.
//! * [`encode`]: the same formats written, for tests and for a venue that plays captures.
//!
//! The caller reads or maps the file and hands its bytes over; pcapng and gzip are refused by name, not guessed at.
//!
//! Source: libpcap's pcap-savefile(5); RFC 791, 768, 9293; IEEE 802.1Q.

pub mod encode;
mod file;
mod frame;
mod tcp;

pub use file::{FileError, LinkType, RECORD_MAX_BYTES, Record, Records};
pub use frame::{Packet, Skipped, TcpFlags, Transport, VLAN_TAGS_LIMIT, parse_frame};
pub use tcp::{Piece, StreamCounters, StreamId, StreamLimits, Streams};

/// What was found in a capture, and what was passed over and why. Every record is counted in exactly one of the first
/// six; `cut_short` counts some of the payloads again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// UDP datagrams handed out.
    pub datagrams: u64,
    /// TCP segments handed out, those without payload included.
    pub segments: u64,
    /// Fragments of IPv4 packets: not put together, so passed over.
    pub fragments: u64,
    /// Frames of another protocol than IPv4, such as ARP and IPv6.
    pub not_ipv4: u64,
    /// IPv4 packets that are neither UDP nor TCP.
    pub other_transport: u64,
    /// Frames whose headers contradict themselves or are not whole.
    pub malformed: u64,
    /// Payloads handed out of which the capture holds only the beginning: see [`Packet::missing_bytes`].
    pub cut_short: u64,
}

impl Counters {
    /// Records looked at.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.datagrams + self.segments + self.fragments + self.not_ipv4 + self.other_transport + self.malformed
    }

    fn skipped(&mut self, why: Skipped) {
        match why {
            Skipped::Fragment => self.fragments += 1,
            Skipped::NotIpv4 => self.not_ipv4 += 1,
            Skipped::OtherTransport { .. } => self.other_transport += 1,
            Skipped::Malformed => self.malformed += 1,
        }
    }
}

/// Walks the UDP and TCP payloads of a capture in the file's order.
///
/// Ends with the file. A file that ends inside a record gives everything before it, and then says so:
/// [`Packets::truncated`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    records: Records<'a>,
    counters: Counters,
    truncated: Option<FileError>,
}

impl<'a> Packets<'a> {
    /// A walk over the capture in `bytes`.
    ///
    /// # Errors
    /// When these bytes are no classic pcap, or of a link that is not known: see [`FileError`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, FileError> {
        Ok(Packets { records: Records::new(bytes)?, counters: Counters::default(), truncated: None })
    }

    /// What was found so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// How many bytes of the capture were walked over.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.records.offset()
    }

    /// Why the file ended before a whole record; `None` when it did not, or the walk has not come there yet.
    #[must_use]
    pub const fn truncated(&self) -> Option<FileError> {
        self.truncated
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        loop {
            let record = match self.records.next()? {
                Ok(record) => record,
                Err(error) => {
                    self.truncated = Some(error);
                    return None;
                }
            };
            match parse_frame(self.records.link_type(), &record) {
                Ok(packet) => {
                    match packet.transport {
                        Transport::Udp => self.counters.datagrams += 1,
                        Transport::Tcp { .. } => self.counters.segments += 1,
                    }
                    self.counters.cut_short += u64::from(packet.missing_bytes > 0);
                    return Some(packet);
                }
                Err(why) => self.counters.skipped(why),
            }
        }
    }
}

impl std::iter::FusedIterator for Packets<'_> {}

#[cfg(test)]
mod tests;
