//! A raw HTTP/2 server whose every answer the test gives by hand.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::message::{grpc_head, message, ok, receive};
use super::within;

/// More calls than any test holds at once.
const CALLS: usize = 4096;

/// A server on a port of its own.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    connections: mpsc::Receiver<Connection>,
}

/// One connection from an agent.
pub(crate) struct Connection {
    calls: mpsc::Receiver<Call>,
    pub(crate) ends: Ends,
}

/// Ends a connection.
#[derive(Clone)]
pub(crate) struct Ends(mpsc::Sender<End>);

/// How the server ends a connection.
enum End {
    /// GOAWAY; running calls go on.
    GoAway,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, connections) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let (connection, calls, ends) = Connection::new();
                match &tls {
                    None => drop(tokio::spawn(serve(tcp, builder.clone(), calls, ends))),
                    Some(tls) => {
                        let tls = tls.accept(tcp).await.expect("a TLS handshake");
                        tokio::spawn(serve(tls, builder.clone(), calls, ends));
                    }
                }
                if sender.send(connection).await.is_err() {
                    return;
                }
            }
        });
        Self { address, connections }
    }

    /// Answers whatever comes from now on, on however many connections.
    pub(crate) fn answer_all(mut self) {
        tokio::spawn(async move {
            while let Some(connection) = self.connections.recv().await {
                connection.answer_all(Arc::default());
            }
        });
    }

    /// The next connection that an agent has made.
    pub(crate) async fn connection(&mut self) -> Connection {
        within("a connection from the agent", self.connections.recv()).await.expect("one")
    }
}

impl Connection {
    /// Serves calls on `io`.
    pub(crate) fn on<S>(io: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (connection, calls, ends) = Self::new();
        tokio::spawn(serve(io, Builder::new(), calls, ends));
        connection
    }

    fn new() -> (Self, mpsc::Sender<Call>, mpsc::Receiver<End>) {
        let (call_sender, calls) = mpsc::channel(CALLS);
        let (ends, end_receiver) = mpsc::channel(4);
        (Self { calls, ends: Ends(ends) }, call_sender, end_receiver)
    }

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

    /// Resolves when the connection is over.
    pub(crate) async fn ended(&mut self) {
        let ended = async { while self.calls.recv().await.is_some() {} };
        within("the end of a connection at the upstream", ended).await;
    }
}

impl Ends {
    pub(crate) async fn go_away(&self) {
        self.0.send(End::GoAway).await.expect("a connection");
    }

    pub(crate) async fn kill(&self) {
        self.0.send(End::Kill).await.expect("a connection");
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    builder: Builder,
    calls: mpsc::Sender<Call>,
    mut ends: mpsc::Receiver<End>,
) {
    let Ok(mut connection) = builder.handshake(io).await else {
        return;
    };
    loop {
        tokio::select! {
            Some(end) = ends.recv() => match end {
                End::GoAway => connection.graceful_shutdown(),
                End::Kill => return,
            },
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else {
                    return;
                };
                // A test that does not look at calls any more has seen enough.
                let _ = calls.try_send(Call { request, respond });
            }
        }
    }
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
