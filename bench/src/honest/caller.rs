//! A caller with one connection, which calls again what was never processed, as gRPC's libraries do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tunnel::bridge::grpc_status;
use tunnel::wire::{HUB_REASON, NAME};

/// A call that takes longer is lost: thousands of times what it takes.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Windows of a caller: nothing here is about bulk.
const WINDOW: u32 = 1 << 20;

/// Whom to call.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The name to ask a hub for; none calls the server itself.
    pub(crate) name: Option<String>,
}

/// What to ask for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) path: &'static str,
    /// Whether gRPC, or GET.
    pub(crate) grpc: bool,
    /// Sent by gRPC.
    pub(crate) message: Bytes,
}

impl Ask {
    /// A gRPC call with one message of so many bytes.
    pub(crate) fn grpc(path: &'static str, length: u8) -> Self {
        Self { path, grpc: true, message: message(length) }
    }

    /// A GET.
    pub(crate) fn get(path: &'static str) -> Self {
        Self { path, grpc: false, message: Bytes::new() }
    }
}

/// One message of so many bytes, as gRPC frames it.
pub(crate) fn message(length: u8) -> Bytes {
    grpc_frame(&vec![b'm'; length.into()])
}

/// A message as gRPC frames it.
pub(crate) fn grpc_frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// The answer to a call that went well.
pub(crate) struct Answer {
    pub(crate) head: HeaderMap,
}

/// One connection, opened by the first call and again when it is lost.
pub(crate) struct Caller {
    target: Target,
    connection: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    streams: Option<SendRequest<Bytes>>,
    /// How many there have been.
    number: u64,
}

/// A stream that has begun.
pub(crate) struct Open {
    pub(crate) response: ResponseFuture,
    pub(crate) send: SendStream<Bytes>,
}

/// A stream whose answer has begun.
pub(crate) type Begun = (SendStream<Bytes>, Response<RecvStream>);

impl Caller {
    pub(crate) fn new(target: Target) -> Arc<Self> {
        Arc::new(Self { target, connection: Mutex::new(Slot::default()) })
    }

