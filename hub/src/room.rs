//! Where calls wait until a stream becomes free among a name's sessions.

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::lines::{Lines, Place};
use crate::origin::Party;

/// One for each name.
#[derive(Debug, Default)]
pub(crate) struct Room {
    lines: Lines,
    left: Notify,
}

impl Room {
    /// Begins to wait; `None` where as many already do as there are places.
    pub(crate) fn enter(&self, places: usize, caller: Party) -> Option<Place<'_>> {
        self.lines.join_one_of(places, caller)
    }

    /// Whether calls of this caller wait: a new one goes behind them.
    pub(crate) fn has(&self, caller: Party) -> bool {
        self.lines.waiting_of(caller) > 0
    }

    /// Resolves when a stream may have become free. For the first of each line.
    pub(crate) fn left(&self) -> Notified<'_> {
        self.left.notified()
    }

    /// A stream has become free, or many, or none ever will.
    pub(crate) fn wake(&self) {
        self.left.notify_waiters();
    }
}
