//! From the lane to the client: what an engine publishes arrives, through naps and sleeps and the engine's restarts.

use std::path::Path;
use std::time::{Duration, Instant};

use shm_abi::directory::Instrument;
use shm_abi::layout::{Plan, State};
use shm_abi::record::{Head, flag, kind};
use shm_abi::segment::{Identity, LaneLock, LaneWriter};
use shm_abi::sys::{monotonic_ns, realtime_ns};

use crate::gateway::{Gateway, PATIENCE, Socket, frame};

/// The writer's side of a lane with the instrument AAPL.
pub(crate) struct Engine {
    _lock: LaneLock,
    pub(crate) writer: LaneWriter,
    trades: u64,
}

impl Engine {
    pub(crate) fn start(dir: &Path, lane: &str, old_epoch: u64) -> Engine {
        let plan =
            Plan { lane: lane.into(), orders_slots: 1024, market_slots: 1024, instruments: 16, depth_bytes: 16 * 1024 };
        let lock = LaneLock::take(dir, lane).unwrap();
        let mut writer = lock.create(&plan, Identity::random(old_epoch).unwrap()).unwrap();
        writer.add_instrument(&Instrument::equity(7, b"AAPL", b"XNAS")).unwrap();
        writer.set_state(State::Live);
        writer.heartbeat(monotonic_ns());
        Engine { _lock: lock, writer, trades: 0 }
    }

    pub(crate) fn beat(&mut self) {
        self.writer.heartbeat(monotonic_ns());
    }

    /// Publishes a trade; its match id.
    fn trade(&mut self) -> u64 {
        self.beat();
        self.trades += 1;
        let now = realtime_ns();
        let head = Head {
            kind: kind::TRADE,
            flags: flag::LAST,
            span: 1,
            side_or_code: 0,
            instrument_id: 7,
            ts_event: now - 5_000,
            ts_recv: now,
            publish_delay_ns: 300,
            venue_sequence_low: self.trades as u32,
        };
        let [a, b, c, d] = head.words();
        self.writer.market.push(&[a, b, c, d, self.trades, 100_000_000_000, 5]);
        self.writer.market.commit();
        self.writer.publish_heads();
        self.trades
    }
}

/// Subscribes to the trades of AAPL, as soon as that is possible.
fn subscribe(gateway: &Gateway, engine: &mut Engine) -> Socket {
    let began = Instant::now();
    let mut socket = gateway.websocket("/ws/v1");
    loop {
        socket.raw(&frame(0x81, br#"{"op":"subscribe","channel":"trades","symbols":["AAPL"]}"#));
        loop {
            let text = socket.text();
            if text.contains("\"type\":\"ack\"") && !text.contains("\"symbols\":[\"AAPL\"]") {
                break;
            }
            if text.contains("\"type\":\"snapshot\"") {
                return socket;
            }
        }
        assert!(began.elapsed() < PATIENCE, "AAPL does not come");
        engine.beat();
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits for the update with this match id; nothing else but a lane's state may come before.
fn expect(socket: &mut Socket, match_id: u64) {
    loop {
        let text = socket.text();
        if text.contains("\"type\":\"lane\"") {
            continue;
        }
        assert!(
            text.contains("\"type\":\"update\"") && text.contains(&format!("\"match_id\":\"{match_id}\"")),
            "{text}"
        );
        return;
    }
}

#[test]
fn what_is_published_arrives_however_long_the_silence_was() {
    for config in ["", "[gateway]\nspin_us = 0\nquiet_ms = 1", "[gateway]\nwait = \"spin\"", "[gateway]\nshards = 2"] {
        let gateway = Gateway::start(config);
        let mut engine = Engine::start(gateway.dir.path(), "lane0", 0);
        let mut socket = subscribe(&gateway, &mut engine);
        // Within the spin, the naps, and the sleep that follows 10 ms of silence.
        for pause_us in [0, 20, 100, 1_000, 5_000, 12_000, 30_000, 0, 40_000] {
            for _ in 0..5 {
                std::thread::sleep(Duration::from_micros(pause_us));
                let match_id = engine.trade();
                expect(&mut socket, match_id);
            }
        }
    }
}

#[test]
fn an_engine_that_begins_anew_is_followed() {
    let gateway = Gateway::start("");
    let mut engine = Engine::start(gateway.dir.path(), "lane0", 0);
    let mut socket = subscribe(&gateway, &mut engine);
    let match_id = engine.trade();
    expect(&mut socket, match_id);
    for _ in 0..3 {
        let old_epoch = engine.writer.identity().epoch;
        engine.writer.heartbeat(monotonic_ns() - 1_000_000_000);
        drop(engine);
        engine = Engine::start(gateway.dir.path(), "lane0", old_epoch);
        let match_id = engine.trade();
        let began = Instant::now();
        let mut restarted = false;
        loop {
            let text = socket.text();
            restarted |= text.contains("\"type\":\"restart\"") && text.contains(&format!("{old_epoch:016x}"));
            if text.contains(&format!("\"match_id\":\"{match_id}\"")) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{text}");
        }
        assert!(restarted, "the restart is told before what comes after it");
    }
}

#[test]
fn a_lane_of_another_layout_is_told_and_waited_out() {
    let mut gateway = Gateway::start_with("[gateway]\nlanes = [\"lane0\"]", |command| {
        command.stderr(std::process::Stdio::piped());
    });
    // Made elsewhere: the gateway must never see it whole.
    let workshop = tempfile::tempdir().unwrap();
    drop(Engine::start(workshop.path(), "lane0", 0));
    let mut bytes = std::fs::read(workshop.path().join("lane0.seg")).unwrap();
    // The second word of a segment is its version: another major one.
    bytes[12] = 99;
    let path = gateway.dir.path().join("lane0.seg");
    std::fs::write(&path, &bytes).unwrap();
    gateway.expect_log(&["this lane cannot be read", "99"]);
    assert!(gateway.websocket("/ws/v1").text().contains("\"state\":\"absent\""));
    std::fs::remove_file(&path).unwrap();
    let mut engine = Engine::start(gateway.dir.path(), "lane0", 0);
    let mut socket = subscribe(&gateway, &mut engine);
    let match_id = engine.trade();
    expect(&mut socket, match_id);
}
