//! The lanes that have shown agents' servers to be there: one for each agent, for a moment, or until a caller takes it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tunnel::lanes::Source;
use tunnel::limits::{OFFENDER_PAUSE, SETTINGS_TIMEOUT};

use super::open::{LaneOpener, silent};
use super::probe::{Probe, Sentinel};
use crate::limits::SENTINEL_KEPT;
use crate::observe::limit::{Limit, Limits};
use crate::registry::{Agent, OpenError, Session, Upstream};

/// By agent. A sentinel is as good as a new lane: nobody has called on it. What nobody takes goes back to the agent,
/// which watches its connection and tells when the server goes away.
#[derive(Debug)]
pub(crate) struct Sentinels {
    opener: Arc<LaneOpener>,
    limits: Arc<Limits>,
    /// Boxed: a map keeps its room, and for ten thousand agents that come back all at once this one's was 12 MB.
    kept: Mutex<HashMap<u64, Box<Probe>>>,
}

impl Sentinels {
    pub(crate) fn new(opener: &Arc<LaneOpener>, limits: &Arc<Limits>) -> Arc<Self> {
        Arc::new(Self { opener: opener.clone(), limits: limits.clone(), kept: Mutex::default() })
    }

    /// Finds out whether the upstream speaks HTTP/2, and tells the registry. The lane stays as a sentinel.
    ///
    /// # Errors
    /// It does not, or is not there.
    pub(crate) async fn probe(self: &Arc<Self>, session: &Arc<Session>) -> Result<(), OpenError> {
        let agent = &session.agent;
        let probe = async {
            Probe::begin(self.opener.open(session.clone(), Source::default()).await?).await
        };
        let probed = timeout(SETTINGS_TIMEOUT, probe).await;
        let probed = probed.unwrap_or_else(|_| Err(silent(agent)));
        self.opener.note(session, probed.as_ref().err());
        let probe = probed?;
        agent.note_max_streams(probe.max_streams());
        let lane = probe.lane();
        let before = self.kept.lock().insert(agent.id, Box::new(probe));
        drop(before);
        self.opener.registry.set_upstream(agent, Upstream::Up);
        tokio::spawn(self.clone().watch(agent.clone(), lane));
        Ok(())
    }

    /// The agent's sentinel, for a caller, if it is still alive.
    pub(crate) fn take(&self, agent: &Agent) -> Option<Sentinel> {
        let probe = self.kept.lock().remove(&agent.id)?;
        probe.into_sentinel()
    }

    /// Answers for a sentinel, for a moment. Then it leaves the connection to the agent: the hub keeps no HTTP/2 for who
    /// does not call.
    async fn watch(self: Arc<Self>, agent: Arc<Agent>, lane: u32) {
        let over = poll_fn(|cx| self.poll(&agent, lane, cx));
        let is_over = timeout(SENTINEL_KEPT, over).await.is_ok();
        let Some(mut probe) = self.take_this(&agent, lane) else { return };
        if !is_over {
            return probe.let_go();
        }
        if probe.is_flooded() {
            let peer = probe.session().link.peer;
            self.limits.reached(Limit::AgentFrames, peer, Some(&agent.name));
            // Or it would be back at once, with its session or on another lane.
            sleep(OFFENDER_PAUSE).await;
        }
        probe.leave().await;
    }

    /// The agent's sentinel, if it is this lane.
    fn take_this(&self, agent: &Agent, lane: u32) -> Option<Box<Probe>> {
        let mut kept = self.kept.lock();
        let is_it = kept.get(&agent.id).is_some_and(|probe| probe.lane() == lane);
        if is_it { kept.remove(&agent.id) } else { None }
    }

    /// Answers what the upstream says on this lane. Ready once it is no sentinel any more, or has ended.
    fn poll(&self, agent: &Agent, lane: u32, cx: &mut Context<'_>) -> Poll<()> {
        match self.kept.lock().get_mut(&agent.id).filter(|probe| probe.lane() == lane) {
            Some(probe) => probe.poll_over(cx),
            None => Poll::Ready(()),
        }
    }
}
