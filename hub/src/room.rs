//! Where calls wait until a stream becomes free among a name's sessions.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// One for each name.
#[derive(Debug, Default)]
pub(crate) struct Room {
    waiting: AtomicUsize,
    left: Notify,
}

impl Room {
    /// Begins to wait; `None` where `max` calls already do.
    pub(crate) fn enter(&self, max: usize) -> Option<Waiting<'_>> {
        let waiting = Waiting(self);
        // Counted first and looked at after, so that two at once cannot both take the last place.
        if self.waiting.fetch_add(1, Ordering::AcqRel) < max { Some(waiting) } else { None }
    }

    /// Whether calls wait.
    pub(crate) fn is_waited_in(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Resolves when a stream has become free.
    pub(crate) fn left(&self) -> Notified<'_> {
        self.left.notified()
    }

    /// A stream has become free.
    pub(crate) fn wake_one(&self) {
        if self.is_waited_in() {
            self.left.notify_one();
        }
    }

    /// Many may have become free, or none ever will.
    pub(crate) fn wake_all(&self) {
        self.left.notify_waiters();
    }
}

/// A place in the queue.
pub(crate) struct Waiting<'r>(&'r Room);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
