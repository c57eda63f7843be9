//! One call over a session: joins a client's stream to a stream of the session, both ways.
//!
//! One task polls everything, because each `h2` stream has one waker for sending and one for receiving:
//! with two tasks, one would miss what the other was woken for.

mod backlog;
mod end;
mod pump;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, StatusCode};
use tunnel::bridge::grpc_status;
use tunnel::limits::MAX_RESPONSE_HEADER_LIST;

pub(crate) use self::end::End;
use self::pump::{Broken, Pump};
use crate::client::Client;
use crate::context::hub::Hub;
use crate::lanes::Permit;
use crate::limits::{INFORMATIONAL_MAX, LINGER_TIMEOUT, MAX_HEADER_LIST, RESET_FLUSH};
use crate::message::header_list;
use crate::message::hub_headers::strip;
use crate::message::malformed::{self, Malformed};
use crate::message::refusal::{AnswerForm, Refusal};
use crate::observe::limit::Limit;
use crate::observe::outcome::Outcome;

/// A stream that was opened on a session.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) permit: Permit,
    pub(crate) response: ResponseFuture,
    pub(crate) send: SendStream<Bytes>,
}

/// A call whose stream on the session is open.
#[derive(Debug)]
pub(crate) struct Splice {
    permit: Permit,
    upload: Upload,
    answer: Answer,
    form: AnswerForm,
    informational: u8,
    /// Bytes of their header lists.
    informational_bytes: usize,
    hub: Arc<Hub>,
    status: StatusCode,
    grpc_status: Option<u16>,
}

#[derive(Debug)]
struct Upload {
    pump: Pump,
    /// The agent's side takes no more of the request, which is no failure: its answer says the rest.
    stopped: bool,
    /// The end of the request did not get through.
    broken: bool,
}

/// The way back.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each call, and nearly all become the large one"
)]
enum Answer {
    /// The response head is awaited.
    Awaited(ResponseFuture, SendResponse<Bytes>),
    /// The head is passed on, the body follows.
    Body(Pump),
    /// The head was all of it.
    HeadOnly(SendStream<Bytes>),
}

impl Splice {
    /// Joins `request` and `respond`, the client's side, to what was opened on the agent's side.
    /// `form` is the answer that the client can take should the session be lost.
    pub(crate) fn new(
        request: RecvStream,
        respond: SendResponse<Bytes>,
        opened: Opened,
        form: AnswerForm,
        client: &Client,
    ) -> Self {
        let hub = client.origin.hub.clone();
        let Opened { permit, response, send } = opened;
        let growth = client.growth(request.stream_id());
        let pump = Pump::new(
            request,
            send,
            growth,
            hub.metrics.request_meter(),
            edit_request_trailers,
            MAX_HEADER_LIST as usize,
        );
        Self {
            permit,
            upload: Upload { pump, stopped: false, broken: false },
            answer: Answer::Awaited(response, respond),
            form,
            informational: 0,
            informational_bytes: 0,
            hub,
            status: StatusCode::OK,
            grpc_status: None,
        }
    }

    /// Passes the call on until its response is complete, or something ends it before, and tells both
    /// sides so.
    pub(crate) async fn run(&mut self, lost: &Refusal) -> (End, Outcome) {
        let mut end = poll_fn(|cx| self.poll(cx)).await;
        if end == End::AgentFlood {
            let session = self.permit.session();
            self.hub.limits.reached(Limit::AgentHeads, session.peer, Some(&session.agent.name));
        }
        if end == End::SessionLost && self.is_unprocessed() {
            end = End::Unprocessed;
        }
        let outcome = self.settle(end, lost).await;
        (end, outcome)
    }

