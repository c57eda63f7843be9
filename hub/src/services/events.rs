//! `hub.v1.Activity`: what happens, as it happens, here and at other hubs.

use std::pin::pin;
use std::sync::Arc;

use hub_proto::hub::v1::activity_server::Activity as ActivityService;
use hub_proto::hub::v1::{ActivityEvent, ConnectRequest};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tunnel::limits::CLOSE_TIMEOUT;

use super::cursor;
use super::filter::Filter;
use super::told::{kind, message};
use crate::limits::{ACTIVITY_EVENTS, ACTIVITY_IN_HAND, ACTIVITY_PASSED_OVER, ACTIVITY_PAUSE};
use crate::observe::activity::{Activity, Curious, Elsewhere, Heard, Place, Watcher};
use crate::stop::Stop;

/// Streams the activity, to people or to other hubs.
#[derive(Debug)]
pub(super) struct Events {
    activity: Arc<Activity>,
    /// This hub's id.
    node: Arc<str>,
    audience: Audience,
    stop: Stop,
    watchers: Watchers,
}

/// Who watches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Audience {
    /// They are sent to another hub once this one drains.
    People,
    /// They are told to the end, for each has people who watch there.
    Hubs,
}

impl Audience {
    async fn leaves(self, stop: &Stop) {
        match self {
            Self::People => stop.draining().await,
            Self::Hubs => stop.closing().await,
        }
    }
}

/// All who watch by one service, of whom each has one: they share what all of them get. So however many people watch here,
/// other hubs hear as much.
#[derive(Clone, Debug, Default)]
struct Watchers(Arc<()>);

impl Watchers {
    fn count(&self) -> usize {
        // One is the service's own.
        Arc::strong_count(&self.0) - 1
    }
}

impl Events {
    pub(super) fn new(activity: Arc<Activity>, node: &str, audience: Audience, stop: Stop) -> Self {
        Self { activity, node: node.into(), audience, stop, watchers: Watchers::default() }
    }

    /// All that happens and passes, here or at all hubs, until it is the hub's time to end; first what has happened here after
    /// a place.
    pub(super) fn watch(
        &self,
        filter: Filter,
        after: Option<Place>,
        this_hub_only: bool,
    ) -> EventStream {
        let (sender, receiver) = mpsc::channel(ACTIVITY_IN_HAND);
        let (audience, stop, watchers) = (self.audience, self.stop.clone(), self.watchers.clone());
        let elsewhere = (!this_hub_only).then(|| self.activity.watch_all());
        let here = self.activity.watch(after);
        let watched = Watched { node: self.node.clone(), here, elsewhere };
        tokio::spawn(async move {
            let late = async {
                audience.leaves(&stop).await;
                sleep(CLOSE_TIMEOUT).await;
            };
            tokio::select! {
                () = sender.closed() => return,
                () = forward(watched, &watchers, &filter, &sender, audience.leaves(&stop)) => {}
                () = late => {}
            }
            super::going_away(&sender).await;
        });
        ReceiverStream::new(receiver)
    }
}

pub(super) type EventStream = ReceiverStream<Result<ActivityEvent, Status>>;

/// What one watcher listens to.
struct Watched {
    /// This hub's id.
    node: Arc<str>,
    here: Watcher,
    elsewhere: Option<(Receiver<Arc<Elsewhere>>, Curious)>,
}

