//! Packets as people read them: of a feed as they come, or of a capture, without sequencing.
//!
//! Nothing here is hot: it runs on the command server's thread or on one of its own, on copies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::{Map, Value};
use shm_abi::control::{DecodedMessage, MESSAGE_BYTES_MAX, Refusal, RefusalCode, Reply, TapEnd, TapEvent, TapPacket};
use wire::dialect::{ALL, Dialect, Format, View, detect};
use wire::iextp;
use wire::pcap::{Packets, Piece, StreamId, StreamLimits, Streams, Transport};
use wire::soupbin::frame::{self, kind as soup, next_packet};

use crate::control::link::FeedIdentity;
use crate::control::status::line_name;
use crate::control::tap_ring::{TapEntry, TapKind};

/// What messages are said to be when no known dialect has all of them.
pub(crate) const UNKNOWN_DIALECT: &str = "unknown dialect";
/// JSON bytes that a packet may have, so that it fits into a message with what is around it.
const EVENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 4096;
/// Messages that are shown of a packet that would be too long otherwise.
const MESSAGES_WHEN_CUT: usize = 400;
/// Bytes shown of a message that the dialect does not have.
const RAW_BYTES_MAX: usize = 256;
/// Packets that wait between a capture's decoder and its client.
const CAPTURE_QUEUE: usize = 64;
/// Distinct types and lengths that are held against the dialects.
const FORMS_MAX: usize = 4096;

/// Turns packets into objects.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    dialect: Option<&'static Dialect>,
    name: String,
}

impl Decoder {
    /// For a feed, by what its config says.
    pub(crate) fn of_feed(identity: &FeedIdentity) -> Decoder {
        let named = if identity.dialect.is_empty() && identity.protocol.ends_with("itch50") {
            "nasdaq-5.0"
        } else {
            identity.dialect.as_str()
        };
        let dialect = Dialect::by_name(named);
        let name = match dialect {
            Some(dialect) => dialect.name().to_owned(),
            None if identity.protocol.starts_with("iex") => identity.protocol.clone(),
            None => UNKNOWN_DIALECT.to_owned(),
        };
        Decoder { dialect, name }
    }

    /// What messages are taken for.
    pub(crate) fn dialect_name(&self) -> &str {
        &self.name
    }

    /// A packet of a feed's ring.
    pub(crate) fn event(&self, entry: &TapEntry, bytes: &[u8]) -> TapEvent {
        let seq = (entry.sequence > 0).then_some(entry.sequence);
        let packet = match entry.kind {
            TapKind::Soup => self.soup_packet(bytes, seq),
            TapKind::Mold | TapKind::IexTp => self.datagram(bytes),
        };
        let (ts_recv, line) = (entry.ts_recv.to_string(), line_name(entry.line.into()).to_owned());
        fit(TapEvent { ts_recv, line, dropped: 0, packet })
    }

    /// A SoupBinTCP packet from its type byte on.
    fn soup_packet(&self, bytes: &[u8], seq: Option<u64>) -> TapPacket {
        let Some((kind, payload)) = bytes.split_first() else {
            return TapPacket { error: Some("Packet too short".into()), ..TapPacket::default() };
        };
        let text = || Some(String::from_utf8_lossy(payload).trim().to_owned());
        let raw = || Some(hex(payload));
        let named = |kind: &str| TapPacket {
            kind: Some(kind.to_owned()),
            packet_length: Some(bytes.len() as u32),
            ..TapPacket::default()
        };
        match *kind {
            soup::LOGIN_ACCEPTED => match frame::parse_login_accepted(payload) {
                Some((session, sequence)) => TapPacket {
                    session_id: Some(session.to_string()),
                    message: Some(sequence.to_string()),
                    ..named("LoginAck")
                },
                None => TapPacket { raw: raw(), error: Some("Packet too short".into()), ..named("LoginAck") },
            },
            soup::LOGIN_REJECTED => {
                let message = match payload {
                    [frame::REJECT_NOT_AUTHORISED, ..] => "Not Authorized".into(),
                    [frame::REJECT_NO_SESSION, ..] => "Session not available".into(),
                    other => String::from_utf8_lossy(other).into_owned(),
                };
                TapPacket { message: Some(message), ..named("LoginReject") }
            }
            soup::SEQUENCED => {
                TapPacket { seq, raw: raw(), decoded: self.message(payload), ..named("SequencedPacket") }
            }
            soup::UNSEQUENCED => TapPacket { raw: raw(), decoded: self.message(payload), ..named("UnSequencedPacket") },
            soup::DEBUG => TapPacket { raw: raw(), message: text(), ..named("DebugPacket") },
            soup::SERVER_HEARTBEAT => named("Heartbeat"),
            soup::CLIENT_HEARTBEAT => named("ClientHeartbeat"),
            soup::END_OF_SESSION => named("EndOfSessionPacket"),
            soup::LOGOUT_REQUEST => named("LogoutRequest"),
            // Holds a password: only the name is shown, and nothing raw.
            soup::LOGIN_REQUEST => {
                let user = String::from_utf8_lossy(&payload[..payload.len().min(6)]).trim().to_owned();
                TapPacket { message: Some(user), ..named("LoginRequest") }
            }
            other => {
                let kind = format!("Unknown({})", char::from(other).escape_default());
                TapPacket { raw: raw(), ..named(&kind) }
            }
        }
    }

