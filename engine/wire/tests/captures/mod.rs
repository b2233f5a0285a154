//! Where the captures lie, and how they are opened.
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test itself")]

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The data folder, or `None` with a line that nobody can overlook.
pub(crate) fn data(test: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("TICKLANE_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
    let _ = std::io::stderr()
        .write_all(format!("\nSKIPPED (no TICKLANE_DATA): {test}; {} is no folder\n", folder.display()).as_bytes());
    None
}

/// The file, unpacked when it is packed.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
    unpacked
}

/// A reference result.
pub(crate) fn reference(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}
