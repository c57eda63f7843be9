//! An upstream that writes its HTTP/2 frames by hand (RFC 9113 6), for what no library would send.

use std::net::SocketAddr;

use h2::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::hpack::encode;
use super::within;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITY: u8 = 0x20;

/// `:status: 200`, from HPACK's static table.
pub(crate) const STATUS_200: &[u8] = &[0x88];

/// With this a client begins.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The head of a gRPC call, in HPACK without compression (RFC 7541 6). Without a name where that is empty.
pub(crate) fn request_head(name: &str, path: &str) -> Vec<u8> {
    let head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "hub.test"),
        ("content-type", "application/grpc"),
        ("name", name),
    ];
    encode(if name.is_empty() { &head[..5] } else { &head })
}

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// So many calls from this stream on, each given up at once.
pub(crate) fn given_up(call: &[u8], first: u32, calls: u32) -> Vec<Vec<u8>> {
    let cancel = u32::from(Reason::CANCEL).to_be_bytes();
    let one = |stream| {
        [frame(HEADERS, END_HEADERS, stream, call), frame(RST_STREAM, 0, stream, &cancel)].concat()
    };
    (first..).step_by(2).take(calls as usize).map(one).collect()
}

/// Whether what an HTTP/2 client says from the beginning has a HEADERS frame in it.
pub(crate) fn has_headers(said: &[u8]) -> bool {
    let mut frames = said.get(PREFACE.len()..).unwrap_or_default();
    while let [a, b, c, kind, ..] = *frames {
        if kind == HEADERS {
            return true;
        }
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        frames = frames.get(9 + length..).unwrap_or_default();
    }
    false
}

/// Waits for connections, of which the first is the session's.
pub(crate) struct FrameServer {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

/// One end of a connection, after its first words.
pub(crate) struct FrameConnection {
    tcp: TcpStream,
}

impl FrameServer {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    /// The next connection.
    pub(crate) async fn connection(&self) -> FrameConnection {
        let (tcp, _) = within("a connection", self.listener.accept()).await.unwrap();
        let mut connection = FrameConnection { tcp };
        let mut preface = [0; PREFACE.len()];
        within("a preface", connection.tcp.read_exact(&mut preface)).await.expect("a preface");
        connection.write(&[frame(SETTINGS, 0, 0, &[])]).await;
        connection
    }
}

impl FrameConnection {
    /// Connects as a client.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.expect("connected");
        let mut connection = Self { tcp };
        connection.write(&[PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[])]).await;
        connection
    }

    /// Writes frames in one go.
    pub(crate) async fn write(&mut self, frames: &[Vec<u8>]) {
        self.tcp.write_all(&frames.concat()).await.expect("written");
    }

    /// Waits for the next request, and returns its stream.
    pub(crate) async fn request(&mut self) -> u32 {
        self.next(HEADERS).await
    }

    /// Waits for the answer on this stream.
    pub(crate) async fn answer(&mut self, stream: u32) {
        while self.next(HEADERS).await != stream {}
    }

    /// Waits for a reset of a stream, and returns its code.
    pub(crate) async fn reset(&mut self) -> u32 {
        let (_, code) = self.next_frame(RST_STREAM).await;
        u32::from_be_bytes(code.try_into().expect("four bytes"))
    }

    /// Waits for a frame of this kind, and returns its stream.
    pub(crate) async fn next(&mut self, kind: u8) -> u32 {
        self.next_frame(kind).await.0
    }

    async fn next_frame(&mut self, kind: u8) -> (u32, Vec<u8>) {
        loop {
            let (found, stream, payload) = within("a frame", self.read()).await;
            if found == kind {
                return (stream, payload);
            }
            assert_ne!(found, GOAWAY, "{}", payload.escape_ascii());
        }
    }

    async fn read(&mut self) -> (u8, u32, Vec<u8>) {
        let mut head = [0; 9];
        self.tcp.read_exact(&mut head).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.tcp.read_exact(&mut payload).await.expect("a payload");
        (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload)
    }
}
