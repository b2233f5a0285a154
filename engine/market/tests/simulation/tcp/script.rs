//! What goes wrong in a run of a TCP feed, drawn from its seed.

use crate::common::flow::Rng;
use crate::schedule::{MS, S};

/// What a venue answers to a login instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// `J` with this letter.
    Reject(u8),
    /// Nothing at all.
    Nothing,
    /// Something that is no answer: see [`GARBAGE`].
    Garbage(usize),
    /// The right session, but from so many messages later on.
    Skip(u64),
    /// The right session, but from so many messages earlier on.
    Replay(u64),
}

/// Bytes that are no answer to a login, and have no place in a stream either.
pub(super) const GARBAGE: [&[u8]; 7] = [
    &[0, 0],
    &[0, 1, b'?'],
    &[0, 4, b'A', b'1', b'2', b'3'],
    b"\0\x1fASIM000000000000000000000000000",
    &[0, 1, b'J'],
    &[0, 1, b'L'],
    b"\0\x01\xffHTTP/1.1 400 Bad Request\r\n\r\n",
];

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection ends after so many bytes more; by RST, what is on its way is lost.
    Cut { after_bytes: usize, reset: bool },
    /// Every connection ends after at most so many bytes, for so long.
    Flap { at_most: usize, lasts: u64 },
    /// Data comes in pieces of at most so many bytes, for so long.
    Pieces { largest: usize, lasts: u64 },
    /// The servers freeze: they neither read nor write.
    Mute { lasts: u64 },
    /// The network keeps everything back, and delivers it later.
    Stall { lasts: u64 },
    /// A host resets its connections and refuses new ones.
    Down { host: usize, lasts: u64 },
    /// A host is gone: nothing comes from it, and dialling it takes until the timeout.
    Gone { host: usize, lasts: u64 },
    /// The next logins are answered so.
    Login { answer: Answer, times: usize },
    /// Bytes that are no packet.
    Garbage { which: usize },
    /// Debug packets, unsequenced ones, and heartbeats between the messages.
    Noise { packets: usize, bytes: usize },
    /// The session is replaced by another, after a pause; said by `Z`, or not.
    NewSession { said: bool, pause: u64 },
    /// The engine is killed: at once, or in the middle of a burst after so many batches, leaving slots of an event that
    /// was never finished.
    Kill { down: u64, batches: Option<u32>, torn: [u64; 2] },
}

/// Everything that a seed decides about a run.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) faults: Vec<(u64, Fault)>,
    /// When the last fault is over, ns.
    pub(super) calm_at: u64,
    /// One-way delay, ns.
    pub(super) delay: u64,
    pub(super) silence_limit: u64,
    pub(super) login_timeout: u64,
    pub(super) connect_timeout: u64,
    pub(super) reject_delay: u64,
    pub(super) session_delay: u64,
    /// Answers a login to a session of before with the present one, instead of rejecting it.
    pub(super) lenient: bool,
    pub(super) hosts: usize,
}

fn answer(rng: &mut Rng) -> Answer {
    match rng.below(8) {
        0 => Answer::Reject(b'A'),
        1 => Answer::Reject(b'S'),
        2 => Answer::Nothing,
        3 => Answer::Garbage(rng.below(GARBAGE.len() as u64) as usize),
        4 | 5 => Answer::Skip(1 + rng.below(40)),
        _ => Answer::Replay(1 + rng.below(200)),
    }
}

fn fault(rng: &mut Rng, hosts: usize) -> Fault {
    let lasts = 50 * MS + rng.below(6 * S);
    let bytes = [8, 60, 600, 6000][rng.below(4) as usize];
    match rng.below(26) {
        0..=5 => Fault::Cut { after_bytes: rng.below(bytes) as usize, reset: rng.chance(50) },
        6 => Fault::Flap { at_most: bytes as usize, lasts: lasts * 3 },
        7..=9 => Fault::Pieces { largest: [1, 1, 7, 100, 65_536][rng.below(5) as usize], lasts },
        10 => Fault::Mute { lasts: lasts * 2 },
        11 => Fault::Stall { lasts },
        12 => Fault::Down { host: rng.below(hosts as u64) as usize, lasts },
        13 => Fault::Gone { host: rng.below(hosts as u64) as usize, lasts: lasts * 2 },
        14..=17 => Fault::Login { answer: answer(rng), times: 1 + rng.below(2) as usize },
        18 => Fault::Garbage { which: rng.below(GARBAGE.len() as u64) as usize },
        19 => Fault::Noise { packets: 1 + rng.below(200) as usize, bytes: [0, 10, 300][rng.below(3) as usize] },
        20 => Fault::NewSession { said: rng.chance(50), pause: rng.below(4 * S) },
        _ => Fault::Kill {
            down: 10 * MS + rng.below(3 * S),
            batches: rng.chance(60).then(|| rng.below(6) as u32),
            torn: [rng.below(3), rng.below(3)],
        },
    }
}

impl Script {
    pub(super) fn draw(rng: &mut Rng) -> Script {
        let hosts = 1 + rng.below(2) as usize;
        let count = [0, 1, 2, 4, 8, 12][rng.below(6) as usize];
        let mut faults: Vec<(u64, Fault)> = Vec::new();
        for _ in 0..count {
            let fault = fault(rng, hosts);
            // A cut alone may hit an idle line; most come together with a login answered otherwise, or a killed engine.
            let at = match faults.last() {
                Some((at, _)) if rng.chance(30) => at + rng.below(200 * MS),
                _ => 100 * MS + rng.below(10 * S),
            };
            faults.push((at, fault));
        }
        faults.sort_by_key(|(at, _)| *at);
        // Drawn apart, so that everything else is the same with it and without.
        let mut kills = Rng(rng.0 ^ 0x6b69_6c6c);
        let mut over = faults.iter().map(|(at, fault)| at + fault.lasts()).max().unwrap_or(2 * S).max(2 * S);
        if kills.chance(40) {
            // Whatever was lost, a last life begins when everything can be had again.
            let last = Fault::Kill { down: 10 * MS, batches: None, torn: [kills.below(3), kills.below(3)] };
            faults.push((over, last));
            over += last.lasts();
        }
        Script {
            faults,
            calm_at: over,
            delay: [20_000, MS / 2, 20 * MS][rng.below(3) as usize],
            silence_limit: [3 * S, 5 * S, 15 * S][rng.below(3) as usize],
            login_timeout: [S, 10 * S][rng.below(2) as usize],
            connect_timeout: [S, 5 * S][rng.below(2) as usize],
            reject_delay: [5 * S, 60 * S][rng.below(2) as usize],
            session_delay: [2 * S, 10 * S][rng.below(2) as usize],
            lenient: rng.chance(50),
            hosts,
        }
    }
}

impl Fault {
    fn lasts(&self) -> u64 {
        match *self {
            Fault::Flap { lasts, .. }
            | Fault::Pieces { lasts, .. }
            | Fault::Mute { lasts }
            | Fault::Stall { lasts }
            | Fault::Down { lasts, .. }
            | Fault::Gone { lasts, .. } => lasts,
            Fault::NewSession { pause, .. } => pause,
            Fault::Kill { down, .. } => S + down,
            Fault::Cut { .. } | Fault::Login { .. } | Fault::Garbage { .. } | Fault::Noise { .. } => S,
        }
    }
}
