//! Events in words: one description from which text and JSON are both made.

use serde::ser::{Serialize, SerializeMap, Serializer};
use shm_abi::record::{INSTRUMENT_NONE, StatusCause, clear_code, flag, gap_reason, kind, official_code, trade_code};
use shm_abi::ring::LossReason;
use ticklane_client::{Body, Event, Instrument, Price, Quantity, Record, RestartReason, Restarted, RingName, Side};

use crate::format;

/// A value of a field. Whatever may not fit a JSON number is text: prices, quantities, ids, stamps (decisions.md 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    /// "None": shown as `-` and `null`.
    None,
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Value::None, Value::Text)
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Number(number) => number.fmt(f),
            Value::Flag(flag) => flag.fmt(f),
            Value::None => f.write_str("-"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Number(number) => serializer.serialize_u64(*number),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::None => serializer.serialize_none(),
        }
    }
}

/// Named values in a fixed order; a JSON object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn add(&mut self, name: &'static str, value: Value) -> &mut Self {
        self.0.push((name, value));
        self
    }
    fn text(&mut self, name: &'static str, text: impl ToString) -> &mut Self {
        self.add(name, Value::Text(text.to_string()))
    }
    fn number(&mut self, name: &'static str, number: impl Into<u64>) -> &mut Self {
        self.add(name, Value::Number(number.into()))
    }
    /// The value of a field.
    #[cfg(test)]
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl std::fmt::Display for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={value}", if index > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

/// Where an event was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'o> {
    pub(crate) lane: &'o str,
    pub(crate) ring: RingName,
    pub(crate) epoch: u64,
}

/// One event, described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// What happened, in a word.
    pub(crate) kind: &'static str,
    number: Option<u64>,
    symbol: String,
    ts_event: u64,
    /// Particular to the kind.
    pub(crate) body: Fields,
    /// The same for every record.
    head: Fields,
}

/// Describes an event. `instrument` is the one that a record names, if the directory knows it.
pub(crate) fn describe(event: &Event<'_>, instrument: Option<&Instrument>) -> Line {
    let notice =
        |kind, body| Line { kind, number: None, symbol: String::new(), ts_event: 0, body, head: Fields::default() };
    let mut body = Fields::default();
    match event {
        Event::Record(record) => describe_record(record, instrument),
        Event::Lost(lost) => {
            body.number("first", lost.first).number("last", lost.last).text("reason", loss_name(lost.reason));
            notice("lost", body)
        }
        Event::Restarted(restarted) => notice("restarted", restarted_fields(restarted)),
        Event::WriterSilent => notice("writer_silent", body),
        Event::WriterBack => notice("writer_back", body),
        Event::Closed => notice("closed", body),
    }
}

fn restarted_fields(restarted: &Restarted) -> Fields {
    let mut body = Fields::default();
    body.text("old_epoch", format_args!("{:016x}", restarted.old_epoch))
        .text("new_epoch", format_args!("{:016x}", restarted.new_epoch))
        .number("drained_to", restarted.drained_to)
        .add("old_end", restarted.old_end.map_or(Value::None, Value::Number))
        .text("reason", restarted.reason.name())
        .add("seamless", Value::Flag(restarted.is_seamless()));
    if let Some((first, last)) = restarted.lost() {
        body.number("lost_first", first).number("lost_last", last);
    }
    if let Some((first, last)) = restarted.void() {
        body.number("void_first", first).number("void_last", last);
    }
    body
}

fn loss_name(reason: LossReason) -> &'static str {
    match reason {
        LossReason::Lapped => "lapped",
        LossReason::Skipped => "skipped",
        LossReason::Malformed => "malformed",
    }
}

