//! `ticklane-venue generate`.

use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

use venue::market::Market;

use crate::Failure;
use crate::cli::GenerateArguments;

/// Bytes collected before a write.
const WRITE_BUFFER_BYTES: usize = 1 << 20;

pub(crate) fn run(arguments: &GenerateArguments) -> Result<(), Failure> {
    let config = arguments.market.config();
    if config.messages.is_none() {
        return Err(Failure::Config("an endless file is not possible; give its length with --messages".into()));
    }
    let mut market = Market::new(config).map_err(|error| Failure::Config(error.to_string()))?;
    let path = arguments.out.display();
    let mut file = File::create(&arguments.out)
        .map_err(|error| Failure::Config(format!("cannot write {path}: {error}; give another file with --out")))?;
    let started = Instant::now();
    let bytes = write(&mut market, &mut file).map_err(|error| Failure::Run(format!("cannot write {path}: {error}")))?;
    let seconds = started.elapsed().as_secs_f64();
    let messages = market.taken();
    eprintln!(
        "messages={messages} bytes={bytes} live_orders={} seconds={seconds:.2} rate={:.0}",
        market.live_orders(),
        messages as f64 / seconds
    );
    Ok(())
}

/// Writes the whole market; returns the bytes of the file.
fn write(market: &mut Market, file: &mut File) -> io::Result<u64> {
    const LENGTH_BYTES: usize = 2;
    let mut buffer = Vec::with_capacity(2 * WRITE_BUFFER_BYTES);
    let mut bytes = 0;
    loop {
        // The length goes in front once it is known, which saves a copy of each message.
        let start = buffer.len();
        buffer.extend_from_slice(&[0; LENGTH_BYTES]);
        let more = market.next(&mut buffer).is_some();
        if more {
            let len = (buffer.len() - start - LENGTH_BYTES) as u16;
            buffer[start..start + LENGTH_BYTES].copy_from_slice(&len.to_be_bytes());
        } else {
            buffer.truncate(start);
        }
        if !more || buffer.len() >= WRITE_BUFFER_BYTES {
            file.write_all(&buffer)?;
            bytes += buffer.len() as u64;
            buffer.clear();
        }
        if !more {
            return Ok(bytes);
        }
    }
}
