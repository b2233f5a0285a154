//! What datasets and symbols are called.

use std::collections::HashSet;

use shm_abi::directory::Instrument;

use super::ExportError;

/// Characters of a dataset.
const DATASET_CHARS: usize = 15;

/// Behind the venue in a dataset's name.
const DATASET_SUFFIX: &str = ".TICKLANE";

/// The dataset: what was asked for, or by the venue of the first instrument.
pub(super) fn dataset(asked: Option<&str>, instruments: &[Instrument]) -> Result<String, ExportError> {
    if let Some(asked) = asked {
        let fits = (1..=DATASET_CHARS).contains(&asked.len()) && asked.bytes().all(|byte| byte.is_ascii_graphic());
        return if fits {
            Ok(asked.to_string())
        } else {
            Err(ExportError::Option {
                option: "dataset",
                seen: asked.to_string(),
                expected: "1 to 15 characters of ASCII without spaces",
            })
        };
    }
    let venue = instruments.first().map_or("", |instrument| instrument.venue.as_str());
    let venue: String = venue.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut name = venue.to_ascii_uppercase() + DATASET_SUFFIX;
    name.truncate(DATASET_CHARS);
    Ok(name.trim_start_matches('.').to_string())
}

/// Symbols that are unique within a file, by the order in which instruments come.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    taken: HashSet<String>,
}

impl Symbols {
    /// The symbol of an instrument that was not named yet.
    pub(super) fn name(&mut self, instrument: &Instrument) -> String {
        let symbol = instrument.symbol.as_str();
        let id = instrument.instrument_id;
        let names = [symbol.to_string(), format!("{symbol}.{}", instrument.venue), format!("{symbol}.{id}")];
        let free = names.into_iter().find(|name| !name.is_empty() && !self.taken.contains(name));
        let name = free.unwrap_or_else(|| id.to_string());
        self.taken.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_are_named_by_the_venue_or_as_asked() {
        let at = |venue: &str| [Instrument::equity(1, b"A", venue.as_bytes())];
        let table: &[(&str, Option<&str>, &[Instrument], Option<&str>)] = &[
            ("by the venue", None, &at("dse"), Some("DSE.TICKLANE")),
            ("the longest venue is cut", None, &at("EXCHANGE"), Some("EXCHANGE.TICKLA")),
            ("no instrument", None, &[], Some("TICKLANE")),
            ("as asked", Some("XNAS.ITCH"), &at("dse"), Some("XNAS.ITCH")),
            ("empty", Some(""), &[], None),
            ("too long", Some("ABCDEFGHIJKLMNOP"), &[], None),
            ("not ASCII", Some("DÄX"), &[], None),
            ("a space", Some("A B"), &[], None),
        ];
        for (name, asked, instruments, want) in table {
            assert_eq!(dataset(*asked, instruments).ok().as_deref(), *want, "case: {name}");
        }
    }

    #[test]
    fn symbols_are_unique() {
        let mut symbols = Symbols::default();
        let mut name =
            |id, symbol: &str, venue: &str| symbols.name(&Instrument::equity(id, symbol.as_bytes(), venue.as_bytes()));
        assert_eq!(name(1, "ABC", "X"), "ABC");
        assert_eq!(name(2, "ABC", "Y"), "ABC.Y");
        assert_eq!(name(3, "ABC", "Y"), "ABC.3");
        assert_eq!(name(4, "", ""), ".");
        assert_eq!(name(5, "", ""), ".5");
    }
}
