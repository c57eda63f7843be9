//! How fast one caller may be served on a connection. What goes beyond waits; nothing of it fails, and no other
//! caller of the connection waits with it.

use std::future::poll_fn;

use tokio::sync::Mutex;
use tunnel::token_bucket::TokenBucket;

use crate::context::origin::Origin;
use crate::limits::{ANSWERS, CLIENT_RESETS, HEAD_BYTES, HEAD_BYTES_FREE};
use crate::observe::limit::Limit;

/// One caller's, shared by all its calls on a connection. Its calls wait in line.
#[derive(Debug)]
pub(crate) struct Paces {
    origin: Origin,
    /// Calls that the hub itself answers.
    answers: Mutex<TokenBucket>,
    /// Bytes of long heads, as they are when decoded.
    heads: Mutex<TokenBucket>,
    /// Calls that it has given up.
    given_up: Mutex<TokenBucket>,
}

impl Paces {
    pub(super) fn new(origin: &Origin) -> Self {
        let bucket = |rate| Mutex::new(TokenBucket::new(rate));
        Self {
            origin: origin.clone(),
            answers: bucket(ANSWERS),
            heads: bucket(HEAD_BYTES),
            given_up: bucket(CLIENT_RESETS),
        }
    }

    /// Resolves when the hub itself may answer a call: one after the other, so that a client which calls only to be
    /// refused does not keep the thread busy.
    pub(crate) async fn may_be_answered(&self) {
        self.wait(&self.answers, 1, Limit::Answers).await;
    }

    /// Resolves when a call with so large a header list may go on. A few bytes of references to fields that came
    /// before can stand for all of it, so the frame guard does not see it.
    pub(crate) async fn may_go_on(&self, size: usize) {
        self.wait(&self.given_up, 0, Limit::ClientResets).await;
        let long = (size as u32).saturating_sub(HEAD_BYTES_FREE);
        if long > 0 {
            self.wait(&self.heads, long, Limit::ClientHeads).await;
        }
    }

    /// The client has given up a call that went on.
    pub(crate) fn gave_up(&self) {
        // Where calls wait for it already, those that went on before cost no more.
        if let Ok(mut given_up) = self.given_up.try_lock()
            && given_up.owe(1)
        {
            self.reached(Limit::ClientResets);
        }
    }

    async fn wait(&self, bucket: &Mutex<TokenBucket>, tokens: u32, limit: Limit) {
        let mut bucket = bucket.lock().await;
        if bucket.owe(tokens) {
            self.reached(limit);
        }
        poll_fn(|cx| bucket.poll_paid(cx)).await;
    }

    fn reached(&self, limit: Limit) {
        self.origin.hub.limits.reached(limit, self.origin.peer, None);
    }
}
