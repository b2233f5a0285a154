//! A report in lines of text.

use shm_abi::counters::JournalCounter;

use crate::format::{bytes, count, duration};
use crate::stat::sample::{FeedSample, LaneSample, Percentiles, Report, RingSample};
use crate::table::{Align, Table};

/// Every lane, with an empty line between two.
pub(crate) fn report(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for sample in &report.lanes {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(lane(sample));
    }
    lines
}

/// One lane: a line that says how it is, then what it does, then what to look into.
pub(crate) fn lane(sample: &LaneSample) -> Vec<String> {
    let life = if sample.alive || sample.state == "closed" { "" } else { "  SILENT" };
    let mut lines = vec![
        format!(
            "{}  {}{life}  heartbeat {} ago  epoch {}  engine pid {}",
            sample.lane,
            sample.state,
            duration(sample.heartbeat_age_ns),
            sample.epoch,
            sample.writer_pid
        ),
        format!("  in {}", sample.dir),
    ];
    lines.extend(rings(sample).lines("  "));
    lines.extend(messages(sample));
    lines.extend(journal(sample));
    lines.extend(latencies(sample));
    lines.extend(sample.feeds.iter().flat_map(feed));
    lines.extend(hints(sample).into_iter().map(|hint| format!("  ! {hint}")));
    lines
}

fn per_second(rate: Option<f64>) -> String {
    rate.map_or("-".into(), |rate| count(rate.round() as u64))
}

fn rings(sample: &LaneSample) -> Table {
    use Align::{Left, Right};
    let mut table =
        Table::new(&[("ring", Left), ("slots/s", Right), ("next n", Right), ("slots", Right), ("holds", Right)]);
    for (name, ring) in [("orders", &sample.orders), ("market", &sample.market)] {
        let cells = [per_second(ring.slots_per_second), count(ring.head), count(ring.slots as u64), holds(ring)];
        table.row(std::iter::once(name.into()).chain(cells).collect());
    }
    table
}

/// How long a reader may be away without being lapped, at the present rate.
fn holds(ring: &RingSample) -> String {
    match ring.slots_per_second {
        Some(rate) if rate >= 1.0 => format!("{:.1} s", ring.slots as f64 / rate),
        _ => "-".into(),
    }
}

fn messages(sample: &LaneSample) -> Vec<String> {
    let value = |name: &str| count(sample.counters.get(name).copied().unwrap_or(0));
    let balance = match sample.unbalanced {
        0 => "balanced".into(),
        off => format!("OFF BY {off}"),
    };
    vec![
        format!(
            "  messages  {}/s  received {} = published {} + duplicates {} + rejected {} ({balance})",
            per_second(sample.messages_per_second),
            value("received"),
            value("published"),
            value("duplicates"),
            value("rejected")
        ),
        format!(
            "  market    instruments {} of {}  live orders {} of {}  trades {}  quote changes {}  gaps {} ({} messages)",
            count(sample.instruments as u64),
            count(sample.instruments_limit as u64),
            value("live_orders"),
            value("order_limit"),
            value("trades"),
            value("quote_events"),
            value("gaps"),
            value("gap_messages")
        ),
    ]
}

/// Where the recording stands: up to which numbers it is on disk.
fn journal(sample: &LaneSample) -> Option<String> {
    let counters = sample.journal.as_ref()?;
    let value = |counter: JournalCounter| counters.get(counter.name()).copied().unwrap_or(0);
    Some(format!(
        "  journal   {}  on disk: orders below {}, market below {}  holes {} ({} slots)  {} blocks, {} in {} files",
        journal_state(value(JournalCounter::State)),
        count(value(JournalCounter::DurableOrders)),
        count(value(JournalCounter::DurableMarket)),
        count(value(JournalCounter::Holes)),
        count(value(JournalCounter::MissingSlots)),
        count(value(JournalCounter::Blocks)),
        bytes(value(JournalCounter::Bytes)),
        count(value(JournalCounter::Files))
    ))
}

/// Name of a value of [`JournalCounter::State`].
fn journal_state(state: u64) -> &'static str {
    match state {
        1 => "recording",
        2 => "SLOW DISK",
        3 => "DISK FULL",
        4 => "DISK REFUSES",
        5 => "ended",
        _ => "unknown",
    }
}

fn latencies(sample: &LaneSample) -> Vec<String> {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("latency", Left),
        ("p50", Right),
        ("p99", Right),
        ("p99.9", Right),
        ("max", Right),
        ("records", Right),
    ]);
    let mut row = |name: &str, percentiles: &Option<Percentiles>| {
        if let Some(p) = percentiles {
            let cells = [duration(p.p50), duration(p.p99), duration(p.p999), duration(p.max), count(p.count)];
            table.row(std::iter::once(name.into()).chain(cells).collect());
        }
    };
    row("socket to ring", &sample.receive_to_publish);
    row("venue to ring", &sample.venue_to_publish);
    let lines = table.lines("  ");
    // A heading without rows says nothing.
    if lines.len() > 1 { lines } else { Vec::new() }
}

fn feed(feed: &FeedSample) -> [String; 2] {
    let value = |name: &str| feed.counters.get(name).copied().unwrap_or(0);
    let session = feed.session.as_deref().filter(|session| !session.is_empty()).unwrap_or("-");
    [
        format!(
            "  feed {}  {}  session {session}  sequence {}  {} received",
            feed.name,
            feed.state,
            count(feed.sequence),
            bytes(value("bytes"))
        ),
        format!(
            "    logins {}  disconnects {}  rejects {}  silences {}  protocol errors {}",
            count(value("logins")),
            count(value("disconnects")),
            count(value("rejects")),
            count(value("silences")),
            count(value("protocol_errors"))
        ),
    ]
}