    /// Makes a call; a second time if the first was never processed.
    pub(crate) async fn call(&self, ask: &Ask) -> Result<Answer, String> {
        let call = async {
            match self.attempt(ask).await {
                Err(Failure::Unprocessed(_)) => self.attempt(ask).await,
                done => done,
            }
        };
        match timeout(CALL_DEADLINE, call).await {
            Ok(done) => done.map_err(|failure| failure.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Begins a stream of gRPC without a message, with a header field `x-call` if there is a number.
    pub(crate) async fn open(&self, ask: &Ask, number: Option<u64>) -> Result<Open, String> {
        let opened = match self.begin(ask, number).await {
            Err(Failure::Unprocessed(_)) => self.begin(ask, number).await,
            opened => opened,
        };
        opened.map(|(open, _)| open).map_err(|failure| failure.to_string())
    }

    /// Begins a call and waits for its head; a second time if the first was never processed.
    pub(crate) async fn begun(&self, ask: &Ask, number: u64) -> Result<Begun, String> {
        let begun = match self.try_begun(ask, number).await {
            Err(Failure::Unprocessed(_)) => self.try_begun(ask, number).await,
            begun => begun,
        };
        begun.map_err(|failure| failure.to_string())
    }

    async fn try_begun(&self, ask: &Ask, number: u64) -> Result<Begun, Failure> {
        let (Open { response, mut send }, connection) = self.begin(ask, Some(number)).await?;
        if ask.grpc {
            send.send_data(ask.message.clone(), true).map_err(Failure::of)?;
        }
        match response.await.map_err(Failure::of) {
            Ok(response) => Ok((send, response)),
            Err(failure) => {
                if let Failure::Unprocessed(true) = failure {
                    self.forget(connection).await;
                }
                Err(failure)
            }
        }
    }

    async fn attempt(&self, ask: &Ask) -> Result<Answer, Failure> {
        let (mut open, connection) = self.begin(ask, None).await?;
        let sent = if ask.grpc { open.send.send_data(ask.message.clone(), true) } else { Ok(()) };
        let done = match sent {
            Ok(()) => answer(ask, open.response).await,
            Err(error) => Err(Failure::of(error)),
        };
        if let Err(Failure::Unprocessed(true) | Failure::Lost { connection: true, .. }) = done {
            self.forget(connection).await;
        }
        done
    }

    async fn begin(&self, ask: &Ask, number: Option<u64>) -> Result<(Open, u64), Failure> {
        let (streams, connection) = self.streams().await?;
        let mut streams = streams;
        let begun = streams.send_request(self.request(ask, number)?, !ask.grpc);
        match begun {
            Ok((response, send)) => Ok((Open { response, send }, connection)),
            Err(_) => {
                self.forget(connection).await;
                Err(Failure::Unprocessed(true))
            }
        }
    }

    /// A connection that takes a call.
    async fn streams(&self) -> Result<(SendRequest<Bytes>, u64), Failure> {
        let mut slot = self.connection.lock().await;
        if let Some(streams) = slot.streams.take() {
            // What was lost meanwhile says so here, and nobody has asked it for anything.
            if let Ok(ready) = streams.ready().await {
                slot.streams = Some(ready.clone());
                return Ok((ready, slot.number));
            }
        }
        let fresh = async {
            let streams = connect(self.target.address).await?;
            streams.ready().await.map_err(|error| error.to_string())
        };
        let streams =
            fresh.await.map_err(|error| Failure::lost(format!("no connection: {error}")))?;
        slot.streams = Some(streams.clone());
        slot.number += 1;
        Ok((streams, slot.number))
    }

    /// The next call is to open another connection, unless it already has.
    async fn forget(&self, number: u64) {
        let mut slot = self.connection.lock().await;
        if slot.number == number {
            slot.streams = None;
        }
    }

    fn request(&self, ask: &Ask, number: Option<u64>) -> Result<Request<()>, Failure> {
        request(&self.target, ask, number).map_err(|error| Failure::lost(error.to_string()))
    }
}

/// Opens a connection.
pub(crate) async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>, String> {
    let tcp = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let handshake = builder.handshake(tcp).await;
    let (streams, connection) = handshake.map_err(|error| error.to_string())?;
    // How it ends, each call on it learns by itself.
    tokio::spawn(async move { drop(connection.await) });
    Ok(streams)
}

/// The head of a request.
pub(crate) fn request(
    target: &Target,
    ask: &Ask,
    number: Option<u64>,
) -> Result<Request<()>, http::Error> {
    let authority = target.address.to_string();
    let uri =
        Uri::builder().scheme("http").authority(authority).path_and_query(ask.path).build()?;
    let mut request = Request::builder().uri(uri);
    if ask.grpc {
        request = request.method(Method::POST);
        request = request.header("content-type", "application/grpc").header("te", "trailers");
    }
    if let Some(name) = &target.name {
        request = request.header(NAME, name);
    }
    if let Some(number) = number {
        request = request.header("x-call", HeaderValue::from(number));
    }
    request.body(())
}

async fn answer(ask: &Ask, response: ResponseFuture) -> Result<Answer, Failure> {
    let (head, mut body) = response.await.map_err(Failure::of)?.into_parts();
    // From here on the server is at work, whatever the error.
    let trailers = rest(&mut body).await.map_err(|error| Failure::after_head(&error))?;
    let head = Response::from_parts(head, ());
    judge(ask, &head, trailers.as_ref())?;
    Ok(Answer { head: head.into_parts().0.headers })
}

async fn rest(body: &mut RecvStream) -> Result<Option<HeaderMap>, h2::Error> {
    while let Some(data) = body.data().await.transpose()? {
        // Fails only after a reset, of which the next read tells.
        let _ = body.flow_control().release_capacity(data.len());
    }
    body.trailers().await
}

fn judge(ask: &Ask, head: &Response<()>, trailers: Option<&HeaderMap>) -> Result<(), Failure> {
    refused(head.headers()).map_err(Failure::lost)?;
    let status = trailers.and_then(grpc_status).or_else(|| grpc_status(head.headers()));
    match (head.status().as_u16(), status) {
        (200, Some(0)) => Ok(()),
        (200, None) if !ask.grpc => Ok(()),
        (http, None) => Err(Failure::lost(format!("HTTP {http}"))),
        (http, Some(status)) => Err(Failure::lost(format!("HTTP {http}, grpc-status {status}"))),
    }
}

/// Whether the hub has answered instead of the server.
pub(crate) fn refused(head: &HeaderMap) -> Result<(), String> {
    let Some(reason) = head.get(HUB_REASON) else {
        return Ok(());
    };
    Err(format!("refused: {}", String::from_utf8_lossy(reason.as_bytes())))
}

/// Why an attempt came to nothing.
enum Failure {
    /// Nobody has seen the call; whether the connection takes no more either.
    Unprocessed(bool),
    Lost {
        why: String,
        /// Whether its connection went with it.
        connection: bool,
    },
}

impl Failure {
    fn lost(why: String) -> Self {
        Self::Lost { why, connection: false }
    }

    /// Of a call that had no answer yet.
    fn of(error: h2::Error) -> Self {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        if error.is_remote() && refused {
            return Self::Unprocessed(false);
        }
        // `h2` gives it to the streams above the last one that GOAWAY names.
        if error.is_remote() && error.is_go_away() {
            return Self::Unprocessed(true);
        }
        Self::after_head(&error)
    }

    fn after_head(error: &h2::Error) -> Self {
        Self::Lost { why: error.to_string(), connection: !error.is_reset() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unprocessed(_) => f.write_str("refused twice"),
            Self::Lost { why, .. } => f.write_str(why),
        }
    }
}
