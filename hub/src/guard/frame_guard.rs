//! Weighs the frames of a peer before HTTP/2 sees them: what floods is to be ended, what is costly is read slowly.
//!
//! PING, SETTINGS, PRIORITY, RST_STREAM, WINDOW_UPDATE, empty DATA and frames of unknown types cost whoever sends them
//! next to nothing, and nobody counts them elsewhere. They are *overhead*, which calls explain.

use std::task::{Context, Poll, ready};

use http2::frame::Head;
use http2::frame::kind::{CONTINUATION, DATA, HEADERS, RST_STREAM, SETTINGS};
use tunnel::limits::{WORK_PER_FRAME, WORK_TURN};
use tunnel::token_bucket::{Rate, TokenBucket};
use tunnel::turn::Turn;

use crate::guard::frames::{head_work, is_idle_data, is_small_data};
use crate::limits::{
    ANSWER_HEAD_BYTES, ANSWER_HEAD_BYTES_FREE, CLIENT_RESETS, EXPLAINED_BY_CALL,
    EXPLAINED_BY_FRAME, EXPLAINED_MAX, EXPLAINING_BYTES, HEAD_BYTES, HEAD_BYTES_FREE, OVERHEAD,
    SETTINGS_WEIGHT, SMALL_DATA, WORK_PER_CALL,
};

/// What a peer may do.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Frames of overhead beyond what calls explain.
    overhead: Rate,
    /// RST_STREAM, which are overhead besides: the calls that they end explain them.
    resets: Option<Rate>,
    /// Bytes of each header block that cost nothing beyond their turn.
    head_free: u32,
    /// Bytes of header blocks beyond that.
    head_bytes: Option<Rate>,
    /// DATA frames of a few bytes.
    small_data: Option<Rate>,
    /// What HEADERS cost of a turn.
    head_work: usize,
    /// HEADERS are answers, which must have been asked for.
    answers: bool,
}

/// Of a client, on its own connection.
pub(crate) const CLIENT: Policy = Policy {
    overhead: OVERHEAD,
    resets: Some(CLIENT_RESETS),
    head_free: HEAD_BYTES_FREE,
    head_bytes: Some(HEAD_BYTES),
    small_data: Some(SMALL_DATA),
    head_work: WORK_PER_CALL,
    answers: false,
};

/// Of a proxy that several callers come through: nothing slows all of them down, each has paces of its own.
pub(crate) const FRONT: Policy =
    Policy { resets: None, head_bytes: None, small_data: None, ..CLIENT };

/// Of an upstream, on a lane.
pub(crate) const UPSTREAM: Policy = Policy {
    overhead: OVERHEAD,
    resets: None,
    head_free: ANSWER_HEAD_BYTES_FREE,
    head_bytes: Some(ANSWER_HEAD_BYTES),
    small_data: None,
    head_work: WORK_PER_FRAME,
    answers: true,
};

/// Why it is read slowly from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slow {
    Heads,
    Resets,
    SmallData,
}

/// What a frame has brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// There is more overhead than calls explain: the connection is to be ended.
    pub(crate) flood: bool,
    pub(crate) slow: Option<Slow>,
}

/// The account of one peer.
#[derive(Debug)]
pub(crate) struct FrameGuard {
    policy: &'static Policy,
    /// Frames of overhead that calls explain.
    explained: u32,
    overhead: TokenBucket,
    resets: Option<TokenBucket>,
    heads: Option<TokenBucket>,
    /// Bytes of the header block that is being read.
    block: u32,
    small_data: Option<TokenBucket>,
    turn: Turn,
}

impl FrameGuard {
    pub(crate) fn new(policy: &'static Policy) -> Self {
        Self {
            policy,
            explained: 0,
            overhead: TokenBucket::new(policy.overhead),
            resets: policy.resets.map(TokenBucket::new),
            heads: policy.head_bytes.map(TokenBucket::new),
            block: 0,
            small_data: policy.small_data.map(TokenBucket::new),
            turn: Turn::default(),
        }
    }

