//! How old sessions may become: for balancers and proxies that end every connection after some time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::info;
use tunnel::dial::whole_millis;

use crate::limits::{
    REPLACED_FROM, REPLACED_UNTIL, SESSION_AGE_LEARNED, SESSION_AGE_MEMORY, SESSION_AGE_MEMORY_MAX,
    SESSION_AGE_SAME,
};

/// The age at which sessions of this agent end: as it was told, or as it has found out.
#[derive(Debug)]
pub(crate) struct AgeLimit(watch::Sender<Ages>);

impl AgeLimit {
    /// Of an agent that was told, or was not.
    pub(crate) fn new(told: Option<Duration>) -> Self {
        Self(watch::Sender::new(Ages { told, ..Ages::default() }))
    }

    /// A session that began then was lost at this age, and neither end had a reason.
    pub(crate) fn lost(&self, age: Duration, began: Instant) {
        if self.0.send_if_modified(|ages| ages.lost(age, began, Instant::now())) {
            let age = whole_millis(age);
            info!(?age, "sessions are lost at this age: from now on they are replaced before it");
        }
    }

    /// Resolves when it is time to replace a session that began then. `random`, in 0..1, is the session's own, so that
    /// those of one age are not replaced at one moment.
    pub(crate) async fn is_near(&self, began: Instant, random: f64) {
        let mut ages = self.0.subscribe();
        loop {
            let due = ages.borrow_and_update().replace_at(began, random);
            tokio::select! {
                _ = ages.changed() => {}
                () = until(due) => return,
            }
        }
    }

    /// Forgets what was learned when a session that began then outlives it. For ever.
    pub(crate) async fn outlived_by(&self, began: Instant) {
        let mut ages = self.0.subscribe();
        loop {
            let outlived = ages.borrow_and_update().outlived_at(began);
            tokio::select! {
                _ = ages.changed() => {}
                () = until(outlived) => {
                    if self.0.send_if_modified(|ages| ages.learned.take().is_some()) {
                        info!("a session has become older than that: they are replaced no more");
                    }
                }
            }
        }
    }
}

/// Never, if there is no such moment.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What is known of the ages at which sessions end.
#[derive(Debug, Default)]
struct Ages {
    told: Option<Duration>,
    learned: Option<Duration>,
    /// Until when that is believed, and for how long it is the next time.
    believed: Option<(Instant, Duration)>,
    last: Option<Loss>,
}

#[derive(Debug)]
struct Loss {
    age: Duration,
    at: Instant,
}

impl Ages {
    /// Returns whether an age was learned from it.
    fn lost(&mut self, age: Duration, began: Instant, now: Instant) -> bool {
        // What ends all sessions of the agent at once is an accident, however old they are: only one that began later
        // tells of a rule.
        let is_same_event = self.last.as_ref().is_some_and(|last| began < last.at);
        if self.told.is_some() || is_same_event {
            return false;
        }
        if age < SESSION_AGE_LEARNED {
            self.last = None;
            return false;
        }
        let last = self.last.replace(Loss { age, at: now });
        let Some(age) = last.filter(|last| is_same(last.age, age)).map(|last| last.age.min(age))
        else {
            return false;
        };
        if self.believed(now).is_some_and(|learned| learned <= age && is_same(learned, age)) {
            return false;
        }
        let memory = self.believed.map_or(SESSION_AGE_MEMORY, |(_, memory)| memory);
        let next = memory.saturating_mul(2).min(SESSION_AGE_MEMORY_MAX);
        (self.learned, self.believed) = (Some(age), Some((now + memory, next)));
        true
    }

    /// What was learned, as far as it is not too long ago: sessions that are always replaced before they are that old do
    /// not refute it.
    fn believed(&self, now: Instant) -> Option<Duration> {
        let (until, _) = self.believed?;
        self.learned.filter(|_| now < until)
    }

    /// When a session is to be replaced. Not one that is older already than what was learned: it is about to refute it.
    fn replace_at(&self, began: Instant, random: f64) -> Option<Instant> {
        let limit = self.told.or_else(|| self.believed(began))?;
        let due = limit.mul_f64(REPLACED_FROM + (REPLACED_UNTIL - REPLACED_FROM) * random);
        let is_refuted = self.outlived_at(began).is_some_and(|at| at <= Instant::now());
        began.checked_add(due).filter(|_| !is_refuted)
    }

    fn outlived_at(&self, began: Instant) -> Option<Instant> {
        let age = self.learned?;
        began.checked_add(age.saturating_add(age.mul_f64(SESSION_AGE_SAME)))
    }
}

