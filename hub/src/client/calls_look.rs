//! When the calls of a connection that run are looked at.

use tokio::time::Instant;

/// When a connection's calls are looked at.
#[derive(Debug, Default)]
pub(super) struct CallsLook {
    /// When next, and since when nobody has; not while nothing moves.
    pub(super) due: Option<(Instant, Instant)>,
    /// What had moved when somebody looked last.
    pub(super) moved: (u64, u64),
}
