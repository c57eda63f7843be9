//! Sends back what the case custom_metadata sends: tonic's services cannot add trailers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;

/// Comes back as a header.
pub(crate) const INITIAL: &str = "x-grpc-test-echo-initial";
/// Comes back as a trailer.
pub(crate) const TRAILING: &str = "x-grpc-test-echo-trailing-bin";

/// A service that echoes metadata around another one.
#[derive(Clone, Debug)]
pub(crate) struct Echo<S>(pub(crate) S);

impl<S: NamedService> NamedService for Echo<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Echo<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let header = pick(request.headers(), INITIAL);
        let trailer = pick(request.headers(), TRAILING);
        let response = self.0.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            response.headers_mut().extend(header);
            if trailer.is_empty() {
                return Ok(response);
            }
            Ok(response.map(|body| Body::new(body.with_trailers(end(trailer)))))
        })
    }
}

/// The header of one name.
fn pick(headers: &HeaderMap, name: &'static str) -> HeaderMap {
    let values = headers.get_all(name).iter().cloned();
    values.map(|value| (HeaderName::from_static(name), value)).collect()
}

fn end(trailer: HeaderMap) -> Ready<Option<Result<HeaderMap, tonic::Status>>> {
    ready(Some(Ok(trailer)))
}
