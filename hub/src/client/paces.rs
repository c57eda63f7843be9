//! How fast one caller may be served on a connection. What goes beyond waits; nothing of it fails, and no other
//! caller of the connection waits with it.

use std::future::poll_fn;

use parking_lot::Mutex;
use tunnel::token_bucket::{Rate, TokenBucket};

use crate::context::origin::Origin;
use crate::limits::{ANSWERS, CLIENT_RESETS, HEAD_BYTES, HEAD_BYTES_FREE};
use crate::observe::limit::Limit;

/// One caller's, shared by all its calls on a connection.
#[derive(Debug)]
pub(crate) struct Paces {
    origin: Origin,
    /// Calls that the hub itself answers.
    answers: Pace,
    /// Bytes of long heads, as they are when decoded.
    heads: Pace,
    /// Calls that were given up.
    given_up: Pace,
}

/// A rate, and the line of those who wait for it.
#[derive(Debug)]
struct Pace {
    limit: Limit,
    bucket: Mutex<TokenBucket>,
    line: tokio::sync::Mutex<()>,
}

impl Paces {
    pub(super) fn new(origin: &Origin) -> Self {
        Self {
            origin: origin.clone(),
            answers: Pace::new(ANSWERS, Limit::Answers),
            heads: Pace::new(HEAD_BYTES, Limit::ClientHeads),
            given_up: Pace::new(CLIENT_RESETS, Limit::ClientResets),
        }
    }

    /// Resolves when the hub itself may answer a call: one after the other, so that a client which calls only to be
    /// refused does not keep the thread busy.
    pub(crate) async fn may_be_answered(&self) {
        self.wait(&self.answers, 1).await;
    }

    /// Resolves when a call with so large a header list may begin. A few bytes of references to fields that came
    /// before can stand for all of it, so the frame guard does not see it.
    pub(crate) async fn may_begin(&self, size: usize) {
        self.wait(&self.given_up, 0).await;
        let long = (size as u32).saturating_sub(HEAD_BYTES_FREE);
        if long > 0 {
            self.wait(&self.heads, long).await;
        }
    }

    /// A call that has begun was given up by its client, or broken.
    pub(crate) fn gave_up(&self) {
        self.owe(&self.given_up, 1);
    }

    /// Whether nothing is owed, so that forgetting it changes nothing.
    pub(super) fn is_unused(&self) -> bool {
        let Self { answers, heads, given_up, .. } = self;
        [answers, heads, given_up].into_iter().all(|pace| pace.bucket.lock().is_full())
    }

    async fn wait(&self, pace: &Pace, tokens: u32) {
        let _first = pace.line.lock().await;
        self.owe(pace, tokens);
        poll_fn(|cx| pace.bucket.lock().poll_paid(cx)).await;
    }

    fn owe(&self, pace: &Pace, tokens: u32) {
        if pace.bucket.lock().owe(tokens) {
            self.origin.hub.limits.reached(pace.limit, self.origin.peer, None);
        }
    }
}

impl Pace {
    fn new(rate: Rate, limit: Limit) -> Self {
        Self { limit, bucket: Mutex::new(TokenBucket::new(rate)), line: Default::default() }
    }
}
