//! The floor: one thread, one prebuilt frame for each update, one `send` for each subscriber. No runtime, no epoll, no
//! queue. It spins on the ring, and says how long its sends took.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::Duration;

use gateway_core::frames::{TEXT, push_server_frame};

use super::feed::{Feed, asked_for};
use super::{runtime_dir, wire};
use crate::partner::{Page, Word};
use crate::{BenchError, Result, floor, io_error, sys};

/// Looks at an empty ring between two looks for a new connection.
const LOOKS_PER_ACCEPT: u32 = 1024;
/// Longest wait for a request.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Longest request.
const REQUEST_BYTES: usize = 4096;

#[derive(Debug)]
struct Subscriber {
    stream: TcpStream,
    /// What the kernel did not take of a frame. While there is something, further frames are dropped.
    tail: Vec<u8>,
}

impl Subscriber {
    /// Whether the frame is on its way.
    #[inline]
    fn send(&mut self, frame: &[u8]) -> bool {
        if !self.tail.is_empty() {
            let sent = write(&self.stream, &self.tail);
            self.tail.drain(..sent);
            if !self.tail.is_empty() {
                return false;
            }
        }
        let sent = write(&self.stream, frame);
        if sent > 0 {
            self.tail.extend_from_slice(&frame[sent..]);
        }
        sent > 0
    }
}

/// Bytes that the kernel took. A connection that is gone takes none: the run is over then.
fn write(mut stream: &TcpStream, bytes: &[u8]) -> usize {
    stream.write(bytes).unwrap_or(0)
}

/// Serves until killed. Tells its port, then the ticks of its sends and their number.
///
/// # Errors
/// When the lane cannot be opened, or a connection cannot be made.
pub fn serve(page: &Page, dir: &Path) -> Result<()> {
    let mut feed = Feed::open(&runtime_dir(dir))?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(io_error("listen on loopback"))?;
    listener.set_nonblocking(true).map_err(io_error("listen on loopback"))?;
    let port = listener.local_addr().map_err(io_error("read the port"))?.port();
    page.word(Word::Port).store(port.into(), Relaxed);
    page.word(Word::Ready).store(1, Release);
    let mut subscribers: Vec<Subscriber> = Vec::new();
    let mut by_topic: Vec<Vec<u32>> = vec![Vec::new(); feed.topics() as usize];
    let (mut json, mut frame) = (Vec::new(), Vec::new());
    let (mut ticks, mut sends, mut looks) = (0, 0, 0);
    loop {
        json.clear();
        if let Some(topic) = feed.next(&mut json) {
            let began = sys::ticks();
            frame.clear();
            push_server_frame(&mut frame, TEXT, &json);
            for index in &by_topic[topic as usize] {
                sends += u64::from(subscribers[*index as usize].send(&frame));
            }
            ticks += sys::ticks() - began;
            page.word(Word::Ticks).store(ticks, Relaxed);
            page.word(Word::Received).store(sends, Relaxed);
            continue;
        }
        looks += 1;
        if looks % LOOKS_PER_ACCEPT == 0 {
            while let Some((stream, topics)) = accept(&listener, &feed)? {
                topics.iter().for_each(|topic| by_topic[*topic as usize].push(subscribers.len() as u32));
                subscribers.push(Subscriber { stream, tail: Vec::new() });
            }
        }
        std::hint::spin_loop();
    }
}

/// The next connection, after its handshake and its snapshots.
fn accept(listener: &TcpListener, feed: &Feed) -> Result<Option<(TcpStream, Vec<u32>)>> {
    let mut stream = match listener.accept() {
        Ok((stream, _)) => stream,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(io_error("accept a subscriber")(error)),
    };
    let failed = || io_error("shake hands with a subscriber");
    stream.set_nonblocking(false).map_err(failed())?;
    stream.set_read_timeout(Some(REQUEST_LIMIT)).map_err(failed())?;
    let request = read_request(&mut stream)?;
    let target = request.split_whitespace().nth(1).unwrap_or_default();
    let topics = asked_for(target.split_once('?').map_or("", |(_, query)| query), feed.topics());
    let mut answer = wire::agreement().into_bytes();
    for topic in &topics {
        let mut json = Vec::new();
        feed.snapshot(*topic, &mut json);
        push_server_frame(&mut answer, TEXT, &json);
    }
    stream.write_all(&answer).map_err(failed())?;
    floor::prepare_stream(&stream).map_err(failed())?;
    Ok(Some((stream, topics)))
}

fn read_request(stream: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    while wire::header_end(&bytes).is_none() {
        let got = stream.read(&mut chunk).map_err(io_error("read a request"))?;
        bytes.extend_from_slice(&chunk[..got]);
        if got == 0 || bytes.len() > REQUEST_BYTES {
            return Err(BenchError::Partner { role: "floor".into(), what: "a request without end".into() });
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
