//! A raw HTTP/2 client, to see what tonic hides.

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::task::JoinHandle;

use super::message::{message, receive, send};
use super::within;

/// A connection to a hub; it is lost when this is dropped.
pub(crate) struct Client {
    streams: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    /// The head was all of it: END_STREAM came with it.
    pub(crate) head_only: bool,
    pub(crate) body: Vec<u8>,
    /// The trailers, or what broke the body.
    pub(crate) end: Result<HeaderMap, h2::Error>,
}

/// Tests hold many calls open and read them late, which h2 takes for a flood of small frames otherwise.
pub(crate) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.data_frame_budget(usize::MAX);
    builder
}

impl Client {
    pub(crate) async fn connect(address: impl ToSocketAddrs) -> Self {
        Self::connect_with(address, &builder()).await
    }

    pub(crate) async fn connect_with(address: impl ToSocketAddrs, builder: &Builder) -> Self {
        let tcp = within("a connection", TcpStream::connect(address)).await.expect("connected");
        tcp.set_nodelay(true).unwrap();
        Self::handshake(tcp, builder).await
    }

    pub(crate) async fn handshake<S>(io: S, builder: &Builder) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let handshake = within("an HTTP/2 handshake", builder.handshake(io)).await;
        let (streams, connection) = handshake.expect("an HTTP/2 connection");
        Self { streams, connection: tokio::spawn(connection) }
    }

    /// Opens a stream, with END_STREAM on the head if `end`.
    pub(crate) async fn open(
        &self,
        request: Request<()>,
        end: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let streams = within("a free stream", self.streams.clone().ready()).await;
        streams.expect("the connection").send_request(request, end).expect("a stream")
    }

    /// Makes a request without a body; the error is what came instead of a head.
    pub(crate) async fn request(&self, request: Request<()>) -> Result<Answer, h2::Error> {
        let (response, _) = self.open(request, true).await;
        answer(response).await
    }

    /// Makes a call with one message.
    pub(crate) async fn call(
        &self,
        request: Request<()>,
        payload: &[u8],
    ) -> Result<Answer, h2::Error> {
        let (response, mut sending) = self.open(request, false).await;
        // An answer may come before all has been sent, and then tells more than a failure to send.
        let _ = within("the request sent", send(&mut sending, message(payload), true)).await;
        answer(response).await
    }

    /// Resolves when the hub has said GOAWAY, or the connection is lost.
    pub(crate) async fn gone(&self) {
        let mut streams = self.streams.clone();
        let gone = async {
            while let Ok(ready) = streams.ready().await {
                streams = ready;
                tokio::task::yield_now().await;
            }
        };
        within("the connection to take no more calls", gone).await;
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(self) -> Result<(), h2::Error> {
        let Self { streams, connection } = self;
        drop(streams);
        within("the connection to end", connection).await.unwrap()
    }

    /// Loses the connection without a word.
    pub(crate) fn cut(self) {
        self.connection.abort();
    }
}

/// Reads an answer to its end.
pub(crate) async fn answer(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut body) = within("a response head", response).await?.into_parts();
    let head_only = body.is_end_stream();
    let (body, end) = within("a response body", receive(&mut body)).await;
    Ok(Answer { head: Response::from_parts(head, ()), head_only, body, end })
}

impl Answer {
    pub(crate) fn http_status(&self) -> u16 {
        self.head.status().as_u16()
    }

    /// From the trailers, or from the head of an answer that is nothing else.
    pub(crate) fn metadata(&self, name: &str) -> Option<&str> {
        let trailers = self.end.as_ref().ok().and_then(|trailers| trailers.get(name));
        let value = trailers.or_else(|| self.head.headers().get(name))?;
        Some(value.to_str().expect("text"))
    }

    pub(crate) fn grpc_status(&self) -> Option<&str> {
        self.metadata("grpc-status")
    }

    pub(crate) fn hub_reason(&self) -> Option<&str> {
        self.metadata("hub-reason")
    }
}
