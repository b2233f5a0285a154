//! Time as an argument: the caller reads the clock, the state machines only compare.

/// A moment on the caller's monotonic clock, in nanoseconds since an origin that the caller chose.
///
/// Only differences mean anything. All arithmetic saturates, so that a hostile or broken clock can stall a timer but
/// never panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

/// One second in nanoseconds.
pub const SECOND_NS: u64 = 1_000_000_000;

/// One millisecond in nanoseconds.
pub const MILLISECOND_NS: u64 = 1_000_000;

impl Nanos {
    /// The moment `interval_ns` later; the last representable moment when that lies beyond it.
    #[must_use]
    pub const fn saturating_add(self, interval_ns: u64) -> Self {
        Self(self.0.saturating_add(interval_ns))
    }

    /// Nanoseconds from `earlier` to `self`; 0 when `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests;
