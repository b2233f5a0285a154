//! What a snapshot is made of: the directory and the live orders at one message, kept up from the log.

use std::collections::{BTreeMap, HashMap};

use wire::dialect::{Clock, Dialect, Event, OpKind, Role, View};

/// Place of a message in a snapshot: kinds in this order, then the number that tells two of a kind apart.
type Place = (u8, u64);

/// One live order: the bytes of its add, changed as it was changed.
#[derive(Debug, Clone)]
struct Live {
    /// Count of arrivals when it came, so that a snapshot keeps time priority.
    arrival: u64,
    quantity: u64,
    add: Vec<u8>,
}

/// The state after the messages so far.
#[derive(Debug)]
pub(super) struct Tracker {
    dialect: &'static Dialect,
    directory: BTreeMap<Place, Vec<u8>>,
    orders: HashMap<u64, Live>,
    arrivals: u64,
    /// Bytes of the last nanoseconds, where they count from a second that a snapshot tells once.
    last_ns: u64,
}

impl Tracker {
    pub(super) fn new(dialect: &'static Dialect) -> Self {
        Self { dialect, directory: BTreeMap::new(), orders: HashMap::new(), arrivals: 0, last_ns: 0 }
    }

    pub(super) fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// Takes the next message. What is not of the dialect is passed over, as a reader would.
    pub(super) fn apply(&mut self, message: &[u8]) {
        let Ok(view) = self.dialect.view(message) else { return };
        self.last_ns = view.u64(Role::TimestampNs).unwrap_or(0);
        let number = |role| view.u64(role).unwrap_or(0);
        let op = self.dialect.decode_at(message, 0, message.len());
        match op.kind {
            OpKind::Add => {
                self.arrivals += 1;
                let live = Live { arrival: self.arrivals, quantity: op.quantity, add: view.as_bytes().to_vec() };
                self.orders.insert(op.reference, live);
            }
            OpKind::Execute | OpKind::ExecutePrice | OpKind::Cancel => self.reduce(op.reference, op.quantity),
            OpKind::Delete => drop(self.orders.remove(&op.reference)),
            OpKind::Replace => {
                let Some(mut live) = self.orders.remove(&op.reference) else { return };
                self.arrivals += 1;
                (live.arrival, live.quantity) = (self.arrivals, op.quantity);
                self.patch(&mut live.add, Role::Reference, op.new_reference);
                self.patch(&mut live.add, Role::Price, op.price.into());
                self.patch(&mut live.add, Role::TimestampNs, op.timestamp_ns);
                self.orders.insert(op.new_reference, live);
            }
            OpKind::Other => {
                self.note(&view, number(Role::Orderbook), number(Role::TableId) << 32 | number(Role::TickStart))
            }
            OpKind::Malformed | OpKind::Unknown => {}
        }
    }

    fn reduce(&mut self, reference: u64, quantity: u64) {
        let Some(live) = self.orders.get_mut(&reference) else { return };
        live.quantity = live.quantity.saturating_sub(quantity);
        if live.quantity == 0 {
            self.orders.remove(&reference);
        }
    }

    /// Keeps what a late comer has to know; the latest of its kind.
    fn note(&mut self, view: &View<'_>, orderbook: u64, row: u64) {
        let is_reset = matches!(view.letter(Role::EventCode), Some(b'O' | b'C'));
        let place = match view.event() {
            Event::Timestamp => (0, 0),
            Event::SystemEvent => {
                if is_reset {
                    // A session's boundary takes all orders with it, unsaid.
                    self.orders.clear();
                    self.directory.retain(|place, _| place.0 != 1);
                }
                self.arrivals += 1;
                (1, self.arrivals)
            }
            Event::PriceTick => (2, row),
            Event::QuantityTick => (3, row),
            Event::Company => (4, view.u64(Role::Company).unwrap_or(0)),
            Event::Orderbook => (5, orderbook),
            Event::TradingAction => (6, orderbook),
            Event::ShortSale => (7, orderbook),
            Event::ReferencePrice => (8, orderbook),
            _ => return,
        };
        self.directory.insert(place, view.as_bytes().to_vec());
    }

