//! A token bucket: a burst at once, then a steady rate.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How much may be done: `burst` at once, and as many again in each `per`. So no stretch of time as long as `per`
/// sees more than twice `burst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: u32,
    /// The time in which an empty bucket fills.
    pub per: Duration,
}

/// What is left of a [`Rate`] to somebody.
///
/// Kept as one instant, that at which the bucket is full again (the generic cell rate algorithm of ITU-T I.371), so no
/// fraction of a token is lost, and it can tell when there will be enough.
#[derive(Debug)]
pub struct TokenBucket {
    rate: Rate,
    /// The time in which one token fills.
    nanos_per_token: u64,
    full_at: Instant,
    /// When the clock was last looked at: only where there seems not to be enough.
    seen: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl TokenBucket {
    /// A full one.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let now = Instant::now();
        let nanos = rate.per.as_nanos() / u128::from(rate.burst.max(1));
        let nanos_per_token = u64::try_from(nanos).unwrap_or(u64::MAX);
        Self { rate, nanos_per_token, full_at: now, seen: now, pause: None }
    }

    /// Takes so many tokens, if they are there.
    ///
    /// # Errors
    /// When they would be. More than a burst never are.
    pub fn take(&mut self, tokens: u32) -> Result<(), Instant> {
        let full_at = self.full_at.max(self.seen) + self.time_of(tokens);
        if full_at <= self.seen + self.rate.per {
            self.full_at = full_at;
            return Ok(());
        }
        self.look();
        let full_at = self.full_at + self.time_of(tokens);
        if full_at <= self.seen + self.rate.per {
            self.full_at = full_at;
            return Ok(());
        }
        Err(full_at - self.rate.per)
    }

    /// Takes so many tokens, whether they are there or not. Returns `true` if that is the moment from which on
    /// [`Self::poll_paid`] waits.
    pub fn owe(&mut self, tokens: u32) -> bool {
        let was_in_debt = self.is_in_debt();
        self.full_at = self.full_at.max(self.seen) + self.time_of(tokens.min(self.rate.burst));
        !was_in_debt && self.is_in_debt()
    }

    /// When everything that was owed will be paid, if it is not.
    pub fn in_debt_until(&mut self) -> Option<Instant> {
        self.is_in_debt().then(|| self.full_at - self.rate.per)
    }

    /// Ready once everything that was owed is paid.
    pub fn poll_paid(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.is_in_debt() {
            let paid = self.full_at - self.rate.per;
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(paid)));
            pause.as_mut().reset(paid);
            ready!(pause.as_mut().poll(cx));
        }
        self.pause = None;
        Poll::Ready(())
    }

    /// Puts so many tokens back, though never more than fit.
    pub fn give_back(&mut self, tokens: u32) {
        let earlier = self.full_at.checked_sub(self.time_of(tokens));
        self.full_at = earlier.map_or(self.seen, |earlier| earlier.max(self.seen));
    }

    /// Returns `true` if nothing of it is used.
    pub fn is_full(&mut self) -> bool {
        self.look();
        self.full_at <= self.seen
    }

    fn is_in_debt(&mut self) -> bool {
        if self.full_at > self.seen + self.rate.per {
            self.look();
        }
        self.full_at > self.seen + self.rate.per
    }

    fn look(&mut self) {
        self.seen = Instant::now();
        self.full_at = self.full_at.max(self.seen);
    }

    fn time_of(&self, tokens: u32) -> Duration {
        Duration::from_nanos(self.nanos_per_token.saturating_mul(tokens.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_is_emptied_and_fills_with_time() {
        let per = Duration::from_millis(2500);
        let mut bucket = TokenBucket::new(Rate { burst: 10, per });
        assert!(bucket.take(5).is_ok() && bucket.take(5).is_ok());
        assert_eq!(bucket.take(1), Err(Instant::now() + per / 10));
        bucket.give_back(2);
        assert!(bucket.take(2).is_ok() && bucket.take(1).is_err());
        tokio::time::advance(per / 10).await;
        assert!(bucket.take(1).is_ok() && bucket.take(1).is_err());
        tokio::time::advance(1000 * per).await;
        assert!(bucket.is_full() && bucket.take(11).is_err() && bucket.take(10).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn no_fraction_is_lost() {
        let mut bucket = TokenBucket::new(Rate { burst: 3, per: SECOND });
        assert!(bucket.take(3).is_ok());
        let mut taken = 0;
        for _ in 0..10_000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            taken += u32::from(bucket.take(1).is_ok());
        }
        assert!((29..=30).contains(&taken), "{taken}");
    }

    async fn time_of(times: u32, tokens: u32) -> Duration {
        let mut bucket = TokenBucket::new(Rate { burst: 1000, per: SECOND });
        let start = Instant::now();
        for _ in 0..times {
            bucket.owe(tokens);
            poll_fn(|cx| bucket.poll_paid(cx)).await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_beyond_waits_as_long_as_it_takes() {
        assert_eq!(time_of(100, 10).await, Duration::ZERO);
        for (times, tokens) in [(300, 10), (3000, 1), (6, 500)] {
            let time = time_of(times, tokens).await;
            assert!(time.abs_diff(2 * SECOND) < SECOND / 20, "{times} times {tokens}: {time:?}");
        }
        assert!(time_of(3, 1_000_000).await >= 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_beginning_of_a_debt_is_told_once() {
        let mut bucket = TokenBucket::new(Rate { burst: 10, per: SECOND });
        assert!(!bucket.owe(10));
        assert!(bucket.owe(1));
        assert!(!bucket.owe(1));
        poll_fn(|cx| bucket.poll_paid(cx)).await;
        assert!(bucket.owe(10));
    }
}
