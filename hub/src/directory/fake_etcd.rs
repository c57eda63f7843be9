//! An etcd in memory, as far as a hub uses one: for tests with paused time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hub_proto::etcd as pb;
use hub_proto::etcd::compare::TargetUnion;
use hub_proto::etcd::kv_server::{Kv, KvServer};
use hub_proto::etcd::lease_server::{Lease, LeaseServer};
use hub_proto::etcd::request_op::Request as Op;
use hub_proto::etcd::response_op::Response as Done;
use hub_proto::etcd::watch_server::{Watch, WatchServer};
use hub_proto::etcd::{event::EventType, watch_request::RequestUnion};
use parking_lot::Mutex;
use tokio::io::duplex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tunnel::box_io::BoxIo;
use tunnel::bridge;

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
}

#[derive(Debug, Default)]
struct Kept {
    keys: BTreeMap<Vec<u8>, Key>,
    leases: HashMap<i64, (Duration, Instant)>,
    history: Vec<pb::Event>,
    /// So many of the first changes are forgotten.
    compacted: usize,
    last_lease: i64,
}

#[derive(Clone, Debug)]
struct Key {
    value: Vec<u8>,
    lease: i64,
}

impl Kept {
    fn put(&mut self, pb::PutRequest { key, value, lease }: pb::PutRequest) -> Result<(), Status> {
        if lease != 0 && !self.leases.contains_key(&lease) {
            return Err(Status::not_found("etcdserver: requested lease not found"));
        }
        let kv = Some(pb::KeyValue { key: key.clone(), value: value.clone() });
        self.history.push(pb::Event { r#type: EventType::Put.into(), kv });
        self.keys.insert(key, Key { value, lease });
        Ok(())
    }

    fn delete(&mut self, is_gone: impl Fn(&[u8], &Key) -> bool) {
        let gone = self.keys.extract_if(.., |key, kept| is_gone(key, kept));
        for (key, _) in gone {
            let kv = Some(pb::KeyValue { key, value: Vec::new() });
            self.history.push(pb::Event { r#type: EventType::Delete.into(), kv });
        }
    }

    fn end_lease(&mut self, lease: i64) {
        self.leases.remove(&lease);
        self.delete(|_, key| key.lease == lease);
    }

    fn holds(&self, compare: &pb::Compare) -> bool {
        let range = self.keys.range(compare.key.clone()..compare.range_end.clone());
        let mut values = range.map(|(_, key)| &key.value).peekable();
        match &compare.target_union {
            Some(TargetUnion::Version(version)) => *version == 0 && values.peek().is_none(),
            Some(TargetUnion::Value(wanted)) => {
                values.peek().is_some() && values.all(|value| value == wanted)
            }
            None => false,
        }
    }

    fn decide(&mut self, txn: pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let mut responses = Vec::new();
        for op in if succeeded { txn.success } else { txn.failure } {
            let response = match op.request {
                Some(Op::RequestPut(put)) => {
                    self.put(put)?;
                    None
                }
                Some(Op::RequestTxn(txn)) => Some(Done::ResponseTxn(self.decide(txn)?)),
                None => None,
            };
            responses.push(pb::ResponseOp { response });
        }
        Ok(pb::TxnResponse { succeeded, responses })
    }
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
            Health::Well | Health::Unheard => {}
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
                            Health::Well | Health::Unheard => {}
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

    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        self.change(|kept| kept.put(request.into_inner()))?;
        Ok(Response::new(pb::PutResponse {}))
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let wanted = request.into_inner().key;
        self.change(|kept| kept.delete(|key, _| key == wanted));
        Ok(Response::new(pb::DeleteRangeResponse {}))
    }

    async fn txn(
        &self,
        request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        let decided = self.change(|kept| kept.decide(request.into_inner()))?;
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
        let id = self.change(|kept| {
            kept.last_lease += 1;
            kept.leases.insert(kept.last_lease, (ttl, Instant::now() + ttl));
            kept.last_lease
        });
        Ok(Response::new(pb::LeaseGrantResponse { id }))
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
