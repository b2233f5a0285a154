//! Behaviour as data: what a client says and what the gateway must answer, read from `clients/scenarios/*.json`.
//!
//! This is the pure part: it reads scenarios, fills placeholders in and judges frames. Whoever runs them owns the
//! connection. The format is described in `clients/scenarios/README.md`.
//!
//! ```
//! use ticklane_client::websocket::scenario::{Act, Scenario, Symbols, Verdict};
//!
//! let text = r#"{"name": "ping", "about": "a ping is answered",
//!     "steps": [{"send": {"op": "ping", "id": 4}}, {"expect": {"type": "pong", "id": 4}, "skip": ["lane"]}]}"#;
//! let symbols = Symbols::new(["AAPL"]);
//! let scenario = Scenario::parse(text)?;
//! let acts = scenario.acts(&symbols)?;
//! assert_eq!(acts[0], Act::SendText(r#"{"id":4,"op":"ping"}"#.into()));
//! let Act::Expect(expectation) = &acts[1] else { panic!() };
//! assert_eq!(expectation.judge(r#"{"type":"lane"}"#), Verdict::Skip);
//! assert_eq!(expectation.judge(r#"{"type":"pong","id":4,"ts_gateway":"1"}"#), Verdict::Match);
//! assert!(matches!(expectation.judge(r#"{"type":"pong","id":5}"#), Verdict::Mismatch(_)));
//! # Ok::<(), ticklane_client::websocket::scenario::ScenarioError>(())
//! ```

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use shm_abi::cursor::Cursor;
use shm_abi::ring::SEQUENCE_LIMIT;

/// Why a scenario cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// It is not JSON of this format.
    #[error("not a scenario: {0}")]
    Format(String),
    /// A step does not say what to do, or says several things.
    #[error("step {step}: expected one of `send`, `expect`, `expect_close`; `skip` beside `expect` only")]
    Step {
        /// Counted from 0.
        step: usize,
    },
    /// Bytes that are not hex.
    #[error("step {step}: `{text}`: expected an even number of hex digits")]
    Hex {
        /// Counted from 0.
        step: usize,
        /// What stands there.
        text: String,
    },
    /// A placeholder that there is not.
    #[error("`{text}`: expected $any, $string, $number, $seq, $cursor, $absent or $symbol:N")]
    Placeholder {
        /// What stands there.
        text: String,
    },
    /// More symbols than whoever runs it supplies.
    #[error("$symbol:{index}: {count} symbols were supplied")]
    Symbol {
        /// Counted from 0.
        index: usize,
        /// How many there are.
        count: usize,
    },
}

/// The symbols that stand for `$symbol:0`, `$symbol:1` and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbols(Vec<String>);

impl Symbols {
    /// These, in this order.
    pub fn new<S: Into<String>>(symbols: impl IntoIterator<Item = S>) -> Symbols {
        Symbols(symbols.into_iter().map(Into::into).collect())
    }

    /// The symbol that the placeholder asks for; `None` for a text that is no such placeholder.
    fn fill(&self, text: &str) -> Option<Result<&str, ScenarioError>> {
        let digits = text.strip_prefix("$symbol:")?;
        let Ok(index) = digits.parse::<usize>() else {
            return Some(Err(ScenarioError::Placeholder { text: text.into() }));
        };
        let count = self.0.len();
        Some(self.0.get(index).map(String::as_str).ok_or(ScenarioError::Symbol { index, count }))
    }
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    Binary(Binary),
    Json(Value),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Binary {
    binary: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    send: Option<Message>,
    expect: Option<Value>,
    expect_close: Option<u16>,
    #[serde(default)]
    skip: Vec<String>,
}

/// One scenario, as its file spells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its ending.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    steps: Vec<Step>,
}

/// One thing to do on a connection whose `hello` has been read, or to wait for.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Send a text message.
    SendText(String),
    /// Send a binary message.
    SendBinary(Vec<u8>),
    /// Read messages until one decides: see [`Expectation::judge`].
    Expect(Expectation),
    /// Read until the gateway closes, with this code. Messages before it are passed over.
    ExpectClose(u16),
}

/// What the next message must look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    pattern: Value,
    skip: Vec<String>,
}

/// What a message is for an expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is what was expected.
    Match,
    /// It is not, but of a type that the step passes over: read the next.
    Skip,
    /// It is not.
    Mismatch(Mismatch),
}

/// The first place where a message is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Where, as `data.bids[0]`; empty for the whole message.
    pub path: String,
    /// What the pattern has there.
    pub expected: String,
    /// What the message has there; `nothing` when it has not the field.
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { path, expected, got } = self;
        write!(f, "at `{path}`: expected {expected}, got {got}")
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// [`ScenarioError::Format`].
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        serde_json::from_str(text).map_err(|error| ScenarioError::Format(error.to_string()))
    }

    /// What to do, with the symbols filled in.
    ///
    /// # Errors
    /// Whatever is wrong with a step: nothing of it is found out only while it runs.
    pub fn acts(&self, symbols: &Symbols) -> Result<Vec<Act>, ScenarioError> {
        self.steps.iter().enumerate().map(|(step, it)| it.act(step, symbols)).collect()
    }
}

