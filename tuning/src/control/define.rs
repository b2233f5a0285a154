//! `ticklane define`, `undefine` and `definitions`: what the engine keeps over restarts.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use clap::{Subcommand, ValueEnum};
use shm_abi::control::{
    CalendarDefinition, Command, DefinedReport, Definition, DefinitionKind, FeedDefinition, InstrumentDefinition,
    MappingDefinition, Reply, Setting,
};

use super::client::Client;
use super::operate::line;
use super::{Engine, print, print_json};
use crate::error::ToolError;

/// What to define.
#[derive(Debug, clap::Args)]
pub(crate) struct DefineArgs {
    #[command(subcommand)]
    what: What,
    /// One JSON object.
    #[arg(long, global = true)]
    json: bool,
    /// Runtime directory of the engine, or a directory of such; the usual ones if not given.
    #[arg(long, global = true)]
    dir: Option<std::path::PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A feed, or another form of one that the engine's config names.
    Feed {
        /// Its name.
        name: String,
        /// The lane to publish it on; one of the config.
        #[arg(long)]
        lane: String,
        /// As in the config, such as soupbintcp-itch50.
        #[arg(long)]
        protocol: String,
        /// host:port, primary first; repeat for the failover.
        #[arg(long = "address", required = true)]
        addresses: Vec<String>,
        /// A further key of `[[feed]]`, as KEY=VALUE; repeat. A password is better kept in a file: password_file=PATH.
        #[arg(long = "set", value_parser = setting)]
        settings: Vec<(String, Setting)>,
    },
    /// An instrument: it gets its lasting id now.
    Instrument {
        /// Venue, such as XDHA.
        venue: String,
        /// Symbol, as the venue writes it.
        symbol: String,
        /// Name for people.
        #[arg(long)]
        name: Option<String>,
        /// ISIN.
        #[arg(long)]
        isin: Option<String>,
        /// Three letters, such as BDT.
        #[arg(long)]
        currency: Option<String>,
        /// Decimals of its prices, 0 to 9.
        #[arg(long)]
        price_decimals: Option<u8>,
        /// Decimals of its quantities, 0 to 9.
        #[arg(long)]
        quantity_decimals: Option<u8>,
        /// Quantity of a round lot.
        #[arg(long)]
        lot_size: Option<u64>,
    },
    /// When a venue trades, in its own time.
    Calendar {
        /// Venue, such as XDHA.
        venue: String,
        /// IANA name, such as Asia/Dhaka.
        #[arg(long)]
        time_zone: String,
        /// HH:MM.
        #[arg(long)]
        open: String,
        /// HH:MM.
        #[arg(long)]
        close: String,
        /// Days of the week without trading: mon to sun, separated by commas.
        #[arg(long, value_delimiter = ',')]
        weekend: Vec<String>,
        /// Other days without trading: YYYY-MM-DD, separated by commas.
        #[arg(long, value_delimiter = ',')]
        holidays: Vec<String>,
    },
    /// A provider's name for an instrument.
    Mapping {
        /// Who writes it so.
        provider: String,
        /// As the provider writes it.
        provider_symbol: String,
        /// Venue, such as XNSE.
        venue: String,
        /// Symbol, as the venue writes it.
        symbol: String,
    },
}

/// What to forget.
#[derive(Debug, clap::Args)]
pub(crate) struct UndefineArgs {
    /// What kind of thing.
    kind: Kind,
    /// Its key: NAME, VENUE/SYMBOL, VENUE, or PROVIDER/PROVIDER_SYMBOL.
    key: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engine: Engine,
}

/// What to list.
#[derive(Debug, clap::Args)]
pub(crate) struct DefinitionsArgs {
    /// What kind of things.
    kind: Kind,
    #[command(flatten)]
    engine: Engine,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Feed,
    Instrument,
    Calendar,
    Mapping,
}

impl From<Kind> for DefinitionKind {
    fn from(kind: Kind) -> DefinitionKind {
        match kind {
            Kind::Feed => DefinitionKind::Feed,
            Kind::Instrument => DefinitionKind::Instrument,
            Kind::Calendar => DefinitionKind::Calendar,
            Kind::Mapping => DefinitionKind::Mapping,
        }
    }
}