    /// Bytes of the request and of the response that were passed on.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let response = if let Answer::Body(pump) = &self.answer { pump.bytes() } else { 0 };
        (self.upload.pump.bytes(), response)
    }

    /// Sees the stream on the lane to its end, after the client has been told how the call ended.
    pub(crate) async fn leave(mut self, end: End) {
        if end == End::Complete {
            self.linger().await;
        }
        let asked = self.upload.pump.is_done() && !self.upload.broken;
        let is_over = self.upload.stopped || (asked && self.is_answered());
        if !is_over && !end.closes_agent_side() {
            self.upload.pump.sink().send_reset(Reason::CANCEL);
        }
    }

    /// Whether the upstream has answered in full.
    fn is_answered(&self) -> bool {
        match &self.answer {
            Answer::Awaited(..) => false,
            Answer::Body(pump) => pump.is_done(),
            Answer::HeadOnly(_) => true,
        }
    }

    /// Whether the upstream has never seen the call, as the end of its lane tells.
    fn is_unprocessed(&mut self) -> bool {
        let stream = self.upload.pump.sink().stream_id();
        matches!(self.answer, Answer::Awaited(..)) && self.permit.is_unprocessed(stream)
    }

    /// A server may answer in full and go on reading the request. So the rest of it is passed on, for as
    /// long as both sides want that and it moves.
    async fn linger(&mut self) {
        loop {
            let before = self.upload.pump.bytes();
            let over = tokio::time::timeout(LINGER_TIMEOUT, poll_fn(|cx| self.poll_rest(cx))).await;
            if over.is_ok() || self.upload.pump.bytes() == before {
                return;
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(reset) = self.poll_client_reset(cx) {
            return Poll::Ready(End::from_client(reset));
        }
        if let Poll::Ready(Err(end)) = self.upload.poll(cx) {
            return Poll::Ready(end);
        }
        if matches!(self.answer, Answer::Awaited(..)) {
            match ready!(self.poll_head(cx)) {
                Ok(true) => return Poll::Ready(End::Complete),
                Ok(false) => {}
                Err(end) => return Poll::Ready(end),
            }
        }
        let Answer::Body(pump) = &mut self.answer else {
            return Poll::Pending;
        };
        Poll::Ready(match ready!(pump.poll(cx)) {
            Ok(()) => {
                self.grpc_status = pump.grpc_status().or(self.grpc_status);
                End::Complete
            }
            Err(Broken::Source(error)) => End::from_agent(&error),
            Err(Broken::Trailers | Broken::Malformed) => End::AgentFlood,
            // Only the client's reset closes its sink, and it has not been told yet.
            Err(Broken::Sink) => End::ClientReset(Reason::CANCEL),
        })
    }

    /// Ready once the client wants no more. Asked on every turn: a client that gives up while the agent's
    /// window is closed must not keep its stream.
    fn poll_client_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        match &mut self.answer {
            Answer::Awaited(_, respond) => respond.poll_reset(cx),
            Answer::Body(pump) => pump.sink().poll_reset(cx),
            Answer::HeadOnly(send) => send.poll_reset(cx),
        }
    }

    /// Passes the response head on, and 1xx before it. Ready with whether it was the whole response.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, End>> {
        let Answer::Awaited(response, respond) = &mut self.answer else {
            return Poll::Pending;
        };
        while let Poll::Ready(Some(Ok(mut early))) = response.poll_informational(cx) {
            // No window holds them back where the client does not read.
            self.informational_bytes += header_list::response_size(early.headers());
            let too_large = self.informational_bytes > MAX_RESPONSE_HEADER_LIST as usize;
            if self.informational == INFORMATIONAL_MAX || too_large {
                return Poll::Ready(Err(End::AgentFlood));
            }
            self.informational += 1;
            strip(early.headers_mut());
            // One that cannot be sent is no loss: the real response follows.
            let _ = respond.send_informational(early);
        }
        let (mut head, body) = match ready!(std::pin::Pin::new(response).poll(cx)) {
            Ok(response) => response.into_parts(),
            Err(error) => return Poll::Ready(Err(End::from_agent(&error))),
        };
        self.permit.answered();
        if header_list::response_size(&head.headers) > MAX_RESPONSE_HEADER_LIST as usize {
            return Poll::Ready(Err(End::AgentFlood));
        }
        strip(&mut head.headers);
        self.status = head.status;
        self.grpc_status = grpc_status(&head.headers);
        // A trailers-only answer stays one: gRPC clients take a head without END_STREAM for a beginning.
        let whole = body.is_end_stream();
        let Ok(send) = respond.send_response(Response::from_parts(head, ()), whole) else {
            return Poll::Ready(Err(End::ClientReset(Reason::CANCEL)));
        };
        self.answer = if whole {
            Answer::HeadOnly(send)
        } else {
            let growth = self.permit.growth(body.stream_id());
            Answer::Body(Pump::new(
                body,
                send,
                growth,
                self.hub.metrics.response_meter(),
                edit_response_trailers,
                MAX_RESPONSE_HEADER_LIST as usize,
            ))
        };
        Poll::Ready(Ok(whole))
    }

    /// The rest of the request, after the response.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = self.poll_client_reset(cx);
        if reset.is_ready() || self.upload.pump.sink().poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        self.upload.poll(cx).map(|_| ())
    }

    /// Tells the client how it ended, and the upstream where it must know at once.
    async fn settle(&mut self, end: End, lost: &Refusal) -> Outcome {
        if let Some(reason) = end.reset_to_agent() {
            self.upload.pump.sink().send_reset(reason);
        }
        let Some(reason) = end.reset_to_client() else {
            return match end {
                End::ClientReset(reason) => Outcome::Reset(reason),
                _ => Outcome::of(self.status, self.grpc_status),
            };
        };
        self.flush().await;
        match &mut self.answer {
            Answer::Awaited(_, respond) if end == End::SessionLost => {
                refuse(respond, lost, self.form)
            }
            Answer::Body(pump) if end == End::SessionLost && self.form == AnswerForm::Grpc => {
                // A client that has reset the stream meanwhile needs no status.
                let _ = pump.sink().send_trailers(lost.trailers());
                Outcome::Grpc(lost.code() as u16)
            }
            Answer::Awaited(_, respond) => reset(reason, |reason| respond.send_reset(reason)),
            Answer::Body(pump) => reset(reason, |reason| pump.sink().send_reset(reason)),
            Answer::HeadOnly(send) => reset(reason, |reason| send.send_reset(reason)),
        }
    }

    /// A reset discards what h2 has not written yet. So what the client's window has room for is awaited,
    /// and then the connection gets its turn to write.
    async fn flush(&mut self) {
        if let Answer::Body(pump) = &mut self.answer {
            let room = poll_fn(|cx| pump.poll_room(cx));
            // A client that takes nothing does not hold up the end.
            let _ = tokio::time::timeout(RESET_FLUSH, room).await;
        }
        tokio::task::yield_now().await;
    }
}

