//! Bodies of the fuzz targets: each takes any bytes and panics when a property does not hold.
//!
//! They live in the library so that a plain unit test runs them too, on every build and without a fuzzer. Nothing else
//! calls them.

mod captures;
mod datagrams;
mod dialect;
mod iex;

pub use captures::pcap_file;
pub use datagrams::{glimpse_client, mold_arbiter, mold_packet};
pub use dialect::dialect_message;
pub use iex::{iex_message, iextp};

use crate::DecodeError;
use crate::dialect::{NASDAQ_50, Op, OpKind, WINDOW};
use crate::itch50::{self, Message};
use crate::itchfile;
use crate::soupbin::client::{Client, ClientConfig, ClientTimers, State, Step};
use crate::soupbin::field::{Password, SessionId, Username};
use crate::soupbin::frame;
use crate::soupbin::server::{Server, ServerState, ServerStep, ServerTimers};
use crate::time::Nanos;

/// Packets as a receiver sees them, and how the stream ends.
#[derive(Debug, PartialEq, Eq)]
struct Walk {
    packets: Vec<(u8, Vec<u8>)>,
    left_over: usize,
    lost: bool,
}

/// Framing: a walk ends, every packet is written back as it was read, and the cuts that TCP makes change nothing.
pub fn soup_frame(data: &[u8]) {
    let whole = walk(data, &[usize::MAX]);
    let mut written = Vec::new();
    for (kind, payload) in &whole.packets {
        frame::append(&mut written, *kind, payload).expect("what was read can be written");
    }
    assert_eq!(written, data[..written.len()]);
    assert!(whole.lost || written.len() + whole.left_over == data.len());

    // The input itself says where it is cut, so the fuzzer steers the cuts.
    let cuts: Vec<usize> = data.iter().map(|byte| usize::from(byte % 7) + 1).collect();
    assert_eq!(whole, walk(data, &cuts));
}

/// Walks `data` as it arrives in pieces of the sizes `pieces`, over and over.
fn walk(data: &[u8], pieces: &[usize]) -> Walk {
    let mut walk = Walk { packets: Vec::new(), left_over: 0, lost: false };
    let mut pieces = pieces.iter().cycle();
    let (mut start, mut end) = (0, 0);
    while end < data.len() && !walk.lost {
        end = data.len().min(end.saturating_add(*pieces.next().expect("a cycle of sizes")));
        loop {
            match frame::next_packet(&data[start..end]) {
                Ok(Some(packet)) => {
                    assert!(packet.consumed == frame::HEADER_BYTES + packet.payload.len());
                    walk.packets.push((packet.kind, packet.payload.to_vec()));
                    start += packet.consumed;
                }
                Ok(None) => break,
                Err(_) => {
                    walk.lost = true;
                    break;
                }
            }
        }
    }
    // What follows a lost frame is nobody's, however much of it has arrived.
    walk.left_over = if walk.lost { 0 } else { data.len() - start };
    walk
}

/// The client: any input in any order keeps its promises on numbers, timers and the finality of a close.
pub fn soup_client(data: &[u8]) {
    let Some((&flavour, mut rest)) = data.split_first() else { return };
    let session = if flavour & 1 == 0 { "" } else { "SESSION" };
    let config = ClientConfig::new("user", "secret", session, u64::from(flavour >> 2), ClientTimers::default())
        .expect("a legal configuration")
        .ask_current(flavour & 2 != 0);
    let mut now = Nanos(1);
    let mut client = Client::new(config, now);
    let mut watch = ClientWatch::default();
    while let Some((&op, tail)) = rest.split_first() {
        rest = tail;
        now = now.saturating_add(u64::from(op) << 22);
        match op % 8 {
            0 => {
                let step = client.handle_timeout(now);
                watch.check(&client, &step);
                assert!(client.poll_timeout().is_none_or(|at| at > now), "a timeout that was handled is over");
            }
            1 => while client.poll_transmit().is_some() {},
            2 => client.handle_bytes_received(now),
            3 if op > 200 => client.request_logout(now),
            4 if op > 200 => {
                let reason = client.handle_disconnect();
                watch.check(&client, &Step::Close(reason));
            }
            5 => {
                let number = rest.first().map_or(1, |byte| u64::from(*byte) << (op / 8));
                let packet = frame::login_accepted(&SessionId::new("SESSION").expect("a legal name"), number);
                let step = client.handle_packet(now, frame::kind::LOGIN_ACCEPTED, &packet[frame::HEADER_BYTES..]);
                watch.check(&client, &step);
            }
            _ => match frame::next_packet(rest) {
                Ok(Some(packet)) => {
                    let step = client.handle_packet(now, packet.kind, packet.payload);
                    watch.check(&client, &step);
                    rest = &rest[packet.consumed..];
                }
                Ok(None) => {}
                Err(error) => {
                    let step = client.handle_frame_error(error);
                    watch.check(&client, &step);
                }
            },
        }
    }
}