/// What an operator should look into.
fn hints(sample: &LaneSample) -> Vec<String> {
    let value = |name: &str| sample.counters.get(name).copied().unwrap_or(0);
    let mut hints = Vec::new();
    if let Some(error) = &sample.error {
        hints.push(error.clone());
    }
    if !sample.alive && sample.state != "closed" {
        hints.push(format!("the engine (pid {}) shows no life: is it running?", sample.writer_pid));
    }
    if sample.unbalanced != 0 {
        hints.push("the counters do not balance: messages went missing inside the engine".into());
    }
    if value("rejected") > 0 {
        hints.push(format!("{} messages could not be applied: see anomaly records", count(value("rejected"))));
    }
    if value("table_full") > 0 || value("order_limit") > 0 && value("live_orders") * 10 > value("order_limit") * 9 {
        hints.push("the books are nearly full: raise max_orders of the lane".into());
    }
    if let Some(journal) = &sample.journal {
        let value = |counter: JournalCounter| journal.get(counter.name()).copied().unwrap_or(0);
        match value(JournalCounter::State) {
            2 => {
                hints.push("the journal's disk is slow: what its buffer and the ring cannot hold becomes a hole".into())
            }
            3 => hints.push("the journal's disk is full: make room, or lower journal.limits.retain_bytes".into()),
            4 => hints.push("the journal's disk refuses to write: see the engine's log".into()),
            _ => {}
        }
        if value(JournalCounter::MissingSlots) > 0 {
            hints.push(format!("{} slots are missing in the journal", count(value(JournalCounter::MissingSlots))));
        }
    }
    if sample.instruments == sample.instruments_limit {
        hints.push("the directory is full: raise instruments of the lane".into());
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat::sample::LaneWatch;
    use crate::test_lane::TestLane;

    #[test]
    fn a_lane_in_text() {
        let mut test = TestLane::new();
        test.count_messages(10, 9, 1, 0);
        test.quotes(3);
        let mut watch = LaneWatch::new(test.attach()).unwrap();
        test.quotes(4);
        watch.tick();
        let text = lane(&watch.sample()).join("\n");
        for part in [
            "lane0  live  heartbeat",
            "received 10 = published 9 + duplicates 1 + rejected 0 (balanced)",
            "feed nasdaq  live  session DEMO  sequence 77",
            "instruments 1 of 16",
            "socket to ring  300 ns",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains('!'), "nothing to look into:\n{text}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut test = TestLane::new();
        test.count_messages(10, 7, 0, 1);
        test.silence();
        let mut watch = LaneWatch::new(test.attach()).unwrap();
        let text = lane(&watch.sample()).join("\n");
        for part in ["SILENT", "OFF BY 2", "do not balance", "is it running?", "1 messages could not be applied"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn a_recorded_lane_says_up_to_where_it_is_on_disk() {
        let mut test = TestLane::new();
        let mut watch = LaneWatch::new(test.attach()).unwrap();
        assert!(watch.sample().journal.is_none());
        test.record(&[(JournalCounter::State, 1), (JournalCounter::DurableMarket, 1234)]);
        let text = lane(&watch.sample()).join("\n");
        assert!(text.contains("journal   recording  on disk: orders below 0, market below 1,234  holes 0"), "{text}");
        assert!(!text.contains('!'), "nothing to look into:\n{text}");
        test.record(&[(JournalCounter::State, 3), (JournalCounter::MissingSlots, 7)]);
        let text = lane(&watch.sample()).join("\n");
        for part in ["DISK FULL", "(7 slots)", "! the journal's disk is full", "! 7 slots are missing in the journal"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn a_sample_in_json() {
        let mut test = TestLane::new();
        test.count_messages(10, 9, 1, 0);
        let mut watch = LaneWatch::new(test.attach()).unwrap();
        test.quotes(4);
        watch.tick();
        let report = Report { lanes: vec![watch.sample()] };
        let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        let lane = &json["lanes"][0];
        assert_eq!(lane["lane"], "lane0");
        assert_eq!(lane["epoch"].as_str().unwrap().len(), 16, "an epoch is text");
        assert_eq!((&lane["counters"]["received"], &lane["unbalanced"]), (&10.into(), &0.into()));
        assert_eq!((&lane["market"]["head"], &lane["alive"]), (&4.into(), &true.into()));
        assert_eq!(lane["receive_to_publish"]["count"], 4);
        assert_eq!((&lane["feeds"][0]["name"], &lane["feeds"][0]["state"]), (&"nasdaq".into(), &"live".into()));
        assert!(lane["feeds"][0]["last_byte_ns"].is_string(), "a stamp is text");
        assert!(lane["error"].is_null() && lane["messages_per_second"].is_number());
    }

    #[test]
    fn a_watch_follows_the_engine_into_its_next_epoch() {
        let mut test = TestLane::new();
        let mut watch = LaneWatch::new(test.attach()).unwrap();
        let old = watch.sample().epoch;
        test.restart();
        test.quotes(2);
        test.poll_until(|| {
            watch.tick();
            watch.sample().epoch != old
        });
        assert_eq!(watch.sample().market.head, 2);
    }
}
