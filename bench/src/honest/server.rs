//! tonic as the server behind the agent: echoes messages and streams, and tells when a caller is gone.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::SystemTime;

use anyhow::Result;
use bench::role::{announce, wait_for_end_of_input};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use tokio::net::TcpListener;
use tokio::runtime;
use tonic::body::Body as TonicBody;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower_service::Service;

use crate::caller::message;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Sends back what comes as it comes; a unary call is a short stream.
pub(crate) const ECHO: &str = "/honest.Honest/Echo";
/// Answers with one message at once, and then never again.
pub(crate) const HOLD: &str = "/honest.Honest/Hold";

/// Serves until standard input ends.
pub(crate) fn run(streams: Option<u32>, address: SocketAddr) -> Result<()> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    thread::spawn(move || {
        let result = runtime.block_on(serve(streams, address));
        announce(&format!("failed: {result:?}"));
    });
    wait_for_end_of_input()
}

async fn serve(streams: Option<u32>, address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    announce(&format!("listening {}", listener.local_addr()?));
    // As where tonic listens itself.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder().max_concurrent_streams(streams).add_service(Honest);
    Ok(server.serve_with_incoming(incoming).await?)
}

#[derive(Clone)]
struct Honest;

impl NamedService for Honest {
    const NAME: &'static str = "honest.Honest";
}

impl<B> Service<Request<B>> for Honest
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Response = Response<TonicBody>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let number = request.headers().get("x-call").cloned();
        let body = if request.uri().path() == HOLD {
            TonicBody::new(Held { first: Some(message(1)), number })
        } else {
            TonicBody::new(Echo(Some(request.into_body())))
        };
        let mut response = Response::new(body);
        let head = response.headers_mut();
        let grpc = HeaderValue::from_static("application/grpc");
        head.insert(http::header::CONTENT_TYPE, grpc);
        head.insert("x-server", std::process::id().into());
        std::future::ready(Ok(response))
    }
}

/// What comes, and then success.
struct Echo<B>(Option<B>);

impl<B: Body<Data = Bytes> + Unpin> Body for Echo<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(request) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(request).poll_frame(cx));
        if frame.is_some() {
            return Poll::Ready(frame);
        }
        self.0 = None;
        let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::from_iter([status])))))
    }
}

/// A message, and then nothing.
struct Held {
    first: Option<Bytes>,
    /// By which its end is told.
    number: Option<HeaderValue>,
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Poll::Pending,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let number = self.number.as_ref().and_then(|number| number.to_str().ok());
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        if let Some(number) = number {
            announce(&format!("gone {number} {}", now.as_nanos()));
        }
    }
}