/// What must hold over all steps of one client.
#[derive(Default)]
struct ClientWatch {
    /// Number of the next sequenced packet and the first that may be delivered, once logged in.
    numbers: Option<(u64, u64)>,
    closed: bool,
}

impl ClientWatch {
    fn check(&mut self, client: &Client, step: &Step<'_>) {
        assert!(!self.closed || matches!(step, Step::Close(_)), "closed is final");
        assert_eq!(matches!(step, Step::Close(_)), client.state() == State::Closed);
        match *step {
            Step::LoggedIn { sequence, gap, duplicates_until, .. } => {
                assert!(self.numbers.is_none(), "one login per connection");
                assert!(gap.is_none() || duplicates_until.is_none());
                assert!(gap.is_none_or(|gap| gap.first <= gap.last && gap.last + 1 == sequence));
                self.numbers = Some((sequence, duplicates_until.unwrap_or(sequence)));
            }
            Step::Deliver { sequence, .. } => {
                let (next, deliver_from) = self.numbers.expect("messages follow a login");
                assert!(sequence == next && sequence >= deliver_from);
                self.numbers = Some((next + 1, deliver_from));
            }
            Step::Duplicate { sequence } => {
                let (next, deliver_from) = self.numbers.expect("messages follow a login");
                assert!(sequence == next && sequence < deliver_from);
                self.numbers = Some((next + 1, deliver_from));
            }
            Step::Close(_) => {
                self.closed = true;
                assert!(client.poll_timeout().is_none());
            }
            Step::Nothing | Step::Unsequenced { .. } | Step::Debug { .. } | Step::EndOfSession => {}
        }
        if let Some((next, deliver_from)) = self.numbers {
            assert_eq!(client.next_sequence(), next.max(deliver_from));
        }
    }
}

/// The server: any input in any order keeps its states, and all it writes is well framed.
pub fn soup_server(data: &[u8]) {
    let password = Password::new("secret").expect("a legal password");
    let login = frame::login_request(&Username::BLANK, &password, &SessionId::BLANK, 1);
    let mut rest = data;
    let mut now = Nanos(1);
    let mut server = Server::new(ServerTimers::default(), now);
    let mut out = Vec::new();
    let mut sent: u64 = 0;
    while let Some((&op, tail)) = rest.split_first() {
        rest = tail;
        now = now.saturating_add(u64::from(op) << 24);
        let was_closed = server.state() == ServerState::Closed;
        let step = match op % 8 {
            0 => {
                let step = server.handle_timeout(now, &mut out);
                assert!(server.poll_timeout().is_none_or(|at| at > now), "a timeout that was handled is over");
                step
            }
            1 => {
                let message = &rest[..rest.len().min(usize::from(op))];
                if let Ok(number) = server.send_sequenced(now, message, &mut out) {
                    sent += 1;
                    assert_eq!(number, sent, "numbers without a hole");
                }
                ServerStep::Nothing
            }
            2 if op > 200 => {
                let _ = server.end_of_session(now, &mut out);
                ServerStep::Nothing
            }
            3 if op > 200 => {
                let _ = server.reject(op, &mut out);
                ServerStep::Nothing
            }
            4 => server.handle_packet(now, frame::kind::LOGIN_REQUEST, &login[frame::HEADER_BYTES..]),
            _ => match frame::next_packet(rest) {
                Ok(Some(packet)) => {
                    rest = &rest[packet.consumed..];
                    server.handle_packet(now, packet.kind, packet.payload)
                }
                Ok(None) => ServerStep::Nothing,
                Err(error) => server.handle_frame_error(error),
            },
        };
        if let ServerStep::LoginRequested(_) = step {
            assert_eq!(server.state(), ServerState::Deciding);
            if op % 16 < 8 {
                server.accept(now, &SessionId::BLANK, 1, &mut out).expect("the login waits for an answer");
            }
        }
        assert!(!was_closed || server.state() == ServerState::Closed, "closed is final");
    }
    let written = walk(&out, &[usize::MAX]);
    assert!(!written.lost && written.left_over == 0);
    let data_packets = written.packets.iter().filter(|(kind, _)| *kind == frame::kind::SEQUENCED).count();
    assert_eq!(data_packets as u64, sent);
}

