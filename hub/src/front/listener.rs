//! Accepts connections.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::warn;

use crate::context::hub::Hub;
use crate::front::worker::Workers;
use crate::limits::ACCEPT_PAUSE;
use crate::observe::limit::Limit;

/// Accepts connections and hands them to the workers, for ever. A failed accept passes (the peer has left
/// already, file descriptors are short for a moment), so it ends nothing.
pub(crate) async fn accept(listener: TcpListener, workers: &Workers, hub: &Hub) {
    loop {
        let accepted = listener.accept().await;
        match accepted.and_then(|(socket, peer)| Ok((socket.into_std()?, canonical(peer)))) {
            Ok((_, peer)) if workers.connections() >= hub.config.max_connections => {
                hub.limits.reached(Limit::Connections, peer, None);
            }
            Ok((socket, peer)) => workers.assign(socket, peer).await,
            Err(error) => {
                warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A dual-stack socket shows IPv4 peers as `::ffff:1.2.3.4`.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
