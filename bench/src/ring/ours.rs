//! The ring of `shm-abi` over a real segment file, mapped by two processes.

use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use shm_abi::layout::{Plan, SLOTS_MIN};
use shm_abi::record::{flag, kind, side};
use shm_abi::ring::{Polled, Rejoin, RingReader, RingWriter, word0};
use shm_abi::segment::{Identity, LaneLock, LaneWriter, MappedRing, RingName, Segment};
use shm_abi::slot::SLOT_WORDS;

use crate::machine::Cores;
use crate::partner::{Page, Partner, Role, Word};
use crate::stats::Latency;
use crate::{Result, io_error, sys};

/// Events of a burst: the head moves once per burst, as it does in the engine.
pub const BURST: u64 = 32;
/// Records that a reader takes at a time.
const BATCH: usize = 256;
/// The payload's last word when the writer has no more.
const STOP: u64 = u64::MAX;
/// Word of an event that carries the bench's own number: the last of its body.
const NUMBER: usize = SLOT_WORDS - 1;
/// Lane that the parent writes.
const LANE: &str = "there";
/// Lane that the partner writes.
const LANE_BACK: &str = "back";
/// Slots of the hand-over rings.
const HAND_OVER_SLOTS: usize = super::SMALL_SLOTS;
/// Events that an idler reads before it is stopped.
const IDLER_EVENTS: u64 = 1000;

/// An ordinary event of one slot.
#[inline(always)]
fn event(number: u64) -> [u64; SLOT_WORDS] {
    let head = word0(kind::ADD, flag::LAST, 1, side::BID, 7);
    [head, 1, 2, 3, number ^ 0x5555, 100, number]
}

/// Publishes one event as the only one of its burst.
#[inline(always)]
fn publish(writer: &mut RingWriter<MappedRing>, number: u64) {
    writer.push(&event(number));
    writer.commit();
    writer.publish_head();
}

/// The number of the next event, if one is there.
#[inline(always)]
fn receive(reader: &mut RingReader<MappedRing>) -> Option<u64> {
    match reader.poll() {
        Polled::Record { words, .. } => Some(words[NUMBER]),
        Polled::Empty | Polled::Lost(_) => None,
    }
}

/// A fresh segment whose market ring has `slots`, every page touched.
fn create_lane(dir: &Path, lane: &str, slots: usize) -> Result<LaneWriter> {
    let plan =
        Plan { lane: lane.into(), orders_slots: SLOTS_MIN, market_slots: slots, instruments: 1, depth_bytes: 64 };
    let identity = Identity::random(0).map_err(io_error("draw an epoch"))?;
    let writer = LaneLock::take(dir, lane)?.create(&plan, identity)?;
    writer.prefault();
    Ok(writer)
}

fn open_lane(dir: &Path, lane: &str, rejoin: Rejoin) -> Result<RingReader<MappedRing>> {
    Ok(Segment::open(dir, lane)?.read_from(RingName::Market, 0, rejoin))
}

/// One way over the ring: half of a round trip over two segments, one written by each process.
///
/// # Errors
/// When a segment cannot be made or the partner not be started.
pub fn hand_over(dir: &Path, cores: Cores, rounds: u64, ticks_per_ns: f64) -> Result<Latency> {
    let page = Page::create(dir)?;
    let mut lane = create_lane(dir, LANE, HAND_OVER_SLOTS)?;
    let mut partner = Partner::start(&page, Role::RingPong, dir, cores.partner, rounds)?;
    let mut back = open_lane(dir, LANE_BACK, Rejoin::Latest)?;
    let mut latency = Latency::new(0.5 / ticks_per_ns);
    for i in 0..rounds {
        let sent = sys::ticks();
        publish(&mut lane.market, i);
        while receive(&mut back) != Some(i) {
            std::hint::spin_loop();
        }
        let seen = sys::ticks();
        if crate::floor::counts(i, rounds) {
            latency.record(seen - sent);
        }
    }
    partner.wait(&page, Word::Done)?;
    Ok(latency)
}

/// The partner's side of [`hand_over`].
///
/// # Errors
/// When a segment cannot be made or opened.
pub fn answer(page: &Page, dir: &Path, rounds: u64) -> Result<()> {
    let mut lane = create_lane(dir, LANE_BACK, HAND_OVER_SLOTS)?;
    let mut there = open_lane(dir, LANE, Rejoin::Latest)?;
    page.word(Word::Ready).store(1, Release);
    for _ in 0..rounds {
        let number = loop {
            if let Some(number) = receive(&mut there) {
                break number;
            }
            std::hint::spin_loop();
        };
        publish(&mut lane.market, number);
    }
    Ok(())
}

/// What a reader got of a writer at full speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throughput {
    /// Messages received.
    pub received: u64,
    /// Messages lost, exactly.
    pub lost: u64,
    /// From the first message to the end, ns.
    pub elapsed_ns: f64,
}

impl Throughput {
    /// Millions of messages received a second; lost ones do not count.
    pub fn million_per_s(&self) -> f64 {
        self.received as f64 * 1e3 / self.elapsed_ns
    }

    /// Percent of all messages that were lost.
    pub fn lost_percent(&self) -> f64 {
        100.0 * self.lost as f64 / (self.received + self.lost).max(1) as f64
    }
}

