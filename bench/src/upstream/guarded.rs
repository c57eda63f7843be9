//! Raw `h2` as the upstream: without guards, or with one that counts resets.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Result;
use h2::Reason;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tunnel::bridge;
use tunnel::tap::{Tap, Tapped};

use super::service::Bench;

/// How many resets a client may send in which time.
pub(crate) type ResetLimit = (u32, Duration);

/// `decoderEnforceMaxRstFramesPerWindow` of Netty's HTTP/2 handlers: what a server has by default.
pub(crate) const NETTY: ResetLimit = (200, Duration::from_secs(30));

/// Takes connections for ever.
pub(crate) async fn serve(listener: TcpListener, limit: Option<ResetLimit>) -> Result<()> {
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        // How one ends concerns nobody else.
        tokio::spawn(async move { drop(connection(tcp, limit).await) });
    }
}

async fn connection(tcp: TcpStream, limit: Option<ResetLimit>) -> Result<(), h2::Error> {
    let over = Arc::new(Notify::new());
    let io = Tapped::new(tcp, ResetCounter::new(limit, over.clone()));
    let mut connection = bridge::server_builder()
        .max_concurrent_streams(1 << 20)
        .max_concurrent_reset_streams(1 << 20)
        .max_local_error_reset_streams(None)
        .max_pending_accept_reset_streams(1 << 20)
        .data_frame_budget(usize::MAX)
        .handshake(io)
        .await?;
    loop {
        tokio::select! {
            () = over.notified() => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
            accepted = connection.accept() => match accepted {
                Some(call) => {
                    let (request, respond) = call?;
                    tokio::spawn(bridge::serve(Bench, request, respond));
                }
                None => return Ok(()),
            },
        }
    }
}

/// Counts RST_STREAM frames among what a client sends.
struct ResetCounter {
    limit: Option<ResetLimit>,
    over: Arc<Notify>,
    since: Instant,
    count: u32,
    /// Bytes to go until the next frame begins: first those of the preface.
    skip: usize,
    head: Vec<u8>,
}

impl ResetCounter {
    fn new(limit: Option<ResetLimit>, over: Arc<Notify>) -> Self {
        Self { limit, over, since: Instant::now(), count: 0, skip: 24, head: Vec::new() }
    }

    fn look(&mut self, mut bytes: &[u8]) {
        const HEAD: usize = 9;
        const RST_STREAM: u8 = 3;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let (more, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
            self.head.extend_from_slice(more);
            bytes = rest;
            if let [a, b, c, kind, _, _, _, _, _] = self.head[..] {
                self.head.clear();
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                if kind == RST_STREAM {
                    self.count();
                }
            }
        }
    }

    fn count(&mut self) {
        let Some((most, time)) = self.limit else {
            return;
        };
        if self.since.elapsed() > time {
            (self.since, self.count) = (Instant::now(), 0);
        }
        self.count += 1;
        if self.count > most {
            self.over.notify_one();
        }
    }
}

impl Tap for ResetCounter {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(io).poll_read(cx, buf))?;
        self.look(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_counted_across_reads() {
        let (preface, ping) = ([0; 24], [0, 0, 8, 6, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3]);
        let reset = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
        let said = [&preface[..], &ping, &reset, &ping, &reset].concat();
        for piece in 1..said.len() {
            let mut counter = ResetCounter::new(Some(NETTY), Arc::new(Notify::new()));
            said.chunks(piece).for_each(|bytes| counter.look(bytes));
            assert_eq!(counter.count, 2, "in pieces of {piece}");
        }
    }
}
