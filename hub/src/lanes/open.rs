//! Opens lanes on agents' sessions.

use std::sync::Arc;

use h2::client::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tunnel::lanes::{LaneEnd, Open, ResetCode, Source};
use tunnel::limits::{
    CONNECTION_WINDOW, LANE_RESET_MEMORY, MAX_FRAME_SIZE, MAX_SEND_BUFFER, SETTINGS_TIMEOUT,
};

use super::context::LaneContext;
use super::driver::Driver;
use super::lane::Lane;
use super::place::Place;
use super::sentinels::Sentinels;
use super::watch::LaneWatch;
use crate::guard::frames::PREFACE_BYTES;
use crate::guard::growing_windows::GrowingWindows;
use crate::guard::sieve::Sieve;
use crate::limits::{
    LANE_OPEN_PAUSE, LANE_PLACE_TIMEOUT, LANE_RESETS_REMEMBERED, LANES_OPENING,
    MAX_RESPONSE_HEADER_LIST_READ,
};
use crate::observe::limit::Limits;
use crate::observe::metrics::Metrics;
use crate::registry::{Agent, Registry, Session, Upstream};

/// Why there is no lane.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// The upstream takes no connections.
    #[error("the upstream is not reachable: {0}")]
    Unreachable(String),
    /// The agent, or its upstream, takes no more lanes now.
    #[error("the agent takes no more connections to its upstream now")]
    Full,
    /// The upstream speaks something else.
    #[error("the upstream does not speak HTTP/2")]
    NotHttp2,
    /// The upstream says nothing.
    #[error("the upstream sent no HTTP/2 SETTINGS in time")]
    Silent,
    /// The session is over.
    #[error("the session was lost")]
    Lost,
}

impl OpenError {
    /// The metrics' label.
    fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Full => "full",
            Self::NotHttp2 => "not-http2",
            Self::Silent => "silent",
            Self::Lost => "session-lost",
        }
    }
}

/// Opens lanes, and knows of those that no caller has yet.
#[derive(Debug)]
pub(crate) struct LaneOpener {
    pub(super) context: Arc<LaneContext>,
    /// Lanes that may be opened at once.
    under_way: Semaphore,
    /// Bytes of the window in which an upstream answers a call, at most.
    stream_window: u32,
}

impl LaneOpener {
    pub(crate) fn new(
        registry: &Arc<Registry>,
        limits: &Arc<Limits>,
        metrics: &Arc<Metrics>,
        stream_window: u32,
    ) -> Arc<Self> {
        Arc::new(Self {
            context: Arc::new(LaneContext {
                registry: registry.clone(),
                limits: limits.clone(),
                metrics: metrics.clone(),
                sentinels: Sentinels::default(),
            }),
            under_way: Semaphore::new(LANES_OPENING),
            stream_window,
        })
    }

    /// Finds out whether the upstream speaks HTTP/2, and tells the registry. The lane stays as a sentinel.
    ///
    /// # Errors
    /// It does not, or is not there.
    pub(crate) async fn probe(self: &Arc<Self>, session: &Arc<Session>) -> Result<(), OpenError> {
        let lane = self.open(session, Source::default()).await?;
        self.context.sentinels.keep(lane);
        self.context.registry.set_upstream(&session.agent, Upstream::Up);
        Ok(())
    }

    /// A lane of the agent that stands ready: its sentinel.
    pub(super) fn ready(&self, agent: &Agent) -> Option<Arc<Lane>> {
        self.context.sentinels.take(agent)
    }

