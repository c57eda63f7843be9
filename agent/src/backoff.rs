//! How long to wait before dialling again: a pure schedule with full jitter, so that a fleet that lost
//! its hub at one moment does not come back at one moment.

use std::time::Duration;

use tunnel::limits::{BACKOFF_MAX, BACKOFF_MIN, STABLE_AFTER};

/// Counts the failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure: anything from nothing to a bound that doubles each time.
    /// `random` is in 0..1.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let doubled =
            2_u32.checked_pow(self.failures).and_then(|factor| BACKOFF_MIN.checked_mul(factor));
        let bound = doubled.map_or(BACKOFF_MAX, |bound| bound.min(BACKOFF_MAX));
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(random)
    }

    /// The pause where the hub asks to dial again now: none, unless it asks again before a session was
    /// stable.
    pub(crate) fn at_once(&mut self, random: f64) -> Duration {
        if self.failures > 0 {
            return self.next(random);
        }
        self.failures = 1;
        Duration::ZERO
    }

    /// A session has lived for so long: after a stable one the next pause is a short one again.
    pub(crate) fn survived(&mut self, lived: Duration) {
        if lived >= STABLE_AFTER {
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let bounds: Vec<_> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        backoff.survived(STABLE_AFTER - Duration::from_millis(1));
        assert_eq!(backoff.next(1.0), BACKOFF_MAX);
        backoff.survived(STABLE_AFTER);
        assert_eq!(backoff.next(0.5), BACKOFF_MIN / 2);
        assert_eq!(backoff.next(0.0), Duration::ZERO);
    }

    #[test]
    fn at_once_is_no_loop() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..3).map(|_| backoff.at_once(1.0).as_millis()).collect();
        assert_eq!(pauses, [0, 1000, 2000]);
    }

    #[test]
    fn never_overflows() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.next(1.0), BACKOFF_MAX);
        assert_eq!(backoff.next(1.0), BACKOFF_MAX);
    }
}
