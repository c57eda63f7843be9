//! How old what is known may be.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// When something was heard of last.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Option<Instant>>);

impl Heard {
    /// How long ago that was, if it ever was.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.lock().map(|heard| heard.elapsed())
    }

    /// Nobody listens any more.
    pub(crate) fn ends(&self) {
        *self.0.lock() = None;
    }

    /// Just now.
    pub(crate) fn now(&self) {
        *self.0.lock() = Some(Instant::now());
    }
}
