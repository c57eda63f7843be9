//! One client's HTTP/2 connection: takes its calls, and takes leave when the hub drains.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tracing::debug;
use tunnel::box_io::BoxIo;
use tunnel::bridge;
use tunnel::limits::{
    CLIENT_DATA_FRAME_BUDGET, CLIENT_PENDING_RESETS, MAX_HEADER_LIST_READ, OFFENDER_PAUSE,
};

use crate::client::Client;
use crate::client::call;
use crate::client::flood_guard::{ClientGuard, Reading};
use crate::config::Config;
use crate::context::origin::Origin;
use crate::guard::growing_windows::GrowingWindows;
use crate::limits::{
    ACCEPT_TURN, CLIENT_BREACHES, CLIENT_RESET_MEMORY, CLIENT_RESETS_REMEMBERED, FAREWELL_TIMEOUT,
    HANDSHAKE_TIMEOUT,
};
use crate::observe::limit::Limit;

/// Serves the connection until the client closes it, or the hub must end.
///
/// On draining, the client is told to go elsewhere (GOAWAY) and running calls go on; the connection ends
/// by itself after the last of them. On closing, what still runs is cut off.
pub(crate) async fn serve(io: BoxIo, origin: Origin) {
    let (hub, peer) = (origin.hub.clone(), origin.peer);
    let _counted = hub.metrics.client_connection();
    let client = Client::new(origin);
    let io = GrowingWindows::on(io, 0, client.grants.clone());
    let (io, reading) = ClientGuard::on(io, &client);
    let mut connection = match timeout(HANDSHAKE_TIMEOUT, builder(&hub.config).handshake(io)).await
    {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return debug!(%peer, %error, "client connection failed"),
        Err(_) => {
            return debug!(%peer, error = "handshake too slow", "client connection failed");
        }
    };
    debug!(%peer, "client connected");
    match accept_calls(&mut connection, &reading, &client).await {
        Ok(()) => debug!(%peer, "client disconnected"),
        Err(error) => debug!(%peer, %error, "client disconnected"),
    }
}

/// Only accepts: to be polled is what drives the whole connection, so nothing else may wait in here.
async fn accept_calls(
    connection: &mut Connection<impl AsyncRead + AsyncWrite + Unpin, Bytes>,
    reading: &Reading,
    client: &Arc<Client>,
) -> Result<(), h2::Error> {
    let stop = &client.origin.stop;
    let (mut draining, mut closing) = (pin!(stop.draining()), pin!(stop.closing()));
    let mut flooded = pin!(reading.flooded());
    let mut drains = false;
    let mut begun = 0;
    let reason = loop {
        tokio::select! {
            biased;
            () = &mut closing => break Reason::NO_ERROR,
            () = &mut flooded => {
                client.reached(Limit::ClientFrames);
                break Reason::ENHANCE_YOUR_CALM;
            }
            () = &mut draining, if !drains => {
                connection.graceful_shutdown();
                drains = true;
            }
            accepted = poll_fn(|cx| poll_accept(connection, reading, cx)) => match accepted {
                Some(call) => {
                    let (request, respond) = call?;
                    tokio::spawn(call::serve(request, respond, client.clone()));
                    begun += 1;
                    if begun % ACCEPT_TURN == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                None => return Ok(()),
            },
        }
    };
    connection.abrupt_shutdown(reason);
    reading.go_on();
    let farewell = async { while let Some(Ok(_)) = connection.accept().await {} };
    // A client that does not read does not get to hear it; one that floods is left waiting before.
    let pause = if reason == Reason::NO_ERROR { Duration::ZERO } else { OFFENDER_PAUSE };
    let _ = timeout(pause + FAREWELL_TIMEOUT, farewell).await;
    Ok(())
}

/// A call, or the connection's end.
type Accepted = Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

/// The next call. No more is read before all in what was read are taken: h2 keeps those that are given up meanwhile,
/// and ends the connection when they are many.
fn poll_accept<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S, Bytes>,
    reading: &Reading,
    cx: &mut Context<'_>,
) -> Poll<Accepted> {
    let mut accepted = connection.poll_accept(cx);
    if accepted.is_pending() && reading.go_on() {
        accepted = connection.poll_accept(cx);
    }
    if accepted.is_ready() {
        reading.hold();
    }
    accepted
}

/// The HTTP/2 server that clients meet. Guards stand here, on the offender's own connection.
fn builder(config: &Config) -> Builder {
    let mut builder = bridge::server_builder();
    builder
        .initial_window_size(config.stream_window)
        .max_header_list_size(MAX_HEADER_LIST_READ)
        .max_concurrent_streams(config.max_calls)
        // The hub ends many at once when a session is lost. Frames that are on their way for streams that
        // it no longer remembers are breaches, too.
        .max_concurrent_reset_streams(CLIENT_RESETS_REMEMBERED * config.max_calls as usize)
        .reset_stream_duration(CLIENT_RESET_MEMORY)
        .max_local_error_reset_streams(Some(CLIENT_BREACHES))
        .max_pending_accept_reset_streams(CLIENT_PENDING_RESETS)
        .data_frame_budget(CLIENT_DATA_FRAME_BUDGET);
    builder
}