/// A writer at full speed with a reader in the other process that counts.
///
/// # Errors
/// When the segment cannot be made or the partner not be started.
pub fn throughput(dir: &Path, cores: Cores, slots: usize, messages: u64, ticks_per_ns: f64) -> Result<Throughput> {
    let page = Page::create(dir)?;
    let mut lane = create_lane(dir, LANE, slots)?;
    let mut partner = Partner::start(&page, Role::RingReader, dir, cores.partner, 0)?;
    write_bursts(&mut lane.market, messages);
    // The end itself may be lapped away, so it is said until it was heard.
    while page.word(Word::Done).load(Acquire) == 0 && !partner.is_gone() {
        publish(&mut lane.market, STOP);
    }
    partner.wait(&page, Word::Done)?;
    let word = |word| page.word(word).load(Acquire);
    let elapsed_ns = word(Word::Ticks) as f64 / ticks_per_ns;
    Ok(Throughput { received: word(Word::Received), lost: word(Word::Lost), elapsed_ns })
}

/// The partner's side of [`throughput`]: reads whatever comes, sums it up so that no load can be left out, and counts.
///
/// # Errors
/// When the segment cannot be opened.
pub fn count(page: &Page, dir: &Path) -> Result<()> {
    // The smallest loss at each lap: a reader that wants every event it can get. At the head instead, it would touch
    // each line while the writer is still at it.
    let mut reader = open_lane(dir, LANE, Rejoin::Oldest)?;
    page.word(Word::Ready).store(1, Release);
    let (mut received, mut lost, mut sum) = (0, 0, 0u64);
    let mut first = None;
    let mut stopped = false;
    while !stopped {
        let taken = reader.poll_batch(BATCH, |polled| match polled {
            Polled::Record { words, .. } if words[NUMBER] == STOP => stopped = true,
            Polled::Record { words, .. } => {
                first.get_or_insert_with(sys::ticks);
                sum = words.iter().fold(sum, |sum, word| sum.wrapping_add(*word));
                received += 1;
            }
            Polled::Lost(gap) => lost += gap.last - gap.first + 1,
            Polled::Empty => {}
        });
        if taken == 0 {
            std::hint::spin_loop();
        }
    }
    let ended = sys::ticks();
    std::hint::black_box(sum);
    page.word(Word::Received).store(received, Relaxed);
    page.word(Word::Lost).store(lost, Relaxed);
    page.word(Word::Ticks).store(ended - first.unwrap_or(ended), Relaxed);
    Ok(())
}

/// Push and commit per event, the head once per burst.
fn write_bursts(writer: &mut RingWriter<MappedRing>, messages: u64) {
    for i in 0..messages {
        writer.push(&event(i));
        writer.commit();
        if i % BURST == BURST - 1 {
            writer.publish_head();
        }
    }
    writer.publish_head();
}

/// Nanoseconds of writing one event, with nobody listening.
///
/// # Errors
/// When the segment cannot be made.
pub fn writer_alone_ns(dir: &Path, slots: usize, messages: u64, ticks_per_ns: f64) -> Result<f64> {
    let mut lane = create_lane(dir, LANE, slots)?;
    Ok(timed_bursts(&mut lane.market, messages, ticks_per_ns))
}

/// Nanoseconds of writing one event while a reader, joined and then stopped, holds the ring mapped.
///
/// # Errors
/// When the segment cannot be made or the partner not be started or stopped.
pub fn writer_with_stopped_reader_ns(
    dir: &Path,
    cores: Cores,
    slots: usize,
    messages: u64,
    ticks_per_ns: f64,
) -> Result<f64> {
    let page = Page::create(dir)?;
    let mut lane = create_lane(dir, LANE, slots)?;
    let mut partner = Partner::start(&page, Role::RingIdler, dir, cores.partner, 0)?;
    write_bursts(&mut lane.market, IDLER_EVENTS);
    partner.wait(&page, Word::Done)?;
    sys::stop_process(partner.pid()).map_err(io_error("stop the reader"))?;
    Ok(timed_bursts(&mut lane.market, messages, ticks_per_ns))
}

/// The partner's side of [`writer_with_stopped_reader_ns`].
///
/// # Errors
/// When the segment cannot be opened.
pub fn idle(page: &Page, dir: &Path) -> Result<()> {
    let mut reader = open_lane(dir, LANE, Rejoin::Latest)?;
    page.word(Word::Ready).store(1, Release);
    for _ in 0..IDLER_EVENTS {
        while receive(&mut reader).is_none() {
            std::hint::spin_loop();
        }
    }
    page.word(Word::Done).store(1, Release);
    // Stays mapped and joined until it is stopped and, in the end, killed.
    page.wait(Word::Go, || false);
    std::hint::black_box(reader.cursor());
    Ok(())
}

fn timed_bursts(writer: &mut RingWriter<MappedRing>, messages: u64, ticks_per_ns: f64) -> f64 {
    write_bursts(writer, messages / crate::floor::WARM_UP_SHARE);
    let started = sys::ticks();
    write_bursts(writer, messages);
    (sys::ticks() - started) as f64 / ticks_per_ns / messages as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partner::run_dir;

    #[test]
    fn events_go_over_a_real_segment() {
        let dir = run_dir().unwrap();
        let mut lane = create_lane(dir.path(), LANE, SLOTS_MIN).unwrap();
        let mut reader = open_lane(dir.path(), LANE, Rejoin::Latest).unwrap();
        assert_eq!(receive(&mut reader), None);
        publish(&mut lane.market, 42);
        assert_eq!(receive(&mut reader), Some(42));
        write_bursts(&mut lane.market, 40);
        let got: Vec<u64> = std::iter::from_fn(|| receive(&mut reader)).collect();
        assert_eq!(got, (0..40).collect::<Vec<_>>());
        assert_eq!(reader.head(), 41, "the last burst's head is published though it is not full");
    }

    #[test]
    fn throughput_counts_only_what_was_received() {
        let got = Throughput { received: 300, lost: 100, elapsed_ns: 1000.0 };
        assert_eq!((got.million_per_s(), got.lost_percent()), (300.0, 25.0));
        assert_eq!(Throughput { received: 0, lost: 0, elapsed_ns: 1.0 }.lost_percent(), 0.0);
    }
}
