//! Which of several hubs is dialled next: the first one where that is possible, the others in their order.

use std::time::Duration;

use tokio::time::Instant;

/// A slot's way through the hubs, each of which is a place in their list.
#[derive(Debug)]
pub(crate) struct Rota {
    /// When each may be dialled again. It has said so itself, or has refused for good.
    rests: Vec<Instant>,
    next: usize,
}

impl Rota {
    /// Of so many hubs, one at least.
    pub(crate) fn new(hubs: usize, now: Instant) -> Self {
        Self { rests: vec![now; hubs.max(1)], next: 0 }
    }

    /// The hub to dial.
    pub(crate) fn next(&self) -> usize {
        self.next
    }

    /// Whether there is any choice.
    pub(crate) fn has_others(&self) -> bool {
        self.rests.len() > 1
    }

    /// The hub that was dialled has not taken the agent, and is not to be asked again before it has rested. The next one
    /// is the turn's, after this pause or, where all of them rest, once one has. Returns the whole pause.
    pub(crate) fn failed(&mut self, rest: Duration, pause: Duration, now: Instant) -> Duration {
        let (failed, count) = (self.next, self.rests.len());
        self.rests[failed] = now + rest;
        self.choose((1..=count).map(|step| (failed + step) % count), pause, now)
    }

    /// A session has ended that did well: whatever was dialled last, the first hub is asked again.
    pub(crate) fn anew(&mut self, pause: Duration, now: Instant) -> Duration {
        self.choose(0..self.rests.len(), pause, now)
    }

    /// The first in this order that has rested when the pause is over; otherwise the one that has soonest.
    fn choose(
        &mut self,
        order: impl Iterator<Item = usize> + Clone,
        pause: Duration,
        now: Instant,
    ) -> Duration {
        let due = now + pause;
        let is_due = |hub: &usize| self.rests[*hub] <= due;
        let soonest = || order.clone().min_by_key(|hub| self.rests[*hub]);
        self.next = order.clone().find(is_due).or_else(soonest).unwrap_or_default();
        self.rests[self.next].saturating_duration_since(now).max(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn in_order_and_round_again() {
        let now = Instant::now();
        let mut rota = Rota::new(3, now);
        let tried: Vec<_> = (0..4)
            .map(|_| {
                let tried = rota.next();
                assert_eq!(rota.failed(Duration::ZERO, SECOND, now), SECOND);
                tried
            })
            .collect();
        assert_eq!(tried, [0, 1, 2, 0]);
        assert_eq!((rota.anew(Duration::ZERO, now), rota.next()), (Duration::ZERO, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_rests_is_passed_over_while_others_do_not() {
        let now = Instant::now();
        let mut rota = Rota::new(2, now);
        assert_eq!((rota.failed(60 * SECOND, SECOND, now), rota.next()), (SECOND, 1));
        // The first one rests still.
        assert_eq!((rota.failed(Duration::ZERO, SECOND, now + SECOND), rota.next()), (SECOND, 1));
        assert_eq!((rota.anew(Duration::ZERO, now + SECOND), rota.next()), (Duration::ZERO, 1));
        // Both do: whoever may be asked first is.
        let pause = rota.failed(300 * SECOND, SECOND, now + 10 * SECOND);
        assert_eq!((pause, rota.next()), (50 * SECOND, 0));
        assert_eq!((rota.anew(SECOND, now + 60 * SECOND), rota.next()), (SECOND, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_alone_is_asked_when_it_has_rested() {
        let now = Instant::now();
        let mut rota = Rota::new(1, now);
        assert!(!rota.has_others());
        assert_eq!(rota.failed(30 * SECOND, Duration::ZERO, now), 30 * SECOND);
        assert_eq!(rota.failed(Duration::ZERO, SECOND, now), SECOND);
        assert_eq!(rota.next(), 0);
    }
}
