//! Names of hosts: the name service fails, and only who needs it notices.

use std::process::{Command, Stdio};

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;

use super::{
    Engine, assert_whole, feed_counter, lane_counter, state, tcp, wait_for_feed, wait_for_sequence, wait_for_state,
    write_config,
};
use crate::harness::{Dir, Venue, can, program, skipped, wait_until};
use crate::misfortunes::{messages_of, synthetic_day};

#[test]
fn the_name_service_fails_and_the_last_good_address_is_used_while_other_feeds_notice_nothing() {
    if !can("unshare", &["-m", "true"]) {
        return skipped("unshare -m is not permitted", "a name service that fails");
    }
    let (files, one, two, dir) = (Dir::new(), Dir::new(), Dir::new(), Dir::new());
    let file = synthetic_day(&files, 4_000, 91);
    let messages = messages_of(&file);
    let play = ["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold", "--session", "SAMEDAY"];
    let mut silent = play.to_vec();
    silent.extend(["--fault", "silence:2000"]);
    let venue = Venue::start(&one, &silent);
    let steady = Venue::start(&two, &["--symbols", "20", "--rate", "5000", "--speed", "1x", "--seed", "1"]);
    // Names of its own: one in a file that can be changed, and a name service that is not there.
    let (hosts, resolver) = (dir.path("hosts"), dir.path("resolv.conf"));
    std::fs::write(&hosts, "127.0.0.1 venue.test\n").unwrap();
    std::fs::write(&resolver, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
    let retries = "connect_timeout_ms = 2000\nsilence_limit_ms = 3600000";
    let named = tcp::table(&[venue.port], retries).replace("127.0.0.1:", "venue.test:");
    let nowhere = tcp::table(&[steady.port], retries).replace("127.0.0.1:", "nowhere.test:");
    let plain = tcp::table(&[steady.port], retries);
    let feeds = [("named", &named[..]), ("nowhere", &nowhere), ("plain", &plain)];
    let config = write_config(&dir, &feeds);
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-ec"])
        .arg("mount --bind \"$1\" /etc/hosts; mount --bind \"$2\" /etc/resolv.conf; exec \"$3\" --config \"$4\"");
    command.arg("sh").args([&hosts, &resolver, &program("ticklane-engine"), &config]).stdout(Stdio::null());
    let engine = Engine::run(&dir, &feeds, command);
    let [named, nowhere, plain] = &engine.lanes[..] else { panic!("three lanes") };
    wait_for_sequence(named, 2_001);
    // A name that was never good: told, tried again, dialled nowhere.
    wait_for_feed(nowhere, FeedCounter::Connects, 3);
    assert!([FeedState::Connecting, FeedState::Reconnecting].iter().any(|one| state(nowhere) == *one as u64));
    assert_eq!(feed_counter(nowhere, FeedCounter::Logins), 0);
    wait_until("the reason in the log", || engine.process.log().contains("name not resolved"));
    // The name that was good is gone, and then its line: the last good address is used.
    std::fs::write(&hosts, "").unwrap();
    venue.process.kill();
    let _back = Venue::start_at(&one, &format!("127.0.0.1:{}", venue.port), &play);
    wait_for_sequence(named, messages + 1);
    assert_whole("named", named, messages);
    assert!(engine.process.log().contains("using its last good address"), "{}", engine.process.log());
    // The other feed's session is its first one, and data flows on it.
    wait_for_state(plain, FeedState::Live);
    let before = lane_counter(plain, LaneCounter::Published);
    wait_until("more of the other feed", || lane_counter(plain, LaneCounter::Published) > before + 100);
    assert_eq!((feed_counter(plain, FeedCounter::Logins), feed_counter(plain, FeedCounter::Connects)), (1, 1));
}
