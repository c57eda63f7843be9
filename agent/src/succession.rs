//! One session after another: who is told when its successor is registered, and that sessions of one agent are replaced
//! one after the other.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::limits::SUCCESSION_TIMEOUT;

/// What a session tells its slot.
#[derive(Debug)]
pub(crate) enum News {
    /// The hub shows it to callers.
    Registered,
    /// It is to be replaced, and goes on by itself.
    Leaving(Predecessor),
    /// It had better be at another hub, if one is found; otherwise it stays.
    Crowded(Predecessor),
}

/// A session that is to be replaced.
#[derive(Debug)]
pub(crate) struct Predecessor {
    succeeded: oneshot::Sender<()>,
    turn: Option<Turn>,
}

impl Predecessor {
    /// What the slot gets, and what tells the session that it has a successor. Of a session that the hub drains, or that
    /// is old, in its turn.
    pub(crate) fn new(turn: Option<Turn>) -> (Self, oneshot::Receiver<()>) {
        let (succeeded, has_successor) = oneshot::channel();
        (Self { succeeded, turn }, has_successor)
    }

    /// Whether the session has only become too old.
    pub(crate) fn is_old(&self) -> bool {
        self.turn.is_some()
    }

    /// Whether it has not ended yet.
    pub(crate) fn lives(&self) -> bool {
        !self.succeeded.is_closed()
    }

    /// Another session is registered in its place.
    pub(crate) fn succeeded(self) {
        // One that has ended meanwhile need not know.
        let _ = self.succeeded.send(());
    }
}

/// Lets old sessions of one agent be replaced one at a time.
#[derive(Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

/// A session's turn, until it is dropped, or until a replacement should long be there.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "gives the turn back")] AbortOnDropHandle<()>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Waits for the turn.
    pub(crate) async fn take(&self) -> Turn {
        // It is never closed.
        let permit = self.0.clone().acquire_owned().await.ok();
        Turn(AbortOnDropHandle::new(tokio::spawn(hold(permit))))
    }
}

async fn hold(_permit: Option<OwnedSemaphorePermit>) {
    sleep(SUCCESSION_TIMEOUT).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_and_none_for_ever() {
        let (turns, start) = (Turns::new(), Instant::now());
        let (first, _session) = Predecessor::new(Some(turns.take().await));
        timeout(SUCCESSION_TIMEOUT / 2, turns.take()).await.expect_err("it is another's turn");
        first.succeeded();
        let second = turns.take().await;
        assert_eq!(start.elapsed(), SUCCESSION_TIMEOUT / 2);
        let _third = turns.take().await;
        assert_eq!(start.elapsed(), SUCCESSION_TIMEOUT * 3 / 2);
        drop(second);
        timeout(SUCCESSION_TIMEOUT / 2, turns.take()).await.expect_err("it had no turn any more");
    }
}
