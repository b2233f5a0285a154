//! The typed reader of Ticklane's shared memory, for strategies; and, with the feature `websocket`, the client of its
//! gateway.
//!
//! ```no_run
//! use ticklane_client::{Event, Lane, Options};
//!
//! # fn main() -> Result<(), ticklane_client::ClientError> {
//! let lane = Lane::attach("/run/ticklane/main", "lane0")?;
//! let mut market = lane.market(Options::default())?;
//! loop {
//!     match market.next()? {
//!         Event::Record(record) => println!("{} {:?}", record.n, record.body()),
//!         Event::Lost(lost) => println!("lost {} to {}", lost.first, lost.last),
//!         Event::Restarted(restarted) => println!("the engine began anew: {restarted:?}"),
//!         Event::WriterSilent | Event::WriterBack => {}
//!         Event::Closed => return Ok(()),
//!     }
//! }
//! # }
//! ```
//!
//! Nothing is lost in silence: whatever a [`Reader`] cannot deliver it declares, with the exact numbers, before
//! anything that follows. What the *venue* never delivered stands in the ring itself, as a gap record: see
//! [`Event::venue_gap`].
//!
//! | module | job |
//! |---|---|
//! | [`lane`] | finding and mapping a lane |
//! | [`reader`] | following a ring across laps, silences and restarts of its writer |
//! | [`event`] | what a reader can report |
//! | [`cursor`] | the public name of a place in a ring |
//! | [`instruments`] | symbol and id look-ups |
//! | [`board`] | latest values |
//! | [`l3`] | order books, whose type says whether they are whole |
//! | [`histogram`] | latencies without allocation |
//! | `websocket` | with the feature of that name: the gateway's WebSocket protocol, for programs on other hosts |
//!
//! Source: design.md section 3, decisions.md 2 to 6 and 11.
#![forbid(unsafe_code)]

pub mod board;
pub mod error;
pub mod event;
pub mod histogram;
pub mod instruments;
pub mod l3;
pub mod lane;
pub mod reader;
mod wait;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use board::{BoardView, LookupError, Quote, RowView};
pub use error::ClientError;
pub use event::{Event, RestartReason, Restarted, VenueGap};
pub use histogram::Histogram;
pub use instruments::{Instruments, Key};
pub use lane::Lane;
pub use reader::{Options, Reader, Start, Wait};

pub use shm_abi::cursor::{self, Cursor, CursorError};
pub use shm_abi::directory::Instrument;
pub use shm_abi::record::{Body, Head, PRICE_NONE, Price, QUANTITY_NONE, Quantity, Record, Side};
pub use shm_abi::ring::{LossReason, Lost, Rejoin};
pub use shm_abi::segment::RingName;
