//! Accepting, and HTTP/1.1 on what was accepted: hyper's work, within this program's limits.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use super::seats::{NoSeat, Seat, Seats};
use crate::config::HttpConfig;
use crate::report::Report;
use crate::rest::error::{ApiError, ErrorCode};

/// Connections at a time that are told with an answer that there is no room; more are only closed. Their descriptors
/// come from the reserve.
pub(crate) const REFUSALS_MAX: usize = 32;
/// How long such a connection may take for its request.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after an `accept` that failed: mostly there are no descriptors, and trying again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a header for which hyper needs room at least.
const HYPER_BUFFER_MIN: usize = 8_192;

/// What accepting needs.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) seats: Seats,
    pub(crate) report: Arc<Report>,
    pub(crate) config: HttpConfig,
    /// Turns true when the program stops.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Server {
    /// Accepts until it is told to stop.
    pub(crate) async fn accept(mut self, listener: TcpListener) {
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.report.door.accepted.fetch_add(1, Relaxed);
                    self.welcome(stream, peer.ip(), &refusals);
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    if self.report.door.accept_errors.fetch_add(1, Relaxed).is_power_of_two() {
                        tracing::warn!(%error, "a connection could not be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, address: IpAddr, refusals: &Arc<Semaphore>) {
        // Small answers must not wait for an acknowledgement; a socket that cannot be told is merely slower.
        let _ = stream.set_nodelay(true);
        match self.seats.take(address) {
            Ok(seat) => {
                tokio::spawn(self.clone().serve(stream, seat));
            }
            Err(no_seat) => {
                let (counter, message) = match no_seat {
                    NoSeat::Full => (&self.report.door.refused_full, "as many connections are open as may be"),
                    NoSeat::Address => {
                        (&self.report.door.refused_address, "this address has as many connections open as it may")
                    }
                };
                counter.fetch_add(1, Relaxed);
                if let Ok(permit) = Arc::clone(refusals).try_acquire_owned() {
                    let refusing = self.builder(REFUSAL_TIMEOUT).serve_connection(
                        TokioIo::new(stream),
                        service_fn(move |_: Request<Incoming>| async move {
                            Ok::<Response, Infallible>(ApiError::new(ErrorCode::Busy, message).close().into_response())
                        }),
                    );
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(2 * REFUSAL_TIMEOUT, refusing).await;
                        drop(permit);
                    });
                }
            }
        }
    }

    fn builder(&self, header_timeout: Duration) -> Builder {
        let mut builder = Builder::new();
        let header_bytes = self.config.header_bytes as usize;
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_headers(self.config.header_lines as usize)
            .max_header_size(header_bytes)
            .max_buf_size((2 * header_bytes).max(HYPER_BUFFER_MIN));
        builder
    }

    async fn serve(self, stream: TcpStream, seat: Seat) {
        let Server { ref router, ref report, ref config, .. } = self;
        let gauge = Gauge::raise(Arc::clone(report));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(seat.clone());
            router.clone().oneshot(request.map(Body::new))
        });
        let timeout = Duration::from_millis(config.header_timeout_ms.into());
        let mut connection =
            pin!(self.builder(timeout).serve_connection(TokioIo::new(stream), service).with_upgrades());
        let mut stop = self.stop.clone();
        // What goes wrong on a connection is the client's affair; hyper has answered what can be answered.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
        drop(gauge);
    }
}

/// Ends when the program stops, or is no more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Whether `accept` failed because the connection that was to be accepted is gone: the next one is unharmed.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// One open HTTP connection.
struct Gauge(Arc<Report>);

impl Gauge {
    fn raise(report: Arc<Report>) -> Gauge {
        report.door.http_connections.fetch_add(1, Relaxed);
        Gauge(report)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.door.http_connections.fetch_sub(1, Relaxed);
    }
}
