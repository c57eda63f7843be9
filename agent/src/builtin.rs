//! Services in the agent's own process, served on a session as an upstream server would be.

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tonic::service::Routes;
use tunnel::{bridge, limits};

/// Serves `services` on `io`, whose other end is the hub's HTTP/2 client, until the hub closes it.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    services: Routes,
) -> Result<(), h2::Error> {
    let handshake = timeout(limits::SETTINGS_TIMEOUT, builder().handshake(io)).await;
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

/// The HTTP/2 server of a session. All callers share it, so what one of them does (cancels in a storm,
/// sends in small pieces) must not trip a guard of the whole connection; the hub guards each caller.
fn builder() -> Builder {
    let mut builder = bridge::server_builder();
    builder
        .max_header_list_size(limits::MAX_HEADER_LIST_READ)
        .max_concurrent_streams(limits::MAX_SERVICE_STREAMS)
        .max_concurrent_reset_streams(limits::SESSION_RESETS_REMEMBERED)
        .max_pending_accept_reset_streams(limits::SESSION_RESETS_REMEMBERED)
        .max_local_error_reset_streams(None)
        .data_frame_budget(usize::MAX);
    builder
}
