//! The limits of a journal, each with a name and a default.

use serde::Deserialize;

use crate::format::{ALIGN, BLOCK_BYTES_MAX};

/// `[journal]` of a configuration. Units live in the names; every default is safe to run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Bytes of a full block: a multiple of 4096, from 8192 to 1 MiB.
    pub block_bytes: u32,
    /// Memory for blocks that are being filled or wait for the disk. When it is used up, what comes is declared a hole.
    /// At least four blocks.
    pub buffer_bytes: u64,
    /// How often what has come is written and brought to disk, ms: what a power loss may take at most.
    pub sync_interval_ms: u32,
    /// Writes that are under way at a time, 1 to 64.
    pub writes_in_flight: u32,
    /// A new file is begun before one grows beyond this many bytes: at least four blocks.
    pub file_bytes: u64,
    /// A new file is begun when one is this old, s.
    pub file_age_s: u64,
    /// Oldest files are removed while all together have more bytes. The file being written stays.
    pub retain_bytes: u64,
    /// Files that ended longer ago are removed, s.
    pub retain_age_s: u64,
    /// A write or a sync that takes longer makes the disk count as slow, ms.
    pub slow_after_ms: u32,
    /// Time between two tries of what the disk has refused, ms.
    pub retry_interval_ms: u32,
    /// Tries of one write that ends in an error other than a full disk, before the file is given up for a new one.
    pub tries_per_write: u32,
    /// Time between two images of the order books, s; 0: none.
    pub image_interval_s: u64,
    /// Orders that the books behind the images may hold; more make a book incomplete.
    pub image_orders: u32,
}

impl Default for JournalConfig {
    fn default() -> Self {
        JournalConfig {
            block_bytes: 256 << 10,
            buffer_bytes: 64 << 20,
            sync_interval_ms: 100,
            writes_in_flight: 4,
            file_bytes: 1 << 30,
            file_age_s: 3600,
            retain_bytes: 64 << 30,
            retain_age_s: 7 * 24 * 3600,
            slow_after_ms: 1000,
            retry_interval_ms: 1000,
            tries_per_write: 3,
            image_interval_s: 300,
            image_orders: 1 << 23,
        }
    }
}

/// A limit that cannot be worked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("journal.{field} is {seen}, expected {expected}")]
pub struct ConfigError {
    /// Its name.
    pub field: &'static str,
    /// What it was.
    pub seen: u64,
    /// What would do.
    pub expected: &'static str,
}

impl JournalConfig {
    /// Holds every limit against its range.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let block = u64::from(self.block_bytes);
        let table: [(&'static str, u64, bool, &'static str); 8] = [
            (
                "block_bytes",
                block,
                block.is_multiple_of(ALIGN as u64) && (2 * ALIGN as u64..=BLOCK_BYTES_MAX as u64).contains(&block),
                "a multiple of 4096 from 8192 to 1048576",
            ),
            ("buffer_bytes", self.buffer_bytes, self.buffer_bytes / 4 >= block, "at least four blocks"),
            ("sync_interval_ms", self.sync_interval_ms.into(), self.sync_interval_ms >= 1, "at least 1"),
            ("writes_in_flight", self.writes_in_flight.into(), (1..=64).contains(&self.writes_in_flight), "1 to 64"),
            ("file_bytes", self.file_bytes, self.file_bytes / 4 >= block, "at least four blocks"),
            ("file_age_s", self.file_age_s, (1..1 << 32).contains(&self.file_age_s), "1 to 2^32 - 1"),
            ("retry_interval_ms", self.retry_interval_ms.into(), self.retry_interval_ms >= 1, "at least 1"),
            ("tries_per_write", self.tries_per_write.into(), self.tries_per_write >= 1, "at least 1"),
        ];
        match table.into_iter().find(|(_, _, fits, _)| !fits) {
            Some((field, seen, _, expected)) => Err(ConfigError { field, seen, expected }),
            None => Ok(()),
        }
    }

    /// Blocks that the buffer has.
    pub(crate) fn buffers(&self) -> usize {
        (self.buffer_bytes / u64::from(self.block_bytes)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_held_against_their_ranges() {
        let good = JournalConfig::default;
        assert_eq!(good().validate(), Ok(()));
        let table: &[(&str, JournalConfig)] = &[
            ("block_bytes", JournalConfig { block_bytes: 5000, ..good() }),
            ("block_bytes", JournalConfig { block_bytes: 4096, ..good() }),
            ("block_bytes", JournalConfig { block_bytes: 2 << 20, ..good() }),
            ("buffer_bytes", JournalConfig { buffer_bytes: 1 << 19, ..good() }),
            ("sync_interval_ms", JournalConfig { sync_interval_ms: 0, ..good() }),
            ("writes_in_flight", JournalConfig { writes_in_flight: 65, ..good() }),
            ("file_bytes", JournalConfig { file_bytes: 0, ..good() }),
            ("file_age_s", JournalConfig { file_age_s: 0, ..good() }),
            ("retry_interval_ms", JournalConfig { retry_interval_ms: 0, ..good() }),
            ("tries_per_write", JournalConfig { tries_per_write: 0, ..good() }),
        ];
        for (field, config) in table {
            assert_eq!(config.validate().map_err(|e| e.field), Err(*field));
        }
    }
}
