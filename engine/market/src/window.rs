//! The window of an instrument: its best levels, on the board's row and as records by which a reader keeps its own.

use shm_abi::board::{Level, RowUpdate};
use shm_abi::record::{Side, clear_code, kind};

use crate::book::{Book, LevelChange, LevelEvent, PriceLevel};
use crate::publish::{Event, Outbox};

#[inline(always)]
fn level_record(event: &Event, side: Side, level: Level, position: usize) -> [u64; 7] {
    let place = u64::from(level.orders) | (position as u64) << 32;
    event.record(kind::LEVEL, side as u8, 0, [level.price as u64, level.quantity, place])
}

/// Where a change falls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Its level's place in the book, 0 for the touch.
    pub(crate) position: usize,
    /// Levels of the window; beyond them nothing shows.
    pub(crate) class: usize,
}

/// Keeps the window in step with a change of the book: on the row, and as records. `on_bus` says what a
/// level of the book is on the bus.
#[inline(always)]
pub(crate) fn keep(
    book: &Book,
    change: &LevelChange,
    Place { position, class }: Place,
    on_bus: impl Fn(PriceLevel) -> Level,
    event: &Event,
    market: &mut Outbox<'_>,
    row: &mut RowUpdate<'_>,
) {
    if position >= class {
        return;
    }
    let LevelChange { instrument, side, price, quantity, orders, .. } = *change;
    let level = on_bus(PriceLevel { price, quantity, orders });
    match change.event {
        LevelEvent::Changed => row.change_level(side, position, level),
        LevelEvent::Entered => {
            if let Some(price) = book.price_at(instrument, side, class) {
                let out = on_bus(PriceLevel { price, quantity: 0, orders: 0 });
                market.put(level_record(event, side, out, class - 1));
            }
            row.insert_level(side, position, level);
        }
        LevelEvent::Left => {
            let entering = book.level(instrument, side, class - 1).map(on_bus);
            row.remove_level(side, position, entering);
            if let Some(entering) = entering {
                market.put(level_record(event, side, level, position));
                return market.put(level_record(event, side, entering, class - 1));
            }
        }
    }
    market.put(level_record(event, side, level, position));
}

/// An image of a row's book: a clear, the window, the best quotes. Who keeps a window by records has the row's after it.
/// At most 1 + 2 x (200 + 1) records: fewer than the smallest ring has slots.
pub(crate) fn image(event: &Event, row: &RowUpdate<'_>, market: &mut Outbox<'_>) {
    market.put(event.record(kind::CLEAR, clear_code::BOOK, 0, [0; 3]));
    for side in [Side::Bid, Side::Ask] {
        for position in 0..row.depth_len(side) {
            market.put(level_record(event, side, row.level(side, position), position));
        }
        if let Some(best) = row.best(side) {
            let body = [best.price as u64, best.quantity, best.orders.into()];
            market.put(event.record(kind::QUOTE, side as u8, 0, body));
        }
    }
}
