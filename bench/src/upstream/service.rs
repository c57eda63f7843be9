//! What the server does, by the last part of the path.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bench::message::zeros;
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

/// Bytes of the longest message that is made for somebody who asks for it.
const LONGEST: u32 = 4 << 20;

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

async fn answer<B>(request: Request<B>) -> Response<TonicBody>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    let (head, mut body) = request.into_parts();
    let answer: Answer<B> = match head.uri.path().rsplit('/').next().unwrap_or_default() {
        "Echo" => Answer::Once(body.collect().await.ok().map(|body| body.to_bytes())),
        "Bulk" => Answer::Endless(Bytes::from_static(&BULK)),
        "Download" => Answer::Times(DOWNLOAD, Bytes::from_static(&BULK)),
        "Upload" => {
            while let Some(Ok(_)) = body.frame().await {}
            Answer::Once(None)
        }
        "Answer" => {
            while let Some(Ok(_)) = body.frame().await {}
            asked_for(&head.headers)
        }
        "Mirror" => Answer::Mirror(body),
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

/// As many messages as `x-messages` says, else one, each of `x-bytes` bytes, else none.
fn asked_for<B>(head: &HeaderMap) -> Answer<B> {
    let number = |name| head.get(name)?.to_str().ok()?.parse::<u32>().ok();
    let length = number("x-bytes").unwrap_or_default().min(LONGEST);
    Answer::Times(number("x-messages").unwrap_or(1) as usize, zeros(length))
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The body of an answer.
enum Answer<B> {
    /// The request, as it comes.
    Mirror(B),
    Once(Option<Bytes>),
    Times(usize, Bytes),
    Ended,
    Endless(Bytes),
    Never,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match &mut *self {
            Self::Mirror(request) => loop {
                match ready!(Pin::new(&mut *request).poll_frame(cx)) {
                    // Nobody is to get empty ones: some take them for a flood.
                    Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
                    Some(Ok(frame)) if frame.is_data() => break frame,
                    Some(Ok(_)) | None => {
                        *self = Self::Ended;
                        break all_is_well();
                    }
                    // An answer without a status says that it is not whole.
                    Some(Err(_)) => return Poll::Ready(None),
                }
            },
            Self::Never => return Poll::Pending,
            Self::Ended => return Poll::Ready(None),
            Self::Endless(message) => Frame::data(message.clone()),
            Self::Times(left @ 1.., message) => {
                *left -= 1;
                Frame::data(message.clone())
            }
            Self::Times(..) | Self::Once(None) => {
                *self = Self::Ended;
                all_is_well()
            }
            Self::Once(data) => Frame::data(data.take().unwrap_or_default()),
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

fn all_is_well() -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]))
}
