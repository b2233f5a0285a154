//! `ticklane-venue serve`.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use venue::server::{Exchange, ExchangeConfig, Source, StartError};
use wire::soupbin::field::{Password, SessionId, TextError, Username};
use wire::soupbin::server::ServerTimers;
use wire::time::MILLISECOND_NS;

use crate::Failure;
use crate::cli::{ServeArguments, StartArgument};

/// How often a signal or a failure is looked for: well within the second that stopping may take.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Serves until a signal, or until the source fails.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    // Before the start, so that a signal at any later moment is a request to stop in good order.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::Run(format!("cannot handle signals: {error}")))?;
    }
    let exchange = Exchange::start(config(arguments)?).map_err(|error| match error {
        StartError::Thread(_) => Failure::Run(error.to_string()),
        error => Failure::Config(error.to_string()),
    })?;
    announce(&exchange, &arguments.session)?;
    while !stop.load(Ordering::Relaxed) && exchange.failure().is_none() {
        std::thread::sleep(WATCH_INTERVAL);
    }
    let failure = exchange.failure();
    eprintln!("{}", exchange.stop());
    failure.map_or(Ok(()), |cause| Err(Failure::Run(cause)))
}

/// The one line that a test or a supervisor waits for.
fn announce(exchange: &Exchange, session: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening {} session {}", exchange.address(), session.trim())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::Run(format!("cannot write to stdout: {error}")))
}

fn config(arguments: &ServeArguments) -> Result<ExchangeConfig, Failure> {
    let source = match (&arguments.file, arguments.dse) {
        (Some(path), _) => Source::File(path.clone()),
        (None, Some(channel)) => Source::Dse(arguments.dse_market.config(&arguments.market), channel.into()),
        (None, None) => Source::Market(arguments.market.config()),
    };
    if arguments.start == StartArgument::Command {
        return Err(Failure::Config("--start command is for `ticklane-venue feeds` with --control".into()));
    }
    let session = SessionId::new(&arguments.session).map_err(|error| field("--session", &error))?;
    let credentials = match (&arguments.username, &arguments.password) {
        (Some(username), Some(password)) => Some((
            Username::new(username).map_err(|error| field("--username", &error))?,
            Password::new(password).map_err(|error| field("--password", &error))?,
        )),
        _ => None,
    };
    let defaults = ExchangeConfig::new(source, session);
    Ok(ExchangeConfig {
        listen: arguments.listen,
        pace: arguments.speed,
        start: arguments.start.into(),
        at_end: arguments.at_end.into(),
        credentials,
        live_clock: arguments.live_clock.then_some((arguments.utc_offset * 3_600.0) as i64),
        timers: ServerTimers {
            heartbeat_interval_ns: arguments.heartbeat_ms * MILLISECOND_NS,
            silence_limit_ns: arguments.client_silence_ms * MILLISECOND_NS,
            login_timeout_ns: arguments.login_timeout_ms * MILLISECOND_NS,
        },
        max_clients: usize::try_from(arguments.max_clients).unwrap_or(usize::MAX),
        max_log_bytes: arguments.max_log_bytes,
        log_directory: arguments.log_dir.clone().unwrap_or(defaults.log_directory),
        faults: arguments.faults.clone(),
        ..defaults
    })
}

fn field(option: &str, error: &TextError) -> Failure {
    Failure::Config(format!("{option}: {error}"))
}
