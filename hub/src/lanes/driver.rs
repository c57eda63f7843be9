//! Drives the HTTP/2 of a lane to its end, and tells its owner how it ended.

use std::pin::pin;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use h2::Reason;
use h2::client::Connection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tracing::debug;
use tunnel::lanes::{LaneEnd, ResetCode};
use tunnel::limits::OFFENDER_PAUSE;

use super::context::LaneContext;
use super::lane::Lane;
use super::place::Place;
use super::watch::LaneWatch;
use crate::limits::{
    LANE_ENDED_LATELY, LANE_IDLE, LANE_IDLE_MIN, LANE_IDLE_SCARCE, LOGGED_MAX, SENTINEL_KEPT,
};
use crate::observe::activity::{LaneEvent, What};
use crate::observe::limit::Limit;
use crate::registry::{OpenLane as _, Registry, Session};

/// Drives the HTTP/2 of one lane.
pub(super) struct Driver {
    /// Who holds the lane may let it go, which is what ends it.
    pub(super) lane: Weak<Lane>,
    /// Its number in the session.
    pub(super) id: u32,
    pub(super) watch: LaneWatch,
    pub(super) context: Arc<LaneContext>,
    pub(super) session: Arc<Session>,
    /// Until its end.
    pub(super) place: Arc<Place>,
}

impl Driver {
    pub(super) async fn run<S>(self, connection: Connection<S, Bytes>, over: oneshot::Sender<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _counted = self.context.metrics.lane();
        tell(&self.session, &self.context.registry, None, What::LaneOpened);
        let ended = self.drive(connection).await;
        // The connection is gone by now, and with it the lane.
        self.settle(&ended);
        let error = ended.as_ref().err().map(shortened);
        let Self { place, session, context, .. } = self;
        drop(place);
        tell(&session, &context.registry, error, What::LaneEnded);
        let _ = over.send(());
    }

    async fn drive<S>(&self, connection: Connection<S, Bytes>) -> Result<(), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let agent = &self.session.agent;
        let reached =
            |limit| self.context.limits.reached(limit, self.session.peer, Some(&agent.name));
        let mut connection = pin!(connection);
        let mut look = pin!(sleep(LANE_IDLE_MIN));
        loop {
            tokio::select! {
                ended = &mut connection => return ended,
                () = self.watch.goaway() => self.retire_for_goaway(),
                () = self.watch.slowed() => reached(Limit::AgentHeads),
                () = self.watch.flooded() => {
                    reached(Limit::AgentFrames);
                    // Or it would be back at once, with its session or on another lane.
                    sleep(OFFENDER_PAUSE).await;
                    return Err(Reason::ENHANCE_YOUR_CALM.into());
                }
                () = &mut look => match self.look_after() {
                    Some(next) => look.as_mut().reset(next),
                    None => {
                        self.let_go();
                        return Ok(());
                    }
                },
            }
        }
    }

    /// The upstream takes no new calls on the lane; nothing else of the agent notices.
    fn retire_for_goaway(&self) {
        if let Some(lane) = self.lane.upgrade() {
            self.note_idle(&lane);
            lane.retire();
        }
    }

    /// Ends the lane when it has been idle for long. Returns when to look again; `None` if nobody has called on it.
    fn look_after(&self) -> Option<Instant> {
        let now = Instant::now();
        let agent = &self.session.agent;
        let limit = agent.idle.lock().limit(agent.lanes.len(), agent.lanes.max());
        let Some(lane) = self.lane.upgrade() else {
            return Some(now + LANE_IDLE);
        };
        let next = match lane.idle_since() {
            Some(since) if lane.owner().is_none() => {
                if now < since + SENTINEL_KEPT {
                    return Some(since + SENTINEL_KEPT);
                }
                // One that is not kept any more has just been taken.
                let is_kept = self.context.sentinels.forget(&lane);
                return (!is_kept).then_some(now + SENTINEL_KEPT);
            }
            Some(since) if now - since >= limit => {
                lane.retire();
                now + LANE_IDLE
            }
            Some(since) => since + limit,
            None => now + limit.min(LANE_IDLE_SCARCE),
        };
        Some(next)
    }

    /// Leaves the connection to the agent, which watches it: the hub keeps no HTTP/2 for who does not call.
    fn let_go(&self) {
        self.session.tunnel.reset(self.id, ResetCode::GoingAway, "nobody has called");
    }

    /// Learns for how long the upstream bears an idle connection.
    fn note_idle(&self, lane: &Lane) {
        if let Some(since) = lane.idle_since().filter(|_| lane.is_open()) {
            self.session.agent.idle.lock().ended_after(since.elapsed());
        }
    }

    /// Tells the lane's owner how it ended.
    fn settle(&self, ended: &Result<(), h2::Error>) {
        let Some(lane) = self.lane.upgrade() else {
            return;
        };
        if matches!(self.watch.end(), Some(LaneEnd::Finished { .. })) {
            self.note_idle(&lane);
        }
        lane.retire();
        self.context.sentinels.forget(&lane);
        let Some(owner) = lane.owner() else {
            return;
        };
        if let Some(why) = self.cause(&lane, ended) {
            let (peer, name) = (owner.peer(), &self.session.agent.name);
            self.context.limits.reached(Limit::UpstreamClosed, peer, Some(name));
            owner.closed_for_cause(why);
        }
        owner.wake();
    }

    /// What the upstream ended the lane for, if it was for something that its caller did.
    fn cause(&self, lane: &Lane, ended: &Result<(), h2::Error>) -> Option<String> {
        let busy = lane.calls() > 0;
        let lately = || lane.idle_since().is_none_or(|since| since.elapsed() < LANE_ENDED_LATELY);
        match ended {
            // C-core says INTERNAL_ERROR to a connection that was idle for long, which is nobody's fault.
            Err(error) if error.is_go_away() && error.is_remote() => {
                (busy || lately()).then(|| shortened(error))
            }
            _ if busy
                && !lane.has_answered()
                && matches!(self.watch.end(), Some(LaneEnd::Finished { .. })) =>
            {
                Some("it hung up and has answered nothing".to_owned())
            }
            _ => None,
        }
    }
}

/// Tells of a lane that was opened, or has ended.
fn tell(
    session: &Session,
    registry: &Registry,
    error: Option<String>,
    what: fn(LaneEvent) -> What,
) {
    let (agent, session, open) = (&session.agent, &session.id, session.agent.lanes.len());
    debug!(name = %agent.name, session, open, error, "lane");
    let what = what(LaneEvent { session: session.clone(), open, error });
    registry.tell(agent, what);
}

/// With the code by its name in RFC 9113 7. It may show what the upstream said in its GOAWAY, which can be much.
fn shortened(error: &h2::Error) -> String {
    let code = error.reason().map(|reason| format!("{reason:?}: ")).unwrap_or_default();
    format!("{code}{error}").chars().take(LOGGED_MAX).collect()
}
