//! `bench wake`: from a send into silence to the record in the ring, over TCP and UDP, through the engine's spinning reactor
//! and through a bare loop that spins on the socket.
//!
//! The closed loop of `bench wire`, with a silence before each message, so that the receiver is idle when it comes. Both
//! sides of a ratio decode, keep the book and publish alike: what is left between them is the reactor.

pub mod datagrams;

use std::path::{Path, PathBuf};

use clap::Args;

use self::datagrams::Call;
use crate::cli::{at_least, progress};
use crate::machine::Machine;
use crate::report::{Kind, LatencySeries, Section};
use crate::verdict::{Goal, Sense};
use crate::wire::{self, engine};
use crate::{Result, report::AmountRow, stats};

/// Pairs unless told otherwise.
pub const PAIRS: u32 = 9;

/// Settings of `bench wake`.
#[derive(Debug, Clone, Args)]
pub struct WakeArgs {
    /// Messages of each run, one at a time.
    #[arg(long, default_value_t = WakeArgs::default().messages)]
    messages: u64,
    /// Silence before each message, microseconds.
    #[arg(long, default_value_t = WakeArgs::default().silence_us)]
    silence_us: u64,
    /// The engine's program [default: ticklane-engine beside this program].
    #[arg(long)]
    engine: Option<PathBuf>,
    /// Only the bare loops within this process, without the engine.
    #[arg(long)]
    self_test: bool,
}

impl Default for WakeArgs {
    fn default() -> Self {
        Self { messages: 30_000, silence_us: 20, engine: None, self_test: false }
    }
}

/// Measures everything and states the goals.
///
/// # Errors
/// When a role cannot be started or ends early.
pub fn run(args: &WakeArgs, pairs: u32, machine: &Machine, dir: &Path) -> Result<Section> {
    at_least("--messages", args.messages, 100, "at least 100")?;
    let engine = if args.self_test { Err("--self-test".into()) } else { engine::find(args.engine.as_deref()) };
    let mut udp_bare = LatencySeries::new(Kind::Floor, "UDP: bare loop, recv without waiting, stamped on receipt");
    let mut udp_stamped = LatencySeries::new(Kind::Floor, "UDP: bare loop, recvmsg with the kernel's stamps");
    let mut udp = LatencySeries::new(Kind::Ours, "UDP: the engine");
    let mut tcp_bare = LatencySeries::new(Kind::Floor, "TCP: bare loop, recv without waiting, stamped on receipt");
    let mut tcp = LatencySeries::new(Kind::Ours, "TCP: the engine");
    let (messages, silence) = (args.messages, args.silence_us * 1000);
    for pair in 0..pairs {
        progress("wake", pair, pairs);
        udp_bare.push(&datagrams::through_bare_loop(Call::Recv, messages, machine, dir, silence)?);
        udp_stamped.push(&datagrams::through_bare_loop(Call::Stamped, messages, machine, dir, silence)?);
        if let Ok(program) = &engine {
            udp.push(&datagrams::through_engine(program, messages, machine, dir, silence)?);
        }
        tcp_bare.push(&wire::through_bare_loop(messages, machine, dir, silence)?);
        if let Ok(program) = &engine {
            tcp.push(&wire::through_engine(program, messages, machine, dir, silence)?);
        }
    }
    let title = format!(
        "{pairs} alternating pairs; {messages} messages each, one at a time after {} us of silence",
        args.silence_us
    );
    let mut section = Section::new("wake", title);
    section
        .latencies
        .extend([&udp_bare, &udp_stamped, &udp, &tcp_bare, &tcp].into_iter().filter_map(LatencySeries::row));
    let more: Vec<f64> = udp.p50s().iter().zip(udp_bare.p50s()).map(|(ours, bare)| ours - bare).collect();
    let more_tcp: Vec<f64> = tcp.p50s().iter().zip(tcp_bare.p50s()).map(|(ours, bare)| ours - bare).collect();
    let reactor: Vec<f64> = udp.p50s().iter().zip(udp_stamped.p50s()).map(|(ours, bare)| ours - bare).collect();
    if stats::spread(&more).is_some() {
        section.amounts.push(AmountRow::new(Kind::Ours, "UDP: engine p50 less bare loop p50", "ns", &more));
        section.amounts.push(AmountRow::new(Kind::Ours, "UDP: engine p50 less stamped loop p50", "ns", &reactor));
        section.amounts.push(AmountRow::new(Kind::Ours, "TCP: engine p50 less bare loop p50", "ns", &more_tcp));
    }
    section.notes.extend([
        "sender and reader are one role, the receiver the other; both spin; from the send to the record, one way"
            .into(),
        "bare loop: the same framing, book and ring; no reactor, no kernel stamps, no arbiter, no timers".into(),
        "UDP, with stamps: the same loop around the call that a feed must make to learn when a datagram came".into(),
    ]);
    for (name, call, bound, ours, bare) in [
        ("UDP", "busy receive", 1.05, &udp, &udp_bare),
        ("UDP", "busy receive with the kernel's stamps", 1.05, &udp, &udp_stamped),
        ("TCP", "busy receive", 1.15, &tcp, &tcp_bare),
    ] {
        let promise = format!("feed wake, {name}: send to record p50 <= {bound:.2}x a bare {call}");
        section.goals.push(match &engine {
            Ok(_) => Goal::ratio(&promise, Sense::AtMost, bound, ours.p50s(), bare.p50s()),
            Err(why) => Goal::unmeasured(&promise, Sense::AtMost, bound, why),
        });
    }
    Ok(section)
}
