//! Which instruments gateways want: leases that outlive their connection by a while, so that a gateway that restarts
//! finds its instruments still served.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use shm_abi::control::InstrumentName;

/// How long a demand is kept after its connection has ended: decisions.md 14.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Who holds an instrument.
#[derive(Debug, Default)]
struct Holders {
    /// Connections that want it now.
    connections: Vec<u64>,
    /// Until when it is kept for connections that have ended.
    until: Option<Instant>,
}

/// Every instrument in demand. Bounded.
#[derive(Debug)]
pub(crate) struct DemandTable {
    instruments: BTreeMap<InstrumentName, Holders>,
    pub(crate) max: usize,
    /// Instruments that found the table full.
    pub(crate) refused: u64,
}

impl DemandTable {
    pub(crate) fn new(max: usize) -> DemandTable {
        DemandTable { instruments: BTreeMap::new(), max, refused: 0 }
    }

    /// Instruments in demand.
    pub(crate) fn count(&self) -> usize {
        self.instruments.len()
    }

    /// From now on `connection` wants just these; what it wanted before and does not any more is kept for the lease.
    /// All or none.
    ///
    /// # Errors
    /// The number of instruments in demand, when there is no room for the new ones.
    pub(crate) fn replace(&mut self, connection: u64, wanted: &[InstrumentName], now: Instant) -> Result<(), usize> {
        let new: std::collections::BTreeSet<_> =
            wanted.iter().filter(|name| !self.instruments.contains_key(*name)).collect();
        if self.instruments.len() + new.len() > self.max {
            self.refused += new.len() as u64;
            return Err(self.instruments.len());
        }
        self.end(connection, now);
        for name in wanted {
            let holders = self.instruments.entry(name.clone()).or_default();
            if !holders.connections.contains(&connection) {
                holders.connections.push(connection);
            }
        }
        Ok(())
    }

    /// The connection has ended: its lease begins to run out.
    pub(crate) fn end(&mut self, connection: u64, now: Instant) {
        for holders in self.instruments.values_mut() {
            if let Some(at) = holders.connections.iter().position(|other| *other == connection) {
                holders.connections.swap_remove(at);
                holders.until = Some(now + LEASE);
            }
        }
    }

    /// Forgets what nobody holds any more.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.instruments
            .retain(|_, holders| !holders.connections.is_empty() || holders.until.is_some_and(|until| until > now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(symbols: &[&str]) -> Vec<InstrumentName> {
        symbols.iter().map(|symbol| InstrumentName { venue: "XNAS".into(), symbol: (*symbol).into() }).collect()
    }

    #[test]
    fn a_lease_outlives_its_connection_by_its_time_and_no_longer() {
        let mut table = DemandTable::new(10);
        let start = Instant::now();
        table.replace(1, &names(&["A", "B", "A"]), start).unwrap();
        table.replace(2, &names(&["B"]), start).unwrap();
        assert_eq!(table.count(), 2);
        table.end(1, start);
        table.expire(start + LEASE - Duration::from_nanos(1));
        assert_eq!(table.count(), 2);
        table.expire(start + LEASE);
        assert_eq!(table.count(), 1, "B is still wanted by 2");
        // Who comes back in time keeps it.
        table.end(2, start);
        table.replace(3, &names(&["B"]), start + LEASE / 2).unwrap();
        table.expire(start + LEASE * 3);
        assert_eq!(table.count(), 1);
        table.replace(3, &[], start + LEASE * 3).unwrap();
        table.expire(start + LEASE * 4);
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn a_full_table_refuses_all_of_a_demand_and_counts() {
        let mut table = DemandTable::new(2);
        let now = Instant::now();
        table.replace(1, &names(&["A"]), now).unwrap();
        assert_eq!(table.replace(2, &names(&["A", "B", "C"]), now), Err(1));
        assert_eq!((table.count(), table.refused), (1, 2));
        table.replace(2, &names(&["A", "B"]), now).unwrap();
        assert_eq!(table.count(), 2);
    }
}
