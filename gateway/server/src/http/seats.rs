//! How many connections there may be: in all, and of one address. A seat is held from the accept to the last byte.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// All are taken.
    Full,
    /// This address has as many as one may have.
    Address,
}

#[derive(Debug, Default)]
struct Taken {
    /// As long as it has one: bounded by the seats.
    by_address: HashMap<IpAddr, u32>,
    total: u32,
}

#[derive(Debug)]
struct Room {
    taken: Mutex<Taken>,
    seats: u32,
    per_address: u32,
}

/// All seats, of all shards. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Seats(Arc<Room>);

/// One connection's seat: free again when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Seat(#[allow(dead_code, reason = "held for its drop")] Arc<Sitting>);

#[derive(Debug)]
struct Sitting {
    room: Arc<Room>,
    address: IpAddr,
}

impl Seats {
    /// So many in all, and of one address.
    pub(crate) fn new(seats: u32, per_address: u32) -> Seats {
        Seats(Arc::new(Room { taken: Mutex::default(), seats, per_address }))
    }

    /// Takes one.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Seat, NoSeat> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.0.seats {
            return Err(NoSeat::Full);
        }
        let count = taken.by_address.entry(address).or_default();
        if *count >= self.0.per_address {
            return Err(NoSeat::Address);
        }
        *count += 1;
        taken.total += 1;
        Ok(Seat(Arc::new(Sitting { room: Arc::clone(&self.0), address })))
    }
}

impl Drop for Sitting {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_and_come_back() {
        let seats = Seats::new(3, 2);
        let (a, b): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let first = seats.take(a).unwrap();
        let second = seats.take(a).unwrap();
        assert_eq!(seats.take(a).unwrap_err(), NoSeat::Address);
        let third = seats.take(b).unwrap();
        assert_eq!(seats.take(b).unwrap_err(), NoSeat::Full);
        let clone = first.clone();
        drop(first);
        assert_eq!(seats.take(b).unwrap_err(), NoSeat::Full, "a clone holds the seat");
        drop(clone);
        assert!(seats.take(b).is_ok());
        drop((second, third));
        assert!(seats.0.taken.lock().unwrap().by_address.is_empty());
    }
}
