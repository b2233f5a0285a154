//! News: four texts of any bytes, as UTF-8, over as many records as they need.

use shm_abi::record::{AnomalyCode, NEWS_BYTES_MAX, NEWS_PART_BYTES, NEWS_WORDS, kind, news_body};
use wire::dialect::{Role, View};

use super::{Fate, Feed, InstrumentIds, Io, KNOWN, declare};
use crate::publish::{Event, NO_SIDE};

/// Room to put an item together, made once.
#[derive(Debug)]
pub(super) struct Newsroom {
    text: String,
    /// Bytes that the whole item would have.
    whole: usize,
}

impl Newsroom {
    pub(super) fn new(used: bool) -> Newsroom {
        Newsroom { text: String::with_capacity(if used { NEWS_BYTES_MAX } else { 0 }), whole: 0 }
    }

    /// Puts the texts together, with NULs between them. What is not UTF-8 becomes the replacement character.
    fn compose<'t>(&mut self, texts: impl Iterator<Item = &'t [u8]>) {
        self.text.clear();
        self.whole = 0;
        for (i, bytes) in texts.enumerate() {
            if i > 0 {
                self.push("\0");
            }
            for chunk in bytes.utf8_chunks() {
                // Only the NULs between the texts part them.
                for (j, piece) in chunk.valid().split('\0').enumerate() {
                    if j > 0 {
                        self.push("\u{fffd}");
                    }
                    self.push(piece);
                }
                if !chunk.invalid().is_empty() {
                    self.push("\u{fffd}");
                }
            }
        }
    }

    /// Appends what fits; nothing more once something did not.
    fn push(&mut self, piece: &str) {
        let room = if self.whole == self.text.len() { NEWS_BYTES_MAX - self.text.len() } else { 0 };
        self.whole += piece.len();
        self.text.push_str(head(piece, room));
    }

    /// The parts of the item; an empty one has one part.
    fn parts(&self) -> impl Iterator<Item = &str> {
        let mut rest = Some(self.text.as_str());
        std::iter::from_fn(move || {
            let part = head(rest?, NEWS_PART_BYTES);
            rest = rest.map(|rest| &rest[part.len()..]).filter(|rest| !rest.is_empty());
            Some(part)
        })
    }
}

/// The longest beginning of `text` of at most `most` bytes that ends between two characters.
fn head(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl<I: InstrumentIds> Feed<I> {
    /// `N`, about an orderbook or about none. It is published by whichever feed has it, also about instruments whose row
    /// is another's.
    pub(super) fn news(&mut self, view: &View<'_>, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let locate = view.u32(Role::Orderbook).unwrap_or(0);
        let facts = self.facts[at as usize];
        if facts.bits & KNOWN != 0 {
            facts.name(&mut event);
        } else if locate != 0 {
            // The news counts all the same.
            declare(AnomalyCode::UnknownInstrument, locate.into(), b'N'.into(), &event, &mut io.out, io.counters);
        }
        let roles = [Role::FirmId, Role::Title, Role::NewsReference, Role::Text];
        let texts = roles.map(|role| if role == Role::FirmId { view.trimmed(role) } else { view.bytes(role) });
        self.newsroom.compose(texts.into_iter().map(Option::unwrap_or_default));
        let cut = self.newsroom.whole > self.newsroom.text.len();
        if cut {
            declare(AnomalyCode::BadField, b'N'.into(), self.newsroom.whole as u64, &event, &mut io.out, io.counters);
        }
        let id = view.u32(Role::NewsId).unwrap_or(0);
        let parts = self.newsroom.parts().count() as u16;
        let head = event.head(kind::NEWS, NO_SIDE, 0);
        let mut words = [0; NEWS_WORDS];
        for (part, text) in (0..).zip(self.newsroom.parts()) {
            let used = news_body(id, part, parts, cut, text, &mut words);
            io.out.market.put_text(head, &words[..used], part + 1 == parts);
        }
        self.finish_for(at, &event, io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(texts: &[&[u8]]) -> Newsroom {
        let mut room = Newsroom::new(true);
        room.compose(texts.iter().copied());
        room
    }

    #[test]
    fn texts_of_any_bytes_become_utf_8() {
        let bangla = "খবর".as_bytes();
        let table: &[(&str, &[&[u8]], &str)] = &[
            ("plain", &[b"DSE", b"a", b"b", b"c"], "DSE\0a\0b\0c"),
            ("empty", &[b"", b"", b"", b""], "\0\0\0"),
            ("Bangla", &[b"DSE", bangla], "DSE\0খবর"),
            ("cut within a character", &[b"DSE", &bangla[..4]], "DSE\0খ\u{fffd}"),
            ("bytes that are no text", &[b"\xff\xfeA\x80"], "\u{fffd}\u{fffd}A\u{fffd}"),
            ("a NUL within", &[b"A\0B", b"C"], "A\u{fffd}B\0C"),
        ];
        for (name, texts, want) in table {
            let room = composed(texts);
            assert_eq!((room.text.as_str(), room.whole), (*want, want.len()), "case: {name}");
            assert_eq!(room.parts().count(), 1, "case: {name}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_at_the_limit() {
        let long = "খ".repeat(4_000);
        let room = composed(&[b"DSE", long.as_bytes()]);
        let parts: Vec<&str> = room.parts().collect();
        assert_eq!(parts.concat(), format!("DSE\0{long}"));
        assert!(parts.len() == 4 && parts.iter().all(|part| part.len() <= NEWS_PART_BYTES), "{}", parts.len());
        let room = composed(&[&[0xff; 65_000], b"more"]);
        let capacity = room.text.capacity();
        assert_eq!((room.text.len(), room.whole), (NEWS_BYTES_MAX / 3 * 3, 65_000 * 3 + 5));
        assert_eq!(capacity, Newsroom::new(true).text.capacity(), "no allocation by the wire");
    }
}
