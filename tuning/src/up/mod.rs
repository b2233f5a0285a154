//! `ticklane up`: an exchange, an engine and a gateway on this host, started and stopped together.

mod config;
mod watch;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shm_abi::layout::{State, is_lane_name};
use ticklane_client::Lane;

use crate::children::{Child, LOOK_INTERVAL, Relay};
use crate::error::ToolError;
use crate::runtime::{make_private_dir, user_base};
use crate::up::config::{Choice, LANE};
use crate::up::watch::Watch;

/// Longest wait for the exchange, and for the gateway, to listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(20);
/// Where the gateway listens if nothing else was asked for, and where when that is taken.
const HTTP_DEFAULT: &str = "127.0.0.1:8080";
const HTTP_FREE: &str = "127.0.0.1:0";
/// Longest wait for a child to end when asked.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// The same for the gateway, which gives its clients five seconds to take what is theirs.
const GATEWAY_STOP_LIMIT: Duration = Duration::from_secs(8);
/// Name under which the engine logs in.
const USERNAME: &str = "demo";
/// Where the programs are, if not beside this one.
const BIN_VARIABLE: &str = "TICKLANE_BIN_DIR";

/// The market to make, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runtime directory of the engine; made with mode 0700. One of your own under XDG_RUNTIME_DIR or /dev/shm if not
    /// given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Names this engine among yours.
    #[arg(long, default_value = "demo", value_parser = instance_name)]
    instance: String,
    /// Messages a second of the synthetic market, in the mean.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,
    /// Symbols of the synthetic market.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    symbols: u32,
    /// Another seed is another market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play this ITCH 5.0 file instead.
    #[arg(long, conflicts_with_all = ["rate", "symbols", "seed"])]
    file: Option<PathBuf>,
    /// Speed of the file: 1x, 20x, or max.
    #[arg(long, requires = "file", default_value = "1x")]
    speed: String,
    /// Day of the file, YYYY-MM-DD; today if not given.
    #[arg(long, requires = "file")]
    trading_date: Option<String>,
    /// Stop after this many seconds; 0: run until Ctrl-C.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Show the moving market in this terminal.
    #[arg(long)]
    watch: bool,
    /// Show one view of the market, then stop: a check that everything works.
    #[arg(long, conflicts_with = "watch")]
    once: bool,
    /// Longest wait for the engine to be live.
    #[arg(long, default_value_t = 20)]
    ready_seconds: u64,
    /// Address of the page, REST and WebSocket; 127.0.0.1:8080, or a free port when that is taken, if not given.
    #[arg(long)]
    http: Option<SocketAddr>,
    /// Start no gateway.
    #[arg(long, conflicts_with = "http")]
    no_gateway: bool,
    /// Directory of the programs; TICKLANE_BIN_DIR, or that of this program, if not given.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

fn instance_name(text: &str) -> Result<String, String> {
    // The name becomes that of a directory.
    is_lane_name(text).then(|| text.into()).ok_or("1 to 31 characters of a-z, 0-9, '-' and '_'".into())
}

/// The processes, in the order in which they are stopped: the gateway says goodbye, the engine logs out.
#[derive(Debug)]
struct Processes {
    gateway: Option<Child>,
    engine: Child,
    venue: Child,
}

/// Starts, waits, stops.
///
/// # Errors
/// When a program is missing, does not get ready, or ends by itself.
pub(crate) fn run(args: &Args, stop: &AtomicBool) -> Result<(), ToolError> {
    let dirs = prepare(args)?;
    let relay = if args.watch && io::stdout().is_terminal() { Relay::Keep } else { Relay::Show };
    let password = random_name()?;
    let venue_program = program(args.bin_dir.as_deref(), "ticklane-venue", "ticklane-venue")?;
    let engine_program = program(args.bin_dir.as_deref(), "ticklane-engine", "ticklane-engine")?;
    let gateway_program = (!args.no_gateway)
        .then(|| program(args.bin_dir.as_deref(), "ticklane-gateway", "ticklane-gateway"))
        .transpose()?;
    let mut venue = Child::start("venue", venue_command(args, &venue_program, &password, &random_name()?), relay)?;
    let said = venue.wait_for_line("listening ", LISTEN_LIMIT, stop)?;
    let address = said.split_whitespace().next().unwrap_or_default();
    let config = write_config(args, &dirs, address, &password)?;
    let mut engine_command = Command::new(&engine_program);
    engine_command.arg("--config").arg(&config);
    let engine = Child::start("engine", engine_command, relay)?;
    // Beside the engine, not after it: a gateway waits for its lanes by itself.
    let gateway = match gateway_program {
        Some(program) => Some(Child::start("gateway", gateway_command(args, &program, &dirs), relay)?),
        None => None,
    };
    let mut processes = Processes { gateway, engine, venue };
    let outcome = attend(args, &dirs, &mut processes, stop);
    report_end(&mut processes, &outcome)?;
    outcome
}

