//! A raw HTTP/2 server whose every answer the test gives by hand.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tunnel::lanes::{Lane, Lanes};

use super::message::{grpc_head, message, ok, receive};
use super::raw_agent::Delivered;
use super::within;

/// More calls than any test holds at once, and more connections than any looks at late.
const CALLS: usize = 4096;
const CONNECTIONS: usize = 1024;

/// A server on a port of its own.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Connections,
    listening: JoinHandle<()>,
}

/// What an agent connects, one after the other.
pub(crate) struct Connections(mpsc::Receiver<Connection>);

/// One connection from an agent, which is one lane; or all of them, as if they were one.
pub(crate) struct Connection {
    calls: mpsc::Receiver<Call>,
    pub(crate) ends: Ends,
    live: watch::Receiver<Live>,
}

/// How many connections there have been, and how many have ended.
#[derive(Clone, Copy, Default)]
struct Live {
    begun: usize,
    ended: usize,
}

/// Ends a connection; of all of them, those that there are.
#[derive(Clone, Default)]
pub(crate) struct Ends(Arc<Mutex<Vec<mpsc::Sender<End>>>>);

/// How the server ends a connection.
#[derive(Clone, Copy)]
enum End {
    /// GOAWAY; running calls go on.
    GoAway(Reason),
    /// It is gone.
    Kill,
}

/// One call that waits for its answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Upstream {
    pub(crate) async fn listen() -> Self {
        Self::listen_with(Builder::new(), None).await
    }

    pub(crate) async fn listen_with(builder: Builder, tls: Option<TlsAcceptor>) -> Self {
        Self::listen_at("127.0.0.1:0".parse().unwrap(), builder, tls).await
    }

    pub(crate) async fn listen_at(
        address: SocketAddr,
        builder: Builder,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().unwrap();
        let (sender, connections) = mpsc::channel(CONNECTIONS);
        let listening = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let (builder, sender) = (builder.clone(), sender.clone());
                match tls.clone() {
                    None => drop(tokio::spawn(serve(tcp, builder, sender))),
                    Some(tls) => {
                        tokio::spawn(async move {
                            let tls = tls.accept(tcp).await.expect("a TLS handshake");
                            serve(tls, builder, sender).await;
                        });
                    }
                }
            }
        });
        Self { address, connections: Connections(connections), listening }
    }

    /// Takes no more connections; those that there are go on.
    pub(crate) async fn close(self) {
        self.listening.abort();
        let _ = self.listening.await;
    }

    /// All connections, those that come later too, as if they were one.
    pub(crate) fn all(self) -> Connection {
        self.connections.all()
    }

    /// The next connection that an agent has made.
    pub(crate) async fn connection(&mut self) -> Connection {
        self.connections.next().await
    }
}

impl Connections {
    /// Serves calls on the lanes that a hub opens, each a connection.
    pub(crate) fn on_lanes(lanes: Lanes) -> Self {
        let (sender, connections) = mpsc::channel(CONNECTIONS);
        tokio::spawn(async move {
            while let Some((lane, _)) = lanes.accept().await {
                tokio::spawn(serve(Delivered(lane), Builder::new(), sender.clone()));
            }
        });
        Self(connections)
    }

    /// Serves calls on one lane.
    pub(crate) fn on_lane(lane: Lane) -> Self {
        let (sender, connections) = mpsc::channel(1);
        tokio::spawn(serve(Delivered(lane), Builder::new(), sender));
        Self(connections)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Connection {
        within("a connection from the agent", self.0.recv()).await.expect("one")
    }

    /// Whether there is a next one already.
    pub(crate) fn has_next(&self) -> bool {
        !self.0.is_empty()
    }

    /// All of them, those that come later too, as if they were one.
    pub(crate) fn all(mut self) -> Connection {
        let (sender, calls) = mpsc::channel(CALLS);
        let (ends, (live, watched)) = (Ends::default(), watch::channel(Live::default()));
        let all = Connection { calls, ends: ends.clone(), live: watched };
        tokio::spawn(async move {
            while let Some(Connection { mut calls, ends: one, live: mut alive }) =
                self.0.recv().await
            {
                ends.0.lock().append(&mut one.0.lock());
                live.send_modify(|live| live.begun += 1);
                let (sender, live) = (sender.clone(), live.clone());
                tokio::spawn(async move {
                    while let Some(call) = calls.recv().await {
                        // As in `serve`.
                        let _ = sender.try_send(call);
                    }
                    let _ = alive.wait_for(Live::is_over).await;
                    live.send_modify(|live| live.ended += 1);
                });
            }
        });
        all
    }
}

impl Live {
    fn is_over(&self) -> bool {
        self.begun == self.ended
    }
}

impl Connection {
    /// The next call.
    pub(crate) async fn call(&mut self) -> Call {
        within("a call at the upstream", self.calls.recv()).await.expect("a call")
    }

