//! What pongs tell: that somebody is there, and how old the data is that he reads.

use crate::limits::Limits;

const MS: u64 = 1_000_000;

/// While no pong was seen, this many times the limit is waited for the first: the length of the path is not known yet.
const FIRST_PONG_FACTOR: u64 = 10;
/// A pong may take this many times the fastest.
const SLOW_PONG_FACTOR: u64 = 4;
/// Who answers within this share of what would be late reads well, and is asked half as often from then on: every pong
/// costs about as much as an update.
const PROMPT_SHARE: u64 = 2;
/// Doublings that are counted: from a millisecond to more than an hour.
const DOUBLINGS_MAX: u8 = 24;

/// Pings of one connection. A ping's payload is its number, four bytes, big-endian.
#[derive(Debug)]
pub(super) struct Clock {
    /// Number of the last ping.
    number: u32,
    /// Pings since the last pong.
    unanswered: u32,
    /// When the last ping was sent; before the first, when the connection was opened.
    sent_ns: u64,
    /// The ping behind data that is waited for, and when it was sent.
    behind_data: Option<(u32, u64)>,
    fastest_ns: Option<u64>,
    /// How many times the interval was doubled since a pong was less than prompt.
    doublings: u8,
    /// The pong is late, or the one before it was: only newest state is sent, and only when a pong has come.
    late: bool,
}

impl Clock {
    pub(super) fn new(now_ns: u64) -> Clock {
        let (number, unanswered, sent_ns) = (0, 0, now_ns);
        Clock { number, unanswered, sent_ns, behind_data: None, fastest_ns: None, doublings: 0, late: false }
    }

    fn limit_ns(&self, limits: &Limits) -> u64 {
        let limit = u64::from(limits.pong_clock_limit_ms) * MS;
        match self.fastest_ns {
            Some(fastest) => limit.max(fastest.saturating_mul(SLOW_PONG_FACTOR)),
            None => limit.saturating_mul(FIRST_PONG_FACTOR),
        }
    }

    /// Time between two pings behind data, for this reader and now.
    fn interval_ns(&self, limits: &Limits) -> u64 {
        let least = u64::from(limits.pong_clock_interval_ms);
        let most = least.max(limits.pong_clock_interval_max_ms.into());
        (least << self.doublings).min(most) * MS
    }

    /// Whether only newest state may be sent.
    pub(super) fn is_late(&self) -> bool {
        self.late
    }

    /// Whether no data may be sent until a pong comes.
    pub(super) fn holds(&self) -> bool {
        self.late && self.behind_data.is_some()
    }

    /// Looks whether the pong is late by now. Returns whether it has just become so.
    pub(super) fn check(&mut self, now_ns: u64, limits: &Limits) -> bool {
        let Some((_, sent_ns)) = self.behind_data else { return false };
        if self.late || now_ns.saturating_sub(sent_ns) <= self.limit_ns(limits) {
            return false;
        }
        self.late = true;
        true
    }

    /// Whether a ping is due behind the data that is being sent; its payload.
    pub(super) fn due_behind_data(&self, now_ns: u64, limits: &Limits) -> Option<[u8; 4]> {
        let first = self.number == 0;
        let due = first || self.late || now_ns.saturating_sub(self.sent_ns) >= self.interval_ns(limits);
        let wanted = limits.pong_clock_limit_ms > 0 && self.behind_data.is_none() && due;
        wanted.then(|| self.number.wrapping_add(1).to_be_bytes())
    }

    /// The ping behind data is out.
    pub(super) fn sent_behind_data(&mut self, now_ns: u64) {
        self.sent(now_ns);
        self.behind_data = Some((self.number, now_ns));
    }

    /// A ping goes out; its payload.
    pub(super) fn sent(&mut self, now_ns: u64) -> [u8; 4] {
        self.number = self.number.wrapping_add(1);
        self.unanswered = self.unanswered.saturating_add(1);
        self.sent_ns = now_ns;
        self.number.to_be_bytes()
    }

    /// Whether it is time to ask for a sign of life.
    pub(super) fn is_idle(&self, now_ns: u64, limits: &Limits) -> bool {
        now_ns.saturating_sub(self.sent_ns) >= u64::from(limits.ping_interval_ms) * MS
    }

    /// Whether so many pings were not answered that nobody is there.
    pub(super) fn is_dead(&self, limits: &Limits) -> bool {
        self.unanswered >= limits.pings_missed
    }

