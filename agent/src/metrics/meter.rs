//! Counts bytes of a lane.

use metrics::Counter;

/// Counts the bytes of one direction of one lane. Tells the metric when it is told to, for lanes share that.
pub(crate) struct Meter {
    counter: Counter,
    untold: u64,
}

/// Those of both directions.
pub(crate) struct Meters {
    /// To the upstream.
    pub(crate) up: Meter,
    /// From it.
    pub(crate) down: Meter,
}

impl Meter {
    pub(super) fn new(counter: &Counter) -> Self {
        Self { counter: counter.clone(), untold: 0 }
    }

    /// So many more.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.untold += bytes as u64;
    }

    /// All that were added until now are counted: whenever there is something to wait for, and nobody knows for how long.
    pub(crate) fn tell(&mut self) {
        if self.untold > 0 {
            self.counter.increment(std::mem::take(&mut self.untold));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.tell();
    }
}
