//! Registrations when the hub is behind: calls go before agents that come back all at once.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::yield_now;
use tokio::time::Instant;
use tunnel::token_bucket::{Rate, TokenBucket};

/// Lets in whoever comes for as long as the hub gets along, and otherwise so many in a time.
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

    /// Whether one more may register now. Finds out how far behind this thread is by waiting for its next turn, before
    /// which everything gets its own that was to run by now.
    pub(crate) async fn admit(&self) -> bool {
        let began = Instant::now();
        yield_now().await;
        began.elapsed() < self.late || self.slow.lock().take(1).is_ok()
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
            assert!(pace.admit().await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_turns_come_late_few_come_in_and_never_nobody() {
        let pace = Pace::new(LATE, Rate { burst: 2, per: Duration::from_secs(1) });
        let late = async || tokio::join!(pace.admit(), advance(LATE)).0;
        let admitted = [late().await, late().await, late().await];
        assert_eq!(admitted, [true, true, false]);
        assert!(pace.admit().await, "the thread has caught up");
        advance(Duration::from_millis(500)).await;
        assert!(late().await);
    }
}