/// ITCH 5.0: the views and the straight decode see the same message, whatever lies behind it.
pub fn itch50_message(data: &[u8]) {
    let parsed = Message::parse(data);
    let op = NASDAQ_50.decode_at(data, 0, data.len());
    assert!(agree(&op, &parsed), "{op:?} against {parsed:?}");
    if let Ok(message) = parsed {
        assert_eq!(message.as_bytes(), &data[..message.as_bytes().len()]);
        assert_eq!(itch50::message_len(data[0]), Some(message.as_bytes().len()));
        assert_eq!(message.message_type(), data[0]);
    }

    // The same message, with a window behind it that is filled with something else than zeros.
    let mut followed = data.to_vec();
    followed.extend_from_slice(&[0xa5; WINDOW]);
    assert!(agree(&NASDAQ_50.decode_at(&followed, 0, data.len()), &parsed));
}

/// Whether every field that `parsed` has stands in `op` as well.
fn agree(op: &Op, parsed: &Result<Message<'_>, DecodeError>) -> bool {
    let message = match parsed {
        Ok(message) => message,
        Err(DecodeError::Truncated { .. }) => return op.kind == OpKind::Malformed,
        Err(DecodeError::UnknownType { .. }) => return op.kind == OpKind::Unknown,
        Err(DecodeError::Type { .. } | DecodeError::Length { .. }) => return false,
    };
    op.locate == u32::from(message.stock_locate())
        && op.timestamp_ns == message.timestamp_ns()
        && agree_fields(op, message)
}

fn agree_fields(op: &Op, message: &Message<'_>) -> bool {
    match message {
        Message::AddOrder(add) => {
            let body = (add.order_reference.get(), add.side, u64::from(add.shares.get()), add.price.get());
            (OpKind::Add, body) == (op.kind, (op.reference, op.side, op.quantity, op.price))
        }
        Message::AddOrderMpid(add) => {
            let body = (add.order_reference.get(), add.side, u64::from(add.shares.get()), add.price.get());
            (OpKind::Add, body) == (op.kind, (op.reference, op.side, op.quantity, op.price))
        }
        Message::OrderExecuted(executed) => {
            let body = (
                executed.order_reference.get(),
                u64::from(executed.executed_shares.get()),
                executed.match_number.get(),
            );
            (OpKind::Execute, body) == (op.kind, (op.reference, op.quantity, op.match_number))
        }
        Message::OrderExecutedPrice(executed) => {
            let body = (
                executed.order_reference.get(),
                u64::from(executed.executed_shares.get()),
                executed.match_number.get(),
            );
            let print = (executed.printable == b'Y', executed.execution_price.get());
            (OpKind::ExecutePrice, body) == (op.kind, (op.reference, op.quantity, op.match_number))
                && print == (op.printable, op.price)
        }
        Message::OrderCancel(cancel) => {
            let body = (cancel.order_reference.get(), u64::from(cancel.cancelled_shares.get()));
            (OpKind::Cancel, body) == (op.kind, (op.reference, op.quantity))
        }
        Message::OrderDelete(delete) => (OpKind::Delete, delete.order_reference.get()) == (op.kind, op.reference),
        Message::OrderReplace(replace) => {
            let references = (replace.original_order_reference.get(), replace.new_order_reference.get());
            let body = (u64::from(replace.shares.get()), replace.price.get());
            (OpKind::Replace, references) == (op.kind, (op.reference, op.new_reference))
                && body == (op.quantity, op.price)
        }
        _ => op.kind == OpKind::Other,
    }
}

