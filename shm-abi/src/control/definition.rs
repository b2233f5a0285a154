//! What the engine is told once and keeps: it never reads the gateway's store (decisions.md 14).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reply::Refusal;
use super::request::InstrumentName;

/// Longest text of a definition's field, in bytes.
const TEXT_BYTES_MAX: usize = 128;
/// Most holidays of a calendar: more than ten years of them.
const HOLIDAYS_MAX: usize = 512;
/// Most further settings of a feed.
const SETTINGS_MAX: usize = 64;
/// Most addresses of a feed.
const ADDRESSES_MAX: usize = 8;
/// Most decimals of a price, which is kept in 1e-9, and of a quantity.
const DECIMALS_MAX: u8 = 9;

/// Something that the engine keeps over restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Definition {
    /// A feed, or another form of one that the config names.
    Feed(FeedDefinition),
    /// An instrument: it gets its lasting id now.
    Instrument(InstrumentDefinition),
    /// When a venue trades.
    Calendar(CalendarDefinition),
    /// A provider's name for an instrument.
    Mapping(MappingDefinition),
}

/// The kinds of definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionKind {
    /// [`FeedDefinition`].
    Feed,
    /// [`InstrumentDefinition`].
    Instrument,
    /// [`CalendarDefinition`].
    Calendar,
    /// [`MappingDefinition`].
    Mapping,
}

impl DefinitionKind {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DefinitionKind::Feed => "feed",
            DefinitionKind::Instrument => "instrument",
            DefinitionKind::Calendar => "calendar",
            DefinitionKind::Mapping => "mapping",
        }
    }
}

/// A value of a feed's setting.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
}

// A setting may be a password.
impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Setting::Flag(flag) => write!(f, "{flag}"),
            Setting::Number(number) => write!(f, "{number}"),
            Setting::Text(_) | Setting::Texts(_) => f.write_str("***"),
        }
    }
}

/// A feed: a `[[feed]]` of the engine's config. Takes the place of the config's feed of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedDefinition {
    /// 1 to 31 characters of a-z, 0-9, '-' and '_'.
    pub name: String,
    /// A lane of the config.
    pub lane: String,
    /// As in the config.
    pub protocol: String,
    /// `host:port`, primary first. Each must lie in `[feeds] allow` of the config.
    pub addresses: Vec<String>,
    /// Further keys of `[[feed]]`; the engine refuses those that it does not know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Setting>,
}

/// An instrument, before or without a venue that announces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstrumentDefinition {
    /// 1 to 8 letters and digits.
    pub venue: String,
    /// As the venue writes it.
    pub symbol: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ISO 6166: 12 letters and digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isin: Option<String>,
    /// ISO 4217: three capital letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Decimals of its prices, 0 to 9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_decimals: Option<u8>,
    /// Decimals of its quantities, 0 to 9; shares have 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity_decimals: Option<u8>,
    /// Quantity of a round lot, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot_size: Option<u64>,
}

/// When a venue trades, in its own time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarDefinition {
    /// 1 to 8 letters and digits.
    pub venue: String,
    /// IANA name, such as `Asia/Dhaka`.
    pub time_zone: String,
    /// `HH:MM`.
    pub open: String,
    /// `HH:MM`, later than `open`.
    pub close: String,
    /// Days of the week without trading: `mon` to `sun`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekend: Vec<String>,
    /// Other days without trading: `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<String>,
}

/// A provider's name for an instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingDefinition {
    /// Who writes it so.
    pub provider: String,
    /// As the provider writes it.
    pub provider_symbol: String,
    /// 1 to 8 letters and digits.
    pub venue: String,
    /// As the venue writes it.
    pub symbol: String,
}

fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    let fits = (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(Refusal::value(field, text, format!("1 to {TEXT_BYTES_MAX} bytes of text without control characters")))
    }
}

fn check_venue(venue: &str) -> Result<(), Refusal> {
    let fits = (1..=8).contains(&venue.len()) && venue.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(()) } else { Err(Refusal::value("venue", venue, "1 to 8 letters and digits, such as \"XDHA\"")) }
}

fn check_decimals(field: &str, decimals: Option<u8>) -> Result<(), Refusal> {
    match decimals {
        Some(value) if value > DECIMALS_MAX => Err(Refusal::value(field, value, format!("0 to {DECIMALS_MAX}"))),
        _ => Ok(()),
    }
}

fn check_code(field: &str, code: Option<&str>, length: usize, expected: &str) -> Result<(), Refusal> {
    match code {
        Some(code) if code.len() != length || !code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) => {
            Err(Refusal::value(field, code, expected))
        }
        _ => Ok(()),
    }
}

/// Minutes of the day.
fn minutes(field: &str, text: &str) -> Result<u16, Refusal> {
    let parse = || {
        let (hours, minutes) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    };
    parse().ok_or_else(|| Refusal::value(field, text, "a time of day such as \"09:30\""))
}

fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |index: usize, length: usize, range: std::ops::RangeInclusive<u16>| {
        let part: Option<&&str> = parts.get(index).filter(|part| part.len() == length);
        part.and_then(|part| part.parse().ok()).is_some_and(|value| range.contains(&value))
    };
    parts.len() == 3 && number(0, 4, 1900..=2200) && number(1, 2, 1..=12) && number(2, 2, 1..=31)
}

