//! One feed's settings, checked and in the types that the code works with.

use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use market::ingest::{DatagramsConfig, Framing, GlimpseConfig, SoupBinConfig};
use wire::dialect::Dialect;
use wire::glimpse::client::SnapshotLimits;
use wire::multicast::{ArbiterConfig, NewSession, SessionKey, Start};
use wire::soupbin::backoff::BackoffConfig;
use wire::soupbin::client::{ClientConfig, ClientTimers};

use shm_abi::sys::realtime_ns;

use super::feed::{ArbiterTable, ClientType, FeedConfig, NewSessionRule, Profile, Protocol, StartAt};
use super::net::{AllowList, LinePlan, check_addresses, line};
use super::replay::{ReplayPlan, plan_replay};
use super::{ConfigError, Secret, refuse};
use crate::feed::replay::{Kind, sniff};

/// Everything that a feed needs, checked.
#[derive(Debug, Clone)]
pub(crate) struct FeedPlan {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) dialect: &'static Dialect,
    pub(crate) client_type: ClientType,
    pub(crate) venue: String,
    /// No other feed of this engine brings anything of the venue: this one's lane has all of its instruments.
    pub(crate) only_of_venue: bool,
    pub(crate) calendar: Calendar,
    /// What the feed listens to or dials, in order of preference.
    pub(crate) addresses: Vec<String>,
    pub(crate) transport: Transport,
    /// A recording to play instead of a network.
    pub(crate) replay: Option<ReplayPlan>,
}

/// How messages reach us.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    Soup(SoupPlan),
    Datagrams(Box<DatagramPlan>),
    /// No messages at all: records of the bus.
    Records,
}

/// A SoupBinTCP feed.
#[derive(Debug, Clone)]
pub(crate) struct SoupPlan {
    pub(crate) config: SoupBinConfig,
    pub(crate) connect_timeout_ms: u64,
}

/// A feed of datagrams.
#[derive(Debug, Clone)]
pub(crate) struct DatagramPlan {
    pub(crate) config: DatagramsConfig,
    pub(crate) lines: Vec<LinePlan>,
    /// Re-request servers, `host:port`.
    pub(crate) servers: Vec<String>,
    /// Servers of images, `host:port`.
    pub(crate) image_servers: Vec<String>,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) socket_buffer_bytes: usize,
    pub(crate) datagram_bytes: usize,
}

/// Turns the venue's day into UNIX time.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    pub(super) zone: TimeZone,
    pub(super) date: Option<Date>,
}

impl Calendar {
    /// UNIX time, in ns, of the local midnight that stamps count from: of the configured day, else of the day that it is
    /// there at `now_ns`.
    pub(crate) fn midnight_ns(&self, now_ns: u64) -> u64 {
        let now = jiff::Timestamp::from_nanosecond(i128::from(now_ns)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let date = self.date.unwrap_or_else(|| now.to_zoned(self.zone.clone()).date());
        let midnight = date.to_zoned(self.zone.clone()).map(|zoned| zoned.timestamp().as_nanosecond());
        midnight.ok().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0)
    }
}

impl FeedPlan {
    /// Time at which the feed begins, ns since the UNIX epoch: now, or when its recording does, as far as that tells.
    pub(crate) fn begins_ns(&self) -> u64 {
        match self.replay.as_ref().map(|replay| sniff(&replay.file)) {
            None => realtime_ns(),
            Some(Ok(Kind::Capture { first_ns })) => first_ns,
            Some(Ok(Kind::Messages)) => self.calendar.midnight_ns(0),
            Some(_) => 0,
        }
    }
}

impl Calendar {
    /// Whether the day is known whatever the time.
    pub(crate) fn has_date(&self) -> bool {
        self.date.is_some()
    }
}

/// Packets in a row behind their own line after which an IEX stream is taken to have started anew: two may be an echo.
const RESTART_AFTER_BACKWARD: u8 = 3;