    /// A whole datagram: MoldUDP64, or IEX-TP where its header says so.
    fn datagram(&self, bytes: &[u8]) -> TapPacket {
        match Datagram::read(bytes) {
            None => TapPacket {
                packet_length: Some(bytes.len() as u32),
                raw: Some(hex(bytes)),
                error: Some("Packet too short".into()),
                ..TapPacket::default()
            },
            Some(datagram) => TapPacket {
                kind: Some(datagram.kind().into()),
                packet_length: Some(bytes.len() as u32),
                session_id: Some(datagram.session.clone()),
                seq: Some(datagram.sequence),
                count: Some(datagram.count.into()),
                messages: datagram.messages.iter().filter_map(|message| self.message(message)).collect(),
                error: datagram.error,
                ..TapPacket::default()
            },
        }
    }

    /// One message of a venue; `None` for one without a type byte.
    fn message(&self, bytes: &[u8]) -> Option<DecodedMessage> {
        let kind = char::from(*bytes.first()?).escape_default().to_string();
        let mut message = DecodedMessage { kind, length: bytes.len() as u32, ..DecodedMessage::default() };
        match self.dialect.and_then(|dialect| dialect.view(bytes).ok()) {
            Some(view) => {
                message.name = Some(format!("{:?}", view.event()));
                message.fields = fields_of(&view);
            }
            None => {
                let shown = &bytes[..bytes.len().min(RAW_BYTES_MAX)];
                message.fields.insert("raw".into(), Value::String(hex(shown)));
            }
        }
        Some(message)
    }
}

fn fields_of(view: &View<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    let text = |bytes: Option<&[u8]>| Value::String(String::from_utf8_lossy(bytes.unwrap_or(b"")).into_owned());
    for field in view.fields() {
        let value = match field.format {
            Format::Number => view.u64(field.role).map_or(Value::Null, Value::from),
            Format::Alpha => text(view.trimmed(field.role)),
        };
        fields.insert(snake_case(&format!("{:?}", field.role)), value);
    }
    for role in view.entry().texts {
        fields.insert(snake_case(&format!("{role:?}")), text(view.bytes(*role)));
    }
    fields
}

/// `MatchNumber` as `match_number`.
fn snake_case(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Leaves out what makes the packet too long for one message, and says what.
fn fit(mut event: TapEvent) -> TapEvent {
    let too_long = |event: &TapEvent| serde_json::to_string(event).map_or(0, |text| text.len()) > EVENT_BYTES_MAX;
    if too_long(&event) && event.packet.raw.take().is_some() {
        event.packet.cut = Some("raw".into());
    }
    if too_long(&event) {
        let messages = event.packet.messages.iter_mut().chain(&mut event.packet.decoded);
        messages.for_each(|message| message.fields = Map::new());
        event.packet.cut = Some("raw and fields".into());
    }
    if too_long(&event) {
        event.packet.messages.truncate(MESSAGES_WHEN_CUT);
        event.packet.cut = Some(format!("raw, fields, and messages after the first {MESSAGES_WHEN_CUT}"));
    }
    event
}

/// A datagram taken apart without judging it: as many messages as are whole.
struct Datagram<'b> {
    session: String,
    sequence: u64,
    count: u16,
    /// Name of its protocol, if it is IEX-TP.
    iex: Option<&'static str>,
    messages: Vec<&'b [u8]>,
    error: Option<String>,
    /// Bytes that it takes.
    length: usize,
}

