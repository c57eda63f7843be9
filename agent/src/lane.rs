//! Serves one lane: by a connection to the upstream of its own, or by the services in this process.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::time::timeout;
use tracing::debug;
use tunnel::box_io::BoxIo;
use tunnel::lanes::{Lane, LaneEnd, ResetCode};

use crate::builtin;
use crate::config::Upstream;
use crate::limits::{LANE_DIAL_TIMEOUT, LANE_PLACE_PATIENCE};
use crate::places::Place;
use crate::relay::{RelayEnd, ignore, relay};
use crate::shared::Shared;
use crate::upstream::{UpstreamAddr, UpstreamError};

/// Serves a lane to its end.
pub(crate) async fn serve(lane: Lane, agent: Arc<Shared>) {
    // The hub may know sooner than the agent that another lane has ended.
    let Ok(Some(place)) = timeout(LANE_PLACE_PATIENCE, agent.places.take()).await else {
        return lane.reset(ResetCode::TooMany, "the agent has as many lanes as it takes");
    };
    match &agent.config.upstream {
        // The hub's record tells how its calls ended.
        Upstream::Services(routes) => drop(Box::pin(builtin::serve(lane, routes.clone())).await),
        Upstream::Server(addr) => connect(lane, addr, place, &agent).await,
    }
}

async fn connect(mut lane: Lane, addr: &UpstreamAddr, place: Place, agent: &Shared) {
    let dialled = tokio::select! {
        // In a box, which is gone when the lane is idle.
        dialled = Box::pin(dial(addr, agent)) => dialled,
        () = poll_fn(|cx| lane.poll_gone(cx)) => return,
    };
    let mut server = match dialled {
        Ok(server) => server,
        Err(error) => return refuse(lane, &error, addr, agent),
    };
    let live = agent.monitor.connected();
    let end = relay(&mut lane, &mut server).await;
    drop(place);
    if end == RelayEnd::Hub && is_let_go(&lane) {
        drop(lane);
        return agent.monitor.keep_watch(server, live).await;
    }
    drop((server, live));
    if end == RelayEnd::Upstream {
        agent.monitor.ended();
        ignore(lane).await;
    }
}

/// Whether the hub has had no use for it: its connection may stay as a sentinel.
fn is_let_go(lane: &Lane) -> bool {
    matches!(lane.status().end(), Some(LaneEnd::Reset { code: ResetCode::GoingAway, .. }))
}

/// Connects to the upstream: not many at once, so that a crowd of callers is no flood there.
pub(crate) async fn dial(addr: &UpstreamAddr, agent: &Shared) -> Result<BoxIo, UpstreamError> {
    let dialled = async {
        let _dialling = agent.monitor.dials();
        // Never closed.
        let _one = agent.dials.acquire().await;
        addr.connect(agent.tls().upstream.as_ref()).await
    };
    Ok(timeout(LANE_DIAL_TIMEOUT, dialled).await.map_err(|_| UpstreamError::Timeout)??)
}

fn refuse(lane: Lane, error: &UpstreamError, addr: &UpstreamAddr, agent: &Shared) {
    debug!(upstream = %addr, %error, "lane not served");
    let serves_others = agent.monitor.is_connected();
    let too_many = error.is_too_many(serves_others);
    let code = if too_many { ResetCode::TooMany } else { ResetCode::Unreachable };
    lane.reset(code, &format!("{addr}: {error}"));
    if !too_many || !serves_others {
        agent.monitor.failed(error, addr);
    }
}

#[cfg(test)]
mod tests;
