//! The config's table of refusals, and its defaults.

use jiff::tz::TimeZone;

use super::plan::Calendar;
use super::*;

const GOOD: &str = r#"
    [engine]
    runtime_dir = "/run/x"
    [feeds]
    allow = ["127.0.0.0/8", "::1/128"]
    [[lane]]
    name = "lane0"
    [[feed]]
    name = "nasdaq"
    lane = "lane0"
    protocol = "soupbintcp-itch50"
    addresses = ["127.0.0.1:9000"]
    username = "demo"
    password = "hidden"
"#;

fn plan(text: &str) -> Result<EnginePlan, String> {
    toml::from_str::<Config>(text).map_err(|e| e.to_string())?.plan().map_err(|e| e.to_string())
}

/// Silence limit and login timeout of the first feed, in seconds.
fn timers_of(plan: &EnginePlan) -> (u64, u64) {
    let Transport::Soup(soup) = &plan.lanes[0].feed.transport else { panic!("{plan:?}") };
    let timers = soup.config.login.timers();
    (timers.silence_limit_ns / 1_000_000_000, timers.login_timeout_ns / 1_000_000_000)
}

/// The plan of a good file with a second lane, whose feed speaks MoldUDP64 and has these further lines.
fn with_mold(feed: &str) -> Result<EnginePlan, String> {
    let second = r#"
        [[lane]]
        name = "lane1"
        [[feed]]
        name = "mold"
        lane = "lane1"
        protocol = "moldudp64-itch"
        venue = "XBOS"
    "#;
    plan(&format!("{GOOD}{second}{feed}"))
}

/// Lines on loopback.
const LINES: &str = "lines = [{ address = \"127.0.0.1:26477\" }, { address = \"127.0.0.1:26478\" }]\n";

#[test]
fn timers_follow_the_profile_of_the_dialect_unless_told() {
    let dse = GOOD.replacen("soupbintcp-itch50\"", "soupbintcp-itch\"\ndialect = \"dse\"", 1);
    assert_eq!(timers_of(&plan(&dse).unwrap()), (15, 15));
    let told = dse.replacen("username", "profile = \"nasdaq\"\nlogin_timeout_ms = 3000\nusername", 1);
    assert_eq!(timers_of(&plan(&told).unwrap()), (5, 3));
}

#[test]
fn a_feed_of_datagrams_has_lines_servers_and_limits() {
    let text = format!(
        "{LINES}rerequest = [\"127.0.0.1:17000\"]\narbiter = {{ request_tries = 2, gap_limit_ms = 250, start = \"first-seen\" }}\n"
    );
    let plan = with_mold(&text).unwrap();
    let Transport::Datagrams(datagrams) = &plan.lanes[1].feed.transport else { panic!("{plan:?}") };
    let arbiter = &datagrams.config.arbiter;
    assert_eq!((arbiter.lines, arbiter.servers, arbiter.request_tries), (2, 1, 2));
    assert_eq!((arbiter.gap_limit_ns, arbiter.start), (250_000_000, wire::multicast::Start::FirstSeen));
    assert_eq!(plan.lanes[1].feed.addresses, ["127.0.0.1:26477", "127.0.0.1:26478"]);
    let image = format!("{LINES}glimpse = {{ addresses = [\"127.0.0.1:1\"], username = \"u\", password = \"p\" }}\n");
    let plan = with_mold(&image).unwrap();
    let Transport::Datagrams(datagrams) = &plan.lanes[1].feed.transport else { panic!("{plan:?}") };
    assert!(datagrams.config.glimpse.is_some());
    assert_eq!(datagrams.config.arbiter.start, wire::multicast::Start::FirstSeen, "the image tells the past");
}

