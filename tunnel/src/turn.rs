//! A share of work, after which others on the same thread get theirs.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::limits::WORK_TURN;

/// What one connection may do before the thread looks at its other connections.
///
/// A single-threaded runtime runs a task for as long as the task finds something to do, and a peer that
/// floods sees to that. The pause comes behind everybody who can run now, and behind what the sockets have
/// to say: waking oneself would only come behind the former.
#[derive(Default)]
pub struct Turn {
    done: usize,
    lull: Option<Duration>,
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Turn {
    /// One after which also time passes.
    #[must_use]
    pub fn slow(lull: Duration) -> Self {
        Self { lull: Some(lull), ..Self::default() }
    }

    /// Ready while there is something left of the turn; otherwise when the next one begins.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.done >= WORK_TURN {
            self.done = 0;
            self.pause = Some(match self.lull {
                Some(lull) => Box::pin(tokio::time::sleep(lull)),
                None => Box::pin(tokio::task::yield_now()),
            });
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.done >= WORK_TURN
    }

    /// So much was done, in bytes or what costs as much.
    pub fn did(&mut self, work: usize) {
        self.done += work;
    }

    /// So many bytes were read; none means that there are none for now.
    pub fn read(&mut self, bytes: usize) {
        if bytes > 0 { self.did(bytes) } else { self.over() }
    }

    /// There is nothing more to do for now. A slow turn goes on: it is for those who may not have more by pausing.
    pub fn over(&mut self) {
        if self.lull.is_none() {
            self.done = 0;
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("done", &self.done).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn others_run_after_a_turn() {
        let mut turn = Turn::default();
        turn.did(WORK_TURN - 1);
        assert!(futures_util::poll!(poll_fn(|cx| turn.poll(cx))).is_ready());
        turn.did(1);
        assert!(futures_util::poll!(poll_fn(|cx| turn.poll(cx))).is_pending());
        poll_fn(|cx| turn.poll(cx)).await;
        turn.did(WORK_TURN - 1);
        turn.over();
        turn.did(1);
        assert!(futures_util::poll!(poll_fn(|cx| turn.poll(cx))).is_ready());
    }
}
