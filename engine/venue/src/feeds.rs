//! `ticklane-venue feeds`.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use venue::control::{Feed, Feeds, Reply, Venue};
use venue::fault::Fault;
use venue::mold::{LineConfig, MoldConfig, MoldVenue, ReRequestConfig};
use venue::server::{Exchange, ExchangeConfig, Source, StartError};
use wire::soupbin::field::{Password, SessionId, Username};
use wire::time::MILLISECOND_NS;

use crate::Failure;
use crate::cli::{ControlArgument, FeedSpec, FeedsArguments, SourceSpec};

/// How often a signal or a failure is looked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);
/// Longest line of the control protocol.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Serves until a signal, a command, or until a source fails.
pub(crate) fn run(arguments: &FeedsArguments) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::Run(format!("cannot handle signals: {error}")))?;
    }
    let mut feeds: Vec<Feed> = Vec::new();
    for spec in &arguments.feeds {
        if feeds.iter().any(|feed| feed.name == spec.name) {
            return Err(Failure::Config(format!("two feeds are called {:?}", spec.name)));
        }
        let venue = start(arguments, spec)?;
        feeds.push(Feed { name: spec.name.clone(), venue });
    }
    let known = |name: &str| arguments.feeds.iter().any(|spec| spec.name == name);
    if let Some((name, _)) = arguments.faults.iter().filter_map(|text| named(text)).find(|(name, _)| !known(name)) {
        return Err(Failure::Config(format!("--fault: no feed is called {name:?}")));
    }
    let listener = match arguments.control {
        Some(ControlArgument::Listen(address)) => Some(
            TcpListener::bind(address)
                .map_err(|error| Failure::Config(format!("cannot listen on {address}: {error} (--control)")))?,
        ),
        _ => None,
    };
    announce(&feeds, listener.as_ref()).map_err(|error| Failure::Run(format!("cannot write to stdout: {error}")))?;
    // Taken out at the end; a control line that comes later finds nothing.
    let feeds = Arc::new(Mutex::new(Some(Feeds::new(feeds))));
    match (arguments.control, listener) {
        (Some(ControlArgument::Stdin), _) => spawn(&feeds, &stop, |feeds, stop| {
            obey(BufReader::new(io::stdin()), io::stdout(), feeds, stop);
        }),
        (_, Some(listener)) => spawn(&feeds, &stop, move |feeds, stop| {
            listener
                .incoming()
                .flatten()
                .for_each(|stream| spawn(feeds, stop, move |feeds, stop| talk(&stream, feeds, stop)));
        }),
        _ => {}
    }
    let failure = loop {
        let failure = lock(&feeds).as_ref().and_then(Feeds::failure);
        if stop.load(Ordering::Relaxed) || failure.is_some() {
            break failure;
        }
        std::thread::sleep(WATCH_INTERVAL);
    };
    if let Some(feeds) = lock(&feeds).take() {
        println!("{}", feeds.stop());
    }
    failure.map_or(Ok(()), |cause| Err(Failure::Run(cause)))
}

type Shared = Arc<Mutex<Option<Feeds>>>;

fn lock(feeds: &Shared) -> std::sync::MutexGuard<'_, Option<Feeds>> {
    feeds.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that the end of the program ends: it may wait for a line that never comes.
fn spawn(feeds: &Shared, stop: &Arc<AtomicBool>, run: impl FnOnce(&Shared, &Arc<AtomicBool>) + Send + 'static) {
    let (feeds, stop) = (Arc::clone(feeds), Arc::clone(stop));
    std::thread::spawn(move || run(&feeds, &stop));
}

fn talk(stream: &TcpStream, feeds: &Shared, stop: &AtomicBool) {
    obey(BufReader::new(stream), stream, feeds, stop);
}

/// Handles lines until there are no more.
fn obey(mut lines: impl BufRead, mut answers: impl Write, feeds: &Shared, stop: &AtomicBool) {
    let mut line = String::new();
    loop {
        line.clear();
        match io::Read::take(&mut lines, MAX_LINE_BYTES).read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let answer = match lock(feeds).as_ref().map(|feeds| feeds.command(&line)) {
            None => return,
            Some(Reply::Line(answer)) => answer,
            Some(Reply::Stop) => {
                stop.store(true, Ordering::Relaxed);
                "ok".into()
            }
        };
        if writeln!(answers, "{answer}").and_then(|()| answers.flush()).is_err() {
            return;
        }
    }
}

