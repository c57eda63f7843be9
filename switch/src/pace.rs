//! Windows follow the link: a window should be what comes in three round trips.
//!
//! One is on its way, and windows are given back in halves: with less than two, the sender waits for word of them. What
//! is more only stands in queues, and whatever comes behind it on the same link waits. Until the link shows how fast it is, a window grows with every round trip in which half of
//! it was used; from then on it is what came in three. It grows by more than TCP does when it begins: below it, TCP has
//! begun long ago.

use std::time::Duration;

/// Round trips that a window lasts, of what the link carries.
const ROUNDS: u32 = 3;
/// For so many, what comes is measured.
const MEASURED: u32 = 2;
/// A window that lasts for fewer is used fast,
const FAST: u32 = 4;
/// and one that lasts for more, slowly.
const SLOW: u32 = 32;
/// By so much a window grows while the link is unknown,
const GROWS_BY: i64 = 4;
/// and by so much on a long one, where finding out costs most: from 64 KiB to 16 MiB in two round trips. By four, C-core's
/// first download of 64 MiB at 100 ms took four round trips more than direct (`make links`).
const GROWS_FAR_BY: i64 = 16;
/// A link is long from this on.
const FAR: Duration = Duration::from_millis(20);
/// A round trip counts as no shorter: on a busy machine, threads wait for each other that long.
const RTT_LEAST: Duration = Duration::from_millis(2);

/// How fast a window is used up, for where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    /// The window holds its sender back.
    Fast,
    Fine,
    /// The window is much too large.
    Slow,
}

/// A window by halves. Two are looked at together: one alone may have come all at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Halves {
    /// When the half began that is being used, and what is used of it.
    at: Duration,
    part: i64,
    /// How long the half before took, and how much it was.
    before: (Duration, i64),
}

impl Halves {
    /// Of a window that is there from now on.
    pub(crate) fn begin(now: Duration) -> Self {
        Self { at: now, ..Self::default() }
    }

    /// So much more of it is used. Says something once in a half.
    pub(crate) fn used(&mut self, used: i64, window: i64, now: Duration, rtt: Duration) -> Speed {
        self.part = self.part.saturating_add(used);
        if self.part < window / 2 {
            return Speed::Fine;
        }
        let took = now.saturating_sub(std::mem::replace(&mut self.at, now));
        let half = (took, std::mem::take(&mut self.part));
        let before = std::mem::replace(&mut self.before, half);
        let (took, used) = (took.saturating_add(before.0), half.1.saturating_add(before.1));
        if bytes_in(times(FAST, rtt), used, took) > window {
            Speed::Fast
        } else if bytes_in(times(SLOW, rtt), used, took) < window {
            Speed::Slow
        } else {
            Speed::Fine
        }
    }

    /// Whether the last half alone came fast.
    pub(crate) fn was_fast(&self, window: i64, rtt: Duration) -> bool {
        let (took, used) = self.before;
        bytes_in(times(FAST, rtt), used, took) > window
    }
}

/// How large a window should be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// The link has shown how fast it is.
    is_known: bool,
    halves: Halves,
    /// When the measurement began, how large the window was then, and what came since.
    since: Duration,
    began_with: i64,
    came: i64,
}

impl Pace {
    /// Of a window that is there from now on.
    pub(crate) fn begin(window: i64, now: Duration) -> Self {
        let halves = Halves::begin(now);
        Self { is_known: false, halves, since: now, began_with: window, came: 0 }
    }

    /// So much of the window was used since the last time. Returns how large it should be, if that is to be said.
    pub(crate) fn used(
        &mut self,
        used: i64,
        window: i64,
        now: Duration,
        rtt: Duration,
    ) -> Option<i64> {
        let speed = self.halves.used(used, window, now, rtt);
        self.came = self.came.saturating_add(used);
        let measured = now.saturating_sub(self.since);
        if measured >= times(MEASURED, rtt) {
            let enough = bytes_in(times(ROUNDS, rtt), self.came, measured);
            // After a pause the link is as unknown as it was.
            self.is_known = speed != Speed::Slow && (self.is_known || enough < self.began_with);
            (self.since, self.began_with, self.came) = (now, window, 0);
            if self.is_known || speed == Speed::Slow {
                return Some(enough);
            }
        }
        let by = if rtt < FAR { GROWS_BY } else { GROWS_FAR_BY };
        (!self.is_known && speed == Speed::Fast).then_some(window.saturating_mul(by))
    }
}

