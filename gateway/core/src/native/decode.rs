//! Commands of clients: what a message asks for, or what is wrong with it.
//!
//! Strict on purpose: a field that is not understood, stands twice or belongs to another command is refused by name. A
//! client that misspells `cursor` must not find out by missing trades.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{CURSOR_BYTES, ID_BYTES, ID_LIMIT, SYMBOL_BYTES, VALUE_BYTES};
use crate::dialect::{Command, Refusal, Request, RequestId};
use crate::topic::{Channel, Levels};

/// A field that some command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Op,
    Id,
    Channel,
    Symbols,
    Levels,
    Cursor,
    From,
}

impl Field {
    const ALL: [Field; 7] =
        [Field::Op, Field::Id, Field::Channel, Field::Symbols, Field::Levels, Field::Cursor, Field::From];

    const fn name(self) -> &'static str {
        match self {
            Field::Op => "op",
            Field::Id => "id",
            Field::Channel => "channel",
            Field::Symbols => "symbols",
            Field::Levels => "levels",
            Field::Cursor => "cursor",
            Field::From => "from",
        }
    }
}

/// What a command is called, and the fields that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Subscribe,
    Unsubscribe,
    List,
    Ping,
}

impl Op {
    fn from_name(name: &str) -> Option<Op> {
        match name {
            "subscribe" => Some(Op::Subscribe),
            "unsubscribe" => Some(Op::Unsubscribe),
            "list" => Some(Op::List),
            "ping" => Some(Op::Ping),
            _ => None,
        }
    }

    const fn fields(self) -> &'static [Field] {
        match self {
            Op::Subscribe => &Field::ALL,
            Op::Unsubscribe => &[Field::Op, Field::Id, Field::Channel, Field::Symbols, Field::Levels],
            Op::List | Op::Ping => &[Field::Op, Field::Id],
        }
    }

    const fn field_names(self) -> &'static str {
        match self {
            Op::Subscribe => "op, id, channel, symbols, levels, cursor or from",
            Op::Unsubscribe => "op, id, channel, symbols or levels",
            Op::List | Op::Ping => "op or id",
        }
    }
}

const EXPECT_OP: &str = "subscribe, unsubscribe, list or ping";
const EXPECT_ID: &str = "an integer below 2^53, or a text of at most 64 bytes";
const EXPECT_CHANNEL: &str = "quotes, depth, trades or status";
const EXPECT_LEVELS: &str = "5, 10 or 20";
const EXPECT_SYMBOL: &str = "SYMBOL or VENUE:SYMBOL, 1 to 41 characters of printable ASCII";
const EXPECT_FROM: &str = "ns since the UNIX epoch, decimal, as a text";
const EXPECT_CURSOR: &str = "a cursor: at most 128 characters of printable ASCII";

/// What a message asks for. `symbols_max` bounds the symbols of one command.
///
/// # Errors
/// The first thing that is wrong, of: JSON, fields twice, id, op, fields that the command does not have, channel,
/// levels, symbols, cursor, from.
pub(super) fn decode(text: &str, symbols_max: usize) -> Result<Request, Refusal> {
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| bad_json(text, &error))?;
    let id = fields.id();
    if let Some((field, value)) = fields.twice {
        // Two ids are no id: neither can be repeated.
        let id = id.ok().flatten().filter(|_| field != Field::Id);
        return Err(Refusal { id, ..refuse("bad_value", field.name(), value, "the field once") });
    }
    let id = id?;
    match fields.command(symbols_max) {
        Ok(command) => Ok(Request { id, command }),
        Err(refusal) => Err(Refusal { id, ..refusal }),
    }
}

