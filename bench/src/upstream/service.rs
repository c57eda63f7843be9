//! What the server does, by the last part of the path.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tonic::body::Body as TonicBody;
use tonic::server::NamedService;
use tower_service::Service;

/// Echoes, streams, or keeps its callers waiting.
#[derive(Clone)]
pub(crate) struct Bench;

impl NamedService for Bench {
    const NAME: &'static str = "bench.Bench";
}

/// One message of 16 KiB, as gRPC frames it.
const BULK: [u8; 16 << 10] = message();
/// Messages of 16 KiB in a download: 64 MiB.
const DOWNLOAD: usize = 4096;
/// One message of 20 bytes.
const DRIP: [u8; 25] = message();

const fn message<const N: usize>() -> [u8; N] {
    let mut message = [0; N];
    let length = (N as u32 - 5).to_be_bytes();
    let mut at = 0;
    while at < length.len() {
        message[at + 1] = length[at];
        at += 1;
    }
    message
}

impl<B> Service<Request<B>> for Bench
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    type Response = Response<TonicBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(async move { Ok(answer(request).await) })
    }
}

async fn answer<B: Body<Data = Bytes> + Unpin>(request: Request<B>) -> Response<TonicBody> {
    let (head, mut body) = request.into_parts();
    let answer = match head.uri.path().rsplit('/').next().unwrap_or_default() {
        "Echo" => Answer::Once(body.collect().await.ok().map(|body| body.to_bytes())),
        "Bulk" => Answer::Endless(Bytes::from_static(&BULK)),
        "Download" => Answer::Times(DOWNLOAD, Bytes::from_static(&BULK)),
        "Upload" => {
            while let Some(Ok(_)) = body.frame().await {}
            Answer::Once(None)
        }
        "Drip" => Answer::Endless(Bytes::from_static(&DRIP)),
        "Head" => Answer::Never,
        "Drain" => {
            while let Some(Ok(_)) = body.frame().await {}
            pending().await
        }
        // Hold and Sink: the request stays, unread.
        _ => {
            let _unread = body;
            pending().await
        }
    };
    let mut response = Response::new(TonicBody::new(answer));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
    response
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The body of an answer.
enum Answer {
    Once(Option<Bytes>),
    Times(usize, Bytes),
    Ended,
    Endless(Bytes),
    Never,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match &mut *self {
            Self::Never => return Poll::Pending,
            Self::Ended => return Poll::Ready(None),
            Self::Endless(message) => Frame::data(message.clone()),
            Self::Times(left @ 1.., message) => {
                *left -= 1;
                Frame::data(message.clone())
            }
            Self::Times(..) | Self::Once(None) => {
                *self = Self::Ended;
                Frame::trailers(HeaderMap::from_iter([(
                    GRPC_STATUS,
                    HeaderValue::from_static("0"),
                )]))
            }
            Self::Once(data) => Frame::data(data.take().unwrap_or_default()),
        };
        Poll::Ready(Some(Ok(frame)))
    }
}
