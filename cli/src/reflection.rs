//! Server reflection: asks a server which services it has and what their messages look like.

use std::fmt;

use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::caller::{Caller, Deadline};

/// Newest first. Their messages are the same on the wire, only the service's name differs.
const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// A reflection stream: one question, one answer.
#[derive(Debug)]
pub(crate) struct Reflection {
    questions: mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
}

impl Reflection {
    /// Opens a stream with its first question, of the newest version that the server has.
    ///
    /// # Errors
    /// UNIMPLEMENTED if the server has no reflection, or whatever status the question brings.
    pub(crate) async fn open(
        caller: &Caller,
        deadline: Option<Deadline>,
        first: MessageRequest,
    ) -> Result<(Self, MessageResponse), Status> {
        let [v1, v1alpha] = PATHS.map(PathAndQuery::from_static);
        match Self::open_version(caller, deadline, v1, first.clone()).await {
            Err(status) if status.code() == Code::Unimplemented => {}
            result => return result,
        }
        let result = Self::open_version(caller, deadline, v1alpha, first).await;
        result.map_err(|status| match status.code() {
            Code::Unimplemented => no_reflection(&status),
            _ => status,
        })
    }

    async fn open_version(
        caller: &Caller,
        deadline: Option<Deadline>,
        path: PathAndQuery,
        first: MessageRequest,
    ) -> Result<(Self, MessageResponse), Status> {
        let (questions, receiver) = mpsc::channel(1);
        // Many servers send their response's head with the first answer only.
        send(&questions, first).await?;
        let messages = ReceiverStream::new(receiver);
        let codec = ProstCodec::default();
        let answers = caller.open(path, codec, messages, deadline).await?;
        let mut reflection = Self { questions, answers };
        let answer = reflection.answer().await?;
        Ok((reflection, answer))
    }

    /// Asks one more question.
    ///
    /// # Errors
    /// The server's answer, if it is an error, or that of the stream.
    pub(crate) async fn ask(
        &mut self,
        question: MessageRequest,
    ) -> Result<MessageResponse, Status> {
        if let Err(ended) = send(&self.questions, question).await {
            // The stream's own status says more than that it has ended.
            return Err(self.answer().await.err().unwrap_or(ended));
        }
        self.answer().await
    }

    async fn answer(&mut self) -> Result<MessageResponse, Status> {
        let answer = self.answers.message().await?.ok_or_else(ended)?;
        match answer.message_response {
            Some(MessageResponse::ErrorResponse(error)) => {
                Err(Status::new(Code::from(error.error_code), error.error_message))
            }
            Some(answer) => Ok(answer),
            None => Err(unexpected("nothing")),
        }
    }
}

/// The status of a server that answers another question than was asked.
pub(crate) fn unexpected(answer: impl fmt::Debug) -> Status {
    let mut answer = format!("{answer:?}");
    answer.truncate(answer.floor_char_boundary(80));
    Status::internal(format!("server reflection answered with {answer}"))
}

async fn send(
    questions: &mpsc::Sender<ServerReflectionRequest>,
    question: MessageRequest,
) -> Result<(), Status> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    questions.send(request).await.map_err(|_| ended())
}

fn ended() -> Status {
    Status::internal("server reflection ended without an answer")
}

fn no_reflection(status: &Status) -> Status {
    let text = format!("the server has no reflection, v1 or v1alpha: {}", status.message());
    Status::with_metadata(Code::Unimplemented, text, status.metadata().clone())
}