/// The members of a command's object, still as JSON text.
#[derive(Default)]
struct Fields<'a> {
    known: [Option<&'a str>; Field::ALL.len()],
    /// The first field that stood twice, and what stood there the second time.
    twice: Option<(Field, &'a str)>,
    /// The first member that no command has.
    unknown: Option<(String, &'a str)>,
}

impl<'a> Fields<'a> {
    fn raw(&self, field: Field) -> Option<&'a str> {
        self.known[field as usize]
    }

    /// What stands in a field that must be a text: the text, or what else stands there.
    fn text(&self, field: Field) -> Option<Result<String, &'a str>> {
        self.raw(field).map(|raw| serde_json::from_str(raw).map_err(|_| raw))
    }

    fn id(&self) -> Result<Option<RequestId>, Refusal> {
        let Some(raw) = self.raw(Field::Id) else { return Ok(None) };
        if let Ok(number) = serde_json::from_str::<u64>(raw) {
            let number = Some(number).filter(|number| *number < ID_LIMIT);
            return number.map(|n| Some(RequestId::Number(n))).ok_or_else(|| bad_value(Field::Id, raw, EXPECT_ID));
        }
        match self.text(Field::Id) {
            Some(Ok(text)) if text.len() <= ID_BYTES => Ok(Some(RequestId::Text(text))),
            Some(Ok(text)) => Err(bad_value(Field::Id, &text, EXPECT_ID)),
            _ => Err(bad_value(Field::Id, raw, EXPECT_ID)),
        }
    }

    fn command(&self, symbols_max: usize) -> Result<Command, Refusal> {
        let op = self.op()?;
        self.only_fields_of(op)?;
        Ok(match op {
            Op::Subscribe => {
                let (channel, symbols) = (self.channel()?, self.symbols(symbols_max)?);
                Command::Subscribe { channel, symbols, cursor: self.cursor()?, from: self.from(channel)? }
            }
            Op::Unsubscribe => Command::Unsubscribe { channel: self.channel()?, symbols: self.symbols(symbols_max)? },
            Op::List => Command::List,
            Op::Ping => Command::Ping,
        })
    }

    fn op(&self) -> Result<Op, Refusal> {
        match self.text(Field::Op) {
            None => Err(refuse("missing_field", "op", "", EXPECT_OP)),
            Some(Err(raw)) => Err(bad_value(Field::Op, raw, EXPECT_OP)),
            Some(Ok(name)) => Op::from_name(&name).ok_or_else(|| refuse("unknown_op", "op", &name, EXPECT_OP)),
        }
    }

    fn only_fields_of(&self, op: Op) -> Result<(), Refusal> {
        let unknown = self.unknown.as_ref().map(|(name, raw)| (name.as_str(), *raw));
        let foreign = || {
            let mut others = Field::ALL.into_iter().filter(|field| !op.fields().contains(field));
            others.find_map(|field| Some((field.name(), self.raw(field)?)))
        };
        match unknown.or_else(foreign) {
            Some((name, raw)) => Err(refuse("unknown_field", name, raw, op.field_names())),
            None => Ok(()),
        }
    }

    fn channel(&self) -> Result<Channel, Refusal> {
        let name = match self.text(Field::Channel) {
            None => return Err(refuse("missing_field", "channel", "", EXPECT_CHANNEL)),
            Some(Err(raw)) => return Err(bad_value(Field::Channel, raw, EXPECT_CHANNEL)),
            Some(Ok(name)) => name,
        };
        let channel = match name.as_str() {
            "quotes" => Channel::Quotes,
            "depth" => return self.levels().map(Channel::Depth),
            "trades" => Channel::Trades,
            "status" => Channel::Status,
            _ => return Err(bad_value(Field::Channel, &name, EXPECT_CHANNEL)),
        };
        match self.raw(Field::Levels) {
            Some(raw) => Err(refuse("unknown_field", "levels", raw, "no levels: only channel depth has them")),
            None => Ok(channel),
        }
    }

    fn levels(&self) -> Result<Levels, Refusal> {
        let Some(raw) = self.raw(Field::Levels) else { return Ok(Levels::Ten) };
        let count = serde_json::from_str(raw).ok();
        count.and_then(Levels::from_count).ok_or_else(|| bad_value(Field::Levels, raw, EXPECT_LEVELS))
    }

    /// The symbols as given, each once.
    fn symbols(&self, max: usize) -> Result<Vec<String>, Refusal> {
        let expected = format!("a list of 1 to {max} symbols");
        let Some(raw) = self.raw(Field::Symbols) else {
            return Err(refuse("missing_field", "symbols", "", &expected));
        };
        let list = AtMost(max).deserialize(&mut serde_json::Deserializer::from_str(raw));
        let Ok(List { items, count }) = list else { return Err(bad_value(Field::Symbols, raw, &expected)) };
        if count == 0 || count > max {
            return Err(bad_value(Field::Symbols, &format!("{count} symbols"), &expected));
        }
        let mut symbols = items.into_iter().map(symbol).collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::with_capacity(symbols.len());
        symbols.retain(|symbol| seen.insert(symbol.clone()));
        Ok(symbols)
    }

    /// The cursor, verbatim. An integer is taken as well: whoever remembers only a number is told what it lacks.
    fn cursor(&self) -> Result<Option<String>, Refusal> {
        let (cursor, raw) = match self.text(Field::Cursor) {
            None => return Ok(None),
            Some(Ok(text)) => (text, None),
            Some(Err(raw)) => (raw.to_owned(), Some(raw)),
        };
        let is_integer = |raw| serde_json::from_str::<u64>(raw).is_ok();
        if cursor.len() > CURSOR_BYTES || !cursor.bytes().all(is_printable) || !raw.is_none_or(is_integer) {
            return Err(bad_value(Field::Cursor, &cursor, EXPECT_CURSOR));
        }
        Ok(Some(cursor))
    }

    /// The time from which on everything is wanted.
    fn from(&self, channel: Channel) -> Result<Option<u64>, Refusal> {
        let Some(raw) = self.raw(Field::From) else { return Ok(None) };
        if !matches!(channel, Channel::Trades | Channel::Quotes) {
            return Err(refuse("unknown_field", "from", raw, "no from: only the channels trades and quotes have it"));
        }
        if self.raw(Field::Cursor).is_some() {
            return Err(bad_value(Field::From, raw, "a cursor or a time, not both"));
        }
        let text = self.text(Field::From).and_then(Result::ok).unwrap_or_default();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let ns = text.parse().ok().filter(|_| digits);
        ns.map(Some).ok_or_else(|| bad_value(Field::From, raw, EXPECT_FROM))
    }
}

