//! The real engine as the other role: its config, its process, its end.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use shm_abi::counters::FeedCounter;
use shm_abi::segment::Segment;

use crate::{BenchError, Result, io_error, sys};

/// The one lane.
pub const LANE: &str = "lane0";
/// Slots of each ring.
pub const SLOTS: usize = 65_536;
/// Longest wait for the engine to end in good order.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for the engine to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Where the engine keeps its files: a runtime directory that nobody else may write, and a state directory.
#[derive(Debug)]
pub struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    /// Makes both under the run's own folder.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn make(dir: &Path) -> Result<Folder> {
        let folder = tempfile::tempdir_in(dir).map_err(io_error("make the engine's folder"))?;
        let made = Folder { folder };
        for path in [made.runtime().to_owned(), made.state()] {
            fs::create_dir_all(&path).map_err(io_error("make the engine's folders"))?;
            let mode = fs::Permissions::from_mode(0o700);
            fs::set_permissions(&path, mode).map_err(io_error("close the engine's folders"))?;
        }
        Ok(made)
    }

    /// The runtime directory: the segment stands in it.
    pub fn runtime(&self) -> &Path {
        self.folder.path()
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("engine.toml")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("engine.log")
    }
}

/// The engine's program: as told, or beside this one. The error says why there is none.
pub fn find(told: Option<&Path>) -> std::result::Result<PathBuf, String> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("ticklane-engine"));
    match told.map(Path::to_owned).or_else(beside) {
        Some(path) if path.is_file() => Ok(path),
        Some(path) => Err(format!("no engine at {}: build ticklane-engine, or name it with --engine", path.display())),
        None => Err("no engine: name it with --engine".into()),
    }
}

/// How messages reach a lane, from loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// SoupBinTCP, dialled at this port.
    Soup(u16),
    /// MoldUDP64 datagrams to this port.
    Mold(u16),
}

/// One lane and its feed.
#[derive(Debug, Clone, Copy)]
pub struct LaneSpec {
    /// Its name.
    pub name: &'static str,
    /// The core that its reactor spins on; `None`: no core of its own, and it sleeps after a while.
    pub core: Option<usize>,
    /// Its feed.
    pub feed: Feed,
    /// The feed's venue: no two lanes have the same.
    pub venue: &'static str,
}

/// The engine's config: a reactor for each lane.
fn config(folder: &Folder, lanes: &[LaneSpec]) -> String {
    let (runtime, state) = (folder.runtime().display(), folder.state());
    let state = state.display();
    let wait = if lanes.iter().all(|lane| lane.core.is_some()) { "spin" } else { "adaptive" };
    let head = format!(
        r#"[engine]
instance = "bench"
runtime_dir = "{runtime}"
state_dir = "{state}"
wait = "{wait}"

[feeds]
allow = ["127.0.0.0/8"]
"#
    );
    lanes.iter().fold(head, |text, lane| text + &lane_config(lane))
}

fn lane_config(lane: &LaneSpec) -> String {
    let LaneSpec { name, core, feed, venue } = lane;
    let core = core.map_or(String::new(), |core| format!("core = {core}\n"));
    let feed = match feed {
        Feed::Soup(port) => format!(
            r#"protocol = "soupbintcp-itch50"
addresses = ["127.0.0.1:{port}"]
username = "demo"
password = "demo""#
        ),
        Feed::Mold(port) => format!(
            r#"protocol = "moldudp64-itch"
lines = [{{ address = "127.0.0.1:{port}" }}]"#
        ),
    };
    format!(
        r#"
[[lane]]
name = "{name}"
{core}orders_slots = {SLOTS}
market_slots = {SLOTS}
instruments = 1024
depth = 10

[[feed]]
name = "{name}-feed"
lane = "{name}"
venue = "{venue}"
{feed}
time_zone = "America/New_York"
trading_date = "2026-11-20"
"#
    )
}