fn describe_record(record: &Record<'_>, instrument: Option<&Instrument>) -> Line {
    let head = &record.head;
    let symbol = match instrument {
        Some(instrument) => instrument.symbol.to_string(),
        None if head.instrument_id == INSTRUMENT_NONE => String::new(),
        None => format!("#{}", head.instrument_id),
    };
    let mut fields = Fields::default();
    if head.instrument_id != INSTRUMENT_NONE {
        fields.number("instrument_id", head.instrument_id);
    }
    fields
        .text("ts_event", head.ts_event)
        .text("ts_recv", head.ts_recv)
        .text("ts_publish", head.ts_publish())
        .number("venue_sequence_low", head.venue_sequence_low)
        .text("flags", flag_names(head.flags));
    Line {
        kind: kind_name(head.kind),
        number: Some(record.n),
        symbol,
        ts_event: head.ts_event,
        body: body_fields(record, instrument),
        head: fields,
    }
}

/// Flags by name, with `|` between them; empty for none.
fn flag_names(flags: u8) -> String {
    let names = [
        (flag::LAST, "last"),
        (flag::VOLUME_ONLY, "volume_only"),
        (flag::SNAPSHOT, "snapshot"),
        (flag::SUSPECT, "suspect"),
        (flag::NOT_PRINTED, "not_printed"),
        (flag::HIDDEN, "hidden"),
        (flag::RECV_USER, "recv_user"),
        (flag::RECV_COALESCED, "recv_coalesced"),
    ];
    let set: Vec<&str> = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    set.join("|")
}

fn kind_name(code: u8) -> &'static str {
    match code {
        kind::ADD => "add",
        kind::CANCEL => "cancel",
        kind::MODIFY => "modify",
        kind::CLEAR => "clear",
        kind::FILL => "fill",
        kind::TRADE => "trade",
        kind::TRADE_BREAK => "trade_break",
        kind::QUOTE => "quote",
        kind::LEVEL => "level",
        kind::STATUS => "status",
        kind::IMBALANCE => "imbalance",
        kind::PRICE_BAND => "price_band",
        kind::INSTRUMENT => "instrument",
        kind::VENUE_MESSAGE => "venue_message",
        kind::GAP => "gap",
        kind::RESTART => "restart",
        kind::MARK => "mark",
        kind::ANOMALY => "anomaly",
        kind::OFFICIAL_PRICE => "official_price",
        kind::INDICATIVE => "indicative",
        kind::INDEX_VALUE => "index_value",
        kind::NEWS => "news",
        _ => "unknown",
    }
}

fn side_name(side: Option<Side>) -> &'static str {
    match side {
        Some(Side::Bid) => "bid",
        Some(Side::Ask) => "ask",
        None => "none",
    }
}

fn trade_name(code: u8) -> &'static str {
    match code {
        trade_code::CROSS_OPEN => "cross_open",
        trade_code::CROSS_CLOSE => "cross_close",
        trade_code::CROSS_HALT => "cross_halt",
        side => side_name(Side::from_code(side)),
    }
}

fn cause_name(cause: StatusCause) -> &'static str {
    match cause {
        StatusCause::TradingAction => "trading_action",
        StatusCause::SystemEvent => "system_event",
        StatusCause::ShortSale => "short_sale",
        StatusCause::OperationalHalt => "operational_halt",
        StatusCause::CircuitBreaker => "circuit_breaker",
        StatusCause::Session => "session",
        _ => "unknown",
    }
}

fn gap_name(reason: u64) -> &'static str {
    match reason {
        gap_reason::SKIPPED_AT_LOGIN => "skipped_at_login",
        gap_reason::UNFILLED => "unfilled",
        gap_reason::NO_SERVER => "no_server",
        gap_reason::OVERFLOW => "overflow",
        gap_reason::JUMP => "jump",
        gap_reason::ABANDONED => "abandoned",
        gap_reason::IMAGED => "imaged",
        gap_reason::JOINED_LATE => "joined_late",
        gap_reason::RECORDING => "recording",
        _ => "unknown",
    }
}

/// Printable ASCII of a field from the wire, spaces at its end cut.
fn ascii(bytes: &[u8]) -> String {
    let text: String =
        bytes.iter().map(|byte| if (b' '..=b'~').contains(byte) { *byte as char } else { '.' }).collect();
    text.trim_end_matches([' ', '.']).into()
}

