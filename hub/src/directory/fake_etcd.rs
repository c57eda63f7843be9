//! An etcd in memory, as far as a hub uses one: for tests with paused time.

mod kept;

use std::sync::Arc;
use std::time::Duration;

use hub_proto::etcd as pb;
use hub_proto::etcd::kv_server::{Kv, KvServer};
use hub_proto::etcd::lease_server::{Lease, LeaseServer};
use hub_proto::etcd::watch_request::RequestUnion;
use hub_proto::etcd::watch_server::{Watch, WatchServer};
use parking_lot::Mutex;
use tokio::io::duplex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tunnel::box_io::BoxIo;
use tunnel::bridge;

use self::kept::Kept;

/// A watch begins so much later: what has happened meanwhile may be forgotten.
const WATCH_BEGINS: Duration = Duration::from_millis(300);

/// All members of it at once.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeEtcd(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Kept>,
    /// Counts changes.
    revision: watch::Sender<i64>,
    health: watch::Sender<Health>,
    /// Counts how often all watches were broken.
    breaks: watch::Sender<u32>,
    /// Counts how often what was late has come.
    arrivals: watch::Sender<u32>,
}

/// What hubs find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    #[default]
    Well,
    /// Connections end, and there are no new ones.
    Away,
    /// Nothing is answered any more.
    Silent,
    /// What is decided is decided, but no answer comes.
    Unheard,
    /// What is to be decided is on its way until somebody says that it comes, whatever becomes of who has asked.
    Late,
}

