//! What may go wrong on the lines and the re-request server of MoldUDP64. No socket: datagrams' numbers in, fates out.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::FaultError;
use super::plan::used;
use super::words::Words;

/// Lines of one feed: A and B.
pub const MAX_LINES: usize = 2;
/// Index of the re-request server's answers, behind the lines.
const ANSWERS: usize = MAX_LINES;
/// Most ranges of one `drop`.
const MAX_LISTED: usize = 100_000;
const REPLAYED_MESSAGES: u64 = 200;
const MILLION: u64 = 1_000_000;

/// Which lines a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSet(u8);

impl LineSet {
    /// Letters `a`, `b` and `r`, or `all`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self(0b111));
        }
        let bits = text.bytes().try_fold(0, |bits, letter| match letter {
            b'a' | b'b' => Some(bits | 1 << (letter - b'a')),
            b'r' => Some(bits | 1 << ANSWERS),
            _ => None,
        });
        bits.filter(|bits| *bits != 0).map(Self)
    }

    fn has(self, line: usize) -> bool {
        self.0 >> line & 1 == 1
    }
}

/// What a line loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Losses {
    /// So many datagrams of a million, chosen by their first number and the seed.
    Share {
        /// Of a million.
        per_million: u64,
        /// Another seed, other datagrams; the same seed is the same ones on every line.
        seed: u64,
    },
    /// Every datagram that holds one of these messages.
    Listed(Vec<RangeInclusive<u64>>),
}

/// One fault of the lines. See the table of [`super`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineFault {
    /// Datagrams are lost.
    Drop {
        /// Where.
        lines: LineSet,
        /// Which ones.
        what: Losses,
    },
    /// Messages come again.
    Duplicate {
        /// Where.
        lines: LineSet,
        /// The last one of them.
        sequence: u64,
        /// How many.
        count: u64,
    },
    /// Datagrams come late.
    Swap {
        /// Where.
        lines: LineSet,
        /// Every so many datagrams.
        every: u64,
        /// Behind so many later ones.
        span: u64,
    },
    /// Everything comes late.
    Delay {
        /// Where.
        lines: LineSet,
        /// By how much; 0 for no more.
        micros: u64,
    },
    /// Nothing comes.
    Mute {
        /// Where.
        lines: LineSet,
        /// From this message on.
        from: u64,
        /// And cannot be cleared.
        for_ever: bool,
    },
    /// Datagrams of another session come in between.
    Stray {
        /// Where.
        lines: LineSet,
        /// Before every so many datagrams.
        every: u64,
    },
    /// Datagrams that are none come in between.
    Noise {
        /// Where.
        lines: LineSet,
        /// Before every so many datagrams.
        every: u64,
    },
    /// Answers carry numbers that nobody asked for.
    OffRange {
        /// So much higher.
        by: u64,
        /// So many times.
        times: u64,
    },
}

pub(super) fn parse(name: &str, words: &mut Words<'_>) -> Result<Option<LineFault>, FaultError> {
    use LineFault::*;
    Ok(Some(match name {
        "drop" => Drop { lines: words.lines()?, what: losses(words)? },
        "dup" => Duplicate {
            lines: words.lines()?,
            sequence: words.positive("message number")?,
            count: words.or(REPLAYED_MESSAGES, "number of messages")?,
        },
        "swap" => Swap {
            lines: words.lines()?,
            every: words.positive("number of datagrams")?,
            span: words.or(1, "number")?.max(1),
        },
        "delay" => Delay { lines: words.lines()?, micros: words.number("number of microseconds")?.min(60 * MILLION) },
        "mute" => Mute { lines: words.lines()?, from: words.or(0, "message number")?, for_ever: false },
        "kill" => Mute { lines: words.lines()?, from: 0, for_ever: true },
        "stray" => Stray { lines: words.lines()?, every: words.positive("number of datagrams")? },
        "noise" => Noise { lines: words.lines()?, every: words.positive("number of datagrams")? },
        "off-range" => OffRange { by: words.positive("number of messages")?, times: words.times()? },
        _ => return Ok(None),
    }))
}

/// `25%`, `25%,7`, or numbers and ranges of numbers.
fn losses(words: &mut Words<'_>) -> Result<Losses, FaultError> {
    let first = words.next().unwrap_or("");
    if let Some(percent) = first.strip_suffix('%') {
        let share = percent.parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share));
        let share = share.ok_or_else(|| words.wrong(first, "share from 0% to 100%"))?;
        let per_million = (share * (MILLION / 100) as f64).round() as u64;
        return Ok(Losses::Share { per_million, seed: words.or(1, "seed")? });
    }
    let mut ranges = Vec::new();
    let mut word = Some(first);
    while let Some(seen) = word.filter(|_| ranges.len() < MAX_LISTED) {
        let (low, high) = seen.split_once('-').unwrap_or((seen, seen));
        match (low.parse::<u64>(), high.parse::<u64>()) {
            (Ok(low), Ok(high)) if low <= high => ranges.push(low..=high),
            _ => return Err(words.wrong(seen, "share like 25%, message number or range like 7-9")),
        }
        word = words.next();
    }
    Ok(Losses::Listed(ranges))
}

impl LineFault {
    /// The name that clears it, with all of its kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Drop { .. } => "drop",
            Self::Duplicate { .. } => "dup",
            Self::Swap { .. } => "swap",
            Self::Delay { .. } => "delay",
            Self::Mute { for_ever: false, .. } => "mute",
            Self::Mute { for_ever: true, .. } => "kill",
            Self::Stray { .. } => "stray",
            Self::Noise { .. } => "noise",
            Self::OffRange { .. } => "off-range",
        }
    }
}

