//! Registrations when the hub is behind: calls go before agents that come back all at once.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::yield_now;
use tokio::time::Instant;
use tunnel::token_bucket::{Rate, TokenBucket};

/// Lets in whoever comes for as long as the hub gets along, and otherwise so many in a time, of those without whom an agent
/// is not there at all.
#[derive(Debug)]
pub(crate) struct Pace {
    late: Duration,
    slow: Mutex<TokenBucket>,
}

impl Pace {
    /// The hub is behind where a thread's next turn comes no sooner than `late`; then registrations come at this rate.
    pub(crate) fn new(late: Duration, slow: Rate) -> Self {
        Self { late, slow: Mutex::new(TokenBucket::new(slow)) }
    }

    /// Whether one more may register now; `more` than the first session of its agent. Finds out how far behind this thread
    /// is by waiting for its next turn, before which everything gets its own that was to run by now.
    pub(crate) async fn admit(&self, more: bool) -> bool {
        let began = Instant::now();
        yield_now().await;
        began.elapsed() < self.late || !more && self.slow.lock().take(1).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LATE: Duration = Duration::from_millis(20);

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_all_get_their_turn_comes_in() {
        let pace = Pace::new(LATE, Rate { burst: 2, per: Duration::from_secs(1) });
        for _ in 0..100 {
            assert!(pace.admit(true).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_turns_come_late_few_come_in_and_never_nobody() {
        let pace = Pace::new(LATE, Rate { burst: 2, per: Duration::from_secs(1) });
        let late = async |more| tokio::join!(pace.admit(more), advance(LATE)).0;
        let admitted = [late(false).await, late(true).await, late(false).await, late(false).await];
        assert_eq!(admitted, [true, false, true, false]);
        assert!(pace.admit(false).await, "the thread has caught up");
        advance(Duration::from_millis(500)).await;
        assert!(late(false).await);
    }
}
