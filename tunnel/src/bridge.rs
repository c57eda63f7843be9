//! Serves a tower service, such as tonic's `Routes`, on a raw `h2` stream.
//!
//! Raw `h2` because its flood guards can be set (hyper's and tonic's cannot); the service sees an
//! ordinary [`http_body::Body`].

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use tower_service::Service;

use crate::limits::{
    CONNECTION_WINDOW, LANE_RESET_MEMORY, MAX_FRAME_SIZE, MAX_SEND_BUFFER, STREAM_WINDOW,
};

/// What all HTTP/2 servers of ours have in common: windows and buffers. The guards against floods differ
/// by whom a connection is shared with, and are for the caller to set.
#[must_use]
pub fn server_builder() -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME_SIZE)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .reset_stream_duration(LANE_RESET_MEMORY);
    builder
}

/// The body of a request, read from its stream as the service asks for it.
#[derive(Debug)]
pub struct RequestBody {
    stream: RecvStream,
    data_ended: bool,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails only if a reset has given the capacity back already.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // "Stop sending, all is well" (RFC 9113 8.1): the end of what there is to read.
                Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => {
                    return Poll::Ready(None);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).transpose();
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// `grpc-status` of a response head or of trailers.
#[must_use]
pub fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Passes one request to `service` and sends its answer. The service's work is dropped as soon as the
/// client resets the stream.
///
/// # Errors
/// The client reset the stream or went away, or the body of the answer failed; the stream is then reset.
pub async fn serve<S, B>(
    mut service: S,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let request = request.map(|stream| RequestBody { stream, data_ended: false });
    let response = answer(&mut service, request, &mut respond).await?;
    let (head, body) = response.into_parts();
    let mut body = pin!(body);
    let bodyless = body.is_end_stream();
    let mut send = respond.send_response(Response::from_parts(head, ()), bodyless)?;
    if bodyless {
        return Ok(());
    }
    let trailers = send_body(body.as_mut(), &mut send).await?;
    send_end(&mut send, trailers)
}

/// The service's answer, unless the client resets the stream first.
async fn answer<S, B>(
    service: &mut S,
    request: Request<RequestBody>,
    respond: &mut SendResponse<Bytes>,
) -> Result<Response<B>, h2::Error>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
{
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let mut call = pin!(service.call(request));
    poll_fn(|cx| {
        if let Poll::Ready(reset) = respond.poll_reset(cx) {
            return Poll::Ready(Err(reset_error(reset)));
        }
        call.as_mut().poll(cx).map(|Ok(response)| Ok(response))
    })
    .await
}

/// Sends the data of `body`; returns the trailers that ended it.
async fn send_body<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    send: &mut SendStream<Bytes>,
) -> Result<Option<HeaderMap>, h2::Error> {
    while let Some(frame) = next_frame(body.as_mut(), send).await? {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                wait_for_capacity(send).await?;
                send.send_data(data, false)?;
            }
            Err(frame) => return Ok(frame.into_trailers().ok()),
        }
    }
    Ok(None)
}

async fn next_frame<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    send: &mut SendStream<Bytes>,
) -> Result<Option<Frame<Bytes>>, h2::Error> {
    poll_fn(|cx| {
        if let Poll::Ready(reset) = send.poll_reset(cx) {
            return Poll::Ready(Err(reset_error(reset)));
        }
        Poll::Ready(match ready!(body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => Ok(Some(frame)),
            None => Ok(None),
            Some(Err(_)) => {
                send.send_reset(Reason::INTERNAL_ERROR);
                Err(Reason::INTERNAL_ERROR.into())
            }
        })
    })
    .await
}

/// Waits until the window has room for a byte. The whole chunk then goes to `h2`, which holds what does
/// not fit: at most one chunk. Asking for the whole chunk instead costs throughput (hyper #4149).
async fn wait_for_capacity(send: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    send.reserve_capacity(1);
    poll_fn(|cx| {
        // `poll_capacity` tells of increases only, so what is already there comes first.
        while send.capacity() == 0 {
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return send.poll_reset(cx).map(|reset| Err(reset_error(reset))),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

fn send_end(send: &mut SendStream<Bytes>, trailers: Option<HeaderMap>) -> Result<(), h2::Error> {
    match trailers {
        Some(trailers) => send.send_trailers(trailers),
        None => send.send_data(Bytes::new(), true),
    }
}

fn reset_error(reset: Result<Reason, h2::Error>) -> h2::Error {
    reset.map_or_else(|error| error, h2::Error::from)
}
