//! What may go wrong with the messages themselves, however they are carried.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wire::soupbin::field::SessionId;
use wire::time::MILLISECOND_NS;

use super::FaultError;
use super::words::Words;

/// Type of the message that nobody knows.
const UNKNOWN_MESSAGE: &[u8] = b"~of a type that nobody knows";

/// One fault of the messages. See the table of [`super`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlowFault {
    /// A message too short for its type, behind every so many.
    Malformed(u64),
    /// A message of no known type, behind every so many.
    Unknown(u64),
    /// Time stamps jump.
    Clock {
        /// From this message on.
        at: u64,
        /// By this.
        by_ms: i64,
    },
    /// Messages come at full speed.
    Burst {
        /// From this one on.
        at: u64,
        /// So many.
        count: u64,
    },
    /// The session becomes another one.
    NewSession {
        /// From this message on, which is its first.
        at: u64,
        /// Its name.
        name: SessionId,
        /// The old one is ended in good order.
        end: bool,
    },
}

pub(super) fn parse(name: &str, words: &mut Words<'_>) -> Result<Option<FlowFault>, FaultError> {
    Ok(Some(match name {
        "malformed" => FlowFault::Malformed(words.positive("number of messages")?),
        "unknown" => FlowFault::Unknown(words.positive("number of messages")?),
        "clock" => {
            let at = words.positive("message number")?;
            let seen = words.next().unwrap_or("");
            let by_ms = seen.parse().map_err(|_| words.wrong(seen, "number of milliseconds"))?;
            FlowFault::Clock { at, by_ms }
        }
        "burst" => FlowFault::Burst { at: words.positive("message number")?, count: words.positive("message count")? },
        "new-session" => {
            const WANT: &str = "session name of 1 to 10 characters";
            let at = words.positive("message number")?;
            let seen = words.next().unwrap_or("");
            let name = SessionId::new(seen).map_err(|_| words.wrong(seen, WANT))?;
            let end = match words.next() {
                None => false,
                Some("end") => true,
                Some(seen) => return Err(words.wrong(seen, "word \"end\"")),
            };
            match name.is_blank() {
                true => return Err(words.wrong(seen, WANT)),
                false => FlowFault::NewSession { at, name, end },
            }
        }
        _ => return Ok(None),
    }))
}

impl FlowFault {
    /// The name that clears it, with all of its kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unknown(_) => "unknown",
            Self::Clock { .. } => "clock",
            Self::Burst { .. } => "burst",
            Self::NewSession { .. } => "new-session",
        }
    }
}

/// Where messages keep their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Six bytes of nanoseconds since midnight at offset 5 of every message: Nasdaq.
    Nanoseconds,
    /// `T` messages of whole seconds, and four bytes of nanoseconds at offset 1 of all others: X-stream.
    Seconds,
}

/// What happens at one message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Passage {
    /// It need not wait for its time.
    pub(crate) is_hurried: bool,
    /// It is the first one of this session; true when the old one ends in good order.
    pub(crate) session: Option<(SessionId, bool)>,
    /// These come behind it.
    pub(crate) behind: Vec<Vec<u8>>,
}

/// All faults of one feed's messages.
#[derive(Debug, Default)]
pub struct FlowPlan {
    /// Whether there is any, so that a feed without faults takes no lock for each message.
    any: AtomicBool,
    played: AtomicU64,
    left: Mutex<Vec<FlowFault>>,
}

impl FlowPlan {
    /// The plan of these faults.
    #[must_use]
    pub fn new<'f>(faults: impl IntoIterator<Item = &'f FlowFault>) -> Self {
        let plan = Self::default();
        faults.into_iter().for_each(|fault| plan.add(fault));
        plan
    }

    fn left(&self) -> MutexGuard<'_, Vec<FlowFault>> {
        // Each change is one push or retain.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is any fault.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// Faults that have happened, each message of a burst or with a wrong stamp being one.
    #[must_use]
    pub fn played(&self) -> u64 {
        self.played.load(Relaxed)
    }

    /// One more fault, from now on.
    pub fn add(&self, fault: &FlowFault) {
        self.left().push(fault.clone());
        self.any.store(true, Relaxed);
    }

    /// Takes back all faults of a kind, by a name of [`FlowFault::name`]; every kind for `all`. False when there is no such
    /// kind.
    pub fn clear(&self, name: &str) -> bool {
        let mut left = self.left();
        left.retain(|fault| fault.name() != name && name != "all");
        self.any.store(!left.is_empty(), Relaxed);
        matches!(name, "all" | "malformed" | "unknown" | "clock" | "burst" | "new-session")
    }

    /// What happens at message `number`, whose stamps may be changed in place.
    pub(crate) fn pass(&self, number: u64, clock: Clock, message: &mut [u8]) -> Passage {
        let mut passage = Passage::default();
        if !self.is_set() {
            return passage;
        }
        let mut left = self.left();
        let mut played = 0;
        left.retain(|fault| {
            match fault {
                FlowFault::Malformed(every) if number.is_multiple_of(*every) => {
                    passage.behind.push(message[..message.len() / 2].to_vec());
                    played += 1;
                }
                FlowFault::Unknown(every) if number.is_multiple_of(*every) => {
                    passage.behind.push(UNKNOWN_MESSAGE.to_vec());
                    played += 1;
                }
                FlowFault::Clock { at, by_ms } if *at <= number => {
                    shift(clock, message, *by_ms);
                    played += 1;
                }
                FlowFault::Burst { at, count } if (*at..at.saturating_add(*count)).contains(&number) => {
                    passage.is_hurried = true;
                    played += 1;
                }
                FlowFault::NewSession { at, name, end } if *at <= number => {
                    passage.session = Some((*name, *end));
                    played += 1;
                    return false;
                }
                _ => {}
            }
            true
        });
        self.played.fetch_add(played, Relaxed);
        passage
    }
}

/// Moves a message's stamp, within what its bytes can say.
fn shift(clock: Clock, message: &mut [u8], by_ms: i64) {
    match clock {
        Clock::Nanoseconds => {
            let Some(stamp) = message.get_mut(5..11) else { return };
            let was = stamp.iter().fold(0u64, |stamp, byte| stamp << 8 | u64::from(*byte));
            let moved = was.saturating_add_signed(by_ms.saturating_mul(MILLISECOND_NS as i64)).min((1 << 48) - 1);
            stamp.copy_from_slice(&moved.to_be_bytes()[2..]);
        }
        Clock::Seconds => {
            let [b'T', seconds @ ..] = message else { return };
            let Ok(was) = <[u8; 4]>::try_from(&*seconds) else { return };
            let moved = (i64::from(u32::from_be_bytes(was)) + by_ms / 1_000).clamp(0, i64::from(u32::MAX));
            seconds.copy_from_slice(&(moved as u32).to_be_bytes());
        }
    }
}
