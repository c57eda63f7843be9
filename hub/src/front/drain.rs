//! How a hub ends: a script with a deadline.

use tokio::time::timeout;
use tracing::{info, warn};
use tunnel::limits::CLOSING_TIMEOUT;

use crate::context::hub::Hub;
use crate::front::worker::Workers;

/// Ends the hub. By now nothing is accepted any more. Then
///
/// 1. `/readyz` says draining, clients get GOAWAY, agents are told to dial elsewhere;
/// 2. running calls end, within the drain timeout;
/// 3. what is left is cut off, sessions are closed with 1001, and the threads end.
pub(crate) async fn drain(hub: &Hub, workers: Workers) {
    info!(timeout = ?hub.config.drain_timeout, "draining");
    hub.stop.begin_draining();
    hub.clients.close();
    hub.connections.close();
    if timeout(hub.config.drain_timeout, hub.clients.wait()).await.is_err() {
        warn!(clients = hub.clients.len(), "drain timeout: cutting off what still runs");
    }
    hub.stop.begin_closing();
    if timeout(CLOSING_TIMEOUT, hub.connections.wait()).await.is_err() {
        warn!("some connections did not close in time");
    }
    workers.join().await;
    info!("stopped");
}
