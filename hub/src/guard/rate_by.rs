//! A rate for each of many, such as addresses: a token bucket each, for as many as are told apart.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;
use tunnel::token_bucket::{Rate, TokenBucket};

/// What is left to each that did something lately.
#[derive(Debug)]
pub(crate) struct RateBy<K> {
    rate: Rate,
    max: usize,
    known: Mutex<HashMap<Option<K>, TokenBucket>>,
}

impl<K: Copy + Eq + Hash> RateBy<K> {
    /// Beyond `max` of them, the rest count as one.
    pub(crate) fn new(rate: Rate, max: usize) -> Self {
        Self { rate, max, known: Mutex::default() }
    }

    /// Returns `true` if `who` may do it once more now.
    pub(crate) fn admit(&self, who: K) -> bool {
        self.admit_all(who, 1)
    }

    /// Returns `true` if `who` may do it so often now.
    pub(crate) fn admit_all(&self, who: K, times: u32) -> bool {
        let mut known = self.known.lock();
        let who = Some(who);
        if !known.contains_key(&who) && known.len() >= self.max {
            known.retain(|_, bucket| !bucket.is_full());
        }
        let fits = known.contains_key(&who) || known.len() < self.max;
        let bucket = known.entry(if fits { who } else { None });
        bucket.or_insert_with(|| TokenBucket::new(self.rate)).take(times).is_ok()
    }

    /// What `who` was admitted to so often has not come to be.
    pub(crate) fn give_back(&self, who: K, times: u32) {
        let mut known = self.known.lock();
        let who = if known.contains_key(&Some(who)) { Some(who) } else { None };
        if let Some(bucket) = known.get_mut(&who) {
            bucket.give_back(times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    const PERIOD: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn each_has_its_own() {
        let rate = RateBy::new(Rate { burst: 5, per: PERIOD }, 10);
        assert!((0..5).all(|_| rate.admit('a')));
        assert!(!rate.admit('a'));
        assert!(rate.admit('b'));
        rate.give_back('a', 1);
        assert!(rate.admit('a') && !rate.admit('a'));
        tokio::time::advance(PERIOD).await;
        assert!(rate.admit('a'));
    }

    #[tokio::test(start_paused = true)]
    async fn those_beyond_a_number_share_one_and_are_not_kept() {
        let rate = RateBy::new(Rate { burst: 1, per: PERIOD }, 10);
        assert!((0..11).all(|who| rate.admit(who)));
        assert!(!rate.admit(11), "the one before had it");
        assert_eq!(rate.known.lock().len(), 11);
        tokio::time::advance(PERIOD).await;
        assert!(rate.admit(12));
        assert!(rate.known.lock().len() <= 2);
    }
}