/// What becomes of one datagram on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fate {
    /// Not sent: lost on the way, as a fault says.
    pub dropped: bool,
    /// Not sent: the line is mute.
    pub mute: bool,
    /// A datagram of another session first.
    pub stray: bool,
    /// A datagram of noise first.
    pub noise: bool,
    /// Behind so many later ones.
    pub swap: u64,
    /// So much later.
    pub delay_micros: u64,
    /// Then so many messages up to this number once more; a count of 0 for none.
    pub replay: (u64, u64),
}

/// All faults of one feed's lines.
#[derive(Debug, Default)]
pub struct LinePlan {
    left: Mutex<Vec<LineFault>>,
}

impl LinePlan {
    /// The plan of these faults.
    #[must_use]
    pub fn new<'f>(faults: impl IntoIterator<Item = &'f LineFault>) -> Self {
        Self { left: Mutex::new(faults.into_iter().cloned().collect()) }
    }

    fn left(&self) -> MutexGuard<'_, Vec<LineFault>> {
        // Each change is one push or retain.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more fault, from now on.
    pub fn add(&self, fault: &LineFault) {
        self.left().push(fault.clone());
    }

    /// Takes back all faults of a kind, by a name of [`LineFault::name`]; every kind but `kill` for `all`. False when there
    /// is no such kind.
    pub fn clear(&self, name: &str) -> bool {
        const KINDS: [&str; 8] = ["all", "drop", "dup", "swap", "delay", "mute", "stray", "noise"];
        self.left().retain(|fault| match fault.name() {
            "kill" => true,
            kind => kind != name && name != "all",
        });
        KINDS.contains(&name) || name == "off-range"
    }

    /// The fate of the `index`-th datagram (from 1) of a line, 0 for A and 1 for B, with the messages `first..=last`.
    pub fn fate(&self, line: usize, index: u64, first: u64, last: u64) -> Fate {
        let mut fate = Fate::default();
        self.left().retain(|fault| {
            match fault {
                LineFault::Drop { lines, what } if lines.has(line) => fate.dropped |= what.has(first, last),
                LineFault::Swap { lines, every, span } if lines.has(line) && index.is_multiple_of(*every) => {
                    fate.swap = *span;
                }
                LineFault::Delay { lines, micros } if lines.has(line) => fate.delay_micros = *micros,
                LineFault::Mute { lines, from, .. } if lines.has(line) => fate.mute |= *from <= last,
                LineFault::Stray { lines, every } if lines.has(line) => fate.stray |= index.is_multiple_of(*every),
                LineFault::Noise { lines, every } if lines.has(line) => fate.noise |= index.is_multiple_of(*every),
                LineFault::Duplicate { lines, sequence, count } if lines.has(line) && *sequence <= last => {
                    fate.replay = (*sequence, *count);
                    // Used up on this line; it stays for the other one.
                    return false;
                }
                _ => {}
            }
            true
        });
        fate
    }

    /// Whether a heartbeat or an end of session, which names `next`, stays away from a line.
    pub fn is_mute(&self, line: usize, next: u64) -> bool {
        self.left()
            .iter()
            .any(|fault| matches!(fault, LineFault::Mute { lines, from, .. } if lines.has(line) && *from <= next))
    }

    /// How late a line is.
    pub fn delay_micros(&self, line: usize) -> u64 {
        let left = self.left();
        let delays = left.iter().filter_map(|fault| match fault {
            LineFault::Delay { lines, micros } if lines.has(line) => Some(*micros),
            _ => None,
        });
        delays.max().unwrap_or(0)
    }

    /// What becomes of the answer to a request, the `index`-th one: none to send it, or none at all.
    pub fn answer(&self, index: u64, first: u64) -> Answer {
        let mut answer = Answer::Send { off_by: 0 };
        for fault in self.left().iter_mut() {
            match fault {
                LineFault::Mute { lines, from, .. } if lines.has(ANSWERS) && *from <= first => return Answer::Mute,
                // By the request and not by its number: the same question may find an answer the next time.
                LineFault::Drop { lines, what: what @ Losses::Share { .. } }
                    if lines.has(ANSWERS) && what.has(index, index) =>
                {
                    return Answer::Lost;
                }
                LineFault::Drop { lines, what: what @ Losses::Listed(_) }
                    if lines.has(ANSWERS) && what.has(first, first) =>
                {
                    return Answer::Lost;
                }
                LineFault::OffRange { by, times } if *times > 0 => {
                    *times = used(*times);
                    answer = Answer::Send { off_by: *by };
                }
                _ => {}
            }
        }
        answer
    }
}

/// What becomes of the answer to a re-request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It goes out, numbered so much too high.
    Send {
        /// Added to its number.
        off_by: u64,
    },
    /// It is lost on the way.
    Lost,
    /// There is none.
    Mute,
}

impl Losses {
    fn has(&self, first: u64, last: u64) -> bool {
        match self {
            Self::Share { per_million, seed } => mix(first ^ mix(*seed)) % MILLION < *per_million,
            Self::Listed(ranges) => ranges.iter().any(|range| *range.start() <= last && first <= *range.end()),
        }
    }
}

/// SplitMix64's finisher: close numbers get far apart.
fn mix(number: u64) -> u64 {
    let x = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
