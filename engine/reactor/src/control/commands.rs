//! What each command does. No socket here: a command comes in, an answer goes out, now or when its outcome is known.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use market::InstrumentIds;
use shm_abi::control::{
    AddressChoice, Command, ControlCounters, DefinedReport, Definition, DefinitionKind, DefinitionsPage, DemandReport,
    FeedDefinition, FeedsPage, InstrumentName, Outcome, PaceChange, Refusal, RefusalCode, Reply, TapSource,
};
use shm_abi::layout::FeedState;
use shm_abi::sys::realtime_ns;

use crate::config::EnginePlan;
use crate::control::config::ControlConfig;
use crate::control::definitions::{Definitions, shown};
use crate::control::demand::{DemandTable, LEASE};
use crate::control::link::{FeedCommand, FeedFacts};
use crate::control::settings::{Revision, Settings, feeds_of};
use crate::control::status::{Feed, state_name};
use crate::ids::IdStore;

/// Bytes of JSON that a page may have: what follows the last thing on it must fit, too.
const PAGE_BYTES: usize = 40 << 10;

/// Changes what is logged; the error says what is wrong with the level.
pub(crate) type LogLevel = Box<dyn Fn(&str) -> Result<(), String> + Send>;

/// What commands work on.
pub(crate) struct Commands {
    pub(crate) feeds: Vec<Feed>,
    pub(crate) config: ControlConfig,
    pub(crate) counters: ControlCounters,
    pub(crate) demand: DemandTable,
    instance: String,
    plan: EnginePlan,
    settings: Settings,
    definitions: Definitions,
    ids: IdStore,
    log_level: LogLevel,
}

/// What comes of a command.
pub(crate) enum Answer {
    Now(Reply),
    /// When the feed has got there, or at the deadline.
    Later(Pending),
    /// Packets of this feed, until there were so many.
    TapFeed {
        feed: usize,
        limit: u64,
    },
    /// Packets of a capture.
    TapPcap {
        path: String,
        dialect: Option<String>,
        limit: u64,
    },
}

/// A command whose outcome is awaited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    feed: usize,
    /// The address to connect; `None`: to disconnect.
    address_index: Option<usize>,
    /// Commands that the feed's task must have taken before its state is an outcome.
    taken: u64,
    deadline: Instant,
}

fn refuse(code: RefusalCode, field: &str, value: impl ToString, expected: impl Into<String>) -> Refusal {
    Refusal { code, ..Refusal::value(field, value, expected) }
}

impl Commands {
    pub(crate) fn new(
        feeds: Vec<Feed>,
        plan: EnginePlan,
        settings: Settings,
        definitions: Definitions,
        ids: IdStore,
        log_level: LogLevel,
    ) -> Commands {
        let (config, instance) = (plan.control.clone(), plan.engine.instance.clone());
        let demand = DemandTable::new(config.demand_max);
        let counters = ControlCounters::default();
        Commands { feeds, config, counters, demand, instance, plan, settings, definitions, ids, log_level }
    }

    /// Does it.
    pub(crate) fn execute(&mut self, connection: u64, command: Command, now: Instant) -> Answer {
        let reply = match command {
            Command::Status { feed, after } => self.status(feed.as_deref(), after.as_deref()).map(Reply::Feeds),
            Command::Connect { feed, address, wait_ms } => return answer(self.connect(&feed, address, wait_ms, now)),
            Command::Disconnect { feed, address, wait_ms } => {
                return answer(self.disconnect(&feed, address, wait_ms, now));
            }
            Command::Pace { feed, pace } => self.pace(&feed, pace),
            Command::Reload {} => self.reload(),
            Command::Define(definition) => self.define(definition),
            Command::Undefine { kind, key } => self.undefine(kind, &key),
            Command::Definitions { kind, after } => Ok(self.list(kind, after.as_deref().unwrap_or(""))),
            Command::Demand { instruments } => self.demand(connection, &instruments, now),
            Command::Tap { source: TapSource::Feed { name }, limit } => {
                return answer(self.find(&name).map(|feed| Answer::TapFeed { feed, limit: limit.unwrap_or(u64::MAX) }));
            }
            Command::Tap { source: TapSource::Pcap { path, dialect }, limit } => {
                return Answer::TapPcap { path, dialect, limit: limit.unwrap_or(u64::MAX) };
            }
            other => Err(refuse(RefusalCode::BadRequest, "command", other.verb(), "a verb that this engine knows")),
        };
        Answer::Now(reply.unwrap_or_else(Reply::Refused))
    }

