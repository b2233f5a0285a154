//! One connection to an engine's command socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shm_abi::control::{Command, Reply, Request, Response, SOCKET_NAME, VERSION, encode, next_frame};

use super::Engine;
use crate::error::ToolError;
use crate::runtime;

/// Longest wait for an answer, beside the time that the command itself may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait between two looks at a signal.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    path: PathBuf,
    held: Vec<u8>,
    next_id: u64,
}

impl Client {
    /// Connects to the one engine that there is in the places that were asked for.
    ///
    /// # Errors
    /// [`ToolError`] when there is none, several, or one that does not let us.
    pub(super) fn connect(engine: &Engine) -> Result<Client, ToolError> {
        let (found, looked) = runtime::find_sockets(engine.dir.as_deref(), SOCKET_NAME);
        let mut refused = None;
        let mut open = Vec::new();
        for path in &found {
            match UnixStream::connect(path) {
                Ok(stream) => open.push((stream, path.clone())),
                // The socket of a killed engine: nobody listens.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(source) => refused = Some(ToolError::Control { path: path.clone(), source }),
            }
        }
        match (<[_; 1]>::try_from(open), refused) {
            (Ok([(stream, path)]), _) => Client::new(stream, path),
            (Err(open), Some(refused)) if open.is_empty() => Err(refused),
            (Err(open), _) if open.is_empty() => Err(ToolError::NoEngine { looked }),
            (Err(open), _) => {
                let found: Vec<String> = open.iter().map(|(_, path)| path.display().to_string()).collect();
                Err(ToolError::SeveralEngines { found: found.join(", ") })
            }
        }
    }

    fn new(stream: UnixStream, path: PathBuf) -> Result<Client, ToolError> {
        let timeouts =
            stream.set_read_timeout(Some(LOOK_INTERVAL)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        timeouts.map_err(|source| ToolError::Control { path: path.clone(), source })?;
        Ok(Client { stream, path, held: Vec::new(), next_id: 1 })
    }

    /// Asks. `wait_ms`: what the command itself may take.
    ///
    /// # Errors
    /// [`ToolError::Refused`] for a refusal; [`ToolError::Control`] when the engine goes, or says nothing.
    pub(super) fn ask(&mut self, command: Command, wait_ms: u64, stop: &AtomicBool) -> Result<Reply, ToolError> {
        self.send(command)?;
        self.next(Some(PATIENCE + Duration::from_millis(wait_ms)), stop)
    }

    /// Sends a request whose answers are taken one by one.
    pub(super) fn send(&mut self, command: Command) -> Result<(), ToolError> {
        command.check().map_err(ToolError::Refused)?;
        let mut bytes = Vec::new();
        let request = Request { version: VERSION, id: self.next_id, command };
        self.next_id += 1;
        encode(&request, &mut bytes).map_err(|error| self.broken(io::ErrorKind::InvalidInput, error.to_string()))?;
        match self.stream.write_all(&bytes) {
            // Closed on us before we asked: why stands in what was sent to us, which is read next.
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
            sent => sent.map_err(|source| ToolError::Control { path: self.path.clone(), source }),
        }
    }

    /// The next answer; `patience`: how long it may take.
    pub(super) fn next(&mut self, patience: Option<Duration>, stop: &AtomicBool) -> Result<Reply, ToolError> {
        let began = Instant::now();
        let mut piece = [0; 16 << 10];
        loop {
            if let Some(reply) = self.take()? {
                return match reply {
                    Reply::Refused(refusal) => Err(ToolError::Refused(refusal)),
                    reply => Ok(reply),
                };
            }
            if stop.load(Ordering::Relaxed) {
                return Err(ToolError::Unanswered);
            }
            if patience.is_some_and(|patience| began.elapsed() > patience) {
                return Err(self.broken(io::ErrorKind::TimedOut, "no answer: is the engine stopped?".into()));
            }
            match self.stream.read(&mut piece) {
                Ok(0) => {
                    return Err(
                        self.broken(io::ErrorKind::UnexpectedEof, "the engine has closed the connection".into())
                    );
                }
                Ok(count) => self.held.extend_from_slice(&piece[..count]),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) => {}
                Err(source) => return Err(ToolError::Control { path: self.path.clone(), source }),
            }
        }
    }

    fn take(&mut self) -> Result<Option<Reply>, ToolError> {
        let frame =
            next_frame(&self.held).map_err(|error| self.broken(io::ErrorKind::InvalidData, error.to_string()))?;
        let Some((payload, consumed)) = frame else { return Ok(None) };
        let response: Response = serde_json::from_slice(payload).map_err(|error| {
            let what =
                format!("an answer that this tool does not understand ({error}): are tool and engine of one version?");
            self.broken(io::ErrorKind::InvalidData, what)
        })?;
        self.held.drain(..consumed);
        Ok(Some(response.reply))
    }

    /// An answer of a kind that does not belong to the question.
    pub(super) fn strange(&self, reply: &Reply) -> ToolError {
        self.broken(io::ErrorKind::InvalidData, format!("an answer to another question: {reply:?}"))
    }

    fn broken(&self, kind: io::ErrorKind, what: String) -> ToolError {
        ToolError::Control { path: self.path.clone(), source: io::Error::new(kind, what) }
    }
}
