//! The config as it is in force: the file, with the feeds that were defined by command over it, and what of a newer file
//! can be taken up while the engine runs.
//!
//! Files are compared as text keys and values, not as the types that they become: whatever setting is added elsewhere is
//! told as needing a restart until it is named here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shm_abi::control::{
    Change, Definition, DefinitionKind, FeedDefinition, Refusal, RefusalCode, ReloadReport, Setting,
};
use toml::{Table, Value};

use crate::config::{Config, ConfigError, EnginePlan, FeedPlan};
use crate::control::definitions::{Definitions, is_secret};

/// Tables of the config that are lists of named things.
const NAMED: [&str; 2] = ["feed", "lane"];
/// How a setting that is not there is told.
const ABSENT: &str = "(absent)";

/// A setting's place: table, name where the table is a list, key.
type Place = Vec<String>;

/// The config as it is in force.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    path: PathBuf,
    /// The file as it was last read and found good.
    file: Table,
    /// What is in force: of the start, with everything taken up since.
    running: Table,
}

/// What can be taken up, and what it makes.
#[derive(Debug)]
pub(crate) struct Revision {
    next: Settings,
    /// The plan that is then in force.
    pub(crate) plan: EnginePlan,
    pub(crate) report: ReloadReport,
    /// Feeds whose settings are different.
    pub(crate) feeds: Vec<String>,
}

impl Revision {
    /// Whether a setting of this table is different, and in force.
    pub(crate) fn applies(&self, prefix: &str) -> bool {
        self.report.applied.iter().any(|change| change.setting.starts_with(prefix))
    }

    /// Whether everything about the feed is in force.
    pub(crate) fn needs_restart_for(&self, feed: &str) -> bool {
        let name = format!("feed {feed}");
        let concerns =
            |setting: &str| setting.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        self.report.needs_restart.iter().any(|change| concerns(&change.setting))
    }
}

fn read_file(path: &Path) -> Result<(Table, Config), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    let syntax = |source| ConfigError::Syntax { path: path.into(), source };
    // Twice from the text: the types give errors with their line, the table is what is compared.
    let config = toml::from_str(&text).map_err(syntax)?;
    Ok((toml::from_str(&text).map_err(syntax)?, config))
}

/// The file with the defined feeds in it, each in place of one of its name.
fn overlay(file: &Table, definitions: &Definitions) -> Table {
    let mut table = file.clone();
    for definition in definitions.of_kind(DefinitionKind::Feed, "") {
        let Definition::Feed(feed) = definition else { continue };
        let feeds = table.entry("feed").or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(feeds) = feeds else { continue };
        let defined = Value::Table(feed_table(feed));
        match feeds.iter_mut().find(|other| other.get("name").and_then(Value::as_str) == Some(&feed.name)) {
            Some(place) => *place = defined,
            None => feeds.push(defined),
        }
    }
    table
}

fn feed_table(feed: &FeedDefinition) -> Table {
    let texts = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect());
    let mut table = Table::new();
    for (key, setting) in &feed.settings {
        let value = match setting {
            Setting::Flag(flag) => Value::Boolean(*flag),
            Setting::Number(number) => Value::Integer(*number),
            Setting::Text(text) => Value::String(text.clone()),
            Setting::Texts(all) => texts(all),
        };
        table.insert(key.clone(), value);
    }
    // Last, so that no further setting can stand in for one of these.
    for (key, text) in [("name", &feed.name), ("lane", &feed.lane), ("protocol", &feed.protocol)] {
        table.insert(key.into(), Value::String(text.clone()));
    }
    table.insert("addresses".into(), texts(&feed.addresses));
    table
}

fn plan_of(table: &Table, path: &Path) -> Result<EnginePlan, ConfigError> {
    let config: Config =
        table.clone().try_into().map_err(|source| ConfigError::Syntax { path: path.into(), source })?;
    config.plan()
}

/// Every setting of a table by its place.
fn flatten(table: &Table) -> BTreeMap<Place, &Value> {
    let mut flat = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                flat.extend(inner.iter().map(|(name, value)| (vec![key.clone(), name.clone()], value)))
            }
            Value::Array(all) if NAMED.contains(&key.as_str()) => {
                for (name, thing) in all.iter().filter_map(named) {
                    flat.extend(thing.iter().map(|(k, value)| (vec![key.clone(), name.into(), k.clone()], value)));
                }
            }
            value => drop(flat.insert(vec![key.clone()], value)),
        }
    }
    flat
}

fn named(value: &Value) -> Option<(&str, &Table)> {
    let table = value.as_table()?;
    Some((table.get("name")?.as_str()?, table))
}

/// Whether a running engine can take this setting up.
fn is_live(place: &[String]) -> bool {
    let parts: Vec<&str> = place.iter().map(String::as_str).collect();
    match parts[..] {
        ["feeds", "allow"] | ["engine", "log_level"] | ["feed", _, "addresses"] => true,
        ["feed", _, key] => key.ends_with("_ms"),
        ["control", key] => !matches!(key, "enabled" | "group" | "definitions_max"),
        _ => false,
    }
}

/// Such as `feed nasdaq: silence_limit_ms`, `engine.log_level`.
fn setting_of(place: &[String]) -> String {
    match place {
        [table, name, key] => format!("{table} {name}: {key}"),
        parts => parts.join("."),
    }
}

fn change(place: &[String], from: Option<&Value>, to: Option<&Value>) -> Change {
    let secret = place.last().is_some_and(|key| is_secret(key));
    let shown = |value: Option<&Value>| match value {
        None => ABSENT.into(),
        Some(_) if secret => "***".into(),
        Some(value) => value.to_string(),
    };
    Change { setting: setting_of(place), from: shown(from), to: shown(to) }
}

