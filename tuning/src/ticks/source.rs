//! Whence ticks come: the journal of a lane, or what its ring still holds.

use std::path::Path;

use journal::Journal;
use journal::export::{Exporter, Feed};
use ticklane_client::{Cursor, Event, Instrument, Lane, Options, Reader, Rejoin, RingName, Start};

use super::failed;
use crate::error::ToolError;

/// What a segment's name ends in.
const SEGMENT_ENDING: &str = "seg";

/// Gives records to an exporter.
pub(super) enum Source {
    /// Everything that was recorded.
    Journal { journal: Journal, feed: Box<Feed> },
    /// What was in the ring when it was opened.
    Segment {
        lane: Box<Lane>,
        reader: Box<Reader>,
        /// Where the ring begins, and where it ended when it was opened.
        first: u64,
        end: u64,
        begun: bool,
    },
}

impl Source {
    /// A folder with the journal of a lane, or a segment by its file.
    pub(super) fn open(from: &Path, ring: RingName, since: Option<&Cursor>) -> Result<Source, ToolError> {
        if from.extension().is_some_and(|ending| ending == SEGMENT_ENDING) {
            return Source::segment(from, ring, since);
        }
        let journal = Journal::open(from).map_err(failed)?;
        if journal.files().is_empty() {
            let refused = journal.refused().first().map(|(file, damage)| format!("; its file {file} {damage}"));
            return Err(failed(format!(
                "no journal in {}: expected the folder of one lane, with files that its engine has written, or a \
                 segment (LANE.seg){}",
                from.display(),
                refused.unwrap_or_default()
            )));
        }
        let reader = match since {
            None => journal.oldest(ring),
            Some(cursor) => journal.seek(ring, cursor.epoch, cursor.seq).map_err(failed)?,
        };
        Ok(Source::Journal { journal, feed: Box::new(Feed::new(reader)) })
    }

    fn segment(from: &Path, ring: RingName, since: Option<&Cursor>) -> Result<Source, ToolError> {
        let name = from.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let lane = Lane::attach(from.parent().unwrap_or(Path::new(".")), name)?;
        let start = since.map_or(Start::Oldest, |cursor| Start::At(*cursor));
        let reader = lane.read(ring, Options { start, on_lap: Rejoin::Oldest, ..Options::default() })?;
        let first = reader.cursor().seq;
        let end = lane.segment().join(ring, Rejoin::Latest).cursor();
        Ok(Source::Segment { lane: Box::new(lane), reader: Box::new(reader), first, end, begun: false })
    }

    /// The instruments that are known now.
    pub(super) fn instruments(&mut self) -> Result<Vec<Instrument>, ToolError> {
        match self {
            Source::Journal { feed, .. } => Ok(feed.instruments().map_err(failed)?.to_vec()),
            Source::Segment { lane, .. } => Ok(lane.instruments().iter().map(|(_, instrument)| *instrument).collect()),
        }
    }

    /// How far it can be told to have come: of how many, and of what.
    pub(super) fn total(&self) -> (u64, &'static str) {
        match self {
            Source::Journal { journal, .. } => (journal.files().len() as u64, "files"),
            Source::Segment { first, end, .. } => (end.saturating_sub(*first), "slots"),
        }
    }

    /// How far it has come.
    pub(super) fn position(&self) -> u64 {
        match self {
            Source::Journal { journal, feed } => {
                let number = feed.reader().file().map(|file| file.number);
                journal.files().iter().position(|file| Some(file.number) == number).unwrap_or(0) as u64
            }
            Source::Segment { reader, first, .. } => reader.cursor().seq.saturating_sub(*first),
        }
    }

    /// Gives at most `max` records, and returns how many: 0 at the end.
    pub(super) fn feed(&mut self, exporter: &mut Exporter, max: u64) -> Result<u64, ToolError> {
        match self {
            Source::Journal { feed, .. } => feed.feed(exporter, max).map_err(failed),
            Source::Segment { lane, reader, end, begun, .. } => {
                // A ring that was written on has forgotten how its books began.
                if !std::mem::replace(begun, true) && reader.cursor().seq > 0 {
                    exporter.lost(0);
                }
                read(lane, reader, *end, exporter, max)
            }
        }
    }
}

/// Reads a ring up to a number. What comes behind it is another export's.
fn read(lane: &mut Lane, reader: &mut Reader, end: u64, exporter: &mut Exporter, max: u64) -> Result<u64, ToolError> {
    let ring = reader.ring_name();
    let mut given = 0;
    while given < max && reader.cursor().seq < end && reader.is_ready() {
        match reader.try_next()? {
            Some(Event::Record(record)) => exporter.take(ring, &record).map_err(failed)?,
            Some(Event::Lost(lost)) => exporter.lost(lost.last - lost.first + 1),
            Some(_) | None => break,
        }
        given += 1;
    }
    // Some may have come since.
    lane.instruments().iter().for_each(|(_, instrument)| exporter.define(instrument));
    Ok(given)
}