/// Whether a peer is so near that its round trip costs nothing.
pub(crate) fn is_near(rtt: Duration) -> bool {
    rtt <= RTT_LEAST
}

fn times(rounds: u32, rtt: Duration) -> Duration {
    rtt.max(RTT_LEAST).saturating_mul(rounds)
}

/// What comes in so long, if `bytes` took so long.
fn bytes_in(time: Duration, bytes: i64, took: Duration) -> i64 {
    let all = u128::from(bytes.unsigned_abs()).saturating_mul(time.as_nanos());
    let all = all / took.as_nanos().max(1);
    i64::try_from(all).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_grows_until_the_link_is_known_and_is_three_round_trips_then() {
        let (mut now, mut window) = (millis(1000), 1000);
        let mut pace = Pace::begin(window, now);
        let mut go_on = |took, rtt, window: &mut i64| {
            now += millis(took);
            let enough = pace.used(*window / 2, *window, now, millis(rtt));
            *window = enough.unwrap_or(*window);
        };
        go_on(100, 100, &mut window);
        assert_eq!(window, 16_000, "half of it in a round trip");
        // From now on the link carries 10 bytes a millisecond.
        for _ in 0..20 {
            let took = window as u64 / 2 / 10;
            go_on(took, 100, &mut window);
        }
        assert!((2900..=3300).contains(&window), "{window}");
        // And now 40.
        for _ in 0..20 {
            let took = (window as u64 / 2 / 40).max(50);
            go_on(took, 100, &mut window);
        }
        assert!((11_000..=13_000).contains(&window), "{window}");
        // The peer comes nearer.
        for _ in 0..20 {
            let took = window as u64 / 2 / 40;
            go_on(took.max(1), 10, &mut window);
        }
        assert!((1000..=1400).contains(&window), "{window}");
    }

    #[test]
    fn a_round_trip_is_no_shorter_than_threads_wait() {
        for (took, enough) in [(3, Some(4000)), (4, Some(750)), (8, Some(375))] {
            let mut pace = Pace::begin(1000, millis(0));
            assert_eq!(pace.used(500, 1000, millis(took), Duration::ZERO), enough);
        }
    }

    #[test]
    fn two_halves_are_seen_together() {
        let mut halves = Halves::begin(millis(0));
        let mut used = |at| halves.used(500, 1000, millis(at), millis(1));
        assert_eq!(used(20), Speed::Fine);
        assert_eq!(used(20), Speed::Fine, "all of it in ten round trips");
        assert_eq!(used(22), Speed::Fast);
        assert_eq!(used(90), Speed::Slow);
        let mut used = |at| halves.used(250, 1000, millis(at), millis(1));
        assert_eq!([used(90), used(90)], [Speed::Fine, Speed::Slow], "what came before counts");
        assert_eq!([used(91), used(91)], [Speed::Fine, Speed::Fast]);
    }

    #[test]
    fn after_a_pause_the_link_is_unknown() {
        let mut pace = Pace::begin(1000, millis(0));
        let mut used = |at| pace.used(500, 1000, millis(at), millis(10));
        assert_eq!(used(40), Some(375), "it is known");
        assert_eq!(used(41), None);
        assert_eq!(used(1000), Some(31));
        assert_eq!(used(1005), None);
        assert_eq!(used(1010), Some(4000));
    }

    #[test]
    fn numbers_have_no_end() {
        let mut pace = Pace::begin(i64::MAX / 4, Duration::ZERO);
        assert!(pace.used(i64::MAX, i64::MAX, Duration::ZERO, Duration::MAX).is_none());
        assert!(pace.used(1, 1, Duration::MAX, Duration::ZERO).is_some());
    }
}
