//! One frame: link header, VLAN tags, IPv4, then UDP or TCP, each cut by its own length.
//!
//! Short Ethernet frames are padded to 60 bytes, so the frame's end is never the payload's: UDP says its length, TCP's
//! follows from the packet's.

use core::net::{Ipv4Addr, SocketAddrV4};

use super::file::{LinkType, Record};

/// Most VLAN tags before a packet. Two are stacked in practice; more is noise.
pub const VLAN_TAGS_LIMIT: usize = 4;

const ETHER_TYPE_IPV4: u16 = 0x0800;
/// 802.1Q, 802.1ad, and the older number of stacked tags.
const ETHER_TYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const IPV4_HEADER_MIN: usize = 20;
const UDP_HEADER_BYTES: usize = 8;
const TCP_HEADER_MIN: usize = 20;

/// Control bits of a TCP segment that a stream's reader needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more bytes from this end.
    #[must_use]
    pub const fn fin(self) -> bool {
        self.0 & 0x01 != 0
    }
    /// The first segment; it takes one number of the sequence and carries none of the stream's bytes before it.
    #[must_use]
    pub const fn syn(self) -> bool {
        self.0 & 0x02 != 0
    }
    /// The connection is void.
    #[must_use]
    pub const fn rst(self) -> bool {
        self.0 & 0x04 != 0
    }
}

/// What carries a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// One segment of a stream; put in order by [`Streams`](super::Streams).
    Tcp {
        /// Number of the payload's first byte, or of the SYN.
        sequence: u32,
        /// Control bits.
        flags: TcpFlags,
    },
}

/// One UDP or TCP payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When it was captured, ns since the UNIX epoch.
    pub ts_ns: u64,
    /// Who sent it.
    pub source: SocketAddrV4,
    /// To whom; a group's address for multicast.
    pub destination: SocketAddrV4,
    /// What carried it.
    pub transport: Transport,
    /// Its bytes, without padding. Fewer than were sent when `missing_bytes` is not 0.
    pub payload: &'a [u8],
    /// Bytes of the payload that the capture does not hold, because it was told to keep only the beginning of a frame.
    pub missing_bytes: usize,
}

/// Why a frame gives no payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// A fragment of an IPv4 packet.
    Fragment,
    /// No IPv4 packet.
    NotIpv4,
    /// IPv4 that is neither UDP nor TCP.
    OtherTransport {
        /// The protocol's number.
        protocol: u8,
    },
    /// Headers that contradict themselves or are not whole.
    Malformed,
}

/// The payload in a captured frame.
///
/// # Errors
/// See [`Skipped`]: none of them says anything about the frames around it.
pub fn parse_frame<'a>(link_type: LinkType, record: &Record<'a>) -> Result<Packet<'a>, Skipped> {
    let ip = match link_type {
        LinkType::Ethernet => ethernet(record.bytes)?,
        LinkType::RawIp => record.bytes,
        LinkType::LinuxCooked => cooked(record.bytes)?,
    };
    ipv4(ip, record)
}

fn be16(bytes: &[u8], at: usize) -> Result<u16, Skipped> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Skipped::Malformed)?;
    Ok(u16::from_be_bytes(*bytes))
}

fn be32(bytes: &[u8], at: usize) -> Result<u32, Skipped> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Skipped::Malformed)?;
    Ok(u32::from_be_bytes(*bytes))
}

/// What follows two addresses, any VLAN tags and the type.
fn ethernet(frame: &[u8]) -> Result<&[u8], Skipped> {
    let mut at = 12;
    for _ in 0..=VLAN_TAGS_LIMIT {
        let ether_type = be16(frame, at)?;
        if !ETHER_TYPES_VLAN.contains(&ether_type) {
            return if ether_type == ETHER_TYPE_IPV4 { Ok(&frame[at + 2..]) } else { Err(Skipped::NotIpv4) };
        }
        at += 4;
    }
    Err(Skipped::Malformed)
}

/// What follows Linux' own header of sixteen bytes.
fn cooked(frame: &[u8]) -> Result<&[u8], Skipped> {
    if be16(frame, 14)? == ETHER_TYPE_IPV4 { Ok(&frame[16..]) } else { Err(Skipped::NotIpv4) }
}

fn ipv4<'a>(ip: &'a [u8], record: &Record<'a>) -> Result<Packet<'a>, Skipped> {
    let version_and_words = *ip.first().ok_or(Skipped::Malformed)?;
    if version_and_words >> 4 != 4 {
        return Err(Skipped::NotIpv4);
    }
    let header = usize::from(version_and_words & 15) * 4;
    if header < IPV4_HEADER_MIN || ip.len() < header {
        return Err(Skipped::Malformed);
    }
    // Captured on the sending host before its card cut the packet up: the length is left blank, the frame is the packet.
    let total = match usize::from(be16(ip, 2)?) {
        0 => ip.len(),
        total => total,
    };
    // The lowest fourteen bits are the place of a fragment, and whether more follow.
    if be16(ip, 6)? & 0x3fff != 0 {
        return Err(Skipped::Fragment);
    }
    let declared = total.checked_sub(header).ok_or(Skipped::Malformed)?;
    let body = &ip[header..ip.len().min(total)];
    let addresses = [be32(ip, 12)?, be32(ip, 16)?].map(Ipv4Addr::from);
    let (transport, payload, sent) = match ip[9] {
        PROTOCOL_UDP => udp(body, declared)?,
        PROTOCOL_TCP => tcp(body, declared)?,
        protocol => return Err(Skipped::OtherTransport { protocol }),
    };
    let missing_bytes = sent - payload.len();
    if missing_bytes > 0 && record.wire_bytes as usize <= record.bytes.len() {
        // The frame was captured whole and yet ends before its packet does.
        return Err(Skipped::Malformed);
    }
    Ok(Packet {
        ts_ns: record.ts_ns,
        source: SocketAddrV4::new(addresses[0], be16(body, 0)?),
        destination: SocketAddrV4::new(addresses[1], be16(body, 2)?),
        transport,
        payload,
        missing_bytes,
    })
}

/// Transport, payload as captured, and the bytes that were sent, of `body`, which was `declared` bytes long on the wire.
fn udp(body: &[u8], declared: usize) -> Result<(Transport, &[u8], usize), Skipped> {
    let len = usize::from(be16(body, 4)?);
    if len < UDP_HEADER_BYTES || len > declared || body.len() < UDP_HEADER_BYTES {
        return Err(Skipped::Malformed);
    }
    Ok((Transport::Udp, &body[UDP_HEADER_BYTES..body.len().min(len)], len - UDP_HEADER_BYTES))
}

/// As [`udp`].
fn tcp(body: &[u8], declared: usize) -> Result<(Transport, &[u8], usize), Skipped> {
    let offset_and_flags = be16(body, 12)?;
    let header = usize::from(offset_and_flags >> 12) * 4;
    if header < TCP_HEADER_MIN || header > declared || body.len() < header {
        return Err(Skipped::Malformed);
    }
    let transport = Transport::Tcp { sequence: be32(body, 4)?, flags: TcpFlags(offset_and_flags as u8) };
    Ok((transport, &body[header..], declared - header))
}
