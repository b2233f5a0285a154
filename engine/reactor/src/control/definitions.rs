//! What the engine was told and keeps: one file in the state directory, replaced as a whole.
//!
//! The first line is `ticklane-definitions 1 CHECKSUM BYTES`, then one definition a line, in JSON. A new file is written
//! beside the old one, made durable, and renamed over it: a crash leaves the old or the new one, never a mixture. The
//! file may hold passwords of feeds, so only its owner can read it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use shm_abi::control::{Definition, DefinitionKind, Refusal, RefusalCode, Setting};

/// Name of the file in the state directory.
const FILE_NAME: &str = "definitions.jsonl";
/// First word of the file.
const MAGIC: &str = "ticklane-definitions";
/// Version of its form.
const FORM: &str = "1";
/// Largest file that is read: definitions have bounded fields, and their number has a limit.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DefinitionsError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {what}; restore it from a copy, or move it away to start without definitions")]
    Broken { path: PathBuf, what: String },
}

/// Every definition, and the file that keeps them.
#[derive(Debug)]
pub(crate) struct Definitions {
    path: PathBuf,
    max: usize,
    all: BTreeMap<(DefinitionKind, String), Definition>,
}

/// FNV-1a: finds damage, not forgery; the directory is ours.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

impl Definitions {
    /// Reads the file; none is as good as an empty one.
    pub(crate) fn open(state_dir: &Path, max: usize) -> Result<Definitions, DefinitionsError> {
        let path = state_dir.join(FILE_NAME);
        let io = |source| DefinitionsError::Io { path: path.clone(), source };
        let text = match std::fs::metadata(&path) {
            Ok(facts) if facts.len() > FILE_BYTES_MAX => {
                let what = format!("{} bytes long: expected at most {FILE_BYTES_MAX}", facts.len());
                return Err(DefinitionsError::Broken { path, what });
            }
            Ok(_) => std::fs::read(&path).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Definitions { path, max, all: BTreeMap::new() });
            }
            Err(error) => return Err(io(error)),
        };
        match read(&text) {
            Ok(all) => Ok(Definitions { path, max, all }),
            Err(what) => Err(DefinitionsError::Broken { path, what }),
        }
    }

    /// Number of definitions.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// What is defined under this key.
    pub(crate) fn get(&self, kind: DefinitionKind, key: &str) -> Option<&Definition> {
        self.all.get(&(kind, key.to_owned()))
    }

    /// Every definition, of one kind, whose key comes after `after`.
    pub(crate) fn of_kind(&self, kind: DefinitionKind, after: &str) -> impl Iterator<Item = &Definition> {
        let from = (Bound::Excluded((kind, after.to_owned())), Bound::Unbounded);
        self.all.range(from).take_while(move |((other, _), _)| *other == kind).map(|(_, definition)| definition)
    }

    /// Keeps `definition`, durably. Whether anything is different from before.
    ///
    /// # Errors
    /// [`Refusal`] when there are too many, or the file cannot be written; then nothing is different.
    pub(crate) fn insert(&mut self, definition: Definition) -> Result<bool, Refusal> {
        let key = (definition.kind(), definition.key());
        let before = self.all.get(&key).cloned();
        match &before {
            Some(old) if *old == definition => return Ok(false),
            None if self.all.len() >= self.max => {
                let expected = "fewer definitions, or a larger control.definitions_max".to_owned();
                let (code, value) = (RefusalCode::Limit, self.all.len().to_string());
                return Err(Refusal { code, field: "definitions".into(), value, expected });
            }
            _ => {}
        }
        self.all.insert(key.clone(), definition);
        self.save_or(key, before)
    }

    /// Forgets what is defined under this key, durably. Whether there was anything.
    ///
    /// # Errors
    /// As for [`Definitions::insert`].
    pub(crate) fn remove(&mut self, kind: DefinitionKind, key: &str) -> Result<bool, Refusal> {
        let key = (kind, key.to_owned());
        match self.all.remove(&key) {
            None => Ok(false),
            removed => self.save_or(key, removed),
        }
    }

    /// Saves; puts `before` back when that fails.
    fn save_or(&mut self, key: (DefinitionKind, String), before: Option<Definition>) -> Result<bool, Refusal> {
        self.save().map(|()| true).map_err(|error| {
            match before {
                Some(old) => self.all.insert(key, old),
                None => self.all.remove(&key),
            };
            let (field, value) = (self.path.display().to_string(), error.to_string());
            Refusal { code: RefusalCode::Failed, field, value, expected: "a state directory with room".into() }
        })
    }

    fn save(&self) -> io::Result<()> {
        let mut body = Vec::new();
        for definition in self.all.values() {
            serde_json::to_writer(&mut body, definition)?;
            body.push(b'\n');
        }
        let beside = self.path.with_extension("new");
        // A leftover of a killed engine is nobody's: the state directory is locked by us.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        writeln!(file, "{MAGIC} {FORM} {:016x} {}", checksum(&body), body.len())?;
        file.write_all(&body)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        let dir = self.path.parent().expect("the file stands in the state directory");
        File::open(dir)?.sync_all()
    }
}

