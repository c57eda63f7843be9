//! So much at once, and then only so fast: what goes beyond is not refused, it waits.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tunnel::allowance::Allowance;
use tunnel::limits::PACE_PAUSE;

/// What one connection does of something.
#[derive(Debug)]
pub(crate) struct Pace {
    allowance: Allowance,
    most: u32,
    /// Was done, and is not allowed yet.
    owed: u32,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// `most` at once, and as many again in `time`.
    pub(crate) fn new(most: u32, time: Duration) -> Self {
        Self { allowance: Allowance::new(most, time), most, owed: 0, pause: None }
    }

    /// So much was done. Whether that is the moment from which on it waits.
    pub(crate) fn did(&mut self, amount: u32) -> bool {
        let begins = self.owed == 0 && !self.allowance.spend(amount);
        if begins || self.owed > 0 {
            // More than that could never be paid.
            self.owed = self.owed.saturating_add(amount).min(self.most);
        }
        begins
    }

    /// Ready when more may be done.
    pub(crate) fn poll_paid(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.owed > 0 && !self.allowance.spend(self.owed) {
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PACE_PAUSE)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        self.owed = 0;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn time_of(times: u32, amount: u32) -> Duration {
        let (mut pace, start) = (Pace::new(1000, SECOND), Instant::now());
        for _ in 0..times {
            pace.did(amount);
            poll_fn(|cx| pace.poll_paid(cx)).await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_beyond_waits() {
        assert_eq!(time_of(100, 10).await, Duration::ZERO);
        for (times, amount) in [(300, 10), (3000, 1), (6, 500)] {
            let time = time_of(times, amount).await;
            assert!(time.abs_diff(2 * SECOND) < SECOND / 20, "{times} times {amount}: {time:?}");
        }
        assert!(time_of(3, 1_000_000).await >= 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_beginning_is_told_once() {
        let mut pace = Pace::new(10, SECOND);
        assert!(!pace.did(10));
        assert!(pace.did(1));
        assert!(!pace.did(1));
        poll_fn(|cx| pace.poll_paid(cx)).await;
        assert!(pace.did(10));
    }
}
