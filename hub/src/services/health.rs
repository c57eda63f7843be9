//! `grpc.health.v1.Health`: of the hub itself, and of each name as a service.

mod list;
mod sight;

use std::sync::Arc;
use std::time::Duration;

use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_server::Health as HealthService;
use hub_proto::grpc::health::v1::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tunnel::name::Name;

use self::sight::Sight;
use super::shared::Shared;
use super::visit::Visit;
use crate::config::keys::Keys;
use crate::limits::{HEALTH_LIST_BYTES, HEALTH_LOOK, HEALTH_PAUSE, HEALTH_WATCHES, NAMES_LISTS};
use crate::message::refusal::Refusal;
use crate::observe::limit::{Limit, Limits};
use crate::registry::{Presence, Registry};
use crate::stop::Stop;

/// Answers from the registry.
#[derive(Clone, Debug)]
pub(super) struct Health {
    registry: Arc<Registry>,
    limits: Arc<Limits>,
    /// Places for watchers.
    watches: Arc<Semaphore>,
    /// Of all names.
    presences: Shared<Vec<(Name, Presence)>>,
    /// Lists that are put together at once.
    lists: Arc<Semaphore>,
    stop: Stop,
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Hub,
    /// A name, and what whoever asks may know of it.
    Name(Name, Sight),
    /// Something that can never be registered.
    Nobody,
}

impl Health {
    pub(super) fn new(registry: Arc<Registry>, limits: Arc<Limits>, stop: Stop) -> Self {
        let [watches, lists] =
            [HEALTH_WATCHES, NAMES_LISTS].map(|places| Arc::new(Semaphore::new(places)));
        Self { registry, limits, watches, presences: Shared::new(Duration::ZERO), lists, stop }
    }

    fn status(&self, subject: &Subject) -> ServingStatus {
        match subject {
            Subject::Hub if self.stop.is_leaving() => ServingStatus::NotServing,
            Subject::Hub => ServingStatus::Serving,
            Subject::Nobody => ServingStatus::ServiceUnknown,
            Subject::Name(name, sight) => sight.status(self.registry.presence(name)),
        }
    }

    /// Room for one more watcher.
    fn place(&self, visit: &Visit) -> Result<OwnedSemaphorePermit, Status> {
        let place = self.watches.clone().try_acquire_owned();
        place.or_else(|_| visit.watch.clone().try_acquire_owned()).map_err(|_| {
            self.limits.reached(Limit::Watches, visit.peer, None);
            super::refused(&Refusal::Watches)
        })
    }

    /// Tells the status now and when it has changed: the first change at once, and what follows with pauses.
    async fn report(
        self,
        subject: Subject,
        sender: mpsc::Sender<Result<HealthCheckResponse, Status>>,
    ) {
        let mut changes = Changes::of(&self.registry);
        let mut told = None;
        loop {
            let status = self.status(&subject);
            if told.replace(status) != Some(status)
                && sender.send(Ok(response(status))).await.is_err()
            {
                return;
            }
            changes.next(&self.registry).await;
        }
    }
}

