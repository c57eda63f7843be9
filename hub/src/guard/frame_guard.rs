//! Weighs the frames of a peer before HTTP/2 sees them: what floods is to be ended, what is costly is read slowly.
//!
//! PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA and frames of unknown types cost whoever sends them next to
//! nothing, and `h2` answers or ignores them without counting. They are *overhead*, which calls explain.

use std::task::{Context, Poll, ready};

use tunnel::limits::{
    ANSWER_HEAD_BYTES, ANSWER_HEAD_BYTES_FREE, CLIENT_RESETS, EXPLAINED_BY_CALL,
    EXPLAINED_BY_FRAME, EXPLAINED_MAX, EXPLAINING_BYTES, HEAD_BYTES, HEAD_BYTES_FREE, OVERHEAD,
    SETTINGS_WEIGHT, SMALL_DATA, WORK_PER_CALL, WORK_PER_FRAME, WORK_TURN,
};
use tunnel::token_bucket::{Rate, TokenBucket};
use tunnel::turn::Turn;

use crate::guard::frames::{CONTINUATION, DATA, HEADERS, Head, RST_STREAM, SETTINGS};

/// What a peer may do.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Frames of overhead beyond what calls explain.
    overhead: Rate,
    /// RST_STREAM, where they are not overhead.
    resets: Option<Rate>,
    /// Bytes of each header block that cost nothing beyond their turn.
    head_free: u32,
    /// Bytes of header blocks beyond that.
    head_bytes: Rate,
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
    head_bytes: HEAD_BYTES,
    small_data: Some(SMALL_DATA),
    head_work: WORK_PER_CALL,
    answers: false,
};

/// Of an upstream, on a lane.
pub(crate) const UPSTREAM: Policy = Policy {
    overhead: OVERHEAD,
    resets: None,
    head_free: ANSWER_HEAD_BYTES_FREE,
    head_bytes: ANSWER_HEAD_BYTES,
    small_data: None,
    head_work: WORK_PER_FRAME,
    answers: true,
};

/// Why the connection is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    Overhead,
    Resets,
}

/// Why it is read slowly from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slow {
    Heads,
    SmallData,
}

/// What a frame has brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) flood: Option<Flood>,
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
    heads: TokenBucket,
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
            heads: TokenBucket::new(policy.head_bytes),
            block: 0,
            small_data: policy.small_data.map(TokenBucket::new),
            turn: Turn::default(),
        }
    }

    /// Ready when more may be read.
    pub(crate) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.heads.poll_paid(cx));
        if let Some(small_data) = &mut self.small_data {
            ready!(small_data.poll_paid(cx));
        }
        self.turn.poll(cx)
    }

    /// So many bytes were read; none means that there are none for now.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.turn.read(bytes);
    }

    /// Reads this peer no faster from now on than a turn now and then.
    pub(crate) fn slow_down(&mut self, turn: Turn) {
        self.turn = turn;
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

    /// Returns `true` if the peer is about to have sent too much.
    pub(crate) fn is_nearly_flooded(&mut self) -> bool {
        self.overhead.is_low() || self.resets.as_mut().is_some_and(TokenBucket::is_low)
    }

    /// What a frame costs of a turn besides its bytes.
    fn work(&self, head: Head) -> usize {
        match head.kind {
            HEADERS => self.policy.head_work.max(head.head_work()),
            CONTINUATION => WORK_PER_FRAME.max(head.head_work()),
            // HTTP/2 goes through all streams of the connection for it.
            SETTINGS => WORK_TURN,
            _ => WORK_PER_FRAME,
        }
    }

    fn flood(&mut self, head: Head) -> Option<Flood> {
        match (head.kind, &mut self.resets) {
            (RST_STREAM, Some(resets)) => resets.take(1).err().map(|_| Flood::Resets),
            // No call explains these.
            (SETTINGS, _) => self.overhead.take(SETTINGS_WEIGHT).err().map(|_| Flood::Overhead),
            (HEADERS, _) if self.policy.answers => self.spend(),
            _ if is_of_call(head) => {
                self.explain(EXPLAINED_BY_FRAME);
                None
            }
            _ => self.spend(),
        }
    }

    fn spend(&mut self) -> Option<Flood> {
        if let Some(left) = self.explained.checked_sub(1) {
            self.explained = left;
            return None;
        }
        self.overhead.take(1).err().map(|_| Flood::Overhead)
    }

    fn explain(&mut self, frames: u32) {
        self.explained = self.explained.saturating_add(frames).min(EXPLAINED_MAX);
    }

    fn slow(&mut self, head: Head) -> Option<Slow> {
        if head.is_small_data() && self.small_data.as_mut().is_some_and(|bucket| bucket.owe(1)) {
            return Some(Slow::SmallData);
        }
        let before = match head.kind {
            HEADERS => 0,
            CONTINUATION => self.block,
            _ => return None,
        };
        self.block = before.saturating_add(head.len as u32);
        let long = |bytes: u32| bytes.saturating_sub(self.policy.head_free);
        let more = long(self.block) - long(before);
        (more > 0 && self.heads.owe(more)).then_some(Slow::Heads)
    }
}

fn is_of_call(head: Head) -> bool {
    match head.kind {
        HEADERS => true,
        DATA => !head.is_idle_data(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
