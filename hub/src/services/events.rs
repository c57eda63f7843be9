//! `hub.v1.Activity`: what happens, as it happens, here and at other hubs.

use std::sync::Arc;

use hub_proto::hub::v1::activity_server::Activity as ActivityService;
use hub_proto::hub::v1::{ActivityEvent, Call, ConnectRequest, EventType, Lane, Session};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tunnel::name::Name;

use crate::config::auth::Caller;
use crate::limits::{ACTIVITY_EVENTS, ACTIVITY_IN_HAND, ACTIVITY_PAUSE};
use crate::observe::activity::{Activity, Curious, Elsewhere, Event, LaneEvent, ProxiedCall, What};
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

    /// All that happens and the caller may see, here or at all hubs, until it is the hub's time to end.
    pub(super) fn watch(&self, caller: Caller, this_hub_only: bool) -> EventStream {
        let (sender, receiver) = mpsc::channel(ACTIVITY_IN_HAND);
        let (audience, stop, watchers) = (self.audience, self.stop.clone(), self.watchers.clone());
        let elsewhere = (!this_hub_only).then(|| self.activity.watch_all());
        let here = self.activity.watch();
        let watched = Watched { node: self.node.clone(), here, elsewhere };
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = forward(watched, &watchers, &caller, &sender) => {}
                () = audience.leaves(&stop) => super::going_away(&sender).await,
            }
        });
        ReceiverStream::new(receiver)
    }
}

pub(super) type EventStream = ReceiverStream<Result<ActivityEvent, Status>>;

/// What one watcher listens to.
struct Watched {
    /// This hub's id.
    node: Arc<str>,
    here: Receiver<Arc<Event>>,
    elsewhere: Option<(Receiver<Arc<Elsewhere>>, Curious)>,
}

impl Watched {
    /// The next event, of a name that may be seen, and how many were missed before it. `None` once there are no more.
    async fn next(
        &mut self,
        may_see: impl Fn(&Name) -> bool,
    ) -> Option<(Option<ActivityEvent>, u64)> {
        tokio::select! {
            here = self.here.recv() => match here {
                Ok(event) => {
                    let is_seen = may_see(&event.name);
                    Some((is_seen.then(|| message(&event, &self.node)), 0))
                }
                Err(RecvError::Lagged(lost)) => Some((None, lost)),
                Err(RecvError::Closed) => None,
            },
            elsewhere = next_elsewhere(&mut self.elsewhere) => match elsewhere {
                Ok(told) => {
                    let seen = may_see(&told.name).then(|| ActivityEvent { missed: 0, ..told.event.clone() });
                    Some((seen, told.event.missed))
                }
                Err(RecvError::Lagged(lost)) => Some((None, lost)),
                // Its sender lives as long as the hub.
                Err(RecvError::Closed) => None,
            },
        }
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
        let ConnectRequest { this_hub_only } = request.into_inner();
        Ok(Response::new(self.watch(caller, this_hub_only)))
    }
}

async fn forward(
    mut watched: Watched,
    watchers: &Watchers,
    caller: &Caller,
    sender: &mpsc::Sender<Result<ActivityEvent, Status>>,
) {
    let mut missed = 0;
    let mut share = Share::of(watchers.count());
    loop {
        share.wait(|| watchers.count()).await;
        let Some((event, lost)) = watched.next(|name| caller.may_call(name)).await else { return };
        missed += lost;
        if let Some(mut event) = event {
            event.missed = std::mem::take(&mut missed);
            if sender.send(Ok(event)).await.is_err() {
                return;
            }
        }
    }
}

/// What one watcher may have of what all of them get, for a while.
#[derive(Debug)]
struct Share {
    left: usize,
    ends: Instant,
}

impl Share {
    /// Of so many watchers, from now on. Where they are more than the events, each gets one in a longer time.
    fn of(watchers: usize) -> Self {
        let watchers = watchers.max(1);
        let rounds = u32::try_from(watchers.div_ceil(ACTIVITY_EVENTS)).unwrap_or(u32::MAX);
        let left = (ACTIVITY_EVENTS / watchers).max(1);
        Self { left, ends: Instant::now() + ACTIVITY_PAUSE.saturating_mul(rounds) }
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
}

fn message(event: &Event, node: &str) -> ActivityEvent {
    let mut told = ActivityEvent {
        sequence: event.sequence,
        time: Some(event.time.into()),
        name: event.name.to_string(),
        instance: event.instance.clone(),
        hub: node.to_owned(),
        ..ActivityEvent::default()
    };
    let kind = match &event.what {
        What::Registered => EventType::ClientRegistered,
        What::Unregistered => EventType::ClientUnregistered,
        What::Proxied(_) => EventType::RequestProxied,
        What::LaneOpened(_) => EventType::LaneOpened,
        What::LaneEnded(_) => EventType::LaneEnded,
        What::Upstream { up: true } => EventType::UpstreamReachable,
        What::Upstream { up: false } => EventType::UpstreamUnreachable,
        What::Suspect { is_suspect: true, .. } => EventType::SessionSuspect,
        What::Suspect { is_suspect: false, .. } => EventType::SessionHealthy,
        What::Draining { .. } => EventType::SessionDraining,
        What::Replaced { .. } => EventType::SessionReplaced,
    };
    told.set_type(kind);
    match &event.what {
        What::Proxied(proxied) => told.call = Some(call(proxied)),
        What::LaneOpened(about) | What::LaneEnded(about) => told.lane = Some(lane(about)),
        What::Suspect { session, .. } | What::Draining { session } | What::Replaced { session } => {
            told.session = Some(Session { id: session.clone() });
        }
        What::Registered | What::Unregistered | What::Upstream { .. } => {}
    }
    told
}

fn lane(lane: &LaneEvent) -> Lane {
    Lane {
        session: lane.session.clone(),
        open: u32::try_from(lane.open).unwrap_or(u32::MAX),
        error: lane.error.clone().unwrap_or_default(),
    }
}

fn call(proxied: &ProxiedCall) -> Call {
    Call {
        method: proxied.method.clone(),
        status: proxied.outcome.to_string(),
        hub_reason: proxied.reason.unwrap_or_default().to_owned(),
        duration: proxied.duration.try_into().ok(),
        request_bytes: proxied.request_bytes,
        response_bytes: proxied.response_bytes,
        parked: proxied.parked.and_then(|parked| parked.try_into().ok()),
        replays: proxied.replays,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::config::auth::Auth;

    type Got = mpsc::Receiver<Result<ActivityEvent, Status>>;

    /// So many watchers by one service that read everything.
    fn watch(activity: &Arc<Activity>, count: usize) -> Vec<Got> {
        let service = Arc::new(Watchers::default());
        let watcher = |_| {
            let (sender, receiver) = mpsc::channel(100_000);
            let watched = Watched { node: "node".into(), here: activity.watch(), elsewhere: None };
            let (service, watchers) = (service.clone(), Watchers::clone(&service));
            tokio::spawn(async move {
                let caller = Auth::Open.caller(None).expect("a caller");
                forward(watched, &watchers, &caller, &sender).await;
                drop(service);
            });
            receiver
        };
        (0..count).map(watcher).collect()
    }

    fn publish(activity: &Activity, events: usize) {
        for _ in 0..events {
            let name = "a".parse().expect("a name");
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
