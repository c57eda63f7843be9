//! A lane in memory from a client's HTTP/2 connection: its requests that are no plain HTTP/2, and WebSockets over it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{DuplexStream, duplex};
use tracing::debug;
use tunnel::limits::{CONNECTION_WINDOW, MAX_HEADER_LIST_READ, MAX_SEND_BUFFER};

use super::requests::{Requests, Sessions};
use crate::context::origin::Origin;
use crate::limits::{OWN_LANE_BYTES, WEB_STREAM_WINDOW};

/// Begins to serve them. `has_sessions` is set when an agent's session has begun among them.
pub(crate) fn serve(origin: Origin, has_sessions: Arc<AtomicBool>) -> DuplexStream {
    let (ours, theirs) = duplex(OWN_LANE_BYTES);
    tokio::spawn(run(theirs, origin, has_sessions));
    ours
}

async fn run(io: DuplexStream, origin: Origin, has_sessions: Arc<AtomicBool>) {
    let max_calls = origin.hub.config.max_calls;
    let requests = Requests::new(origin, Sessions::Beside(has_sessions));
    let answer = service_fn(move |request| {
        let requests = requests.clone();
        async move { Ok::<_, Infallible>(requests.answer(request).await) }
    });
    let connection = Builder::new(TokioExecutor::new())
        .enable_connect_protocol()
        .initial_stream_window_size(WEB_STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_LIST_READ)
        .max_concurrent_streams(max_calls)
        // The client's own connection has its guards.
        .max_pending_accept_reset_streams(usize::MAX)
        .max_local_error_reset_streams(None)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(io), answer);
    if let Err(error) = connection.await {
        debug!(%error, "requests in memory");
    }
}
