//! Memory that starts and ends at multiples of 4 KiB, as direct I/O wants it, seen as words or as bytes.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::format::ALIGN;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(4096))]
struct Page([u64; ALIGN / 8]);

const _: () = assert!(size_of::<Page>() == ALIGN && align_of::<Page>() == ALIGN);

/// Zeroed pages of fixed number. Words are kept as in the file: little-endian.
pub(crate) struct Pages(Vec<Page>);

impl Pages {
    /// Room for `bytes`, rounded up to whole pages.
    pub(crate) fn new(bytes: usize) -> Pages {
        Pages(Page::new_vec_zeroed(bytes.div_ceil(ALIGN)).expect("a block is at most a megabyte"))
    }

    /// Makes room for a block of this many bytes. What stood there is gone then. No block has more than
    /// [`crate::format::BLOCK_BYTES_MAX`], so this ends soon.
    pub(crate) fn make_room(&mut self, bytes: usize) {
        if self.bytes().len() < bytes {
            *self = Pages::new(bytes);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_bytes()
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> &[u64] {
        <[u64]>::ref_from_bytes(self.0.as_bytes()).expect("a page is whole words, aligned")
    }

    #[inline(always)]
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        <[u64]>::mut_from_bytes(self.0.as_mut_bytes()).expect("a page is whole words, aligned")
    }
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pages({})", self.0.len())
    }
}
