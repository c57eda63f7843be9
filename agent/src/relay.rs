//! Copies bytes between a lane and its connection to the upstream, and looks at none of them.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tunnel::lanes::Lane;

use self::down::Down;
use self::up::Up;
use crate::limits::{LANE_AFTER_HUB, LANE_AFTER_UPSTREAM};
use crate::metrics::Meters;

mod down;
mod up;

/// Which side ended a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelayEnd {
    /// The hub.
    Hub,
    /// The upstream.
    Upstream,
}

/// Copies both ways until one side ends. An HTTP/2 connection that has lost one direction is over, so the other has
/// only a while; but what the upstream said before it hung up still goes to the hub, which is told how much the
/// upstream had been sent by then. Nothing is sent to an upstream that has hung up.
pub(crate) async fn relay<U>(lane: &mut Lane, upstream: &mut U, bytes: Meters) -> RelayEnd
where
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Up::new(bytes.up), Down::new(bytes.down));
    let first = poll_fn(|cx| poll_both(cx, lane, upstream, &mut up, &mut down)).await;
    if first == First::LaneGone {
        return RelayEnd::Hub;
    }
    if first != First::UpstreamEnded {
        let rest = async {
            if first == First::LaneEnded {
                let _ = upstream.shutdown().await;
            }
            let _ = poll_fn(|cx| down.poll(cx, upstream, lane)).await;
        };
        let _ = timeout(LANE_AFTER_HUB, rest).await;
    }
    let _ = lane.shutdown().await;
    if first == First::LaneEnded { RelayEnd::Hub } else { RelayEnd::Upstream }
}

/// Waits for the hub's end of a lane whose upstream has ended. What still comes is for nobody.
pub(crate) async fn ignore(mut lane: Lane) {
    let mut nobody = tokio::io::sink();
    let rest = tokio::io::copy(&mut lane, &mut nobody);
    let _ = timeout(LANE_AFTER_UPSTREAM, rest).await;
}

/// What ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// The lane is over in both directions.
    LaneGone,
    /// The hub has said everything, and the upstream has it.
    LaneEnded,
    /// The upstream takes no more. It may have said why.
    UpstreamDeaf,
    /// The upstream has hung up, and everything that it said is on its way.
    UpstreamEnded,
}

/// The upstream's end comes first: what is not written then was never delivered, and may be sent again elsewhere.
fn poll_both<U: AsyncRead + AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    lane: &mut Lane,
    upstream: &mut U,
    up: &mut Up,
    down: &mut Down,
) -> Poll<First> {
    match down.poll(cx, upstream, lane) {
        Poll::Ready(Ok(()) | Err(Broken::From)) => return Poll::Ready(First::UpstreamEnded),
        Poll::Ready(Err(Broken::To)) => return Poll::Ready(First::LaneGone),
        Poll::Pending => {}
    }
    let polled = up.poll(cx, lane, upstream);
    match up.take_written() {
        0 => {}
        written => lane.delivered(written),
    }
    match polled {
        Poll::Ready(Ok(())) => Poll::Ready(First::LaneEnded),
        Poll::Ready(Err(Broken::From)) => Poll::Ready(First::LaneGone),
        Poll::Ready(Err(Broken::To)) => Poll::Ready(First::UpstreamDeaf),
        // The lane is not read then, which would tell.
        Poll::Pending if up.is_stuck() => lane.poll_gone(cx).map(|()| First::LaneGone),
        Poll::Pending => Poll::Pending,
    }
}

/// Which end of a direction broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    From,
    To,
}

#[cfg(test)]
mod tests;