#[test]
fn what_is_wrong_with_datagrams_and_among_lanes_is_named() {
    let one = |address: &str| format!("lines = [{{ address = \"{address}\" }}]\n");
    let group = "lines = [{ address = \"127.0.0.1:7\", interface = \"127.0.0.1\" }]\n";
    let twice = "lines = [{ address = \"127.0.0.1:7\" }, { address = \"127.0.0.1:7\" }]\n";
    let third = format!(
        "{LINES}[[lane]]\nname = \"lane2\"\n[[feed]]\nname = \"third\"\nlane = \"lane2\"\nprotocol = \"moldudp64-itch\"\n\
         venue = \"XPSX\"\n{}",
        one("127.0.0.1:26478")
    );
    let table: &[(&str, String, &[&str])] = &[
        ("no lines", String::new(), &["feed mold: lines = 0", "one line, or two"]),
        ("a name for a group", one("localhost:1"), &["lines", "localhost", "in digits"]),
        ("port 0", one("127.0.0.1:0"), &["lines", "127.0.0.1:0"]),
        ("not allowed", one("239.1.1.1:5"), &["239.1.1.1:5", "[feeds] allow"]),
        ("an interface without a group", group.into(), &["interface", "where a group is joined"]),
        ("both lines on one port", twice.into(), &["lines", "127.0.0.1:7", "feed mold listens there"]),
        ("two feeds on one port", third, &["feed third: lines", "127.0.0.1:26478", "feed mold listens there"]),
        ("a limit out of range", format!("{LINES}arbiter = {{ max_holes = 0 }}\n"), &["arbiter", "max_holes", "1 to"]),
        ("an unknown limit", format!("{LINES}arbiter = {{ holes = 1 }}\n"), &["holes"]),
        ("addresses of TCP", format!("{LINES}addresses = [\"127.0.0.1:1\"]\n"), &["addresses", "`lines`"]),
        ("a bad server", format!("{LINES}rerequest = [\"x\"]\n"), &["rerequest", "host:port"]),
        ("no image server", format!("{LINES}glimpse = {{ addresses = [] }}\n"), &["glimpse.addresses"]),
    ];
    for (name, text, expected) in table {
        let error = with_mold(text).expect_err(name);
        for part in *expected {
            assert!(error.contains(part), "case {name}: {error:?} does not name {part:?}");
        }
    }
    let second = |lane: &str, feed: &str| {
        format!(
            "{GOOD}[[lane]]\nname = \"lane1\"\n{lane}[[feed]]\nname = \"b\"\nlane = \"lane1\"\n\
             protocol = \"soupbintcp-itch\"\naddresses = [\"127.0.0.1:1\"]\n{feed}"
        )
    };
    let error = plan(&second("", "")).unwrap_err();
    assert!(error.contains("feed b: client_type") && error.contains("feed nasdaq"), "{error}");
    assert!(plan(&second("", "client_type = \"news\"")).is_ok(), "another kind of the same venue");
    assert!(plan(&second("", "venue = \"XBOS\"")).is_ok(), "another venue");
    let pinned = second("core = 3\n", "venue = \"XBOS\"").replacen("name = \"lane0\"", "name = \"lane0\"\ncore = 3", 1);
    let error = plan(&pinned).unwrap_err();
    assert!(error.contains("lane lane1: core = 3") && error.contains("lane lane0"), "{error}");
    let synonym = GOOD.replacen("username", "dialect = \"dse\"\nusername", 1);
    assert!(plan(&synonym).unwrap_err().contains("soupbintcp-itch"));
    let unknown = GOOD.replacen("username", "dialect = \"nyse\"\nusername", 1);
    assert!(plan(&unknown).unwrap_err().contains("jnx-1.6"));
}

#[test]
fn a_good_file_gives_a_plan_with_the_documented_defaults() {
    let plan = plan(GOOD).unwrap();
    assert_eq!(plan.lanes.len(), 1);
    assert_eq!(plan.lanes[0].plan.orders_slots, 1 << 20);
    assert_eq!(plan.lanes[0].plan.depth_bytes, 16_384 * depth_bytes(10));
    assert_eq!(timers_of(&plan), (5, 10));
    assert!(plan.allow.allows("127.9.9.9".parse().unwrap()));
    assert!(plan.allow.allows("::1".parse().unwrap()));
    assert!(!plan.allow.allows("10.0.0.1".parse().unwrap()));
    assert!(!plan.allow.allows("::2".parse().unwrap()));
}

#[test]
fn what_is_wrong_is_named_with_its_value_and_what_is_expected() {
    let table: &[(&str, &str, &str, &[&str])] = &[
        ("unknown key", "username", "user_name", &["user_name"]),
        ("unknown table", "[feeds]", "[fedes]", &["fedes"]),
        ("bad network", "127.0.0.0/8", "127.0.0.0", &["feeds.allow", "127.0.0.0", "networks such as"]),
        ("prefix too long", "127.0.0.0/8", "127.0.0.0/33", &["feeds.allow", "/33"]),
        ("no port", "127.0.0.1:9000", "127.0.0.1", &["feed nasdaq: addresses", "host:port"]),
        ("port 0", "127.0.0.1:9000", "127.0.0.1:0", &["feed nasdaq: addresses", ":0"]),
        (
            "odd ring",
            "name = \"lane0\"",
            "name = \"lane0\"\norders_slots = 1000",
            &["orders_slots", "1000", "power of two"],
        ),
        ("odd depth", "name = \"lane0\"", "name = \"lane0\"\ndepth = 7", &["depth", "7", "one of 0, 5"]),
        (
            "small depth area",
            "name = \"lane0\"",
            "name = \"lane0\"\ndepth_bytes = 64",
            &["depth_bytes", "64", "at least"],
        ),
        ("no such lane", "lane = \"lane0\"", "lane = \"lane1\"", &["feed nasdaq: lane", "lane1", "lane0"]),
        ("long user", "\"demo\"", "\"demonstrates\"", &["username", "demonstrates", "6"]),
        ("protocol", "soupbintcp-itch50", "soup", &["soup", "soupbintcp-itch50"]),
        ("zone", "username", "time_zone = \"Mars/Base\"\nusername", &["time_zone", "Mars/Base", "IANA"]),
        ("date", "username", "trading_date = \"2026-13-01\"\nusername", &["trading_date", "2026-13-01"]),
        ("lane name", "name = \"lane0\"", "name = \"Lane 0\"", &["lane"]),
        (
            "small journal buffer",
            "[[lane]]",
            "[journal.limits]\nbuffer_bytes = 1000\n[[lane]]",
            &["journal.limits.buffer_bytes", "1000", "at least four blocks"],
        ),
        (
            "journal on a lane's core",
            "[[lane]]",
            "[journal]\nenabled = true\ncore = 1\n[[lane]]\ncore = 1",
            &["journal.core", "1", "lane0"],
        ),
        ("silence below heartbeat", "username", "silence_limit_ms = 10\nusername", &["silence_limit"]),
    ];
    for (name, from, to, expected) in table {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "case {name} changes nothing");
        let error = plan(&text).expect_err(name);
        for part in *expected {
            assert!(error.contains(part), "case {name}: {error:?} does not name {part:?}");
        }
        assert!(!error.contains("hidden"), "case {name}: the password is shown");
    }
}

