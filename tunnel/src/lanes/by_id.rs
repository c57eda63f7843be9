//! Maps from the numbers of lanes, which give back memory that was needed once.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

use crate::limits::LANES_ROOM_KEPT;

/// By the number of a lane.
pub(super) type ById<T> = HashMap<u32, T, BuildHasherDefault<IdHasher>>;

/// Spreads numbers of lanes and of sources, which a hub hands out. If it chose them badly, it would slow down its own
/// session only.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio.
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// To be called after something was removed.
pub(super) fn shrink<K: Eq + Hash, V>(map: &mut HashMap<K, V, impl BuildHasher>) {
    if map.capacity() > LANES_ROOM_KEPT && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}
