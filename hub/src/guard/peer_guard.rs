//! What the switch asks about each frame of a client or an upstream.

use std::task::{Context, Poll};

use http2::frame::Head;
use switch::Guard;
use tunnel::lanes::Promise;

use super::frame_guard::{CLIENT, FRONT, FrameGuard, Slow, UPSTREAM};
use crate::limits::CLIENT_BREACHES;

/// Looks at the frames of one peer.
#[derive(Debug)]
pub(crate) struct PeerGuard {
    frames: FrameGuard,
    /// Streams that were ended because the peer broke the protocol on them.
    breaches: usize,
    /// Why it is read slowly, since somebody asked last.
    slow: Option<Slow>,
    /// The peer has said more than any call explains.
    is_flooded: bool,
    is_front: bool,
    /// What an upstream may have on its way beyond what each has at first.
    promise: Option<Promise>,
}

impl PeerGuard {
    /// Of a client, on its own connection.
    pub(crate) fn client() -> Self {
        Self::new(FrameGuard::new(&CLIENT))
    }

    /// Of an upstream, on a lane.
    pub(crate) fn upstream() -> Self {
        Self::new(FrameGuard::new(&UPSTREAM))
    }

    fn new(frames: FrameGuard) -> Self {
        Self { frames, breaches: 0, slow: None, is_flooded: false, is_front: false, promise: None }
    }

    /// What the upstream is promised counts as this from now on. Until then it is promised nothing.
    pub(crate) fn promises(&mut self, promise: Promise) {
        self.promise = Some(promise);
    }

    /// Whether the connection is that of a proxy, through which several call: what one of them does must not slow it down.
    pub(crate) fn is_front(&mut self, is: bool) {
        if std::mem::replace(&mut self.is_front, is) != is {
            self.frames.follow(if is { &FRONT } else { &CLIENT });
        }
    }

    /// Ready when more may be read, or understood.
    pub(crate) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.frames.poll_more(cx)
    }

    /// So many bytes were read; none means that there are none for now.
    pub(crate) fn read(&mut self, bytes: usize) {
        self.frames.read(bytes);
    }

    /// Why it is read slowly from now on, if it has just begun to be.
    pub(crate) fn take_slow(&mut self) -> Option<Slow> {
        self.slow.take()
    }

    /// Whether the peer floods.
    pub(crate) fn is_flooded(&self) -> bool {
        self.is_flooded
    }
}

impl Guard for PeerGuard {
    fn is_tired(&self) -> bool {
        self.frames.is_tired()
    }

    fn incoming(&mut self, head: Head) -> bool {
        let verdict = self.frames.incoming(head);
        self.slow = verdict.slow.or(self.slow);
        self.is_flooded |= verdict.flood;
        !verdict.flood
    }

    fn outgoing(&mut self, head: Head) {
        self.frames.outgoing(head);
    }

    fn promise(&mut self, bytes: usize) -> bool {
        match &mut self.promise {
            Some(promise) => promise.set(bytes),
            None => bytes == 0,
        }
    }

    fn breach(&mut self) -> bool {
        self.breaches += 1;
        self.breaches <= CLIENT_BREACHES
    }
}
