//! `ticklane-venue generate`.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

use venue::dse::DseMarket;
use venue::market::{ConfigError, Market, Profile};

use crate::Failure;
use crate::cli::GenerateArguments;

/// Bytes collected before a write.
const WRITE_BUFFER_BYTES: usize = 1 << 20;

pub(crate) fn run(arguments: &GenerateArguments) -> Result<(), Failure> {
    let config = arguments.market.config();
    let dse = arguments.dse.map(|channel| (arguments.dse_market.config(&arguments.market), channel));
    let is_a_day = dse.as_ref().is_some_and(|(config, _)| config.profile == Profile::Day);
    if config.messages.is_none() && !is_a_day {
        return Err(Failure::Config("an endless file is not possible; give its length with --messages".into()));
    }
    let mut market = match dse {
        Some((config, channel)) => Any::Dse(Box::new(DseMarket::new(config, channel.into()).map_err(wrong)?)),
        None => Any::Market(Box::new(Market::new(config).map_err(wrong)?)),
    };
    let path = arguments.out.display();
    let mut file = File::create(&arguments.out)
        .map_err(|error| Failure::Config(format!("cannot write {path}: {error}; give another file with --out")))?;
    let started = Instant::now();
    let written =
        write(&mut market, &mut file).map_err(|error| Failure::Run(format!("cannot write {path}: {error}")))?;
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("{} seconds={seconds:.2} rate={:.0}", written, written.messages as f64 / seconds);
    Ok(())
}

/// Writes the whole market.
fn write(market: &mut Any, file: &mut File) -> io::Result<Written> {
    const LENGTH_BYTES: usize = 2;
    let mut buffer = Vec::with_capacity(2 * WRITE_BUFFER_BYTES);
    let (mut bytes, mut messages) = (0, 0);
    loop {
        // The length goes in front once it is known, which saves a copy of each message.
        let start = buffer.len();
        buffer.extend_from_slice(&[0; LENGTH_BYTES]);
        let more = market.next(&mut buffer).is_some();
        messages += u64::from(more);
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
            return Ok(Written { messages, bytes, live_orders: market.live_orders() });
        }
    }
}

fn wrong(error: ConfigError) -> Failure {
    Failure::Config(error.to_string())
}

/// Either market.
enum Any {
    Market(Box<Market>),
    Dse(Box<DseMarket>),
}

impl Any {
    fn next(&mut self, out: &mut Vec<u8>) -> Option<u64> {
        match self {
            Self::Market(market) => market.next(out),
            Self::Dse(market) => market.next(out),
        }
    }

    fn live_orders(&self) -> usize {
        match self {
            Self::Market(market) => market.live_orders(),
            Self::Dse(market) => market.live_orders(),
        }
    }
}

/// What a file holds.
struct Written {
    messages: u64,
    bytes: u64,
    live_orders: usize,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, bytes, live_orders } = self;
        write!(f, "messages={messages} bytes={bytes} live_orders={live_orders}")
    }
}
