//! Messages that no honest venue sends: counted, declared in the ring, never a panic, never a negative level.

use shm_abi::board::RowImage;
use shm_abi::counters::LaneCounter;
use shm_abi::record::{AnomalyCode, Side, kind};
use wire::itch50::{
    AddOrder, OrderCancel, OrderDelete, OrderExecuted, OrderReplace, StockDirectory, SystemEvent, TradingAction,
};
use wire::itchfile;
use zerocopy::IntoBytes;

use crate::bus::{anomalies, count, record};
use crate::harness::{Dir, Engine, EngineOptions, Venue, lane_counter};

const SYMBOL: [u8; 8] = *b"TEST    ";
const LOCATE: u16 = 1;

fn directory() -> StockDirectory {
    let mut message = StockDirectory::new(LOCATE, 1);
    message.stock = SYMBOL;
    message.authenticity = b'P';
    message
}

fn add(reference: u64, side: u8, shares: u32, price: u32) -> AddOrder {
    let mut message = AddOrder::new(LOCATE, 2);
    message.order_reference = reference.into();
    message.side = side;
    message.shares = shares.into();
    message.stock = SYMBOL;
    message.price = price.into();
    message
}

fn executed(reference: u64, shares: u32) -> OrderExecuted {
    let mut message = OrderExecuted::new(LOCATE, 3);
    message.order_reference = reference.into();
    message.executed_shares = shares.into();
    message
}

/// The messages, and how many of each anomaly they must give.
fn script() -> (Vec<Vec<u8>>, Vec<(AnomalyCode, LaneCounter, usize)>) {
    let mut out: Vec<Vec<u8>> = Vec::new();
    let mut say = |message: &[u8]| out.push(message.to_vec());
    say(directory().as_bytes());
    let mut open = SystemEvent::new(0, 1);
    open.event_code = b'Q';
    say(open.as_bytes());
    let mut trading = TradingAction::new(LOCATE, 1);
    trading.stock = SYMBOL;
    trading.state = b'T';
    say(trading.as_bytes());
    say(add(10, b'B', 100, 100_000).as_bytes());
    say(add(11, b'S', 100, 101_000).as_bytes());
    // Orders that were never added.
    say(executed(99, 10).as_bytes());
    let mut cancel = OrderCancel::new(LOCATE, 3);
    cancel.order_reference = 98.into();
    cancel.cancelled_shares = 1.into();
    say(cancel.as_bytes());
    let mut delete = OrderDelete::new(LOCATE, 3);
    delete.order_reference = 97.into();
    say(delete.as_bytes());
    let mut replace = OrderReplace::new(LOCATE, 3);
    replace.original_order_reference = 96.into();
    replace.new_order_reference = 95.into();
    replace.shares = 5.into();
    replace.price = 100_000.into();
    say(replace.as_bytes());
    // More than is left: the negative quantity.
    say(executed(10, 150).as_bytes());
    // A live reference again.
    say(add(11, b'S', 50, 102_000).as_bytes());
    // Nothing, on no side.
    say(add(12, b'B', 0, 100_000).as_bytes());
    say(add(13, b'Z', 10, 100_000).as_bytes());
    // A type that nobody knows, one that is too short, and nothing at all but a type.
    say(b"zzzzzzzzzzzzzzzz");
    say(&add(14, b'B', 10, 100_000).as_bytes()[..20]);
    say(b"A");
    // An instrument that was never announced.
    let mut stranger = add(15, b'B', 10, 100_000);
    stranger.stock_locate = 777.into();
    say(stranger.as_bytes());
    // A crossed book in continuous trading: shown as it is, declared once.
    say(add(16, b'B', 10, 103_000).as_bytes());
    say(add(17, b'B', 10, 104_000).as_bytes());
    let expected = vec![
        (AnomalyCode::UnknownOrder, LaneCounter::UnknownOrder, 4),
        (AnomalyCode::Overfill, LaneCounter::Overfill, 1),
        (AnomalyCode::DuplicateOrder, LaneCounter::DuplicateOrder, 1),
        (AnomalyCode::BadField, LaneCounter::BadField, 2),
        (AnomalyCode::UnknownType, LaneCounter::UnknownType, 1),
        (AnomalyCode::Malformed, LaneCounter::Malformed, 2),
        (AnomalyCode::UnknownInstrument, LaneCounter::UnknownInstrument, 1),
        (AnomalyCode::Crossed, LaneCounter::Crossed, 1),
    ];
    (out, expected)
}

#[test]
fn hostile_messages_are_counted_declared_and_survived() {
    let (messages, expected) = script();
    let dir = Dir::new();
    let mut bytes = Vec::new();
    for message in &messages {
        itchfile::append(&mut bytes, message);
    }
    let file = dir.path("hostile.itch");
    std::fs::write(&file, bytes).unwrap();
    let venue = Venue::start(&dir, &["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"]);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let segment = engine.segment();
    engine.wait_for_sequence(&segment, messages.len() as u64 + 1);
    let recording = record(&segment);
    for (code, counter, times) in expected {
        assert_eq!(lane_counter(&segment, counter), times as u64, "counter {}", counter.name());
        assert_eq!(anomalies(&recording.market, code as u8), times, "declared in market: {}", code.name());
        assert_eq!(anomalies(&recording.orders, code as u8), times, "declared in orders: {}", code.name());
    }
    let counter = |counter| lane_counter(&segment, counter);
    assert_eq!(counter(LaneCounter::Received), messages.len() as u64);
    assert_eq!(
        counter(LaneCounter::Received),
        counter(LaneCounter::Published) + counter(LaneCounter::Duplicates) + counter(LaneCounter::Rejected)
    );
    // What is left is what honest messages left: no bid at 100_000, since the overfilled order is gone.
    let mut image = RowImage::default();
    segment.board().read(0, &mut image, || true).unwrap();
    let bids: Vec<_> =
        image.window(Side::Bid).map(|level| (level.price / 100_000, level.quantity, level.orders)).collect();
    let asks: Vec<_> =
        image.window(Side::Ask).map(|level| (level.price / 100_000, level.quantity, level.orders)).collect();
    assert_eq!((bids, asks), (vec![(104_000, 10, 1), (103_000, 10, 1)], vec![(101_000, 100, 1)]));
    assert_eq!(count(&recording.orders, kind::ADD), 4);
    assert!(engine.process.terminate().success());
}