fn symbol(raw: &RawValue) -> Result<String, Refusal> {
    let refused = |value| bad_value(Field::Symbols, value, EXPECT_SYMBOL);
    let symbol: String = serde_json::from_str(raw.get()).map_err(|_| refused(raw.get()))?;
    let fits = (1..=SYMBOL_BYTES).contains(&symbol.len()) && symbol.bytes().all(is_printable);
    if fits { Ok(symbol) } else { Err(refused(&symbol)) }
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn bad_json(text: &str, error: &serde_json::Error) -> Refusal {
    // What serde_json says of the grammar holds a place and no bytes of the client's; of other types it quotes them.
    let expected = if error.is_data() { "one JSON object".to_owned() } else { format!("one JSON object: {error}") };
    refuse("bad_json", "", text, &expected)
}

fn bad_value(field: Field, value: &str, expected: &str) -> Refusal {
    refuse("bad_value", field.name(), value, expected)
}

fn refuse(code: &'static str, field: &str, value: &str, expected: &str) -> Refusal {
    let cut = |text: &str| text[..text.floor_char_boundary(VALUE_BYTES)].to_owned();
    Refusal { id: None, code, field: cut(field), value: cut(value), expected: expected.to_owned() }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object")
    }

    /// Keeps at most one text per field, however many the message has.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = members.next_key::<String>()? {
            let raw = members.next_value::<&'de RawValue>()?.get();
            let Some(field) = Field::ALL.into_iter().find(|field| field.name() == name) else {
                fields.unknown.get_or_insert((name, raw));
                continue;
            };
            if fields.known[field as usize].replace(raw).is_some() {
                fields.twice.get_or_insert((field, raw));
            }
        }
        Ok(fields)
    }
}

/// A JSON list of which only so many items are kept; the others are only counted.
struct AtMost(usize);

struct List<'a> {
    items: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> DeserializeSeed<'de> for AtMost {
    type Value = List<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AtMost {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.0 {
            let Some(item) = list.next_element::<&'de RawValue>()? else { break };
            items.push(item);
        }
        let mut count = items.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(List { items, count })
    }
}

#[cfg(test)]
mod tests;
