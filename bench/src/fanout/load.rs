//! The subscribers: thousands of connections in one thread over one epoll, with the source in the same loop.
//!
//! The loop never sleeps, so no send of the server pays for waking it, and an update goes out when it is due, between
//! two reads. Messages are not parsed: three numbers are found by their keys.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::net::sockopt;

use super::source::Source;
pub use super::subscriber::{Pace, Speech, Topics};
use super::subscriber::{Subscriber, Tally, broken};
use crate::stats::Latency;
use crate::{Result, io_error};

/// Longest wait for an answer while connecting and subscribing.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of one read.
const READ_BYTES: usize = 256 << 10;
/// Events of one look at the epoll.
const EVENTS: usize = 256;
/// Reads of a slow reader in a second.
const SLOW_READS_PER_SECOND: u64 = 20;
/// Receive buffer of a reader that does not keep up: what waits, waits at the server.
const LAGGARD_BUFFER: usize = 8 << 10;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Updates received by prompt readers.
    pub updates: u64,
    /// Events that were told by no update of their own.
    pub merged: u64,
    /// Events that nobody told of, merged or not.
    pub lost: u64,
    /// Updates of the prompt reader that got the fewest, and of the one that got the most.
    pub extremes: (u64, u64),
    /// Subscriptions of prompt readers whose newest event is not the newest that was published.
    pub without_last: u64,
    /// Gaps, restarts and changes of the lane's state.
    pub notices: u64,
}

/// All subscribers of a run.
pub struct Load {
    port: u16,
    speech: Speech,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    subscribers: Vec<Subscriber>,
    buffer: Vec<u8>,
    tally: Tally,
    next_slow_read_ns: u64,
}

impl Load {
    /// None yet, of the server on `port`.
    ///
    /// # Errors
    /// When there is no epoll to be had.
    pub fn new(port: u16, speech: Speech) -> Result<Load> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|errno| io_error("make an epoll")(errno.into()))?;
        Ok(Load {
            port,
            speech,
            epoll,
            events: Vec::with_capacity(EVENTS),
            subscribers: Vec::new(),
            buffer: vec![0; READ_BYTES],
            tally: Tally::default(),
            next_slow_read_ns: 0,
        })
    }

    /// Subscribers that are open.
    pub fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Opens one more subscriber and waits until it has a snapshot of each of its topics.
    ///
    /// # Errors
    /// When the server refuses, breaks off, or does not answer in time.
    pub fn open(&mut self, topics: Topics, pace: Pace, source: &mut Source) -> Result<()> {
        self.subscribers.push(Subscriber::connect(self.port, self.speech, topics, pace)?);
        self.finish_opening(source)
    }

    fn finish_opening(&mut self, source: &mut Source) -> Result<()> {
        let began = Instant::now();
        let Load { subscribers, buffer, tally, epoll, .. } = self;
        let index = subscribers.len() - 1;
        let subscriber = &mut subscribers[index];
        while !subscriber.is_open() {
            source.turn();
            subscriber.open(buffer, tally)?;
            if began.elapsed() > ANSWER_LIMIT {
                let seconds = ANSWER_LIMIT.as_secs();
                return Err(broken(format!("it did not serve within {seconds} s {subscriber:?}")));
            }
        }
        let failed = |errno: rustix::io::Errno| io_error("set up a subscriber")(errno.into());
        if subscriber.is_prompt() {
            let data = epoll::EventData::new_u64(index as u64);
            return epoll::add(epoll, &subscriber.stream, data, epoll::EventFlags::IN).map_err(failed);
        }
        sockopt::set_socket_recv_buffer_size(&subscriber.stream, LAGGARD_BUFFER).map_err(failed)
    }

    /// From now on, updates published since `from_ns` count.
    pub fn count_from(&mut self, from_ns: u64) {
        self.tally.counted_from_ns = from_ns;
    }

    /// One turn of the loop: what is due is published, what has come is read. Returns how many subscribers had something.
    ///
    /// # Errors
    /// When a connection breaks or the server sends what it should not.
    pub fn turn(&mut self, source: &mut Source) -> Result<usize> {
        const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        let now = source.turn();
        if now >= self.next_slow_read_ns {
            self.next_slow_read_ns = now + 1_000_000_000 / SLOW_READS_PER_SECOND;
            self.read_slowly()?;
        }
        self.events.clear();
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&AT_ONCE))
            .map_err(|errno| io_error("look at the epoll")(errno.into()))?;
        for i in 0..self.events.len() {
            let index = self.events[i].data.u64() as usize;
            self.subscribers[index].read(&mut self.buffer, &mut self.tally)?;
            source.turn();
        }
        Ok(self.events.len())
    }

    fn read_slowly(&mut self) -> Result<()> {
        for subscriber in &mut self.subscribers {
            if let Pace::Slow(bytes_per_second) = subscriber.pace {
                let share = (bytes_per_second / SLOW_READS_PER_SECOND) as usize;
                subscriber.read(&mut self.buffer[..share.clamp(1, READ_BYTES)], &mut self.tally)?;
            }
        }
        Ok(())
    }

    /// Subscriptions of prompt readers that have not seen the newest event.
    pub fn without_last(&self, source: &Source) -> u64 {
        let prompt = self.subscribers.iter().filter(|subscriber| subscriber.is_prompt());
        let missing = prompt.map(|subscriber| {
            let pairs = subscriber.topics.iter().zip(&subscriber.newest);
            pairs.filter(|(topic, newest)| source.newest()[*topic as usize] != **newest).count() as u64
        });
        missing.sum()
    }

    /// Ages at prompt readers and at slow ones, ns.
    pub fn ages(&self) -> (&Latency, &Latency) {
        (&self.tally.age, &self.tally.slow_age)
    }

    /// What came of the run.
    pub fn counts(&self, source: &Source) -> Counts {
        let prompt = || self.subscribers.iter().filter(|subscriber| subscriber.is_prompt());
        let due = |subscriber: &Subscriber| -> u64 {
            subscriber.topics.iter().map(|topic| source.published()[topic as usize]).sum()
        };
        let updates = prompt().map(|subscriber| subscriber.updates).sum();
        let events: u64 = prompt().map(|subscriber| subscriber.events).sum();
        Counts {
            updates,
            merged: events - updates,
            lost: prompt().map(due).sum::<u64>().saturating_sub(events),
            extremes: (
                prompt().map(|subscriber| subscriber.updates).min().unwrap_or(0),
                prompt().map(|subscriber| subscriber.updates).max().unwrap_or(0),
            ),
            without_last: self.without_last(source),
            notices: self.tally.notices,
        }
    }
}