fn is_same(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= one.max(other).mul_f64(SESSION_AGE_SAME)
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Lets a session live so long, and loses it.
    async fn lose(ages: &mut Ages, age: Duration) -> bool {
        let began = Instant::now();
        advance(age).await;
        ages.lost(age, began, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn two_losses_in_a_row_at_nearly_the_same_age_are_a_rule() {
        for (losses, learned) in [
            (&[60, 63][..], Some(60)),
            (&[63, 60], Some(60)),
            (&[60, 70], None),
            (&[60, 30, 60], None),
            (&[60, 5, 60], None),
            (&[9, 9], None),
            (&[10, 10], Some(10)),
            (&[60, 60, 20, 20], Some(20)),
            (&[60, 60, 20, 61], Some(60)),
        ] {
            let mut ages = Ages::default();
            for age in losses {
                lose(&mut ages, *age * SECOND).await;
            }
            assert_eq!(ages.learned, learned.map(|age| age * SECOND), "{losses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_learned_once() {
        let mut ages = Ages::default();
        let learned = [
            lose(&mut ages, 60 * SECOND).await,
            lose(&mut ages, 60 * SECOND).await,
            lose(&mut ages, 61 * SECOND).await,
        ];
        assert_eq!(learned, [false, true, false]);
    }

    /// A hub that crashes takes all sessions of an agent along, which were all of one age.
    #[tokio::test(start_paused = true)]
    async fn sessions_that_are_lost_together_tell_nothing() {
        let mut ages = Ages::default();
        let began = Instant::now();
        advance(60 * SECOND).await;
        for _ in 0..4 {
            assert!(!ages.lost(60 * SECOND, began, Instant::now()));
        }
        assert_eq!(ages.learned, None);
        // The next ones do, after the same time.
        assert!(lose(&mut ages, 60 * SECOND).await);
    }

    /// Nobody refutes it where each session is replaced in time; so it is tried now and then whether it still holds.
    #[tokio::test(start_paused = true)]
    async fn what_was_learned_is_believed_for_a_while_and_longer_each_time() {
        let mut ages = Ages::default();
        let mut memories = Vec::new();
        for _ in 0..2 {
            for _ in 0..2 {
                lose(&mut ages, 60 * SECOND).await;
            }
            let learned = Instant::now();
            while ages.replace_at(Instant::now(), 0.5).is_some() {
                advance(600 * SECOND).await;
            }
            memories.push(learned.elapsed());
        }
        assert_eq!(memories, [SESSION_AGE_MEMORY, 2 * SESSION_AGE_MEMORY]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_not_learned_over() {
        let mut ages = Ages { told: Some(100 * SECOND), ..Ages::default() };
        for _ in 0..2 {
            lose(&mut ages, 20 * SECOND).await;
        }
        let began = Instant::now();
        assert_eq!(ages.replace_at(began, 0.0), Some(began + 80 * SECOND));
        assert_eq!(ages.replace_at(began, 1.0), Some(began + 95 * SECOND));
        let never = Ages { told: Some(Duration::MAX), ..Ages::default() };
        assert_eq!(never.replace_at(began, 0.5), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_learned_is_forgotten_once_it_is_refuted() {
        let limit = AgeLimit::new(None);
        let old = Instant::now();
        let near = async |began| timeout(54 * SECOND, limit.is_near(began, 0.5)).await.is_ok();
        assert!(!near(Instant::now()).await, "nothing is known");
        for _ in 0..2 {
            let began = Instant::now();
            advance(60 * SECOND).await;
            limit.lost(60 * SECOND, began);
        }
        assert!(near(Instant::now()).await);
        // One that had been there before is older already.
        let forgets = timeout(Duration::ZERO, limit.outlived_by(old)).await;
        forgets.expect_err("for ever");
        assert!(!near(Instant::now()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_learned_holds_for_sessions_under_way() {
        let limit = AgeLimit::new(None);
        let (began, start) = (Instant::now(), Instant::now());
        let learns = async {
            for _ in 0..2 {
                let began = Instant::now();
                sleep_until(began + 20 * SECOND).await;
                limit.lost(20 * SECOND, began);
            }
            std::future::pending::<()>().await;
        };
        let later = began + 30 * SECOND;
        tokio::select! {
            () = limit.is_near(later, 0.0) => {}
            () = learns => {}
        }
        assert_eq!(start.elapsed(), 46 * SECOND);
    }
}
