//! The hub's own services: an HTTP/2 server at the end of a lane in memory, one for each caller of a connection.

use std::sync::Arc;

use tokio::io::{DuplexStream, duplex};
use tracing::debug;
use tunnel::bridge;
use tunnel::limits::MAX_HEADER_LIST_READ;

use crate::config::auth::Caller;
use crate::context::hub::Hub;
use crate::context::origin::Origin;
use crate::limits::OWN_LANE_BYTES;
use crate::services::hint::Hinting;
use crate::services::visit::Visit;

/// Begins to serve a caller; nobody in particular, if it has no good token.
pub(super) fn serve(origin: &Origin, caller: Option<Caller>) -> DuplexStream {
    let (ours, theirs) = duplex(OWN_LANE_BYTES);
    let visit = Visit::new(origin.peer, origin.hub.doors.watch(origin.worker));
    tokio::spawn(run(theirs, origin.hub.clone(), visit, caller));
    ours
}

async fn run(io: DuplexStream, hub: Arc<Hub>, visit: Visit, caller: Option<Caller>) {
    let mut builder = bridge::server_builder();
    let handshake = builder.max_header_list_size(MAX_HEADER_LIST_READ).handshake(io).await;
    let mut connection = match handshake {
        Ok(connection) => connection,
        Err(error) => return debug!(%error, "own services"),
    };
    while let Some(accepted) = connection.accept().await {
        let Ok((mut request, respond)) = accepted else { return };
        if let Some(caller) = &caller {
            request.extensions_mut().insert(caller.clone());
        }
        request.extensions_mut().insert(visit.clone());
        let services = Hinting(hub.services.clone());
        tokio::spawn(async move {
            // How it ended, the switch has seen.
            let _ = bridge::serve(services, request, respond).await;
        });
    }
}
