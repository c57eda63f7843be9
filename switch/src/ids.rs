//! Maps by the small numbers that streams and lanes have.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by stream number.
pub(crate) type ById<T> = HashMap<u32, T, BuildHasherDefault<IdHasher>>;

/// Spreads numbers that rise by two over all bits (Knuth's multiplicative hash). A peer that chooses its numbers so
/// that they meet gains nothing: a connection has a thousand streams at most.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}