    /// Opens a lane for `source` and waits until its upstream has spoken. What is learned of the upstream, the
    /// registry is told.
    ///
    /// # Errors
    /// There is none. Nothing of a call has been sent.
    pub(super) async fn open(
        self: &Arc<Self>,
        session: &Arc<Session>,
        source: Source,
    ) -> Result<Arc<Lane>, OpenError> {
        let agent = &session.agent;
        let opened = timeout(SETTINGS_TIMEOUT, self.try_open(session, source)).await;
        let opened = match opened.unwrap_or(Err(OpenError::Silent)) {
            // A server that serves its connections one after the other leaves the others silent.
            Err(OpenError::Silent) if agent.lanes.len() > 1 => Err(OpenError::Full),
            opened => opened,
        };
        self.context.metrics.lane_opened(opened.as_ref().err().map_or("opened", OpenError::label));
        match &opened {
            Ok(lane) => {
                if let Some(max) = lane.max_streams() {
                    agent.note_max_streams(max);
                }
                agent.lanes.has_room();
            }
            Err(OpenError::Full) => agent.lanes.is_full_now(),
            Err(OpenError::Unreachable(_)) => {
                self.context.registry.set_upstream(agent, Upstream::Down)
            }
            Err(_) => {}
        }
        opened
    }

    async fn try_open(
        self: &Arc<Self>,
        session: &Arc<Session>,
        source: Source,
    ) -> Result<Arc<Lane>, OpenError> {
        let agent = &session.agent;
        while !agent.opens.admit(source) {
            sleep(LANE_OPEN_PAUSE).await;
        }
        // Never closed.
        let _under_way = self.under_way.acquire().await;
        let place = timeout(LANE_PLACE_TIMEOUT, Place::take(session)).await;
        let place = Arc::new(place.map_err(|_| OpenError::Full)?);
        let io = session.tunnel.open(Open { source }).ok_or(OpenError::Lost)?;
        let (id, watch) = (io.id(), LaneWatch::new(io.status()));
        let io = GrowingWindows::on(io, PREFACE_BYTES, watch.grants.clone());
        let io = Sieve::on(io, watch.frames(), 0, PREFACE_BYTES);
        let handshake = builder(self.stream_window, agent.max_streams()).handshake(io).await;
        let (streams, connection) = handshake.map_err(|_| failure(&watch, agent))?;
        let lane = Lane::new(session.clone(), streams, watch.clone(), self.stream_window);
        let lane = Arc::new(lane);
        let (over, mut is_over) = oneshot::channel();
        let driver = Driver {
            lane: Arc::downgrade(&lane),
            id,
            watch: watch.clone(),
            context: self.context.clone(),
            session: session.clone(),
            place: place.clone(),
        };
        tokio::spawn(driver.run(connection, over));
        let is_http2 = tokio::select! {
            is_http2 = watch.spoken() => is_http2,
            _ = &mut is_over => return Err(failure(&watch, agent)),
        };
        if !is_http2 {
            return Err(OpenError::NotHttp2);
        }
        place.opened(&lane);
        Ok(lane)
    }
}

/// Why a lane ended before its upstream spoke.
fn failure(watch: &LaneWatch, agent: &Agent) -> OpenError {
    match watch.end() {
        Some(LaneEnd::Reset { code: ResetCode::Unreachable, reason, .. }) => {
            OpenError::Unreachable(reason.clone())
        }
        Some(LaneEnd::Reset { .. }) => OpenError::Full,
        Some(LaneEnd::Finished { .. }) if agent.lanes.len() > 1 => OpenError::Full,
        // Or HTTP/2 gave up by itself.
        Some(LaneEnd::Finished { .. }) | None => OpenError::NotHttp2,
        Some(LaneEnd::Lost) => OpenError::Lost,
    }
}

/// The HTTP/2 client of a lane. Its own guards are off where ours count better, see [`LaneWatch`].
fn builder(stream_window: u32, max_streams: usize) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(max_streams)
        .initial_window_size(stream_window)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME_SIZE)
        .max_header_list_size(MAX_RESPONSE_HEADER_LIST_READ)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .max_concurrent_reset_streams(LANE_RESETS_REMEMBERED)
        .reset_stream_duration(LANE_RESET_MEMORY)
        .max_local_error_reset_streams(None)
        .data_frame_budget(usize::MAX);
    builder
}