fn gateway_command(args: &Args, program: &Path, dirs: &Dirs) -> Command {
    let listen = match args.http {
        Some(address) => address.to_string(),
        // Looked at before it is asked for: the gateway would refuse to start, as it should.
        None if TcpListener::bind(HTTP_DEFAULT).is_ok() => HTTP_DEFAULT.into(),
        None => HTTP_FREE.into(),
    };
    let mut command = Command::new(program);
    command.arg("--runtime-dir").arg(&dirs.runtime).args(["--listen", &listen]);
    // Where the engine records, unless it is told otherwise.
    command.arg("--journal-dir").arg(dirs.state.join("journal"));
    command
}

/// From the start of the engine to the moment at which both shall stop.
fn attend(args: &Args, dirs: &Dirs, processes: &mut Processes, stop: &AtomicBool) -> Result<(), ToolError> {
    let lane = wait_live(args, &dirs.runtime, processes, stop)?;
    let page = match &mut processes.gateway {
        Some(gateway) => Some(format!("{}/", gateway.wait_for_line("listening ", LISTEN_LIMIT, stop)?.trim())),
        None => None,
    };
    let dir = dirs.runtime.display();
    say(&format!("running: engine pid {}, venue pid {}, lane {LANE}", processes.engine.pid(), processes.venue.pid()))?;
    if let (Some(page), Some(gateway)) = (&page, &processes.gateway) {
        say(&format!("the page, REST (docs/) and WebSocket (ws/v1): {page}  gateway pid {}", gateway.pid()))?;
    }
    say(&format!("  ticklane stat --dir {dir}\n  ticklane tail --all --dir {dir}"))?;
    let deadline = (args.seconds > 0).then(|| Instant::now() + Duration::from_secs(args.seconds));
    let mut watch = if args.watch || args.once { Some(Watch::new(lane, page)?) } else { None };
    loop {
        check_alive(processes)?;
        if stop.load(Ordering::Relaxed) || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(());
        }
        match &mut watch {
            Some(watch) => {
                watch.step(stop)?;
                if args.once {
                    return Ok(());
                }
            }
            None => std::thread::sleep(LOOK_INTERVAL),
        }
    }
}

