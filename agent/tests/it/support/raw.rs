//! Bytes on the hub's port, as somebody sends them who is no client of ours.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::soon;

/// Sends `request`, and reads until the hub closes. An error while reading ends it, too, for a hub need
/// not read to its end what it refuses.
#[track_caller]
pub(crate) fn exchange(address: SocketAddr, request: Vec<u8>) -> impl Future<Output = Vec<u8>> {
    soon(async move {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        // Whoever is refused early cannot send all of it.
        _ = tcp.write_all(&request).await;
        let mut answer = Vec::new();
        _ = tcp.read_to_end(&mut answer).await;
        answer
    })
}

/// An answer in HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Takes an answer apart.
    #[track_caller]
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{text:?}"));
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// The value of a header, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

/// A request for the hub's port, to be changed into a bad one.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) line: &'static str,
    headers: Vec<(&'static str, String)>,
}

impl Request {
    /// The upgrade with which an agent registers.
    pub(crate) fn upgrade(name: &str) -> Self {
        let headers = [
            ("Host", "hub"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "hub-tunnel.v2"),
            ("Hub-Name", name),
            ("Hub-Instance", "raw"),
        ];
        let headers = headers.map(|(name, value)| (name, value.to_owned())).to_vec();
        Self { line: "GET /ws HTTP/1.1", headers }
    }

    /// A request with no more than it must have.
    pub(crate) fn plain(line: &'static str) -> Self {
        Self { line, headers: vec![("Host", "hub".to_owned())] }
    }

    /// One more header, even if it is there already.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Without a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| *found != name);
        self
    }

    /// With another value.
    pub(crate) fn but(self, name: &'static str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let line = |(name, value): &(&str, String)| format!("{name}: {value}\r\n");
        let headers: String = self.headers.iter().map(line).collect();
        format!("{}\r\n{headers}\r\n", self.line).into_bytes()
    }

    /// Sends it, and reads the answer.
    #[track_caller]
    pub(crate) fn send(&self, address: SocketAddr) -> impl Future<Output = Answer> + use<> {
        let answer = exchange(address, self.bytes());
        async move { Answer::parse(&answer.await) }
    }
}