/// `KEY=VALUE`: a flag, a number, or a text.
fn setting(text: &str) -> Result<(String, Setting), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    let value = match (value, value.parse()) {
        ("true", _) => Setting::Flag(true),
        ("false", _) => Setting::Flag(false),
        (_, Ok(number)) => Setting::Number(number),
        (text, Err(_)) => Setting::Text(text.into()),
    };
    Ok((key.into(), value))
}

impl What {
    fn definition(&self) -> Definition {
        match self {
            What::Feed { name, lane, protocol, addresses, settings } => Definition::Feed(FeedDefinition {
                name: name.clone(),
                lane: lane.clone(),
                protocol: protocol.clone(),
                addresses: addresses.clone(),
                settings: settings.iter().cloned().collect::<BTreeMap<_, _>>(),
            }),
            What::Instrument { venue, symbol, name, isin, currency, price_decimals, quantity_decimals, lot_size } => {
                Definition::Instrument(InstrumentDefinition {
                    venue: venue.clone(),
                    symbol: symbol.clone(),
                    name: name.clone(),
                    isin: isin.clone(),
                    currency: currency.clone(),
                    price_decimals: *price_decimals,
                    quantity_decimals: *quantity_decimals,
                    lot_size: *lot_size,
                })
            }
            What::Calendar { venue, time_zone, open, close, weekend, holidays } => {
                Definition::Calendar(CalendarDefinition {
                    venue: venue.clone(),
                    time_zone: time_zone.clone(),
                    open: open.clone(),
                    close: close.clone(),
                    weekend: weekend.clone(),
                    holidays: holidays.clone(),
                })
            }
            What::Mapping { provider, provider_symbol, venue, symbol } => Definition::Mapping(MappingDefinition {
                provider: provider.clone(),
                provider_symbol: provider_symbol.clone(),
                venue: venue.clone(),
                symbol: symbol.clone(),
            }),
        }
    }
}

/// Defines.
///
/// # Errors
/// [`ToolError::Refused`] with the field, its value and what was expected.
pub(crate) fn run_define(args: &DefineArgs, stop: &AtomicBool) -> Result<(), ToolError> {
    let engine = Engine { dir: args.dir.clone() };
    told(&engine, Command::Define(args.what.definition()), args.json, stop)
}

/// Forgets.
///
/// # Errors
/// As for [`run_define`].
pub(crate) fn run_undefine(args: &UndefineArgs, stop: &AtomicBool) -> Result<(), ToolError> {
    let command = Command::Undefine { kind: args.kind.into(), key: args.key.clone() };
    told(&args.engine, command, args.json, stop)
}

fn told(engine: &Engine, command: Command, json: bool, stop: &AtomicBool) -> Result<(), ToolError> {
    let mut client = Client::connect(engine)?;
    match client.ask(command, 0, stop)? {
        Reply::Defined(report) if json => print_json(&report),
        Reply::Defined(report) => print(&view(&report)),
        other => Err(client.strange(&other)),
    }
}

fn view(report: &DefinedReport) -> Vec<String> {
    let changed = if report.changed { "kept" } else { "nothing is different" };
    let force = if report.in_force { "in force" } else { "needs a restart" };
    let id = report.instrument_id.map(|id| format!(", instrument id {id}")).unwrap_or_default();
    let mut lines = vec![format!("{} {}: {changed}, {force}{id}", report.kind.name(), report.key)];
    lines.extend(report.needs_restart.iter().map(|change| line("needs a restart", change)));
    lines
}

/// Lists definitions, one JSON object a line.
///
/// # Errors
/// [`ToolError`] when there is no engine, or no right to ask.
pub(crate) fn run_definitions(args: &DefinitionsArgs, stop: &AtomicBool) -> Result<(), ToolError> {
    let mut client = Client::connect(&args.engine)?;
    let mut after = None;
    loop {
        let page = match client.ask(Command::Definitions { kind: args.kind.into(), after }, 0, stop)? {
            Reply::Definitions(page) => page,
            other => return Err(client.strange(&other)),
        };
        page.definitions.iter().try_for_each(print_json)?;
        after = page.next_after;
        if after.is_none() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_flags_numbers_and_texts() {
        assert_eq!(setting("a=true").unwrap(), ("a".into(), Setting::Flag(true)));
        assert_eq!(setting("silence_limit_ms=15000").unwrap().1, Setting::Number(15_000));
        assert_eq!(setting("username=dse=1").unwrap().1, Setting::Text("dse=1".into()));
        assert!(setting("username").unwrap_err().contains("KEY=VALUE"));
    }
}
