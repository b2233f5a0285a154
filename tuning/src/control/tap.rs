//! `ticklane tap`: packets as they come, or those of a capture, decoded by the engine.

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command as Program, Stdio};
use std::sync::atomic::AtomicBool;

use shm_abi::control::{Command, DecodedMessage, Reply, TapEnd, TapEvent, TapSource};

use super::Engine;
use super::client::Client;
use crate::error::{ToolError, tell};
use crate::format::time_of_day;
use crate::up;

/// What to show.
#[derive(Debug, clap::Args)]
pub(crate) struct TapArgs {
    /// The feed whose packets to show as they come.
    #[arg(required_unless_present = "pcap", conflicts_with = "pcap")]
    feed: Option<String>,
    /// A capture to decode, without sequencing. Needs no running engine, only its program.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Dialect of the capture's ITCH messages, such as nasdaq-5.0; without it, it is found out.
    #[arg(long, conflicts_with = "feed")]
    dialect: Option<String>,
    /// Stop after this many packets.
    #[arg(long)]
    limit: Option<u64>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Where ticklane-engine is, for --pcap; beside this program if not given.
    #[arg(long, conflicts_with = "feed")]
    bin_dir: Option<PathBuf>,
    #[command(flatten)]
    engine: Engine,
}

/// Shows packets until the limit, the end, or a signal.
///
/// # Errors
/// [`ToolError`] when there is no such feed or capture.
pub(crate) fn run_tap(args: &TapArgs, stop: &AtomicBool) -> Result<(), ToolError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let end = match (&args.pcap, &args.feed) {
        (Some(path), _) => tap_capture(args, path, &mut out)?,
        (None, Some(feed)) => tap_feed(args, feed, &mut out, stop)?,
        (None, None) => unreachable!("clap wants one of the two"),
    };
    out.flush().map_err(ToolError::output)?;
    let Some(end) = end else { return Ok(()) };
    let dialect = if end.dialect.is_empty() { String::new() } else { format!(", {}", end.dialect) };
    let dropped = if end.dropped == 0 { String::new() } else { format!(", {} LOST", end.dropped) };
    tell(&format!("ticklane: {} packets{dropped}{dialect} ({})", end.packets, end.reason));
    Ok(())
}

fn tap_feed(args: &TapArgs, feed: &str, out: &mut impl Write, stop: &AtomicBool) -> Result<Option<TapEnd>, ToolError> {
    let mut client = Client::connect(&args.engine)?;
    client.send(Command::Tap { source: TapSource::Feed { name: feed.into() }, limit: args.limit })?;
    let mut lost = 0;
    loop {
        match client.next(None, stop) {
            Ok(Reply::Tap(event)) => {
                if event.dropped > lost {
                    tell(&format!("ticklane: {} packets lost: more came than could be shown", event.dropped - lost));
                    lost = event.dropped;
                }
                show(args.json, &event, out)?;
                // A person looks at it: every packet as it comes.
                out.flush().map_err(ToolError::output)?;
            }
            Ok(Reply::TapEnd(end)) => return Ok(Some(end)),
            Ok(other) => return Err(client.strange(&other)),
            Err(ToolError::Unanswered) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// The engine's program decodes with our own rights: a capture need not be one that the engine's user can read, and no
/// engine need run.
fn tap_capture(args: &TapArgs, path: &PathBuf, out: &mut impl Write) -> Result<Option<TapEnd>, ToolError> {
    let engine = up::program(args.bin_dir.as_deref(), "ticklane-engine", "ticklane-engine")?;
    let mut program = Program::new(&engine);
    program.arg("--tap-pcap").arg(path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(dialect) = &args.dialect {
        program.args(["--dialect", dialect]);
    }
    if let Some(limit) = args.limit {
        program.args(["--limit", &limit.to_string()]);
    }
    let failed = |source| ToolError::Io { action: "run", path: engine.clone(), source };
    let mut child = program.spawn().map_err(failed)?;
    let lines = BufReader::new(child.stdout.take().expect("asked for as a pipe"));
    let mut end = None;
    for line in lines.lines() {
        let line = line.map_err(failed)?;
        // The last line is the end; a packet has a `packet`, which the end has not.
        let strange = |error: serde_json::Error| failed(io::Error::new(io::ErrorKind::InvalidData, error));
        let value: serde_json::Value = serde_json::from_str(&line).map_err(strange)?;
        if value.get("packet").is_some() {
            show(args.json, &serde_json::from_value(value).map_err(strange)?, out)?;
        } else {
            end = Some(serde_json::from_value(value).map_err(strange)?);
        }
    }
    let output = child.wait_with_output().map_err(failed)?;
    match end {
        Some(end) if output.status.success() => Ok(Some(end)),
        _ => {
            let tail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(ToolError::Child { name: "ticklane-engine", what: format!("ended with {}", output.status), tail })
        }
    }
}

fn show(json: bool, event: &TapEvent, out: &mut impl Write) -> Result<(), ToolError> {
    let text = match json {
        true => serde_json::to_string(event).expect("texts and numbers only"),
        false => view(event),
    };
    writeln!(out, "{text}").map_err(ToolError::output)
}

fn view(event: &TapEvent) -> String {
    let packet = &event.packet;
    let mut text = event.ts_recv.parse().map_or_else(|_| event.ts_recv.clone(), time_of_day);
    text.push_str(&format!("  {}  {}", event.line, packet.kind.as_deref().unwrap_or("(no packet)")));
    if let Some(length) = packet.packet_length {
        text.push_str(&format!(" {length}"));
    }
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!(" {name}={value}"));
        }
    };
    add("session", packet.session_id.clone());
    add("seq", packet.seq.map(|seq| seq.to_string()));
    add("count", packet.count.map(|count| count.to_string()));
    add("message", packet.message.clone());
    add("error", packet.error.clone());
    add("cut", packet.cut.clone());
    for message in packet.decoded.iter().chain(&packet.messages) {
        text.push_str("\n    ");
        text.push_str(&message_line(message));
    }
    text
}

fn message_line(message: &DecodedMessage) -> String {
    let mut text = message.form();
    if let Some(name) = &message.name {
        text.push_str(&format!(" {name}"));
    }
    for (name, value) in &message.fields {
        match value {
            serde_json::Value::String(value) => text.push_str(&format!(" {name}={value:?}")),
            value => text.push_str(&format!(" {name}={value}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_in_text() {
        let json = r#"{"ts_recv":"3723000000005","line":"A","packet":{"type":"SequencedPacket","packet_length":13,"seq":9,"raw":"00","decoded":{"type":"S","length":12,"name":"SystemEvent","fields":{"event_code":"O","orderbook":0}}}}"#;
        let event: TapEvent = serde_json::from_str(json).unwrap();
        let want = "01:02:03.000000005  A  SequencedPacket 13 seq=9\n    S12 SystemEvent event_code=\"O\" orderbook=0";
        assert_eq!(view(&event), want);
    }
}
