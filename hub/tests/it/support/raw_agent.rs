//! An agent by hand: a WebSocket to the hub, upgraded and registered, and nothing more.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::SinkExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::{Bytes, Error};
use tokio_tungstenite::{WebSocketStream, client_async};
use tunnel::lanes::frame::{self, Frame};
use tunnel::lanes::{Lane, LaneMemory, Lanes, Open, ResetCode, Role, Source, start};
use tunnel::limits::LANE_DATA_MAX;
use tunnel::wire::Control;

use super::frames::{
    END_HEADERS, END_STREAM, HEADERS, SETTINGS, frame as http2_frame, has_headers,
};
use super::hpack::encode;
use super::hub::Hub;
use super::upstream::{Connection, Connections};
use super::within;

/// A WebSocket that the hub has upgraded.
pub(crate) struct RawAgent {
    pub(crate) ws: WebSocketStream<HeadAlone>,
    /// Of the hub's answer.
    pub(crate) headers: HeaderMap,
    /// Lanes that the hub has opened, and nobody has asked for yet.
    opened: VecDeque<(u32, Open)>,
    /// Control messages, the same.
    control: VecDeque<Control>,
    /// What the hub has said on each, as far as it was read.
    said: HashMap<u32, Vec<u8>>,
    /// How it has ended them.
    ended: HashMap<u32, Ended>,
}

/// The lane by which a hub finds out whether the upstream is there. It becomes the first caller's.
pub(crate) const PROBE: u32 = 1;

