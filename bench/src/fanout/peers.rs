//! The crates that the gateway is measured against, used as their documentation shows: a task for each connection, fed
//! by a bounded queue.
//!
//! Both look at the ring once in a millisecond, the finest timer of tokio: the cheapest way there is to wait, and up to
//! a millisecond of their latency. Both have read and write buffers of 4096 bytes, since the library's own choice is
//! 128 KiB for each connection.
//!
//! The peer `axum` is axum's routing and upgrade with tokio-tungstenite behind it. That is what axum's own extractor
//! does too; it is not used because it would bring a second tungstenite into the workspace.
//!
//! Without the feature `peers` there is nobody here.

#[cfg(not(feature = "peers"))]
pub use absent::*;
#[cfg(feature = "peers")]
pub use present::*;

/// Which crate serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// tokio-tungstenite on tokio's listener.
    Tungstenite,
    /// tokio-tungstenite behind axum.
    Axum,
}

#[cfg(not(feature = "peers"))]
mod absent {
    use std::path::Path;

    use super::Peer;
    use crate::partner::Page;
    use crate::{BenchError, Result};

    /// Whether there are peers.
    pub const PRESENT: bool = false;

    /// There is nobody to serve.
    ///
    /// # Errors
    /// Always.
    pub fn serve(_: &Page, _: &Path, _: Peer) -> Result<()> {
        Err(BenchError::Peer { peer: "tungstenite", what: "built without the feature peers".into() })
    }
}

#[cfg(feature = "peers")]
mod present {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::atomic::Ordering::{Relaxed, Release};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use axum::extract::{Request, State};
    use axum::http::{StatusCode, header};
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;
    use axum::serve::ListenerExt;
    use futures_util::{SinkExt, StreamExt};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::time::MissedTickBehavior;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::handshake::server::{
        ErrorResponse, Request as Handshake, Response as Agreement,
    };
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
    use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

    use super::Peer;
    use crate::fanout::feed::{Feed, asked_for};
    use crate::fanout::runtime_dir;
    use crate::fanout::wire::ACCEPT;
    use crate::partner::{Page, Word};
    use crate::{BenchError, Result, io_error};

    /// Whether there are peers.
    pub const PRESENT: bool = true;

    /// Frames that wait for one connection; more are dropped.
    const QUEUE: usize = 1024;
    /// Bytes of each connection's read buffer, and of its write buffer.
    const BUFFER_BYTES: usize = 4096;
    /// Bytes that may wait behind the write buffer.
    const WRITE_MAX_BYTES: usize = 1 << 20;
    /// Time between two looks at the ring.
    const TICK: Duration = Duration::from_millis(1);

    /// The lane, and who wants what of it.
    struct Hub {
        feed: Feed,
        by_topic: Vec<Vec<mpsc::Sender<Utf8Bytes>>>,
    }

    type Shared = Arc<Mutex<Hub>>;

    fn lock(hub: &Shared) -> MutexGuard<'_, Hub> {
        // One thread, and nothing in here can leave the hub half changed.
        hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until killed. Tells its port.
    ///
    /// # Errors
    /// When the lane cannot be opened or nothing be listened on.
    pub fn serve(page: &Page, dir: &Path, peer: Peer) -> Result<()> {
        let feed = Feed::open(&runtime_dir(dir))?;
        let by_topic = (0..feed.topics()).map(|_| Vec::new()).collect();
        let hub = Arc::new(Mutex::new(Hub { feed, by_topic }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(io_error("start tokio"))?.block_on(async move {
            let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await;
            let listener = listener.map_err(io_error("listen on loopback"))?;
            let port = listener.local_addr().map_err(io_error("read the port"))?.port();
            page.word(Word::Port).store(port.into(), Relaxed);
            page.word(Word::Ready).store(1, Release);
            tokio::spawn(publish(Arc::clone(&hub)));
            match peer {
                Peer::Tungstenite => serve_tungstenite(listener, hub).await,
                Peer::Axum => serve_axum(listener, hub).await,
            }
        })
    }

    /// Puts every update into the queue of everybody who wants it.
    async fn publish(hub: Shared) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut json = Vec::new();
        loop {
            tick.tick().await;
            let Hub { feed, by_topic } = &mut *lock(&hub);
            while let Some(topic) = feed.next(&mut json) {
                let text = text(std::mem::take(&mut json));
                for queue in &by_topic[topic as usize] {
                    // Full: dropped, as a bounded queue does.
                    let _ = queue.try_send(text.clone());
                }
            }
        }
    }

    fn text(json: Vec<u8>) -> Utf8Bytes {
        String::from_utf8(json).expect("the native dialect writes UTF-8").into()
    }

    fn config() -> WebSocketConfig {
        let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
        config.max_write_buffer_size(WRITE_MAX_BYTES)
    }

    async fn serve_tungstenite(listener: TcpListener, hub: Shared) -> Result<()> {
        loop {
            let (stream, _) = listener.accept().await.map_err(io_error("accept a subscriber"))?;
            stream.set_nodelay(true).map_err(io_error("set up a connection"))?;
            let hub = Arc::clone(&hub);
            tokio::spawn(async move {
                let mut query = String::new();
                #[expect(clippy::result_large_err, reason = "the type is the library's")]
                let keep =
                    |request: &Handshake, agreement: Agreement| -> std::result::Result<Agreement, ErrorResponse> {
                        query = request.uri().query().unwrap_or_default().to_owned();
                        Ok(agreement)
                    };
                let socket = tokio_tungstenite::accept_hdr_async_with_config(stream, keep, Some(config())).await;
                if let Ok(socket) = socket {
                    speak(socket, &query, &hub).await;
                }
            });
        }
    }

    async fn serve_axum(listener: TcpListener, hub: Shared) -> Result<()> {
        let app = axum::Router::new().route("/ws/v1", get(upgrade)).with_state(hub);
        let listener = listener.tap_io(|stream| {
            // Refused only by a connection that is gone.
            let _ = stream.set_nodelay(true);
        });
        let served = axum::serve(listener, app).await;
        served.map_err(|error| BenchError::Peer { peer: "axum", what: error.to_string() })
    }

    async fn upgrade(State(hub): State<Shared>, request: Request) -> Response {
        let query = request.uri().query().unwrap_or_default().to_owned();
        tokio::spawn(async move {
            if let Ok(upgraded) = hyper::upgrade::on(request).await {
                let stream = TokioIo::new(upgraded);
                let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await;
                speak(socket, &query, &hub).await;
            }
        });
        let headers =
            [(header::CONNECTION, "upgrade"), (header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_ACCEPT, ACCEPT)];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }

    /// One connection's whole life: snapshots, then whatever its queue holds.
    async fn speak<S>(mut socket: WebSocketStream<S>, query: &str, hub: &Shared)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (queue, mut frames) = mpsc::channel(QUEUE);
        {
            let Hub { feed, by_topic } = &mut *lock(hub);
            for topic in asked_for(query, feed.topics()) {
                let mut json = Vec::new();
                feed.snapshot(topic, &mut json);
                // A fresh queue has room for more snapshots than one request can name.
                let _ = queue.try_send(text(json));
                by_topic[topic as usize].push(queue.clone());
            }
        }
        drop(queue);
        loop {
            tokio::select! {
                frame = frames.recv() => {
                    let Some(frame) = frame else { return };
                    if socket.send(Message::Text(frame)).await.is_err() {
                        return;
                    }
                }
                message = socket.next() => {
                    if !matches!(message, Some(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }
}
