//! What the users of lanes say.

use std::sync::LazyLock;

use super::MEMORY;

/// Bytes after which the content repeats itself: no multiple of a message's or a block's.
const PERIOD: usize = 4093;

/// What is written after so many bytes of a lane.
pub(super) fn content(id: u32, end: usize, at: u64, len: usize) -> &'static [u8] {
    static ALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let period = (0..PERIOD).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 16) as u8);
        period.cycle().take(PERIOD + MEMORY).collect()
    });
    let from = (id as usize * 977 + end * 331 + at as usize) % PERIOD;
    &ALL[from..from + len]
}
