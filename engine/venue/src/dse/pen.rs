//! Writes messages of one channel, in the edition's forms, with a `T` for every new second.

use wire::dialect::{DSE, Role, Value};

use super::config::{Channel, Edition};

const SECOND_NS: u64 = 1_000_000_000;
/// Price of a market order, and of what has none.
pub(super) const NO_PRICE: u32 = 0x7fff_ffff;

/// Messages of one step that the caller has not yet taken.
#[derive(Debug)]
pub(super) struct Pen {
    channel: Channel,
    edition: Edition,
    bytes: Vec<u8>,
    /// Time and end of each message in `bytes`.
    ends: Vec<(u64, usize)>,
    taken: usize,
    second: Option<u64>,
    /// Messages made so far, of all channels.
    pub(super) made: u64,
}

/// Length of a type in 2.2 and in 2.0, and whether the mixed edition has the former.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths(usize, usize, bool);

/// Lengths that are the same in all editions.
const fn same(length: usize) -> Lengths {
    Lengths(length, length, true)
}

const fn grown(to: usize, from: usize) -> Lengths {
    Lengths(to, from, true)
}

pub(super) const SYSTEM: (u8, Lengths) = (b'S', same(18));
pub(super) const PRICE_TICK: (u8, Lengths) = (b'L', same(17));
pub(super) const QUANTITY_TICK: (u8, Lengths) = (b'M', same(25));
pub(super) const COMPANY: (u8, Lengths) = (b'P', same(69));
pub(super) const ORDERBOOK: (u8, Lengths) = (b'R', Lengths(171, 163, false));
pub(super) const ACTION: (u8, Lengths) = (b'H', same(11));
pub(super) const ADD: (u8, Lengths) = (b'A', grown(34, 30));
pub(super) const ADD_PARTICIPANT: (u8, Lengths) = (b'F', grown(38, 34));
pub(super) const EXECUTE: (u8, Lengths) = (b'E', same(29));
pub(super) const EXECUTE_PRICE: (u8, Lengths) = (b'C', grown(38, 34));
pub(super) const BROKEN: (u8, Lengths) = (b'B', same(14));
pub(super) const DELETE: (u8, Lengths) = (b'D', same(13));
pub(super) const REPLACE: (u8, Lengths) = (b'U', grown(37, 33));
pub(super) const INDICATIVE: (u8, Lengths) = (b'I', same(30));
pub(super) const TRADE: (u8, Lengths) = (b'Q', grown(34, 30));
pub(super) const INDEX: (u8, Lengths) = (b'Z', same(17));
/// The part in front of the texts.
pub(super) const NEWS: (u8, Lengths) = (b'N', same(43));

impl Pen {
    pub(super) fn new(channel: Channel, edition: Edition) -> Self {
        Self { channel, edition, bytes: Vec::new(), ends: Vec::new(), taken: 0, second: None, made: 0 }
    }

    /// Whether the edition has a field that 2.0 lacks, in a type that grew.
    pub(super) fn is_grown(&self, (_, lengths): (u8, Lengths)) -> bool {
        lengths.0 != lengths.1 && (self.edition == Edition::V22 || (self.edition == Edition::Mixed && lengths.2))
    }

    /// Puts a message at `now` down, if the channel carries it. Its time is added to `values`.
    pub(super) fn write(&mut self, now: u64, form: (u8, Lengths), values: &[(Role, Value<'_>)]) {
        self.made += 1;
        let (message_type, lengths) = form;
        if !self.channel.carries(message_type) {
            return;
        }
        const FITS: &str = "the market's own values fit the table's fields";
        let second = now / SECOND_NS;
        if self.second != Some(second) {
            self.second = Some(second);
            DSE.encode(b'T', 5, &[(Role::Seconds, second.into())], &mut self.bytes).expect(FITS);
            self.ends.push((now, self.bytes.len()));
        }
        let length = if self.is_grown(form) { lengths.0 } else { lengths.1 };
        let mut all = Vec::with_capacity(values.len() + 1);
        all.push((Role::TimestampNs, (now % SECOND_NS).into()));
        all.extend_from_slice(values);
        DSE.encode(message_type, length, &all, &mut self.bytes).expect(FITS);
        self.ends.push((now, self.bytes.len()));
    }

    /// Appends the next message to `out` and returns its time; none when all are taken.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) -> Option<u64> {
        let &(due_ns, end) = self.ends.get(self.taken)?;
        let start = self.taken.checked_sub(1).map_or(0, |before| self.ends[before].1);
        out.extend_from_slice(&self.bytes[start..end]);
        self.taken += 1;
        if self.taken == self.ends.len() {
            self.bytes.clear();
            self.ends.clear();
            self.taken = 0;
        }
        Some(due_ns)
    }
}