impl Upload {
    /// Ready once there is nothing left to pass on.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.stopped {
            return Poll::Ready(Ok(()));
        }
        let end = match ready!(self.pump.poll(cx)) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err(Broken::Sink) => {
                self.stopped = true;
                return Poll::Ready(Ok(()));
            }
            Err(Broken::Source(error)) => End::from_client(error.reason().ok_or(error)),
            Err(Broken::Trailers) => End::ClientFlood,
            Err(Broken::Malformed) => End::ClientMalformed,
        };
        self.broken = true;
        Poll::Ready(Err(end))
    }
}

fn edit_request_trailers(trailers: &mut HeaderMap) -> Result<(), Malformed> {
    malformed::trailers(trailers)?;
    strip(trailers);
    Ok(())
}

/// What is wrong with an upstream's is for its callers to judge.
fn edit_response_trailers(trailers: &mut HeaderMap) -> Result<(), Malformed> {
    strip(trailers);
    Ok(())
}

fn reset(reason: Reason, send_reset: impl FnOnce(Reason)) -> Outcome {
    send_reset(reason);
    Outcome::Reset(reason)
}

/// Answers in the agent's stead: trailers-only for gRPC, a status and a sentence for the rest.
pub(crate) fn refuse(
    respond: &mut SendResponse<Bytes>,
    refusal: &Refusal,
    form: AnswerForm,
) -> Outcome {
    let sentence = form == AnswerForm::Http;
    // A client that is gone already gets no answer, which is no failure of ours.
    if let Ok(mut send) = respond.send_response(refusal.response(form), !sentence)
        && sentence
    {
        let _ = send.send_data(format!("{refusal}\n").into(), true);
    }
    match form {
        AnswerForm::Grpc => Outcome::Grpc(refusal.code() as u16),
        AnswerForm::Http | AnswerForm::HttpHead => Outcome::Http(refusal.http_status()),
    }
}