#[test]
fn the_example_names_every_setting_and_its_defaults_are_the_true_ones() {
    let example = include_str!("../../../../tuning/engine.example.toml");
    let config: Config = toml::from_str(example).unwrap();
    // What the example says must be what is in force when it is left out.
    let bare: Config = toml::from_str(GOOD).unwrap();
    let (told, real) = (&config.lanes[0], &bare.lanes[0]);
    let numbers = |lane: &LaneConfig| {
        (
            lane.orders_slots,
            lane.market_slots,
            lane.instruments,
            lane.depth,
            lane.depth_bytes,
            lane.max_orders,
            lane.max_levels,
        )
    };
    assert_eq!(numbers(told), numbers(real));
    let times = |feed: &FeedConfig| {
        [
            feed.heartbeat_interval_ms,
            feed.silence_limit_ms.unwrap_or(5_000),
            feed.login_timeout_ms.unwrap_or(10_000),
            feed.logout_wait_ms,
            feed.connect_timeout_ms,
            feed.reconnect_first_ms,
            feed.reconnect_max_ms,
            feed.stable_after_ms,
            feed.first_login_tries.into(),
            feed.first_login_retry_ms,
            feed.first_login_retry_max_ms,
            feed.reject_backoff_ms,
            feed.next_session_ms,
            feed.receive_buffer_bytes as u64,
        ]
    };
    assert_eq!(times(&config.feed[0]), times(&bare.feed[0]));
    let sizes = |feed: &FeedConfig| (feed.socket_buffer_bytes, feed.datagram_bytes);
    assert_eq!(sizes(&config.feed[1]), sizes(&bare.feed[0]));
    let told = config.clone().plan().unwrap();
    let Transport::Datagrams(datagrams) = &told.lanes[1].feed.transport else { panic!("{told:?}") };
    let named =
        wire::multicast::ArbiterConfig { servers: 1, start: wire::multicast::Start::FirstSeen, ..Default::default() };
    assert_eq!(datagrams.config.arbiter, named, "the limits that the example names are those in force without them");
    assert_eq!(config.journal.limits, bare.journal.limits);
    assert!(config.journal.enabled && !bare.journal.enabled, "the example records, the default does not");
    assert_eq!((config.engine.wait, config.engine.spin_us), (Wait::Auto, EngineConfig::default().spin_us));
}

#[test]
fn a_lane_has_exactly_one_feed() {
    let second = GOOD.replacen("[[feed]]", "[[feed]]\nname = \"b\"\nlane = \"lane0\"\nprotocol = \"soupbintcp-itch50\"\naddresses = [\"127.0.0.1:1\"]\n[[feed]]", 1);
    assert!(plan(&second).unwrap_err().contains("exactly one [[feed]]"));
    let none = GOOD.replacen("[[lane]]", "[[lane]]\nname = \"idle\"\n[[lane]]", 1);
    assert!(plan(&none).unwrap_err().contains("lane idle: feeds = 0"));
}

#[test]
fn a_password_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "s3cret\n").unwrap();
    let text = GOOD.replacen("password = \"hidden\"", &format!("password_file = {path:?}"), 1);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o604)).unwrap();
    let error = plan(&text).unwrap_err();
    assert!(error.contains("password_file") && error.contains("0604") && !error.contains("s3cret"), "{error}");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(plan(&text).is_ok());
}

#[test]
fn midnight_follows_the_zone_and_its_summer_time() {
    let zone = TimeZone::get("America/New_York").unwrap();
    let table = [
        // 2026-07-01 04:30 UTC is 00:30 in New York, 4 hours behind.
        ("summer", None, 1_782_880_200, 1_782_878_400),
        // 2026-01-30 04:30 UTC is still the 29th there, 5 hours behind.
        ("winter, day before", None, 1_769_747_400, 1_769_662_800),
        ("configured day", Some("2020-01-30"), 1_782_880_200, 1_580_360_400),
    ];
    for (name, date, now_s, midnight_s) in table {
        let calendar = Calendar { zone: zone.clone(), date: date.map(|d| d.parse().unwrap()) };
        assert_eq!(calendar.midnight_ns(now_s * 1_000_000_000), midnight_s * 1_000_000_000, "case: {name}");
    }
}
