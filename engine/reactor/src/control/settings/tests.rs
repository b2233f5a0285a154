use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::Transport;

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new(feed_lines: &str) -> Fixture {
        let fixture = Fixture { dir: tempfile::tempdir().unwrap() };
        for name in ["run", "state"] {
            std::fs::create_dir(fixture.dir.path().join(name)).unwrap();
            let mode = std::fs::Permissions::from_mode(0o750);
            std::fs::set_permissions(fixture.dir.path().join(name), mode).unwrap();
        }
        fixture.write("", "", feed_lines);
        fixture
    }
    fn path(&self) -> PathBuf {
        self.dir.path().join("engine.toml")
    }
    fn write(&self, engine: &str, lane: &str, feed: &str) {
        let (run, state) = (self.dir.path().join("run"), self.dir.path().join("state"));
        let text = format!(
            "[engine]\nruntime_dir = {run:?}\nstate_dir = {state:?}\n{engine}\n[feeds]\nallow = [\"127.0.0.0/8\"]\n\
             [[lane]]\nname = \"lane0\"\n{lane}\n[[feed]]\nname = \"nasdaq\"\nlane = \"lane0\"\n\
             protocol = \"soupbintcp-itch50\"\naddresses = [\"127.0.0.1:9000\"]\npassword = \"hush\"\n{feed}\n"
        );
        std::fs::write(self.path(), text).unwrap();
    }
    fn read(&self) -> (Settings, Definitions, EnginePlan) {
        Settings::read(&self.path()).unwrap()
    }
}

fn settings_of(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.setting.as_str()).collect()
}

#[test]
fn a_reload_takes_up_what_it_can_and_names_the_rest() {
    let fixture = Fixture::new("silence_limit_ms = 5000");
    let (mut settings, definitions, _) = fixture.read();
    let same = settings.reread(&definitions).unwrap();
    assert_eq!((same.report.applied.len(), same.report.needs_restart.len()), (0, 0));
    fixture.write("spin_us = 9", "depth = 20", "silence_limit_ms = 7000\nvenue = \"XDHA\"\npassword_file = \"x\"");
    let text = std::fs::read_to_string(fixture.path()).unwrap().replace("127.0.0.0/8", "127.1.0.0/16");
    std::fs::write(
        fixture.path(),
        text.replace("password = \"hush\"\n", "").replace("password_file = \"x\"", "password = \"new\""),
    )
    .unwrap();
    let revision = settings.reread(&definitions).unwrap();
    assert_eq!(settings_of(&revision.report.applied), ["feed nasdaq: silence_limit_ms", "feeds.allow"]);
    assert_eq!((revision.report.applied[0].from.as_str(), revision.report.applied[0].to.as_str()), ("5000", "7000"));
    let rest = ["engine.spin_us", "feed nasdaq: password", "feed nasdaq: venue", "lane lane0: depth"];
    assert_eq!(settings_of(&revision.report.needs_restart), rest);
    let told = serde_json::to_string(&revision.report).unwrap();
    assert!(!told.contains("hush") && !told.contains("new"), "{told}");
    assert_eq!(revision.feeds, ["nasdaq"]);
    // In force: the new limit and networks, the old depth and password.
    let feed = feeds_of(&revision.plan).next().unwrap();
    let Transport::Soup(soup) = &feed.transport else { panic!("{feed:?}") };
    assert_eq!(soup.config.login.timers().silence_limit_ns, 7_000_000_000);
    assert!(!revision.plan.allow.allows("127.0.0.1".parse().unwrap()));
    assert_eq!(revision.plan.lanes[0].config.depth, 10);
    settings.take(revision);
    let again = settings.reread(&definitions).unwrap();
    assert_eq!((again.report.applied.len(), again.report.needs_restart.len()), (0, 4), "what was taken is in force");
}

#[test]
fn a_bad_file_is_refused_and_nothing_is_different() {
    let fixture = Fixture::new("");
    let (settings, definitions, _) = fixture.read();
    let table = [
        ("no TOML", "silence_limit_ms = = 7", "engine.toml"),
        ("unknown key", "silense_limit_ms = 7000", "silense_limit_ms"),
        ("bad value", "silence_limit_ms = 1", "silence_limit"),
        ("bad zone", "time_zone = \"Mars\"", "Mars"),
    ];
    for (name, line, part) in table {
        fixture.write("", "", line);
        let refusal = settings.reread(&definitions).expect_err(name).to_string();
        assert!(refusal.contains(part) && !refusal.contains("hush"), "case {name}: {refusal}");
    }
    std::fs::remove_file(fixture.path()).unwrap();
    assert!(settings.reread(&definitions).unwrap_err().to_string().contains("engine.toml"));
}

#[test]
fn feeds_that_come_and_go_need_a_restart() {
    let fixture = Fixture::new("");
    let (settings, definitions, _) = fixture.read();
    let text = std::fs::read_to_string(fixture.path()).unwrap();
    std::fs::write(fixture.path(), text.replace("\"nasdaq\"", "\"other\"")).unwrap();
    let revision = settings.reread(&definitions).unwrap();
    assert_eq!(settings_of(&revision.report.needs_restart), ["feed other", "feed nasdaq"]);
    assert!(revision.report.applied.is_empty());
    assert!(revision.needs_restart_for("other") && !revision.needs_restart_for("othe"));
    assert_eq!(feeds_of(&revision.plan).next().unwrap().name, "nasdaq");
}

#[test]
fn a_defined_feed_takes_the_place_of_the_configs() {
    let fixture = Fixture::new("silence_limit_ms = 5000");
    let (settings, mut definitions, _) = fixture.read();
    let mut feed = FeedDefinition {
        name: "nasdaq".into(),
        lane: "lane0".into(),
        protocol: "soupbintcp-itch50".into(),
        addresses: vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()],
        settings: [
            ("password".into(), Setting::Text("hush".into())),
            ("silence_limit_ms".into(), Setting::Number(6_000)),
        ]
        .into(),
    };
    definitions.insert(Definition::Feed(feed.clone())).unwrap();
    let revision = settings.redefine(&definitions).unwrap();
    assert_eq!(settings_of(&revision.report.applied), ["feed nasdaq: addresses", "feed nasdaq: silence_limit_ms"]);
    assert!(!revision.needs_restart_for("nasdaq"));
    let plan = feeds_of(&revision.plan).next().unwrap();
    assert_eq!(plan.addresses, ["127.0.0.1:1", "127.0.0.1:2"]);
    // A start finds it, too.
    let (settings, _, plan) = fixture.read();
    assert_eq!(feeds_of(&plan).next().unwrap().addresses.len(), 2);
    feed.settings.insert("shoe_size".into(), Setting::Number(43));
    definitions.insert(Definition::Feed(feed)).unwrap();
    assert!(settings.redefine(&definitions).unwrap_err().to_string().contains("shoe_size"));
}
