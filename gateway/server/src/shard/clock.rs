//! The shard's clocks.

use gateway_core::shard::Now;
use shm_abi::sys::{monotonic_ns, realtime_ns};

/// Both clocks.
#[inline]
pub(crate) fn now() -> Now {
    Now { mono_ns: monotonic_ns(), real_ns: realtime_ns() }
}
