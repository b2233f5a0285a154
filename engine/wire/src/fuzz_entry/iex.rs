//! IEX: packets, requests and messages.

use crate::iex::{self, Message};
use crate::iextp::{self, GapFill, Header, Protocol};
use crate::multicast::Body;

const PROTOCOLS: [Protocol; 2] = [Protocol::Tops, Protocol::Deep];

/// IEX-TP: a packet's messages lie in it, end to end; a request is written back as it was read.
pub fn iextp(data: &[u8]) {
    for protocol in PROTOCOLS {
        let Ok(packet) = iextp::parse(data, protocol) else { continue };
        let header = Header::parse(data).expect("the packet was read");
        assert_eq!(packet.count(), header.message_count.get());
        assert_eq!(packet.next_sequence() - packet.sequence, u64::from(packet.count()));
        assert_eq!(iextp::channel_and_session(packet.session), Some((header.channel.get(), header.session.get())));
        if let Body::Messages(blocks) = packet.body {
            let bytes: usize = blocks.map(|message| 2 + message.len()).sum();
            assert_eq!(bytes, usize::from(header.payload_len.get()));
        }
    }
    if let Ok(request) = GapFill::parse(data) {
        assert_eq!(request.to_bytes(), data);
        assert!(request.ranges.len() <= iextp::RANGES_MAX);
    }
}

/// TOPS and DEEP: a view has the length of its type, gives its bytes back, and both protocols agree where both have it.
pub fn iex_message(data: &[u8]) {
    let [tops, deep] = PROTOCOLS.map(|protocol| {
        let parsed = Message::parse(data, protocol);
        if let Ok(message) = parsed {
            assert_eq!(iex::message_len(data[0], protocol), Some(message.as_bytes().len()));
            assert_eq!(message.as_bytes(), &data[..message.as_bytes().len()]);
            assert_eq!(message.message_type(), data[0]);
            assert_eq!(message.symbol().map(<[u8; 8]>::as_slice), message.as_bytes().get(10..18));
        }
        parsed
    });
    if let (Ok(tops), Ok(deep)) = (tops, deep) {
        assert_eq!(tops, deep);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Random, for_each_input};
    use crate::iex;
    use crate::iextp::{Protocol, segment};

    fn message(random: &mut Random) -> Vec<u8> {
        let (letter, len) = iex::TYPES[random.below(iex::TYPES.len())];
        let len = (len + 2).saturating_sub(random.below(4));
        let mut message = random.bytes(len);
        message[0] = if random.below(8) == 0 { random.next() as u8 } else { letter };
        message
    }

    #[test]
    fn messages_survive_noise() {
        for_each_input(message, super::iex_message);
    }

    #[test]
    fn packets_survive_noise() {
        for_each_input(
            |random| {
                let messages: Vec<_> = (0..random.below(5)).map(|_| message(random)).collect();
                let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
                let protocol = if random.below(2) == 0 { Protocol::Tops } else { Protocol::Deep };
                let mut input = segment(protocol, (1, random.next() as u32), random.next(), random.next(), &messages);
                if random.below(2) == 0 {
                    let at = random.below(input.len());
                    input[at] = random.next() as u8;
                }
                if random.below(4) == 0 {
                    input.truncate(random.below(input.len() + 1));
                }
                input
            },
            super::iextp,
        );
    }
}
