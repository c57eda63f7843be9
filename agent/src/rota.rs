//! Which of several hubs is dialled next: a slot's first one where that is possible, the others in their order.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tunnel::hub_uri::HubUri;

/// A slot's way through the hubs.
#[derive(Debug)]
pub(crate) struct Rota {
    /// When each may be dialled again that was. It has said so itself, or has refused for good.
    rests: HashMap<HubUri, Instant>,
    next: HubUri,
}

impl Rota {
    /// Begins with this one.
    pub(crate) fn new(first: HubUri) -> Self {
        Self { rests: HashMap::new(), next: first }
    }

    /// The hub to dial.
    pub(crate) fn next(&self) -> &HubUri {
        &self.next
    }

    /// This one was dialled, out of its turn.
    pub(crate) fn is_at(&mut self, hub: HubUri) {
        self.next = hub;
    }

    /// The hub that was dialled has not taken the agent, and is not to be asked again before it has rested. The next one of
    /// all that there are now is the turn's, after this pause or, where all of them rest, once one has. Returns the whole
    /// pause.
    pub(crate) fn failed(
        &mut self,
        hubs: &[HubUri],
        rest: Duration,
        pause: Duration,
        now: Instant,
    ) -> Duration {
        self.rests.insert(self.next.clone(), now + rest);
        let begin = hubs.iter().position(|hub| *hub == self.next).map_or(0, |failed| failed + 1);
        self.choose(hubs, begin, pause, now)
    }

    /// A session has ended that did well: whatever was dialled last, the slot's first hub is asked again.
    pub(crate) fn anew(
        &mut self,
        hubs: &[HubUri],
        first: usize,
        pause: Duration,
        now: Instant,
    ) -> Duration {
        self.choose(hubs, first, pause, now)
    }

    /// The first from this one on that has rested when the pause is over; otherwise the one that has soonest.
    fn choose(&mut self, hubs: &[HubUri], begin: usize, pause: Duration, now: Instant) -> Duration {
        self.rests.retain(|hub, rested| *rested > now && hubs.contains(hub));
        let due = now + pause;
        let rested = |hub: &HubUri| self.rests.get(hub).copied().unwrap_or(now);
        let in_order = || (0..hubs.len()).filter_map(|step| hubs.get((begin + step) % hubs.len()));
        let soonest = || in_order().min_by_key(|hub| rested(hub));
        let next = in_order().find(|hub| rested(hub) <= due).or_else(soonest);
        self.next = next.unwrap_or(&self.next).clone();
        rested(&self.next).saturating_duration_since(now).max(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hubs(count: usize) -> (Vec<HubUri>, Rota) {
        let hub = |at| format!("ws://hub-{at}").parse().expect("an address");
        let hubs: Vec<HubUri> = (0..count).map(hub).collect();
        let rota = Rota::new(hubs[0].clone());
        (hubs, rota)
    }

    #[tokio::test(start_paused = true)]
    async fn in_order_and_round_again() {
        let (now, (hubs, mut rota)) = (Instant::now(), hubs(3));
        for tried in [0, 1, 2, 0] {
            assert_eq!(rota.next(), &hubs[tried]);
            assert_eq!(rota.failed(&hubs, Duration::ZERO, SECOND, now), SECOND);
        }
        assert_eq!(rota.anew(&hubs, 0, Duration::ZERO, now), Duration::ZERO);
        assert_eq!(rota.next(), &hubs[0]);
        rota.anew(&hubs, 2, Duration::ZERO, now);
        assert_eq!(rota.next(), &hubs[2]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_rests_is_passed_over_while_others_do_not() {
        let (now, (hubs, mut rota)) = (Instant::now(), hubs(2));
        let at = |rota: &Rota| hubs.iter().position(|hub| hub == rota.next());
        assert_eq!(rota.failed(&hubs, 60 * SECOND, SECOND, now), SECOND);
        assert_eq!(at(&rota), Some(1));
        // The first one rests still.
        let later = now + SECOND;
        assert_eq!(rota.failed(&hubs, Duration::ZERO, SECOND, later), SECOND);
        assert_eq!(at(&rota), Some(1));
        assert_eq!(rota.anew(&hubs, 0, Duration::ZERO, later), Duration::ZERO);
        assert_eq!(at(&rota), Some(1));
        // Both do: whoever may be asked first is.
        let pause = rota.failed(&hubs, 300 * SECOND, SECOND, now + 10 * SECOND);
        assert_eq!((pause, at(&rota)), (50 * SECOND, Some(0)));
        assert_eq!(rota.anew(&hubs, 0, SECOND, now + 60 * SECOND), SECOND);
        assert_eq!(at(&rota), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_alone_is_asked_when_it_has_rested() {
        let (now, (hubs, mut rota)) = (Instant::now(), hubs(1));
        assert_eq!(rota.failed(&hubs, 30 * SECOND, Duration::ZERO, now), 30 * SECOND);
        assert_eq!(rota.failed(&hubs, Duration::ZERO, SECOND, now), SECOND);
        assert_eq!(rota.next(), &hubs[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_told_of_no_more_is_left() {
        let (now, (hubs, mut rota)) = (Instant::now(), hubs(3));
        rota.anew(&hubs, 2, Duration::ZERO, now);
        rota.failed(&hubs[..2], Duration::ZERO, Duration::ZERO, now);
        assert_eq!(rota.next(), &hubs[0]);
    }
}
