//! REST against real segments: a lane's writer in this process, and the router asked as hyper would ask it.

mod data;
mod documents;
mod errors;
mod history;
mod instruments;
mod state;
mod wire;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use shm_abi::directory::Instrument;
use shm_abi::layout::{Plan, State};
use shm_abi::segment::{Identity, LaneLock, LaneWriter};
use tower::ServiceExt;

use crate::app::{App, AppState, Facts, Recorded, TradesAsker};
use crate::journal::JournalConfig;
use crate::journal::pool::Pool;
use crate::report::Report;
use crate::shard::inbox::Inbox;

/// A heartbeat that is never old: a test's writer must not fall silent when the machine is busy.
const FOR_EVER_NS: u64 = u64::MAX / 2;
/// A heartbeat that was always too long ago.
const LONG_AGO_NS: u64 = 1;

/// A gateway's REST over a runtime directory of its own.
struct Gateway {
    dir: tempfile::TempDir,
    app: AppState,
    report: Arc<Report>,
    inbox: Inbox,
    router: Router,
    document: Value,
}

/// An answer, with its body as text and, where it is JSON, parsed.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    json: Value,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
    /// Code of an error.
    fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }
    /// Status, and the code of an error.
    fn outcome(&self) -> (u16, &str) {
        (self.status.as_u16(), self.code())
    }
}

impl Gateway {
    /// Reads these lanes; none: those that it finds.
    fn new(lanes: &[&str]) -> Gateway {
        Gateway::over(lanes, None)
    }

    /// The same, and the journals in a folder, of which one request looks at so many records.
    fn recorded(lanes: &[&str], dir: &Path, request_records: u32) -> Gateway {
        let pool = Pool::start(1, 8).unwrap();
        let config = JournalConfig { dir: Some(dir.into()), request_records, ..JournalConfig::default() };
        Gateway::over(lanes, Some(Recorded { pool, config }))
    }

    fn over(lanes: &[&str], journal: Option<Recorded>) -> Gateway {
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let report = Arc::new(Report::new(1, super::now_ns()));
        let inbox = Inbox::new().unwrap();
        let facts = Facts {
            instance: "test".into(),
            listen: "127.0.0.1:8080".parse().unwrap(),
            shards: 1,
            wait: "adaptive",
            lanes: lanes.iter().map(|lane| (*lane).into()).collect(),
            echo: false,
            limits: gateway_core::limits::Limits::default(),
        };
        let trades = TradesAsker(inbox.clone());
        let app = App { runtime_dir: dir.path().into(), report: Arc::clone(&report), facts, trades, journal };
        let app = AppState::new(app);
        let router = super::router(app.clone());
        let document = documents::of(&router);
        Gateway { dir, app, report, inbox, router, document }
    }

    /// Another shard's router: it has looked at nothing yet.
    fn fresh_router(&self) -> Router {
        super::router(self.app.clone())
    }

    /// Starts a lane's writer: live, and never silent.
    fn start(&self, lane: &str) -> Engine {
        Engine::start(self.dir.path(), lane)
    }

    async fn request(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Reply { status: parts.status, headers: parts.headers, text, json };
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert!(!reply.header("cache-control").is_empty() && !reply.header("content-security-policy").is_empty());
        assert_eq!(reply.status == 503, reply.header("retry-after") == "1", "{reply:?}");
        if !reply.status.is_success() && !reply.status.is_redirection() {
            assert_eq!(reply.header("content-type"), "application/json", "{reply:?}");
        }
        reply
    }

    /// GET of a path; whatever comes must be documented.
    async fn get(&self, path: &str) -> Reply {
        let request = Request::get(path).header("host", "localhost:8080").body(Body::empty()).unwrap();
        let reply = self.request(request).await;
        documents::check(&self.document, path, reply.status, &reply.headers, &reply.json);
        reply
    }

    /// GET, again and again, until the answer is as wanted.
    async fn wait_for(&self, path: &str, what: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            let reply = self.get(path).await;
            if wanted(&reply) {
                return reply;
            }
            assert!(Instant::now() < limit, "waited in vain: {what}: {reply:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A lane's writer.
struct Engine {
    _lock: LaneLock,
    writer: LaneWriter,
}

impl Engine {
    fn start(dir: &Path, lane: &str) -> Engine {
        let plan = Plan {
            lane: lane.into(),
            orders_slots: 1024,
            market_slots: 1024,
            instruments: 40_000,
            depth_bytes: 1 << 20,
        };
        let lock = LaneLock::take(dir, lane).unwrap();
        let mut writer = lock.create(&plan, Identity::random(0).unwrap()).unwrap();
        writer.heartbeat(FOR_EVER_NS);
        writer.set_state(State::Live);
        Engine { _lock: lock, writer }
    }

    fn epoch(&self) -> String {
        format!("{:016x}", self.writer.identity().epoch)
    }

    /// Adds an instrument with a window of so many levels; returns its row.
    fn add(&mut self, id: u32, symbol: &str, venue: &str, depth_class: u16) -> usize {
        let instrument = Instrument { depth_class, ..Instrument::equity(id, symbol.as_bytes(), venue.as_bytes()) };
        self.writer.add_instrument(&instrument).unwrap()
    }

    fn silence(&mut self) {
        self.writer.heartbeat(LONG_AGO_NS);
    }
}

/// The value of each sample of a metric, by its labels as they are written.
fn samples(text: &str, name: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (metric, labels) = key.split_once('{').unwrap_or((key, "}"));
        if metric == name {
            let before = samples.insert(labels.trim_end_matches('}').to_owned(), value.parse().unwrap());
            assert_eq!(before, None, "two samples of one name: {line}");
        }
    }
    samples
}

/// Waits until an instant that the lanes count from has passed: what was cached is looked at anew.
async fn let_looks_expire() {
    tokio::time::sleep(Duration::from_millis(60)).await;
}

#[tokio::test]
async fn every_answer_has_its_headers_and_head_has_no_body() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    engine.add(7, "AAPL", "XNAS", 10);
    for path in ["/health", "/status", "/metrics", "/api/v1/quotes/AAPL", "/api/v1/quotes/NOPE", "/docs/", "/nope"] {
        let get = gateway.request(Request::get(path).header("host", "[::1]").body(Body::empty()).unwrap()).await;
        let head = gateway.request(Request::head(path).header("host", "[::1]").body(Body::empty()).unwrap()).await;
        assert_eq!((get.status, head.text.as_str()), (head.status, ""), "{path}");
        assert_eq!(get.header("content-type"), head.header("content-type"), "{path}");
        assert!(!get.text.is_empty());
        assert_eq!(get.header("access-control-allow-origin"), "", "CORS is off");
    }
    assert!(!gateway.report.draining.load(Relaxed));
}
