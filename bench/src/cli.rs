//! The command line: what to measure, where, and what to do with the result.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::machine::{Cores, JUDGE_ROUNDS, Machine};
use crate::partner::{self, PartnerArgs};
use crate::report::{Report, Section};
use crate::verdict::Verdict;
use crate::{BenchError, Result, fanout, io_error, itch, journal, lanes, ring, udp, wake, wire};

/// Exit code with `--gate` when a goal was missed.
pub const EXIT_MISSED: u8 = 1;
/// Exit code when a number could not be taken at all.
pub const EXIT_ERROR: u8 = 2;
/// Exit code with `--gate` when there was a goal without verdict and none was missed.
pub const EXIT_NO_VERDICT: u8 = 3;

/// Measured promises of Ticklane: each number beside its floor and its crate peers, in alternating pairs.
///
/// Raises its own priority and pins two roles at a time. Where it may not, or where the machine is disturbed, it prints
/// the numbers and gives no verdict.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// Options of every subcommand.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The two cores to use: the partner's, then the measuring role's.
    #[arg(long, global = true, value_name = "A,B", value_parser = parse_cores, default_value = "0,1")]
    pub cores: Cores,
    /// Alternating pairs [default: 9; itch, journal and fanout: 5].
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pairs: Option<u32>,
    /// Also writes the results to this file, as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Exit with 1 when a goal is missed and with 3 when there is no verdict; without it, the exit code is 0.
    #[arg(long, global = true)]
    pub gate: bool,
    /// Round trips of each judgement of the floor.
    #[arg(long, global = true, hide = true, default_value_t = JUDGE_ROUNDS)]
    pub judge_rounds: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The shared-memory ring: hand-over, throughput, the writer's cost.
    Ring(ring::RingArgs),
    /// ITCH 5.0: decode, book, publishing, on a generated day.
    Itch(itch::ItchArgs),
    /// From the socket to a reader in shared memory, through the real engine.
    Wire(wire::WireArgs),
    /// Datagrams a second: our receive loop and the engine beside bare receivers.
    Udp(udp::UdpArgs),
    /// From a send into silence to the record, TCP and UDP, beside a loop that only receives.
    Wake(wake::WakeArgs),
    /// One lane's latency while another one is flooded; needs four cores.
    Lanes(lanes::LanesArgs),
    /// The recorded bus: writing, reading, replay, export, and what it costs the lane.
    Journal(journal::JournalArgs),
    /// From shared memory to WebSocket subscribers, through the real gateway.
    Fanout(fanout::FanoutArgs),
    /// The host's facts and the judgement of its floor; nothing else.
    Facts,
    /// Ring, itch, wire, udp, wake, lanes, journal and fanout with their defaults.
    All,
    /// The other role. Started by the bench itself.
    #[command(hide = true)]
    Partner(PartnerArgs),
}

fn parse_cores(text: &str) -> std::result::Result<Cores, String> {
    let parsed = text.split_once(',').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    let (partner, own) = parsed.ok_or_else(|| format!("{text:?}: expected two core numbers such as 0,1"))?;
    Ok(Cores { own, partner })
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    if let Command::Partner(args) = &cli.command {
        partner::run(args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let dir = partner::run_dir()?;
    let machine = Machine::prepare(cli.options.cores, dir.path(), cli.options.judge_rounds)?;
    let sections = measure(cli, &machine, dir.path())?;
    let report = Report::new(std::env::args().skip(1).collect(), machine.conclude(dir.path())?, sections);
    print!("{report}");
    if let Some(path) = &cli.options.json {
        let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
        std::fs::write(path, text + "\n").map_err(io_error(format!("write {}", path.display())))?;
    }
    Ok(if cli.options.gate { gate(&report) } else { ExitCode::SUCCESS })
}

fn measure(cli: &Cli, machine: &Machine, dir: &std::path::Path) -> Result<Vec<Section>> {
    let pairs = |default: u32| cli.options.pairs.unwrap_or(default);
    let ring = |args: &ring::RingArgs| ring::run(args, pairs(ring::PAIRS), machine, dir);
    let itch = |args: &itch::ItchArgs| itch::run(args, pairs(itch::PAIRS), machine);
    let wire = |args: &wire::WireArgs| wire::run(args, pairs(wire::PAIRS), machine, dir);
    let udp = |args: &udp::UdpArgs| udp::run(args, pairs(udp::PAIRS), machine, dir);
    let wake = |args: &wake::WakeArgs| wake::run(args, pairs(wake::PAIRS), machine, dir);
    let lanes = |args: &lanes::LanesArgs| lanes::run(args, pairs(lanes::PAIRS), machine, dir);
    let journal = |args: &journal::JournalArgs| journal::run(args, pairs(journal::PAIRS), machine, dir);
    let fanout = |args: &fanout::FanoutArgs| fanout::run(args, pairs(fanout::PAIRS), machine, dir);
    Ok(match &cli.command {
        Command::Ring(args) => vec![ring(args)?],
        Command::Itch(args) => vec![itch(args)?],
        Command::Wire(args) => vec![wire(args)?],
        Command::Udp(args) => vec![udp(args)?],
        Command::Wake(args) => vec![wake(args)?],
        Command::Lanes(args) => vec![lanes(args)?],
        Command::Journal(args) => vec![journal(args)?],
        Command::Fanout(args) => vec![fanout(args)?],
        Command::All => vec![
            ring(&Default::default())?,
            itch(&Default::default())?,
            wire(&Default::default())?,
            udp(&Default::default())?,
            wake(&Default::default())?,
            lanes(&Default::default())?,
            journal(&Default::default())?,
            fanout(&Default::default())?,
        ],
        Command::Facts | Command::Partner(_) => vec![],
    })
}

fn gate(report: &Report) -> ExitCode {
    let any = |wanted: fn(&Verdict) -> bool| report.goals().any(|goal| wanted(&goal.verdict));
    if any(|verdict| *verdict == Verdict::Missed) {
        ExitCode::from(EXIT_MISSED)
    } else if any(|verdict| matches!(verdict, Verdict::None(_))) {
        ExitCode::from(EXIT_NO_VERDICT)
    } else {
        ExitCode::SUCCESS
    }
}

/// Refuses a setting of 0.
///
/// # Errors
/// [`BenchError::Setting`].
pub(crate) fn at_least(setting: &'static str, value: u64, least: u64, expected: &'static str) -> Result<()> {
    if value >= least { Ok(()) } else { Err(BenchError::Setting { setting, value: value.to_string(), expected }) }
}

/// A line of progress, on standard error so that the report stays clean.
pub(crate) fn progress(section: &str, pair: u32, pairs: u32) {
    eprintln!("bench {section}: pair {} of {pairs}", pair + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn cores() {
        assert_eq!(parse_cores("2,3"), Ok(Cores { own: 3, partner: 2 }));
        assert_eq!(parse_cores(" 0, 1"), Ok(Cores { own: 1, partner: 0 }));
        for text in ["", "1", "1,", "a,b", "1,2,3", "-1,2"] {
            assert!(parse_cores(text).is_err(), "case {text:?}");
        }
    }
}
