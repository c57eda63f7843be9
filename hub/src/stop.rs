//! How far the hub is on its way down.

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Told to all its parts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    draining: CancellationToken,
    closing: CancellationToken,
}

impl Stop {
    /// One that is told by this one. All who listen to the same one share its locks, so each worker has
    /// its own.
    pub(crate) fn child(&self) -> Self {
        Self { draining: self.draining.child_token(), closing: self.closing.child_token() }
    }

    /// Resolves when nothing new should begin; what runs may end.
    pub(crate) fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.draining.cancelled()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Resolves when what still runs must end.
    pub(crate) fn closing(&self) -> WaitForCancellationFuture<'_> {
        self.closing.cancelled()
    }

    pub(crate) fn begin_draining(&self) {
        self.draining.cancel();
    }

    pub(crate) fn begin_closing(&self) {
        self.closing.cancel();
    }
}
