//! What happens at the hub, for whoever watches, and for whoever comes back. While nobody does, a call costs one increment.
//! What is seldom is always kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use hub_proto::hub::v1::ActivityEvent;
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tunnel::name::Name;

pub(crate) use super::event::{Event, LaneEvent, Place, ProxiedCall, What};
use super::history::History;
use crate::limits::{ACTIVITY_BUFFER, ACTIVITY_KEPT_FOR};

/// What has happened at another hub, as that one tells it.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    /// The name it is about; none where it is about that hub.
    pub(crate) name: Option<Name>,
    pub(crate) event: ActivityEvent,
}

/// Where events come in and watchers listen.
#[derive(Debug)]
pub(crate) struct Activity {
    elsewhere: broadcast::Sender<Arc<Elsewhere>>,
    /// How many want to know what happens elsewhere.
    curious: watch::Sender<usize>,
    sender: broadcast::Sender<Arc<Event>>,
    traffic: AtomicU64,
    others: AtomicU64,
    /// How many watch.
    watchers: AtomicUsize,
    /// Nobody watches any more, but may come back.
    is_left: AtomicBool,
    /// Held while numbering and sending, so that watchers see the numbers in order.
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    history: History,
    /// When the last watcher left.
    left: Option<Instant>,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            elsewhere: broadcast::Sender::new(ACTIVITY_BUFFER),
            curious: watch::Sender::new(0),
            sender: broadcast::Sender::new(ACTIVITY_BUFFER),
            traffic: AtomicU64::new(0),
            others: AtomicU64::new(0),
            watchers: AtomicUsize::new(0),
            is_left: AtomicBool::new(false),
            kept: Mutex::default(),
        }
    }

    /// Tells the watchers of traffic. `about` is asked only if there are any, or were just now.
    pub(crate) fn publish<N: Into<Option<Name>>>(&self, about: impl FnOnce() -> (N, String, What)) {
        if !self.is_for_somebody() {
            self.traffic.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (name, instance, what) = about();
        self.tell(name, instance, what);
    }

    /// Tells the watchers, and whoever comes back.
    pub(crate) fn tell(&self, name: impl Into<Option<Name>>, instance: String, what: What) {
        let (name, is_traffic) = (name.into(), what.is_traffic());
        let mut kept = self.kept.lock();
        let counter = if is_traffic { &self.traffic } else { &self.others };
        counter.fetch_add(1, Ordering::Relaxed);
        let (place, time) = (self.place(), SystemTime::now());
        let event = Arc::new(Event { place, time, name, instance, what });
        kept.history.push(event.clone());
        // There may be none.
        let _ = self.sender.send(event);
    }

    /// How many events there have been.
    fn place(&self) -> Place {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Place { traffic: now(&self.traffic), others: now(&self.others) }
    }

    /// Whether somebody watches, or has a moment ago and may come back.
    fn is_for_somebody(&self) -> bool {
        if self.watchers() > 0 {
            return true;
        }
        if !self.is_left.load(Ordering::Relaxed) {
            return false;
        }
        let mut kept = self.kept.lock();
        let is_lately = kept.left.is_some_and(|left| left.elapsed() < ACTIVITY_KEPT_FOR);
        if !is_lately && self.watchers() == 0 {
            self.is_left.store(false, Ordering::Relaxed);
            kept.history.forget_traffic();
        }
        is_lately
    }

    /// Tells those who want to know what has happened at another hub.
    pub(crate) fn publish_elsewhere(&self, event: Elsewhere) {
        // The last of them may have left meanwhile.
        let _ = self.elsewhere.send(Arc::new(event));
    }

    /// Whether anybody wants to, and whenever that changes.
    pub(crate) fn curious(&self) -> watch::Receiver<usize> {
        self.curious.subscribe()
    }

    /// Listens from now on, also to what happens elsewhere.
    pub(crate) fn watch_all(self: &Arc<Self>) -> (broadcast::Receiver<Arc<Elsewhere>>, Curious) {
        self.curious.send_modify(|curious| *curious += 1);
        (self.elsewhere.subscribe(), Curious(self.clone()))
    }

    /// How many listen.
    pub(crate) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Listens from now on, or from an earlier place on, as far as that is kept.
    pub(crate) fn watch(self: &Arc<Self>, after: Option<Place>) -> Watcher {
        let kept = self.kept.lock();
        self.watchers.fetch_add(1, Ordering::Relaxed);
        let now = self.place();
        let live = after.is_none().then(|| self.sender.subscribe());
        drop(kept);
        // A place that is still to come is none of this hub's.
        let place = after.filter(|after| after.sequence() <= now.sequence()).unwrap_or(now);
        Watcher { activity: self.clone(), place, live }
    }
}

/// Somebody who watches.
#[derive(Debug)]
pub(crate) struct Watcher {
    activity: Arc<Activity>,
    /// All before it was told, or is lost.
    pub(crate) place: Place,
    /// Once all that is kept was told.
    live: Option<broadcast::Receiver<Arc<Event>>>,
}

/// What a watcher hears next.
#[derive(Debug)]
pub(crate) enum Heard {
    /// An event; before it these were not kept.
    Event(Arc<Event>, Place),
    /// Nothing of what happened before now was kept, or no more than was heard.
    NotKept(Place),
    /// It was so slow that so many are lost.
    Slow(u64),
}

