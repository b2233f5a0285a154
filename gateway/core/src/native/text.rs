//! JSON texts and numbers, written byte by byte.

use crate::dialect::RequestId;
use crate::number::push_integer;

/// Appends what stands in a frame as it is: its fixed parts.
#[inline(always)]
pub(super) fn put(out: &mut Vec<u8>, fixed: &str) {
    out.extend_from_slice(fixed.as_bytes());
}

/// Appends a JSON text. Symbols and lane names are escaped as well: the directory is another process's word.
#[inline]
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_characters(out, text);
    out.push(b'"');
}

/// What stands between the quotes of a JSON text.
#[inline]
fn push_characters(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(is_escaped) {
        push_escaped(out, text);
    } else {
        put(out, text);
    }
}

/// What JSON does not take as it is: quotes, backslashes and control characters.
#[inline(always)]
const fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

#[cold]
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => put(out, "\\b"),
            0x0c => put(out, "\\f"),
            b'\n' => put(out, "\\n"),
            b'\r' => put(out, "\\r"),
            b'\t' => put(out, "\\t"),
            0..0x20 => {
                put(out, "\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
}

/// Appends a number as a text: stamps and match ids, which a double does not hold.
#[inline]
pub(super) fn push_quoted(out: &mut Vec<u8>, value: u64) {
    out.push(b'"');
    push_integer(out, value);
    out.push(b'"');
}

/// Appends an epoch, a text of 16 hex digits.
#[inline]
pub(super) fn push_epoch(out: &mut Vec<u8>, epoch: u64) {
    out.push(b'"');
    push_hex(out, epoch);
    out.push(b'"');
}

/// Appends a cursor: everything up to `seq` is known to its holder. A lane's name is plain wherever the contract was
/// kept; where it was not, the cursor still is a JSON text.
#[inline]
pub(super) fn push_cursor(out: &mut Vec<u8>, lane: &str, epoch: u64, seq: u64) {
    out.push(b'"');
    push_characters(out, lane);
    out.push(b'.');
    push_hex(out, epoch);
    out.push(b'.');
    push_integer(out, seq);
    out.push(b'"');
}

#[inline]
fn push_hex(out: &mut Vec<u8>, value: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits: [u8; 16] = std::array::from_fn(|at| HEX[(value >> (60 - 4 * at)) as usize & 15]);
    out.extend_from_slice(&digits);
}

/// Appends `,"id":...` when the command had one.
pub(super) fn push_id(out: &mut Vec<u8>, id: Option<&RequestId>) {
    let Some(id) = id else { return };
    put(out, ",\"id\":");
    match id {
        RequestId::Number(number) => push_integer(out, *number),
        RequestId::Text(text) => push_string(out, text),
    }
}

/// Appends `items`, separated by commas, in brackets.
#[inline]
pub(super) fn push_list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_escaped() {
        let table: &[(&str, &str)] = &[
            ("", r#""""#),
            ("AAPL", r#""AAPL""#),
            (r#"A"B"#, r#""A\"B""#),
            (r"A\B", r#""A\\B""#),
            ("\u{1f}", r#""\u001f""#),
            ("a\nb\rc\td\u{8}e\u{c}", r#""a\nb\rc\td\be\f""#),
            ("\u{0}\u{1f}\u{7f}", "\"\\u0000\\u001f\u{7f}\""),
            ("é\u{2028}\u{1f4c8}", "\"é\u{2028}\u{1f4c8}\""),
        ];
        for (text, want) in table {
            assert_eq!(string(text), *want, "text: {text:?}");
        }
    }

    #[test]
    fn cursors() {
        let mut out = Vec::new();
        push_cursor(&mut out, "lane0", 0x00c0_ffee_00c0_ffee, 118);
        assert_eq!(out, br#""lane0.00c0ffee00c0ffee.118""#);
        let text = std::str::from_utf8(&out[1..out.len() - 1]).unwrap();
        let cursor: shm_abi::cursor::Cursor = text.parse().unwrap();
        assert_eq!((cursor.epoch, cursor.seq), (0x00c0_ffee_00c0_ffee, 118));

        out.clear();
        push_cursor(&mut out, r#"l"\"#, u64::MAX, 0);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), r#"l"\.ffffffffffffffff.0"#);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "(?s).{0,40}|[\"\\\\\\x00-\\x20]{0,20}") {
            prop_assert_eq!(serde_json::from_str::<String>(&string(&text)).unwrap(), text);
        }
    }
}