/// A line for each address, one for the control port, and one that says that all of them are there.
fn announce(feeds: &[Feed], control: Option<&TcpListener>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for feed in feeds {
        let protocol = if matches!(feed.venue, Venue::Soup(_)) { "soupbintcp" } else { "moldudp64" };
        for (part, address) in feed.venue.addresses() {
            let verb = if part.starts_with("line") { "sending" } else { "listening" };
            writeln!(out, "{verb} {address} feed {} {protocol} {part}", feed.name)?;
        }
    }
    if let Some(address) = control.and_then(|listener| listener.local_addr().ok()) {
        writeln!(out, "listening {address} control")?;
    }
    writeln!(out, "ready")?;
    out.flush()
}

fn start(arguments: &FeedsArguments, spec: &FeedSpec) -> Result<Venue, Failure> {
    let fail = |error: StartError| {
        let text = format!("feed {}: {error}", spec.name);
        if matches!(error, StartError::Thread(_)) { Failure::Run(text) } else { Failure::Config(text) }
    };
    let source = match &spec.source {
        SourceSpec::Market => Source::Market(arguments.market.config()),
        SourceSpec::Dse(channel) => Source::Dse(arguments.dse.config(&arguments.market), *channel),
        SourceSpec::File(path) => Source::File(path.clone()),
    };
    let name = spec.session.clone().unwrap_or_else(|| {
        let letters = spec.name.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>();
        format!("{}01", letters.to_uppercase())
    });
    let text = |error: &dyn std::fmt::Display| Failure::Config(format!("feed {}: {error}", spec.name));
    let session = SessionId::new(&name).map_err(|error| text(&error))?;
    let pace = spec.speed.unwrap_or(arguments.speed);
    let (begin, at_end) = (arguments.start.into(), arguments.at_end.into());
    let faults = faults(arguments, spec)?;
    if spec.is_mold {
        let lines = spec.lines.iter().flatten().map(|destination| LineConfig {
            interface: spec.interface,
            ttl: spec.ttl,
            ..LineConfig::new(*destination)
        });
        let mut config =
            MoldConfig { pace, start: begin, at_end, faults, ..MoldConfig::new(source, session, lines.collect()) };
        let packing = &mut config.packing;
        packing.max_bytes = spec.packet_bytes.unwrap_or(packing.max_bytes);
        packing.max_messages = spec.packet_messages.unwrap_or(packing.max_messages);
        packing.linger_micros = spec.linger_us.unwrap_or(packing.linger_micros);
        packing.max_rate = spec.max_rate;
        config.heartbeat_ms = spec.heartbeat_ms.unwrap_or(config.heartbeat_ms);
        config.end_repeats = spec.end_repeats.unwrap_or(config.end_repeats);
        config.rerequest = spec.rerequest.map(|listen| {
            let limits = ReRequestConfig::new(listen);
            ReRequestConfig { max_messages: spec.max_request.unwrap_or(limits.max_messages), ..limits }
        });
        config.glimpse = spec.glimpse;
        config.max_log_bytes = arguments.max_log_bytes;
        return MoldVenue::start(config).map(Venue::Mold).map_err(fail);
    }
    let mut config = ExchangeConfig { pace, start: begin, at_end, faults, ..ExchangeConfig::new(source, session) };
    config.listen = spec.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.max_log_bytes = arguments.max_log_bytes;
    if let Some((user, password)) = &spec.user {
        let user = Username::new(user).map_err(|error| text(&error))?;
        config.credentials = Some((user, Password::new(password).map_err(|error| text(&error))?));
    }
    if let Some(ms) = spec.heartbeat_ms {
        config.timers.heartbeat_interval_ns = ms.max(1) * MILLISECOND_NS;
    }
    Exchange::start(config).map(Venue::Soup).map_err(fail)
}

/// `FEED/FAULT` in its two parts, unless it is a fault for all.
fn named(text: &str) -> Option<(&str, &str)> {
    text.split_once('/').filter(|(name, _)| !name.contains([':', '=', '@', ',']))
}

/// The faults of one feed: its own, and those of all that it can have.
fn faults(arguments: &FeedsArguments, spec: &FeedSpec) -> Result<Vec<Fault>, Failure> {
    let mut faults = Vec::new();
    for text in &arguments.faults {
        let own = named(text);
        let fault: Fault =
            own.map_or(&text[..], |own| own.1).parse().map_err(|error| Failure::Config(format!("--fault: {error}")))?;
        let fits = match fault {
            Fault::Tcp(_) => !spec.is_mold,
            Fault::Line(_) => spec.is_mold,
            Fault::Flow(_) => true,
        };
        match own {
            Some((name, _)) if name == spec.name => faults.push(fault),
            None if fits => faults.push(fault),
            _ => {}
        }
    }
    Ok(faults)
}