    fn patch(&self, message: &mut [u8], role: Role, value: u64) {
        let field = self.dialect.view(message).ok().and_then(|view| view.entry().field(role, message.len()));
        if let Some(field) = field {
            let (at, width) = (usize::from(field.offset), usize::from(field.width));
            message[at..at + width].copy_from_slice(&value.to_be_bytes()[8 - width..]);
        }
    }

    /// The messages of a snapshot: the directory, then every live order in the order of its arrival.
    pub(super) fn snapshot(&self) -> Vec<Vec<u8>> {
        let mut orders: Vec<&Live> = self.orders.values().collect();
        orders.sort_unstable_by_key(|live| live.arrival);
        let orders = orders.into_iter().map(|live| {
            let mut add = live.add.clone();
            self.patch(&mut add, Role::Quantity, live.quantity);
            add
        });
        let mut all: Vec<Vec<u8>> = self.directory.values().cloned().chain(orders).collect();
        if self.dialect.clock() == Clock::SecondsAndNanos {
            // There is one second for all of them, so there is one time.
            all.iter_mut().for_each(|message| self.patch(message, Role::TimestampNs, self.last_ns));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::dialect::{DSE, NASDAQ_50, Value};

    use super::*;

    fn message(letter: u8, length: usize, values: &[(Role, u64)]) -> Vec<u8> {
        let number = |(role, value): &(Role, u64)| (*role, Value::Number(*value));
        let mut values: Vec<_> = values.iter().map(number).collect();
        if letter == b'A' {
            values.push((Role::Side, Value::Letter(b'B')));
        }
        let mut out = Vec::new();
        DSE.encode(letter, length, &values, &mut out).expect("a message of the table");
        out
    }

    #[test]
    fn orders_are_told_as_they_stand() {
        use Role::*;
        let add = |reference, quantity| {
            let values = [(TimestampNs, 5), (Reference, reference), (Quantity, quantity), (Orderbook, 7), (Price, 100)];
            message(b'A', 34, &values)
        };
        let replace = [(TimestampNs, 8), (Reference, 1), (NewReference, 4), (Quantity, 20), (Price, 90), (Yield, 0)];
        let flow = [
            message(b'T', 5, &[(Seconds, 3)]),
            message(b'A', 30, &[(Orderbook, 7), (Price, 95)]),
            add(1, 10),
            add(2, 30),
            add(3, 5),
            message(b'E', 29, &[(TimestampNs, 6), (Reference, 2), (Quantity, 12)]),
            message(b'D', 13, &[(TimestampNs, 7), (Reference, 3)]),
            message(b'U', 37, &replace),
        ];
        let mut tracker = Tracker::new(&DSE);
        flow.iter().for_each(|message| tracker.apply(message));
        let order = |reference, quantity, price| {
            let values =
                [(TimestampNs, 8), (Reference, reference), (Quantity, quantity), (Orderbook, 7), (Price, price)];
            message(b'A', 34, &values)
        };
        let reference_price = message(b'A', 30, &[(TimestampNs, 8), (Orderbook, 7), (Price, 95)]);
        let mut want = vec![flow[0].clone(), reference_price, order(2, 18, 100), order(4, 20, 90)];
        // The reference price has a blank side, the table's helper writes a letter.
        want[1][13] = flow[1][13];
        assert_eq!(tracker.snapshot(), want);
        let mut start = message(b'S', 18, &[(TimestampNs, 9)]);
        start[13] = b'O';
        tracker.apply(&start);
        assert_eq!(tracker.snapshot().len(), 3, "a session's start clears every book");
    }

    proptest! {
        #[test]
        fn any_bytes_leave_a_snapshot(
            messages in prop::collection::vec((0usize..18, prop::collection::vec(any::<u8>(), 0..60)), 0..60),
        ) {
            for dialect in [&NASDAQ_50, &DSE] {
                let mut tracker = Tracker::new(dialect);
                for (letter, bytes) in &messages {
                    let mut message = vec![b"TSLMPRHAFECBDUIQXY"[*letter]];
                    message.extend_from_slice(bytes);
                    tracker.apply(&message);
                }
                prop_assert!(tracker.snapshot().len() <= messages.len());
            }
        }
    }
}