/// Names of the things of a list.
fn names<'t>(table: &'t Table, list: &str) -> Vec<&'t str> {
    let all = table.get(list).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(named).map(|(name, _)| name).collect()
}

/// Sets or removes a setting of a thing that is there.
fn set(table: &mut Table, place: &[String], value: Option<&Value>) {
    let target = match place {
        [list, name, _] => {
            let all = table.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
            let mut all = all.filter_map(Value::as_table_mut);
            all.find(|thing| thing.get("name").and_then(Value::as_str) == Some(name))
        }
        [name, _] => table.entry(name.clone()).or_insert_with(|| Value::Table(Table::new())).as_table_mut(),
        _ => None,
    };
    let (Some(target), Some(key)) = (target, place.last()) else { return };
    match value {
        Some(value) => drop(target.insert(key.clone(), value.clone())),
        None => drop(target.remove(key)),
    }
}

impl Settings {
    /// Reads the config, and the definitions of its state directory, for a start.
    ///
    /// # Errors
    /// The text to refuse the start with.
    pub(crate) fn read(path: &Path) -> Result<(Settings, Definitions, EnginePlan), String> {
        let (file, config) = read_file(path).map_err(|error| error.to_string())?;
        let definitions = Definitions::open(&config.engine.state_dir, config.control.definitions_max)
            .map_err(|error| error.to_string())?;
        let running = overlay(&file, &definitions);
        let plan = plan_of(&running, path).map_err(|error| error.to_string())?;
        Ok((Settings { path: path.into(), file, running }, definitions, plan))
    }

    /// What the file says now, with these definitions over it.
    ///
    /// # Errors
    /// [`Refusal`]; the settings in force stay.
    pub(crate) fn reread(&self, definitions: &Definitions) -> Result<Revision, Refusal> {
        let (file, _) = read_file(&self.path).map_err(|error| refusal(&error))?;
        self.revise(file, definitions)
    }

    /// What the definitions make of the file as it was last read.
    ///
    /// # Errors
    /// [`Refusal`]; the settings in force stay.
    pub(crate) fn redefine(&self, definitions: &Definitions) -> Result<Revision, Refusal> {
        self.revise(self.file.clone(), definitions)
    }

    /// Takes a revision up.
    pub(crate) fn take(&mut self, revision: Revision) {
        *self = revision.next;
    }

    fn revise(&self, file: Table, definitions: &Definitions) -> Result<Revision, Refusal> {
        let wanted = overlay(&file, definitions);
        // The whole of it must be able to start, or a restart would find an engine that does not.
        let plan = plan_of(&wanted, &self.path).map_err(|error| refusal(&error))?;
        crate::preflight::check(&plan).map_err(|obstacle| Refusal {
            code: RefusalCode::Invalid,
            field: self.path.display().to_string(),
            value: obstacle.to_string(),
            expected: "a config that this machine can run".into(),
        })?;
        let (mut report, mut running) = (ReloadReport::default(), self.running.clone());
        let mut feeds = Vec::new();
        for list in NAMED {
            let (old, new) = (names(&self.running, list), names(&wanted, list));
            let told = |name: &&str, from: &str, to: &str| Change {
                setting: format!("{list} {name}"),
                from: from.into(),
                to: to.into(),
            };
            report.needs_restart.extend(new.iter().filter(|n| !old.contains(n)).map(|n| told(n, ABSENT, "(present)")));
            report.needs_restart.extend(old.iter().filter(|n| !new.contains(n)).map(|n| told(n, "(present)", ABSENT)));
        }
        let (old, new) = (flatten(&self.running), flatten(&wanted));
        let places: std::collections::BTreeSet<&Place> = old.keys().chain(new.keys()).collect();
        for place in places {
            let (from, to) = (old.get(place).copied(), new.get(place).copied());
            // What is there only once was told as a whole.
            let [list, name, ..] = &place[..] else { continue };
            let one_sided = place.len() == 3
                && (!names(&self.running, list).contains(&name.as_str())
                    || !names(&wanted, list).contains(&name.as_str()));
            if from == to || one_sided {
                continue;
            }
            if is_live(place) {
                set(&mut running, place, to);
                report.applied.push(change(place, from, to));
                if list == "feed" && !feeds.contains(name) {
                    feeds.push(name.clone());
                }
            } else {
                report.needs_restart.push(change(place, from, to));
            }
        }
        let plan = plan_of(&running, &self.path).map_err(|error| refusal(&error))?;
        Ok(Revision { next: Settings { path: self.path.clone(), file, running }, plan, report, feeds })
    }
}

/// Every feed of a plan.
pub(crate) fn feeds_of(plan: &EnginePlan) -> impl Iterator<Item = &FeedPlan> {
    plan.lanes.iter().map(|lane| &lane.feed)
}

/// A config that is not good, as an answer.
fn refusal(error: &ConfigError) -> Refusal {
    let code = RefusalCode::Invalid;
    match error {
        ConfigError::Value { field, value, expected } => {
            Refusal { code, field: field.clone(), value: value.clone(), expected: expected.clone() }
        }
        ConfigError::Syntax { path, source } => Refusal {
            code,
            field: path.display().to_string(),
            // Without the line itself, which may hold a password.
            value: source.message().into(),
            expected: "a config that this engine understands".into(),
        },
        ConfigError::Read { path, source } => Refusal {
            code,
            field: path.display().to_string(),
            value: source.to_string(),
            expected: "a file that the engine can read".into(),
        },
    }
}

#[cfg(test)]
mod tests;
