//! Finds out whether an agent's server speaks HTTP/2.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http2::error::Reason;
use switch::{DetachedLane, Event, LaneId, Limits, Switch};
use tokio::io::AsyncWrite;
use tunnel::lanes::{Lane, ResetCode};

use super::open::{Opened, failure, said};
use super::seat::Seat;
use crate::guard::peer_guard::PeerGuard;
use crate::registry::{OpenError, Session};

/// What was opened for a caller, on which HTTP/2 has begun.
#[derive(Debug)]
pub(crate) struct Sentinel {
    pub(crate) io: Lane,
    pub(crate) http2: DetachedLane<PeerGuard>,
    pub(crate) seat: Seat,
}

/// A lane that nobody calls on, and its HTTP/2.
#[derive(Debug)]
pub(super) struct Probe {
    io: Lane,
    switch: Switch<(), PeerGuard>,
    lane: LaneId,
    seat: Seat,
}

impl Probe {
    /// On a lane that was just opened.
    ///
    /// # Errors
    /// Its upstream does not speak HTTP/2, or is not there.
    pub(super) async fn begin(opened: Opened) -> Result<Self, OpenError> {
        let Opened { io, seat, under_way } = opened;
        let agent = seat.session().agent.clone();
        let mut switch = Switch::new(Limits { max_calls: 0 }, PeerGuard::client());
        let max_streams = u32::try_from(agent.max_streams()).unwrap_or(u32::MAX);
        let lane = switch.open_lane(max_streams, PeerGuard::upstream());
        let mut probe = Self { io, switch, lane, seat };
        let is_http2 = poll_fn(|cx| probe.poll_spoken(cx)).await;
        drop(under_way);
        match is_http2 {
            Some(true) => Ok(probe),
            Some(false) => Err(OpenError::NotHttp2),
            None => Err(failure(&probe.io, &agent)),
        }
    }

    /// Streams that the upstream allows at once.
    pub(super) fn max_streams(&self) -> usize {
        self.switch.max_streams(self.lane) as usize
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        self.seat.session()
    }

    /// Leaves the connection to the agent.
    pub(super) fn let_go(self) {
        self.io.reset(ResetCode::GoingAway, "nobody has called");
    }

    /// The lane's number in its session.
    pub(super) fn lane(&self) -> u32 {
        self.io.id()
    }

    /// Whether the upstream has said more than anything explains.
    pub(super) fn is_flooded(&mut self) -> bool {
        self.switch.lane_guard(self.lane).is_some_and(|guard| guard.is_flooded())
    }

    /// For a caller, if it is still alive.
    pub(super) fn into_sentinel(mut self) -> Option<Sentinel> {
        let is_alive = self.io.status().end().is_none()
            && !self.seat.is_retired()
            && !self.switch.is_closing(self.lane);
        let http2 = self.switch.detach_lane(self.lane).filter(|_| is_alive)?;
        Some(Sentinel { io: self.io, http2, seat: self.seat })
    }

    /// Ends the lane, whose upstream has ended it or is to be left.
    pub(super) async fn leave(mut self) {
        self.switch.close_lane(self.lane);
        poll_fn(|cx| {
            self.write(cx);
            Pin::new(&mut self.io).poll_shutdown(cx).map(drop)
        })
        .await;
    }

    /// Ready with whether the upstream speaks HTTP/2, once it has spoken; without, if it ended before.
    fn poll_spoken(&mut self, cx: &mut Context<'_>) -> Poll<Option<bool>> {
        while !self.switch.has_spoken(self.lane) {
            if ready!(self.poll_piece(cx)).is_none() {
                let is_wrong = self.switch.is_closing(self.lane);
                return Poll::Ready(is_wrong.then_some(false));
            }
        }
        self.write(cx);
        Poll::Ready(Some(!self.switch.is_closing(self.lane)))
    }

    /// Answers what the upstream says. Ready once the lane is of no use any more.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.seat.driven_by(cx.waker().clone());
        while !self.seat.is_retired() && !self.switch.is_closing(self.lane) {
            if ready!(self.poll_piece(cx)).is_none() {
                break;
            }
        }
        Poll::Ready(())
    }

    /// Hears what the upstream says, and answers it. Ready with nothing at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let Some(guard) = self.switch.lane_guard(self.lane) else { return Poll::Ready(None) };
        ready!(guard.poll_more(cx));
        while let Some(event) = self.switch.next_of_lane(self.lane) {
            match event {
                Event::LaneFailed(_, error) => {
                    self.seat.error = Some(error.to_string());
                    return Poll::Ready(None);
                }
                Event::Goaway { reason, debug, .. } if reason != Reason::NO_ERROR => {
                    self.seat.error = Some(said(reason, &debug));
                }
                Event::LaneReady(_) => return Poll::Ready(Some(())),
                _ => {}
            }
        }
        self.write(cx);
        if self.switch.is_tired_of(self.lane) || self.switch.is_closing(self.lane) {
            return Poll::Ready(Some(()));
        }
        let piece = ready!(self.io.poll_piece(cx, usize::MAX)).unwrap_or_default();
        if piece.is_empty() {
            return Poll::Ready(None);
        }
        self.switch.lane_came(self.lane, piece);
        Poll::Ready(Some(()))
    }

    /// Writes what can be written now; the rest follows with what is said next.
    fn write(&mut self, cx: &mut Context<'_>) {
        let (switch, io) = (&mut self.switch, &mut self.io);
        while let Some(Poll::Ready(Ok(_))) =
            switch.write_lane(self.lane, |output| io.poll_write_from(cx, output))
        {}
    }
}
