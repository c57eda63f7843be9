//! A connection with one member of an etcd, and what is asked on it.

mod connection;
mod error;
mod tenure;

use std::sync::Arc;
use std::time::Duration;

use hub_proto::etcd as pb;
use hub_proto::etcd::auth_client::AuthClient;
use hub_proto::etcd::compare::{CompareResult, CompareTarget, TargetUnion};
use hub_proto::etcd::kv_client::KvClient;
use hub_proto::etcd::lease_client::LeaseClient;
use hub_proto::etcd::request_op::Request as Op;
use hub_proto::etcd::response_op::Response as Done;
use hub_proto::etcd::watch_client::WatchClient;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
#[cfg(test)]
use tunnel::box_io::BoxIo;
use tunnel::limits::DIAL_TIMEOUT;

#[cfg(test)]
use self::connection::over;
use self::connection::{Ending, connect};
pub(super) use self::error::EtcdError;
use self::error::is_of_user;
pub(super) use self::tenure::Tenure;
use self::tenure::compare;
use crate::config::directory::Directory;
use crate::config::peer_addr::PeerAddr;
use crate::limits::{DIRECTORY_MESSAGE_BYTES, DIRECTORY_TIMEOUT};

type Token = MetadataValue<Ascii>;

/// One member.
#[derive(Clone, Debug)]
pub(super) struct Etcd {
    channel: Channel,
    /// How it has ended.
    ending: Ending,
    directory: Arc<Directory>,
    /// What shows who this is, where that is asked for. Whoever has it made anew holds it until then.
    token: Arc<Mutex<Option<Token>>>,
}

impl Etcd {
    /// Connects to it, and says who this is.
    pub(super) async fn connect(
        member: &PeerAddr,
        directory: &Arc<Directory>,
    ) -> Result<Self, EtcdError> {
        let connected = timeout(DIAL_TIMEOUT, connect(member, directory));
        let (channel, ending) = connected.await.unwrap_or(Err(EtcdError::Timeout))?;
        Self::begin(channel, ending, directory).await
    }

    async fn begin(
        channel: Channel,
        ending: Ending,
        directory: &Arc<Directory>,
    ) -> Result<Self, EtcdError> {
        let (directory, token) = (directory.clone(), Arc::default());
        let etcd = Self { channel, ending, directory, token };
        etcd.authenticate(None).await?;
        Ok(etcd)
    }

    /// The same over a connection that there is.
    #[cfg(test)]
    pub(super) async fn on(stream: BoxIo, directory: &Arc<Directory>) -> Result<Self, EtcdError> {
        let channel = over(stream, http::Uri::from_static("http://etcd")).await?;
        Self::begin(channel, Ending::default(), directory).await
    }

    /// Has a token made in the place of this one, unless somebody else has done so already.
    async fn authenticate(&self, ended: Option<&Token>) -> Result<(), EtcdError> {
        let mut token = self.token.lock().await;
        if token.as_ref() != ended {
            return Ok(());
        }
        let Some((name, password)) = self.directory.user()? else { return Ok(()) };
        let request = in_time(Request::new(pb::AuthenticateRequest { name, password }));
        let answer = AuthClient::new(self.channel.clone()).authenticate(request).await;
        let answer = answer.map_err(|status| self.unknown(status))?.into_inner();
        *token = Some(answer.token.parse().map_err(|_| EtcdError::Token)?);
        Ok(())
    }

