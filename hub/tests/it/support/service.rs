//! A tonic service with a method of each kind, and servers that offer it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Barrier, mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::body::Body;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, Streaming};
use tower_service::Service;

use super::grpc::Raw;

/// The full name of the service.
pub(crate) const SERVICE: &str = "test.v1.Test";
/// Calls at once that the servers take on one connection.
const STREAMS: u32 = 4096;

/// | method | does |
/// | --- | --- |
/// | `Echo` | each message back, as it comes; serves as unary and as bidirectional |
/// | `Join` | all messages as one |
/// | `Split` | each byte of the message as a message |
/// | `Fail` | a status with details, message and metadata that are hard to carry |
/// | `Meet` | answers once as many calls are here as the service was made for |
///
/// Metadata whose names begin with `x-` come back with the response head.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    meeting: Arc<Barrier>,
}

type Answers = mpsc::Sender<Result<Bytes, Status>>;

impl Test {
    pub(crate) fn new() -> Self {
        Self::meeting_of(1)
    }

    pub(crate) fn meeting_of(calls: usize) -> Self {
        Self { meeting: Arc::new(Barrier::new(calls)) }
    }

    /// With health, reflection and fluentd beside it.
    pub(crate) async fn routes(self) -> Routes {
        agent::builtin_services(None).add_service(self)
    }

    /// Serves it at a TCP port.
    pub(crate) async fn serve_tcp(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = self.routes().await;
        let server = Server::builder().max_concurrent_streams(STREAMS).add_routes(routes);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    /// Serves it at a unix socket.
    pub(crate) async fn serve_unix(self, path: &Path) {
        let listener = UnixListenerStream::new(UnixListener::bind(path).unwrap());
        let server = Server::builder().add_routes(self.routes().await);
        tokio::spawn(server.serve_with_incoming(listener));
    }

    async fn answer(
        &self,
        method: &str,
        mut messages: Streaming<Bytes>,
        answers: &Answers,
    ) -> Result<(), Status> {
        let mut all = Vec::new();
        while let Some(message) = messages.message().await? {
            match method {
                "Echo" => _ = answers.send(Ok(message)).await,
                "Split" => {
                    for byte in message {
                        _ = answers.send(Ok(Bytes::copy_from_slice(&[byte]))).await;
                    }
                }
                "Fail" => return Err(failure()),
                _ => all.extend(message),
            }
        }
        if method == "Meet" {
            self.meeting.wait().await;
        }
        if matches!(method, "Join" | "Meet") {
            _ = answers.send(Ok(all.into())).await;
        }
        Ok(())
    }
}

/// Details and metadata of every byte, a message that is not ASCII, and a `hub-reason` that nobody but the
/// hub may give.
pub(crate) fn failure() -> Status {
    let bytes: Bytes = (0..=255).collect();
    let mut metadata = MetadataMap::new();
    metadata.insert_bin("x-bytes-bin", tonic::metadata::MetadataValue::from_bytes(&bytes));
    metadata.insert("hub-reason", "limit".parse().unwrap());
    let message = "50 % too warm, \u{fc}berall\n";
    Status::with_details_and_metadata(Code::FailedPrecondition, message, bytes, metadata)
}

impl NamedService for Test {
    const NAME: &'static str = SERVICE;
}

impl Service<http::Request<Body>> for Test {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let method = Method { name, service: self.clone() };
        // On the wire every kind of method is two streams.
        Box::pin(async move { Ok(Grpc::new(Raw).streaming(method, request).await) })
    }
}

struct Method {
    name: String,
    service: Test,
}

impl StreamingService<Bytes> for Method {
    type Response = Bytes;
    type ResponseStream = ReceiverStream<Result<Bytes, Status>>;
    type Future =
        Pin<Box<dyn Future<Output = Result<Response<Self::ResponseStream>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (sender, receiver) = mpsc::channel(16);
        let (name, service) = (self.name.clone(), self.service.clone());
        let (metadata, _, messages) = request.into_parts();
        tokio::spawn(async move {
            if let Err(status) = service.answer(&name, messages, &sender).await {
                _ = sender.send(Err(status)).await;
            }
        });
        let mut response = Response::new(ReceiverStream::new(receiver));
        *response.metadata_mut() = echoed(&metadata);
        Box::pin(async move { Ok(response) })
    }
}

fn echoed(metadata: &MetadataMap) -> MetadataMap {
    let mut echoed = MetadataMap::new();
    for entry in metadata.iter() {
        match entry {
            KeyAndValueRef::Ascii(key, value) if key.as_str().starts_with("x-") => {
                echoed.append(key, value.clone());
            }
            KeyAndValueRef::Binary(key, value) => _ = echoed.append_bin(key, value.clone()),
            KeyAndValueRef::Ascii(..) => {}
        }
    }
    echoed
}
