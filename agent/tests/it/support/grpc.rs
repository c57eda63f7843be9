//! gRPC clients of a hub.

use std::net::SocketAddr;

use hub_proto::grpc::health::v1::HealthCheckRequest;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_client::HealthClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::{PATIENCE, soon};

/// A client of the health services behind one hub connection: the hub's own and every agent's.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) channel: Channel,
    token: Option<String>,
}

impl Caller {
    /// Connects to a hub.
    pub(crate) async fn connect(hub: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{hub}")).unwrap();
        Self { channel: soon(endpoint.connect()).await.unwrap(), token: None }
    }

    /// Sends a caller's token with every call from now on.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// A client of the health service.
    pub(crate) fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel.clone())
    }

    /// A message for the agent of this name, or for the hub itself if that is empty.
    pub(crate) fn request<T>(&self, name: &str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(PATIENCE);
        if !name.is_empty() {
            request.metadata_mut().insert("name", name.parse().unwrap());
        }
        if let Some(token) = &self.token {
            request.metadata_mut().insert("hub-token", token.parse().unwrap());
        }
        request
    }

    /// Asks the agent of this name for the health of one of its services.
    pub(crate) async fn check(&self, name: &str, service: &str) -> Result<(), Status> {
        let request = self.request(name, about(service));
        soon(self.health().check(request)).await.map(drop)
    }

    /// Whether the hub has somebody to serve the name, as its own health service tells.
    pub(crate) async fn is_registered(&self, name: &str) -> bool {
        let asked = self.request("", about(name));
        match soon(self.health().check(asked)).await {
            Ok(answer) => answer.get_ref().status() == ServingStatus::Serving,
            Err(status) if status.code() == Code::NotFound => false,
            Err(status) => panic!("{status:?}"),
        }
    }
}

/// A question about a service's health.
pub(crate) fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// The hub's `hub-reason`, or nothing.
pub(crate) fn reason(status: &Status) -> Option<&str> {
    status.metadata().get("hub-reason").and_then(|reason| reason.to_str().ok())
}
