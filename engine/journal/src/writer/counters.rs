//! What the writer counts.

/// Counters of a writer, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Records taken, by ring.
    pub records: [u64; 2],
    /// Slots taken, by ring.
    pub slots: [u64; 2],
    /// Slots declared missing, by ring; those of `skipped` are among them, though nothing was lost.
    pub missing_slots: [u64; 2],
    /// Holes that were put in the file.
    pub holes: u64,
    /// Slots that the ring's writer said do not exist.
    pub skipped_slots: u64,
    /// Records passed over because their number was there already.
    pub repeated: u64,
    /// Records whose words did not fit their span; declared as holes.
    pub malformed: u64,
    /// Blocks of all kinds that were written.
    pub blocks: u64,
    /// Bytes that were written, headers and padding included.
    pub bytes: u64,
    /// Parts of images that were written.
    pub images: u64,
    /// Files begun.
    pub files: u64,
    /// Files given up because the disk refused to write or sync them.
    pub files_given_up: u64,
    /// Files removed by retention.
    pub files_removed: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Writes and creations that failed; each is tried again.
    pub write_errors: u64,
    /// Those of them for want of room.
    pub full_errors: u64,
    /// Syncs and closes that failed. What was not synced by then may or may not be on disk.
    pub sync_errors: u64,
    /// Removals that failed; each is tried again.
    pub remove_errors: u64,
    /// Slots whose sync failed: written, but not known to survive a power loss.
    pub unsynced_slots: [u64; 2],
    /// Times that something took longer than `slow_after_ms`.
    pub slow: u64,
}