impl Watched {
    /// The next event, if it passes, and how many were missed before it. `None` once there are no more.
    async fn next(&mut self, filter: &Filter) -> Option<(Option<ActivityEvent>, u64)> {
        tokio::select! {
            here = self.here.next() => Some(match here {
                Heard::Event(event, lost) => {
                    let is_seen = filter.passes(event.name.as_ref(), kind(&event.what) as i32);
                    (is_seen.then(|| message(&event, &self.node)), filter.missed(lost))
                }
                Heard::NotKept(lost) => (None, filter.missed(lost)),
                Heard::Slow(lost) => (None, lost),
            }),
            elsewhere = next_elsewhere(&mut self.elsewhere) => match elsewhere {
                Ok(told) => {
                    let is_seen = filter.passes(told.name.as_ref(), told.event.r#type);
                    let seen = is_seen.then(|| self.seen_elsewhere(&told.event));
                    Some((seen, told.event.missed))
                }
                Err(RecvError::Lagged(lost)) => Some((None, lost)),
                // Its sender lives as long as the hub.
                Err(RecvError::Closed) => None,
            },
        }
    }

    /// Whoever comes back does so to this hub: the cursor says what of here it has seen.
    fn seen_elsewhere(&self, event: &ActivityEvent) -> ActivityEvent {
        let cursor = cursor::cursor(&self.node, self.here.place);
        ActivityEvent { missed: 0, cursor, ..event.clone() }
    }
}

async fn next_elsewhere(
    elsewhere: &mut Option<(Receiver<Arc<Elsewhere>>, Curious)>,
) -> Result<Arc<Elsewhere>, RecvError> {
    match elsewhere {
        Some((receiver, _)) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

#[tonic::async_trait]
impl ActivityService for Events {
    type ConnectStream = EventStream;

    async fn connect(
        &self,
        request: Request<ConnectRequest>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let caller = super::caller(&request)?.clone();
        let ConnectRequest { this_hub_only, names, types, after } = request.into_inner();
        let filter = Filter::new(caller, names, types)?;
        let after = match after.as_str() {
            "" => None,
            after => Some(cursor::place(&self.node, after)?),
        };
        Ok(Response::new(self.watch(filter, after, this_hub_only)))
    }
}

/// Until the watcher has gone, or the hub ends and it has heard of that.
async fn forward(
    mut watched: Watched,
    watchers: &Watchers,
    filter: &Filter,
    sender: &mpsc::Sender<Result<ActivityEvent, Status>>,
    leaves: impl Future<Output = ()>,
) {
    let mut leaves = pin!(leaves);
    let mut missed = 0;
    let mut share = Share::of(watchers.count());
    loop {
        share.wait(|| watchers.count()).await;
        let next = tokio::select! {
            biased;
            next = watched.next(filter) => next,
            () = &mut leaves => return,
        };
        let Some((event, lost)) = next else { return };
        missed += lost;
        let Some(mut event) = event else {
            share.passed_over();
            continue;
        };
        event.missed = std::mem::take(&mut missed);
        if sender.send(Ok(event)).await.is_err() {
            return;
        }
    }
}

/// What one watcher may have of what all of them get, for a while.
#[derive(Debug)]
struct Share {
    left: usize,
    passed_over: usize,
    ends: Instant,
}

impl Share {
    /// Of so many watchers, from now on. Where they are more than the events, each gets one in a longer time.
    fn of(watchers: usize) -> Self {
        let watchers = watchers.max(1);
        let rounds = u32::try_from(watchers.div_ceil(ACTIVITY_EVENTS)).unwrap_or(u32::MAX);
        let left = (ACTIVITY_EVENTS / watchers).max(1);
        let ends = Instant::now() + ACTIVITY_PAUSE.saturating_mul(rounds);
        Self { left, passed_over: 0, ends }
    }

    /// Waits until it may have another event. Meanwhile it does not listen, so none wakes it.
    async fn wait(&mut self, watchers: impl Fn() -> usize) {
        if self.left == 0 {
            sleep_until(self.ends).await;
        }
        if self.ends <= Instant::now() {
            *self = Self::of(watchers());
        }
        self.left = self.left.saturating_sub(1);
    }

    /// What it had was nothing to be shown: only the next of several such events counts.
    fn passed_over(&mut self) {
        self.passed_over += 1;
        if !self.passed_over.is_multiple_of(ACTIVITY_PASSED_OVER) {
            self.left += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;
    use tunnel::name::Name;

    use super::*;
    use crate::config::auth::Caller;
    use crate::observe::activity::What;

    type Got = mpsc::Receiver<Result<ActivityEvent, Status>>;

    /// So many watchers by one service that read everything.
    fn watch(activity: &Arc<Activity>, count: usize) -> Vec<Got> {
        let service = Arc::new(Watchers::default());
        let watcher = |_| {
            let (sender, receiver) = mpsc::channel(100_000);
            let here = activity.watch(None);
            let watched = Watched { node: "node".into(), here, elsewhere: None };
            let (service, watchers) = (service.clone(), Watchers::clone(&service));
            tokio::spawn(async move {
                let filter = Filter::all(Caller::anybody());
                forward(watched, &watchers, &filter, &sender, std::future::pending()).await;
                drop(service);
            });
            receiver
        };
        (0..count).map(watcher).collect()
    }

    fn publish(activity: &Activity, events: usize) {
        for _ in 0..events {
            let name: Name = "a".parse().expect("a name");
            activity.publish(|| (name, String::new(), What::Registered));
        }
    }

    /// How many came, and how many of them were told to be lost.
    fn drain(got: &mut Got) -> (usize, u64) {
        let (mut seen, mut missed) = (0, 0);
        while let Ok(event) = got.try_recv() {
            seen += 1;
            missed += event.expect("an event").missed;
        }
        (seen, missed)
    }

    /// Less than a pause later, so that whoever can run has run.
    async fn a_moment() {
        sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn watchers_share_what_they_get() {
        for (watchers, share) in [(1, 1000), (20, 100), (1000, 2), (2000, 1)] {
            let activity = Arc::new(Activity::new());
            let mut all = watch(&activity, watchers);
            publish(&activity, 1000);
            a_moment().await;
            for got in &mut all {
                assert_eq!(drain(got), (share, 0), "of {watchers}");
            }
            // The next share comes with the next pause, and not before.
            sleep(ACTIVITY_PAUSE - Duration::from_millis(10)).await;
            assert_eq!(drain(&mut all[0]), (0, 0), "of {watchers}");
            sleep(Duration::from_millis(20)).await;
            assert_eq!(drain(&mut all[0]), (share.min(1000 - share), 0), "of {watchers}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn people_take_nothing_away_from_other_hubs() {
        let activity = Arc::new(Activity::new());
        let (_people, mut hubs) = (watch(&activity, 1000), watch(&activity, 2));
        publish(&activity, 1000);
        a_moment().await;
        assert_eq!(drain(&mut hubs[0]), (1000, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn where_there_are_more_watchers_than_events_they_wait_longer() {
        let activity = Arc::new(Activity::new());
        let mut all = watch(&activity, 3 * ACTIVITY_EVENTS);
        publish(&activity, 10);
        sleep(6 * ACTIVITY_PAUSE - Duration::from_millis(10)).await;
        for got in &mut all {
            assert_eq!(drain(got), (2, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_beyond_the_share_is_told_to_be_lost() {
        const EVENTS: usize = 5000;
        let activity = Arc::new(Activity::new());
        let mut all = watch(&activity, 20);
        for _ in 0..EVENTS / 500 {
            publish(&activity, 500);
            sleep(ACTIVITY_PAUSE).await;
        }
        sleep(100 * ACTIVITY_PAUSE).await;
        for got in &mut all {
            let (seen, missed) = drain(got);
            assert_eq!(seen as u64 + missed, EVENTS as u64);
            assert!(missed > 0, "nothing was lost");
        }
    }

    #[tokio::test]
    async fn what_has_happened_by_the_end_is_told() {
        let (activity, stop) = (Arc::new(Activity::new()), Stop::default());
        let watchers = Watchers::default();
        let watched = Watched { node: "node".into(), here: activity.watch(None), elsewhere: None };
        let (sender, mut got) = mpsc::channel(10);
        publish(&activity, 3);
        stop.begin_draining();
        let filter = Filter::all(Caller::anybody());
        forward(watched, &watchers, &filter, &sender, Audience::People.leaves(&stop)).await;
        assert_eq!(drain(&mut got), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_passed_over_counts_for_less() {
        let activity = Arc::new(Activity::new());
        let mut share = Share::of(1);
        for _ in 0..ACTIVITY_EVENTS * ACTIVITY_PASSED_OVER {
            share.wait(|| activity.watchers()).await;
            assert!(Instant::now() < share.ends, "it had to wait");
            share.passed_over();
        }
        assert_eq!(share.left, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_watcher_alone_loses_nothing() {
        let activity = Arc::new(Activity::new());
        let mut all = watch(&activity, 1);
        for _ in 0..1000 {
            publish(&activity, 15);
            a_moment().await;
        }
        assert_eq!(drain(&mut all[0]), (15_000, 0));
    }
}
