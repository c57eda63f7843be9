//! A connection's calls, as HTTP/2 in memory: its other end is a client connection like any.

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::duplex;
use tokio::sync::Mutex;
use tracing::debug;
use tunnel::limits::{CONNECTION_WINDOW, MAX_RESPONSE_HEADER_LIST, MAX_SEND_BUFFER};

use super::body::Body;
use super::pending::Pending;
use crate::client::connection;
use crate::context::origin::Origin;
use crate::limits::{OWN_LANE_BYTES, WEB_RESETS_KEPT, WEB_STREAM_WINDOW};

/// Begins with the first call.
#[derive(Debug)]
pub(super) struct Calls {
    origin: Origin,
    streams: Mutex<Option<SendRequest<Body>>>,
}

impl Calls {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, streams: Mutex::default() }
    }

    /// Makes a call. To drop it, or its answer's body, is to give it up.
    ///
    /// # Errors
    /// The stream was reset, or the connection has ended, before there was an answer.
    pub(super) async fn call(
        &self,
        request: Request<Body>,
        pending: &mut Pending,
    ) -> hyper::Result<Response<Incoming>> {
        let mut streams = self.streams().await?;
        pending.is_passed_on(true);
        match streams.try_send_request(request).await {
            Ok(response) => Ok(response),
            Err(mut error) => {
                // What was not sent is no call.
                pending.is_passed_on(error.take_message().is_none());
                Err(error.into_error())
            }
        }
    }

    /// The connection; a new one, where the last has ended.
    async fn streams(&self) -> hyper::Result<SendRequest<Body>> {
        let mut place = self.streams.lock().await;
        if let Some(streams) = place.as_mut()
            && streams.ready().await.is_ok()
        {
            return Ok(streams.clone());
        }
        let streams = connect(&self.origin).await?;
        *place = Some(streams.clone());
        Ok(streams)
    }
}

async fn connect(origin: &Origin) -> hyper::Result<SendRequest<Body>> {
    let (near, far) = duplex(OWN_LANE_BYTES);
    tokio::spawn(connection::serve(Box::new(far), origin.clone(), None));
    let (streams, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WEB_STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_header_list_size(MAX_RESPONSE_HEADER_LIST)
        // One caller's cancelled calls do not end those of the others.
        .max_concurrent_reset_streams(WEB_RESETS_KEPT)
        .max_local_error_reset_streams(None)
        .handshake(TokioIo::new(near))
        .await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "calls in memory");
        }
    });
    Ok(streams)
}

/// How a stream was reset, if that is what an error tells.
pub(super) fn reset(error: &(dyn std::error::Error + 'static)) -> Option<h2::Reason> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            return h2.reason();
        }
        next = error.source();
    }
    None
}
