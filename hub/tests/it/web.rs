//! Callers that do not speak gRPC over HTTP/2: browsers' protocols, HTTP/1.1, and agents behind fronts that speak HTTP/2.

mod connect;
mod grpc_web;
mod http1;
mod pages;
mod websocket;

use http::{HeaderValue, Method, Request};

use crate::support::NAME;
use crate::support::agent::{Agent, config, server};
use crate::support::hub::Hub;
use crate::support::message::plain;
use crate::support::service::Test;

/// A hub, and an agent of a tonic server.
async fn served(hub: hub::Config) -> (Hub, Agent) {
    let hub = Hub::start_with(hub).await;
    let address = Test::new().serve_tcp().await;
    let agent = Agent::start(config(&hub, server(address)));
    hub.until_serving(NAME).await;
    (hub, agent)
}

/// The head of a request of this content type for [`NAME`].
fn asks(path: &str, kind: &'static str) -> Request<()> {
    let mut request = plain(Method::POST, NAME, path);
    request.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    request
}
