//! A connection with one member of an etcd, and what is asked on it.

use std::time::Duration;

use http::Uri;
use hub_proto::etcd as pb;
use hub_proto::etcd::auth_client::AuthClient;
use hub_proto::etcd::compare::{CompareResult, CompareTarget, TargetUnion};
use hub_proto::etcd::kv_client::KvClient;
use hub_proto::etcd::lease_client::LeaseClient;
use hub_proto::etcd::request_op::Request as Op;
use hub_proto::etcd::response_op::Response as Done;
use hub_proto::etcd::watch_client::WatchClient;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tunnel::box_io::BoxIo;
use tunnel::dial::{TransportError, secured};
use tunnel::limits::DIAL_TIMEOUT;
use tunnel::once::Once;

use crate::config::directory::{Directory, PasswordError};
use crate::config::peer_addr::PeerAddr;
use crate::limits::{DIRECTORY_MESSAGE_BYTES, DIRECTORY_PING, DIRECTORY_TIMEOUT};

/// Why it is lost, or was never there.
#[derive(Debug, thiserror::Error)]
pub(super) enum EtcdError {
    #[error("no answer within {}s", DIAL_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Http2(#[from] tonic::transport::Error),
    #[error("{} ({:?})", .0.message(), .0.code())]
    Status(#[from] Status),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("it has given a token that cannot stand in metadata")]
    Token,
    #[error("the lease is gone")]
    LeaseGone,
    #[error("nothing was heard for {}s", .0.as_secs())]
    Silent(Duration),
    #[error("the watch was ended: {0}")]
    WatchEnded(String),
}

impl EtcdError {
    /// Whether it does not know any more who this is: tokens end, and with each change of users all of those that carry a
    /// number of it (etcd 3.4's "simple" ones after five minutes without use, for which kept leases do not count).
    pub(super) fn is_of_user(&self) -> bool {
        let Self::Status(status) = self else { return false };
        status.code() == Code::Unauthenticated || status.message().contains("auth store is old")
    }
}

/// One member.
#[derive(Clone, Debug)]
pub(super) struct Etcd {
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
}

impl Etcd {
    /// Connects to it, and says who this is.
    pub(super) async fn connect(
        member: &PeerAddr,
        directory: &Directory,
    ) -> Result<Self, EtcdError> {
        let channel = timeout(DIAL_TIMEOUT, connect(member, directory));
        let channel = channel.await.unwrap_or(Err(EtcdError::Timeout))?;
        Self::begin(channel, directory).await
    }

    async fn begin(channel: Channel, directory: &Directory) -> Result<Self, EtcdError> {
        let mut etcd = Self { channel, token: None };
        if let Some((name, password)) = directory.user()? {
            let request = etcd.request(pb::AuthenticateRequest { name, password });
            let answer = AuthClient::new(etcd.channel.clone()).authenticate(request).await?;
            let token = answer.into_inner().token.parse().map_err(|_| EtcdError::Token)?;
            etcd.token = Some(token);
        }
        Ok(etcd)
    }

    /// The same over a connection that there is.
    #[cfg(test)]
    pub(super) async fn on(stream: BoxIo, directory: &Directory) -> Result<Self, EtcdError> {
        Self::begin(over(stream, Uri::from_static("http://etcd")).await?, directory).await
    }

    /// A request that is answered in time, or fails.
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.stream(message);
        request.set_timeout(DIRECTORY_TIMEOUT);
        request
    }

