//! The open lanes of one agent: how many there may be, and which has to go for a new one.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::limits::{LANE_EVICTED_AFTER, LANES_OPENING};

/// What the book knows of a lane.
pub(crate) trait OpenLane: fmt::Debug + Send + Sync {
    /// Since when it has no calls, if it has none.
    fn idle_since(&self) -> Option<Instant>;
    /// The session that carries it, by its id.
    fn session_id(&self) -> &str;
    /// No new calls from now on; it ends with the last one.
    fn retire(&self);
}

/// Lanes by number.
#[derive(Debug)]
pub(crate) struct LaneBook {
    lanes: Mutex<HashMap<u64, Option<Weak<dyn OpenLane>>>>,
    next: AtomicU64,
    /// What the agent takes. Lowered for a while where its upstream takes less.
    max: AtomicUsize,
    /// What the agent has said that it takes.
    offered: AtomicUsize,
    /// Those that are being opened.
    opening: Arc<Semaphore>,
    /// Told when one has ended.
    freed: Notify,
}

impl LaneBook {
    /// For `max` lanes at once.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            lanes: Mutex::default(),
            next: AtomicU64::new(0),
            max: AtomicUsize::new(max),
            offered: AtomicUsize::new(max),
            opening: Arc::new(Semaphore::new(LANES_OPENING)),
            freed: Notify::new(),
        }
    }

    /// Lanes that are open.
    pub(crate) fn len(&self) -> usize {
        self.lanes.lock().len()
    }

    /// How many there may be.
    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed).min(self.offered.load(Ordering::Relaxed))
    }

    /// The agent, or its upstream, takes no more than live now.
    pub(crate) fn is_full_now(&self) {
        self.max.store(self.len().max(1), Ordering::Relaxed);
    }

    /// A lane was opened where there seemed to be no room: perhaps there is room for more.
    pub(crate) fn has_room(&self) {
        let max = self.max();
        if max < self.offered.load(Ordering::Relaxed) {
            self.max.store(max + 1, Ordering::Relaxed);
        }
    }

    /// The agent takes so many from now on. Those that are open stay.
    pub(crate) fn offer(&self, max: usize) {
        let max = max.max(1);
        self.offered.store(max, Ordering::Relaxed);
        self.max.store(max, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Waits for its turn to open a lane, which lasts until the upstream has spoken.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        self.opening.clone().acquire_owned().await.ok()
    }

    /// Waits for a place, and takes it. Where all are taken, the lane that has been idle longest is ended.
    pub(crate) async fn enter(&self) -> u64 {
        loop {
            // Listening before looking: what ends in between is not missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(number) = self.try_enter() {
                return number;
            }
            // And again when another lane may have been idle for long enough.
            let _ = timeout(LANE_EVICTED_AFTER, freed).await;
        }
    }

    fn try_enter(&self) -> Option<u64> {
        let mut lanes = self.lanes.lock();
        if lanes.len() >= self.max() {
            let open = open(&lanes);
            drop(lanes);
            evict(&open);
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lanes.insert(number, None);
        Some(number)
    }

    /// The lane of this place is there.
    pub(crate) fn opened(&self, number: u64, lane: Weak<dyn OpenLane>) {
        if let Some(place) = self.lanes.lock().get_mut(&number) {
            *place = Some(lane);
        }
    }

    /// Gives the place back.
    pub(crate) fn leave(&self, number: u64) {
        self.lanes.lock().remove(&number);
        self.freed.notify_waiters();
    }

    /// Ends such lanes of a session, each with its last call.
    pub(super) fn retire(&self, session_id: &str, which: impl Fn(&dyn OpenLane) -> bool) {
        let lanes = open(&self.lanes.lock());
        let of_session = lanes.iter().filter(|lane| lane.session_id() == session_id);
        of_session.filter(|lane| which(&***lane)).for_each(|lane| lane.retire());
    }
}

fn open(lanes: &HashMap<u64, Option<Weak<dyn OpenLane>>>) -> Vec<Arc<dyn OpenLane>> {
    lanes.values().flatten().filter_map(Weak::upgrade).collect()
}

/// Ends the lane that has been idle longest, if any has been for a moment.
fn evict(lanes: &[Arc<dyn OpenLane>]) {
    let now = Instant::now();
    let idle = lanes.iter().filter_map(|lane| Some((lane.idle_since()?, lane)));
    let oldest = idle.filter(|(since, _)| now - *since >= LANE_EVICTED_AFTER);
    if let Some((_, lane)) = oldest.min_by_key(|(since, _)| *since) {
        lane.retire();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::poll;

    use super::*;

    #[derive(Debug)]
    struct Lane {
        idle_since: Option<Instant>,
        retired: Notify,
    }

    impl OpenLane for Lane {
        fn idle_since(&self) -> Option<Instant> {
            self.idle_since
        }

        fn session_id(&self) -> &str {
            "s"
        }

        fn retire(&self) {
            self.retired.notify_one();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_lane_that_has_been_idle_longest_makes_room() {
        let book = LaneBook::new(3);
        let now = Instant::now();
        let lanes = [None, Some(now), Some(now - Duration::from_secs(5))]
            .map(|idle_since| Arc::new(Lane { idle_since, retired: Notify::new() }));
        let mut numbers = Vec::new();
        for lane in &lanes {
            let number = book.enter().await;
            let lane: Weak<dyn OpenLane> = Arc::downgrade(&(lane.clone() as Arc<dyn OpenLane>));
            book.opened(number, lane);
            numbers.push(number);
        }
        let mut next = Box::pin(book.enter());
        assert!(poll!(&mut next).is_pending());
        lanes[2].retired.notified().await;
        book.leave(numbers[2]);
        assert!(poll!(&mut next).is_ready());
        assert!(poll!(std::pin::pin!(lanes[0].retired.notified())).is_pending(), "it has calls");
        assert_eq!(book.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_takes_less_is_asked_for_more_by_and_by() {
        let book = LaneBook::new(10);
        book.enter().await;
        book.enter().await;
        book.is_full_now();
        assert_eq!(book.max(), 2);
        (0..20).for_each(|_| book.has_room());
        assert_eq!(book.max(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_takes_more_has_those_let_in_who_wait() {
        let book = LaneBook::new(1);
        book.enter().await;
        let mut next = Box::pin(book.enter());
        assert!(poll!(&mut next).is_pending());
        book.offer(2);
        assert!(poll!(&mut next).is_ready());
        // Two are open: that they are more than it takes from now on does not mean that it takes them.
        book.offer(0);
        book.is_full_now();
        assert_eq!(book.max(), 1);
        (0..20).for_each(|_| book.has_room());
        assert_eq!(book.max(), 1);
    }
}