/// How a hub has ended a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Finished,
    Reset(ResetCode),
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
        match within("an upgrade", client_async(request, HeadAlone::of(tcp))).await {
            Ok((ws, response)) => {
                let (opened, control, said, ended) = Default::default();
                let headers = response.into_parts().0.headers;
                Ok(Self { ws, headers, opened, control, said, ended })
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
        let headers = [("hub-name", name), ("hub-instance", instance), ("hub-slot", slot)];
        Self::connect(hub, &headers).await.expect("an upgrade")
    }

    /// Registers an agent that is shown: its probe is answered.
    pub(crate) async fn shown(hub: &Hub, name: &str, instance: &str) -> Self {
        let mut agent = Self::register(hub, name, instance, "0").await;
        agent.settings().await;
        assert_eq!(agent.control().await, Control::Registered);
        agent
    }

    /// The next lane that the hub opens.
    pub(crate) async fn opened(&mut self) -> u32 {
        self.opened_for().await.0
    }

    /// The next lane that the hub opens, and for whom.
    pub(crate) async fn opened_by(&mut self) -> (u32, Source) {
        self.until("a lane", |agent| !agent.opened.is_empty()).await;
        let (lane, open) = self.opened.pop_front().expect("a lane");
        (lane, open.source)
    }

    /// The next lane that the hub opens, and for which of the names.
    pub(crate) async fn opened_for(&mut self) -> (u32, u16) {
        self.until("a lane", |agent| !agent.opened.is_empty()).await;
        let (lane, open) = self.opened.pop_front().expect("a lane");
        (lane, open.nth)
    }

    /// Sends some of a lane's bytes.
    pub(crate) async fn send(&mut self, lane: u32, bytes: &[u8]) {
        for piece in bytes.chunks(LANE_DATA_MAX) {
            let mut data = frame::data(lane, piece.len());
            data.extend_from_slice(piece);
            self.lane_frame(data.freeze()).await;
        }
    }

    /// Sends a lane frame, or what is none.
    pub(crate) async fn lane_frame(&mut self, bytes: impl Into<Bytes>) {
        self.message(Message::Binary(bytes.into())).await;
    }

    /// Answers the probe as every HTTP/2 server does, after which the agent is shown.
    pub(crate) async fn settings(&mut self) {
        assert_eq!(self.accept().await, PROBE);
    }

    /// Begins as every HTTP/2 server does, on the next lane.
    pub(crate) async fn accept(&mut self) -> u32 {
        self.accept_for().await.0
    }

    /// The same, and tells for which of the names it is.
    pub(crate) async fn accept_for(&mut self) -> (u32, u16) {
        let (lane, nth) = self.opened_for().await;
        self.begin(lane).await;
        (lane, nth)
    }

    /// Begins as every HTTP/2 server does, on this lane.
    pub(crate) async fn begin(&mut self, lane: u32) {
        self.send(lane, &http2_frame(SETTINGS, 0, 0, &[])).await;
    }

    /// How many bytes of a lane it has read.
    pub(crate) fn heard(&self, lane: u32) -> u64 {
        self.said.get(&lane).map_or(0, |said| said.len() as u64)
    }

    /// Waits until a lane has more bytes than so many.
    pub(crate) async fn more_than(&mut self, lane: u32, bytes: u64) {
        self.until("more of a lane", |agent| agent.heard(lane) > bytes).await;
    }

    /// Answers the first call of a lane.
    pub(crate) async fn answer(&mut self, lane: u32) {
        let head = encode(&[(":status", "200"), ("grpc-status", "0")]);
        self.send(lane, &http2_frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await;
    }

    /// Speaks HTTP/2 on all lanes, of which nothing has been read yet.
    pub(crate) fn serve(self) -> Connection {
        // The hub may say what it likes.
        let (lanes, _control) = self.into_lanes();
        Connections::on_lanes(lanes).all()
    }

    /// The lanes, of which nothing has been read yet, and the hub's control messages beside them.
    pub(crate) fn into_lanes(self) -> (Lanes, mpsc::Receiver<Control>) {
        let keepalive = hub::Config::default().keepalive;
        let (role, memory) = (Role::Agent { max_lanes: usize::MAX }, LaneMemory::new(1 << 30));
        let (driver, lanes, control) =
            start(self.ws.into_inner(), Bytes::new(), keepalive, role, memory);
        tokio::spawn(driver);
        (lanes, control)
    }

    /// Waits for a request on a lane.
    pub(crate) async fn request(&mut self, lane: u32) {
        let asked = |agent: &Self| agent.said.get(&lane).is_some_and(|said| has_headers(said));
        self.until("a request", asked).await;
    }

    /// Reads whatever comes, and so answers pings. For ever.
    pub(crate) async fn goes_on(&mut self) {
        while let Some(message) = self.ws.next().await {
            self.note(message.expect("a message"));
        }
        std::future::pending().await
    }

    /// Waits until the hub has ended a lane.
    pub(crate) async fn ended(&mut self, lane: u32) -> Ended {
        self.until("the end of a lane", |agent| agent.ended.contains_key(&lane)).await;
        self.ended[&lane]
    }

    /// The next control message.
    pub(crate) async fn control(&mut self) -> Control {
        self.until("a control message", |agent| !agent.control.is_empty()).await;
        self.control.pop_front().expect("a control message")
    }

    /// Reads until it has heard enough.
    async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let heard = async {
            while !enough(self) {
                let message = self.ws.next().await.expect("an open WebSocket");
                self.note(message.expect("a message"));
            }
        };
        within(what, heard).await;
    }

    fn note(&mut self, message: Message) {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => {
                let said = Control::from_text(&text);
                // Sooner or later, where hubs are several.
                if !matches!(said, Control::HubPeers(_)) {
                    self.control.push_back(said);
                }
                return;
            }
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => return,
        };
        match Frame::read(bytes).expect("a lane frame") {
            (lane, Frame::Open(open)) => self.opened.push_back((lane, open.expect("known"))),
            (lane, Frame::Data(more)) => {
                self.said.entry(lane).or_default().extend_from_slice(&more);
            }
            (lane, Frame::Fin(_)) => drop(self.ended.insert(lane, Ended::Finished)),
            (lane, Frame::Reset { code, .. }) => {
                self.ended.insert(lane, Ended::Reset(code));
            }
            _ => {}
        }
    }

    /// Sends a control message.
    pub(crate) async fn say(&mut self, control: Control) {
        self.message(Message::text(control.to_text())).await;
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

/// Reads no byte behind the head of an answer of 101 together with it: they are for whoever takes the stream over.
#[derive(Debug)]
pub(crate) struct HeadAlone {
    tcp: TcpStream,
    head: Vec<u8>,
    is_through: bool,
}

impl HeadAlone {
    fn of(tcp: TcpStream) -> Self {
        Self { tcp, head: Vec::new(), is_through: false }
    }
}

impl AsyncRead for HeadAlone {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { tcp, head, is_through } = self.get_mut();
        let mut space = [0; 4096];
        if !*is_through {
            let mut peeked = ReadBuf::new(&mut space);
            ready!(tcp.poll_peek(cx, &mut peeked))?;
            let known = head.len();
            head.extend_from_slice(peeked.filled());
            let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4);
            *is_through = end.is_some() || !head.starts_with(b"HTTP/1.1 101");
            if head.starts_with(b"HTTP/1.1 101") {
                let part = end.unwrap_or(head.len()) - known;
                head.truncate(known + part);
                let mut read = ReadBuf::new(&mut space[..part]);
                ready!(Pin::new(tcp).poll_read(cx, &mut read))?;
                buf.put_slice(read.filled());
                return Poll::Ready(Ok(()));
            }
        }
        Pin::new(tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for HeadAlone {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// A lane whose bytes count as written to the upstream once they are read.
pub(crate) struct Delivered(pub(crate) Lane);

impl AsyncRead for Delivered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        self.0.delivered((buf.filled().len() - before) as u64);
        read
    }
}

impl AsyncWrite for Delivered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
