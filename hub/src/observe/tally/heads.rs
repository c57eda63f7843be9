//! How long answers took to begin, as metrics want it.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of a name's buckets, in seconds: from a call in one network to one that a person has given up. Few, because each
/// is a series for each name.
pub(crate) const HEAD_BOUNDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// A histogram that takes no lock.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// The last one is of what is above all bounds.
    buckets: [AtomicU64; HEAD_BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Heads {
    pub(crate) fn record(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let place = HEAD_BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[place].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// How many were within each bound, and how many there were at all.
    pub(crate) fn within(&self) -> [u64; HEAD_BOUNDS.len() + 1] {
        let mut sum = 0;
        array::from_fn(|place| {
            sum += self.buckets[place].load(Ordering::Relaxed);
            sum
        })
    }

    /// All of them together, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.micros.load(Ordering::Relaxed) as f64 / 1e6
    }
}
