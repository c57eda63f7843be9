//! How long to wait before dialling again: a pure schedule with full jitter, so that a fleet that lost
//! its hub at one moment does not come back at one moment.

use std::time::Duration;

use crate::limits::{BACKOFF_MIN, STABLE_AFTER};

/// How long was waited since the last stable session.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    waited: Duration,
    longest: Duration,
}

impl Backoff {
    /// No pause is longer than this.
    #[must_use]
    pub fn up_to(longest: Duration) -> Self {
        Self { waited: Duration::ZERO, longest }
    }

    /// The pause after one more failure: anything from nothing to a bound that grows by what was waited. So whoever
    /// was away for some seconds is back within as many, however often it has tried. `random` is in 0..1.
    pub fn next(&mut self, random: f64) -> Duration {
        let bound = self.longest.min(BACKOFF_MIN + self.waited);
        let pause = bound.mul_f64(random);
        self.waited = self.longest.min(self.waited + pause);
        pause
    }

    /// The pause where the hub asks to dial again now: none, unless it asks again before a session was
    /// stable.
    pub fn at_once(&mut self, random: f64) -> Duration {
        if self.waited > Duration::ZERO {
            return self.next(random);
        }
        self.waited = BACKOFF_MIN;
        Duration::ZERO
    }

    /// A session has lived for so long: after a stable one the next pause is a short one again.
    pub fn survived(&mut self, lived: Duration) {
        if lived >= STABLE_AFTER {
            self.waited = Duration::ZERO;
        }
    }
}

/// For the log, where nobody reads more of it.
#[must_use]
pub fn whole_millis(duration: Duration) -> Duration {
    Duration::new(duration.as_secs(), duration.subsec_millis() * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn bounds_double_up_to_the_longest() {
        let mut backoff = Backoff::up_to(LONGEST);
        let bounds: Vec<_> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        backoff.survived(STABLE_AFTER - Duration::from_millis(1));
        assert_eq!(backoff.next(1.0), LONGEST);
        backoff.survived(STABLE_AFTER);
        assert_eq!(backoff.next(0.5), BACKOFF_MIN / 2);
        assert_eq!(backoff.next(0.0), Duration::ZERO);
    }

    #[test]
    fn at_once_is_no_loop() {
        let mut backoff = Backoff::up_to(LONGEST);
        let pauses: Vec<_> = (0..3).map(|_| backoff.at_once(1.0).as_millis()).collect();
        assert_eq!(pauses, [0, 1000, 2000]);
    }

    /// By lucky draws in the first seconds, the bound once came to half a minute, and agents were back that much
    /// later than their hub.
    #[test]
    fn many_tries_in_a_short_time_do_not_make_long_pauses() {
        let mut backoff = Backoff::up_to(LONGEST);
        let waited: Duration = (0..20).map(|_| backoff.next(0.1)).sum();
        assert!(backoff.next(1.0) <= waited + BACKOFF_MIN, "after {waited:?}");
        assert!(waited < Duration::from_secs(3), "{waited:?}");
    }
}
