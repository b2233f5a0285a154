//! Starts that cannot work: the cause, the value seen, and the setting to change, in one line; exit status 2 where the
//! same input always gives the same answer, 1 otherwise.

use std::io::Write as _;
use std::process::{Command, Output};

use crate::harness::{Dir, Engine, EngineOptions, Venue, program, write_config};

/// A program of ours that is ended, by a signal, if it is not refused as it should be but runs.
pub fn bounded(name: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "20"]).arg(program(name));
    command
}

fn engine(dir: &Dir, options: &EngineOptions) -> Command {
    let mut command = bounded("ticklane-engine");
    command.arg("--config").arg(write_config(dir, options));
    command
}

pub fn assert_refused(name: &str, output: &Output, code: i32, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{name}: {text}");
    for part in parts {
        assert!(text.contains(part), "{name}: {text:?} does not say {part:?}");
    }
    assert!(!text.contains("panicked"), "{name}: {text}");
}

fn has(tool: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().is_ok_and(|out| out.status.success());
    if !found {
        // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
        let _ = std::io::stderr()
            .write_all(format!("\nSKIPPED (no {tool}): one refusal of {}\n", module_path!()).as_bytes());
    }
    found
}

#[test]
fn configs_that_cannot_work_are_refused_with_field_value_and_expectation() {
    let table: &[(&str, EngineOptions, &[&str])] = &[
        (
            "unknown key",
            EngineOptions { engine: "sping_us = 5", ..EngineOptions::to(9) },
            &["sping_us", "unknown field"],
        ),
        (
            "priority",
            EngineOptions { engine: "realtime_priority = 100", ..EngineOptions::to(9) },
            &["engine.realtime_priority = 100", "1 to 99"],
        ),
        (
            "depth",
            EngineOptions { lane: "depth_by_symbol = { AAPL = 11 }", ..EngineOptions::to(9) },
            &["AAPL = 11", "0, 5, 10"],
        ),
        ("core", EngineOptions { lane: "core = 4096", ..EngineOptions::to(9) }, &["core = 4096", "may use", "taskset"]),
        (
            "zone",
            EngineOptions { feed: "time_zone = \"Nowhere\"", ..EngineOptions::to(9) },
            &["time_zone", "Nowhere", "IANA"],
        ),
    ];
    for (name, options, parts) in table {
        let dir = Dir::new();
        for check in [&["--check-config"][..], &[]] {
            assert_refused(name, &engine(&dir, options).args(check).output().unwrap(), 2, parts);
        }
        assert!(!dir.run().join("lane0.seg").exists(), "{name}: a refused start makes nothing");
    }
}

#[test]
fn a_good_config_is_called_good_and_nothing_is_started() {
    let dir = Dir::new();
    let output = engine(&dir, &EngineOptions::to(9)).arg("--check-config").output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("good"));
    assert!(!dir.run().join("lane0.seg").exists());
}

#[test]
fn a_missing_runtime_directory_names_the_command_that_makes_it() {
    let dir = Dir::new();
    let options = EngineOptions::to(9);
    let mut command = engine(&dir, &options);
    std::fs::remove_dir(dir.run()).unwrap();
    assert_refused("no directory", &command.output().unwrap(), 2, &["engine.runtime_dir", "install -d"]);
}