/// What a record says, by its kind. All branches of the tool's vocabulary are here.
fn body_fields(record: &Record<'_>, instrument: Option<&Instrument>) -> Fields {
    // Of an instrument that the directory does not know (yet), values are shown as they stand.
    let (price_decimals, quantity_decimals) =
        instrument.map_or((0, 0), |instrument| (instrument.price_decimals, instrument.quantity_decimals));
    let price = |price: Price| Value::from(format::price(price, price_decimals));
    let quantity = |quantity: Quantity| Value::from(format::quantity(quantity, quantity_decimals));
    let mut fields = Fields::default();
    match record.body() {
        Body::Order { side, order_id, price: at, quantity: of } => {
            fields.text("side", side_name(side)).text("order_id", order_id);
            fields.add("price", price(at)).add("quantity", quantity(of));
        }
        Body::Trade { code, match_id, price: at, quantity: of } => {
            fields.text("side", trade_name(code)).text("match_id", match_id);
            fields.add("price", price(at)).add("quantity", quantity(of));
        }
        Body::TradeBreak { match_id, price: at, quantity: of } => {
            fields.text("match_id", match_id).add("price", price(at)).add("quantity", quantity(of));
        }
        Body::Quote { side, price: at, quantity: of, orders } => {
            fields.text("side", side_name(side)).add("price", price(at)).add("quantity", quantity(of));
            fields.number("orders", orders);
        }
        Body::Level { side, price: at, quantity: of, orders, position } => {
            fields.text("side", side_name(side)).add("price", price(at)).add("quantity", quantity(of));
            fields.number("orders", orders).number("position", position);
        }
        Body::Status(status) => {
            fields.text("status", status.status.name()).text("cause", cause_name(status.cause));
            fields.text("venue_code", ascii(&[status.venue_code])).text("reason", ascii(&status.reason));
        }
        Body::Imbalance(imbalance) => {
            fields.add("paired", quantity(imbalance.paired)).add("imbalance", quantity(imbalance.imbalance));
            fields.add("reference", price(imbalance.reference_price));
            fields.add("far", price(imbalance.far_price)).add("near", price(imbalance.near_price));
            fields.text("letters", ascii(&imbalance.letters));
        }
        Body::PriceBand { reference, lower, upper } => {
            fields.add("reference", price(reference)).add("lower", price(lower)).add("upper", price(upper));
        }
        Body::Instrument { row, depth_class, provider_code } => {
            fields.number("row", row).number("depth_class", depth_class).number("provider_code", provider_code);
        }
        Body::VenueMessage(message) => {
            let hex: String = message.bytes().map(|byte| format!("{byte:02x}")).collect();
            fields.number("length", message.len() as u64).text("bytes", hex);
        }
        Body::Gap { first, last, reason } => {
            fields.number("first", first).number("last", last).text("reason", gap_name(reason));
        }
        Body::Restart(restart) => {
            fields.text("old_epoch", format_args!("{:016x}", restart.old_epoch)).number("old_end", restart.old_end);
            fields.text("session", ascii(&restart.session)).number("venue_sequence", restart.venue_sequence);
            fields.text("reason", RestartReason::from_code(restart.reason).name());
        }
        Body::Mark { venue_sequence, session } => {
            fields.number("venue_sequence", venue_sequence).text("session", ascii(&session));
        }
        Body::Anomaly(anomaly) => {
            fields.text("code", anomaly.code.name()).number("venue_sequence", anomaly.venue_sequence);
            fields.text("subject", anomaly.subject).text("detail", anomaly.detail);
        }
        Body::Clear { code } => {
            fields.text("code", if code == clear_code::BOOK { "book" } else { "day" });
        }
        Body::OfficialPrice { code, price: at } => {
            let name = match code {
                official_code::REFERENCE => "reference",
                official_code::CLOSE => "close",
                official_code::OPEN => "open",
                _ => "unknown",
            };
            fields.text("code", name).add("price", price(at));
        }
        Body::Indicative(indicative) => {
            fields.text("auction", ascii(&[record.head.side_or_code])).add("price", price(indicative.price));
            fields.add("quantity", quantity(indicative.quantity));
            fields.add("best_bid", price(indicative.best_bid)).add("best_offer", price(indicative.best_offer));
        }
        Body::IndexValue { value } => {
            fields.add("value", price(value));
        }
        Body::News(news) => {
            let bytes: Vec<u8> = news.text.bytes().collect();
            // Its NULs part issuer, title, reference and body; other control characters are shown, not obeyed.
            let text: String = String::from_utf8_lossy(&bytes)
                .chars()
                .flat_map(|c| match c {
                    '\0' => vec!['|'],
                    c if c.is_control() => c.escape_default().collect(),
                    c => vec![c],
                })
                .collect();
            fields.number("id", news.id).number("part", news.part).number("parts", news.parts);
            fields.add("cut", Value::Flag(news.cut)).text("text", text);
        }
        _ => {}
    }
    fields
}

