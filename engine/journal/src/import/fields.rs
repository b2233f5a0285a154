//! Fields of a record, by their places in the structures of DBN.

use crate::damage::{Damage, Expected};

/// Views the bytes of one record, which begins at a byte of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'r> {
    pub(super) offset: u64,
    bytes: &'r [u8],
}

impl<'r> Fields<'r> {
    pub(super) fn new(offset: u64, bytes: &'r [u8]) -> Fields<'r> {
        Fields { offset, bytes }
    }

    /// `Ok` when there are so many bytes: no field of the structure lies outside then.
    pub(super) fn need(&self, bytes: usize) -> Result<(), Damage> {
        Damage::unless_at_least(self.offset, "record length", self.bytes.len() as u64, bytes as u64)
    }

    /// Zeros where the record has no such bytes, which [`Fields::need`] rules out.
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let bytes = at.checked_add(N).and_then(|end| self.bytes.get(at..end));
        bytes.map_or([0; N], |bytes| bytes.try_into().expect("of this length"))
    }

    pub(super) fn u8(&self, at: usize) -> u8 {
        self.array::<1>(at)[0]
    }
    pub(super) fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }
    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }
    pub(super) fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }
    pub(super) fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }

    /// Text up to its NUL.
    pub(super) fn text(&self, at: usize, len: usize) -> &'r [u8] {
        let bytes = at.checked_add(len).and_then(|end| self.bytes.get(at..end)).unwrap_or(&[]);
        bytes.split(|byte| *byte == 0).next().unwrap_or(&[])
    }

    /// What is wrong with a field.
    pub(super) fn wrong(&self, field: &'static str, at: usize, seen: u64, rule: &'static str) -> Damage {
        Damage { offset: self.offset + at as u64, field, seen, expected: Expected::Rule(rule) }
    }
}
