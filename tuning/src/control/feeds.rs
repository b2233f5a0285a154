//! `ticklane feeds`: every feed of the engine, and how its connection is doing.

use std::sync::atomic::AtomicBool;

use shm_abi::control::{Command, FeedStatus, FeedsPage, LineStatus, Reply};

use super::client::Client;
use super::{Engine, print, print_json};
use crate::error::ToolError;
use crate::format::{bytes, count, duration};
use crate::table::{Align, Table};

/// Which feeds to show, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct FeedsArgs {
    /// Only this feed.
    feed: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engine: Engine,
}

/// Shows them once.
///
/// # Errors
/// [`ToolError`] when there is no engine, no such feed, or no right to ask.
pub(crate) fn run_feeds(args: &FeedsArgs, stop: &AtomicBool) -> Result<(), ToolError> {
    let mut client = Client::connect(&args.engine)?;
    let page = all_feeds(&mut client, args.feed.as_deref(), stop)?;
    if args.json { print_json(&page) } else { print(&view(&page)) }
}

/// Every page in one.
fn all_feeds(client: &mut Client, feed: Option<&str>, stop: &AtomicBool) -> Result<FeedsPage, ToolError> {
    let mut all = FeedsPage::default();
    loop {
        let (feed, after) = (feed.map(String::from), all.next_after.take());
        match client.ask(Command::Status { feed, after }, 0, stop)? {
            Reply::Feeds(page) => {
                let before = std::mem::take(&mut all.feeds);
                all = page;
                all.feeds.splice(0..0, before);
            }
            other => return Err(client.strange(&other)),
        }
        if all.next_after.is_none() {
            return Ok(all);
        }
    }
}

fn view(page: &FeedsPage) -> Vec<String> {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("feed", Left),
        ("lane", Left),
        ("type", Left),
        ("state", Left),
        ("address", Left),
        ("session", Left),
        ("next", Right),
        ("packets", Right),
        ("bytes", Right),
        ("gaps", Right),
        ("reconnects", Right),
        ("last", Right),
    ]);
    for feed in &page.feeds {
        table.row(row(feed));
    }
    let mut lines = vec![format!("engine {} (pid {})", page.instance, page.pid)];
    lines.extend(table.lines("  "));
    for feed in &page.feeds {
        if !feed.reason.is_empty() {
            lines.push(format!("  ! {}: {}", feed.name, feed.reason));
        }
        lines.extend(feed.lines.iter().map(|line| score(&feed.name, line)));
    }
    lines
}

fn row(feed: &FeedStatus) -> Vec<String> {
    let dash = || "-".to_owned();
    let in_use = feed.addresses.iter().position(|address| address.in_use);
    let address = in_use.map_or_else(dash, |index| {
        let role = match index {
            0 => "",
            1 => " (failover)",
            _ => " (further)",
        };
        format!("{}{role}", feed.addresses[index].address)
    });
    vec![
        feed.name.clone(),
        feed.lane.clone(),
        feed.client_type.clone(),
        feed.state.clone(),
        address,
        feed.session.clone().unwrap_or_else(dash),
        count(feed.next_sequence),
        count(feed.packets.sequenced),
        bytes(feed.bytes),
        count(feed.gaps),
        count(feed.reconnects),
        feed.last_packet_age_ms.map_or_else(dash, |ms| duration(ms.saturating_mul(1_000_000))),
    ]
}

fn score(feed: &str, line: &LineStatus) -> String {
    format!(
        "  {feed} line {}: {} datagrams, {} first, median lead {}, {} dropped by the kernel",
        line.line,
        count(line.datagrams),
        count(line.wins),
        duration(line.median_lead_ns),
        count(line.kernel_drops)
    )
}

#[cfg(test)]
mod tests {
    use shm_abi::control::{FeedAddress, PacketCounts};

    use super::*;

    #[test]
    fn a_feed_in_text() {
        let address = |address: &str, in_use| FeedAddress { address: address.into(), in_use, remote: None };
        let feed = FeedStatus {
            name: "dse".into(),
            lane: "lane0".into(),
            client_type: "marketfeed".into(),
            state: "rejected".into(),
            reason: "login rejected: A".into(),
            addresses: vec![address("10.0.0.5:17001", false), address("10.0.0.6:17001", true)],
            session: Some("000000001A".into()),
            next_sequence: 1234,
            packets: PacketCounts { sequenced: 1233, ..PacketCounts::default() },
            last_packet_age_ms: Some(1500),
            lines: vec![LineStatus { line: "B".into(), datagrams: 7, wins: 3, median_lead_ns: 900, kernel_drops: 0 }],
            ..FeedStatus::default()
        };
        let page = FeedsPage { instance: "demo".into(), pid: 7, feeds: vec![feed], ..FeedsPage::default() };
        let text = view(&page).join("\n");
        for part in [
            "engine demo (pid 7)",
            "10.0.0.6:17001 (failover)",
            "000000001A  1,234    1,233",
            "1.5 s",
            "! dse: login rejected: A",
            "dse line B: 7 datagrams, 3 first, median lead 900 ns",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
