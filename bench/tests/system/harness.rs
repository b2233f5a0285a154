//! Starting the real programs, waiting for conditions, and cleaning up whatever happens.

use std::fs::File;
use std::io::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::segment::Segment;

/// Longest wait for a condition. Far beyond what any needs on a slow machine: a test that meets it has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Polls until `condition` holds; panics with `what` at the limit.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "waited {LIMIT:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A program of ours, as built by `make test`.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("TICKLANE_BIN_DIR").map_or_else(
        || {
            // target/<profile>/deps/system-<hash> -> target/<profile>
            let test = std::env::current_exe().unwrap();
            test.parent().and_then(Path::parent).unwrap().to_path_buf()
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `make test`, or `cargo build -p {name}` first", path.display());
    path
}

/// The reference data, or `None` after saying loudly that it is absent.
pub fn data(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TICKLANE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let file = folder.join(path);
    if file.exists() {
        return Some(file);
    }
    // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
    let _ =
        std::io::stderr().write_all(format!("\nSKIPPED (no TICKLANE_DATA): {} is absent\n", file.display()).as_bytes());
    None
}

/// The file itself, or unpacked beside the test's own when it is gzipped.
pub fn unpacked(dir: &Dir, path: &Path) -> PathBuf {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return path.into();
    }
    let target = dir.path("unpacked.itch");
    let mut source = flate2::read::GzDecoder::new(File::open(path).unwrap());
    std::io::copy(&mut source, &mut File::create(&target).unwrap()).unwrap();
    target
}

/// A small generator of numbers, so that a failing seed can be told and tried again.
pub fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A folder of this test's own, removed with it. In shared memory where there is any, as in production.
pub struct Dir(tempfile::TempDir);

impl Dir {
    pub fn new() -> Dir {
        let parent = Path::new("/dev/shm");
        let builder = || tempfile::Builder::new().prefix("ticklane-test-").tempdir_in(parent);
        let dir = if parent.is_dir() { builder() } else { tempfile::tempdir() }.unwrap();
        for name in ["run", "state"] {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        }
        Dir(dir)
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    /// Where the segments stand.
    pub fn run(&self) -> PathBuf {
        self.path("run")
    }
}

/// A child that never outlives its test, and whose standard error is kept for the message of a failure.
pub struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Process {
    pub fn start(name: &'static str, mut command: Command, log: PathBuf) -> Process {
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdin(Stdio::null()).stderr(file).spawn().unwrap_or_else(|e| panic!("start {name}: {e}"));
        Process { child, name, log }
    }
    pub fn id(&self) -> u32 {
        self.child.id()
    }
    /// What the program says; once.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout was asked for as a pipe, and not taken yet")
    }
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
    /// SIGKILL: no farewell.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    pub fn signal(&self, signal: i32) {
        // The command, not the system call: these tests need no unsafe code.
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()).status().unwrap();
        assert!(status.success(), "kill -{signal} {} {}", self.name, self.id());
    }
    /// SIGTERM, then the exit status; panics when the program does not end.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(15);
        self.wait()
    }
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < LIMIT, "{} does not end; its log:\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log());
        }
    }
}

/// A running venue and where it listens.
pub struct Venue {
    pub process: Process,
    pub port: u16,
}

impl Venue {
    pub fn start(dir: &Dir, arguments: &[&str]) -> Venue {
        Venue::start_at(dir, "127.0.0.1:0", arguments)
    }

    pub fn start_at(dir: &Dir, listen: &str, arguments: &[&str]) -> Venue {
        let mut command = Command::new(program("ticklane-venue"));
        command.args(["serve", "--listen", listen]).args(arguments).stdout(Stdio::piped());
        let mut process = Process::start("ticklane-venue", command, dir.path("venue.log"));
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening ").and_then(|rest| rest.split(' ').next());
        let port = address.and_then(|address| address.rsplit(':').next()).and_then(|port| port.parse().ok());
        Venue { port: port.unwrap_or_else(|| panic!("the venue says {line:?}:\n{}", process.log())), process }
    }
}

