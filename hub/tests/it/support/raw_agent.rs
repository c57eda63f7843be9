//! An agent by hand: a WebSocket to the hub, upgraded and registered, and nothing more.

use futures_util::SinkExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::{Bytes, Error};
use tokio_tungstenite::{WebSocketStream, client_async};
use tunnel::wire::Control;
use tunnel::ws_io::WsIo;

use super::frames::{SETTINGS, frame, has_headers};
use super::hub::Hub;
use super::upstream::Connection;
use super::within;

/// A WebSocket that the hub has upgraded.
pub(crate) struct RawAgent {
    pub(crate) ws: WebSocketStream<TcpStream>,
    /// Of the hub's answer.
    pub(crate) headers: HeaderMap,
    /// What the hub has said on the byte stream, as far as it was read.
    said: Vec<u8>,
}

impl RawAgent {
    /// Registers with these headers beside the protocol's; the error is status and body of a refusal.
    pub(crate) async fn connect(
        hub: &Hub,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, (StatusCode, String)> {
        let mut request = hub.uri().uri().clone().into_client_request().unwrap();
        let protocol = [("sec-websocket-protocol", tunnel::wire::SUBPROTOCOL)];
        for (name, value) in protocol.iter().chain(headers) {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        let tcp = TcpStream::connect(hub.address).await.expect("connected");
        tcp.set_nodelay(true).unwrap();
        match within("an upgrade", client_async(request, tcp)).await {
            Ok((ws, response)) => {
                Ok(Self { ws, headers: response.into_parts().0.headers, said: Vec::new() })
            }
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status(), String::from_utf8(body).expect("text")))
            }
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Registers as one slot of one instance.
    pub(crate) async fn register(hub: &Hub, name: &str, instance: &str, slot: &str) -> Self {
        // Whoever writes frames by hand bears any number of cancels.
        let cancels = ("hub-max-cancels", "0");
        let headers = [("hub-name", name), ("hub-instance", instance), ("hub-slot", slot), cancels];
        Self::connect(hub, &headers).await.expect("an upgrade")
    }

    /// Sends some of the byte stream.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.message(Message::Binary(Bytes::copy_from_slice(bytes))).await;
    }

    /// Begins as every HTTP/2 server does, after which the session counts as registered.
    pub(crate) async fn settings(&mut self) {
        self.send(&frame(SETTINGS, 0, 0, &[])).await;
    }

    /// Speaks HTTP/2, of which nothing has been read yet.
    pub(crate) fn serve(self) -> Connection {
        // The hub may say what it likes.
        let (io, _control) = self.into_io();
        Connection::on(io)
    }

    /// The byte stream, of which nothing has been read yet, and the hub's control messages beside it.
    pub(crate) fn into_io(self) -> (WsIo<TcpStream>, mpsc::Receiver<Control>) {
        let keepalive = hub::Config::default().keepalive;
        let (io, _, control) = WsIo::new(self.ws, keepalive);
        (io, control)
    }

    /// Waits for a request on the byte stream.
    pub(crate) async fn request(&mut self) {
        while !has_headers(&self.said) {
            let message = self.next("a request").await;
            assert!(!message.is_close(), "{message:?}");
        }
    }

    /// The next control message.
    pub(crate) async fn control(&mut self) -> Control {
        loop {
            match self.next("a control message").await {
                Message::Text(text) => return Control::from_text(&text),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    async fn next(&mut self, what: &str) -> Message {
        let message = within(what, self.ws.next()).await;
        let message = message.expect("an open WebSocket").expect("a message");
        if let Message::Binary(more) = &message {
            self.said.extend_from_slice(more);
        }
        message
    }

    pub(crate) async fn message(&mut self, message: Message) {
        within("a message sent", self.ws.send(message)).await.expect("sent");
    }

    /// Reads until the hub closes, and returns its close code and words; `None` if it just hangs up.
    pub(crate) async fn closed(mut self) -> Option<(u16, String)> {
        let close = async {
            while let Some(message) = self.ws.next().await {
                match message {
                    Ok(Message::Close(frame)) => {
                        return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                    }
                    Ok(_) => {}
                    Err(_) => return None,
                }
            }
            None
        };
        within("a close", close).await
    }
}
