//! Captures: files, frames and streams.

use crate::pcap::{Packets, Piece, Records, StreamLimits, Streams, Transport};

/// A capture: the walk ends, every payload lies in the file, every record is counted once, and streams hold no more than
/// they may.
pub fn pcap_file(data: &[u8]) {
    let Ok(mut packets) = Packets::new(data) else { return };
    let records = Records::new(data).expect("the walk over packets began").filter(Result::is_ok).count();
    let limits = StreamLimits { max_streams: 4, max_held_segments: 4, max_held_bytes: 100 };
    let mut streams = Streams::new(limits);
    let (mut segments, mut delivered, mut lost) = (0, 0, 0);
    let mut count = |_, piece: Piece<'_>| match piece {
        Piece::Bytes { bytes, .. } => {
            assert!(!bytes.is_empty());
            delivered += bytes.len();
        }
        Piece::Lost { bytes } => lost += bytes,
        Piece::Ended => {}
    };
    let mut sent = 0;
    for packet in packets.by_ref() {
        assert!(data.as_ptr_range().contains(&packet.payload.as_ptr()) || packet.payload.is_empty());
        if let Transport::Tcp { .. } = packet.transport {
            segments += 1;
            sent += packet.payload.len();
        }
        streams.push(&packet, &mut count);
    }
    streams.finish(&mut count);
    assert_eq!(packets.counters().records(), records as u64);
    assert_eq!(packets.counters().segments, segments);
    let counters = streams.counters();
    assert!(streams.len() <= limits.max_streams);
    assert_eq!(counters.segments + counters.refused, segments);
    assert_eq!(counters.lost_bytes, lost);
    assert!(delivered as u64 + counters.duplicate_bytes <= sent as u64);
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, SocketAddrV4};

    use super::super::tests::for_each_input;
    use crate::pcap::TcpFlags;
    use crate::pcap::encode::{append_record, file_header, tcp_frame, udp_frame};

    #[test]
    fn captures_survive_noise() {
        for_each_input(
            |random| {
                let end = |random: &mut super::super::tests::Random| {
                    SocketAddrV4::new(Ipv4Addr::LOCALHOST, random.below(3) as u16)
                };
                let mut input = file_header();
                for _ in 0..random.below(12) {
                    let (source, destination, len) = (end(random), end(random), random.below(40));
                    let payload = random.bytes(len);
                    let sequence = (random.below(90) as u32).wrapping_sub(30);
                    let flags = TcpFlags([0, 0, 0, 1, 2, 4, 0xff, 0x10][random.below(8)]);
                    let mut frame = match random.below(3) {
                        0 => udp_frame(source, destination, &payload),
                        _ => tcp_frame(source, destination, sequence, flags, &payload),
                    };
                    if random.below(4) == 0 {
                        let at = random.below(frame.len());
                        frame[at] = random.next() as u8;
                    }
                    append_record(&mut input, random.next(), &frame);
                }
                if random.below(3) == 0 {
                    let at = random.below(input.len());
                    input[at] = random.next() as u8;
                }
                if random.below(3) == 0 {
                    input.truncate(random.below(input.len() + 1));
                }
                input
            },
            super::pcap_file,
        );
    }
}