const fn ns(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

pub(super) fn plan_feed(feed: &FeedConfig, allow: &AllowList) -> Result<FeedPlan, ConfigError> {
    let field = |name: &str| format!("feed {}: {name}", feed.name);
    if !(1..=8).contains(&feed.venue.len()) || !feed.venue.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return refuse(field("venue"), format!("{:?}", feed.venue), "1 to 8 letters and digits, such as \"XNAS\"");
    }
    let dialect = dialect(feed)?;
    let calendar = calendar(feed)?;
    let (transport, addresses) = match feed.protocol.is_datagrams() {
        _ if feed.protocol == Protocol::Recorded => (plan_records(feed)?, Vec::new()),
        false => (Transport::Soup(plan_soup(feed, dialect)?), feed.addresses.clone()),
        true => {
            let plan = plan_datagrams(feed, dialect, allow)?;
            let addresses = plan.lines.iter().map(|line| line.address.to_string()).collect();
            (Transport::Datagrams(Box::new(plan)), addresses)
        }
    };
    Ok(FeedPlan {
        name: feed.name.clone(),
        protocol: feed.protocol,
        dialect,
        client_type: feed.client_type,
        venue: feed.venue.clone(),
        only_of_venue: true,
        calendar,
        addresses,
        transport,
        replay: plan_replay(feed)?,
    })
}

fn dialect(feed: &FeedConfig) -> Result<&'static Dialect, ConfigError> {
    let field = format!("feed {}: dialect", feed.name);
    if feed.protocol.iex().is_some() && feed.dialect.is_some() {
        return refuse(field, format!("{:?}", feed.dialect), "no dialect: IEX has one of its own");
    }
    let name = feed.dialect.as_deref().unwrap_or(wire::dialect::NASDAQ_50.name());
    let Some(dialect) = Dialect::by_name(name) else {
        let known: Vec<_> = wire::dialect::ALL.iter().map(|dialect| dialect.name()).collect();
        return refuse(field, format!("{name:?}"), format!("one of {known:?}"));
    };
    if feed.protocol == Protocol::SoupBinTcpItch50 && name != wire::dialect::NASDAQ_50.name() {
        return refuse(
            field,
            format!("{name:?}"),
            "protocol = \"soupbintcp-itch\" for another dialect than nasdaq-5.0",
        );
    }
    Ok(dialect)
}

fn calendar(feed: &FeedConfig) -> Result<Calendar, ConfigError> {
    let field = |name: &str| format!("feed {}: {name}", feed.name);
    let Ok(zone) = TimeZone::get(&feed.time_zone) else {
        return refuse(
            field("time_zone"),
            format!("{:?}", feed.time_zone),
            "an IANA name such as \"America/New_York\"",
        );
    };
    let date = match feed.trading_date.as_deref().map(str::parse::<Date>) {
        None => None,
        Some(Ok(date)) => Some(date),
        Some(Err(_)) => {
            return refuse(field("trading_date"), format!("{:?}", feed.trading_date), "a day such as \"2026-11-20\"");
        }
    };
    Ok(Calendar { zone, date })
}

fn timers(feed: &FeedConfig, dialect: &Dialect) -> ClientTimers {
    let by_dialect = if dialect.name() == wire::dialect::DSE.name() { Profile::Dse } else { Profile::Nasdaq };
    let (silence_ms, login_ms) = match feed.profile.unwrap_or(by_dialect) {
        Profile::Nasdaq => (5_000, 10_000),
        Profile::Dse => (15_000, 15_000),
    };
    ClientTimers {
        heartbeat_interval_ns: ns(feed.heartbeat_interval_ms),
        silence_limit_ns: ns(feed.silence_limit_ms.unwrap_or(silence_ms)),
        login_timeout_ns: ns(feed.login_timeout_ms.unwrap_or(login_ms)),
        logout_wait_ns: ns(feed.logout_wait_ms),
    }
}

fn backoff(feed: &FeedConfig, address_count: usize) -> BackoffConfig {
    BackoffConfig {
        address_count,
        broken_first_ns: ns(feed.reconnect_first_ms),
        broken_max_ns: ns(feed.reconnect_max_ms),
        stable_after_ns: ns(feed.stable_after_ms),
        cold_tries: feed.first_login_tries,
        cold_first_ns: ns(feed.first_login_retry_ms),
        cold_max_ns: ns(feed.first_login_retry_max_ms),
        reject_ns: ns(feed.reject_backoff_ms),
        next_session_ns: ns(feed.next_session_ms),
    }
}

fn login(
    feed: &FeedConfig,
    username: &str,
    password: &Secret,
    timers: ClientTimers,
) -> Result<ClientConfig, ConfigError> {
    ClientConfig::new(username, &password.0, "", 1, timers)
        .or_else(|error| refuse(format!("feed {}", feed.name), error, "a login that SoupBinTCP can carry"))
}

