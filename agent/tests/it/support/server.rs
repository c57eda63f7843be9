//! The gRPC server that agents expose: a health service whose answers wait until a test lets them go.

use std::net::SocketAddr;

use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_server::{Health, HealthServer};
use hub_proto::grpc::health::v1::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::soon;

/// The service that `Check` answers for only when the test says so.
pub(crate) const HELD: &str = "held";

/// A server in this process, on a port of its own.
pub(crate) struct Upstream {
    pub(crate) address: String,
    arrivals: mpsc::Receiver<()>,
    gate: CancellationToken,
}

impl Upstream {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Serves what a listener accepts, for as long as the test's runtime lives.
    pub(crate) fn serve(listener: TcpListener) -> Self {
        let address: SocketAddr = listener.local_addr().unwrap();
        let (arrived, arrivals) = mpsc::channel(16);
        let gate = CancellationToken::new();
        let service = HealthServer::new(Held { arrived, gate: gate.clone() });
        let accepted = TcpIncoming::from(listener);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(accepted));
        Self { address: address.to_string(), arrivals, gate }
    }

    /// Waits until one more call has reached it.
    pub(crate) async fn arrival(&mut self) {
        soon(self.arrivals.recv()).await.unwrap();
    }

    /// Lets what is held go on: a check answers, a watch ends.
    pub(crate) fn release(&self) {
        self.gate.cancel();
    }
}

struct Held {
    arrived: mpsc::Sender<()>,
    gate: CancellationToken,
}

#[tonic::async_trait]
impl Health for Held {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if request.get_ref().service == HELD {
            self.arrived.try_send(()).unwrap();
            self.gate.cancelled().await;
        }
        Ok(Response::new(serving()))
    }

    /// Nobody asks.
    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("no list"))
    }

    /// Says something at once, then nothing more until it is released.
    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.arrived.try_send(()).unwrap();
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(Ok(serving())).unwrap();
        let gate = self.gate.clone();
        tokio::spawn(async move {
            tokio::select! { () = gate.cancelled() => {}, () = sender.closed() => {} }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse { status: ServingStatus::Serving.into() }
}