impl<'b> Datagram<'b> {
    /// `None` when not even the header is there.
    fn read(bytes: &'b [u8]) -> Option<Datagram<'b>> {
        Datagram::read_iex(bytes).or_else(|| Datagram::read_mold(bytes))
    }

    fn read_mold(bytes: &'b [u8]) -> Option<Datagram<'b>> {
        let (header, blocks) = bytes.split_first_chunk::<{ wire::mold::HEADER_BYTES }>()?;
        let (session, numbers) = header.split_at(wire::mold::SESSION_BYTES);
        let session = wire::multicast::SessionKey::padded(session).to_string();
        let sequence = u64::from_be_bytes(*numbers.first_chunk()?);
        let count = u16::from_be_bytes(*numbers.last_chunk()?);
        let blocks_count = if count == wire::mold::COUNT_END_OF_SESSION { 0 } else { count };
        let (messages, used, error) = blocks_of(blocks, blocks_count, u16::from_be_bytes);
        let length = header.len() + used;
        Some(Datagram { session, sequence, count, iex: None, messages, error, length })
    }

    fn read_iex(bytes: &'b [u8]) -> Option<Datagram<'b>> {
        let header = iextp::Header::parse(bytes).ok()?;
        let iex = match header.message_protocol.get() {
            id if id == iextp::Protocol::Tops.id() => "iex-tops",
            id if id == iextp::Protocol::Deep.id() => "iex-deep",
            _ => return None,
        };
        let blocks = &bytes[iextp::HEADER_BYTES..];
        if header.version != iextp::VERSION || blocks.len() != usize::from(header.payload_len.get()) {
            return None;
        }
        let (session, sequence) = (header.session_key().to_string(), header.first_sequence.get());
        let count = header.message_count.get();
        let (messages, _, error) = blocks_of(blocks, count, u16::from_le_bytes);
        Some(Datagram { session, sequence, count, iex: Some(iex), messages, error, length: bytes.len() })
    }

    fn kind(&self) -> &'static str {
        match (self.iex, self.count) {
            (Some(_), 0) => "IexTpHeartbeat",
            (Some(_), _) => "IexTpSegment",
            (None, wire::mold::COUNT_HEARTBEAT) => "MoldHeartbeat",
            (None, wire::mold::COUNT_END_OF_SESSION) => "MoldEndOfSession",
            (None, _) => "MoldPacket",
        }
    }
}

/// As many of `count` blocks as are whole, the bytes that they take, and what is wrong with the next one.
fn blocks_of(mut rest: &[u8], count: u16, length_of: fn([u8; 2]) -> u16) -> (Vec<&[u8]>, usize, Option<String>) {
    let (whole, mut messages) = (rest.len(), Vec::new());
    for index in 0..count {
        let block = rest.split_first_chunk().map(|(length, behind)| (usize::from(length_of(*length)), behind));
        match block {
            Some((length, behind)) if length <= behind.len() => {
                let (message, next) = behind.split_at(length);
                messages.push(message);
                rest = next;
            }
            Some((length, behind)) => {
                let error = format!("message {index} of {count} has {length} bytes, {} are there", behind.len());
                return (messages, whole, Some(error));
            }
            None => {
                let error = format!("message {index} of {count} is missing: {} bytes are left", rest.len());
                return (messages, whole, Some(error));
            }
        }
    }
    (messages, whole - rest.len(), None)
}

/// One packet of a capture, not yet decoded.
enum Found<'b> {
    /// A datagram.
    Datagram(&'b [u8]),
    /// A SoupBinTCP packet from its type byte on.
    Soup(&'b [u8]),
    /// What cannot be read on.
    Broken(&'static str),
}

/// Walks every packet of a capture, or of a file of bare MoldUDP64 datagrams, one after the other.
fn walk(bytes: &[u8], give: &mut dyn FnMut(u64, Found<'_>) -> ControlFlow<()>) -> Result<(), String> {
    let mut packets = match Packets::new(bytes) {
        Ok(packets) => packets,
        Err(error) => return walk_bare(bytes, give).ok_or_else(|| error.to_string()),
    };
    let (mut streams, mut held) = (Streams::new(StreamLimits::default()), BTreeMap::new());
    let mut flow = ControlFlow::Continue(());
    for packet in &mut packets {
        match packet.transport {
            Transport::Udp => flow = give(packet.ts_ns, Found::Datagram(packet.payload)),
            Transport::Tcp { .. } => {
                streams.push(&packet, |stream, piece| {
                    if flow.is_continue() {
                        flow = take_piece(&mut held, stream, packet.ts_ns, piece, give);
                    }
                });
            }
        }
        if flow.is_break() {
            return Ok(());
        }
    }
    streams.finish(|stream, piece| {
        if flow.is_continue() {
            flow = take_piece(&mut held, stream, 0, piece, give);
        }
    });
    for rest in held.into_values().filter(|rest: &Vec<u8>| !rest.is_empty()) {
        if flow.is_continue() {
            drop(rest);
            flow = give(0, Found::Broken("Socket closed before full packet received"));
        }
    }
    Ok(())
}

/// Bytes of a stream: the packets that they complete.
fn take_piece(
    held: &mut BTreeMap<StreamId, Vec<u8>>,
    stream: StreamId,
    ts_ns: u64,
    piece: Piece<'_>,
    give: &mut dyn FnMut(u64, Found<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let rest = held.entry(stream).or_default();
    let bytes = match piece {
        Piece::Bytes { bytes, .. } => bytes,
        Piece::Lost { .. } | Piece::Ended if rest.is_empty() => return ControlFlow::Continue(()),
        Piece::Lost { .. } | Piece::Ended => {
            rest.clear();
            return give(ts_ns, Found::Broken("Socket closed before full packet received"));
        }
    };
    rest.extend_from_slice(bytes);
    let mut at = 0;
    let flow = loop {
        match next_packet(&rest[at..]) {
            Ok(Some(packet)) => {
                let from = at + frame::LENGTH_BYTES;
                at += packet.consumed;
                if let ControlFlow::Break(()) = give(ts_ns, Found::Soup(&rest[from..at])) {
                    break ControlFlow::Break(());
                }
            }
            Ok(None) => break ControlFlow::Continue(()),
            // Where the next packet begins is not known any more.
            Err(_) => {
                at = rest.len();
                break give(ts_ns, Found::Broken("Packet too short"));
            }
        }
    };
    rest.drain(..at);
    flow
}

/// `None` when the file does not begin with a MoldUDP64 datagram.
fn walk_bare(bytes: &[u8], give: &mut dyn FnMut(u64, Found<'_>) -> ControlFlow<()>) -> Option<()> {
    let mut rest = bytes;
    let first = Datagram::read_mold(rest)?;
    if first.error.is_some() || first.messages.is_empty() {
        return None;
    }
    while let Some(datagram) = Datagram::read_mold(rest) {
        let (this, next) = rest.split_at(datagram.length);
        if give(0, Found::Datagram(this)).is_break() {
            return Some(());
        }
        rest = next;
    }
    if !rest.is_empty() {
        let _ = give(0, Found::Broken("Packet too short"));
    }
    Some(())
}

/// The dialect that has every message of the capture.
fn find_dialect(bytes: &[u8]) -> Result<Decoder, String> {
    let (mut forms, mut iex) = (BTreeSet::new(), None);
    let mut note = |message: &[u8]| {
        if let Some(kind) = message.first()
            && forms.len() < FORMS_MAX
        {
            forms.insert((*kind, message.len()));
        }
    };
    walk(bytes, &mut |_, found| {
        match found {
            Found::Datagram(bytes) => match Datagram::read(bytes) {
                Some(datagram) if datagram.iex.is_some() => iex = datagram.iex,
                Some(datagram) => datagram.messages.iter().for_each(|message| note(message)),
                None => {}
            },
            Found::Soup([soup::SEQUENCED | soup::UNSEQUENCED, payload @ ..]) => note(payload),
            Found::Soup(_) | Found::Broken(_) => {}
        }
        ControlFlow::Continue(())
    })?;
    let forms: Vec<(u8, usize)> = forms.into_iter().collect();
    let fitting: Vec<&'static Dialect> = if forms.is_empty() { Vec::new() } else { detect(&forms).collect() };
    // A few short messages may fit several: all are named, the first one decodes.
    let names: Vec<&str> = fitting.iter().map(|dialect| dialect.name()).collect();
    let name = match (names.is_empty(), iex) {
        (false, _) => names.join(" or "),
        (true, Some(iex)) => iex.into(),
        (true, None) if forms.is_empty() => String::new(),
        (true, None) => UNKNOWN_DIALECT.into(),
    };
    let dialect = fitting.first().copied();
    Ok(Decoder { dialect, name })
}

fn decoder_named(name: &str) -> Result<Decoder, Refusal> {
    match Dialect::by_name(name) {
        Some(dialect) => Ok(Decoder { dialect: Some(dialect), name: name.into() }),
        None => {
            let known: Vec<&str> = ALL.iter().map(|dialect| dialect.name()).collect();
            Err(Refusal::value("dialect", name, format!("one of {known:?}, or none: it is then found out")))
        }
    }
}

/// Decodes a capture from its beginning, packet by packet, until `limit` or until `give` wants no more.
///
/// # Errors
/// [`Refusal`] when it is none, or the dialect is not known.
pub(crate) fn decode_capture(
    bytes: &[u8],
    dialect: Option<&str>,
    limit: u64,
    give: &mut dyn FnMut(TapEvent) -> ControlFlow<()>,
) -> Result<TapEnd, Refusal> {
    let no_capture = |error: String| Refusal::value("capture", error, "a classic pcap file, unpacked");
    let decoder = match dialect {
        Some(name) => decoder_named(name)?,
        None => find_dialect(bytes).map_err(no_capture)?,
    };
    let mut end = TapEnd { reason: "end of file".into(), dialect: decoder.name.clone(), ..TapEnd::default() };
    walk(bytes, &mut |ts_ns, found| {
        if end.packets >= limit {
            end.reason = "limit".into();
            return ControlFlow::Break(());
        }
        let packet = match found {
            Found::Datagram(bytes) => decoder.datagram(bytes),
            Found::Soup(bytes) => decoder.soup_packet(bytes, None),
            Found::Broken(error) => TapPacket { error: Some(error.into()), ..TapPacket::default() },
        };
        end.packets += 1;
        give(fit(TapEvent { ts_recv: ts_ns.to_string(), line: line_name(0).into(), dropped: 0, packet }))
    })
    .map_err(no_capture)?;
    Ok(end)
}

/// Reads a capture of at most `bytes_max`.
///
/// # Errors
/// [`Refusal`] when it is not there, no regular file, or too large.
pub(crate) fn read_capture(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| Refusal {
        code: RefusalCode::NotFound,
        ..Refusal::value("path", &shown, format!("a capture that can be read: {error}"))
    };
    // Without waiting: what is behind a fifo may never come.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() {
        return Err(Refusal::value("path", &shown, "a regular file"));
    }
    if facts.len() > bytes_max {
        let expected = format!("a file of at most control.pcap_bytes_max = {bytes_max}; this one has {}", facts.len());
        return Err(Refusal { code: RefusalCode::Limit, ..Refusal::value("path", &shown, expected) });
    }
    let mut bytes = Vec::with_capacity(facts.len() as usize);
    // It may grow meanwhile: not beyond the limit.
    file.take(bytes_max).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Decodes a capture on a thread of its own. The thread waits for whoever receives and ends with him; the last thing that
/// comes is the end or a refusal.
///
/// # Errors
/// [`Refusal`] when there is no such capture.
pub(crate) fn decode_beside(
    path: String,
    dialect: Option<String>,
    limit: u64,
    bytes_max: u64,
) -> Result<Receiver<Reply>, Refusal> {
    let bytes = read_capture(Path::new(&path), bytes_max)?;
    let (sender, receiver) = sync_channel(CAPTURE_QUEUE);
    let decode = move || {
        let mut give = |event| match sender.send(Reply::Tap(Box::new(event))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let last = decode_capture(&bytes, dialect.as_deref(), limit, &mut give);
        // Nobody listens any more: nobody needs to know.
        let _ = sender.send(last.map_or_else(Reply::Refused, Reply::TapEnd));
    };
    match std::thread::Builder::new().name("tap-pcap".into()).spawn(decode) {
        Ok(_) => Ok(receiver),
        Err(error) => {
            let refusal = Refusal::value("thread", error, "a thread for the decoder");
            Err(Refusal { code: RefusalCode::Failed, ..refusal })
        }
    }
}

#[cfg(test)]
mod tests;
