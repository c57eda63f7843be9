//! When a caller whose lane was ended for cause gets another: the hub does not launder a server's guard.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{PENALTY_FORGIVEN, PENALTY_MAX, PENALTY_MIN};

/// How long a caller has to do without a lane.
#[derive(Clone, Debug, Default)]
pub(super) struct Penalty {
    pause: Duration,
    until: Option<Instant>,
    why: String,
}

impl Penalty {
    /// The upstream has ended a lane of this caller with an error, in these words.
    pub(super) fn ended(&mut self, now: Instant, why: String) {
        let forgiven = self.until.is_none_or(|until| now > until + PENALTY_FORGIVEN);
        self.pause = if forgiven { PENALTY_MIN } else { (2 * self.pause).min(PENALTY_MAX) };
        self.until = Some(now + self.pause);
        self.why = why;
    }

    /// Why there is no new lane now, and for how long, if there is none.
    pub(super) fn at(&self, now: Instant) -> Option<(Duration, &str)> {
        let left = self.until?.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some((left, &self.why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_and_is_forgiven() {
        let mut penalty = Penalty::default();
        let mut now = Instant::now();
        assert_eq!(penalty.at(now), None);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            penalty.ended(now, "calm".into());
            let (pause, why) = penalty.at(now).expect("a pause");
            assert_eq!(why, "calm");
            pauses.push(pause.as_millis());
            now += pause;
            assert_eq!(penalty.at(now), None);
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        penalty.ended(now + 2 * PENALTY_FORGIVEN, String::new());
        assert_eq!(penalty.at(now + 2 * PENALTY_FORGIVEN).expect("a pause").0, PENALTY_MIN);
    }
}
