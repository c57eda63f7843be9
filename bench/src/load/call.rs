//! One call, from its head to its trailers.

use std::future::poll_fn;
use std::time::Duration;

use anyhow::Result;
use bench::message::zeros;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Method, Request, Uri};
use tokio::time::Instant;
use tunnel::wire::NAME;

use crate::args::Args;
use crate::check::{self, Messages};
use crate::kind::Kind;

/// What fits is sent without asking for room: what then waits is bounded by the calls at once.
const WITHOUT_ASKING: usize = 4 << 10;

/// What every call asks for.
pub(crate) struct Call {
    pub(crate) kind: Kind,
    head: Request<()>,
    message: Bytes,
    /// Bytes of each message that is to come.
    answer: u32,
    sent: u32,
    expected: u32,
}

impl Call {
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let (kind, answer) = (args.kind, args.answer());
        let (sent, expected) = (kind.sent(args.messages), kind.expected(args.messages));
        let uri = Uri::builder()
            .scheme(if args.tls_ca.is_some() { "https" } else { "http" })
            .authority(args.address.to_string())
            .path_and_query(kind.path(answer == args.request))
            .build()?;
        let mut head = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(name) = &args.name {
            head = head.header(NAME, name);
        }
        if kind != Kind::BothWays && (kind != Kind::Unary || answer != args.request) {
            head = head.header("x-messages", expected).header("x-bytes", answer);
        }
        let message = zeros(args.request);
        Ok(Self { kind, head: head.body(())?, message, answer, sent, expected })
    }

    /// Messages of the stream; both ways, those that came back.
    pub(crate) fn messages(&self) -> u32 {
        self.sent.max(self.expected)
    }

    /// Bytes of all messages, as gRPC frames them, each way and together.
    pub(crate) fn bytes(&self) -> u64 {
        let answers = u64::from(self.expected) * (u64::from(self.answer) + 5);
        u64::from(self.sent) * self.message.len() as u64 + answers
    }

    /// Makes a call; fails unless all of its answer is what was asked for. Both ways, tells how long each message was away.
    pub(crate) async fn make(
        &self,
        streams: &mut SendRequest<Bytes>,
        told: impl FnMut(Duration),
    ) -> Result<(), String> {
        let (response, send) = self.begin(streams).await.map_err(|error| error.to_string())?;
        match self.kind {
            Kind::BothWays => self.ping(response, send, told).await,
            _ => self.ask(response, send).await,
        }
    }

    async fn begin(
        &self,
        streams: &mut SendRequest<Bytes>,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        poll_fn(|cx| streams.poll_ready(cx)).await?;
        streams.send_request(self.head.clone(), false)
    }

    /// All messages, then the answer.
    async fn ask(
        &self,
        response: ResponseFuture,
        mut send: SendStream<Bytes>,
    ) -> Result<(), String> {
        let mut sent = Ok(());
        for left in (0..self.sent).rev() {
            sent = say(&mut send, self.message.clone(), left == 0).await;
            if sent.is_err() {
                break;
            }
        }
        // Who refuses a call says why in its answer, and takes no more of the request.
        let response = response.await.map_err(|error| error.to_string())?;
        let mut body = check::body(response)?;
        sent?;
        let mut messages = Messages::of(self.answer);
        while hear(&mut body, &mut messages).await? {}
        self.end(body, &messages).await
    }

    /// A message, until it comes back; and the next.
    async fn ping(
        &self,
        response: ResponseFuture,
        mut send: SendStream<Bytes>,
        mut told: impl FnMut(Duration),
    ) -> Result<(), String> {
        let mut messages = Messages::of(self.answer);
        let mut start = Instant::now();
        say(&mut send, self.message.clone(), false).await?;
        let response = response.await.map_err(|error| error.to_string())?;
        let mut body = check::body(response)?;
        for number in 1..=self.sent {
            while messages.count < number {
                if !hear(&mut body, &mut messages).await? {
                    return self.end(body, &messages).await;
                }
            }
            told(start.elapsed());
            if number < self.sent {
                start = Instant::now();
                say(&mut send, self.message.clone(), false).await?;
            }
        }
        send.send_data(Bytes::new(), true).map_err(|error| error.to_string())?;
        while hear(&mut body, &mut messages).await? {}
        self.end(body, &messages).await
    }

    async fn end(&self, mut body: RecvStream, messages: &Messages) -> Result<(), String> {
        let trailers = body.trailers().await.map_err(|error| error.to_string())?;
        check::ended(trailers.as_ref())?;
        messages.end(self.expected)
    }
}

/// Sends a message as there is room for it.
async fn say(
    send: &mut SendStream<Bytes>,
    mut message: Bytes,
    is_last: bool,
) -> Result<(), String> {
    if is_last && message.len() <= WITHOUT_ASKING {
        return send.send_data(message, true).map_err(|error| error.to_string());
    }
    while !message.is_empty() {
        send.reserve_capacity(message.len());
        let room = match send.capacity() {
            0 => poll_fn(|cx| send.poll_capacity(cx)).await,
            room => Some(Ok(room)),
        };
        let room = room.ok_or("the stream was closed")?.map_err(|error| error.to_string())?;
        let piece = message.split_to(room.min(message.len()));
        let is_end = is_last && message.is_empty();
        send.send_data(piece, is_end).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Takes in what has come; whether there may be more.
async fn hear(body: &mut RecvStream, messages: &mut Messages) -> Result<bool, String> {
    let Some(data) = body.data().await else { return Ok(false) };
    let data = data.map_err(|error| error.to_string())?;
    messages.add(&data)?;
    // Fails only after a reset, of which the next read tells.
    let _ = body.flow_control().release_capacity(data.len());
    Ok(true)
}
