//! Captures written: classic pcap of nanosecond stamps, Ethernet and IPv4, the payload in UDP or TCP.
//!
//! Addresses of the link are zero and checksums are left blank, as a card that computes them leaves them to a capture.

use core::net::SocketAddrV4;

use super::frame::TcpFlags;

/// Bytes that an Ethernet frame is padded to.
const FRAME_MIN_BYTES: usize = 60;

/// Most bytes of payload that one packet carries: those of IPv4's length less the larger headers.
pub const PAYLOAD_MAX_BYTES: usize = u16::MAX as usize - 40;

/// A capture without records: Ethernet, nanoseconds, little-endian.
#[must_use]
pub fn file_header() -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 1 << 18, 1] {
        out.extend_from_slice(&u32::to_le_bytes(word));
    }
    out
}

/// Appends one captured frame.
///
/// `ts_ns` is cut to the seconds that 32 bits hold.
pub fn append_record(out: &mut Vec<u8>, ts_ns: u64, frame: &[u8]) {
    let len = frame.len() as u32;
    let seconds = (ts_ns / crate::time::SECOND_NS) as u32;
    let fraction = (ts_ns % crate::time::SECOND_NS) as u32;
    for word in [seconds, fraction, len, len] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(frame);
}

/// A frame with one UDP datagram, padded as Ethernet pads it.
///
/// # Panics
/// When the payload is longer than [`PAYLOAD_MAX_BYTES`].
#[must_use]
pub fn udp_frame(source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let length = checked_len(8 + payload.len());
    let mut header = [0; 8];
    header[0..2].copy_from_slice(&source.port().to_be_bytes());
    header[2..4].copy_from_slice(&destination.port().to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    frame(17, source, destination, &header, payload)
}

/// A frame with one TCP segment, padded as Ethernet pads it.
///
/// # Panics
/// When the payload is longer than [`PAYLOAD_MAX_BYTES`].
#[must_use]
pub fn tcp_frame(
    source: SocketAddrV4,
    destination: SocketAddrV4,
    sequence: u32,
    flags: TcpFlags,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = [0; 20];
    header[0..2].copy_from_slice(&source.port().to_be_bytes());
    header[2..4].copy_from_slice(&destination.port().to_be_bytes());
    header[4..8].copy_from_slice(&sequence.to_be_bytes());
    header[12] = 5 << 4;
    header[13] = flags.0;
    frame(6, source, destination, &header, payload)
}

fn checked_len(len: usize) -> u16 {
    assert!(len <= PAYLOAD_MAX_BYTES + 20, "{len} bytes do not fit one IPv4 packet");
    len as u16
}

fn frame(protocol: u8, source: SocketAddrV4, destination: SocketAddrV4, header: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = checked_len(header.len() + payload.len()) + 20;
    let mut out = vec![0; 12];
    out.extend_from_slice(&[0x08, 0x00, 0x45, 0]);
    out.extend_from_slice(&total.to_be_bytes());
    // Not to be cut up, to live for 16 hops.
    out.extend_from_slice(&[0, 0, 0x40, 0, 16, protocol, 0, 0]);
    out.extend_from_slice(&source.ip().octets());
    out.extend_from_slice(&destination.ip().octets());
    out.extend_from_slice(header);
    out.extend_from_slice(payload);
    out.resize(out.len().max(FRAME_MIN_BYTES), 0);
    out
}
