//! Both rings of a lane in the order in which they were published.

use shm_abi::segment::RingName;

use crate::RINGS;
use crate::journal::{Journal, ReadError};
use crate::reader::{Entry, Reader, Ready, SeekError};

/// Reads both rings: by publish time, orders before market where that is equal, each ring in the order of its numbers.
///
/// Holes come as soon as their ring has come to them. A step into another epoch comes once, when both rings have come to
/// it. At the growing end a ring of which nothing is there yet holds back nothing of the other: who needs the order there,
/// too, sets what both are known to have come to ([`Merged::set_until`]).
#[derive(Debug)]
pub struct Merged {
    readers: [Reader; 2],
}

impl Merged {
    /// From the oldest file on.
    pub fn oldest(journal: &Journal) -> Merged {
        Merged { readers: RINGS.map(|ring| journal.oldest(ring)) }
    }

    /// From a number of each ring on, orders first.
    ///
    /// # Errors
    /// As [`Journal::seek`].
    pub fn seek(journal: &Journal, epoch: u64, n: [u64; 2]) -> Result<Merged, SeekError> {
        let [orders, market] = n;
        let orders = journal.seek(RingName::Orders, epoch, orders)?;
        Ok(Merged { readers: [orders, journal.seek(RingName::Market, epoch, market)?] })
    }

    /// From a publish time on, ns since the UNIX epoch.
    ///
    /// # Errors
    /// As [`Journal::seek_time`].
    pub fn seek_time(journal: &Journal, ns: u64) -> Result<Merged, SeekError> {
        let orders = journal.seek_time(RingName::Orders, ns)?;
        Ok(Merged { readers: [orders, journal.seek_time(RingName::Market, ns)?] })
    }

    /// As [`Reader::set_until`], by ring.
    pub fn set_until(&mut self, epoch: u64, n: [u64; 2]) {
        for (reader, n) in self.readers.iter_mut().zip(n) {
            reader.set_until(epoch, n);
        }
    }

    /// The readers of the rings, orders first.
    pub fn readers(&self) -> &[Reader; 2] {
        &self.readers
    }

    /// The next thing and its ring, or `None` at the end as it is now.
    ///
    /// # Errors
    /// As [`Reader::next`].
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend its items from the reader")]
    pub fn next(&mut self) -> Result<Option<(RingName, Entry<'_>)>, ReadError> {
        let [orders, market] = &mut self.readers;
        let ring = match (orders.ready()?, market.ready()?) {
            (Ready::Nothing, Ready::Nothing) => return Ok(None),
            (Ready::Hole, _) => 0,
            (_, Ready::Hole) => 1,
            (Ready::Record(a), Ready::Record(b)) => usize::from(b < a),
            (Ready::Record(_), _) => 0,
            (_, Ready::Record(_)) => 1,
            (Ready::Epoch, Ready::Epoch) => {
                // Both say the same; the market's is not said again.
                market.next()?;
                0
            }
            // The other ring is still in the old epoch, as far as anybody knows: wait for it.
            (Ready::Epoch, Ready::Nothing) | (Ready::Nothing, Ready::Epoch) => return Ok(None),
        };
        Ok(self.readers[ring].next()?.map(|entry| (RINGS[ring], entry)))
    }
}
