//! What a recording is, by its first bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use wire::pcap::Packets;

use super::bytes::is_gzip;

/// Bytes looked at: more than any packet has.
const HEAD_BYTES: u64 = 128 << 10;

/// Kinds of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A capture, and the time of its first packet, ns since the UNIX epoch; 0: it has none.
    Capture { first_ns: u64 },
    /// ITCH messages behind their lengths (BinaryFILE).
    Messages,
    /// A DBN file, zstd or not.
    Dbn,
    /// The folder of a lane's journal.
    Journal,
}

/// Looks at a recording. Blocking.
///
/// # Errors
/// A text that names what was seen and what was expected.
pub(crate) fn sniff(path: &Path) -> Result<Kind, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(Kind::Journal);
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut head = Vec::new();
    match is_gzip(&mut file).map_err(failed)? {
        true => MultiGzDecoder::new(file).take(HEAD_BYTES).read_to_end(&mut head),
        false => file.take(HEAD_BYTES).read_to_end(&mut head),
    }
    .map_err(failed)?;
    of_bytes(&head).map_err(|seen| format!("{}: {seen}", path.display()))
}

fn of_bytes(head: &[u8]) -> Result<Kind, String> {
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    if head.starts_with(b"DBN") || head.starts_with(&ZSTD) {
        return Ok(Kind::Dbn);
    }
    match Packets::new(head) {
        Ok(mut packets) => return Ok(Kind::Capture { first_ns: packets.next().map_or(0, |packet| packet.ts_ns) }),
        Err(wire::pcap::FileError::Pcapng) => {
            return Err("a pcapng capture: expected a classic one (editcap -F pcap)".into());
        }
        Err(_) => {}
    }
    match head {
        // A message has a length that fits, and begins with the letter of its type.
        [high, low, kind, ..]
            if (1..=4096).contains(&u16::from_be_bytes([*high, *low])) && kind.is_ascii_alphanumeric() =>
        {
            Ok(Kind::Messages)
        }
        _ => Err(format!(
            "begins with {:02x?}: expected a capture, an ITCH file, a DBN file (each may be compressed) or the folder of \
             a journal",
            &head[..head.len().min(4)]
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let mut capture = wire::pcap::encode::file_header();
        assert_eq!(of_bytes(&capture), Ok(Kind::Capture { first_ns: 0 }));
        let (from, to) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        wire::pcap::encode::append_record(&mut capture, 77, &wire::pcap::encode::udp_frame(from, to, b"x"));
        assert_eq!(of_bytes(&capture), Ok(Kind::Capture { first_ns: 77 }));
        assert_eq!(of_bytes(b"DBN\x03rest"), Ok(Kind::Dbn));
        assert_eq!(of_bytes(&[0x28, 0xb5, 0x2f, 0xfd, 0]), Ok(Kind::Dbn));
        assert_eq!(of_bytes(b"\0\x0cSxxxxxxxxxxx"), Ok(Kind::Messages));
        for bytes in [&b""[..], b"\0\0", b"\x0a\x0d\x0d\x0a0000", b"\0\x0c\0\0", b"PNG!"] {
            let error = of_bytes(bytes).unwrap_err();
            assert!(error.contains("expected"), "{error}");
        }
    }
}
