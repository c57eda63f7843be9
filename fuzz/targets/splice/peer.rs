//! A hostile peer: says what it is told to, and listens when there is time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::time::{Duration, timeout};

/// How long the hub may leave the peer's words where they are.
const PATIENCE: Duration = Duration::from_secs(1);

/// One end of a connection to the hub.
#[derive(Debug)]
pub struct Peer {
    /// `None` once it has hung up.
    io: Option<DuplexStream>,
    is_deaf: bool,
}

impl Peer {
    /// Begins with `greeting`.
    pub async fn new(io: DuplexStream, greeting: &[u8]) -> Self {
        let mut peer = Self { io: Some(io), is_deaf: false };
        peer.say(greeting).await;
        peer
    }

    /// Says it, or as much of it as the hub takes.
    pub async fn say(&mut self, bytes: &[u8]) {
        if let Some(io) = &mut self.io {
            // The hub may have hung up, and need not listen.
            let _ = timeout(PATIENCE, io.write_all(bytes)).await;
        }
    }

    /// Reads up to the end of the hub's answer to an upgrade, and no further.
    pub async fn upgraded(&mut self) {
        let mut answer = Vec::new();
        let io = self.io.as_mut().expect("a connection");
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(io.read_u8().await.expect("an answer"));
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
    }

    /// Reads what there is, unless it does not want to.
    pub async fn listen(&mut self) {
        let Some(io) = self.io.as_mut().filter(|_| !self.is_deaf) else {
            return;
        };
        poll_fn(|cx| {
            let mut heard = [0; 4096];
            loop {
                let mut buf = ReadBuf::new(&mut heard);
                match Pin::new(&mut *io).poll_read(cx, &mut buf) {
                    Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                    _ => return Poll::Ready(()),
                }
            }
        })
        .await;
    }

    /// Stops reading, or begins again.
    pub fn deafen(&mut self) {
        self.is_deaf = !self.is_deaf;
    }

    /// Is gone.
    pub fn hang_up(&mut self) {
        self.io = None;
    }

    /// What is left of it.
    pub fn into_inner(self) -> Option<DuplexStream> {
        self.io
    }
}
