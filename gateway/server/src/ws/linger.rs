//! The end of a connection whose Close frame is out: a socket that is closed while bytes of the client still lie unread
//! is reset by the kernel, and a reset makes the client's kernel forget the Close frame.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::http::seats::Seat;

/// How long a client may take to close its side.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes of a client that are read and thrown away in that time: the rest of a message that was too long, mostly.
const LINGER_BYTES: usize = 16 << 20;
/// Bytes of one read.
const READ_BYTES: usize = 16 << 10;

/// Connections that are on their way out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lingering(Arc<AtomicUsize>);

impl Lingering {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Lets a connection go. Must be called on a tokio runtime; its number is bounded by the seats.
    pub(crate) fn let_go(&self, stream: TcpStream, seat: Seat) {
        // Errors here and below: the client is gone already, which is what is wanted.
        if stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let count = Arc::clone(&self.0);
        count.fetch_add(1, Relaxed);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LINGER, read_to_the_end(stream)).await;
            count.fetch_sub(1, Relaxed);
            drop(seat);
        });
    }
}

async fn read_to_the_end(stream: TcpStream) -> io::Result<()> {
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let mut read = 0;
    while read < LINGER_BYTES {
        stream.readable().await?;
        // Not over an await: those who linger hold no buffer.
        let mut scratch = [0_u8; READ_BYTES];
        match stream.try_read(&mut scratch) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
