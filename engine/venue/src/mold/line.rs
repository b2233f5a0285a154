//! One line: its socket, and the datagrams that faults keep back for a while.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::LineReport;

/// Datagrams that may wait on one line. Beyond it the first one goes early.
const MAX_WAITING: usize = 65_536;

/// A datagram that waits.
#[derive(Debug)]
struct Waiting<When> {
    payload: Vec<u8>,
    /// Messages in it.
    messages: u64,
    when: When,
}

#[derive(Debug)]
pub(super) struct Line {
    socket: UdpSocket,
    destination: SocketAddr,
    /// Datagrams of messages that came up, from 1.
    pub(super) index: u64,
    /// Swapped: each goes after so many later ones.
    swapped: VecDeque<Waiting<u64>>,
    /// Delayed: each goes at its time, in order.
    delayed: VecDeque<Waiting<Instant>>,
}

impl Line {
    pub(super) fn new(socket: UdpSocket, destination: SocketAddr) -> Self {
        Self { socket, destination, index: 0, swapped: VecDeque::new(), delayed: VecDeque::new() }
    }

    /// Sends a datagram, after `swap` later ones and after `delay`.
    pub(super) fn submit(
        &mut self,
        report: &mut LineReport,
        payload: &[u8],
        messages: u64,
        swap: u64,
        delay: Duration,
    ) {
        if swap > 0 && self.swapped.len() < MAX_WAITING {
            report.swapped += 1;
            self.swapped.push_back(Waiting { payload: payload.to_vec(), messages, when: swap });
            return;
        }
        self.emit(report, payload, messages, delay);
        let mut at = 0;
        while at < self.swapped.len() {
            self.swapped[at].when -= 1;
            if self.swapped[at].when > 0 {
                at += 1;
            } else if let Some(late) = self.swapped.remove(at) {
                self.emit(report, &late.payload, late.messages, delay);
            }
        }
    }

    /// Sends what waits for later ones that do not come.
    pub(super) fn give_up_swapping(&mut self, report: &mut LineReport) {
        while let Some(late) = self.swapped.pop_front() {
            self.emit(report, &late.payload, late.messages, Duration::ZERO);
        }
    }

    fn emit(&mut self, report: &mut LineReport, payload: &[u8], messages: u64, delay: Duration) {
        if delay.is_zero() && self.delayed.is_empty() {
            self.put(report, payload);
            report.messages += messages;
            return;
        }
        // A shorter delay than that of the one before must not overtake it: a delay is no swap.
        let due = Instant::now() + delay;
        let when = self.delayed.back().map_or(due, |last| due.max(last.when));
        self.delayed.push_back(Waiting { payload: payload.to_vec(), messages, when });
    }

    /// Sends what has waited for its time.
    pub(super) fn flush(&mut self, report: &mut LineReport, now: Instant) {
        while self.delayed.front().is_some_and(|first| first.when <= now || self.delayed.len() > MAX_WAITING) {
            let Some(late) = self.delayed.pop_front() else { return };
            self.put(report, &late.payload);
            report.messages += late.messages;
        }
    }

    /// When [`Line::flush`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.delayed.front().map(|first| first.when)
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.delayed.is_empty() || !self.swapped.is_empty()
    }

    /// Sends at once. Who listens is the network's affair: what the system refuses is counted.
    pub(super) fn put(&self, report: &mut LineReport, payload: &[u8]) {
        match self.socket.send_to(payload, self.destination) {
            Ok(_) => {
                report.datagrams += 1;
                report.bytes += payload.len() as u64;
            }
            Err(_) => report.refused += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> (Line, UdpSocket, LineReport) {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = receiver.local_addr().expect("an address");
        (Line::new(sender, address), receiver, LineReport::default())
    }

    fn receive(receiver: &UdpSocket, count: usize) -> Vec<u8> {
        let mut bytes = [0; 8];
        (0..count)
            .map(|_| {
                receiver.recv(&mut bytes).expect("a datagram");
                bytes[0]
            })
            .collect()
    }

    #[test]
    fn swapped_ones_come_behind_their_span() {
        let (mut line, receiver, mut report) = line();
        for (number, swap) in [(1, 0), (2, 2), (3, 0), (4, 1), (5, 0), (6, 3)] {
            line.submit(&mut report, &[number], 1, swap, Duration::ZERO);
        }
        assert!(line.is_waiting());
        line.give_up_swapping(&mut report);
        assert_eq!(receive(&receiver, 6), [1, 3, 5, 2, 4, 6]);
        assert_eq!((report.datagrams, report.messages, report.swapped), (6, 6, 3));
        assert!(!line.is_waiting());
    }

    #[test]
    fn delayed_ones_keep_their_order() {
        let (mut line, receiver, mut report) = line();
        let started = Instant::now();
        line.submit(&mut report, &[1], 1, 0, Duration::from_secs(60));
        line.submit(&mut report, &[2], 1, 0, Duration::ZERO);
        line.flush(&mut report, started);
        assert_eq!(report.datagrams, 0);
        assert!(line.due().is_some_and(|due| due >= started + Duration::from_secs(60)));
        line.flush(&mut report, started + Duration::from_secs(61));
        assert_eq!(receive(&receiver, 2), [1, 2]);
        assert!(!line.is_waiting());
    }
}