impl Line {
    /// As a line of text.
    pub(crate) fn text(&self) -> String {
        let Some(n) = self.number else {
            return format!("-- {} {}", self.kind, self.body).trim_end().into();
        };
        let time = if self.ts_event == 0 { "-".into() } else { format::time_of_day(self.ts_event) };
        let symbol = if self.symbol.is_empty() { "*" } else { &self.symbol };
        format!("{time:<18} {n:>10} {symbol:<8} {:<11} {}", self.kind, self.body).trim_end().into()
    }

    /// As a JSON object: first where and what, then what is particular, then the head.
    pub(crate) fn json(&self, origin: Origin<'_>) -> String {
        let mut fields = Fields::default();
        fields.text("lane", origin.lane).text("epoch", format_args!("{:016x}", origin.epoch));
        fields.text("ring", origin.ring.name());
        if let Some(n) = self.number {
            fields.number("n", n);
        }
        fields.text("kind", self.kind);
        if !self.symbol.is_empty() {
            fields.text("symbol", &self.symbol);
        }
        fields.0.extend(self.body.0.iter().chain(&self.head.0).cloned());
        serde_json::to_string(&fields).expect("texts and numbers only")
    }
}

#[cfg(test)]
mod tests {
    use shm_abi::record::Head;
    use ticklane_client::Lost;

    use super::*;

    fn head(kind: u8, side_or_code: u8) -> Head {
        Head {
            kind,
            flags: flag::LAST | flag::SUSPECT,
            span: 1,
            side_or_code,
            instrument_id: 7,
            ts_event: 34_200_000_000_001,
            ts_recv: 1_700_000_000_000_000_000,
            publish_delay_ns: 250,
            venue_sequence_low: 9,
        }
    }

    fn words(head: Head, body: &[u64]) -> Vec<u64> {
        head.words().iter().chain(body).copied().collect()
    }

    const ORIGIN: Origin<'static> = Origin { lane: "lane0", ring: RingName::Market, epoch: 255 };

    #[test]
    fn a_quote_in_text_and_json() {
        let words = words(head(kind::QUOTE, b'B'), &[123_450_000_000, 100, 3]);
        let record = Record::new(42, &words).unwrap();
        let instrument = Instrument::equity(7, b"AAPL", b"XNAS");
        let line = describe(&Event::Record(record), Some(&instrument));
        assert_eq!(
            line.text(),
            "09:30:00.000000001         42 AAPL     quote       side=bid price=123.4500 quantity=100 orders=3"
        );
        assert_eq!(
            line.json(ORIGIN),
            "{\"lane\":\"lane0\",\"epoch\":\"00000000000000ff\",\"ring\":\"market\",\"n\":42,\"kind\":\"quote\",\
             \"symbol\":\"AAPL\",\"side\":\"bid\",\"price\":\"123.4500\",\"quantity\":\"100\",\"orders\":3,\
             \"instrument_id\":7,\"ts_event\":\"34200000000001\",\"ts_recv\":\"1700000000000000000\",\
             \"ts_publish\":\"1700000000000000250\",\"venue_sequence_low\":9,\"flags\":\"last|suspect\"}"
        );
    }