#[tonic::async_trait]
impl HealthService for Health {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let subject = subject(&request)?;
        match self.status(&subject) {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found("nobody has registered this name"))
            }
            status => Ok(Response::new(response(status))),
        }
    }

    async fn list(
        &self,
        request: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let visit = visit(&request)?;
        let turns = (super::turn(&visit.list).await?, super::turn(&self.lists).await?);
        let registry = self.registry.clone();
        let presences = self.presences.get(move || registry.presences()).await?;
        // Who may know what may have changed meanwhile.
        let auth = visit.auth();
        let caller = super::caller(&request).ok().and_then(|caller| auth.caller_now(caller).ok());
        let hub = self.status(&Subject::Hub);
        let listed = super::elsewhere(move || {
            // Also where nobody waits for it any more.
            let _turns = turns;
            list::list(hub, &presences, caller.as_ref(), &auth)
        });
        let listed = listed.await?;
        listed.map(Response::new).map_err(|list::TooMany| {
            self.limits.reached(Limit::HealthList, visit.peer, None);
            super::refused(&Refusal::HealthList(HEALTH_LIST_BYTES))
        })
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let subject = subject(&request)?;
        let visit = visit(&request)?.clone();
        let place = self.place(&visit)?;
        let (sender, receiver) = mpsc::channel(1);
        let health = self.clone();
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = sender.closed() => {}
                () = health.clone().report(subject.clone(), sender.clone()) => {}
                () = private(&subject, visit.keys) => {
                    super::end(&sender, super::refused(&Refusal::Revised)).await;
                }
                () = health.stop.draining() => super::going_away(&sender).await,
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// The hub itself, as the empty service, is for everybody, and so are names of which the auth file says so; all others are for
/// who may call them.
fn subject(request: &Request<HealthCheckRequest>) -> Result<Subject, Status> {
    let service = &request.get_ref().service;
    if service.is_empty() {
        return Ok(Subject::Hub);
    }
    let caller = super::caller(request);
    let Ok(name) = service.parse() else {
        return caller.map(|_| Subject::Nobody);
    };
    if let Some(sight) = Sight::of(&name, caller.as_ref().ok().copied(), &visit(request)?.auth()) {
        return Ok(Subject::Name(name, sight));
    }
    // To who may not call it, a name looks the same whether it is registered or not.
    caller.and_then(|_| Err(super::refused(&Refusal::Denied(name))))
}

/// On which connection it is asked.
fn visit<T>(request: &Request<T>) -> Result<&Visit, Status> {
    request.extensions().get().ok_or_else(|| Status::internal("on no connection"))
}

/// Waits until whoever asks may not know any more.
async fn private(subject: &Subject, mut keys: watch::Receiver<Arc<Keys>>) {
    match subject {
        Subject::Name(name, Sight::Public) => {
            let changed = keys.wait_for(|keys| !keys.auth.has_public_health(name)).await.is_ok();
            if !changed {
                std::future::pending().await
            }
        }
        // The call itself ends where its caller may not make it any more.
        _ => std::future::pending().await,
    }
}

/// Changes of the registry, as often as one watcher looks at it.
#[derive(Debug)]
struct Changes {
    changed: watch::Receiver<()>,
    next_look: Instant,
}

impl Changes {
    fn of(registry: &Registry) -> Self {
        Self { changed: registry.watch(), next_look: Instant::now() }
    }

    /// Waits for a change since it looked last, and then until it is its turn to look. No change wakes it in
    /// that time, and none of that time is missed.
    async fn next(&mut self, registry: &Registry) {
        if self.changed.changed().await.is_err() {
            return std::future::pending().await;
        }
        let round = round(registry.watchers());
        let look = self.next_look.max(Instant::now() + turn(round));
        sleep_until(look).await;
        self.next_look = look + HEALTH_PAUSE.max(round);
        self.changed.mark_unchanged();
    }
}

/// The time in which so many look once.
fn round(watchers: usize) -> Duration {
    HEALTH_LOOK.saturating_mul(u32::try_from(watchers).unwrap_or(u32::MAX))
}

/// When in a round one of them looks: not all at once. A few do not wait.
fn turn(round: Duration) -> Duration {
    // Timers are no finer.
    Duration::from_millis(round.mul_f64(fastrand::f64()).as_millis() as u64)
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::time::sleep;
    use tonic::Code;

    use super::*;
    use crate::observe::activity::Activity;
    use crate::observe::metrics::Metrics;

    /// How often each of so many watchers looks while there is a change every `pause`, and when they looked last.
    async fn looks(watchers: usize, changes: u32, pause: Duration) -> Vec<(u32, Instant)> {
        let registry = Arc::new(Registry::new(Arc::new(Activity::new()), Metrics::new()));
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let watching: Vec<_> = (0..watchers)
            .map(|watcher| {
                let (registry, sender) = (registry.clone(), sender.clone());
                let mut changes = Changes::of(&registry);
                tokio::spawn(async move {
                    loop {
                        changes.next(&registry).await;
                        let _ = sender.send(watcher);
                    }
                })
            })
            .collect();
        sleep(Duration::from_secs(1)).await;
        let mut looks = vec![(0, Instant::now()); watchers];
        let flapping = async {
            for _ in 0..changes {
                registry.changed();
                sleep(pause).await;
            }
            sleep(Duration::from_secs(1)).await;
        };
        let counting = async {
            while let Some(watcher) = receiver.recv().await {
                looks[watcher] = (looks[watcher].0 + 1, Instant::now());
            }
        };
        tokio::select! {
            () = flapping => {}
            () = counting => {}
        }
        watching.iter().for_each(tokio::task::JoinHandle::abort);
        looks
    }

    #[tokio::test]
    async fn watchers_are_bounded_but_each_connection_has_one() {
        let metrics = Metrics::new();
        let activity = Arc::new(Activity::new());
        let registry = Arc::new(Registry::new(activity.clone(), metrics.clone()));
        let limits = Arc::new(Limits::new(metrics, activity));
        let health = Health::new(registry, limits, Stop::default());
        let _all_others = health.watches.clone().try_acquire_many_owned(HEALTH_WATCHES as u32 - 1);
        let (_keys, now) = watch::channel(Arc::default());
        let visit = || Visit::new(([127, 0, 0, 1], 1).into(), now.clone());
        let (one, another) = (visit(), visit());
        let last = health.place(&one).expect("the last place");
        let own = health.place(&one).expect("the connection's own");
        assert_eq!(health.place(&one).expect_err("a refusal").code(), Code::ResourceExhausted);
        let _others_own = health.place(&another).expect("the other connection's own");
        drop(own);
        let _own = health.place(&one).expect("its own again");
        drop(last);
        let _last = health.place(&another).expect("the last place again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_change_is_looked_at_at_once() {
        let start = Instant::now() + Duration::from_secs(1);
        let (looks, at) = looks(1, 1, Duration::ZERO).await[0];
        assert_eq!((looks, at), (1, start));
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_is_looked_at_with_pauses_and_the_last_of_it_too() {
        const PAUSE: Duration = Duration::from_millis(8);
        let last = Instant::now() + Duration::from_secs(1) + 249 * PAUSE;
        let (looks, at) = looks(1, 250, PAUSE).await[0];
        assert!((15..=22).contains(&looks), "{looks}");
        assert!(last <= at && at <= last + HEALTH_PAUSE, "{:?}", at - last);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_does_not_look_all_at_once() {
        let all = looks(10_000, 1, Duration::ZERO).await;
        assert!(all.iter().all(|(looks, _)| *looks == 1));
        let mut at_once = HashMap::new();
        for (_, at) in all {
            *at_once.entry(at).or_insert(0) += 1;
        }
        assert!(at_once.values().all(|looks| *looks < 1000), "{at_once:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_looks_less_often() {
        const WATCHERS: usize = 10_000;
        let all = looks(WATCHERS, 250, Duration::from_millis(8)).await;
        let looks: u32 = all.iter().map(|(looks, _)| looks).sum();
        // The changes take two seconds, and the last of them another one.
        let most = Duration::from_secs(3).div_duration_f64(HEALTH_LOOK) as u32;
        assert!((WATCHERS as u32..=most).contains(&looks), "{looks}");
    }
}
