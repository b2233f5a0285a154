//! The file: one header, then records of a stamp, two lengths and the captured bytes.

/// Most bytes of one record. No link carries more; a length above it is damage, not a packet.
pub const RECORD_MAX_BYTES: usize = 1 << 18;

const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const MAGIC_PCAPNG: u32 = 0x0a0d_0d0a;

/// What the records of a capture begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet frame without preamble (link type 1).
    Ethernet,
    /// An IP packet (link types 12, 101 and 228).
    RawIp,
    /// A packet of Linux' "any" device (link type 113).
    LinuxCooked,
}

impl LinkType {
    fn from_code(code: u32) -> Option<LinkType> {
        // The upper bits tell of a frame check sequence behind the packet, which no length in the packet counts.
        match code & 0x03ff_ffff {
            1 => Some(LinkType::Ethernet),
            12 | 101 | 228 => Some(LinkType::RawIp),
            113 => Some(LinkType::LinuxCooked),
            _ => None,
        }
    }
}

/// Why bytes are no capture, or no more of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Not even a file header.
    #[error("no capture: need {FILE_HEADER_BYTES} bytes of header, have {have}")]
    NoHeader {
        /// Bytes that were there.
        have: usize,
    },
    /// The first four bytes name no capture format.
    #[error("no capture: magic number {got:#010x}")]
    Magic {
        /// The first four bytes, little-endian.
        got: u32,
    },
    /// The newer format, which this reader does not have.
    #[error("a pcapng capture: convert it to classic pcap first")]
    Pcapng,
    /// Another version than 2.x.
    #[error("pcap version {major}: expected 2")]
    Version {
        /// Major version in the header.
        major: u16,
    },
    /// Records of a link that this reader does not know.
    #[error("pcap link type {code}: expected Ethernet (1), raw IP (12, 101, 228) or Linux cooked (113)")]
    Link {
        /// Link type in the header.
        code: u32,
    },
    /// The file ends inside a record.
    #[error("capture is cut at offset {offset}: need {need} bytes, have {have}")]
    Cut {
        /// Offset of the record's header.
        offset: usize,
        /// Bytes that the record needs from there, its header included.
        need: usize,
        /// Bytes that were there.
        have: usize,
    },
    /// A record claims more than [`RECORD_MAX_BYTES`]: the file is damaged from here on.
    #[error("capture is damaged at offset {offset}: a record of {len} bytes")]
    Oversized {
        /// Offset of the record's header.
        offset: usize,
        /// Bytes that it claims.
        len: u32,
    },
}

/// One captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was captured, ns since the UNIX epoch.
    pub ts_ns: u64,
    /// Bytes that the frame had on the wire; more than `bytes` has when the capture kept only its beginning.
    pub wire_bytes: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
}

/// Walks the records of a capture.
///
/// A record that is not whole is yielded once as an error, then the walk ends; what came before it stands.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
    /// Nanoseconds in one unit of a stamp's lower half.
    fraction_ns: u64,
    link_type: LinkType,
}

impl<'a> Records<'a> {
    /// A walk over the capture in `bytes`.
    ///
    /// # Errors
    /// When these bytes are no classic pcap, or of a link that is not known: see [`FileError`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, FileError> {
        let no_header = FileError::NoHeader { have: bytes.len() };
        let header = bytes.first_chunk::<FILE_HEADER_BYTES>().ok_or(no_header)?;
        let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
        let magic = u32::from_le_bytes(word(0));
        let (big_endian, fraction_ns) = match magic {
            MAGIC_MICROSECONDS => (false, 1_000),
            MAGIC_NANOSECONDS => (false, 1),
            _ if magic == MAGIC_MICROSECONDS.swap_bytes() => (true, 1_000),
            _ if magic == MAGIC_NANOSECONDS.swap_bytes() => (true, 1),
            MAGIC_PCAPNG => return Err(FileError::Pcapng),
            got => return Err(FileError::Magic { got }),
        };
        let major = u16_of([header[4], header[5]], big_endian);
        if major != 2 {
            return Err(FileError::Version { major });
        }
        let code = u32_of(word(20), big_endian);
        let link_type = LinkType::from_code(code).ok_or(FileError::Link { code })?;
        Ok(Records { bytes, at: FILE_HEADER_BYTES, big_endian, fraction_ns, link_type })
    }

    /// What the records begin with.
    #[must_use]
    pub const fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// How many bytes were walked over.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    #[cold]
    fn end(&mut self, error: FileError) -> Option<Result<Record<'a>, FileError>> {
        self.at = self.bytes.len();
        Some(Err(error))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.at;
        let rest = self.bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let Some((header, body)) = rest.split_first_chunk::<RECORD_HEADER_BYTES>() else {
            return self.end(FileError::Cut { offset, need: RECORD_HEADER_BYTES, have: rest.len() });
        };
        let word = |at: usize| u32_of([header[at], header[at + 1], header[at + 2], header[at + 3]], self.big_endian);
        let (seconds, fraction, captured, wire_bytes) = (word(0), word(4), word(8), word(12));
        if captured as usize > RECORD_MAX_BYTES {
            return self.end(FileError::Oversized { offset, len: captured });
        }
        let need = RECORD_HEADER_BYTES + captured as usize;
        let Some(bytes) = body.get(..captured as usize) else {
            return self.end(FileError::Cut { offset, need, have: rest.len() });
        };
        self.at = offset + need;
        let ts_ns = u64::from(seconds) * crate::time::SECOND_NS + u64::from(fraction) * self.fraction_ns;
        Some(Ok(Record { ts_ns, wire_bytes, bytes }))
    }
}

impl std::iter::FusedIterator for Records<'_> {}

fn u32_of(bytes: [u8; 4], big_endian: bool) -> u32 {
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

fn u16_of(bytes: [u8; 2], big_endian: bool) -> u16 {
    if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}
