//! A call of FullDuplexCall, whose requests are sent one by one.

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use crate::cases::{expect, len, zeros};
use crate::testing::test_service_client::TestServiceClient;
use crate::testing::{ResponseParameters, StreamingOutputCallRequest, StreamingOutputCallResponse};

type Replies = Response<Streaming<StreamingOutputCallResponse>>;

/// The call. To drop it is to cancel it.
pub(crate) struct Duplex {
    requests: mpsc::Sender<StreamingOutputCallRequest>,
    opening: Option<JoinHandle<Result<Replies, Status>>>,
    header: MetadataMap,
    replies: Option<Streaming<StreamingOutputCallResponse>>,
}

impl Duplex {
    /// Opens the call beside the caller: a server may send its header with its first answer, which
    /// waits for a request.
    pub(crate) fn open(request: Request<()>, mut stub: TestServiceClient<Channel>) -> Self {
        let (requests, outgoing) = mpsc::channel(1);
        let request = request.map(|()| ReceiverStream::new(outgoing));
        let call = async move { stub.full_duplex_call(request).await };
        let opening = Some(tokio::spawn(call));
        Self { requests, opening, header: MetadataMap::new(), replies: None }
    }

    /// Sends one request.
    pub(crate) async fn send(&self, request: StreamingOutputCallRequest) -> anyhow::Result<()> {
        self.requests.send(request).await.context("the call has ended")
    }

    /// The next answer, None at the end.
    pub(crate) async fn read(&mut self) -> anyhow::Result<Option<StreamingOutputCallResponse>> {
        if let Some(opening) = self.opening.take() {
            let (header, replies, _) = opening.await??.into_parts();
            self.header = header;
            self.replies = Some(replies);
        }
        Ok(self.replies.as_mut().context("the call has failed")?.message().await?)
    }

    /// Sends one request and checks its answer.
    pub(crate) async fn exchange(&mut self, request: usize, response: i32) -> anyhow::Result<()> {
        self.send(output_request(request, &[response])).await?;
        let size = self.read().await?.map(|reply| len(reply.payload));
        expect("the size of the answer", size, Some(response as usize))
    }

    /// Half-closes, expects that nothing more comes, and returns header and trailer.
    pub(crate) async fn end(mut self) -> anyhow::Result<(MetadataMap, MetadataMap)> {
        self.requests = mpsc::channel(1).0;
        expect("what comes after the last answer", self.read().await?, None)?;
        let mut replies = self.replies.context("the call has failed")?;
        Ok((self.header, replies.trailers().await?.unwrap_or_default()))
    }
}

/// Asks for messages of these sizes.
pub(crate) fn output_request(request: usize, responses: &[i32]) -> StreamingOutputCallRequest {
    let parameters = |&size| ResponseParameters { size, interval_us: 0 };
    let response_parameters = responses.iter().map(parameters).collect();
    let payload = zeros(request);
    StreamingOutputCallRequest { response_parameters, payload, response_status: None }
}
