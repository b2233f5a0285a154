//! A shard with a market before it and clients behind it.

use std::io::{self, IoSlice};

use gateway_core::dialect::{LaneState, SlowPolicy};
use gateway_core::limits::Limits;
use gateway_core::shard::{ConnectionId, DialectId, Flush, Flushed, LaneId, Now, Shard, Sink};
use shm_abi::follow::{RestartReason, Restarted};
use shm_abi::record::Record;
use shm_abi::ring::{Lost, Polled, Rejoin, RingReader};
use shm_abi::segment::{MappedRing, RingName};

use super::client::Client;
use super::dialect::Plain;
use super::market::Market;

/// One client at its connection.
#[derive(Debug)]
pub struct Seat {
    pub id: ConnectionId,
    pub client: Client,
    pub open: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Stage {
    pub shard: Shard,
    pub lane: LaneId,
    /// One per epoch; the last is read. Stream `n` is at `n - 1`.
    pub markets: Vec<Market>,
    pub reader: RingReader<MappedRing>,
    pub seats: Vec<Seat>,
    pub now: Now,
    pub commands: u64,
    /// Whether every event of state channels must be told or declared one by one.
    pub exact: bool,
    pub limits: Limits,
}

/// A kernel that takes so many bytes and no more.
pub struct Tap<'t> {
    pub bytes: &'t mut Vec<u8>,
    pub room: usize,
}

impl Sink for Tap<'_> {
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = self.bytes.len();
        for slice in slices {
            let taken = slice.len().min(self.room);
            self.bytes.extend_from_slice(&slice[..taken]);
            self.room -= taken;
        }
        Ok(self.bytes.len() - before)
    }
}

/// Limits that no test meets by chance.
pub fn wide() -> Limits {
    Limits {
        commands_per_second: 1_000_000,
        commands_burst: 1_000_000,
        bytes_per_second: 1 << 30,
        bytes_burst: 1 << 30,
        frame_ring_bytes: 1 << 16,
        frame_ring_frames: 1 << 12,
        trades: 1 << 10,
        ..Limits::default()
    }
}

impl Stage {
    pub fn new(limits: Limits, market: Market) -> Stage {
        let mut shard = Shard::new(limits, vec![Box::new(Plain)]).unwrap();
        let lane = shard.add_lane("lane0");
        let now = Now { mono_ns: 1_000_000_000, real_ns: 5_000_000_000 };
        let segment = market.segment();
        let reader = segment.join(RingName::Market, Rejoin::Latest);
        shard.attach(lane, &segment, reader.cursor(), now);
        let (markets, seats) = (vec![market], Vec::new());
        Stage { shard, lane, markets, reader, seats, now, commands: 0, exact: true, limits }
    }

    pub fn market(&mut self) -> &mut Market {
        self.markets.last_mut().unwrap()
    }

    pub fn connect(&mut self, slow: SlowPolicy) -> usize {
        let id = self.shard.open(DialectId(0), slow, self.now).unwrap();
        self.seats.push(Seat { id, client: Client::default(), open: true });
        self.seats.len() - 1
    }

    /// Sends a command; `arguments` as the dialect says. Returns its id.
    pub fn command(&mut self, seat: usize, op: &str, arguments: &str) -> u64 {
        self.commands += 1;
        let text = format!("{op}#{} {arguments}", self.commands);
        self.shard.message(self.seats[seat].id, text.trim_end(), self.now);
        self.commands
    }

    /// Reads at most `max` records.
    pub fn read(&mut self, max: usize) -> usize {
        for taken in 0..max {
            match self.reader.poll() {
                Polled::Empty => return taken,
                Polled::Record { n, words } => {
                    let record = Record::new(n, words).unwrap();
                    self.shard.record(self.lane, &record, self.now);
                }
                Polled::Lost(lost) => self.shard.lost(self.lane, lost, self.now),
            }
        }
        max
    }

    pub fn lose(&mut self, lost: Lost) {
        self.shard.lost(self.lane, lost, self.now);
    }

    /// Flushes one connection into a kernel with that much room.
    pub fn flush(&mut self, id: ConnectionId, room: usize) -> Flushed {
        let seat = self.seats.iter_mut().find(|seat| seat.id == id).expect("a connection of ours");
        let mut tap = Tap { bytes: &mut seat.client.bytes, room };
        let flushed = self.shard.flush(id, self.now, &mut tap);
        if flushed.flush == Flush::Finished {
            seat.open = false;
            self.shard.remove(id);
        }
        seat.client.parse(&self.markets, self.exact);
        flushed
    }

    /// One turn of the queue.
    pub fn turn(&mut self, room: usize) -> Option<Flushed> {
        let id = self.shard.next_dirty()?;
        Some(self.flush(id, room))
    }

    /// Everything is read and sent, by kernels with all the room there is; pongs are given.
    pub fn drain(&mut self) {
        for _ in 0..10_000 {
            let read = self.read(usize::MAX);
            for seat in 0..self.seats.len() {
                self.shard.writable(self.seats[seat].id);
                self.pong(seat);
            }
            let mut turns = 0;
            while self.turn(usize::MAX).is_some() {
                turns += 1;
                assert!(turns < 100_000, "the queue does not end");
            }
            if read == 0 && turns == 0 {
                return;
            }
        }
        panic!("it never becomes quiet");
    }

    /// The client answers its pings.
    pub fn pong(&mut self, seat: usize) {
        let Seat { id, client, .. } = &mut self.seats[seat];
        for payload in client.pings.drain(..) {
            self.shard.pong(*id, &payload, self.now);
        }
    }

    pub fn wait(&mut self, ms: u64) -> Vec<ConnectionId> {
        self.now.mono_ns += ms * 1_000_000;
        self.now.real_ns += ms * 1_000_000;
        let mut dead = Vec::new();
        self.shard.tick(self.now, &mut dead);
        dead
    }

    /// A new writer takes over. The old ring is read to its end first.
    pub fn restart(&mut self, market: Market) {
        self.read(usize::MAX);
        let segment = market.segment();
        let drained_to = self.reader.cursor();
        let restarted = Restarted {
            old_epoch: 1,
            new_epoch: 2,
            drained_to,
            old_end: Some(drained_to),
            reason: RestartReason::Engine,
        };
        self.markets.push(market);
        self.shard.restarted(self.lane, &segment, &restarted, self.now);
        self.shard.lane_state(self.lane, LaneState::Live, self.now);
        self.reader = segment.read_from(RingName::Market, 0, Rejoin::Latest);
    }

    /// Everything is quiet: every client holds what the market has.
    pub fn assert_quiet(&mut self) {
        self.drain();
        self.wait(1);
        self.drain();
        let stream = self.markets.len() as u64;
        let market = self.markets.last().unwrap();
        for seat in self.seats.iter().filter(|seat| seat.open) {
            seat.client.assert_current(market, stream);
        }
    }
}
