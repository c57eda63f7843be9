//! Services in the agent's own process, served on a lane as an upstream server would be.

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tonic::service::Routes;
use tunnel::bridge;
use tunnel::limits::{MAX_HEADER_LIST_READ, SETTINGS_TIMEOUT};

use crate::limits::{DATA_FRAME_BUDGET, MAX_SERVICE_STREAMS, PENDING_RESETS};

/// Serves `services` on `io`, whose other end is the hub's HTTP/2 client, until the hub closes it.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    services: Routes,
) -> Result<(), h2::Error> {
    let handshake = timeout(SETTINGS_TIMEOUT, builder().handshake(io)).await;
    let mut connection: Connection<S, Bytes> =
        handshake.map_err(|_| Reason::SETTINGS_TIMEOUT)??;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        let services = services.clone();
        tokio::spawn(async move {
            // The hub's record tells how the call ended; what a reset cut short is no news here.
            let _ = bridge::serve(services, request, respond).await;
        });
    }
    Ok(())
}

/// The HTTP/2 server of a lane. Its guards are those of the hub towards a client, for one caller has it to itself.
fn builder() -> Builder {
    let mut builder = bridge::server_builder();
    builder
        .max_header_list_size(MAX_HEADER_LIST_READ)
        .max_concurrent_streams(MAX_SERVICE_STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .data_frame_budget(DATA_FRAME_BUDGET);
    builder
}