    /// Asks, and once more with a new token, where that has ended.
    async fn ask<Q: Clone, A, F>(
        &self,
        question: Q,
        ask: impl Fn(Request<Q>) -> F,
    ) -> Result<A, EtcdError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let token = self.token.lock().await.clone();
        let answer = ask(in_time(shown(question.clone(), token.as_ref()))).await;
        let answer = match answer {
            Err(status) if token.is_some() && is_of_user(&status) => {
                self.authenticate(token.as_ref()).await?;
                let token = self.token.lock().await.clone();
                ask(in_time(shown(question, token.as_ref()))).await
            }
            answer => answer,
        };
        Ok(answer.map_err(|status| self.failed(status))?.into_inner())
    }

    /// Why this has failed, in the words of whoever knows best.
    fn failed(&self, status: Status) -> EtcdError {
        if let Some(ended) = self.ending.of(&status) {
            return ended;
        }
        let is_nobody = self.directory.user_file.is_none();
        let is_of_user = status.code() == Code::PermissionDenied
            || status.message().contains("user name is empty");
        if is_nobody && is_of_user { EtcdError::NoUser(status) } else { status.into() }
    }

    /// The same of what has failed already.
    pub(super) fn explained(&self, error: EtcdError) -> EtcdError {
        match error {
            EtcdError::Status(status) => self.failed(status),
            error => error,
        }
    }

    /// The same of an answer to who this is.
    fn unknown(&self, status: Status) -> EtcdError {
        match self.failed(status) {
            // etcd says this of a wrong name or password.
            EtcdError::Status(status) if status.code() == Code::InvalidArgument => {
                EtcdError::User(status)
            }
            error => error,
        }
    }

    /// A request whose answer has no end.
    async fn stream<T>(&self, message: T) -> Request<T> {
        shown(message, self.token.lock().await.as_ref())
    }

    /// The head of such an answer.
    async fn begun<T>(
        &self,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, EtcdError> {
        let answer = timeout(DIRECTORY_TIMEOUT, answer).await;
        let answer = answer.map_err(|_| EtcdError::Silent(DIRECTORY_TIMEOUT))?;
        answer.map_err(|status| self.failed(status))
    }

    /// All keys that begin with this, and which change was the last.
    pub(super) async fn read(&self, prefix: &str) -> Result<(Vec<pb::KeyValue>, i64), EtcdError> {
        let (key, range_end) = range(prefix);
        let request = pb::RangeRequest { key, range_end };
        let client = KvClient::new(self.channel.clone());
        let client = client.max_decoding_message_size(DIRECTORY_MESSAGE_BYTES);
        let read = self.ask(request, |request| {
            let mut client = client.clone();
            async move { client.range(request).await }
        });
        let answer = read.await?;
        Ok((answer.kvs, answer.header.unwrap_or_default().revision))
    }

    /// Writes the hub's own key, which goes with its lease, unless it was written after this change.
    pub(super) async fn begin_tenure(
        &self,
        tenure: &Tenure,
        value: &str,
        last_change: i64,
    ) -> Result<(), EtcdError> {
        let target = TargetUnion::ModRevision(last_change.saturating_add(1));
        let no_later = compare(&tenure.key, CompareResult::Less, CompareTarget::Mod, target);
        self.only_if(no_later, put(&tenure.key, value, tenure.lease)).await.map(|_| ())
    }

    /// Writes a key, which goes with the hub's lease, unless another one that begins with this says something else. Returns
    /// whether it is written.
    pub(super) async fn write_if_alone(
        &self,
        prefix: &str,
        key: &str,
        value: &str,
        tenure: &Tenure,
    ) -> Result<bool, EtcdError> {
        let (begin, end) = range(prefix);
        let all = |target, union| pb::Compare {
            key: begin.clone(),
            range_end: end.clone(),
            ..compare(prefix, CompareResult::Equal, target, union)
        };
        let put = || vec![put(key, value, tenure.lease)];
        let nobody = all(CompareTarget::Version, TargetUnion::Version(0));
        let same = all(CompareTarget::Value, TargetUnion::Value(value.into()));
        // Of no keys at all, none has the same value, either.
        let or_same = pb::TxnRequest { compare: vec![same], success: put(), failure: Vec::new() };
        let failure = vec![op(Op::RequestTxn(or_same))];
        let write = pb::TxnRequest { compare: vec![nobody], success: put(), failure };
        let done = self.change(tenure, op(Op::RequestTxn(write))).await?;
        let is_done = |done: &pb::ResponseOp| {
            let Some(Done::ResponseTxn(txn)) = &done.response else { return None };
            Some((txn.succeeded, txn.responses.clone()))
        };
        let Some((succeeded, responses)) = done.iter().find_map(is_done) else { return Ok(false) };
        Ok(succeeded || responses.iter().filter_map(is_done).any(|(is_same, _)| is_same))
    }

    /// Deletes a key.
    pub(super) async fn delete(&self, key: &str, tenure: &Tenure) -> Result<(), EtcdError> {
        let delete = pb::DeleteRangeRequest { key: key.into(), range_end: Vec::new() };
        let delete = op(Op::RequestDeleteRange(delete));
        self.change(tenure, delete).await.map(|_| ())
    }

    /// Changes something while the tenure lasts. One that gets no answer is the last of it.
    async fn change(
        &self,
        tenure: &Tenure,
        change: pb::RequestOp,
    ) -> Result<Vec<pb::ResponseOp>, EtcdError> {
        if let Some(why) = &*tenure.unclear.borrow() {
            return Err(EtcdError::Unclear(why.clone()));
        }
        let done = self.only_if(tenure.lasts(), change).await;
        if let Err(error) = &done
            && error.leaves_unclear()
        {
            tenure.unclear.send_replace(Some(error.to_string()));
        }
        done
    }

    async fn only_if(
        &self,
        compare: pb::Compare,
        then: pb::RequestOp,
    ) -> Result<Vec<pb::ResponseOp>, EtcdError> {
        let (compare, success) = (vec![compare], vec![then]);
        let request = pb::TxnRequest { compare, success, failure: Vec::new() };
        let client = KvClient::new(self.channel.clone());
        let txn = self.ask(request, |request| {
            let mut client = client.clone();
            async move { client.txn(request).await }
        });
        let pb::TxnResponse { succeeded, responses } = txn.await?;
        if succeeded { Ok(responses) } else { Err(EtcdError::Superseded) }
    }

    /// A lease that lasts so long unless it is kept, and which change was the last before it.
    pub(super) async fn grant(&self, lasts: Duration) -> Result<(i64, i64), EtcdError> {
        let ttl = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX);
        let client = LeaseClient::new(self.channel.clone());
        let request = pb::LeaseGrantRequest { ttl };
        let grant = self.ask(request, |request| {
            let mut client = client.clone();
            async move { client.lease_grant(request).await }
        });
        let pb::LeaseGrantResponse { header, id } = grant.await?;
        Ok((id, header.unwrap_or_default().revision))
    }

    /// Ends a lease, and what was written with it.
    pub(super) async fn revoke(&self, id: i64) -> Result<(), EtcdError> {
        let client = LeaseClient::new(self.channel.clone());
        let request = pb::LeaseRevokeRequest { id };
        let revoke = self.ask(request, |request| {
            let mut client = client.clone();
            async move { client.lease_revoke(request).await }
        });
        revoke.await.map(|_| ())
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
        let request = self.stream(ReceiverStream::new(requests)).await;
        let mut client = LeaseClient::new(self.channel.clone());
        let answers = self.begun(client.lease_keep_alive(request)).await?;
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
        let request = self.stream(ReceiverStream::new(requests)).await;
        let client = WatchClient::new(self.channel.clone());
        let mut client = client.max_decoding_message_size(DIRECTORY_MESSAGE_BYTES);
        Ok((sender, self.begun(client.watch(request)).await?.into_inner()))
    }
}

/// With what shows who asks.
fn shown<T>(message: T, token: Option<&Token>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("token", token.clone());
    }
    // A member that has lost the others says so, in place of keeping what is stale.
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    request
}

/// One that is answered in time, or fails.
fn in_time<T>(mut request: Request<T>) -> Request<T> {
    request.set_timeout(DIRECTORY_TIMEOUT);
    request
}

fn put(key: &str, value: &str, lease: i64) -> pb::RequestOp {
    op(Op::RequestPut(pb::PutRequest { key: key.into(), value: value.into(), lease }))
}

fn op(request: Op) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
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
