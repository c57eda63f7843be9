//! What is counted as it goes on: bytes, and how many of something there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge};

use crate::limits::METER_STEP;

/// Counts the bytes of one direction of one connection. Tells the metric now and then, because a stream may run
/// for days, and not at each chunk, because all workers share it.
#[derive(Debug)]
pub(crate) struct Meter {
    counter: Counter,
    total: u64,
    told: u64,
}

impl Meter {
    pub(super) fn new(counter: &Counter) -> Self {
        Self { counter: counter.clone(), total: 0, told: 0 }
    }

    /// So many there were until now.
    pub(crate) fn set(&mut self, total: u64) {
        self.total = total;
        if self.total - self.told >= METER_STEP {
            self.tell();
        }
    }

    /// Tells all of it now.
    pub(crate) fn tell(&mut self) {
        self.counter.increment(self.total - self.told);
        self.told = self.total;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.tell();
    }
}

/// How many of something there are now, as the metric and the page say.
#[derive(Clone, Debug)]
pub(super) struct Level {
    gauge: Gauge,
    now: Arc<AtomicU64>,
}

impl Level {
    pub(super) fn new(gauge: Gauge) -> Self {
        Self { gauge, now: Arc::default() }
    }

    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// One more, until the guard is dropped.
    pub(super) fn one_more(&self) -> GaugeGuard {
        self.gauge.increment(1.0);
        self.now.fetch_add(1, Ordering::Relaxed);
        GaugeGuard(self.clone())
    }
}

/// One more, for as long as it lives.
#[derive(Debug)]
pub(crate) struct GaugeGuard(Level);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.gauge.decrement(1.0);
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
