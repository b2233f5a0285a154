//! What strangers send costs the gateway nothing that stays: garbage, giants and floods, over and over.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::gateway::{Gateway, frame};

/// Rounds before the gateway's memory is looked at for the first time: its pools and its allocator have then seen all.
const WARM_UP_ROUNDS: usize = 3;
/// Rounds whose cost is measured.
const ROUNDS: usize = 20;
/// Sets of them, of which one must leave memory as it was.
const SETS_MAX: usize = 5;
/// Connections of each kind in a round, open at the same time.
const TOGETHER: usize = 12;
/// What the measured rounds may leave behind: the allocator's pools, which settle within some tens of rounds at about four
/// mebibytes. The rounds send more than a gibibyte, and two kilobytes kept of each connection would be more than this.
const NOISE_BYTES: u64 = 6 << 20;

/// What a stranger says: before the handshake, or in place of frames.
enum Assault {
    Http(Vec<u8>),
    Frames(Vec<u8>),
}

/// Bytes without any meaning, the same in every run.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..count).map(step).collect()
}

fn assaults() -> Vec<(&'static str, Assault)> {
    let long_line = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nx: {}\r\n\r\n", "v".repeat(1 << 20));
    let many_lines = format!("GET /health HTTP/1.1\r\n{}\r\n", "x: v\r\n".repeat(10_000));
    let fragments = [frame(0x01, &[b'x'; 30_000]), frame(0x00, &[b'x'; 30_000]), frame(0x80, &[b'x'; 30_000])].concat();
    let subscriptions = br#"{"op":"subscribe","channel":"quotes","symbols":["AAA","BBB"]}"#;
    vec![
        ("noise before the handshake", Assault::Http(noise(1 << 16))),
        ("a header line of a mebibyte", Assault::Http(long_line.into_bytes())),
        ("ten thousand header lines", Assault::Http(many_lines.into_bytes())),
        (
            "a body of 8 EiB",
            Assault::Http(b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n".to_vec()),
        ),
        ("noise in place of frames", Assault::Frames(noise(1 << 16))),
        ("2^63 bytes announced", Assault::Frames(vec![0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])),
        ("a message over the limit in fragments", Assault::Frames(fragments)),
        ("a megabyte in one frame", Assault::Frames(frame(0x81, &vec![b'x'; 1 << 20]))),
        ("not UTF-8", Assault::Frames(frame(0x81, &[0xFF; 60_000]))),
        ("a flood of commands", Assault::Frames(frame(0x81, subscriptions).repeat(2_000))),
        ("a flood of wrong commands", Assault::Frames(frame(0x81, &[b'{'; 500]).repeat(2_000))),
        ("a flood of pings", Assault::Frames(frame(0x89, &[0; 125]).repeat(20_000))),
    ]
}

/// Sends what there is to say, as far as the gateway listens, ends its own side, and waits until the gateway has hung up
/// too. (Which code it hangs up with, and when, stands elsewhere.)
fn until_hung_up(mut stream: TcpStream, bytes: &[u8]) {
    let mut reader = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut sink = vec![0; 1 << 16];
        loop {
            match reader.read(&mut sink) {
                Ok(1..) => {}
                // A reset is an end as well: the gateway had closed with our bytes unread.
                Ok(0) => return true,
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    });
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    assert!(reading.join().unwrap(), "the gateway has not hung up");
}

fn round(gateway: &Gateway, assaults: &[(&str, Assault)]) {
    for (name, assault) in assaults {
        let attack = || match assault {
            Assault::Http(bytes) => until_hung_up(gateway.connect(), bytes),
            Assault::Frames(bytes) => {
                let mut socket = gateway.websocket("/ws/v1");
                assert!(socket.text().contains("hello"), "{name}");
                until_hung_up(socket.0.get_mut().try_clone().unwrap(), bytes);
            }
        };
        std::thread::scope(|scope| {
            let attackers: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(attack)).collect();
            for attacker in attackers {
                attacker.join().unwrap_or_else(|_| panic!("case: {name}"));
            }
        });
    }
}

#[test]
fn garbage_giants_and_floods_leave_memory_as_it_was() {
    let gateway = Gateway::start("[http]\nheader_timeout_ms = 500\nbody_timeout_ms = 500");
    let assaults = assaults();
    for _ in 0..WARM_UP_ROUNDS {
        round(&gateway, &assaults);
    }
    // A leak grows with every set of rounds. The peak of what lives at once may also grow, when the machine has so much else to
    // do that more of it overlaps; but not every time.
    let mut grown = vec![];
    while grown.iter().all(|grown| *grown >= NOISE_BYTES) {
        assert!(grown.len() < SETS_MAX, "the gateway grows by {grown:?} bytes with every {ROUNDS} rounds");
        let before = gateway.resident_bytes();
        for _ in 0..ROUNDS {
            round(&gateway, &assaults);
        }
        grown.push(gateway.resident_bytes().saturating_sub(before));
    }
    assert!(gateway.websocket("/ws/v1").text().contains("hello"), "others go on");
}

#[test]
fn messages_that_never_end_hold_no_more_than_the_limit_each() {
    const HELD: u64 = 200;
    let gateway = Gateway::start("[http]\nconnections_per_address = 400");
    drop(gateway.websocket("/ws/v1").text());
    let before = gateway.resident_bytes();
    let message = frame(0x81, &vec![b'x'; 65_536]);
    let mut held: Vec<_> = (0..HELD).map(|_| gateway.websocket("/ws/v1")).collect();
    for socket in &mut held {
        socket.text();
        socket.raw(&message[..message.len() - 1]);
    }
    // Each is still served: what it began lies with the gateway, whole but for its last byte.
    for socket in &mut held {
        socket.raw(&message[message.len() - 1..]);
        assert!(socket.text().contains("\"code\":\"bad_json\""));
        socket.raw(&message[..message.len() - 1]);
    }
    let each = gateway.resident_bytes().saturating_sub(before) / HELD;
    // The message, its room (the next power of two), and the connection itself.
    assert!(each < 160 << 10, "{each} bytes for each");
}