fn read(text: &[u8]) -> Result<BTreeMap<(DefinitionKind, String), Definition>, String> {
    let end = text.iter().position(|byte| *byte == b'\n').ok_or("its first line is cut")?;
    let (head, body) = (String::from_utf8_lossy(&text[..end]), &text[end + 1..]);
    let fields: Vec<&str> = head.split(' ').collect();
    let [MAGIC, form, sum, length] = fields[..] else {
        return Err(format!("its first line is {head:?}: expected `{MAGIC} {FORM} CHECKSUM BYTES`"));
    };
    if form != FORM {
        return Err(format!("form {form}: expected {FORM}, the only one that this engine knows"));
    }
    if length.parse() != Ok(body.len()) {
        return Err(format!("{} bytes of definitions: its first line says {length}", body.len()));
    }
    let seen = format!("{:016x}", checksum(body));
    if sum != seen {
        return Err(format!("checksum {seen}: its first line says {sum}"));
    }
    let mut all = BTreeMap::new();
    for (index, line) in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let definition: Definition =
            serde_json::from_slice(line).map_err(|error| format!("definition {}: {error}", index + 1))?;
        definition.check().map_err(|refusal| format!("definition {}: {refusal}", index + 1))?;
        all.insert((definition.kind(), definition.key()), definition);
    }
    Ok(all)
}

/// The definition without what must not be shown.
pub(crate) fn shown(definition: &Definition) -> Definition {
    let mut shown = definition.clone();
    if let Definition::Feed(feed) = &mut shown {
        for (key, setting) in &mut feed.settings {
            if is_secret(key) {
                *setting = Setting::Text("***".into());
            }
        }
    }
    shown
}

/// Whether a setting's value is never shown.
pub(crate) fn is_secret(key: &str) -> bool {
    key == "password"
}

#[cfg(test)]
mod tests {
    use shm_abi::control::{FeedDefinition, MappingDefinition};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn mapping(symbol: &str) -> Definition {
        Definition::Mapping(MappingDefinition {
            provider: "dhan".into(),
            provider_symbol: symbol.into(),
            venue: "XNSE".into(),
            symbol: symbol.into(),
        })
    }

    #[test]
    fn definitions_last_and_the_same_again_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut definitions = Definitions::open(dir.path(), 3).unwrap();
        assert!(definitions.insert(mapping("b")).unwrap());
        let facts = std::fs::metadata(dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(facts.mode() & 0o777, 0o600);
        assert!(!definitions.insert(mapping("b")).unwrap());
        assert_eq!(std::fs::metadata(dir.path().join(FILE_NAME)).unwrap().ino(), facts.ino(), "not written again");
        assert!(definitions.insert(mapping("a")).unwrap());
        assert!(definitions.insert(mapping("c")).unwrap());
        let refusal = definitions.insert(mapping("d")).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), (RefusalCode::Limit, "definitions"));
        assert!(!definitions.insert(mapping("c")).unwrap(), "what is there is no new one");
        let again = Definitions::open(dir.path(), 3).unwrap();
        let keys: Vec<String> = again.of_kind(DefinitionKind::Mapping, "dhan/a").map(Definition::key).collect();
        assert_eq!(keys, ["dhan/b", "dhan/c"]);
        assert!(definitions.remove(DefinitionKind::Mapping, "dhan/b").unwrap());
        assert!(!definitions.remove(DefinitionKind::Mapping, "dhan/b").unwrap());
        assert_eq!(Definitions::open(dir.path(), 3).unwrap().count(), 2);
    }

    #[test]
    fn a_damaged_file_is_told_and_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        Definitions::open(dir.path(), 9).unwrap().insert(mapping("abc")).unwrap();
        let good = std::fs::read(&path).unwrap();
        let whole = Definitions::open(dir.path(), 9).unwrap();
        assert_eq!(whole.get(DefinitionKind::Mapping, "dhan/abc"), Some(&mapping("abc")));
        // Every byte, changed and cut: an error that names the file, never a panic, and nothing accepted in silence.
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 0x11;
            for bytes in [&changed, &good[..at].to_vec()] {
                std::fs::write(&path, bytes).unwrap();
                let error = Definitions::open(dir.path(), 9).unwrap_err().to_string();
                assert!(error.contains(FILE_NAME) && error.contains("restore it from a copy"), "{at}: {error}");
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut definitions = Definitions::open(dir.path(), 9).unwrap();
        definitions.insert(mapping("a")).unwrap();
        // A directory in the way of the new file: it cannot be removed as a file.
        std::fs::create_dir(dir.path().join(FILE_NAME).with_extension("new")).unwrap();
        let refusal = definitions.insert(mapping("b")).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::Failed);
        assert!(definitions.remove(DefinitionKind::Mapping, "dhan/a").is_err());
        assert_eq!(definitions.count(), 1);
        assert!(definitions.get(DefinitionKind::Mapping, "dhan/a").is_some());
    }

    #[test]
    fn passwords_are_kept_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let settings = [("password".to_owned(), Setting::Text("hush".into()))].into();
        let feed = Definition::Feed(FeedDefinition {
            name: "dse".into(),
            lane: "lane0".into(),
            protocol: "soupbintcp-itch".into(),
            addresses: vec!["127.0.0.1:1".into()],
            settings,
        });
        Definitions::open(dir.path(), 9).unwrap().insert(feed.clone()).unwrap();
        let kept = Definitions::open(dir.path(), 9).unwrap();
        assert_eq!(kept.get(DefinitionKind::Feed, "dse"), Some(&feed));
        assert!(!serde_json::to_string(&shown(&feed)).unwrap().contains("hush"));
    }
}
