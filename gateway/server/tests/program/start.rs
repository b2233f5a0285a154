//! How the program starts, refuses to, and ends.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::gateway::{Gateway, PATIENCE, command, exchange, refusal};
use crate::lanes::Engine;
use rustix::process::Signal;

#[test]
fn refusals_name_what_was_seen_and_what_is_wanted() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("[http]\nlisten = \"{}\"", taken.local_addr().unwrap());
    let table: &[(&str, &str, &[&str])] = &[
        ("port in use", &port, &["http.listen", "in use", "ss -ltnp"]),
        ("another host", "[http]\nlisten = \"0.0.0.0:0\"", &["http.listen", "0.0.0.0:0", "until accounts exist"]),
        ("unknown key", "[gateway]\nport = 8080", &["unknown field", "port"]),
        ("core", "[gateway]\ncores = [1023]", &["gateway.cores", "1023"]),
        ("limit", "[limits]\npending_frames = 0", &["limits.pending_frames = 0"]),
        ("too many connections", "[http]\nconnections = 16000000", &["http.connections", "LimitNOFILE"]),
    ];
    for (name, config, expected) in table {
        let dir = tempfile::tempdir().unwrap();
        let (status, said) = refusal(command(dir.path(), config));
        assert_eq!(status, Some(2), "case {name}: {said}");
        for part in *expected {
            assert!(said.contains(part), "case {name}: {said:?} does not name {part:?}");
        }
    }
}

#[test]
fn a_config_can_be_checked_without_starting() {
    let dir = tempfile::tempdir().unwrap();
    let mut good = command(dir.path(), "[gateway]\nlanes = [\"lane0\"]");
    let output = good.arg("--check-config").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("gateway.toml: good"));
    let mut bad = command(dir.path(), "[http]\nlisten = \"192.0.2.1:80\"");
    bad.arg("--check-config");
    assert_eq!(refusal(bad).0, Some(2));
}

#[test]
fn a_second_gateway_on_the_same_port_is_refused() {
    for shards in [1, 2] {
        let first = Gateway::start(&format!("[gateway]\nshards = {shards}"));
        let dir = tempfile::tempdir().unwrap();
        let mut second = command(dir.path(), "[gateway]\nshards = 2");
        second.args(["--listen", &first.address.to_string()]);
        let (status, said) = refusal(second);
        assert_eq!(status, Some(2), "{shards} shards: {said}");
        assert!(said.contains("in use"), "{said}");
    }
}

#[test]
fn it_starts_without_an_engine_and_takes_up_its_lanes_when_they_come() {
    for (config, lane) in [("[gateway]\nlanes = [\"lane0\"]", "lane0"), ("", "other")] {
        let gateway = Gateway::start(config);
        let health =
            exchange(gateway.connect(), "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        let hello = gateway.websocket("/ws/v1").text();
        assert!(hello.contains("\"type\":\"hello\"") && !hello.contains("live"), "{hello}");
        let mut engine = Engine::start(gateway.dir.path(), lane, 0);
        let began = Instant::now();
        loop {
            engine.beat();
            let hello = gateway.websocket("/ws/v1").text();
            if hello.contains(&format!("\"lane\":\"{lane}\"")) && hello.contains("\"state\":\"live\"") {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{hello}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_runtime_directory_that_is_not_there_is_waited_for() {
    let gateway = Gateway::start("[gateway]\nruntime_dir = \"/nonexistent/ticklane\"");
    assert!(gateway.websocket("/ws/v1").text().contains("\"lanes\":[]"));
}

#[test]
fn sigterm_tells_every_client_and_ends_in_order() {
    for shards in [1, 2] {
        let mut gateway = Gateway::start(&format!("[gateway]\nshards = {shards}"));
        let mut sockets: Vec<_> = (0..10).map(|_| gateway.websocket("/ws/v1")).collect();
        let idle = gateway.connect();
        gateway.signal(Signal::TERM);
        for socket in &mut sockets {
            let (code, reason) = socket.close_code();
            assert_eq!(code, 1001);
            assert!(reason.contains("reconnect"), "{reason}");
        }
        drop((sockets, idle));
        assert_eq!(gateway.wait().code(), Some(0));
    }
}

#[test]
fn draining_ends_when_its_time_is_over() {
    let mut gateway = Gateway::start("[gateway]\necho = true\ndrain_ms = 600");
    // A client that never reads what it has asked for, and never answers the Close.
    let mut socket = gateway.websocket("/echo");
    socket.raw(&crate::gateway::frame(0x82, &vec![0; 8 << 20]));
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));
    // A shard counts from when it last looked at the clock, which may be a while before the signal on a busy machine.
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut gateway = Gateway::start("[gateway]\necho = true\ndrain_ms = 600000");
    let mut socket = gateway.websocket("/echo");
    socket.raw(&crate::gateway::frame(0x82, &vec![0; 8 << 20]));
    gateway.signal(Signal::TERM);
    // The port is closed once the first signal was understood.
    let began = Instant::now();
    while std::net::TcpStream::connect(gateway.address).is_ok() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(1));
}

#[test]
fn systemd_is_told_of_start_life_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 256];
        let count = supervisor.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let mut gateway = Gateway::start_with("", |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    });
    assert!(heard().contains("READY=1"));
    assert!(heard().contains("WATCHDOG=1"));
    gateway.signal(Signal::TERM);
    while !heard().contains("STOPPING=1") {}
    assert_eq!(gateway.wait().code(), Some(0));
}
