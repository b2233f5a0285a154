//! Which of a reader's books are whole: the rules by which a strategy trusts the books that it makes from the orders ring
//! (decisions.md 11).

use std::collections::HashMap;

use shm_abi::record::{Body, INSTRUMENT_NONE, StatusCause, flag, kind, restart_reason, session_code};

use crate::common::Got;

#[derive(Debug, Clone, Copy)]
struct Book {
    whole: bool,
    /// An image of it comes in, and was seen from its beginning.
    imaged: bool,
}

/// What a reader knows of its books, by instrument.
#[derive(Debug)]
pub(crate) struct Trust {
    books: HashMap<u32, Book>,
    /// What an instrument is of which nothing was told yet.
    unseen: Book,
}

impl Default for Trust {
    fn default() -> Trust {
        Trust { books: HashMap::new(), unseen: Book { whole: true, imaged: false } }
    }
}

impl Trust {
    pub(crate) fn is_whole(&self, instrument: u32) -> bool {
        self.books.get(&instrument).unwrap_or(&self.unseen).whole
    }

    pub(crate) fn event(&mut self, records: &[Got]) {
        for got in records {
            let record = got.record();
            let (id, imaged) = (record.head.instrument_id, record.head.flags & flag::SNAPSHOT != 0);
            match record.body() {
                Body::Clear { .. } => self.set(id, Book { whole: !imaged, imaged }),
                Body::Status(status)
                    if status.cause == StatusCause::Session && status.venue_code == session_code::IMAGE =>
                {
                    self.each(id, |book| book.whole |= std::mem::take(&mut book.imaged));
                }
                Body::Restart(restart) if restart.reason == restart_reason::SESSION => *self = Trust::default(),
                _ if record.head.kind == kind::GAP => self.each(id, |book| book.whole = false),
                _ => {}
            }
            if record.head.flags & flag::SUSPECT != 0 {
                self.each(id, |book| book.whole = false);
            }
        }
    }

    fn set(&mut self, id: u32, book: Book) {
        if id == INSTRUMENT_NONE {
            self.books.clear();
            self.unseen = book;
        } else {
            self.books.insert(id, book);
        }
    }

    fn each(&mut self, id: u32, mut change: impl FnMut(&mut Book)) {
        if id == INSTRUMENT_NONE {
            self.books.values_mut().for_each(&mut change);
            change(&mut self.unseen);
        } else {
            change(self.books.entry(id).or_insert(self.unseen));
        }
    }
}