impl Watcher {
    /// The next event. Nothing is lost if this is given up.
    pub(crate) async fn next(&mut self) -> Heard {
        let Some(live) = &mut self.live else {
            return self.next_kept();
        };
        match live.recv().await {
            Ok(event) => {
                self.place = event.place;
                Heard::Event(event, Place::default())
            }
            Err(RecvError::Lagged(lost)) => Heard::Slow(lost),
            // Its sender lives as long as this.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The next event that is kept; after the last of them, it listens.
    fn next_kept(&mut self) -> Heard {
        let kept = self.activity.kept.lock();
        if let Some(event) = kept.history.after(self.place) {
            let mut lost = event.place.since(self.place);
            let itself = if event.what.is_traffic() { &mut lost.traffic } else { &mut lost.others };
            *itself = itself.saturating_sub(1);
            self.place = event.place;
            return Heard::Event(event.clone(), lost);
        }
        self.live = Some(self.activity.sender.subscribe());
        let now = self.activity.place();
        let lost = now.since(self.place);
        self.place = now;
        Heard::NotKept(lost)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut kept = self.activity.kept.lock();
        kept.left = Some(Instant::now());
        self.activity.is_left.store(true, Ordering::Relaxed);
        self.activity.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Somebody who wants to know what happens at other hubs.
#[derive(Debug)]
pub(crate) struct Curious(Arc<Activity>);

impl Drop for Curious {
    fn drop(&mut self) {
        self.0.curious.send_modify(|curious| *curious -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{ACTIVITY_KEPT, ACTIVITY_KEPT_BYTES};

    /// A lane's, with an error of so many bytes.
    fn traffic(activity: &Activity, bytes: usize) {
        activity.publish(|| {
            let (session, error) = (String::new(), Some("x".repeat(bytes)));
            (None, String::new(), What::LaneEnded(LaneEvent { session, open: 0, error }))
        });
    }

    fn seldom(activity: &Activity) {
        activity.tell(None::<Name>, String::new(), What::Registered);
    }

    /// Whether it is traffic, and what was lost before; or what was lost when there is no more.
    async fn next(watcher: &mut Watcher) -> (Option<bool>, u64, u64) {
        match watcher.next().await {
            Heard::Event(event, lost) => (Some(event.what.is_traffic()), lost.traffic, lost.others),
            Heard::NotKept(lost) => (None, lost.traffic, lost.others),
            Heard::Slow(lost) => panic!("{lost} are lost"),
        }
    }

    const BEGINNING: Option<Place> = Some(Place { traffic: 0, others: 0 });

    #[tokio::test(start_paused = true)]
    async fn traffic_is_kept_for_who_comes_back_soon() {
        let activity = Arc::new(Activity::new());
        activity.publish(|| -> (Name, String, What) { panic!("nobody watches") });
        let mut watcher = activity.watch(BEGINNING);
        assert_eq!(next(&mut watcher).await, (None, 1, 0));
        traffic(&activity, 1);
        assert_eq!(next(&mut watcher).await, (Some(true), 0, 0));
        let place = Some(watcher.place);
        drop(watcher);
        traffic(&activity, 1);
        tokio::time::advance(ACTIVITY_KEPT_FOR / 2).await;
        traffic(&activity, 1);
        let mut watcher = activity.watch(place);
        for told in [Some(true), Some(true), None] {
            assert_eq!(next(&mut watcher).await, (told, 0, 0));
        }
        drop(watcher);
        tokio::time::advance(ACTIVITY_KEPT_FOR).await;
        activity.publish(|| -> (Name, String, What) { panic!("nobody comes back") });
        assert_eq!(next(&mut activity.watch(place)).await, (None, 3, 0));
    }

    #[tokio::test]
    async fn what_is_seldom_is_kept_though_nobody_watches() {
        let activity = Arc::new(Activity::new());
        seldom(&activity);
        traffic(&activity, 1);
        seldom(&activity);
        let mut watcher = activity.watch(BEGINNING);
        assert_eq!(next(&mut watcher).await, (Some(false), 0, 0));
        assert_eq!(next(&mut watcher).await, (Some(false), 1, 0));
        assert_eq!(next(&mut watcher).await, (None, 0, 0));
        seldom(&activity);
        assert_eq!(next(&mut watcher).await, (Some(false), 0, 0));
        let now = activity.watch(None);
        assert_eq!(now.place, watcher.place);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_what_is_lost_is_told() {
        let activity = Arc::new(Activity::new());
        let watcher = activity.watch(None);
        for _ in 0..ACTIVITY_KEPT + 10 {
            seldom(&activity);
        }
        let mut late = activity.watch(BEGINNING);
        assert_eq!(next(&mut late).await, (Some(false), 0, 10));
        // Traffic pushes out nothing else, and is bounded by its bytes.
        for _ in 0..8 {
            traffic(&activity, ACTIVITY_KEPT_BYTES / 4);
        }
        let mut late = activity.watch(BEGINNING);
        for n in 0..ACTIVITY_KEPT {
            let lost = if n == 0 { 10 } else { 0 };
            assert_eq!(next(&mut late).await, (Some(false), 0, lost), "{n}");
        }
        assert_eq!(next(&mut late).await, (Some(true), 5, 0));
        drop(watcher);
    }
}
