//! What the hub's own services say to whoever has meant something else: an agent's server, or no gRPC.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tonic::Code;
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service;
use tunnel::bridge::RequestBody;
use tunnel::wire::{HUB_REASON, is_grpc};

use super::{REFLECTION, REFLECTION_ALPHA, service};
use crate::message::refusal::Refusal;

/// Behind what is said anyway.
const HINT: &str =
    "this is the hub itself: to reach the server of an agent, send the metadata `name`";

/// The services, with that hint where there is no such method, or no such symbol.
#[derive(Clone, Debug)]
pub(crate) struct Hinting(pub(crate) Routes);

impl Service<Request<RequestBody>> for Hinting {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<RequestBody>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        if !is_grpc(request.headers()) {
            return Box::pin(std::future::ready(Ok(no_grpc())));
        }
        let of = service(request.uri().path());
        let is_reflection = matches!(of, Some(REFLECTION | REFLECTION_ALPHA));
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            hint(response.headers_mut(), Code::Unimplemented);
            Ok(if is_reflection { response.map(hinting) } else { response })
        })
    }
}

/// gRPC-Web and Connect have been put in gRPC's words by now.
fn no_grpc() -> Response<Body> {
    let sentence = "the hub's own services speak gRPC, gRPC-Web and Connect\n";
    let mut response = Response::new(Body::new(Full::from(sentence)));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let reason = Refusal::BadRequest(String::new()).reason();
    headers.insert(HUB_REASON, HeaderValue::from_static(reason));
    response
}

/// Reflection says NOT_FOUND at the end of its stream.
fn hinting(body: Body) -> Body {
    Body::new(body.map_frame(|mut frame| {
        if let Some(trailers) = frame.trailers_mut() {
            hint(trailers, Code::NotFound);
        }
        frame
    }))
}

fn hint(fields: &mut HeaderMap, code: Code) {
    let told = fields.get("grpc-status").map(|told| Code::from_bytes(told.as_bytes()));
    if told != Some(code) {
        return;
    }
    let message = fields.get("grpc-message").and_then(|message| message.to_str().ok());
    // The hint is plain, and needs no percent encoding.
    let message = match message {
        Some(message) if !message.is_empty() => format!("{message}; {HINT}"),
        _ => HINT.to_owned(),
    };
    if let Ok(message) = HeaderValue::from_str(&message) {
        fields.insert("grpc-message", message);
    }
}
