//! Serves one lane: by a connection to the upstream of its own, or by the services in this process.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::time::timeout;
use tracing::debug;
use tunnel::lanes::{Lane, LaneEnd, Open, ResetCode};

use crate::builtin;
use crate::exposed::Upstream;
use crate::limits::LANE_PLACE_PATIENCE;
use crate::metrics::LaneRefused;
use crate::places::Place;
use crate::reach::Reach;
use crate::relay::{RelayEnd, ignore, relay};
use crate::shared::Shared;
use crate::upstream::{UpstreamAddr, UpstreamError};

/// Serves a lane to its end.
pub(crate) async fn serve(lane: Lane, open: Open, agent: Arc<Shared>) {
    // An agent leads to no other one.
    let reach = agent.reaches.get(usize::from(open.nth)).filter(|_| open.agent.is_none());
    let Some(reach) = reach else {
        return lane.reset(ResetCode::Protocol, "the agent has no such name");
    };
    // The hub may know sooner than the agent that another lane has ended.
    let Ok(Some(place)) = timeout(LANE_PLACE_PATIENCE, reach.places.take()).await else {
        reach.metrics.lane_refused(LaneRefused::MaxLanes);
        return lane.reset(ResetCode::TooMany, "the agent has as many lanes as it takes");
    };
    match &reach.exposed.upstream {
        // The hub's record tells how its calls ended.
        Upstream::Services(routes) => {
            let _open = reach.metrics.lane_opened();
            drop(Box::pin(builtin::serve(lane, routes.clone())).await);
        }
        Upstream::Server(addr) => connect(lane, addr, place, reach).await,
    }
}

async fn connect(mut lane: Lane, addr: &UpstreamAddr, place: Place, reach: &Reach) {
    let dialled = tokio::select! {
        // In a box, which is gone when the lane is idle.
        dialled = Box::pin(reach.dial(addr)) => dialled,
        () = poll_fn(|cx| lane.poll_gone(cx)) => {
            return reach.metrics.lane_refused(LaneRefused::GivenUp);
        }
    };
    let mut server = match dialled {
        Ok(server) => server,
        Err(error) => return refuse(lane, &error, addr, reach),
    };
    let live = reach.monitor.connected();
    let open = reach.metrics.lane_opened();
    let end = relay(&mut lane, &mut server, reach.metrics.meters()).await;
    drop((place, open));
    if end == RelayEnd::Hub && is_let_go(&lane) {
        drop(lane);
        return reach.monitor.keep_watch(server, live).await;
    }
    drop((server, live));
    if end == RelayEnd::Upstream {
        reach.monitor.ended();
        ignore(lane).await;
    }
}

/// Whether the hub has had no use for it: its connection may stay as a sentinel.
fn is_let_go(lane: &Lane) -> bool {
    matches!(lane.status().end(), Some(LaneEnd::Reset { code: ResetCode::GoingAway, .. }))
}

fn refuse(lane: Lane, error: &UpstreamError, addr: &UpstreamAddr, reach: &Reach) {
    debug!(upstream = %addr, %error, "lane not served");
    let serves_others = reach.monitor.is_connected();
    let too_many = error.is_too_many(serves_others);
    let (code, refused) = match too_many {
        true => (ResetCode::TooMany, LaneRefused::TooMany),
        false => (ResetCode::Unreachable, LaneRefused::Unreachable),
    };
    reach.metrics.lane_refused(refused);
    lane.reset(code, &format!("{addr}: {error}"));
    if !too_many || !serves_others {
        reach.monitor.failed(error, addr);
    }
}

#[cfg(test)]
mod tests;
