//! What `databento` and `pyarrow` read in our files, against what was on the bus.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use journal::export::{Format, Schema};
use serde_json::{Value, json};
use shm_abi::record::{Body, PRICE_NONE, QUANTITY_NONE, Record, flag};

use crate::market::{Day, day};

/// What the script needs.
const PACKAGES: [&str; 3] = ["databento", "databento-dbn", "pyarrow"];

fn skipped(why: &str) {
    // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
    let _ = std::io::stderr().write_all(format!("\nSKIPPED ({why}): tick files read by Python\n").as_bytes());
}

/// A Python with the packages, in a virtual environment beside the test programs; made once.
fn python() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    let venv = target.unwrap_or(Path::new(env!("CARGO_TARGET_TMPDIR"))).join("python-tick-files");
    let python = venv.join("bin/python");
    let imports = |python: &Path| {
        let output = Command::new(python).args(["-c", "import databento, databento_dbn, pyarrow.parquet"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if imports(&python) {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv).output();
    if !made.is_ok_and(|output| output.status.success()) {
        skipped("python3 -m venv does not work");
        return None;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let installed = Command::new(&python).args(pip).args(PACKAGES).output().unwrap();
    if !installed.status.success() || !imports(&python) {
        let why = String::from_utf8_lossy(&installed.stderr).lines().last().unwrap_or("no reason given").to_owned();
        skipped(&format!("pip install {}: {why}", PACKAGES.join(" ")));
        return None;
    }
    Some(python)
}

/// Sums of a schema's rows: by action, by symbol; prices and sizes where there are any.
#[derive(Default)]
struct Sums {
    rows: u64,
    actions: BTreeMap<String, u64>,
    symbols: BTreeMap<String, u64>,
    price: i128,
    quantity: u128,
}

impl Sums {
    fn row(&mut self, action: char, symbol: &str, price: i64, quantity: u64) {
        self.rows += 1;
        *self.actions.entry(action.into()).or_default() += 1;
        *self.symbols.entry(symbol.into()).or_default() += 1;
        self.price += if price == PRICE_NONE { 0 } else { price.into() };
        self.quantity += if quantity == QUANTITY_NONE { 0 } else { quantity.into() };
    }

    /// Sums as text: they are larger than what JSON's readers agree about.
    fn json(&self) -> Value {
        json!({
            "rows": self.rows,
            "actions": self.actions,
            "symbols": self.symbols,
            "price": self.price.to_string(),
            "quantity": self.quantity.to_string(),
        })
    }
}

/// From the records alone, without the exporter: what each schema must hold.
fn wanted(day: &Day, schema: Schema) -> Value {
    let symbol = |id: u32| {
        let instrument = day.instruments.iter().find(|instrument| instrument.instrument_id == id);
        instrument.unwrap().symbol.to_string()
    };
    let mut sums = Sums::default();
    if schema == Schema::Definitions {
        day.instruments.iter().for_each(|instrument| sums.row('A', instrument.symbol.as_str(), 0, 0));
        return sums.json();
    }
    let mut quotes: BTreeMap<(u32, u8), i64> = BTreeMap::new();
    for (n, words) in day.ring(schema.ring()) {
        let record = Record::new(*n, words).unwrap();
        let (id, kind) = (record.head.instrument_id, char::from(record.head.kind));
        match (schema, record.body()) {
            (Schema::Orders, Body::Order { price, quantity, .. }) => sums.row(kind, &symbol(id), price, quantity),
            (Schema::Orders | Schema::Trades, Body::Trade { price, quantity, .. })
                if record.head.flags & flag::NOT_PRINTED == 0 =>
            {
                sums.row(kind, &symbol(id), price, quantity);
            }
            (Schema::Orders | Schema::Quotes, Body::Clear { .. }) => {
                quotes.retain(|(of, _), _| *of != id);
                sums.row(kind, &symbol(id), PRICE_NONE, 0);
            }
            (Schema::Quotes, Body::Quote { price, quantity, .. }) => {
                let before = quotes.insert((id, record.head.side_or_code), price).unwrap_or(PRICE_NONE);
                let action = match (before, price) {
                    (_, PRICE_NONE) => 'C',
                    (PRICE_NONE, _) => 'A',
                    _ => 'M',
                };
                sums.row(action, &symbol(id), price, quantity);
            }
            _ => {}
        }
    }
    sums.json()
}

#[test]
fn python_reads_what_was_on_the_bus() {
    let Some(python) = python() else { return };
    let (day, folder) = (day(), tempfile::tempdir().unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tick_files/read.py");
    for (schema, dbn_name) in [
        (Schema::Orders, "mbo"),
        (Schema::Trades, "trades"),
        (Schema::Quotes, "mbp-1"),
        (Schema::Definitions, "definition"),
    ] {
        let want = wanted(&day, schema);
        assert!(want["rows"].as_u64().unwrap() >= 40, "{schema:?}: {want}");
        for (format, ending) in [(Format::Dbn, "dbn"), (Format::DbnZstd, "dbn.zst"), (Format::Parquet, "parquet")] {
            let path = folder.path().join(format!("{}.{ending}", schema.name()));
            crate::export(&day, &path, schema, format);
            let output = Command::new(&python).arg("-W").arg("ignore").arg(&script).arg(&path).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{schema:?}, {format:?}: {errors}");
            let mut got: Value = serde_json::from_slice(&output.stdout).unwrap();
            let about = got.as_object_mut().unwrap().remove("about").unwrap();
            let want_about = match format {
                Format::Parquet => json!({ "schema": schema.name(), "dataset": "NASDAQ.TICKLANE", "tz": "UTC" }),
                _ => json!({ "schema": dbn_name, "dataset": "NASDAQ.TICKLANE", "tz": "UTC" }),
            };
            assert_eq!(about, want_about, "{schema:?}, {format:?}");
            assert_eq!(got, want, "{schema:?}, {format:?}");
        }
    }
    drop(fs::remove_dir_all(folder.path()));
}