impl Step {
    fn act(&self, step: usize, symbols: &Symbols) -> Result<Act, ScenarioError> {
        match (&self.send, &self.expect, self.expect_close) {
            (Some(message), None, None) if self.skip.is_empty() => match message {
                Message::Text(text) => Ok(Act::SendText(text.clone())),
                Message::Json(value) => Ok(Act::SendText(fill(value, symbols, false)?.to_string())),
                Message::Binary(Binary { binary }) => {
                    let bytes = hex(binary).ok_or_else(|| ScenarioError::Hex { step, text: binary.clone() })?;
                    Ok(Act::SendBinary(bytes))
                }
            },
            (None, Some(pattern), None) => {
                let pattern = fill(pattern, symbols, true)?;
                Ok(Act::Expect(Expectation { pattern, skip: self.skip.clone() }))
            }
            (None, None, Some(code)) if self.skip.is_empty() => Ok(Act::ExpectClose(code)),
            _ => Err(ScenarioError::Step { step }),
        }
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// The value with its symbols filled in. Other placeholders make sense in patterns only.
fn fill(value: &Value, symbols: &Symbols, in_pattern: bool) -> Result<Value, ScenarioError> {
    Ok(match value {
        Value::String(text) => match symbols.fill(text) {
            Some(symbol) => Value::String(symbol?.into()),
            None if !text.starts_with('$') || in_pattern && Wild::of(text).is_some() => value.clone(),
            None => return Err(ScenarioError::Placeholder { text: text.clone() }),
        },
        Value::Array(items) => items.iter().map(|it| fill(it, symbols, in_pattern)).collect::<Result<_, _>>()?,
        Value::Object(fields) => {
            let filled = fields.iter().map(|(name, it)| Ok((name.clone(), fill(it, symbols, in_pattern)?)));
            Value::Object(filled.collect::<Result<_, ScenarioError>>()?)
        }
        other => other.clone(),
    })
}

/// A placeholder that stands for many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wild {
    Any,
    Text,
    Number,
    Seq,
    Cursor,
    Absent,
}

impl Wild {
    fn of(text: &str) -> Option<Wild> {
        match text {
            "$any" => Some(Wild::Any),
            "$string" => Some(Wild::Text),
            "$number" => Some(Wild::Number),
            "$seq" => Some(Wild::Seq),
            "$cursor" => Some(Wild::Cursor),
            "$absent" => Some(Wild::Absent),
            _ => None,
        }
    }

    fn stands_for(self, value: &Value) -> bool {
        match self {
            Wild::Any => true,
            Wild::Text => value.is_string(),
            Wild::Number => value.is_number(),
            Wild::Seq => value.as_u64().is_some_and(|seq| seq < SEQUENCE_LIMIT),
            Wild::Cursor => value.as_str().is_some_and(|text| text.parse::<Cursor>().is_ok()),
            Wild::Absent => false,
        }
    }
}

impl Expectation {
    /// What this message is. The pattern comes first: a message of a type to be passed over that matches is a match.
    pub fn judge(&self, message: &str) -> Verdict {
        let Ok(value) = serde_json::from_str::<Value>(message) else {
            let (expected, got) = ("JSON".into(), shown(&Value::String(message.into())));
            return Verdict::Mismatch(Mismatch { path: String::new(), expected, got });
        };
        match compare(&self.pattern, &value, &mut Vec::new()) {
            Ok(()) => Verdict::Match,
            Err(mismatch) => {
                let kind = value.get("type").and_then(Value::as_str);
                let passed = kind.is_some_and(|kind| self.skip.iter().any(|skip| skip == kind));
                if passed { Verdict::Skip } else { Verdict::Mismatch(mismatch) }
            }
        }
    }
}

/// Every field of a pattern must be there and match; a message may have more. Arrays match item by item.
fn compare(pattern: &Value, value: &Value, path: &mut Vec<String>) -> Result<(), Mismatch> {
    let differs = |path: &[String]| {
        Err(Mismatch {
            path: path.concat().trim_start_matches('.').into(),
            expected: shown(pattern),
            got: shown(value),
        })
    };
    match (pattern, value) {
        (Value::String(text), _) if Wild::of(text).is_some() => match Wild::of(text) {
            Some(wild) if wild.stands_for(value) => Ok(()),
            _ => differs(path),
        },
        (Value::Object(fields), Value::Object(values)) => {
            for (name, pattern) in fields {
                path.push(format!(".{name}"));
                match values.get(name) {
                    Some(value) => compare(pattern, value, path)?,
                    None if pattern == "$absent" => {}
                    None => {
                        let path = path.concat().trim_start_matches('.').into();
                        return Err(Mismatch { path, expected: shown(pattern), got: "nothing".into() });
                    }
                }
                path.pop();
            }
            Ok(())
        }
        (Value::Array(patterns), Value::Array(values)) if patterns.len() == values.len() => {
            for (index, (pattern, value)) in patterns.iter().zip(values).enumerate() {
                path.push(format!("[{index}]"));
                compare(pattern, value, path)?;
                path.pop();
            }
            Ok(())
        }
        // 5 and 5.0 are the same number.
        (Value::Number(a), Value::Number(b)) if a == b || a.as_f64() == b.as_f64() => Ok(()),
        _ if pattern == value => Ok(()),
        _ => differs(path),
    }
}

/// Longest part of a value that a message shows, characters.
const SHOWN: usize = 200;

fn shown(value: &Value) -> String {
    value.to_string().chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests;