    fn find(&self, name: &str) -> Result<usize, Refusal> {
        let known = || self.feeds.iter().map(|feed| feed.handle.identity.name.as_str()).collect::<Vec<_>>();
        let found = self.feeds.iter().position(|feed| feed.handle.identity.name == name);
        found.ok_or_else(|| refuse(RefusalCode::NotFound, "feed", name, format!("one of {:?}", known())))
    }

    fn status(&mut self, feed: Option<&str>, after: Option<&str>) -> Result<FeedsPage, Refusal> {
        let chosen: Vec<&Feed> = match feed {
            Some(name) => vec![&self.feeds[self.find(name)?]],
            None => self.feeds.iter().collect(),
        };
        let by_name: BTreeMap<&str, &Feed> =
            chosen.into_iter().map(|feed| (feed.handle.identity.name.as_str(), feed)).collect();
        self.counters.demanded = self.demand.count() as u64;
        self.counters.demand_refused = self.demand.refused;
        let control = self.counters;
        let mut page =
            FeedsPage { instance: self.instance.clone(), pid: std::process::id(), control, ..FeedsPage::default() };
        let (now_ns, mut bytes) = (realtime_ns(), 0);
        for (name, feed) in by_name {
            if after.is_some_and(|after| name <= after) {
                continue;
            }
            if bytes > PAGE_BYTES {
                page.next_after = page.feeds.last().map(|feed| feed.name.clone());
                break;
            }
            let status = feed.status(now_ns);
            bytes += serde_json::to_string(&status).map_or(0, |text| text.len());
            page.feeds.push(status);
        }
        Ok(page)
    }

    fn connect(&mut self, name: &str, choice: AddressChoice, wait_ms: u64, now: Instant) -> Result<Answer, Refusal> {
        let index = self.find(name)?;
        let feed = &self.feeds[index];
        let facts = feed.handle.facts();
        let address_index = choice.index();
        if address_index >= facts.addresses.len() {
            let expected = format!("primary: feed {name} has the addresses {:?}", facts.addresses);
            return Err(refuse(RefusalCode::Invalid, "address", choice.name(), expected));
        }
        if facts.state == FeedState::Live && facts.address_index == Some(address_index) {
            return Ok(Answer::Now(Reply::Outcome(outcome(feed, &facts, "already connected"))));
        }
        self.send(index, FeedCommand::Connect { address_index })?;
        let taken = facts.commands_taken;
        self.soon(Pending { feed: index, address_index: Some(address_index), taken, deadline: now }, wait_ms, now)
    }

    fn disconnect(
        &mut self,
        name: &str,
        choice: Option<AddressChoice>,
        wait_ms: u64,
        now: Instant,
    ) -> Result<Answer, Refusal> {
        let index = self.find(name)?;
        let feed = &self.feeds[index];
        let facts = feed.handle.facts();
        let elsewhere = choice.is_some_and(|choice| facts.address_index != Some(choice.index()));
        if elsewhere || facts.state == FeedState::Closed {
            return Ok(Answer::Now(Reply::Outcome(outcome(feed, &facts, "not connected"))));
        }
        self.send(index, FeedCommand::Disconnect)?;
        let taken = facts.commands_taken;
        self.soon(Pending { feed: index, address_index: None, taken, deadline: now }, wait_ms, now)
    }

    fn pace(&mut self, name: &str, pace: PaceChange) -> Result<Reply, Refusal> {
        let index = self.find(name)?;
        let feed = &self.feeds[index];
        if !feed.handle.identity.is_replay {
            return Err(refuse(
                RefusalCode::Conflict,
                "feed",
                name,
                "a feed that plays a recording: a venue keeps its own pace",
            ));
        }
        self.send(index, FeedCommand::Pace(pace))?;
        Ok(Reply::Outcome(outcome(feed, &feed.handle.facts(), "asked")))
    }

    fn send(&self, index: usize, command: FeedCommand) -> Result<(), Refusal> {
        let feed = &self.feeds[index].handle;
        feed.send(command).map_err(|why| refuse(RefusalCode::Conflict, "feed", &feed.identity.name, why))
    }

