//! Opens lanes on agents' sessions.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use http2::error::Reason;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};
use tunnel::lanes::{Lane, LaneEnd, ResetCode, Source};

use super::seat::Seat;
use crate::limits::{LANE_OPEN_PAUSE, LANE_PLACE_TIMEOUT, LOGGED_MAX, PEER_LANES};
use crate::observe::metrics::Metrics;
use crate::registry::{Agent, OpenError, Registry, Session, Upstream};

/// Of an upstream that says nothing: one that serves its connections one after the other leaves the others silent.
pub(crate) fn silent(agent: &Agent) -> OpenError {
    if agent.lanes.len() > 1 { OpenError::Full } else { OpenError::Silent }
}

/// A lane whose upstream has not spoken yet.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) io: Lane,
    pub(crate) seat: Seat,
    /// Until the upstream has spoken.
    pub(crate) under_way: OwnedSemaphorePermit,
}

/// Opens lanes.
#[derive(Debug)]
pub(crate) struct LaneOpener {
    pub(super) registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    /// By what sources are renumbered.
    renumbered: RandomState,
}

impl LaneOpener {
    pub(crate) fn new(registry: &Arc<Registry>, metrics: &Arc<Metrics>) -> Arc<Self> {
        let (registry, metrics) = (registry.clone(), metrics.clone());
        Arc::new(Self { registry, metrics, renumbered: RandomState::new() })
    }

    /// Opens a lane for `source`. Whether there is an upstream is not known yet.
    ///
    /// # Errors
    /// There is no place for it, or the session is over.
    pub(crate) async fn open(
        &self,
        session: Arc<Session>,
        source: Source,
    ) -> Result<Opened, OpenError> {
        if !session.is_local() && session.link.lanes() >= PEER_LANES {
            return Err(OpenError::Full);
        }
        while !session.agent.opens.admit(source) {
            sleep(LANE_OPEN_PAUSE).await;
        }
        let place = async {
            let under_way = session.agent.lanes.turn().await.ok_or(OpenError::Lost)?;
            Ok((under_way, Seat::take(&session, &self.registry, &self.metrics).await))
        };
        let place = timeout(LANE_PLACE_TIMEOUT, place).await.map_err(|_| OpenError::Full)?;
        let (under_way, seat) = place?;
        let io = session.open(self.told(&session, source)).ok_or(OpenError::Lost)?;
        Ok(Opened { io, seat, under_way })
    }

    /// The source as the other end is told of it. Another hub tells it from others as this one does; an agent gets numbers that
    /// mean nothing elsewhere, for those that hubs have in common are made with what is secret.
    fn told(&self, session: &Session, source: Source) -> Source {
        if session.is_local() { Source(self.renumbered.hash_one(source)) } else { source }
    }

    /// Notes what came of opening a lane on the session: its upstream has spoken, or why there is none.
    pub(crate) fn note(&self, session: &Session, error: Option<&OpenError>) {
        self.metrics.lane_opened(error.map_or("opened", OpenError::label));
        let agent = &session.agent;
        match error {
            None => agent.lanes.has_room(),
            Some(OpenError::Full) => agent.lanes.is_full_now(),
            // Of an agent that is elsewhere, its own hub says it.
            Some(OpenError::Unreachable(_)) if session.is_local() => {
                self.registry.set_upstream(agent, Upstream::Down);
            }
            Some(_) => {}
        }
    }
}

/// What an upstream said in its GOAWAY, which can be much.
pub(crate) fn said(reason: Reason, debug: &[u8]) -> String {
    let said = format!("{reason}: {}", String::from_utf8_lossy(debug));
    said.trim_end_matches([':', ' ']).chars().take(LOGGED_MAX).collect()
}

/// Why a lane ended before its upstream spoke.
pub(crate) fn failure(io: &Lane, agent: &Agent) -> OpenError {
    match io.status().end() {
        Some(LaneEnd::Reset { code: ResetCode::Unreachable, reason, .. }) => {
            OpenError::Unreachable(reason.clone())
        }
        Some(LaneEnd::Reset { code: ResetCode::Lost, .. }) => OpenError::Lost,
        Some(LaneEnd::Reset { .. }) => OpenError::Full,
        Some(LaneEnd::Finished { .. }) if agent.lanes.len() > 1 => OpenError::Full,
        // Or HTTP/2 gave up by itself.
        Some(LaneEnd::Finished { .. }) | None => OpenError::NotHttp2,
        Some(LaneEnd::Lost { .. }) => OpenError::Lost,
    }
}
