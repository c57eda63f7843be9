//! One client, for as long as its connection lives: what its calls share.

pub(crate) mod call;
pub(crate) mod connection;
pub(crate) mod flood_guard;
pub(crate) mod record;
pub(crate) mod route;
pub(crate) mod splice;

use std::future::poll_fn;
use std::sync::Arc;

use h2::StreamId;
use tokio::sync::{Mutex, Semaphore};
use tunnel::limits::{ANSWERS, HEAD_BYTES, HEAD_BYTES_FREE, OWN_CALLS};
use tunnel::token_bucket::TokenBucket;

use crate::context::origin::Origin;
use crate::guard::growth::{Grants, Growth};
use crate::lanes::{Owner, Pool};
use crate::observe::limit::Limit;

/// What the calls of one connection share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) origin: Origin,
    /// Its lanes to agents.
    pub(crate) lanes: Pool,
    /// Its calls to the hub's own services.
    pub(crate) own_calls: Semaphore,
    /// What is due to the windows of its streams.
    pub(crate) grants: Arc<Grants>,
    /// Calls that the hub itself answers.
    answers: Mutex<TokenBucket>,
    /// Bytes of long heads, as they are when decoded.
    heads: Mutex<TokenBucket>,
}

impl Client {
    pub(crate) fn new(origin: Origin) -> Arc<Self> {
        let Origin { hub, peer, worker, .. } = &origin;
        let owner = Owner { opener: hub.lanes.clone(), peer: *peer, worker: *worker };
        Arc::new(Self {
            lanes: Pool::new(owner),
            own_calls: Semaphore::new(OWN_CALLS),
            grants: Arc::default(),
            answers: Mutex::new(TokenBucket::new(ANSWERS)),
            heads: Mutex::new(TokenBucket::new(HEAD_BYTES)),
            origin,
        })
    }

    /// Of the window in which a call of the connection sends.
    pub(crate) fn growth(&self, stream: StreamId) -> Growth {
        let window = self.origin.hub.config.stream_window;
        Growth::new(self.grants.clone(), stream.as_u32(), window)
    }

    /// Resolves when the hub itself may answer a call of this connection: one after the other, so that a
    /// client which calls only to be refused does not keep the thread busy.
    pub(crate) async fn may_be_answered(&self) {
        self.wait(&self.answers, 1, Limit::Answers).await;
    }

    /// Resolves when a call of the connection with so large a header list may go on. A few bytes of
    /// references to fields that came before can stand for all of it, so the frame guard does not see it.
    pub(crate) async fn may_have_head(&self, size: usize) {
        let long = (size as u32).saturating_sub(HEAD_BYTES_FREE);
        if long > 0 {
            self.wait(&self.heads, long, Limit::ClientHeads).await;
        }
    }

    async fn wait(&self, bucket: &Mutex<TokenBucket>, tokens: u32, limit: Limit) {
        let mut bucket = bucket.lock().await;
        if bucket.owe(tokens) {
            self.reached(limit);
        }
        poll_fn(|cx| bucket.poll_paid(cx)).await;
    }

    /// It has reached a limit.
    pub(crate) fn reached(&self, limit: Limit) {
        self.origin.hub.limits.reached(limit, self.origin.peer, None);
    }
}
