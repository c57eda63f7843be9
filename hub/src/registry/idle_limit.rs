//! For how long a lane may be idle: its upstream's own limit is learned, so that lanes end before they are ended.

use std::time::Duration;

use crate::limits::{LANE_IDLE, LANE_IDLE_MIN, LANE_IDLE_SCARCE};

/// What was seen of an upstream that ends idle connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdleLimit {
    last: Option<Duration>,
    learned: Option<Duration>,
}

impl IdleLimit {
    /// The upstream has ended a lane that had been idle for so long.
    pub(crate) fn ended_after(&mut self, idle: Duration) {
        // Twice the same is a limit. Once may be anything, such as the age of the connection.
        let again = self.last.is_some_and(|last| last.abs_diff(idle) < last / 10);
        self.last = Some(idle);
        if again {
            // Before the upstream does, or a call might meet its end.
            self.learned = Some((idle * 4 / 5).max(LANE_IDLE_MIN));
        }
    }

    /// How long a lane may be idle, where `used` of `max` lanes of the agent are in use.
    pub(crate) fn limit(&self, used: usize, max: usize) -> Duration {
        let ours = if used < max / 2 { LANE_IDLE } else { LANE_IDLE_SCARCE };
        self.learned.map_or(ours, |learned| learned.min(ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_limit_is_learned_when_it_is_seen_twice() {
        let mut idle = IdleLimit::default();
        idle.ended_after(5 * SECOND);
        assert_eq!(idle.limit(1, 100), LANE_IDLE);
        idle.ended_after(8 * SECOND);
        assert_eq!(idle.limit(1, 100), LANE_IDLE);
        idle.ended_after(8 * SECOND + SECOND / 10);
        assert_eq!(idle.limit(1, 100), (8 * SECOND + SECOND / 10) * 4 / 5);
    }

    #[test]
    fn where_lanes_are_scarce_they_are_not_kept() {
        let mut idle = IdleLimit::default();
        assert_eq!(idle.limit(50, 100), LANE_IDLE_SCARCE);
        idle.ended_after(SECOND);
        idle.ended_after(SECOND);
        assert_eq!(idle.limit(50, 100), LANE_IDLE_MIN);
    }
}
