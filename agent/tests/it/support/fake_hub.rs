//! A hub that the test plays itself: it takes sessions one by one, and says what it likes on them.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use tunnel::wire::{self, Control};

use super::soon;

/// It listens.
pub(crate) struct FakeHub {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

/// A session that an agent has with it. To the agent it is lost when this is dropped.
pub(crate) struct FakeSession {
    ws: WebSocketStream<TcpStream>,
    /// What the agent has said of itself.
    pub(crate) headers: HeaderMap,
}

impl FakeHub {
    /// Listens on a port of its own.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    /// What an agent's `--hub-uri` is.
    pub(crate) fn uri(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// The next session. It is not registered before that is said.
    pub(crate) async fn session(&self) -> FakeSession {
        self.session_with(&[]).await
    }

    /// The same, with more in the answer.
    #[expect(clippy::result_large_err, reason = "tungstenite's own type for a refusal")]
    pub(crate) async fn session_with(&self, more: &[(&'static str, &'static str)]) -> FakeSession {
        let (tcp, _) = soon(self.listener.accept()).await.unwrap();
        let mut headers = HeaderMap::new();
        let answer = |request: &Request, mut response: Response| {
            headers = request.headers().clone();
            let protocol = [("sec-websocket-protocol", wire::SUBPROTOCOL)];
            for (name, value) in protocol.iter().chain(more) {
                response.headers_mut().insert(*name, HeaderValue::from_static(value));
            }
            Ok(response)
        };
        let ws = soon(accept_hdr_async(tcp, answer)).await.unwrap();
        FakeSession { ws, headers }
    }
}

impl FakeSession {
    /// Says something.
    pub(crate) async fn say(&mut self, control: Control) {
        self.ws.send(Message::text(control.to_text())).await.unwrap();
    }

    /// What the agent says next.
    #[track_caller]
    pub(crate) fn said(&mut self) -> impl Future<Output = Control> {
        soon(async {
            loop {
                match self.ws.next().await.unwrap().unwrap() {
                    Message::Text(text) => return Control::from_text(&text),
                    Message::Ping(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        })
    }

    /// Whatever the agent has said by now is something that was read already.
    #[track_caller]
    pub(crate) fn assert_silent(&mut self) -> impl Future<Output = ()> {
        soon(async {
            self.ws.send(Message::Ping("now".into())).await.unwrap();
            loop {
                match self.ws.next().await.unwrap().unwrap() {
                    Message::Pong(_) => return,
                    Message::Ping(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        })
    }

    /// Waits until the agent has pinged so often.
    #[track_caller]
    pub(crate) fn pinged(&mut self, times: usize) -> impl Future<Output = ()> {
        soon(async move {
            for _ in 0..times {
                let ping = self.ws.next().await.unwrap().unwrap();
                assert!(ping.is_ping(), "{ping:?}");
            }
        })
    }

    /// Closes it.
    pub(crate) async fn close(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.ws.close(Some(frame)).await.unwrap();
        soon(async { while self.ws.next().await.is_some_and(|said| said.is_ok()) {} }).await;
    }
}