/// A port of loopback that no datagram socket has now.
///
/// # Errors
/// Whatever the system says.
pub fn free_datagram_port() -> Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    Ok(socket.map_err(io_error("find a free port"))?.port())
}

/// The engine's process; ended when dropped.
#[derive(Debug)]
pub struct Engine {
    child: Child,
    log: PathBuf,
}

impl Engine {
    /// Writes the config and starts the engine, which may use `cores`.
    ///
    /// # Errors
    /// When either fails.
    pub fn start(program: &Path, folder: &Folder, lanes: &[LaneSpec], cores: &[usize]) -> Result<Engine> {
        Engine::start_with(program, folder, &config(folder, lanes), cores)
    }

    /// The same with a config of the caller's.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_with(program: &Path, folder: &Folder, config: &str, cores: &[usize]) -> Result<Engine> {
        fs::write(folder.config(), config).map_err(io_error("write the engine's config"))?;
        let log = fs::File::create(folder.log()).map_err(io_error("make the engine's log"))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(folder.config()).env("RUST_LOG", "warn");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Our own pinning would be inherited, and leave the reactor no core of its own.
        sys::release_child(&mut command, cores);
        let child = command.spawn().map_err(io_error(format!("start {}", program.display())))?;
        Ok(Engine { child, log: folder.log() })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The segment of a lane whose feed is open: what is sent from now on reaches it.
    ///
    /// # Errors
    /// When the engine ends before, or takes too long.
    pub fn listening(&mut self, folder: &Folder, lane: &str) -> Result<Segment> {
        let asked = Instant::now();
        loop {
            if let Ok(segment) = Segment::open(folder.runtime(), lane)
                && segment.feed(0).is_some_and(|(_, counters)| counters.feed(FeedCounter::Connects) > 0)
            {
                return Ok(segment);
            }
            if self.is_gone() || asked.elapsed() > START_LIMIT {
                let what = format!("lane {lane} does not listen");
                return self.explain(Err(BenchError::Partner { role: "engine".into(), what }));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The result, or the failure together with what the engine itself says about it.
    ///
    /// # Errors
    /// The failure.
    pub fn explain<T>(&mut self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let said = log.lines().last().unwrap_or("nothing");
            BenchError::Partner { role: "engine".into(), what: format!("{error}; it said: {said}") }
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let asked = Instant::now();
        if sys::terminate_process(self.child.id()).is_ok() {
            while !self.is_gone() && asked.elapsed() < STOP_LIMIT {
                std::thread::yield_now();
            }
        }
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_is_toml_with_what_the_engine_wants() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(dir.path()).unwrap();
        let soup = LaneSpec { name: LANE, core: Some(0), feed: Feed::Soup(4711), venue: "XNAS" };
        let mold = LaneSpec { name: "lane1", core: None, feed: Feed::Mold(4712), venue: "XBOS" };
        let parsed: toml::Table = config(&folder, &[soup]).parse().unwrap();
        assert_eq!(parsed["feed"][0]["addresses"][0].as_str(), Some("127.0.0.1:4711"));
        assert_eq!(parsed["engine"]["wait"].as_str(), Some("spin"));
        assert_eq!(parsed["lane"][0]["core"].as_integer(), Some(0));
        let parsed: toml::Table = config(&folder, &[soup, mold]).parse().unwrap();
        assert_eq!(parsed["feed"][1]["lines"][0]["address"].as_str(), Some("127.0.0.1:4712"));
        assert_eq!(parsed["feed"][1]["lane"].as_str(), Some("lane1"));
        assert_eq!(parsed["engine"]["wait"].as_str(), Some("adaptive"), "two roles on one core must not both spin");
    }

    #[test]
    fn a_missing_engine_is_told() {
        let error = find(Some(Path::new("/nonexistent/engine"))).unwrap_err();
        assert!(error.contains("/nonexistent/engine"), "{error}");
    }
}
