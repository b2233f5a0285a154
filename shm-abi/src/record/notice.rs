//! What a venue tells beside orders and trades: official prices, indicative auctions, index values, news.

use super::{BODY_WORDS, HEAD_WORDS, Price, Quantity, VenueMessage};
use crate::ring::RECORD_WORDS_MAX;

/// `side_or_code` of an official price.
pub mod official_code {
    /// Reference price of the day: what limits and changes are counted from.
    pub const REFERENCE: u8 = b'R';
    /// Closing price of the day.
    pub const CLOSE: u8 = b'C';
    /// Opening price of the day. The `open` of a row and of statistics is the first print, and stays.
    pub const OPEN: u8 = b'O';
}

/// `side_or_code` of a clear record.
pub mod clear_code {
    /// A new day of the instrument begins: its statistics begin anew, and its close is the previous one.
    pub const DAY: u8 = super::super::side::NONE;
    /// Only the book is emptied: an image of it follows, or the venue has ended its messages.
    pub const BOOK: u8 = b'K';
}

/// The venue's letter of a status record about the session: what happened to the feed.
pub mod session_code {
    /// Data flows.
    pub const UP: u8 = b'U';
    /// The line broke.
    pub const DOWN: u8 = b'D';
    /// The venue ended its session.
    pub const ENDED: u8 = b'Z';
    /// Books have become suspect without a declared gap.
    pub const SUSPECT: u8 = b'G';
    /// The end of an image, in the ring that the image is in: of all books, or of the instrument that the head names.
    pub const IMAGE: u8 = b'I';
}

/// Body of an indicative record: what an auction would give now. The head's `side_or_code` is the venue's letter of the
/// auction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indicative {
    /// Theoretical price, or [`PRICE_NONE`](super::PRICE_NONE).
    pub price: Price,
    /// Quantity that would trade at it.
    pub quantity: Quantity,
    /// Best bid, or [`PRICE_NONE`](super::PRICE_NONE).
    pub best_bid: Price,
    /// Best offer, or [`PRICE_NONE`](super::PRICE_NONE).
    pub best_offer: Price,
}

/// Body words of an indicative record.
pub fn indicative_body(indicative: &Indicative) -> [u64; 4] {
    let Indicative { price, quantity, best_bid, best_offer } = *indicative;
    [price as u64, quantity, best_bid as u64, best_offer as u64]
}

pub(super) fn indicative(body: &[u64]) -> Option<Indicative> {
    let &[price, quantity, best_bid, best_offer, ..] = body else { return None };
    Some(Indicative { price: price as i64, quantity, best_bid: best_bid as i64, best_offer: best_offer as i64 })
}

/// Body of a news record: one part of an item. The parts of an item are records of one event, in order; their texts one
/// behind the other are issuer, title, reference and body, with a NUL after each but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News<'r> {
    /// The venue's number of the item.
    pub id: u32,
    /// Number of this part, from 0.
    pub part: u16,
    /// Parts of the item.
    pub parts: u16,
    /// The item was longer than [`NEWS_BYTES_MAX`] and was cut; an anomaly record says how long.
    pub cut: bool,
    /// UTF-8; no character stands in two parts.
    pub text: VenueMessage<'r>,
}

/// Words of a news record's body before its text.
const NEWS_HEAD: usize = 2;
/// Most words of a news record's body.
pub const NEWS_WORDS: usize = RECORD_WORDS_MAX - HEAD_WORDS;
/// Most bytes of text in one news record.
pub const NEWS_PART_BYTES: usize = (NEWS_WORDS - NEWS_HEAD) * 8;
/// Most bytes of text of one item: with all its parts it fits into the smallest ring.
pub const NEWS_BYTES_MAX: usize = 16 << 10;

/// Bit of the length word: the item was cut.
const CUT: u64 = 1 << 32;

/// Body words of a news record in `words`; returns how many were used. A longer text is cut to [`NEWS_PART_BYTES`].
pub fn news_body(id: u32, part: u16, parts: u16, cut: bool, text: &str, words: &mut [u64; NEWS_WORDS]) -> usize {
    let text = &text.as_bytes()[..text.len().min(NEWS_PART_BYTES)];
    words[0] = u64::from(id) | u64::from(part) << 32 | u64::from(parts) << 48;
    words[1] = text.len() as u64 | if cut { CUT } else { 0 };
    let mut used = NEWS_HEAD;
    for chunk in text.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        words[used] = u64::from_le_bytes(bytes);
        used += 1;
    }
    words[used.min(BODY_WORDS)..BODY_WORDS].fill(0);
    used.max(BODY_WORDS)
}

pub(super) fn news(body: &[u64]) -> Option<News<'_>> {
    let (&[item, length], words) = body.split_first_chunk::<NEWS_HEAD>()?;
    let len = (length as u32 as usize).min(words.len() * 8);
    Some(News {
        id: item as u32,
        part: (item >> 32) as u16,
        parts: (item >> 48) as u16,
        cut: length & CUT != 0,
        text: VenueMessage { len, words },
    })
}
