//! What may go wrong on a SoupBinTCP endpoint.

#[cfg(doc)]
use super::ALWAYS;
use super::FaultError;
use super::words::Words;

/// Most cuts in one list.
pub const MAX_CUTS: usize = 100_000;
/// Most packets of one flood and bytes of one noise.
const MAX_INSERTED: u64 = 10_000_000;
const FLOOD_PACKETS: u64 = 50_000;
const GARBAGE_BYTES: u64 = 64;

/// One fault of a SoupBinTCP endpoint. See the table of [`super`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TcpFault {
    /// Break connections after some bytes.
    Cuts {
        /// Bytes after the login acceptance, one number for each connection.
        at: Vec<u64>,
        /// By a TCP reset and not by the end of the stream.
        reset: bool,
    },
    /// Break the first connection that comes to a message, inside of its packet.
    CutIn {
        /// The message.
        sequence: u64,
        /// Bytes of its packet that still go out.
        byte: u64,
        /// By a TCP reset.
        reset: bool,
    },
    /// Deliver in pieces of at most this many bytes, at least 1.
    Chunk(usize),
    /// Hold bytes back until there are this many.
    Coalesce(usize),
    /// Reset connections at once, so many times.
    Refuse(u64),
    /// Reject logins.
    Reject {
        /// `A` not authorised, `S` no such session.
        code: u8,
        /// How often; [`ALWAYS`] for always.
        times: u64,
    },
    /// Never answer login requests, so many times.
    NoLoginAnswer(u64),
    /// Accept logins in a strange way.
    Accept {
        /// In which one.
        how: Acceptance,
        /// How often; [`ALWAYS`] for always.
        times: u64,
    },
    /// Fall silent after this message.
    Silence(u64),
    /// Send nothing at all.
    Mute,
    /// Send something extra in front of a message, once.
    Insert {
        /// What.
        what: Inserted,
        /// The message.
        before: u64,
    },
}

/// How a login is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// As it should be.
    Plain,
    /// In single bytes.
    Pieces,
    /// By noise.
    Garbage,
    /// With another session's name.
    WrongSession,
    /// With a number this much higher.
    Skip(u64),
    /// With a number this much lower.
    Rewind(u64),
}

/// What may stand in front of a message's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// So many bytes of noise.
    Garbage(u64),
    /// A length of 0.
    ZeroLength,
    /// A length of 65535 with that many bytes of an unknown type.
    HugeLength,
    /// So many debug packets.
    Debug(u64),
    /// So many unsequenced packets.
    Unsequenced(u64),
    /// A packet of a type that does not exist.
    UnknownPacket,
}

pub(super) fn parse(name: &str, words: &mut Words<'_>) -> Result<Option<TcpFault>, FaultError> {
    use TcpFault::*;
    let insert = |what, before| Insert { what, before };
    Ok(Some(match name {
        "cut" | "rst" => Cuts { at: vec![words.number("byte count")?], reset: name == "rst" },
        "cut-list" | "rst-list" => Cuts { at: cut_list(words)?, reset: name == "rst-list" },
        "cut-in" | "rst-in" => CutIn {
            sequence: words.positive("message number")?,
            byte: words.number("byte count")?,
            reset: name == "rst-in",
        },
        "rst-length" => CutIn { sequence: words.positive("message number")?, byte: 1, reset: true },
        "one-byte" => Chunk(1),
        "chunk" => Chunk(words.positive("piece size of at least 1 byte")? as usize),
        "coalesce" => Coalesce(words.positive("number of bytes")?.min(1 << 20) as usize),
        "refuse" => Refuse(words.times()?),
        "reject" => match words.next() {
            Some(code @ ("A" | "S")) => Reject { code: code.as_bytes()[0], times: words.times()? },
            seen => return Err(words.wrong(seen.unwrap_or(""), "letter A or S")),
        },
        "no-login-answer" => NoLoginAnswer(words.times()?),
        "login-pieces" => Accept { how: Acceptance::Pieces, times: words.times()? },
        "login-garbage" => Accept { how: Acceptance::Garbage, times: words.times()? },
        "wrong-session" => Accept { how: Acceptance::WrongSession, times: words.times()? },
        "skip" => {
            Accept { how: Acceptance::Skip(words.positive("number of messages")?), times: words.or(1, "number")? }
        }
        "rewind" => {
            Accept { how: Acceptance::Rewind(words.positive("number of messages")?), times: words.or(1, "number")? }
        }
        "silence" => Silence(words.number("message number")?),
        "garbage" => {
            let before = words.positive("message number")?;
            insert(Inserted::Garbage(words.or(GARBAGE_BYTES, "number of bytes")?.min(MAX_INSERTED)), before)
        }
        "zero-length" => insert(Inserted::ZeroLength, words.positive("message number")?),
        "huge-length" => insert(Inserted::HugeLength, words.positive("message number")?),
        "unknown-packet" => insert(Inserted::UnknownPacket, words.positive("message number")?),
        "debug-flood" | "unsequenced-flood" => {
            let before = words.positive("message number")?;
            let count = words.or(FLOOD_PACKETS, "number of packets")?.min(MAX_INSERTED);
            insert(if name == "debug-flood" { Inserted::Debug(count) } else { Inserted::Unsequenced(count) }, before)
        }
        _ => return Ok(None),
    }))
}

/// Numbers with commas between them, or the name of a file with numbers between commas or blanks.
fn cut_list(words: &mut Words<'_>) -> Result<Vec<u64>, FaultError> {
    let list = words.all();
    let looks_like_numbers = list.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    let text = match looks_like_numbers {
        true => list.to_owned(),
        false => std::fs::read_to_string(list).map_err(|error| FaultError::ListFile {
            fault: words.fault().into(),
            path: list.into(),
            cause: error.to_string(),
        })?,
    };
    let numbers = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
    let cuts: Vec<u64> = numbers
        .take(MAX_CUTS)
        .map(|part| part.parse().map_err(|_| words.wrong(part, "byte count")))
        .collect::<Result<_, _>>()?;
    match cuts.is_empty() {
        true => Err(words.wrong(list, "list of byte counts")),
        false => Ok(cuts),
    }
}

impl TcpFault {
    /// The name that clears it, with all of its kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cuts { .. } | Self::CutIn { .. } => "cut",
            Self::Chunk(_) => "chunk",
            Self::Coalesce(_) => "coalesce",
            Self::Refuse(_) => "refuse",
            Self::Reject { .. } => "reject",
            Self::NoLoginAnswer(_) => "no-login-answer",
            Self::Accept { .. } => "accept",
            Self::Silence(_) => "silence",
            Self::Mute => "mute",
            Self::Insert { .. } => "insert",
        }
    }
}