/// Records name their venue, times and instruments themselves.
fn plan_records(feed: &FeedConfig) -> Result<Transport, ConfigError> {
    for (name, absent) in [
        ("addresses", feed.addresses.is_empty()),
        ("lines", feed.lines.is_empty()),
        ("rerequest", feed.rerequest.is_empty()),
        ("glimpse", feed.glimpse.is_none()),
        ("dialect", feed.dialect.is_none()),
    ] {
        if !absent {
            return refuse(
                format!("feed {}: {name}", feed.name),
                "(given)",
                "nothing of a network with protocol \"recorded\"",
            );
        }
    }
    Ok(Transport::Records)
}

fn receive_buffer(feed: &FeedConfig) -> Result<usize, ConfigError> {
    if !(128 << 10..=1 << 30).contains(&feed.receive_buffer_bytes) {
        let field = format!("feed {}: receive_buffer_bytes", feed.name);
        return refuse(field, feed.receive_buffer_bytes, "131072 to 2^30");
    }
    Ok(feed.receive_buffer_bytes)
}

fn plan_soup(feed: &FeedConfig, dialect: &Dialect) -> Result<SoupPlan, ConfigError> {
    let field = |name: &str| format!("feed {}: {name}", feed.name);
    if feed.addresses.is_empty() && feed.replay.is_none() {
        return refuse(field("addresses"), "[]", "at least one \"host:port\"");
    }
    check_addresses(&field("addresses"), &feed.addresses)?;
    for (name, absent) in [
        ("lines", feed.lines.is_empty()),
        ("rerequest", feed.rerequest.is_empty()),
        ("glimpse", feed.glimpse.is_none()),
    ] {
        if !absent {
            return refuse(field(name), "(given)", "this setting only with a protocol of datagrams");
        }
    }
    let receive_buffer_bytes = receive_buffer(feed)?;
    let login = login(feed, &feed.username, &password(feed)?, timers(feed, dialect))?;
    let config = SoupBinConfig { login, backoff: backoff(feed, feed.addresses.len()), receive_buffer_bytes };
    Ok(SoupPlan { config, connect_timeout_ms: feed.connect_timeout_ms })
}

fn plan_datagrams(feed: &FeedConfig, dialect: &Dialect, allow: &AllowList) -> Result<DatagramPlan, ConfigError> {
    let field = |name: &str| format!("feed {}: {name}", feed.name);
    if !feed.addresses.is_empty() {
        return refuse(field("addresses"), format!("{:?}", feed.addresses), "`lines` with a protocol of datagrams");
    }
    if !(1..=2).contains(&feed.lines.len()) && (feed.replay.is_none() || feed.lines.len() > 2) {
        return refuse(field("lines"), feed.lines.len(), "one line, or two: [{ address = \"239.1.1.1:26477\" }]");
    }
    let lines: Vec<LinePlan> =
        feed.lines.iter().map(|config| line(&field("lines"), config)).collect::<Result<_, _>>()?;
    if let Some(line) = lines.iter().find(|line| !allow.allows(line.address.ip())) {
        return refuse(field("lines"), line, "an address inside [feeds] allow");
    }
    if !(64..=65_507).contains(&feed.datagram_bytes) {
        return refuse(field("datagram_bytes"), feed.datagram_bytes, "64 to 65507");
    }
    if !(1 << 12..=1 << 30).contains(&feed.socket_buffer_bytes) {
        return refuse(field("socket_buffer_bytes"), feed.socket_buffer_bytes, "4096 to 2^30");
    }
    check_addresses(&field("rerequest"), &feed.rerequest)?;
    let glimpse = match &feed.glimpse {
        None => None,
        Some(_) if feed.protocol.iex().is_some() => {
            return refuse(field("glimpse"), "(given)", "no images: IEX has none");
        }
        Some(table) => {
            if table.addresses.is_empty() {
                return refuse(field("glimpse.addresses"), "[]", "at least one \"host:port\"");
            }
            check_addresses(&field("glimpse.addresses"), &table.addresses)?;
            let password = table.password.clone().map_or_else(|| password(feed), Ok)?;
            let username = table.username.as_deref().unwrap_or(&feed.username);
            Some(GlimpseConfig {
                login: login(feed, username, &password, timers(feed, dialect))?,
                backoff: backoff(feed, table.addresses.len()),
                receive_buffer_bytes: receive_buffer(feed)?,
                join_tries: table.join_tries,
                limits: SnapshotLimits { max_messages: table.max_messages, time_limit_ns: ns(table.time_limit_ms) },
            })
        }
    };
    let framing = feed.protocol.iex().map_or(Framing::Mold, Framing::IexTp);
    let arbiter = arbiter(feed, &feed.arbiter, glimpse.is_some());
    if let Err(error) = arbiter.validate() {
        return refuse(field("arbiter"), error, "limits in their ranges");
    }
    Ok(DatagramPlan {
        config: DatagramsConfig { framing, arbiter, glimpse },
        lines,
        servers: feed.rerequest.clone(),
        image_servers: feed.glimpse.as_ref().map_or_else(Vec::new, |table| table.addresses.clone()),
        connect_timeout_ms: feed.connect_timeout_ms,
        socket_buffer_bytes: feed.socket_buffer_bytes,
        datagram_bytes: feed.datagram_bytes,
    })
}

