//! How a hub ends: a script with a deadline.

use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use tunnel::limits::CLOSING_TIMEOUT;
use tunnel::name::Name;

use crate::context::hub::Hub;
use crate::front::listener::Listener;
use crate::front::worker::Workers;
use crate::limits::MOVING_TIMEOUT;
use crate::observe::activity::What;

/// Ends the hub.
///
/// 1. `/readyz` says draining; connections are still accepted for a while, where balancers need it;
/// 2. nothing is accepted any more, and agents dial again: where another hub listens by now, they are there soon, which is
///    waited for where there are callers, here or at other hubs;
/// 3. then clients are told to do so (GOAWAY), and other hubs that no agent here takes new calls; running calls end, within
///    the drain timeout;
/// 4. what is left is told so and cut off, sessions are closed with 1001, and the threads end.
pub(crate) async fn drain(hub: &Hub, listener: Listener, workers: Workers) {
    let (delay, patience) = (hub.config.shutdown_delay, hub.config.drain_timeout);
    info!(timeout = ?patience, ?delay, "draining");
    hub.stop.begin_leaving();
    hub.activity.tell(None::<Name>, String::new(), What::HubDraining);
    // Whoever watches the hub's own health.
    hub.registry.changed();
    let _ = timeout(delay, listener.accept(&workers, hub)).await;
    listener.close(&workers, hub).await;
    hub.stop.begin_moving();
    let deadline = sleep(patience);
    if hub.registry.hubs() > 1 || !hub.clients.is_empty() {
        let _ = timeout(MOVING_TIMEOUT.min(patience / 2), moved(hub)).await;
    }
    hub.stop.begin_draining();
    hub.registry.tell_peers_of_all();
    hub.clients.close();
    hub.connections.close();
    tokio::select! {
        () = hub.clients.wait() => {}
        () = deadline => warn!(clients = hub.clients.len(), "drain timeout: cutting off what still runs"),
    }
    hub.stop.begin_closing();
    if timeout(CLOSING_TIMEOUT, hub.connections.wait()).await.is_err() {
        warn!("some connections did not close in time");
    }
    workers.join().await;
    info!("stopped");
}

/// Resolves when all agents are elsewhere; those that have gone are no more waited for than those that come.
async fn moved(hub: &Hub) {
    for session in hub.registry.sessions() {
        tokio::select! {
            () = session.link.has_moved() => {}
            () = session.link.over() => {}
        }
    }
}
