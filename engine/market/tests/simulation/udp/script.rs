//! What goes wrong in a run of a datagram feed, drawn from its seed.

use crate::common::flow::Rng;
use crate::schedule::{MS, S};

/// What a re-request server answers instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// Nothing at all.
    Nothing,
    /// Messages that begin so many numbers later.
    Later(u64),
    /// Messages of another session.
    OtherSession,
    /// A datagram that ends in the middle.
    Cut,
    /// One message, however many were asked for.
    One,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// So many per cent of a line's datagrams are lost, for so long.
    Loss { line: usize, percent: u64, lasts: u64 },
    /// So many per cent of the publications are lost on all lines at the same place.
    SameLoss { percent: u64, lasts: u64 },
    /// A line carries nothing at all, heartbeats neither.
    Dead { line: usize, lasts: u64 },
    /// All lines carry nothing.
    Dark { lasts: u64 },
    /// Datagrams of a line are late by up to so much, each by itself.
    Late { line: usize, at_most: u64, lasts: u64 },
    /// So many per cent of the datagrams come twice, the second copy cut anew.
    Twice { percent: u64, lasts: u64 },
    /// The re-request servers answer so.
    Lie { lie: Lie, lasts: u64 },
    /// Requests and answers are lost, so many per cent.
    RequestLoss { percent: u64, lasts: u64 },
    /// A packet of a session that is none of ours.
    Stray { line: usize },
    /// A packet of our session with absurd numbers.
    Far { line: usize },
    /// A datagram that is no packet.
    Garbage { line: usize },
    /// The session is replaced by another, after a pause; its end is announced, or not.
    NewSession { said: bool, pause: u64 },
    /// The engine is killed: at once, or in the middle of a burst.
    Kill { down: u64, batches: Option<u32>, torn: [u64; 2] },
}

/// Everything that a seed decides about a run.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) faults: Vec<(u64, Fault)>,
    /// When the last fault is over, ns.
    pub(super) calm_at: u64,
    /// Delay of each line and of the way to and from the servers, ns.
    pub(super) delays: [u64; 3],
    pub(super) lines: usize,
    pub(super) servers: u8,
    /// Lines cut the stream at different places.
    pub(super) recut: bool,
    /// Of each publication at most one line loses its copy, so many per cent of the time; nothing else goes wrong.
    pub(super) one_line_only: Option<u64>,
    /// Holes that the arbiter can know at one time.
    pub(super) max_holes: u32,
}

fn fault(rng: &mut Rng, lines: usize) -> Fault {
    let lasts = 50 * MS + rng.below(4 * S);
    let line = rng.below(lines as u64) as usize;
    let percent = [2, 10, 25, 60][rng.below(4) as usize];
    match rng.below(24) {
        0..=2 => Fault::Loss { line, percent, lasts },
        3..=6 => Fault::SameLoss { percent, lasts },
        7 => Fault::Dead { line, lasts: 2 * lasts },
        8 => Fault::Dark { lasts: 2 * lasts },
        9 | 10 => Fault::Late { line, at_most: [MS / 2, 3 * MS, 40 * MS][rng.below(3) as usize], lasts },
        11 => Fault::Twice { percent, lasts },
        12..=14 => {
            let lie = match rng.below(5) {
                0 => Lie::Nothing,
                1 => Lie::Later([1, 7, 5000][rng.below(3) as usize]),
                2 => Lie::OtherSession,
                3 => Lie::Cut,
                _ => Lie::One,
            };
            Fault::Lie { lie, lasts }
        }
        15 => Fault::RequestLoss { percent, lasts },
        16 => Fault::Stray { line },
        17 => Fault::Far { line },
        18 => Fault::Garbage { line },
        19 => Fault::NewSession { said: rng.chance(50), pause: rng.below(5 * S) },
        _ => Fault::Kill {
            down: 10 * MS + rng.below(3 * S),
            batches: rng.chance(60).then(|| rng.below(12) as u32),
            torn: [rng.below(3), rng.below(3)],
        },
    }
}

impl Script {
    pub(super) fn draw(rng: &mut Rng) -> Script {
        let lines = 2 - usize::from(rng.chance(20));
        let one_line_only = (lines == 2 && rng.chance(20)).then(|| 5 + rng.below(60));
        let count = if one_line_only.is_some() { 0 } else { [0, 1, 2, 4, 8, 12][rng.below(6) as usize] };
        let mut faults: Vec<(u64, Fault)> =
            (0..count).map(|_| (100 * MS + rng.below(6 * S), fault(rng, lines))).collect();
        faults.sort_by_key(|(at, _)| *at);
        // Drawn apart, so that everything else is the same with it and without.
        let mut kills = Rng(rng.0 ^ 0x6b69_6c6c);
        let mut over = faults.iter().map(|(at, fault)| at + fault.lasts()).max().unwrap_or(2 * S).max(2 * S);
        if one_line_only.is_none() && kills.chance(40) {
            // Whatever was lost, a last life begins when everything can be had again.
            let last = Fault::Kill { down: 10 * MS, batches: None, torn: [kills.below(3), kills.below(3)] };
            faults.push((over, last));
            over += last.lasts();
        }
        let delay = [20_000, MS, 10 * MS][rng.below(3) as usize];
        Script {
            faults,
            calm_at: over,
            // Lines differ by less than a hole waits for the other one.
            delays: [delay, delay + rng.below(3 * MS), MS / 2 + rng.below(10 * MS)],
            lines,
            servers: rng.below(3) as u8,
            recut: one_line_only.is_none() && rng.chance(50),
            one_line_only,
            max_holes: if one_line_only.is_none() && rng.chance(20) { 3 } else { 1024 },
        }
    }

    /// Whether whatever is lost on the lines can be had from a server, at any time.
    pub(super) fn servers_are_good(&self) -> bool {
        let bad =
            |fault: &Fault| matches!(fault, Fault::Lie { .. } | Fault::RequestLoss { .. } | Fault::NewSession { .. });
        self.servers > 0 && self.max_holes > 3 && !self.faults.iter().any(|(_, fault)| bad(fault))
    }
}

impl Fault {
    pub(super) fn lasts(&self) -> u64 {
        match *self {
            Fault::Loss { lasts, .. }
            | Fault::SameLoss { lasts, .. }
            | Fault::Dead { lasts, .. }
            | Fault::Dark { lasts }
            | Fault::Late { lasts, .. }
            | Fault::Twice { lasts, .. }
            | Fault::Lie { lasts, .. }
            | Fault::RequestLoss { lasts, .. } => lasts,
            Fault::NewSession { pause, .. } => pause,
            Fault::Kill { down, .. } => S + down,
            Fault::Stray { .. } | Fault::Far { .. } | Fault::Garbage { .. } => S,
        }
    }
}
