//! Copies bytes between a lane that another hub has opened and one to an agent of this hub, and looks at none of them.
//!
//! What the agent tells of its lane's end goes on as it is: above all how much its server had got by then, by which the hub
//! that callers are at knows what it may send once more.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tunnel::lanes::{Lane, LaneEnd, ResetCode};

use crate::lanes::failure;
use crate::limits::PEER_LANE_AFTER;
use crate::registry::{Agent, OpenError};

/// Copies both ways until one of the lanes is over. `under_way` is held until the agent's server has said something, which
/// `spoken` is told; if it never does, returns why, unless it was not waited for.
pub(super) async fn relay(
    mut outer: Lane,
    mut inner: Lane,
    agent: &Agent,
    (under_way, spoken): (OwnedSemaphorePermit, impl FnOnce()),
) -> Option<OpenError> {
    let (up, down) = (Bytes::new(), Bytes::new());
    let mut hop = Hop { silent: Some((under_way, spoken)), up, down, sent: 0 };
    let mut end = poll_fn(|cx| hop.poll(cx, &mut outer, &mut inner)).await;
    if end == End::Up {
        // An HTTP/2 connection that has lost one direction is over, and the agent waits no longer either.
        let rest = timeout(PEER_LANE_AFTER, poll_fn(|cx| hop.poll_down(cx, &mut outer, &inner)));
        let Ok(ended) = rest.await else {
            // What was sent may have arrived.
            outer.delivered(hop.sent);
            outer.reset(ResetCode::Closed, "the agent's lane did not end in time");
            return None;
        };
        end = ended;
    }
    if end == End::Outer {
        tell_inner(&outer, inner);
        return None;
    }
    let failed = hop.silent.is_some().then(|| failure(&inner, agent));
    tell_outer(outer, &inner, hop.sent).await;
    failed
}

/// What is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The other hub's lane.
    Outer,
    /// The agent's lane, and all that came on it is on its way.
    Inner,
    /// What the other hub says, all of which is on its way; or the agent takes no more of it. It may have said why.
    Up,
}

/// What is on its way.
struct Hop<F> {
    /// Until the agent's server has said something.
    silent: Option<(OwnedSemaphorePermit, F)>,
    /// What has come and could not be sent on yet.
    up: Bytes,
    down: Bytes,
    /// Bytes that went to the agent.
    sent: u64,
}

impl<F: FnOnce()> Hop<F> {
    /// The agent's end comes first: what it has not taken then may be sent again elsewhere.
    fn poll(&mut self, cx: &mut Context<'_>, outer: &mut Lane, inner: &mut Lane) -> Poll<End> {
        if let Poll::Ready(end) = self.poll_down(cx, outer, inner) {
            return Poll::Ready(end);
        }
        match self.poll_up(cx, outer, inner) {
            Poll::Ready(end) => Poll::Ready(end),
            // It is not read then, which would tell.
            Poll::Pending if !self.up.is_empty() => outer.poll_gone(cx).map(|()| End::Outer),
            Poll::Pending => Poll::Pending,
        }
    }

    /// From the agent to the other hub.
    fn poll_down(&mut self, cx: &mut Context<'_>, outer: &mut Lane, inner: &Lane) -> Poll<End> {
        loop {
            if ready!(outer.poll_write_from(cx, &mut self.down)).is_err() {
                return Poll::Ready(End::Outer);
            }
            match ready!(inner.poll_piece(cx, usize::MAX)) {
                Ok(piece) if !piece.is_empty() => {
                    if let Some((under_way, spoken)) = self.silent.take() {
                        drop(under_way);
                        spoken();
                    }
                    self.down = piece;
                }
                _ => return Poll::Ready(End::Inner),
            }
        }
    }

    /// From the other hub to the agent.
    fn poll_up(&mut self, cx: &mut Context<'_>, outer: &Lane, inner: &mut Lane) -> Poll<End> {
        loop {
            let before = self.up.len();
            let written = inner.poll_write_from(cx, &mut self.up);
            self.sent += (before - self.up.len()) as u64;
            if ready!(written).is_err() {
                return Poll::Ready(End::Up);
            }
            match ready!(outer.poll_piece(cx, usize::MAX)) {
                Ok(piece) if !piece.is_empty() => self.up = piece,
                Ok(_) => {
                    let _ = Pin::new(&mut *inner).poll_shutdown(cx);
                    return Poll::Ready(End::Up);
                }
                Err(_) => return Poll::Ready(End::Outer),
            }
        }
    }
}

/// The agent's lane has ended: so does the other hub's, in the same way.
async fn tell_outer(mut outer: Lane, inner: &Lane, sent: u64) {
    match inner.status().end().cloned() {
        Some(LaneEnd::Finished { delivered }) => {
            outer.delivered(delivered);
            let _ = outer.shutdown().await;
            // What still comes is for nobody.
            let rest = poll_fn(|cx| poll_ignored(cx, &outer));
            let _ = timeout(PEER_LANE_AFTER, rest).await;
        }
        Some(LaneEnd::Reset { code, delivered, reason }) => {
            outer.delivered(delivered);
            outer.reset(code, &reason);
        }
        lost => {
            // What was sent may have arrived; the rest has not.
            let sent = if let Some(LaneEnd::Lost { sent }) = lost { sent } else { sent };
            outer.delivered(sent);
            outer.reset(ResetCode::Lost, "the agent's session was lost");
        }
    }
}

fn poll_ignored(cx: &mut Context<'_>, lane: &Lane) -> Poll<()> {
    while ready!(lane.poll_piece(cx, usize::MAX)).is_ok_and(|piece| !piece.is_empty()) {}
    Poll::Ready(())
}

/// The other hub's lane has ended: so does the agent's, in the same way.
fn tell_inner(outer: &Lane, inner: Lane) {
    if let Some(LaneEnd::Reset { code, reason, .. }) = outer.status().end() {
        inner.reset(*code, reason);
    }
}