    /// One whose answer has no end.
    fn stream<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        // A member that has lost the others says so, in place of keeping what is stale.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        request
    }

    /// All keys that begin with this, and which change was the last.
    pub(super) async fn read(&self, prefix: &str) -> Result<(Vec<pb::KeyValue>, i64), EtcdError> {
        let (key, range_end) = range(prefix);
        let request = self.request(pb::RangeRequest { key, range_end });
        let client = KvClient::new(self.channel.clone());
        let mut client = client.max_decoding_message_size(DIRECTORY_MESSAGE_BYTES);
        let answer = client.range(request).await?.into_inner();
        Ok((answer.kvs, answer.header.unwrap_or_default().revision))
    }

    /// Writes a key, which goes with the lease.
    pub(super) async fn write(&self, key: &str, value: &str, lease: i64) -> Result<(), EtcdError> {
        let (key, value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        let request = self.request(pb::PutRequest { key, value, lease });
        KvClient::new(self.channel.clone()).put(request).await?;
        Ok(())
    }

    /// Writes a key, which goes with the lease, unless another one that begins with this says something else. Returns whether
    /// it is written.
    pub(super) async fn write_if_alone(
        &self,
        prefix: &str,
        key: &str,
        value: &str,
        lease: i64,
    ) -> Result<bool, EtcdError> {
        let (begin, end) = range(prefix);
        let all = |union, target: CompareTarget| pb::Compare {
            result: CompareResult::Equal.into(),
            target: target.into(),
            key: begin.clone(),
            range_end: end.clone(),
            target_union: Some(union),
        };
        let value = value.as_bytes().to_vec();
        let put = pb::PutRequest { key: key.as_bytes().to_vec(), value: value.clone(), lease };
        let put = || vec![op(Op::RequestPut(put.clone()))];
        let nobody = all(TargetUnion::Version(0), CompareTarget::Version);
        let same = all(TargetUnion::Value(value), CompareTarget::Value);
        // Of no keys at all, none has the same value, either.
        let or_same = pb::TxnRequest { compare: vec![same], success: put(), failure: Vec::new() };
        let failure = vec![op(Op::RequestTxn(or_same))];
        let request = pb::TxnRequest { compare: vec![nobody], success: put(), failure };
        let answer = KvClient::new(self.channel.clone()).txn(self.request(request)).await?;
        let pb::TxnResponse { succeeded, responses } = answer.into_inner();
        let is_same = |response: &pb::ResponseOp| {
            let Some(Done::ResponseTxn(txn)) = &response.response else { return false };
            txn.succeeded
        };
        Ok(succeeded || responses.iter().any(is_same))
    }

    /// Deletes a key.
    pub(super) async fn delete(&self, key: &str) -> Result<(), EtcdError> {
        let (key, range_end) = (key.as_bytes().to_vec(), Vec::new());
        let request = self.request(pb::DeleteRangeRequest { key, range_end });
        KvClient::new(self.channel.clone()).delete_range(request).await?;
        Ok(())
    }

    /// A lease that lasts so long unless it is kept.
    pub(super) async fn grant(&self, lasts: Duration) -> Result<i64, EtcdError> {
        let ttl = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX);
        let request = self.request(pb::LeaseGrantRequest { ttl });
        let answer = LeaseClient::new(self.channel.clone()).lease_grant(request).await?;
        Ok(answer.into_inner().id)
    }

    /// Ends a lease, and what was written with it.
    pub(super) async fn revoke(&self, id: i64) -> Result<(), EtcdError> {
        let request = self.request(pb::LeaseRevokeRequest { id });
        LeaseClient::new(self.channel.clone()).lease_revoke(request).await?;
        Ok(())
    }

    /// Keeps a lease: each message of the sender is answered, and one is on its way already. etcd says nothing, not even that
    /// it has heard, before the first has come.
    pub(super) async fn keeper(
        &self,
        id: i64,
    ) -> Result<
        (mpsc::Sender<pb::LeaseKeepAliveRequest>, Streaming<pb::LeaseKeepAliveResponse>),
        EtcdError,
    > {
        let (sender, requests) = mpsc::channel(1);
        // There is room for one.
        let _ = sender.try_send(pb::LeaseKeepAliveRequest { id });
        let request = self.stream(ReceiverStream::new(requests));
        let mut client = LeaseClient::new(self.channel.clone());
        let answers = in_time(client.lease_keep_alive(request)).await?;
        Ok((sender, answers.into_inner()))
    }

    /// Changes of all keys that begin with this, from that one on. It lasts as long as the sender.
    pub(super) async fn watch(
        &self,
        prefix: &str,
        start_revision: i64,
    ) -> Result<(mpsc::Sender<pb::WatchRequest>, Streaming<pb::WatchResponse>), EtcdError> {
        let (sender, requests) = mpsc::channel(1);
        let (key, range_end) = range(prefix);
        let create = pb::WatchCreateRequest { key, range_end, start_revision };
        let request = pb::watch_request::RequestUnion::CreateRequest(create);
        // There is room for one.
        let _ = sender.try_send(pb::WatchRequest { request_union: Some(request) });
        let request = self.stream(ReceiverStream::new(requests));
        let client = WatchClient::new(self.channel.clone());
        let mut client = client.max_decoding_message_size(DIRECTORY_MESSAGE_BYTES);
        Ok((sender, in_time(client.watch(request)).await?.into_inner()))
    }
}

fn op(request: Op) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

/// The head of an answer that has no end.
async fn in_time<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, EtcdError> {
    let answer = timeout(DIRECTORY_TIMEOUT, answer).await;
    Ok(answer.map_err(|_| EtcdError::Silent(DIRECTORY_TIMEOUT))??)
}

async fn connect(member: &PeerAddr, directory: &Directory) -> Result<Channel, EtcdError> {
    let PeerAddr { host, port } = member;
    let tcp = tunnel::connect::connect(host, *port).await.map_err(TransportError::Connect)?;
    let stream = secured(tcp, host, directory.tls.as_ref()).await?;
    let scheme = if directory.uri.tls { "https" } else { "http" };
    let origin = format!("{scheme}://{member}").parse();
    over(stream, origin.unwrap_or_else(|_| Uri::from_static("http://etcd"))).await
}

/// HTTP/2 over a connection that there is.
async fn over(stream: BoxIo, origin: Uri) -> Result<Channel, EtcdError> {
    // Not etcd's URI: a tonic that was built with TLS wants to speak it itself where that says https.
    let endpoint = Endpoint::from_static("http://etcd")
        .origin(origin)
        .http2_keep_alive_interval(DIRECTORY_PING)
        .keep_alive_timeout(DIRECTORY_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_with_connector(Once::new(stream)).await?)
}

/// All keys that begin so: up to before the same with its last byte one higher.
fn range(prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let key = prefix.as_bytes().to_vec();
    let mut end = key.clone();
    if let Some(last) = end.last_mut() {
        // No byte of UTF-8 is the highest.
        *last += 1;
    }
    (key, end)
}
