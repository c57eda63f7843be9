//! test.v1.Echo: a method of each kind, for which only reflection has descriptors.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_types::{ErrorDetails, StatusExt as _};
use tower_service::Service;

/// As in proto/test/v1/messages.proto, but for the fields that no test sends.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ping {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(uint32, tag = "2")]
    count: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Pong {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(map = "string, string", tag = "2")]
    metadata: HashMap<String, String>,
}

/// How a stream of requests has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestsEnd {
    Complete,
    Cancelled,
}

/// The service. Tells how each stream of requests has ended.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    ends: mpsc::Sender<RequestsEnd>,
}

type Answers = ReceiverStream<Result<Pong, Status>>;

/// The service, and where it tells how streams of requests have ended.
pub(crate) fn echo() -> (Echo, mpsc::Receiver<RequestsEnd>) {
    let (ends, receiver) = mpsc::channel(16);
    (Echo { ends }, receiver)
}

/// The service's descriptors. What they import from google.protobuf is left out, as servers do.
pub(crate) fn descriptors() -> prost_types::FileDescriptorSet {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/proto");
    let mut compiler = protox::Compiler::new([root]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file("test/v1/echo.proto").unwrap();
    let mut set = compiler.file_descriptor_set();
    set.file.retain(|file| !file.name().starts_with("google/"));
    set
}

impl NamedService for Echo {
    const NAME: &'static str = "test.v1.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Method {
            name: request.uri().path().rsplit('/').next().unwrap().to_owned(),
            echo: self.clone(),
        };
        // On the wire every kind of method is two streams.
        let codec = ProstCodec::<Pong, Ping>::default();
        Box::pin(async move { Ok(Grpc::new(codec).streaming(method, request).await) })
    }
}

struct Method {
    name: String,
    echo: Echo,
}

impl StreamingService<Ping> for Method {
    type Response = Pong;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Ping>>) -> Self::Future {
        let (sender, receiver) = mpsc::channel(16);
        let (name, echo) = (self.name.clone(), self.echo.clone());
        tokio::spawn(async move {
            if let Err(status) = answer(&name, &echo, request, &sender).await {
                _ = sender.send(Err(status)).await;
            }
        });
        Box::pin(async move { Ok(Response::new(ReceiverStream::new(receiver))) })
    }
}

async fn answer(
    method: &str,
    echo: &Echo,
    request: Request<Streaming<Ping>>,
    answers: &mpsc::Sender<Result<Pong, Status>>,
) -> Result<(), Status> {
    let (metadata, _, mut pings) = request.into_parts();
    let metadata = as_text(&metadata);
    let mut texts = Vec::new();
    loop {
        let ping = match pings.message().await {
            Ok(Some(ping)) => ping,
            Ok(None) => break,
            Err(status) => {
                _ = echo.ends.send(RequestsEnd::Cancelled).await;
                return Err(status);
            }
        };
        match ping.text.as_str() {
            "hang" => pending().await,
            "fail" => return Err(failure()),
            _ => {}
        }
        let (text, metadata) = (ping.text.clone(), metadata.clone());
        let pong = Pong { text, metadata };
        let count = match method {
            "Unary" | "Chat" => 1,
            "Split" => ping.count,
            _ => 0,
        };
        for _ in 0..count {
            _ = answers.send(Ok(pong.clone())).await;
        }
        texts.push(ping.text);
    }
    _ = echo.ends.send(RequestsEnd::Complete).await;
    if method == "Join" {
        let text = texts.join("+");
        _ = answers.send(Ok(Pong { text, metadata })).await;
    }
    Ok(())
}

fn failure() -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("TOO_WARM", "example.org", [("max".into(), "30".into())]);
    let mut status = Status::with_error_details(Code::FailedPrecondition, "as asked", details);
    status.metadata_mut().insert("hub-reason", "limit".parse().unwrap());
    status
}

/// Binary values as they stand on the wire, in base64.
fn as_text(metadata: &MetadataMap) -> HashMap<String, String> {
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    metadata
        .iter()
        .map(|entry| match entry {
            KeyAndValueRef::Ascii(key, value) => (key.to_string(), text(value.as_bytes())),
            KeyAndValueRef::Binary(key, value) => (key.to_string(), text(value.as_encoded_bytes())),
        })
        .collect()
}