    /// A pong came. Payloads that are not ours say nothing.
    pub(super) fn pong(&mut self, payload: &[u8], now_ns: u64, limits: &Limits) {
        let Ok(number) = payload.try_into().map(u32::from_be_bytes) else { return };
        if self.number.wrapping_sub(number) >= self.unanswered.max(1) {
            return;
        }
        self.unanswered = self.number.wrapping_sub(number);
        let Some((waited_for, sent_ns)) = self.behind_data else { return };
        if number.wrapping_sub(waited_for) > self.number.wrapping_sub(waited_for) {
            return;
        }
        let took = now_ns.saturating_sub(sent_ns);
        let limit_ns = self.limit_ns(limits);
        self.late = took > limit_ns;
        self.behind_data = None;
        // The first pong only says how long the path is.
        let prompt = self.fastest_ns.is_some() && took <= limit_ns / PROMPT_SHARE;
        self.doublings = if prompt { (self.doublings + 1).min(DOUBLINGS_MAX) } else { 0 };
        self.fastest_ns = Some(self.fastest_ns.map_or(took, |fastest| fastest.min(took)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_pongs_hold_the_data_back() {
        let limits = Limits::default();
        let mut clock = Clock::new(0);
        assert!(clock.due_behind_data(0, &limits).is_some(), "the first data is followed by a ping");
        clock.sent_behind_data(0);
        assert!(clock.due_behind_data(900 * MS, &limits).is_none(), "one at a time");
        assert!(!clock.check(1000 * MS, &limits), "the first may take ten times the limit");
        clock.pong(&1u32.to_be_bytes(), 20 * MS, &limits);
        assert!(clock.due_behind_data(199 * MS, &limits).is_none());
        let ping = clock.due_behind_data(200 * MS, &limits).unwrap();
        clock.sent_behind_data(200 * MS);
        assert!(!clock.check(300 * MS, &limits) && clock.check(301 * MS, &limits) && !clock.check(302 * MS, &limits));
        assert!(clock.is_late() && clock.holds());
        clock.pong(&7u32.to_be_bytes(), 303 * MS, &limits);
        clock.pong(b"hello", 303 * MS, &limits);
        clock.pong(&1u32.to_be_bytes(), 303 * MS, &limits);
        assert!(clock.holds(), "no pong of the ping that is waited for");
        clock.pong(&ping, 400 * MS, &limits);
        assert!(clock.is_late() && !clock.holds(), "newest state may go, and the next pong decides");
        assert!(clock.due_behind_data(400 * MS, &limits).is_some(), "without waiting for the interval");
        clock.sent_behind_data(400 * MS);
        assert!(clock.holds());
        clock.pong(&3u32.to_be_bytes(), 500 * MS, &limits);
        assert!(!clock.is_late());
    }

    #[test]
    fn a_long_path_is_not_late() {
        let limits = Limits::default();
        let mut clock = Clock::new(0);
        clock.sent_behind_data(0);
        clock.pong(&1u32.to_be_bytes(), 90 * MS, &limits);
        clock.sent_behind_data(1000 * MS);
        assert!(!clock.check(1360 * MS, &limits) && clock.check(1361 * MS, &limits), "four times the fastest");
    }

    #[test]
    fn prompt_readers_are_asked_less_often_until_a_pong_takes_longer() {
        let limits = Limits::default();
        let mut clock = Clock::new(0);
        let mut now = 0;
        // How long the pong takes, and how long after its ping the next one is due.
        let table = [
            (30, 200, "the first says how long the path is"),
            (50, 400, "prompt: twice as long"),
            (30, 800, "and again"),
            (30, 1000, "up to the limit"),
            (30, 1000, "and no more"),
            (61, 200, "not prompt any more"),
            (60, 400, "half of four times the fastest"),
            (121, 121, "late: at once"),
            (30, 400, "prompt again"),
        ];
        for (took, next, why) in table {
            let number = clock.number + 1;
            assert_eq!(clock.due_behind_data(now, &limits), Some(number.to_be_bytes()), "{why}");
            clock.sent_behind_data(now);
            clock.check(now + took * MS, &limits);
            clock.pong(&number.to_be_bytes(), now + took * MS, &limits);
            assert!(clock.due_behind_data(now + next * MS - 1, &limits).is_none() || clock.is_late(), "{why}");
            now += next * MS;
        }
        assert!(clock.due_behind_data(now, &limits).is_some());
    }

    #[test]
    fn an_interval_above_its_longest_stays_what_it_is() {
        let limits = Limits { pong_clock_interval_ms: 2_000, ..Limits::default() };
        let mut clock = Clock::new(0);
        for number in 1..5_u32 {
            let now = u64::from(number) * 2_000 * MS;
            assert!(number == 1 || clock.due_behind_data(now - 1, &limits).is_none());
            assert!(clock.due_behind_data(now, &limits).is_some());
            clock.sent_behind_data(now);
            clock.pong(&number.to_be_bytes(), now + MS, &limits);
        }
    }

    #[test]
    fn pings_that_nobody_answers() {
        let limits = Limits::default();
        let mut clock = Clock::new(0);
        assert!(!clock.is_idle(19_999 * MS, &limits) && clock.is_idle(20_000 * MS, &limits));
        assert_eq!((clock.sent(20_000 * MS), clock.is_dead(&limits)), (1u32.to_be_bytes(), false));
        assert_eq!((clock.sent(40_000 * MS), clock.is_dead(&limits)), (2u32.to_be_bytes(), true));
        clock.pong(&1u32.to_be_bytes(), 41_000 * MS, &limits);
        assert!(!clock.is_dead(&limits));
        clock.pong(&3u32.to_be_bytes(), 41_000 * MS, &limits);
        assert_eq!(clock.sent(60_000 * MS), 3u32.to_be_bytes());
        assert!(clock.is_dead(&limits), "a pong of a ping that was not sent counted for nothing");
    }
}
