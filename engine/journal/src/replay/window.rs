//! The window of a row, by level records.

use shm_abi::board::{Level, RowUpdate};
use shm_abi::record::{Price, Side};

#[inline(always)]
fn better(side: Side, a: Price, b: Price) -> bool {
    match side {
        Side::Bid => a > b,
        Side::Ask => a < b,
    }
}

/// A level record: sets the level of that price, or takes it out when its quantity is 0. `position` is where the record
/// says that it stands. Where the window is not the one that the record speaks of, because records are missing or wrong,
/// its price says where.
#[inline(always)]
pub(super) fn set_level(row: &mut RowUpdate<'_>, side: Side, position: usize, level: Level) {
    let len = row.depth_len(side).min(row.depth_class());
    if position < len && row.level(side, position).price == level.price {
        return match level.quantity {
            0 => row.remove_level(side, position, None),
            _ => row.change_level(side, position, level),
        };
    }
    let behind = |at: usize| at == 0 || better(side, row.level(side, at - 1).price, level.price);
    let before = |at: usize| at == len || better(side, level.price, row.level(side, at).price);
    if level.quantity > 0 && position < row.depth_class() && position <= len && behind(position) && before(position) {
        row.insert_level(side, position, level);
        return;
    }
    by_price(row, side, len, level);
}

#[cold]
fn by_price(row: &mut RowUpdate<'_>, side: Side, len: usize, level: Level) {
    let at = (0..len).find(|at| !better(side, row.level(side, *at).price, level.price)).unwrap_or(len);
    let found = at < len && row.level(side, at).price == level.price;
    match (found, level.quantity == 0) {
        (true, true) => row.remove_level(side, at, None),
        (true, false) => row.change_level(side, at, level),
        (false, false) if at < row.depth_class() => {
            row.insert_level(side, at, level);
        }
        (false, _) => {}
    }
}