/// Waits until the segment in the runtime directory is this engine's, and in use.
fn wait_live(args: &Args, runtime: &Path, processes: &mut Processes, stop: &AtomicBool) -> Result<Lane, ToolError> {
    let limit = Duration::from_secs(args.ready_seconds);
    let began = Instant::now();
    let mut last = String::from("nothing");
    while began.elapsed() < limit {
        if stop.load(Ordering::Relaxed) {
            return Err(ToolError::Interrupted);
        }
        check_alive(processes)?;
        match Lane::attach(runtime, LANE) {
            // An earlier engine leaves its segment behind: this one's has its process id.
            Ok(lane) if lane.segment().writer_pid() != u64::from(processes.engine.pid()) => {
                last = format!("a segment of process {}", lane.segment().writer_pid());
            }
            Ok(lane) if lane.state() == Some(State::Live) => return Ok(lane),
            Ok(lane) => last = format!("a segment that is {}", lane.state().map_or("unknown", |state| state.name())),
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Err(processes.engine.failure(&format!("has no live segment within {limit:?} (seen: {last})")))
}

/// A child that ends by itself brings the others down: that is an error, with its status and last lines.
fn check_alive(processes: &mut Processes) -> Result<(), ToolError> {
    for child in processes.gateway.iter_mut().chain([&mut processes.engine, &mut processes.venue]) {
        if let Some(ending) = child.ended() {
            return Err(child.failure(&format!("{ending} by itself")));
        }
    }
    Ok(())
}

fn report_end(processes: &mut Processes, outcome: &Result<(), ToolError>) -> Result<(), ToolError> {
    // Stopped first, told afterwards: a closed output must not leave them running.
    let gateway = processes.gateway.as_mut().map(|gateway| gateway.stop(GATEWAY_STOP_LIMIT));
    let engine = processes.engine.stop(STOP_LIMIT);
    let venue = processes.venue.stop(STOP_LIMIT);
    let gateway = gateway.map(|ending| format!("gateway {ending}; ")).unwrap_or_default();
    match outcome {
        Ok(()) => say(&format!("stopped: {gateway}engine {engine}; venue {venue}")),
        Err(_) => Ok(()),
    }
}

fn say(text: &str) -> Result<(), ToolError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(ToolError::output)
}

/// Directories of this engine.
#[derive(Debug)]
struct Dirs {
    runtime: PathBuf,
    state: PathBuf,
}

fn prepare(args: &Args) -> Result<Dirs, ToolError> {
    let runtime = match &args.dir {
        Some(dir) => dir.clone(),
        None => {
            let base = user_base();
            make_private_dir(&base)?;
            base.join(&args.instance)
        }
    };
    make_private_dir(&runtime)?;
    // Children and messages name it, also from another working directory.
    let runtime =
        runtime.canonicalize().map_err(|source| ToolError::Io { action: "resolve", path: runtime.clone(), source })?;
    let state = runtime.join("state");
    make_private_dir(&state)?;
    Ok(Dirs { runtime, state })
}

/// One of our programs: in `bin_dir`, in the folder that the environment names, or beside this one.
pub(crate) fn program(bin_dir: Option<&Path>, name: &'static str, package: &'static str) -> Result<PathBuf, ToolError> {
    let beside_us = || {
        let own = std::env::current_exe().map_err(|source| ToolError::Io {
            action: "find the directory of",
            path: "ticklane".into(),
            source,
        })?;
        Ok::<_, ToolError>(own.parent().unwrap_or(Path::new(".")).to_path_buf())
    };
    let dir = match bin_dir.map(PathBuf::from).or_else(|| std::env::var_os(BIN_VARIABLE).map(PathBuf::from)) {
        Some(dir) => dir,
        None => beside_us()?,
    };
    let path = dir.join(name);
    if path.is_file() { Ok(path) } else { Err(ToolError::NoProgram { name, package, path }) }
}

fn venue_command(args: &Args, program: &Path, password: &str, session: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--at-end", "hold", "--session", session]);
    command.args(["--username", USERNAME, "--password", password]);
    match &args.file {
        Some(file) => {
            command.arg("--file").arg(file).args(["--speed", &args.speed]);
        }
        None => {
            command.args(["--profile", "endless", "--live-clock"]);
            command.arg("--rate").arg(args.rate.to_string());
            command.arg("--symbols").arg(args.symbols.to_string());
            command.arg("--seed").arg(args.seed.to_string());
        }
    }
    command
}

/// Characters of a SoupBinTCP session name, and of a password.
const NAME_DIGITS: u32 = 10;

/// Ten random hex digits. As a password: the port is open to every process of this host. As a session's name: each run
/// is a market of its own, and an engine that found its predecessor's session would go on behind its last message.
fn random_name() -> Result<String, ToolError> {
    let random = shm_abi::sys::random_u64();
    let random = random.map_err(|source| ToolError::Io { action: "draw a random number", path: "".into(), source })?;
    Ok(format!("{:010X}", random & ((1 << (4 * NAME_DIGITS)) - 1)))
}

fn write_config(args: &Args, dirs: &Dirs, address: &str, password: &str) -> Result<PathBuf, ToolError> {
    let path = dirs.runtime.join("engine.toml");
    let io = |source| ToolError::Io { action: "write", path: path.clone(), source };
    let choice = Choice {
        instance: &args.instance,
        runtime_dir: &dirs.runtime,
        state_dir: &dirs.state,
        address,
        username: USERNAME,
        password,
        symbols: args.file.is_none().then_some(args.symbols),
        trading_date: args.trading_date.as_deref(),
    };
    let text = config::text(&choice).map_err(|error| io(io::Error::other(error)))?;
    // It holds a password.
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    Ok(path)
}