    fn soon(&self, pending: Pending, wait_ms: u64, now: Instant) -> Result<Answer, Refusal> {
        let pending = Pending { taken: pending.taken + 1, deadline: now + Duration::from_millis(wait_ms), ..pending };
        Ok(self.outcome_of(&pending, now).map_or(Answer::Later(pending), Answer::Now))
    }

    /// The answer to a command that waits, once there is one.
    pub(crate) fn outcome_of(&self, pending: &Pending, now: Instant) -> Option<Reply> {
        let feed = &self.feeds[pending.feed];
        let facts = feed.handle.facts();
        let there = pending.address_index.is_none_or(|index| facts.address_index == Some(index));
        let moved = facts.changes > facts.changes_when_taken;
        let result = match (pending.address_index, facts.state) {
            _ if facts.commands_taken < pending.taken => None,
            (Some(_), FeedState::Live) if there => Some("connected"),
            (Some(_), FeedState::Rejected) if there && moved => Some("rejected"),
            (Some(_), FeedState::Reconnecting) if there && moved => Some("failed"),
            (Some(_), FeedState::EndOfSession) if there && moved => Some("end of session"),
            (None, FeedState::Closed) => Some("closed"),
            _ => None,
        };
        let late = if pending.address_index.is_some() { "connecting" } else { "closing" };
        let result = result.or((now >= pending.deadline).then_some(late))?;
        Some(Reply::Outcome(outcome(feed, &facts, result)))
    }

    /// Reads the config again. Also on SIGHUP.
    pub(crate) fn reload(&mut self) -> Result<Reply, Refusal> {
        let revised = self.settings.reread(&self.definitions).and_then(|revision| self.apply(revision));
        match revised {
            Ok(report) => {
                self.counters.reloads += 1;
                for change in &report.needs_restart {
                    tracing::warn!(setting = change.setting, from = change.from, to = change.to, "needs a restart");
                }
                for change in &report.applied {
                    tracing::info!(setting = change.setting, from = change.from, to = change.to, "reloaded");
                }
                Ok(Reply::Reloaded(report))
            }
            Err(refusal) => {
                self.counters.reloads_refused += 1;
                tracing::error!(%refusal, "reload refused: the config in force stays");
                Err(refusal)
            }
        }
    }

    /// Takes up what can be taken up.
    fn apply(&mut self, revision: Revision) -> Result<shm_abi::control::ReloadReport, Refusal> {
        if revision.applies("engine.log_level") {
            let level = &revision.plan.engine.log_level;
            (self.log_level)(level).map_err(|why| refuse(RefusalCode::Invalid, "engine.log_level", level, why))?;
        }
        let all = revision.applies("feeds.allow");
        for plan in feeds_of(&revision.plan) {
            let index = self.feeds.iter().position(|feed| feed.handle.identity.name == plan.name);
            let Some(index) = index.filter(|_| all || revision.feeds.contains(&plan.name)) else { continue };
            let settings = FeedCommand::Settings { plan: Box::new(plan.clone()), allow: revision.plan.allow.clone() };
            // A task that has ended needs no settings; one that takes no commands is told of in the log.
            if let Err(refusal) = self.send(index, settings) {
                tracing::error!(%refusal, "new settings were not taken");
            }
        }
        self.plan = revision.plan.clone();
        self.config = revision.plan.control.clone();
        self.demand.max = self.config.demand_max;
        let report = revision.report.clone();
        self.settings.take(revision);
        Ok(report)
    }

    fn define(&mut self, definition: Definition) -> Result<Reply, Refusal> {
        match &definition {
            Definition::Feed(feed) => self.check_addresses(feed)?,
            Definition::Calendar(calendar) if TimeZone::get(&calendar.time_zone).is_err() => {
                return Err(Refusal::value("time_zone", &calendar.time_zone, "an IANA name such as \"Asia/Dhaka\""));
            }
            _ => {}
        }
        let (kind, key) = (definition.kind(), definition.key());
        let before = self.definitions.get(kind, &key).cloned();
        let instrument = definition.instrument();
        let changed = self.definitions.insert(definition)?;
        let id = instrument.map(|name| self.ids.id_for(&name.venue, &name.symbol)).transpose();
        let id = match id {
            Ok(id) => id,
            Err(error) => {
                self.undo(kind, &key, before);
                return Err(refuse(RefusalCode::Failed, "symbol", &error.symbol, error.why));
            }
        };
        let report = DefinedReport { kind, key, changed, in_force: true, instrument_id: id, needs_restart: Vec::new() };
        self.follow_feeds(report, before)
    }

