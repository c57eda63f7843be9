//! What another hub finds at the end of the lanes that it opens: an agent of this one, or what this one tells.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;
use tracing::debug;
use tunnel::box_io::BoxIo;
use tunnel::bridge;
use tunnel::lanes::{Lane, Lanes, Open, ResetCode, Role};
use tunnel::wire::CloseCode;
use tunnel::ws::Ended;

use super::hop;
use crate::context::hub::Hub;
use crate::lanes::Opened;
use crate::limits::{PEER_KEEPALIVE, PEER_LANES};
use crate::registry::OpenError;

/// Serves a connection to another hub to its end. Returns how that was.
pub(super) async fn serve(io: BoxIo, read: Bytes, hub: Arc<Hub>, worker: usize) -> Option<Ended> {
    let role = Role::Agent { max_lanes: PEER_LANES };
    let memory = hub.lane_memory.clone();
    let (driver, lanes, mut control) = tunnel::lanes::start(io, read, PEER_KEEPALIVE, role, memory);
    let mut driver = tokio::spawn(driver);
    let mut serving = std::pin::pin!(serve_lanes(&lanes, &hub, worker));
    let mut is_closing = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut driver => break,
            () = &mut serving => {}
            Some(_) = control.recv() => {}
            () = hub.stop.closing(), if !is_closing => {
                lanes.ws().close(CloseCode::GoingAway, "the hub is going away");
                is_closing = true;
            }
        }
    }
    lanes.ws().ended().cloned()
}

/// Serves the lanes, each in a task of its own. They end with the connection.
async fn serve_lanes(lanes: &Lanes, hub: &Arc<Hub>, worker: usize) {
    let mut serving = JoinSet::new();
    loop {
        tokio::select! {
            Some((lane, open)) = lanes.accept() => match open.agent {
                Some(number) => drop(serving.spawn(lead(lane, number, open, hub.clone(), worker))),
                None => drop(serving.spawn(tell(lane, hub.clone()))),
            },
            Some(_) = serving.join_next() => {}
            else => std::future::pending().await,
        }
    }
}

/// Leads to the agent of this number.
async fn lead(mut lane: Lane, number: u64, open: Open, hub: Arc<Hub>, worker: usize) {
    let Some(session) = hub.registry.session_of(number, worker) else {
        return lane.reset(ResetCode::Lost, "this hub has no such agent now");
    };
    // The hub ends after its callers', and other hubs'.
    let _counted = (hub.clients.token(), hub.metrics.lane_relayed());
    let opened = tokio::select! {
        opened = hub.lanes.open(session.clone(), open.source) => opened,
        () = poll_fn(|cx| lane.poll_gone(cx)) => return,
    };
    match opened {
        Ok(Opened { io, seat, under_way }) => {
            // Whether it has calls, the other hub knows.
            seat.set_busy(true);
            let spoken = || hub.lanes.note(&session, None);
            let failed = hop::relay(lane, io, &session.agent, (under_way, spoken)).await;
            if failed.is_some() {
                hub.lanes.note(&session, failed.as_ref());
            }
        }
        Err(error) => {
            hub.lanes.note(&session, Some(&error));
            lane.reset(code(&error), &error.to_string());
        }
    }
}

fn code(error: &OpenError) -> ResetCode {
    match error {
        OpenError::Unreachable(_) | OpenError::NotHttp2 | OpenError::Silent => {
            ResetCode::Unreachable
        }
        OpenError::Full => ResetCode::TooMany,
        OpenError::Lost => ResetCode::Lost,
    }
}

/// Serves what other hubs are told.
async fn tell(lane: Lane, hub: Arc<Hub>) {
    let mut connection = match bridge::server_builder().handshake(lane).await {
        Ok(connection) => connection,
        Err(error) => return debug!(%error, "another hub asks for nothing"),
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let services = hub.peer_services.clone();
        tokio::spawn(async move {
            // Whoever asked sees how it ended.
            let _ = bridge::serve(services, request, respond).await;
        });
    }
}
