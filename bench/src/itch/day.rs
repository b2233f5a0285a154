//! The generated day: made once into a file, mapped, and warm before anything is timed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use venue::market::{HOUR_NS, Market, MarketConfig, Profile};

use crate::{Result, io_error};

/// Mean rate of the generated day, messages a second: it decides the time stamps and nothing else.
const RATE_PER_SECOND: f64 = 2_400_000.0;
/// Local time of its first message.
const START_NS: u64 = 4 * HOUR_NS;
const WRITE_BUFFER_BYTES: usize = 1 << 20;

/// `bench-data` beside the folder of the program, which in a build is the target folder.
///
/// # Errors
/// When the program cannot be found.
pub fn default_folder() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(io_error("find this program"))?;
    let above = program.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    Ok(above.join("bench-data"))
}

/// The day's file, generated unless it is there. A file half made never gets the name.
///
/// # Errors
/// When the folder or the file cannot be written, or the generator refuses the settings.
pub fn provide(folder: &Path, messages: u64, symbols: u32, seed: u64) -> Result<PathBuf> {
    let path = folder.join(format!("day-{messages}-{symbols}-{seed}.itch"));
    if path.exists() {
        return Ok(path);
    }
    eprintln!("bench itch: generating {}", path.display());
    fs::create_dir_all(folder).map_err(io_error(format!("make {}", folder.display())))?;
    let made = tempfile::Builder::new().prefix("day-").tempfile_in(folder).map_err(io_error("make the day's file"))?;
    generate(made.as_file(), messages, symbols, seed)?;
    made.persist(&path).map_err(|error| io_error(format!("name {}", path.display()))(error.error))?;
    Ok(path)
}

fn generate(file: &File, messages: u64, symbols: u32, seed: u64) -> Result<()> {
    let config = MarketConfig {
        profile: Profile::BenchMix,
        seed,
        symbols,
        messages: Some(messages),
        rate_per_second: RATE_PER_SECOND,
        start_ns: START_NS,
        ..MarketConfig::default()
    };
    let mut market = Market::new(config)?;
    let mut out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, file);
    let (mut message, mut framed) = (Vec::new(), Vec::new());
    while market.next(&mut message).is_some() {
        wire::itchfile::append(&mut framed, &message);
        out.write_all(&framed).map_err(io_error("write the day's file"))?;
        message.clear();
        framed.clear();
    }
    out.flush().map_err(io_error("write the day's file"))
}

/// Touches every page, so that neither the disk nor the page tables are measured.
pub fn warm(bytes: &[u8]) {
    const PAGE: usize = 4096;
    std::hint::black_box(bytes.iter().step_by(PAGE).fold(0u64, |sum, byte| sum + u64::from(*byte)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_made_once_and_is_the_same_for_its_seed() {
        let folder = tempfile::tempdir().unwrap();
        let path = provide(folder.path(), 12_000, 100, 7).unwrap();
        let first = fs::read(&path).unwrap();
        let messages: Vec<_> = wire::itchfile::Messages::new(&first).map(|message| message.unwrap()).collect();
        assert_eq!(messages.len(), 12_000);
        fs::write(&path, b"kept").unwrap();
        assert_eq!(fs::read(provide(folder.path(), 12_000, 100, 7).unwrap()).unwrap(), b"kept", "not made again");
        fs::remove_file(&path).unwrap();
        assert_eq!(fs::read(provide(folder.path(), 12_000, 100, 7).unwrap()).unwrap(), first);
        let other = provide(folder.path(), 12_000, 100, 8).unwrap();
        assert_ne!(fs::read(other).unwrap(), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half made is left");
    }

    #[test]
    fn settings_that_make_no_day_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = provide(folder.path(), 12_000, 0, 7).unwrap_err().to_string();
        assert!(error.contains("symbols"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
