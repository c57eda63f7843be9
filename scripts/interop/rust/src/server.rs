//! grpc.testing.TestService.

use std::fs;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::cases::{len, zeros};
use crate::echo::Echo;
use crate::testing::test_service_server::{TestService, TestServiceServer};
use crate::testing::{
    EchoStatus, Empty, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use crate::{ServerArgs, say};

type Answer = Result<StreamingOutputCallResponse, Status>;

/// Serves until it is killed.
///
/// # Errors
///
/// The certificate is no good, or it cannot listen.
pub(crate) async fn run(args: &ServerArgs) -> anyhow::Result<()> {
    let mut server = Server::builder();
    if let (Some(cert), Some(key)) = (&args.tls_cert_file, &args.tls_key_file) {
        let identity = Identity::from_pem(fs::read(cert)?, fs::read(key)?);
        server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(format_args!("READY {}", listener.local_addr()?));
    let service = Echo(TestServiceServer::new(Interop));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(server.add_service(service).serve_with_incoming(incoming).await?)
}

/// The service.
struct Interop;

#[async_trait]
impl TestService for Interop {
    type StreamingOutputCallStream = ReceiverStream<Answer>;
    type FullDuplexCallStream = ReceiverStream<Answer>;

    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let request = request.into_inner();
        end_if_asked(request.response_status)?;
        Ok(Response::new(SimpleResponse { payload: zeros(size(request.response_size)?) }))
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let (mut requests, mut sum) = (request.into_inner(), 0);
        while let Some(request) = requests.message().await? {
            sum += len(request.payload) as i32;
        }
        Ok(Response::new(StreamingInputCallResponse { aggregated_payload_size: sum }))
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Self::StreamingOutputCallStream>, Status> {
        let (answers, outgoing) = mpsc::channel(1);
        tokio::spawn(async move {
            if let Err(status) = answer(request.into_inner(), &answers).await {
                let _gone = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Self::FullDuplexCallStream>, Status> {
        let (answers, outgoing) = mpsc::channel(1);
        tokio::spawn(async move {
            if let Err(status) = answer_all(request.into_inner(), &answers).await {
                let _gone = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("it is meant to be missing"))
    }
}

/// Answers each request before it reads the next.
async fn answer_all(
    mut requests: Streaming<StreamingOutputCallRequest>,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), Status> {
    while let Some(request) = requests.message().await? {
        answer(request, answers).await?;
    }
    Ok(())
}

/// Sends the messages that a request asks for.
async fn answer(
    request: StreamingOutputCallRequest,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), Status> {
    end_if_asked(request.response_status)?;
    for wanted in request.response_parameters {
        tokio::time::sleep(Duration::from_micros(wanted.interval_us.max(0) as u64)).await;
        let answer = StreamingOutputCallResponse { payload: zeros(size(wanted.size)?) };
        answers.send(Ok(answer)).await.map_err(|_| Status::cancelled("the caller is gone"))?;
    }
    Ok(())
}

fn end_if_asked(status: Option<EchoStatus>) -> Result<(), Status> {
    status.map_or(Ok(()), |status| Err(Status::new(status.code.into(), status.message)))
}

fn size(wanted: i32) -> Result<usize, Status> {
    usize::try_from(wanted).map_err(|_| Status::invalid_argument("a negative size"))
}