    /// Answers every call from now on as [`Call::answer`] does, and counts them.
    pub(crate) fn answer_all(mut self, answered: Arc<AtomicUsize>) {
        tokio::spawn(async move {
            while let Some(call) = self.calls.recv().await {
                call.answer();
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// How many connections there have been.
    pub(crate) fn begun(&self) -> usize {
        self.live.borrow().begun
    }

    /// Resolves when the connection is over; of all of them, those that there are.
    pub(crate) async fn ended(&mut self) {
        let ended = self.live.wait_for(Live::is_over);
        within("the end of a connection at the upstream", ended).await.expect("a server");
    }
}

impl Ends {
    pub(crate) fn go_away(&self) {
        self.all(End::GoAway(Reason::NO_ERROR));
    }

    /// Running calls are lost.
    pub(crate) fn go_away_for(&self, reason: Reason) {
        self.all(End::GoAway(reason));
    }

    pub(crate) fn kill(&self) {
        self.all(End::Kill);
    }

    /// Those that are over already hear nothing.
    fn all(&self, end: End) {
        self.0.lock().retain(|one| one.try_send(end).is_ok());
    }
}

/// Serves one connection, which counts once the other end has spoken HTTP/2: an agent also connects to see whether
/// the server is there.
async fn serve<S>(io: S, builder: Builder, connections: mpsc::Sender<Connection>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut http2) = builder.handshake(io).await else {
        return;
    };
    let (call_sender, calls) = mpsc::channel(CALLS);
    let (end_sender, mut ends) = mpsc::channel(4);
    let (live_sender, live) = watch::channel(Live { begun: 1, ended: 0 });
    let connection = Connection { calls, ends: Ends(Arc::new(Mutex::new(vec![end_sender]))), live };
    // Nobody may want to know.
    let _ = connections.send(connection).await;
    loop {
        tokio::select! {
            Some(end) = ends.recv() => match end {
                End::GoAway(Reason::NO_ERROR) => http2.graceful_shutdown(),
                End::GoAway(reason) => http2.abrupt_shutdown(reason),
                End::Kill => break,
            },
            accepted = http2.accept() => {
                let Some(Ok((request, respond))) = accepted else {
                    break;
                };
                // A test that does not look at calls any more has seen enough.
                let _ = call_sender.try_send(Call { request, respond });
            }
        }
    }
    drop(http2);
    live_sender.send_modify(|live| live.ended += 1);
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).map(|value| value.to_str().expect("text"))
    }

    /// Reads the request to its end.
    pub(crate) async fn body(&mut self) -> (Vec<u8>, Result<HeaderMap, h2::Error>) {
        within("a request body", receive(self.request.body_mut())).await
    }

    /// Begins a gRPC answer.
    pub(crate) fn begin(&mut self) -> SendStream<Bytes> {
        self.respond.send_response(grpc_head(), false).expect("an open stream")
    }

    /// Answers with one small message, and OK.
    pub(crate) fn answer(mut self) {
        // The stream may have been reset meanwhile.
        if let Ok(mut body) = self.respond.send_response(grpc_head(), false) {
            let _ = body.send_data(message(b"pong"), false).and_then(|()| body.send_trailers(ok()));
        }
    }

    /// Waits for the reset of a call that has no answer yet.
    pub(crate) async fn reset(&mut self) -> Reason {
        let reset = poll_fn(|cx| self.respond.poll_reset(cx));
        within("a reset at the upstream", reset).await.expect("a reset")
    }
}

/// Waits for the reset of a call whose answer has begun.
pub(crate) async fn reset(body: &mut SendStream<Bytes>) -> Reason {
    within("a reset", poll_fn(|cx| body.poll_reset(cx))).await.expect("a reset")
}
