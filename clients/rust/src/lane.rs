//! Finding and mapping a lane.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shm_abi::board::RowImage;
use shm_abi::counters::CounterReader;
use shm_abi::layout::{FEEDS_MAX, State};
use shm_abi::segment::{FeedFacts, RingName, Segment, SegmentError, segment_file};

use crate::board::BoardView;
use crate::error::ClientError;
use crate::instruments::Instruments;
use crate::reader::{Options, Reader};

/// How often [`Lane::wait_for`] looks.
const ATTACH_INTERVAL: Duration = Duration::from_millis(10);

/// One lane of a running engine, mapped read-only. It shows one incarnation: after the engine has begun anew, take the
/// new one with [`Lane::follow`] or [`Lane::refresh`]. Readers follow by themselves.
#[derive(Debug)]
pub struct Lane {
    runtime_dir: PathBuf,
    name: String,
    segment: Segment,
    instruments: Instruments,
    image: RowImage,
}

impl Lane {
    /// Maps lane `name` of the engine whose runtime directory this is.
    ///
    /// # Errors
    /// [`ClientError::Segment`], which says what was seen and what to change.
    pub fn attach(runtime_dir: impl AsRef<Path>, name: &str) -> Result<Lane, ClientError> {
        let runtime_dir = runtime_dir.as_ref();
        let segment = Segment::open(runtime_dir, name)?;
        let instruments = Instruments::new(&segment);
        Ok(Lane {
            runtime_dir: runtime_dir.into(),
            name: name.into(),
            segment,
            instruments,
            image: RowImage::default(),
        })
    }

    /// As [`Lane::attach`], but waits at most `limit` for the engine to make the segment, or to replace one that was
    /// made before the last boot.
    ///
    /// # Errors
    /// [`ClientError::NotInTime`]; at once [`ClientError::Segment`] for what waiting does not mend.
    pub fn wait_for(runtime_dir: impl AsRef<Path>, name: &str, limit: Duration) -> Result<Lane, ClientError> {
        let runtime_dir = runtime_dir.as_ref();
        let began = Instant::now();
        loop {
            let last = match Self::attach(runtime_dir, name) {
                Err(ClientError::Segment(last @ (SegmentError::Missing { .. } | SegmentError::Stale { .. }))) => last,
                other => return other,
            };
            if began.elapsed() >= limit {
                let path = runtime_dir.join(segment_file(name));
                return Err(ClientError::NotInTime { path, waited: limit, last });
            }
            std::thread::sleep(ATTACH_INTERVAL.min(limit));
        }
    }

    /// The orders ring: every order-level event.
    ///
    /// # Errors
    /// [`ClientError::OtherLane`] and [`ClientError::CursorAhead`], for a cursor that is not of this ring.
    pub fn orders(&self, options: Options) -> Result<Reader, ClientError> {
        self.read(RingName::Orders, options)
    }

    /// The market ring: quotes, levels, trades, status, gaps.
    ///
    /// # Errors
    /// As [`Lane::orders`].
    pub fn market(&self, options: Options) -> Result<Reader, ClientError> {
        self.read(RingName::Market, options)
    }

    /// A ring by its name.
    ///
    /// # Errors
    /// As [`Lane::orders`].
    pub fn read(&self, ring: RingName, options: Options) -> Result<Reader, ClientError> {
        Reader::open(&self.segment, self.runtime_dir.clone(), &self.name, ring, options)
    }

    /// The instruments, with what was appended since the last call.
    pub fn instruments(&mut self) -> &Instruments {
        self.instruments.refresh();
        &self.instruments
    }

    /// The latest values of every instrument.
    pub fn board(&mut self) -> BoardView<'_> {
        self.instruments.refresh();
        BoardView::new(&self.segment, &self.instruments, &mut self.image)
    }

    /// The lane's counters.
    pub fn counters(&self) -> CounterReader {
        self.segment.counters()
    }

    /// The lane's feeds, each with its counters.
    pub fn feeds(&self) -> impl Iterator<Item = (FeedFacts, CounterReader)> + '_ {
        (0..FEEDS_MAX).filter_map(|index| self.segment.feed(index))
    }

    /// What the writer says the segment is; `None` for a state of a newer writer.
    pub fn state(&self) -> Option<State> {
        self.segment.state()
    }

    /// Time since the writer's last sign of life. Over 240 ms it counts as silent.
    pub fn heartbeat_age(&self) -> Duration {
        Duration::from_nanos(self.segment.heartbeat_age_ns())
    }

    /// Lane name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory in which the lane was found.
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime_dir
    }

    /// The mapped segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Takes directory, board and counters from the segment that `reader` reads: after [`crate::Event::Restarted`] they
    /// are those of the new engine. Returns whether that is another than before.
    pub fn follow(&mut self, reader: &Reader) -> bool {
        self.adopt(reader.segment().clone())
    }

    /// Maps what now has the segment's name. Returns whether that is another than before.
    ///
    /// # Errors
    /// As [`Lane::attach`]; the lane stays as it is then.
    pub fn refresh(&mut self) -> Result<bool, ClientError> {
        Ok(self.adopt(Segment::open(&self.runtime_dir, &self.name)?))
    }

    fn adopt(&mut self, segment: Segment) -> bool {
        if segment.identity().incarnation == self.segment.identity().incarnation {
            return false;
        }
        self.instruments = Instruments::new(&segment);
        self.segment = segment;
        true
    }
}