impl FakeEtcd {
    /// One whose leases end by themselves.
    pub(super) fn start() -> Self {
        let etcd = Self::default();
        let expires = etcd.clone();
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(500)).await;
                expires.change(|kept| {
                    let now = Instant::now();
                    let expired = kept.leases.iter().filter(|(_, (_, until))| *until <= now);
                    let expired: Vec<_> = expired.map(|(lease, _)| *lease).collect();
                    expired.into_iter().for_each(|lease| kept.end_lease(lease));
                });
            }
        });
        etcd
    }

    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        let mut kept = self.0.kept.lock();
        let before = kept.history.len();
        let changed = change(&mut kept);
        let after = kept.history.len();
        drop(kept);
        if after > before {
            self.0.revision.send_replace(number(after));
        }
        changed
    }

    pub(super) fn set_health(&self, health: Health) {
        self.0.health.send_replace(health);
    }

    /// All watches end.
    pub(super) fn break_watches(&self) {
        self.0.breaks.send_modify(|breaks| *breaks += 1);
    }

    /// What was late comes now.
    pub(super) fn late_arrives(&self) {
        self.0.arrivals.send_modify(|arrivals| *arrivals += 1);
    }

    /// Forgets what has happened.
    pub(super) fn compact(&self) {
        self.change(|kept| kept.compacted = kept.history.len());
    }

    /// Ends the lease of who has written a key that ends so.
    pub(super) fn revoke(&self, ending: &str) {
        self.change(|kept| {
            let mut keys = kept.keys.iter();
            let found = keys.find(|(key, _)| key.ends_with(ending.as_bytes()));
            if let Some(lease) = found.map(|(_, key)| key.lease) {
                kept.end_lease(lease);
            }
        });
    }

    /// Somebody deletes the first key that ends so.
    pub(super) fn delete(&self, ending: &str) {
        self.change(|kept| {
            let mut keys = kept.keys.keys();
            let found = keys.find(|key| key.ends_with(ending.as_bytes())).cloned();
            kept.delete(|key, _| Some(key) == found.as_deref());
        });
    }

    /// What is written, under keys that begin so.
    pub(super) fn written(&self, prefix: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let kept = self.0.kept.lock();
        let under = kept.keys.iter().filter(|(key, _)| key.starts_with(prefix.as_bytes()));
        under.map(|(key, kept)| (text(&key[prefix.len()..]), text(&kept.value))).collect()
    }

    /// A connection with it.
    pub(super) async fn connection(&self) -> Option<BoxIo> {
        let mut health = self.0.health.subscribe();
        let now = *health.borrow_and_update();
        match now {
            Health::Well | Health::Unheard | Health::Late => {}
            Health::Away => return None,
            Health::Silent => std::future::pending().await,
        }
        let (ours, theirs) = duplex(1 << 16);
        let services = Routes::new(KvServer::new(self.clone()))
            .add_service(LeaseServer::new(self.clone()))
            .add_service(WatchServer::new(self.clone()))
            .prepare();
        tokio::spawn(async move {
            let Ok(mut connection) = bridge::server_builder().handshake(theirs).await else {
                return;
            };
            loop {
                tokio::select! {
                    biased;
                    _ = health.changed() => {
                        let now = *health.borrow_and_update();
                        match now {
                            Health::Well | Health::Unheard | Health::Late => {}
                            Health::Away => return,
                            Health::Silent => {
                                let _ = health.changed().await;
                                health.mark_changed();
                            }
                        }
                    }
                    accepted = connection.accept() => {
                        let Some(Ok((request, respond))) = accepted else { return };
                        tokio::spawn(bridge::serve(services.clone(), request, respond));
                    }
                }
            }
        });
        Some(Box::new(ours))
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[tonic::async_trait]
impl Kv for FakeEtcd {
    async fn range(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<pb::RangeResponse>, Status> {
        let pb::RangeRequest { key, range_end } = request.into_inner();
        let kept = self.0.kept.lock();
        let kvs = kept.keys.range(key..range_end);
        let kvs =
            kvs.map(|(key, kept)| pb::KeyValue { key: key.clone(), value: kept.value.clone() });
        let header = Some(pb::ResponseHeader { revision: number(kept.history.len()) });
        Ok(Response::new(pb::RangeResponse { header, kvs: kvs.collect() }))
    }

    async fn txn(
        &self,
        request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        let (etcd, health) = (self.clone(), *self.0.health.borrow());
        let mut arrivals = self.0.arrivals.subscribe();
        let decided = tokio::spawn(async move {
            if health == Health::Late {
                let _ = arrivals.changed().await;
            }
            etcd.change(|kept| kept.decide(request.into_inner()))
        });
        let decided = decided.await.map_err(|error| Status::internal(error.to_string()))??;
        let is_unheard = *self.0.health.borrow() == Health::Unheard;
        if is_unheard {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(decided))
    }
}

#[tonic::async_trait]
impl Lease for FakeEtcd {
    type LeaseKeepAliveStream = ReceiverStream<Result<pb::LeaseKeepAliveResponse, Status>>;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let ttl = Duration::from_secs(request.into_inner().ttl.unsigned_abs());
        let (id, revision) = self.change(|kept| {
            kept.last_lease += 1;
            kept.leases.insert(kept.last_lease, (ttl, Instant::now() + ttl));
            (kept.last_lease, number(kept.history.len()))
        });
        let header = Some(pb::ResponseHeader { revision });
        Ok(Response::new(pb::LeaseGrantResponse { header, id }))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        self.change(|kept| kept.end_lease(request.into_inner().id));
        Ok(Response::new(pb::LeaseRevokeResponse {}))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let (sender, answers) = mpsc::channel(1);
        let (mut asked, etcd) = (request.into_inner(), self.clone());
        tokio::spawn(async move {
            while let Ok(Some(pb::LeaseKeepAliveRequest { id })) = asked.message().await {
                let ttl = etcd.change(|kept| {
                    let Some((lasts, until)) = kept.leases.get_mut(&id) else { return 0 };
                    *until = Instant::now() + *lasts;
                    lasts.as_secs()
                });
                let ttl = i64::try_from(ttl).unwrap_or(i64::MAX);
                if sender.send(Ok(pb::LeaseKeepAliveResponse { ttl })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

#[tonic::async_trait]
impl Watch for FakeEtcd {
    type WatchStream = ReceiverStream<Result<pb::WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut asked = request.into_inner();
        let first = asked.message().await?.and_then(|request| request.request_union);
        let Some(RequestUnion::CreateRequest(create)) = first else {
            return Err(Status::invalid_argument("no range"));
        };
        let (sender, changes) = mpsc::channel(1);
        tokio::spawn(self.clone().tell(create, sender));
        Ok(Response::new(ReceiverStream::new(changes)))
    }
}

type Changes = mpsc::Sender<Result<pb::WatchResponse, Status>>;

impl FakeEtcd {
    async fn tell(self, create: pb::WatchCreateRequest, sender: Changes) {
        let (mut revision, mut breaks) = (self.0.revision.subscribe(), self.0.breaks.subscribe());
        sleep(WATCH_BEGINS).await;
        let mut next = usize::try_from(create.start_revision - 1).unwrap_or_default();
        let is_wanted = |event: &pb::Event| {
            let key = event.kv.as_ref().map(|kv| &kv.key);
            key.is_some_and(|key| (&create.key..&create.range_end).contains(&key))
        };
        loop {
            let response = {
                let kept = self.0.kept.lock();
                let forgotten = if next < kept.compacted { number(kept.compacted) } else { 0 };
                let events = kept.history.iter().skip(next).filter(|event| is_wanted(event));
                let events = events.cloned().collect();
                next = kept.history.len();
                let (canceled, cancel_reason) = (forgotten > 0, String::new());
                pb::WatchResponse { canceled, compact_revision: forgotten, cancel_reason, events }
            };
            let is_over = response.canceled;
            let is_news = is_over || !response.events.is_empty();
            if is_news && sender.send(Ok(response)).await.is_err() {
                return;
            }
            if is_over {
                // The stream itself stays, for it may have other watches.
                return sender.closed().await;
            }
            tokio::select! {
                _ = revision.changed() => {}
                _ = breaks.changed() => return,
                () = sender.closed() => return,
            }
        }
    }
}
