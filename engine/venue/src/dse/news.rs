//! News of the venue, in English and in Bangla.

use super::listing::Instrument;
use crate::market::rng::Rng;

/// One item, each text within what the venue is known to send: 80, 200 and 511 bytes.
pub(super) struct Item {
    /// 0 for news of the whole market.
    pub(super) orderbook: u32,
    pub(super) title: String,
    pub(super) reference: String,
    pub(super) text: String,
}

/// Titles and texts; `{}` is the code of the instrument.
const OF_INSTRUMENTS: [(&str, &str); 6] = [
    ("{}: Board meeting schedule", "The meeting of the board of directors of {} will be held at 3:00 PM."),
    ("{}: Price sensitive information", "The company has decided to issue a 10% stock dividend, subject to approval."),
    ("{}: Credit rating", "The rating of {} is AA in the long term and ST-2 in the short term."),
    ("{}: পরিচালনা পর্ষদের সভা", "{} জানিয়েছে যে পরিচালনা পর্ষদের সভা বিকাল ৩টায় অনুষ্ঠিত হবে।"),
    ("{}: মূল্য সংবেদনশীল তথ্য", "কোম্পানির পরিচালনা পর্ষদ ১০% নগদ লভ্যাংশ ঘোষণা করেছে।"),
    ("{}: Query response", "{} has informed that there is no undisclosed price sensitive information."),
];

const OF_THE_MARKET: [(&str, &str); 3] = [
    ("DSE News: Trading hours", "Trading goes on as scheduled. This is a synthetic market; nothing in it is true."),
    ("ডিএসই: বাজার বিজ্ঞপ্তি", "আজকের লেনদেন যথাসময়ে চলছে। এটি একটি কৃত্রিম বাজার।"),
    ("Awareness message for investors", "Decide on information and not on rumour. বিনিয়োগের আগে জেনে বুঝে নিন।"),
];

pub(super) fn item(number: u32, instruments: &[Instrument], rng: &mut Rng) -> Item {
    let reference = format!("https://news.invalid/{number}");
    if rng.chance(0.2) {
        let (title, text) = OF_THE_MARKET[rng.below(OF_THE_MARKET.len() as u32) as usize];
        return Item { orderbook: 0, title: title.into(), reference, text: text.into() };
    }
    let instrument = &instruments[rng.below(instruments.len() as u32) as usize];
    let (title, text) = OF_INSTRUMENTS[rng.below(OF_INSTRUMENTS.len() as u32) as usize];
    let (title, text) = (title.replace("{}", &instrument.code), text.replace("{}", &instrument.code));
    Item { orderbook: instrument.orderbook, title, reference, text }
}
