//! Zeroed tables that are resident from the start and lie on huge pages where the system has them.

use shm_abi::sys::advise_huge_pages;

/// `len` copies of `value`. The advice comes before the first touch, so that the very first faults already take huge
/// pages; filling touches every page, so that none faults later.
pub(super) fn table<T: Clone>(len: usize, value: T) -> Box<[T]> {
    let mut table = Vec::with_capacity(len);
    advise_huge_pages(table.spare_capacity_mut());
    table.resize(len, value);
    table.into_boxed_slice()
}