/// Files: the walk ends, names true offsets, and is written back as it was read.
pub fn itch_file(data: &[u8]) {
    let mut messages = itchfile::Messages::new(data);
    let mut written = Vec::new();
    let mut cut = None;
    for message in messages.by_ref() {
        assert!(cut.is_none(), "an error is the last thing that a walk yields");
        match message {
            Ok((offset, message)) => {
                assert_eq!(offset, written.len() + 2);
                assert_eq!(message, &data[offset..offset + message.len()]);
                itchfile::append(&mut written, message);
            }
            Err(error) => cut = Some(error),
        }
    }
    assert!(messages.next().is_none());
    assert_eq!(written, data[..written.len()]);
    let rest = &data[written.len()..];
    match cut {
        Some(itchfile::FileError::Cut { offset, need, have }) => {
            assert!(offset == written.len() && have == rest.len() && need > have);
        }
        None if messages.session_ended() => assert!(rest.starts_with(&[0, 0])),
        None => assert!(rest.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: u64 = 2_000;

    /// A small generator of its own, so that every failure names the seed that repeats it.
    pub(super) struct Random(u64);

    impl Random {
        pub(super) fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 17
        }

        pub(super) fn below(&mut self, limit: usize) -> usize {
            self.next() as usize % limit
        }

        pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
            (0..len).map(|_| self.next() as u8).collect()
        }
    }

    pub(super) fn for_each_input(mut shape: impl FnMut(&mut Random) -> Vec<u8>, target: fn(&[u8])) {
        for seed in 0..INPUTS {
            let input = shape(&mut Random(seed));
            let outcome = std::panic::catch_unwind(|| target(&input));
            assert!(outcome.is_ok(), "seed {seed}, input {}", input.escape_ascii());
        }
    }

    /// Packets of every kind with operations between them, short lengths, and now and then plain noise.
    fn soup(random: &mut Random) -> Vec<u8> {
        let mut input = vec![random.next() as u8];
        for _ in 0..random.below(60) {
            match random.below(8) {
                0 => input.extend(random.bytes(3)),
                1 => input.push(random.next() as u8),
                2 => input.push(5 + 8 * random.below(8) as u8),
                _ => {
                    let kind = b"+LAJSSSSUHRZO"[random.below(13)];
                    let payload_len = random.below(12);
                    let payload = random.bytes(payload_len);
                    input.push(6);
                    frame::append(&mut input, kind, &payload).unwrap();
                }
            }
        }
        input
    }

    #[test]
    fn framing_survives_noise() {
        for_each_input(
            |random| {
                let mut input = soup(random);
                input.retain(|_| random.below(40) != 0);
                input
            },
            soup_frame,
        );
    }

    #[test]
    fn client_survives_noise() {
        for_each_input(soup, soup_client);
    }

    #[test]
    fn server_survives_noise() {
        for_each_input(
            |random| {
                let mut input = vec![4];
                input.extend(soup(random));
                input
            },
            soup_server,
        );
    }

    #[test]
    fn decoders_agree_on_noise() {
        for_each_input(
            |random| {
                let len = random.below(60);
                let mut input = random.bytes(len);
                if let Some(letter) = input.first_mut().filter(|_| random.below(8) != 0) {
                    *letter = itch50::TYPES[random.below(itch50::TYPES.len())].0;
                }
                input
            },
            itch50_message,
        );
    }

    #[test]
    fn file_walk_survives_noise() {
        for_each_input(
            |random| {
                let mut input = Vec::new();
                for _ in 0..random.below(20) {
                    let len = 1 + random.below(60);
                    itchfile::append(&mut input, &random.bytes(len));
                }
                match random.below(3) {
                    0 => itchfile::append_end(&mut input),
                    1 => input.truncate(random.below(input.len() + 1)),
                    _ => {}
                }
                input
            },
            itch_file,
        );
    }
}
