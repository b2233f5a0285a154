//! The client of the gateway's native WebSocket protocol, for programs that cannot map the engine's memory.
//!
//! ```no_run
//! use std::time::Duration;
//! use ticklane_client::websocket::{Channel, Client, Event, Options, Subscription};
//!
//! # fn main() -> Result<(), ticklane_client::websocket::Error> {
//! let mut client = Client::connect("ws://127.0.0.1:8080/ws/v1", Options::default())?;
//! client.subscribe(Subscription::new(Channel::Quotes, ["AAPL", "MSFT"]))?;
//! loop {
//!     match client.next_within(Duration::from_secs(1))? {
//!         Some(Event::Snapshot(snapshot)) => println!("{}: {:?}", snapshot.topic, snapshot.state),
//!         Some(Event::Update(update)) => println!("{}: {:?}", update.topic, update.change),
//!         Some(Event::Gap(gap)) => println!("will not come: {gap:?}"),
//!         Some(other) => println!("{other:?}"),
//!         None => {}
//!     }
//! }
//! # }
//! ```
//!
//! As with the reader of shared memory, nothing is lost in silence: what the gateway declares as lost is an
//! [`Event::Gap`], what it merged says so in the frame, and what is missing without a word the client sees by itself
//! ([`Event::Undeclared`]). When the connection breaks, the client makes another, subscribes everything anew, and goes
//! on with trades where it was.
//!
//! The client has no thread of its own and does its work in [`Client::next_within`]: call it often, also when there is
//! nothing to do, or the gateway will take the client for dead.
//!
//! | module | job |
//! |---|---|
//! | [`view`] | what a client holds: quotes, depth windows, statuses, and whether they are whole |
//! | [`scenario`] | behaviour as data, for tests of gateways and clients |
//!
//! Source: gateway/PROTOCOL.md.

mod chain;
mod client;
mod command;
mod data;
mod decode;
mod dial;
mod error;
mod event;
mod number;
mod options;
mod pace;
mod payload;
mod receive;
pub mod scenario;
mod table;
mod topic;
pub mod view;

pub use client::Client;
pub use data::{
    Change, Cross, LastTrade, Level, LevelChange, Merged, PastTrade, Quote, Snapshot, Stamps, State, Status, Trade,
    Update,
};
pub use error::Error;
pub use event::{
    Ack, Event, Gap, Hello, LaneInfo, LaneState, Limits, Op, Refused, Replay, Restart, ResumeRefusal, ServerError,
};
pub use number::{Amount, ShowPrice};
pub use options::Options;
pub use topic::{Channel, Levels, Subscription, Topic};

pub use shm_abi::board::Quality;
pub use shm_abi::record::TradingStatus;