    #[test]
    fn every_kind_has_a_name_and_its_fields() {
        let none = i64::MAX as u64;
        let table: &[(u8, u8, &[u64], &str)] = &[
            (
                kind::ADD,
                b'S',
                &[u64::MAX, 1_000_000_000, 5],
                "side=ask order_id=18446744073709551615 price=1 quantity=5",
            ),
            (kind::CANCEL, b'B', &[1, 0, 5], "side=bid order_id=1 price=0 quantity=5"),
            (kind::TRADE, b'O', &[8, 1_500_000_000, 5], "side=cross_open match_id=8 price=1.5 quantity=5"),
            (kind::TRADE, b'?', &[8, 1_500_000_000, 5], "side=none match_id=8 price=1.5 quantity=5"),
            (kind::TRADE_BREAK, 0, &[8, none, u64::MAX], "match_id=8 price=- quantity=-"),
            (kind::QUOTE, b'S', &[none, 0, 0], "side=ask price=- quantity=0 orders=0"),
            (kind::LEVEL, b'S', &[1_000_000_000, 4, 2 | 3 << 32], "side=ask price=1 quantity=4 orders=2 position=3"),
            (
                kind::STATUS,
                4,
                &[1 | (b'H' as u64) << 8, u64::from_le_bytes(*b"LUDP    "), 0],
                "status=halted cause=trading_action venue_code=H reason=LUDP",
            ),
            (kind::GAP, 0, &[3, 9, 2], "first=3 last=9 reason=unfilled"),
            (kind::CLEAR, 0, &[0; 3], "code=day"),
            (kind::PRICE_BAND, 0, &[0, 0, none], "reference=0 lower=0 upper=-"),
            (kind::INSTRUMENT, 0, &[3, 10, 77], "row=3 depth_class=10 provider_code=77"),
            (kind::ANOMALY, 1, &[5, 6, 7], "code=unknown_order venue_sequence=5 subject=6 detail=7"),
            (kind::VENUE_MESSAGE, 0, &[2, 0x4241, 0], "length=2 bytes=4142"),
            (kind::RESTART, 0, &[0; 3], ""),
            (b'?', 0, &[0; 3], ""),
        ];
        for (code, side_or_code, body, want) in table {
            let words = words(head(*code, *side_or_code), body);
            let line = describe(&Event::Record(Record::new(1, &words).unwrap()), None);
            assert_eq!(line.body.to_string(), *want, "kind {}", *code as char);
            assert!(line.text().contains("#7"), "an unknown instrument is named by its id");
            assert_eq!(line.kind == "unknown", *code == b'?');
        }
    }

    #[test]
    fn what_is_no_record() {
        let lost = Event::Lost(Lost { first: 3, last: 9, reason: LossReason::Lapped });
        assert_eq!(describe(&lost, None).text(), "-- lost first=3 last=9 reason=lapped");
        let restarted =
            Restarted { old_epoch: 1, new_epoch: 2, drained_to: 5, old_end: Some(8), reason: RestartReason::Engine };
        let line = describe(&Event::Restarted(restarted), None);
        assert_eq!(line.body.get("seamless"), Some(&Value::Flag(false)));
        assert_eq!(
            (line.body.get("lost_first"), line.body.get("lost_last")),
            (Some(&Value::Number(5)), Some(&Value::Number(7)))
        );
        let json: serde_json::Value = serde_json::from_str(&line.json(ORIGIN)).unwrap();
        assert_eq!(json["old_epoch"], "0000000000000001");
        assert_eq!(json["drained_to"], 5);
        assert_eq!(describe(&Event::Closed, None).text(), "-- closed");
    }
}