    fn undefine(&mut self, kind: DefinitionKind, key: &str) -> Result<Reply, Refusal> {
        let before = self.definitions.get(kind, key).cloned();
        let changed = self.definitions.remove(kind, key)?;
        let (key, instrument_id) = (key.to_owned(), None);
        let report = DefinedReport { kind, key, changed, in_force: true, instrument_id, needs_restart: Vec::new() };
        self.follow_feeds(report, before)
    }

    /// A feed's definition is part of the config: takes it up as far as it can be.
    fn follow_feeds(&mut self, mut report: DefinedReport, before: Option<Definition>) -> Result<Reply, Refusal> {
        if report.kind != DefinitionKind::Feed {
            return Ok(Reply::Defined(report));
        }
        match self.settings.redefine(&self.definitions) {
            Ok(revision) => {
                report.in_force = !revision.needs_restart_for(&report.key);
                report.needs_restart.clone_from(&revision.report.needs_restart);
                self.apply(revision)?;
                Ok(Reply::Defined(report))
            }
            Err(refusal) => {
                self.undo(report.kind, &report.key, before);
                Err(refusal)
            }
        }
    }

    /// Puts a definition back that could not be taken up.
    fn undo(&mut self, kind: DefinitionKind, key: &str, before: Option<Definition>) {
        let undone = match before {
            Some(definition) => self.definitions.insert(definition),
            None => self.definitions.remove(kind, key),
        };
        if let Err(refusal) = undone {
            tracing::error!(%refusal, kind = kind.name(), key, "a refused definition could not be taken out again");
        }
    }

    /// Addresses that are no names are held against the list now; names are when they are dialled.
    fn check_addresses(&self, feed: &FeedDefinition) -> Result<(), Refusal> {
        let outside = feed.addresses.iter().find(|text| {
            text.parse::<std::net::SocketAddr>().is_ok_and(|address| !self.plan.allow.allows(address.ip()))
        });
        match outside {
            Some(address) => Err(refuse(
                RefusalCode::NotAllowed,
                "addresses",
                address,
                "an address inside [feeds] allow of the engine's config: add its network there and reload",
            )),
            None => Ok(()),
        }
    }

    fn list(&self, kind: DefinitionKind, after: &str) -> Reply {
        let (mut page, mut bytes) = (DefinitionsPage::default(), 0);
        for definition in self.definitions.of_kind(kind, after) {
            if bytes > PAGE_BYTES {
                page.next_after = page.definitions.last().map(Definition::key);
                break;
            }
            let definition = shown(definition);
            bytes += serde_json::to_string(&definition).map_or(0, |text| text.len());
            page.definitions.push(definition);
        }
        Reply::Definitions(page)
    }

    fn demand(&mut self, connection: u64, instruments: &[InstrumentName], now: Instant) -> Result<Reply, Refusal> {
        self.demand.expire(now);
        self.demand.replace(connection, instruments, now).map_err(|held| {
            refuse(RefusalCode::Limit, "instruments", held, format!("at most control.demand_max = {}", self.demand.max))
        })?;
        let held = instruments.iter().collect::<std::collections::BTreeSet<_>>().len() as u64;
        let lease_ms = LEASE.as_millis() as u64;
        Ok(Reply::Demand(DemandReport { held, in_all: self.demand.count() as u64, lease_ms }))
    }
}

fn answer(result: Result<Answer, Refusal>) -> Answer {
    result.unwrap_or_else(|refusal| Answer::Now(Reply::Refused(refusal)))
}

fn outcome(feed: &Feed, facts: &FeedFacts, result: &str) -> Outcome {
    let (session, next_sequence) = feed.place();
    let address = facts.address_index.and_then(|index| facts.addresses.get(index)).cloned();
    Outcome {
        result: result.into(),
        feed: feed.handle.identity.name.clone(),
        state: state_name(facts.state).into(),
        reason: facts.reason.clone(),
        address,
        session: session.filter(|_| facts.state == FeedState::Live),
        next_sequence,
    }
}
