//! Ours: the real gateway, its config, its process, its end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::source::LANE;
use crate::machine::Cores;
use crate::{BenchError, Result, io_error, sys};

/// Longest wait for the gateway to listen, to answer a request, or to end in good order.
const LIMIT: Duration = Duration::from_secs(10);

/// How the gateway waits for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It never sleeps.
    Spin,
    /// It spins, then naps, then asks to be woken.
    Adaptive,
}

impl Wait {
    /// As the config spells it.
    pub fn name(self) -> &'static str {
        match self {
            Wait::Spin => "spin",
            Wait::Adaptive => "adaptive",
        }
    }
}

/// The gateway's program: as told, or beside this one. The error says why there is none.
pub fn find(told: Option<&Path>) -> std::result::Result<PathBuf, String> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("ticklane-gateway"));
    match told.map(Path::to_owned).or_else(beside) {
        Some(path) if path.is_file() => Ok(path),
        Some(path) => {
            Err(format!("no gateway at {}: build ticklane-gateway, or name it with --gateway", path.display()))
        }
        None => Err("no gateway: name it with --gateway".into()),
    }
}

/// One shard on the partner's core; everything else as it comes.
fn config(wait: Wait, core: usize) -> String {
    format!("[gateway]\ninstance = \"bench\"\nlanes = [\"{LANE}\"]\ncores = [{core}]\nwait = \"{}\"\n", wait.name())
}

fn failed(what: impl std::fmt::Display) -> BenchError {
    BenchError::Partner { role: "gateway".into(), what: what.to_string() }
}

/// The gateway's process; ended when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    log: PathBuf,
    port: u16,
}

impl Gateway {
    /// Writes the config into `folder` and starts the gateway on the lanes of `runtime_dir`.
    ///
    /// # Errors
    /// When it cannot be started, or does not say in time where it listens.
    pub fn start(program: &Path, folder: &Path, runtime_dir: &Path, wait: Wait, cores: Cores) -> Result<Gateway> {
        let (config_path, log) = (folder.join("gateway.toml"), folder.join("gateway.log"));
        fs::write(&config_path, config(wait, cores.partner)).map_err(io_error("write the gateway's config"))?;
        let stderr = fs::File::create(&log).map_err(io_error("make the gateway's log"))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(config_path).arg("--runtime-dir").arg(runtime_dir);
        command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "warn");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        // Our own pinning would be inherited, and put the shard beside the subscribers.
        sys::release_child(&mut command, &[cores.partner]);
        let mut child = command.spawn().map_err(io_error(format!("start {}", program.display())))?;
        let stdout = child.stdout.take().expect("it was piped");
        let mut gateway = Gateway { child, log, port: 0 };
        gateway.port = match address(stdout) {
            Some(port) => port,
            None => return gateway.explain(Err(failed("it did not say where it listens"))),
        };
        Ok(gateway)
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes that wait for slow connections, by its own word; `None` when it does not say.
    pub fn queued_bytes(&self) -> Option<f64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", self.port);
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        sum_of(&text, "queued_bytes")
    }

    /// The result, or the failure together with what the gateway itself says about it.
    ///
    /// # Errors
    /// The failure.
    pub fn explain<T>(&mut self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let said = log.lines().last().unwrap_or("nothing");
            failed(format!("{error}; it said: {said}"))
        })
    }
}

/// Sum of a gauge over its labels; `None` when there is no such gauge.
fn sum_of(text: &str, gauge: &str) -> Option<f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        name.split('{').next()?.ends_with(gauge).then(|| value.parse::<f64>().ok())?
    });
    values.reduce(|a, b| a + b)
}

/// The port of the line `listening http://HOST:PORT`, which must come within the limit. What follows is read and
/// forgotten, so that the gateway never waits for somebody to read it.
fn address(stdout: ChildStdout) -> Option<u16> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
            if let Some(port) = port_in(&line) {
                // Nobody listens any more when it came too late.
                let _ = tell.send(port);
            }
        }
    });
    told.recv_timeout(LIMIT).ok()
}

fn port_in(line: &str) -> Option<u16> {
    line.trim().strip_prefix("listening http://")?.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let asked = Instant::now();
        if sys::terminate_process(self.child.id()).is_ok() {
            while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < LIMIT {
                std::thread::sleep(Duration::from_millis(1));
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
    fn what_the_gateway_says() {
        assert_eq!(port_in("listening http://127.0.0.1:4711"), Some(4711));
        assert_eq!(port_in("listening http://[::1]:80/"), Some(80));
        assert_eq!(port_in("ready"), None);
        let text = "# HELP ticklane_queued_bytes x\nticklane_queued_bytes{shard=\"0\"} 7\nticklane_queued_bytes{shard=\"1\"} 5\nother 1\n";
        assert_eq!(sum_of(text, "queued_bytes"), Some(12.0));
        assert_eq!(sum_of("other 1\n", "queued_bytes"), None);
    }

    #[test]
    fn the_config_is_toml() {
        let parsed: toml::Table = config(Wait::Spin, 3).parse().unwrap();
        assert_eq!(parsed["gateway"]["wait"].as_str(), Some("spin"));
        assert_eq!(parsed["gateway"]["cores"][0].as_integer(), Some(3));
    }

    #[test]
    fn a_missing_gateway_is_told() {
        let error = find(Some(Path::new("/nonexistent/gateway"))).unwrap_err();
        assert!(error.contains("/nonexistent/gateway") && error.contains("--gateway"), "{error}");
    }
}