/// What an engine of these tests is told; the rest is its defaults.
pub struct EngineOptions {
    pub ports: Vec<u16>,
    /// Further lines of `[engine]`, `[[lane]]` and `[[feed]]`.
    pub engine: &'static str,
    pub lane: &'static str,
    pub feed: &'static str,
}

impl EngineOptions {
    pub fn to(port: u16) -> EngineOptions {
        EngineOptions { ports: vec![port], engine: "", lane: "", feed: "" }
    }
}

pub struct Engine {
    pub process: Process,
    run: PathBuf,
}

impl Engine {
    /// Writes the config and starts the engine. Slots for every record of a data file: nothing is lapped.
    pub fn start(dir: &Dir, options: &EngineOptions) -> Engine {
        Engine::start_under(dir, options, &[])
    }

    /// The same, started by another program (`setpriv`, `taskset`, ..) that becomes the engine.
    pub fn start_under(dir: &Dir, options: &EngineOptions, wrapper: &[&str]) -> Engine {
        let mut command = under(wrapper, "ticklane-engine");
        command.arg("--config").arg(write_config(dir, options)).stdout(Stdio::null());
        Engine { process: Process::start("ticklane-engine", command, dir.path("engine.log")), run: dir.run() }
    }

    /// The segment of the engine that runs now.
    pub fn segment(&self) -> Segment {
        let mut found = None;
        wait_until("the engine's segment", || {
            found = Segment::open(&self.run, "lane0").ok().filter(|segment| segment.writer_pid() == self.pid());
            found.is_some()
        });
        found.unwrap()
    }

    fn pid(&self) -> u64 {
        self.process.id().into()
    }

    /// Waits until the feed has delivered everything before `sequence`.
    pub fn wait_for_sequence(&self, segment: &Segment, sequence: u64) {
        wait_until("every message to be taken", || feed_counter(segment, FeedCounter::NextSequence) >= sequence);
    }
}

/// A program of ours, started by another one that becomes it.
pub fn under(wrapper: &[&str], name: &str) -> Command {
    let Some((first, rest)) = wrapper.split_first() else { return Command::new(program(name)) };
    let mut command = Command::new(first);
    command.args(rest).arg(program(name));
    command
}

/// Says that a test, or a part of one, cannot be run here. Not by a macro: the runner hides what passing tests print with
/// one, and a skip must be seen: whole, in one write.
pub fn skipped(reason: &str, what: &str) {
    let _ = std::io::stderr().write_all(format!("\nSKIPPED ({reason}): {what}\n").as_bytes());
}

/// Whether a command can be run here, with success.
pub fn can(command: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(command);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub fn feed_counter(segment: &Segment, counter: FeedCounter) -> u64 {
    segment.feed(0).map_or(0, |(_, counters)| counters.feed(counter))
}

pub fn lane_counter(segment: &Segment, counter: LaneCounter) -> u64 {
    segment.counters().lane(counter)
}

pub fn write_config(dir: &Dir, options: &EngineOptions) -> PathBuf {
    let addresses: Vec<String> = options.ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let text = format!(
        r#"
[engine]
instance = "test"
runtime_dir = {run:?}
state_dir = {state:?}
wait = "adaptive"
{engine}
[feeds]
allow = ["127.0.0.0/8"]
[[lane]]
name = "lane0"
orders_slots = 131072
market_slots = 131072
instruments = 2048
depth = 10
max_orders = 262144
max_levels = 65536
{lane}
[[feed]]
name = "nasdaq"
lane = "lane0"
protocol = "soupbintcp-itch50"
addresses = [{addresses}]
username = "demo"
password = "demo"
trading_date = "2020-01-30"
reconnect_first_ms = 1
reconnect_max_ms = 4
first_login_retry_ms = 10
first_login_retry_max_ms = 20
{feed}
"#,
        run = dir.run(),
        state = dir.path("state"),
        engine = options.engine,
        lane = options.lane,
        feed = options.feed,
        addresses = addresses.join(", "),
    );
    let path = dir.path("engine.toml");
    std::fs::write(&path, text).unwrap();
    path
}
