//! The thread that releases messages at their pace.

use std::time::Instant;

use crate::fault::FlowPlan;
use crate::feed::Feed;
use crate::log::{Cursor, LogError, MAX_BATCH_BYTES};
use crate::pace::{Pace, Schedule};
use crate::source::{Generator, Source, Stamps};

/// At full speed a synthetic market runs this many messages ahead of its slowest client, or the log's limit less.
const MAX_LEAD_MESSAGES: u64 = 1 << 20;
/// Bytes that the lead is reckoned with for a message.
const LEAD_MESSAGE_BYTES: u64 = 64;
/// A batch is handed over when it has this many bytes; one more message still fits the log's limit.
const FULL_BATCH_BYTES: usize = MAX_BATCH_BYTES - 1_024;

/// What a producer needs to know of its feed's config.
#[derive(Debug, Clone)]
pub(crate) struct Production {
    pub(crate) source: Source,
    pub(crate) pace: Pace,
    /// See [`Generator::new`].
    pub(crate) live_clock: Option<i64>,
    pub(crate) max_log_bytes: u64,
    /// The source is a file that is its own log.
    pub(crate) in_place: bool,
}

/// Runs until the source is used up or the venue stops.
pub(crate) fn run(production: &Production, feed: &Feed, faults: &FlowPlan) {
    if !feed.wait_for_start() {
        return;
    }
    let outcome = match (production.in_place, production.pace) {
        (true, Pace::Max) => {
            feed.release(feed.log.end());
            Ok(true)
        }
        (true, Pace::Times(times)) => play_file(feed, times),
        (false, _) => play(production, feed, faults),
    };
    match outcome {
        Ok(true) => feed.end(),
        Ok(false) => {}
        Err(error) => feed.fail(error.to_string()),
    }
}

/// Releases the messages of a file that is its own log. True when it is played to its end.
fn play_file(feed: &Feed, times: f64) -> Result<bool, LogError> {
    let mut schedule = Schedule::new(times);
    let mut stamps = Stamps::of(&feed.log)?;
    let mut cursor = Cursor::new(1);
    let end = feed.log.end();
    let (mut next, mut now, mut running) = (1, Instant::now(), true);
    while running && next < end {
        feed.log.read(&mut cursor, end, |message| {
            let due = schedule.due(now, stamps.due_ns(message));
            if due > now {
                now = Instant::now();
            }
            if due > now {
                feed.release(next);
                running = feed.wait_until(due);
                now = Instant::now();
            }
            next += u64::from(running);
            running
        })?;
        feed.release(next);
    }
    Ok(running)
}

/// Makes messages, and releases them through the log. True when there are no more.
fn play(production: &Production, feed: &Feed, faults: &FlowPlan) -> Result<bool, LogError> {
    let mut generator = Generator::new(&production.source, production.live_clock)?;
    let clock = generator.clock();
    let mut schedule = match production.pace {
        Pace::Times(times) => Some(Schedule::new(times)),
        Pace::Max => None,
    };
    let lead = MAX_LEAD_MESSAGES.min(production.max_log_bytes / 2 / LEAD_MESSAGE_BYTES);
    let mut batch =
        Batch { framed: Vec::with_capacity(MAX_BATCH_BYTES), count: 0, next: feed.log.end(), dropping: false };
    let mut message = Vec::new();
    let mut now = Instant::now();
    while let Some(due_ns) = generator.next(&mut message)? {
        let passage = faults.pass(batch.next, clock, &mut message);
        if let Some((name, end)) = passage.session {
            batch.hand_over(feed)?;
            feed.new_session(name, end);
        }
        let due = schedule.as_mut().map(|schedule| schedule.due(now, due_ns)).filter(|_| !passage.is_hurried);
        if let Some(due) = due.filter(|due| *due > now) {
            now = Instant::now();
            if due > now {
                batch.hand_over(feed)?;
                if !feed.wait_until(due) {
                    return Ok(false);
                }
                now = Instant::now();
            }
        }
        batch.push(&message);
        message.clear();
        passage.behind.iter().for_each(|extra| batch.push(extra));
        if batch.framed.len() >= FULL_BATCH_BYTES {
            let end = batch.hand_over(feed)?;
            let go_on = match production.pace {
                Pace::Max => feed.wait_for_readers(end, lead),
                Pace::Times(_) => !feed.state().stopping,
            };
            if !go_on {
                return Ok(false);
            }
        }
    }
    batch.hand_over(feed)?;
    Ok(true)
}

/// Messages on their way to the log.
struct Batch {
    framed: Vec<u8>,
    count: u64,
    /// Number of the next message that is pushed.
    next: u64,
    dropping: bool,
}

impl Batch {
    fn push(&mut self, message: &[u8]) {
        wire::itchfile::append(&mut self.framed, message);
        self.count += 1;
        self.next += 1;
    }

    /// Appends to the log and releases. Returns the number after the last message.
    fn hand_over(&mut self, feed: &Feed) -> Result<u64, LogError> {
        if self.count == 0 {
            return Ok(feed.log.end());
        }
        let (end, dropped) = feed.log.append(&self.framed, self.count)?;
        self.framed.clear();
        self.count = 0;
        feed.release(end);
        if dropped && !self.dropping {
            self.dropping = true;
            let first = feed.log.first();
            eprintln!(
                "ticklane-venue: the log has reached its limit: the oldest messages go, logins start at {first} or later \
                 (--max-log-bytes keeps more)"
            );
        }
        Ok(end)
    }
}
