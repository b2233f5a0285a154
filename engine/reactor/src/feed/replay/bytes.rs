//! The bytes of a file as a whole: mapped, or unpacked into memory.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::sys;

/// Longest capture that is unpacked: it stands in memory as a whole.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;

/// A file's bytes.
pub(super) enum Bytes {
    Mapped(memmap2::Mmap),
    Unpacked(Vec<u8>),
}

impl Bytes {
    /// Blocking.
    ///
    /// # Errors
    /// What the system says; a gzipped file that is broken, or longer than [`UNPACKED_BYTES_MAX`] when unpacked.
    pub(super) fn open(path: &Path) -> io::Result<Bytes> {
        let mut file = File::open(path)?;
        if !is_gzip(&mut file)? {
            return Ok(Bytes::Mapped(sys::map_file(&file)?));
        }
        let mut bytes = Vec::new();
        MultiGzDecoder::new(file).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > UNPACKED_BYTES_MAX {
            let text = format!(
                "more than {UNPACKED_BYTES_MAX} bytes when unpacked: unpack it to a file (gunzip), which is mapped"
            );
            return Err(io::Error::other(text));
        }
        Ok(Bytes::Unpacked(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Unpacked(bytes) => bytes,
        }
    }
}

/// Whether a file is gzipped; leaves it at its beginning.
pub(super) fn is_gzip(file: &mut File) -> io::Result<bool> {
    use std::io::Seek;
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic)?;
    file.rewind()?;
    Ok(magic == [0x1f, 0x8b])
}