impl InstrumentName {
    /// # Errors
    /// [`Refusal`] with the field, its value and what was expected.
    pub fn check(&self) -> Result<(), Refusal> {
        check_venue(&self.venue)?;
        check_text("symbol", &self.symbol)
    }
}

impl Definition {
    /// What kind of thing it is.
    #[must_use]
    pub const fn kind(&self) -> DefinitionKind {
        match self {
            Definition::Feed(_) => DefinitionKind::Feed,
            Definition::Instrument(_) => DefinitionKind::Instrument,
            Definition::Calendar(_) => DefinitionKind::Calendar,
            Definition::Mapping(_) => DefinitionKind::Mapping,
        }
    }

    /// What it defines: `NAME`, `VENUE/SYMBOL`, `VENUE`, `PROVIDER/PROVIDER_SYMBOL`. Two definitions of one kind and key
    /// are the same thing, told twice.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Definition::Feed(feed) => feed.name.clone(),
            Definition::Instrument(instrument) => format!("{}/{}", instrument.venue, instrument.symbol),
            Definition::Calendar(calendar) => calendar.venue.clone(),
            Definition::Mapping(mapping) => format!("{}/{}", mapping.provider, mapping.provider_symbol),
        }
    }

    /// The instrument that it names, if it names one.
    #[must_use]
    pub fn instrument(&self) -> Option<InstrumentName> {
        let (venue, symbol) = match self {
            Definition::Instrument(instrument) => (&instrument.venue, &instrument.symbol),
            Definition::Mapping(mapping) => (&mapping.venue, &mapping.symbol),
            _ => return None,
        };
        Some(InstrumentName { venue: venue.clone(), symbol: symbol.clone() })
    }

    /// Checks what can be known without an engine: forms and ranges. Zones, lanes, protocols and networks are the
    /// engine's to check.
    ///
    /// # Errors
    /// [`Refusal`] with the field, its value and what was expected.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Definition::Feed(feed) => feed.check(),
            Definition::Instrument(instrument) => instrument.check(),
            Definition::Calendar(calendar) => calendar.check(),
            Definition::Mapping(mapping) => mapping.check(),
        }
    }
}

impl FeedDefinition {
    fn check(&self) -> Result<(), Refusal> {
        for (field, name) in [("name", &self.name), ("lane", &self.lane)] {
            if !crate::layout::is_lane_name(name) {
                return Err(Refusal::value(field, name, "1 to 31 characters of a-z, 0-9, '-' and '_'"));
            }
        }
        check_text("protocol", &self.protocol)?;
        if !(1..=ADDRESSES_MAX).contains(&self.addresses.len()) {
            return Err(Refusal::value("addresses", self.addresses.len(), format!("1 to {ADDRESSES_MAX} of them")));
        }
        self.addresses.iter().try_for_each(|address| check_text("addresses", address))?;
        if self.settings.len() > SETTINGS_MAX {
            return Err(Refusal::value("settings", self.settings.len(), format!("at most {SETTINGS_MAX} of them")));
        }
        self.settings.keys().try_for_each(|key| check_text("settings", key))
    }
}

impl InstrumentDefinition {
    fn check(&self) -> Result<(), Refusal> {
        check_venue(&self.venue)?;
        check_text("symbol", &self.symbol)?;
        if let Some(name) = &self.name {
            check_text("name", name)?;
        }
        check_code("isin", self.isin.as_deref(), 12, "12 capital letters and digits")?;
        check_code("currency", self.currency.as_deref(), 3, "three capital letters, such as \"BDT\"")?;
        check_decimals("price_decimals", self.price_decimals)?;
        check_decimals("quantity_decimals", self.quantity_decimals)?;
        if self.lot_size == Some(0) { Err(Refusal::value("lot_size", 0, "at least 1")) } else { Ok(()) }
    }
}

impl CalendarDefinition {
    fn check(&self) -> Result<(), Refusal> {
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        check_venue(&self.venue)?;
        check_text("time_zone", &self.time_zone)?;
        if minutes("close", &self.close)? <= minutes("open", &self.open)? {
            return Err(Refusal::value("close", &self.close, format!("a time later than open = {}", self.open)));
        }
        if let Some(day) = self.weekend.iter().find(|day| !DAYS.contains(&day.as_str())) {
            return Err(Refusal::value("weekend", day, format!("days of {DAYS:?}")));
        }
        if self.weekend.len() >= DAYS.len() {
            return Err(Refusal::value("weekend", self.weekend.len(), "at least one day of trading a week"));
        }
        if self.holidays.len() > HOLIDAYS_MAX {
            return Err(Refusal::value("holidays", self.holidays.len(), format!("at most {HOLIDAYS_MAX}")));
        }
        match self.holidays.iter().find(|day| !is_day(day)) {
            Some(day) => Err(Refusal::value("holidays", day, "days such as \"2026-12-16\"")),
            None => Ok(()),
        }
    }
}

impl MappingDefinition {
    fn check(&self) -> Result<(), Refusal> {
        check_text("provider", &self.provider)?;
        check_text("provider_symbol", &self.provider_symbol)?;
        check_venue(&self.venue)?;
        check_text("symbol", &self.symbol)
    }
}