    /// Ready when more may be read.
    pub(crate) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { heads, resets, small_data, .. } = self;
        for bucket in [heads, resets, small_data].into_iter().flatten() {
            ready!(bucket.poll_paid(cx));
        }
        self.turn.poll(cx)
    }

    /// The peer may do what this allows from now on.
    pub(crate) fn follow(&mut self, policy: &'static Policy) {
        self.policy = policy;
        self.resets = policy.resets.map(TokenBucket::new);
        self.heads = policy.head_bytes.map(TokenBucket::new);
        self.small_data = policy.small_data.map(TokenBucket::new);
    }

    /// So many bytes were read; none means that there are none for now.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.turn.read(bytes);
    }

    /// Whether nothing is left of its turn: more waits until [`Self::poll_more`] is ready.
    pub(crate) fn is_tired(&self) -> bool {
        self.turn.is_over()
    }

    /// A frame came in.
    pub(crate) fn incoming(&mut self, head: Head) -> Verdict {
        self.turn.did(self.work(head));
        Verdict { flood: self.flood(head), slow: self.slow(head) }
    }

    /// A frame went out. Whoever receives DATA may give the windows of stream and connection back, in as many steps
    /// as it reads.
    pub(crate) fn outgoing(&mut self, head: Head) {
        if is_of_call(head) {
            let steps = if head.kind == DATA { head.len / EXPLAINING_BYTES } else { 0 };
            let call =
                if self.policy.answers && head.kind == HEADERS { EXPLAINED_BY_CALL } else { 0 };
            self.explain(EXPLAINED_BY_FRAME + steps as u32 + call);
        }
    }

    /// What a frame costs of a turn besides its bytes.
    fn work(&self, head: Head) -> usize {
        match head.kind {
            HEADERS => self.policy.head_work.max(head_work(head)),
            CONTINUATION => WORK_PER_FRAME.max(head_work(head)),
            // HTTP/2 goes through all streams of the connection for it.
            SETTINGS => WORK_TURN,
            _ => WORK_PER_FRAME,
        }
    }

    fn flood(&mut self, head: Head) -> bool {
        match head.kind {
            // No call explains these.
            SETTINGS => self.overhead.take(SETTINGS_WEIGHT).is_err(),
            HEADERS if self.policy.answers => self.spend(),
            _ if is_of_call(head) => {
                self.explain(EXPLAINED_BY_FRAME);
                false
            }
            _ => self.spend(),
        }
    }

    fn spend(&mut self) -> bool {
        if let Some(left) = self.explained.checked_sub(1) {
            self.explained = left;
            return false;
        }
        self.overhead.take(1).is_err()
    }

    fn explain(&mut self, frames: u32) {
        self.explained = self.explained.saturating_add(frames).min(EXPLAINED_MAX);
    }

    fn slow(&mut self, head: Head) -> Option<Slow> {
        let owes = |bucket: &mut Option<TokenBucket>, tokens| {
            bucket.as_mut().is_some_and(|bucket| bucket.owe(tokens))
        };
        let before = match head.kind {
            HEADERS => 0,
            CONTINUATION => self.block,
            RST_STREAM => return owes(&mut self.resets, 1).then_some(Slow::Resets),
            _ if !is_small_data(head) => return None,
            _ => return owes(&mut self.small_data, 1).then_some(Slow::SmallData),
        };
        self.block = before.saturating_add(head.len as u32);
        let long = |bytes: u32| bytes.saturating_sub(self.policy.head_free);
        let more = long(self.block) - long(before);
        (more > 0 && owes(&mut self.heads, more)).then_some(Slow::Heads)
    }
}

fn is_of_call(head: Head) -> bool {
    match head.kind {
        HEADERS => true,
        DATA => !is_idle_data(head),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
