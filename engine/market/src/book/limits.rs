//! What a book can hold, decided once.

/// How large the tables of a book are. They never grow: a full one refuses, by a typed outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookLimits {
    /// Orders live at once over all instruments. The table has the next power of two of 4/3 of it, 32 bytes each.
    pub max_orders: usize,
    /// Places for price levels over all instruments, 24 bytes each. A side's array doubles when it is full and starts
    /// with eight, so plan for four times the levels expected at once.
    pub max_levels: usize,
    /// Instruments: their indices lie below it. 64 bytes each.
    pub instruments: usize,
}

/// Largest [`BookLimits::max_orders`]: slots are named by 31 bits.
pub const ORDERS_LIMIT: usize = 1 << 30;
/// Largest [`BookLimits::max_levels`].
pub const LEVELS_LIMIT: usize = 1 << 30;
/// Largest [`BookLimits::instruments`].
pub const INSTRUMENTS_LIMIT: usize = 1 << 24;

impl Default for BookLimits {
    /// A whole Nasdaq day: 64 MiB of orders, 24 MiB of levels, and 4 MiB for every stock locate.
    fn default() -> Self {
        BookLimits { max_orders: 3 << 19, max_levels: 1 << 20, instruments: 1 << 16 }
    }
}

/// A limit outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value}: expected {low} to {high}")]
pub struct LimitError {
    /// Name of the field of [`BookLimits`].
    pub field: &'static str,
    /// Its value.
    pub value: usize,
    /// Least value allowed.
    pub low: usize,
    /// Largest value allowed.
    pub high: usize,
}

impl BookLimits {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), LimitError> {
        let range = |field, value, low, high| match (low..=high).contains(&value) {
            true => Ok(()),
            false => Err(LimitError { field, value, low, high }),
        };
        range("max_orders", self.max_orders, 1, ORDERS_LIMIT)?;
        range("max_levels", self.max_levels, 64, LEVELS_LIMIT)?;
        range("instruments", self.instruments, 1, INSTRUMENTS_LIMIT)
    }
}
