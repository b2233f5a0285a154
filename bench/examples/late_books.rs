//! A strategy that joins late: books from the lane's journal, and the live orders ring from where they end.
//!
//! `cargo run -p ticklane-bench --example late_books -- RUNTIME_DIR LANE JOURNAL_FOLDER INSTRUMENT_ID`

use journal::Journal;
use journal::late::newest;
use ticklane_client::l3::{Books, Completeness, View};
use ticklane_client::{Lane, Options, Side, Start};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, lane, folder, instrument] = &arguments[..] else {
        return Err("usage: late_books RUNTIME_DIR LANE JOURNAL_FOLDER INSTRUMENT_ID".into());
    };
    let mut late = newest(&Journal::open(folder)?, 8 << 20)?;
    let mut books = Books::new(Completeness::Incomplete);
    while let Some(record) = late.records.next() {
        books.load(&record.words);
    }
    let options = Options { start: Start::At(late.cursor), ..Options::default() };
    let mut orders = Lane::attach(directory, lane)?.orders(options)?;
    while let Some(event) = orders.try_next()? {
        books.apply(&event);
    }
    match books.get(instrument.parse()?) {
        Some(View::Complete(book)) => println!("{:?} {:?}", book.best(Side::Bid), book.best(Side::Ask)),
        Some(View::Incomplete(book)) => println!("{} orders, and others perhaps", book.known_orders()),
        None => println!("nothing was said of it"),
    }
    Ok(())
}