fn arbiter(feed: &FeedConfig, table: &ArbiterTable, images: bool) -> ArbiterConfig {
    let safe = ArbiterConfig::default();
    let ms = |told: Option<u64>, default_ns| told.map_or(default_ns, ns);
    let us = |told: Option<u64>, default_ns| told.map_or(default_ns, |us| us.saturating_mul(1_000));
    // With images there is no need to ask for a past that an image tells.
    let start = match table.start {
        Some(StartAt::FirstSeen) => Start::FirstSeen,
        None if images => Start::FirstSeen,
        Some(StartAt::Session) | None => Start::At(1),
    };
    ArbiterConfig {
        lines: feed.lines.len().clamp(1, 2) as u8,
        servers: feed.rerequest.len().min(u8::MAX.into()) as u8,
        start,
        session: table.session.as_ref().map(|name| SessionKey::padded(name.as_bytes())),
        new_session: match table.new_session {
            None => safe.new_session,
            Some(NewSessionRule::Never) => NewSession::Never,
            Some(NewSessionRule::AfterOurs) => NewSession::AfterOurs,
            Some(NewSessionRule::Greater) => NewSession::Greater,
        },
        window_messages: table.window_messages.unwrap_or(safe.window_messages),
        window_bytes: table.window_bytes.unwrap_or(safe.window_bytes),
        max_holes: table.max_holes.unwrap_or(safe.max_holes),
        line_wait_ns: us(table.line_wait_us, safe.line_wait_ns),
        reorder_grace_ns: us(table.reorder_grace_us, safe.reorder_grace_ns),
        request_retry_ns: ms(table.request_retry_ms, safe.request_retry_ns),
        request_tries: table.request_tries.unwrap_or(safe.request_tries),
        request_messages: table.request_messages.unwrap_or(safe.request_messages),
        requests_in_flight: table.requests_in_flight.unwrap_or(safe.requests_in_flight),
        answers_in_parts: feed.protocol.iex().is_some(),
        gap_limit_ns: ms(table.gap_limit_ms, safe.gap_limit_ns),
        end_gap_limit_ns: ms(table.end_gap_limit_ms, safe.end_gap_limit_ns),
        restart_settle_ns: safe.restart_settle_ns,
        restart_after_backward: if feed.protocol.iex().is_some() { RESTART_AFTER_BACKWARD } else { 0 },
        line_dead_after_ns: ms(table.line_dead_after_ms, safe.line_dead_after_ns),
        line_degraded_after_ns: ms(table.line_degraded_after_ms, safe.line_degraded_after_ns),
    }
}

/// The password: from the config, or from the first line of a file that only its owner can read.
fn password(feed: &FeedConfig) -> Result<Secret, ConfigError> {
    let field = format!("feed {}: password_file", feed.name);
    match (&feed.password, &feed.password_file) {
        (Some(_), Some(path)) => refuse(field, path.display(), "either password or password_file, not both"),
        (Some(password), None) => Ok(password.clone()),
        (None, None) => Ok(Secret(String::new())),
        (None, Some(path)) => password_in(field, path),
    }
}

fn password_in(field: String, path: &Path) -> Result<Secret, ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let facts = std::fs::metadata(path);
    let text = facts.and_then(|facts| Ok((facts.permissions().mode(), std::fs::read_to_string(path)?)));
    match text {
        Ok((mode, _)) if mode & 0o007 != 0 => refuse(
            field,
            format!("{} with mode {:04o}", path.display(), mode & 0o7777),
            "a file that others cannot read (chmod o-rwx)",
        ),
        Ok((_, text)) => Ok(Secret(text.lines().next().unwrap_or("").to_owned())),
        Err(error) => refuse(field, format!("{}: {error}", path.display()), "a readable file"),
    }
}