#[test]
fn a_second_engine_on_the_same_lane_is_refused_and_the_first_unharmed() {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--symbols", "5", "--messages", "300", "--speed", "max", "--at-end", "hold"]);
    let first = Engine::start(&dir, &EngineOptions::to(venue.port));
    let segment = first.segment();
    first.wait_for_sequence(&segment, 301);
    // With a state directory of its own, the lane's lock alone must stop it.
    let other = Dir::new();
    let text = std::fs::read_to_string(write_config(&dir, &EngineOptions::to(venue.port))).unwrap();
    let (own, others) = (format!("{:?}", dir.path("state")), format!("{:?}", other.path("state")));
    let config = other.path("second.toml");
    std::fs::write(&config, text.replace(&own, &others)).unwrap();
    let output = bounded("ticklane-engine").arg("--config").arg(&config).output().unwrap();
    assert_refused("second engine", &output, 1, &["lane0.lock", "another engine", "runtime_dir"]);
    assert_eq!(first.segment().identity(), segment.identity());
    assert!(segment.writer_alive());
    // And with the same state directory the instrument ids stop it.
    let output = engine(&dir, &EngineOptions::to(venue.port)).output().unwrap();
    assert_refused("same state", &output, 1, &["instruments.tsv", "another engine", "state_dir"]);
}

#[test]
fn what_is_not_ours_in_the_segments_place_is_left_alone() {
    let dir = Dir::new();
    let target = dir.path("precious");
    std::fs::write(&target, "precious").unwrap();
    let place = dir.run().join("lane0.seg");
    std::os::unix::fs::symlink(&target, &place).unwrap();
    assert_refused(
        "symlink",
        &engine(&dir, &EngineOptions::to(9)).output().unwrap(),
        1,
        &["lane0.seg", "symbolic link"],
    );
    std::fs::remove_file(&place).unwrap();
    std::fs::write(&place, "somebody's notes, longer than nothing").unwrap();
    assert_refused(
        "foreign file",
        &engine(&dir, &EngineOptions::to(9)).output().unwrap(),
        1,
        &["lane0.seg", "move it away"],
    );
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    assert!(std::fs::read_to_string(&place).unwrap().starts_with("somebody"));
}

#[test]
fn a_runtime_directory_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let mut command = engine(&dir, &EngineOptions::to(9));
    std::fs::set_permissions(dir.run(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_refused("writable by all", &command.output().unwrap(), 1, &["0777", "chmod go-w"]);
}

#[test]
fn an_address_outside_the_allow_list_is_never_dialled() {
    let dir = Dir::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = std::fs::read_to_string(write_config(&dir, &EngineOptions::to(port))).unwrap();
    std::fs::write(dir.path("engine.toml"), text.replace("127.0.0.0/8", "127.99.0.0/16")).unwrap();
    let mut command = Command::new(program("ticklane-engine"));
    command.arg("--config").arg(dir.path("engine.toml"));
    let process = crate::harness::Process::start("ticklane-engine", command, dir.path("engine.log"));
    crate::harness::wait_until("the refusal in the log", || process.log().contains("[feeds] allow"));
    assert!(listener.accept().is_err(), "it was dialled all the same");
}

#[test]
fn without_io_uring_the_cause_and_the_remedy_are_told() {
    if !has("strace") {
        return;
    }
    for (error, part) in [("ENOSYS", "seccomp"), ("EPERM", "kernel.io_uring_disabled=0"), ("ENOMEM", "LimitMEMLOCK")] {
        let dir = Dir::new();
        let config = write_config(&dir, &EngineOptions::to(9));
        let output = Command::new("timeout")
            .args(["--signal=KILL", "20", "strace"])
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_setup", "-e"])
            .arg(format!("inject=io_uring_setup:error={error}"))
            .arg(program("ticklane-engine"))
            .arg("--config")
            .arg(config)
            .output()
            .unwrap();
        assert_refused(error, &output, 2, &["io_uring", part]);
    }
}

#[test]
fn a_memlock_limit_that_is_too_low_names_the_setting() {
    if !has("prlimit") {
        return;
    }
    let dir = Dir::new();
    let config = write_config(&dir, &EngineOptions::to(9));
    let output = Command::new("prlimit")
        .arg("--memlock=65536")
        .arg(program("ticklane-engine"))
        .arg("--config")
        .arg(config)
        .output();
    assert_refused("memlock", &output.unwrap(), 2, &["memlock", "65536", "LimitMEMLOCK=infinity", "ulimit -l"]);
}
