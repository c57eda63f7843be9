//! How far the hub is on its way down.

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Told to all its parts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    leaving: CancellationToken,
    moving: CancellationToken,
    draining: CancellationToken,
    closing: CancellationToken,
}

impl Stop {
    /// One that is told by this one. All who listen to the same one share its locks, so each worker has
    /// its own.
    pub(crate) fn child(&self) -> Self {
        Self {
            leaving: self.leaving.child_token(),
            moving: self.moving.child_token(),
            draining: self.draining.child_token(),
            closing: self.closing.child_token(),
        }
    }

    /// Whether whoever has a choice should look elsewhere.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    /// Resolves when agents should dial again.
    pub(crate) fn moving(&self) -> WaitForCancellationFuture<'_> {
        self.moving.cancelled()
    }

    /// Whether agents find no place here any more.
    pub(crate) fn is_moving(&self) -> bool {
        self.moving.is_cancelled()
    }

    /// Resolves when nothing new should begin; what runs may end.
    pub(crate) fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.draining.cancelled()
    }

    /// Whether nothing new should begin.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Resolves when what still runs must end.
    pub(crate) fn closing(&self) -> WaitForCancellationFuture<'_> {
        self.closing.cancelled()
    }

    /// Whether what still runs must end.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    pub(crate) fn begin_leaving(&self) {
        self.leaving.cancel();
    }

    pub(crate) fn begin_moving(&self) {
        self.moving.cancel();
    }

    pub(crate) fn begin_draining(&self) {
        self.draining.cancel();
    }

    pub(crate) fn begin_closing(&self) {
        self.closing.cancel();
    }
}
