//! The thread that releases messages at their pace.

use std::time::Instant;

use super::config::{ExchangeConfig, Source};
use super::feed::Feed;
use crate::log::{Cursor, LogError, MAX_BATCH_BYTES};
use crate::market::{Market, MarketConfig};
use crate::pace::{Pace, Schedule, time_of_day_ns};

/// At full speed a synthetic market runs this many messages ahead of its slowest client, or the log's limit less.
const MAX_LEAD_MESSAGES: u64 = 1 << 20;
/// Bytes that the lead is reckoned with for a message.
const LEAD_MESSAGE_BYTES: u64 = 64;
/// A batch is handed over when it has this many bytes; one more message still fits the log's limit.
const FULL_BATCH_BYTES: usize = MAX_BATCH_BYTES - 256;

/// Runs until the source is used up or the venue stops.
pub(super) fn run(config: &ExchangeConfig, feed: &Feed) {
    if !feed.wait_for_start() {
        return;
    }
    let outcome = match (&config.source, config.pace) {
        (Source::File(_), Pace::Max) => {
            feed.release(feed.log.end());
            Ok(true)
        }
        (Source::File(_), Pace::Times(times)) => play_file(feed, times),
        (Source::Market(market), pace) => play_market(config, market, pace, feed),
    };
    match outcome {
        Ok(true) => feed.end(),
        Ok(false) => {}
        Err(error) => feed.fail(error.to_string()),
    }
}

/// The stamp of an ITCH message; none when it is too short to have one.
fn stamp_ns(message: &[u8]) -> Option<u64> {
    let stamp: &[u8; 6] = message.get(5..)?.first_chunk()?;
    Some(stamp.iter().fold(0, |stamp, byte| stamp << 8 | u64::from(*byte)))
}

/// True when the file is played to its end.
fn play_file(feed: &Feed, times: f64) -> Result<bool, LogError> {
    let mut schedule = Schedule::new(times);
    let mut cursor = Cursor::new(1);
    let end = feed.log.end();
    let (mut next, mut last_ns, mut now, mut running) = (1, 0, Instant::now(), true);
    while running && next < end {
        feed.log.read(&mut cursor, end, |message| {
            last_ns = stamp_ns(message).unwrap_or(last_ns).max(last_ns);
            let due = schedule.due(now, last_ns);
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

/// True when the market is over.
fn play_market(config: &ExchangeConfig, market: &MarketConfig, pace: Pace, feed: &Feed) -> Result<bool, LogError> {
    let mut market_config = market.clone();
    if let Some(offset) = config.live_clock {
        market_config.start_ns = time_of_day_ns(offset);
    }
    let mut market = Market::new(market_config).expect("the config was checked at start-up");
    let mut schedule = match pace {
        Pace::Times(times) => Some(Schedule::new(times)),
        Pace::Max => None,
    };
    let lead = MAX_LEAD_MESSAGES.min(config.max_log_bytes / 2 / LEAD_MESSAGE_BYTES);
    let mut batch = Batch { framed: Vec::with_capacity(MAX_BATCH_BYTES), count: 0, dropping: false };
    let mut message = Vec::new();
    let mut now = Instant::now();
    while let Some(due_ns) = market.next(&mut message) {
        if let Some(due) = schedule.as_mut().map(|schedule| schedule.due(now, due_ns)).filter(|due| *due > now) {
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
        if batch.framed.len() >= FULL_BATCH_BYTES {
            let end = batch.hand_over(feed)?;
            let go_on = match pace {
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
    dropping: bool,
}

impl Batch {
    fn push(&mut self, message: &[u8]) {
        wire::itchfile::append(&mut self.framed, message);
        self.count += 1;
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

#[cfg(test)]
mod tests {
    use super::stamp_ns;

    #[test]
    fn stamps_are_six_bytes_behind_the_head() {
        let table: &[(&[u8], Option<u64>)] = &[
            (b"S\0\0\0\0\0\0\0\0\x01\x02O", Some(0x102)),
            (b"S\0\0\0\0\xff\xff\xff\xff\xff\xff", Some((1 << 48) - 1)),
            (b"S\0\0\0\0\0\0\0\0\x01", None),
            (b"", None),
        ];
        for (message, want) in table {
            assert_eq!(stamp_ns(message), *want, "case: {message:?}");
        }
    }
}
