//! The program, started as an operator starts it, and clients that say exactly what a test wants to be said.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway in a directory of its own; killed when dropped.
pub(crate) struct Gateway {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    child: Child,
}

/// The program with a config; its lanes are looked for in `dir`, unless the config says where.
pub(crate) fn command(dir: &Path, config: &str) -> Command {
    let file = dir.join("gateway.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticklane-gateway"));
    command.arg("--config").arg(file);
    if !config.contains("runtime_dir") {
        command.arg("--runtime-dir").arg(dir);
    }
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    command
}

/// How the program ends that refuses to start: its status and standard error. Ended by force, without a status, when it
/// does not refuse.
pub(crate) fn refusal(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

impl Gateway {
    pub(crate) fn start(config: &str) -> Gateway {
        Gateway::start_with(config, |_| {})
    }

    pub(crate) fn start_with(config: &str, change: impl FnOnce(&mut Command)) -> Gateway {
        let dir = tempfile::tempdir().unwrap();
        let mut command = command(dir.path(), config);
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening http://").unwrap_or_else(|| panic!("it said {line:?}"));
        Gateway { dir, address: address.parse().unwrap(), child }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A WebSocket, with its hello still unread.
    pub(crate) fn websocket(&self, path: &str) -> Socket {
        let (socket, response) = tungstenite::client(format!("ws://{}{path}", self.address), self.connect()).unwrap();
        assert_eq!(response.status(), 101);
        Socket(socket)
    }

    /// Resident memory, bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Reads the log, which must be piped, up to a line that has all these parts.
    pub(crate) fn expect_log(&mut self, parts: &[&str]) {
        let mut lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let found = lines.find(|line| parts.iter().all(|part| line.as_ref().unwrap().contains(part)));
        assert!(found.is_some(), "the log ended without {parts:?}");
        // Read on, so that the program never waits for a reader.
        std::thread::spawn(move || lines.count());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the gateway does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A WebSocket client.
pub(crate) struct Socket(pub(crate) tungstenite::WebSocket<TcpStream>);

impl Socket {
    /// The next text message.
    pub(crate) fn text(&mut self) -> String {
        loop {
            match self.0.read().unwrap() {
                tungstenite::Message::Text(text) => return text.to_string(),
                tungstenite::Message::Ping(_) => {}
                other => panic!("not a text: {other:?}"),
            }
        }
    }

    /// Passes by everything up to the Close frame: its code and reason. The connection must then end without an error.
    pub(crate) fn close_code(&mut self) -> (u16, String) {
        loop {
            match self.0.read().unwrap() {
                tungstenite::Message::Close(frame) => {
                    let frame = frame.expect("a close with a code");
                    let mut rest = Vec::new();
                    let stream = self.0.get_mut();
                    stream.read_to_end(&mut rest).unwrap();
                    return (frame.code.into(), frame.reason.to_string());
                }
                _ => continue,
            }
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }
}

/// A client's frame, masked: first byte as given.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | short as u8),
        middle @ ..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Sends a request and reads the answer to its end.
pub(crate) fn exchange(mut stream: TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
