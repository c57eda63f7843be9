//! A WebSocket as a byte stream: the only file that sees WebSocket messages.
//!
//! Binary messages are the bytes. Pings, pongs and control messages are dealt with on the way, by
//! whoever reads or writes; there is no task of its own. A [`Handle`] speaks to the peer from elsewhere.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

use crate::allowance::Allowance;
use crate::keepalive::{Keepalive, KeepaliveConfig};
use crate::limits::{
    CLOSING_PAUSE, CONTROL_QUEUE, WORK_PER_FRAME, WS_IDLE_MESSAGES, WS_IDLE_MESSAGES_FORGIVEN,
    WS_MAX_MESSAGE, WS_MAX_WRITE_BUFFER, WS_MESSAGE_BYTES, WS_READ_BUFFER, WS_WRITE_BUFFER,
};
use crate::turn::Turn;
use crate::wire::{CloseCode, Control};

mod fragments;
mod handle;
mod phase;

pub use fragments::Fragments;
use handle::Shared;
pub use handle::{Ended, Handle};
use phase::{Phase, close_frame, is_loss};

/// How every WebSocket of ours is set up.
#[must_use]
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(WS_READ_BUFFER)
        .write_buffer_size(WS_WRITE_BUFFER)
        .max_write_buffer_size(WS_MAX_WRITE_BUFFER)
        .max_message_size(Some(WS_MAX_MESSAGE))
        .max_frame_size(Some(WS_MAX_MESSAGE))
}

/// The byte stream. Whoever holds it must keep reading, for that is what answers pings.
#[derive(Debug)]
pub struct WsIo<S> {
    ws: WebSocketStream<S>,
    /// What is left of the binary message that was read last.
    unread: Bytes,
    keepalive: Keepalive,
    turn: Turn,
    /// Messages without data that the peer may still send.
    idle: Allowance,
    control: mpsc::Sender<Control>,
    shared: Arc<Shared>,
    phase: Phase,
    /// A ping or a control message has been written and may not have been sent.
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsIo<S> {
    /// Takes over a WebSocket whose handshake is done. The receiver yields the peer's control messages.
    pub fn new(
        ws: WebSocketStream<S>,
        keepalive: KeepaliveConfig,
    ) -> (Self, Handle, mpsc::Receiver<Control>) {
        let (control, control_receiver) = mpsc::channel(CONTROL_QUEUE);
        let shared = Arc::new(Shared::default());
        let handle = Handle(shared.clone());
        let keepalive = Keepalive::new(keepalive);
        let phase = Phase::Open;
        let unread = Bytes::new();
        let (turn, unflushed) = (Turn::default(), false);
        let idle = Allowance::new(WS_IDLE_MESSAGES, WS_IDLE_MESSAGES_FORGIVEN);
        let io = Self { ws, unread, keepalive, turn, idle, control, shared, phase, unflushed };
        (io, handle, control_receiver)
    }

    /// Closes the WebSocket and waits for the peer's part of it, or for the deadline.
    pub async fn close(mut self, code: CloseCode, reason: &'static str) {
        if matches!(self.phase, Phase::Open) {
            self.begin_close(code, reason);
        }
        poll_fn(|cx| self.poll_closing(cx)).await;
    }

    /// Reads and drops what comes until the peer closes, for `time` at most.
    pub async fn drain(&mut self, time: Duration) {
        let drained = poll_fn(|cx| {
            loop {
                let bytes = ready!(self.poll_chunk(cx))?.len();
                if bytes == 0 {
                    return Poll::Ready(io::Result::Ok(()));
                }
                self.take_chunk(bytes);
            }
        });
        // However it ends, it has ended.
        let _ = tokio::time::timeout(time, drained).await;
    }

    /// Sends what is due besides data: pings, control messages, and the start of a close.
    fn poll_upkeep(&mut self, cx: &mut Context<'_>) -> Result<(), WsError> {
        if !matches!(self.phase, Phase::Open) {
            return Ok(());
        }
        // Not behind a socket that is full: the close has a deadline of its own.
        if let Some((code, reason)) = self.shared.poll_close(cx) {
            self.begin_close(code, reason);
            return Ok(());
        }
        while let Poll::Ready(payload) = self.keepalive.poll_ping(cx) {
            // Left out where the socket is full: what it is full of is a sign of life as good.
            if self.poll_sendable(cx)?.is_ready() {
                self.send_unflushed(Message::Ping(payload))?;
            }
        }
        while self.shared.has_control() && self.poll_sendable(cx)?.is_ready() {
            let Some(control) = self.shared.next_control() else { break };
            self.send_unflushed(Message::text(control.as_text()))?;
        }
        if self.unflushed
            && let Poll::Ready(result) = Pin::new(&mut self.ws).poll_flush(cx)
        {
            self.unflushed = false;
            result?;
        }
        Ok(())
    }

    fn send_unflushed(&mut self, message: Message) -> Result<(), WsError> {
        self.unflushed = true;
        Pin::new(&mut self.ws).start_send(message)
    }

    fn poll_sendable(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, WsError> {
        match Pin::new(&mut self.ws).poll_ready(cx) {
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    fn begin_close(&mut self, code: CloseCode, reason: &'static str) {
        let _ = self.shared.ended.set(Ended::ByUs { code, reason });
        self.phase = Phase::closing(close_frame(code, reason));
    }

    /// Drives the closing handshake to its end, or to its deadline.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.phase {
                Phase::Open => return Poll::Ready(()),
                Phase::Calming(frame, pause) => {
                    ready!(pause.as_mut().poll(cx));
                    self.phase = frame.take().map_or(Phase::Over, Phase::closing);
                }
                Phase::Closing(frame, deadline) => {
                    let deadline_passed = deadline.as_mut().poll(cx).is_ready();
                    let frame = frame.clone();
                    let sent = self.poll_send_close(cx, frame);
                    if deadline_passed || matches!(sent, Poll::Ready(Err(_))) {
                        self.phase = Phase::Over;
                        continue;
                    }
                    let _ = ready!(sent);
                    self.await_close();
                }
                Phase::Closed(deadline) => {
                    let deadline_passed = deadline.as_mut().poll(cx).is_ready();
                    let _ = Pin::new(&mut self.ws).poll_flush(cx);
                    // A flood is not listened to any longer.
                    let flooded = matches!(self.shared.ended.get(), Some(Ended::Flood));
                    if deadline_passed || flooded {
                        self.phase = Phase::Over;
                        continue;
                    }
                    ready!(self.turn.poll(cx));
                    match ready!(Pin::new(&mut self.ws).poll_next(cx)) {
                        // What still comes is for nobody.
                        Some(Ok(message)) => self.turn.did(WORK_PER_FRAME + message.len()),
                        _ => self.phase = Phase::Over,
                    }
                }
                Phase::Over => return Poll::Ready(()),
            }
        }
    }

    /// What still comes before the peer's part of the handshake is read at leisure: it is for nobody.
    fn await_close(&mut self) {
        self.turn = Turn::slow(CLOSING_PAUSE);
        self.phase = Phase::closed();
    }

    fn poll_send_close(
        &mut self,
        cx: &mut Context<'_>,
        frame: CloseFrame,
    ) -> Poll<Result<(), WsError>> {
        ready!(Pin::new(&mut self.ws).poll_ready(cx))?;
        Poll::Ready(Pin::new(&mut self.ws).start_send(Message::Close(Some(frame))))
    }

    /// The next piece of the byte stream; empty at its end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&Bytes>> {
        // A message may be large, and what reads it takes it in portions.
        if !self.unread.is_empty() {
            ready!(self.turn.poll(cx));
        }
        while self.unread.is_empty() {
            if let Err(error) = self.poll_upkeep(cx) {
                return Poll::Ready(self.fail(&error));
            }
            if !matches!(self.phase, Phase::Open) {
                ready!(self.poll_closing(cx));
                break;
            }
            ready!(self.turn.poll(cx));
            let Poll::Ready(message) = Pin::new(&mut self.ws).poll_next(cx) else {
                self.turn.over();
                ready!(self.keepalive.poll_silence(cx));
                return Poll::Ready(self.silent());
            };
            self.keepalive.heard();
            match message {
                Some(Ok(message)) => self.take(message),
                Some(Err(error)) if fragments::is_flood(&error) => self.calm_flood(),
                Some(Err(error)) if !is_loss(&error) => {
                    let _ = self.shared.ended.set(Ended::Violation(error.to_string()));
                    self.phase = Phase::calming(None);
                }
                Some(Err(error)) => return Poll::Ready(self.fail(&error)),
                None => {
                    let _ = self.shared.ended.set(Ended::Lost);
                    self.phase = Phase::Over;
                }
            }
        }
        Poll::Ready(Ok(&self.unread))
    }

    /// So much of the byte stream is taken.
    fn take_chunk(&mut self, bytes: usize) {
        self.turn.did(bytes);
        self.unread.advance(bytes);
    }

    fn take(&mut self, message: Message) {
        // Of data, the bytes are counted as they are taken.
        let data = matches!(&message, Message::Binary(bytes) if !bytes.is_empty());
        self.turn.did(WORK_PER_FRAME + if data { 0 } else { message.len() });
        if !data && !message.is_close() && !self.idle.spend(1) {
            return self.calm_flood();
        }
        match message {
            Message::Binary(bytes) => self.unread = bytes,
            Message::Pong(payload) => {
                if let Some(rtt) = self.keepalive.pong(&payload) {
                    self.shared.set_rtt(rtt);
                }
            }
            // Full means that the same has been said often enough already.
            Message::Text(text) => drop(self.control.try_send(Control::from_text(&text))),
            Message::Close(frame) => {
                let _ = self.shared.ended.set(Ended::by(frame));
                // tungstenite has queued the answer; the server then hangs up first (RFC 6455 7.1.1).
                self.await_close();
            }
            // tungstenite queues the pong, and the next read or write sends it.
            Message::Ping(_) | Message::Frame(_) => {}
        }
    }

    fn calm_flood(&mut self) {
        let _ = self.shared.ended.set(Ended::Flood);
        let frame = close_frame(CloseCode::Policy, "too many messages without data");
        self.phase = Phase::calming(Some(frame));
    }

    /// Notes why it ended, and what to tell the reader: a connection that just went away is an end of
    /// stream like any other.
    fn fail<T>(&mut self, error: &WsError) -> io::Result<T> {
        self.phase = Phase::Over;
        let (ended, kind) = Ended::of(error);
        let _ = self.shared.ended.set(ended);
        Err(io::Error::new(kind, error.to_string()))
    }

    /// Sends `message` once the socket has taken the one before it.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        message: impl FnOnce() -> Bytes,
    ) -> Poll<io::Result<()>> {
        if let Err(error) = self.poll_upkeep(cx) {
            return Poll::Ready(self.fail(&error));
        }
        if !matches!(self.phase, Phase::Open) {
            // An error makes HTTP/2 give up the stream at once, so the closing handshake goes first.
            ready!(self.poll_closing(cx));
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let Poll::Ready(ready) = Pin::new(&mut self.ws).poll_ready(cx) else {
            ready!(self.keepalive.poll_blocked(cx));
            return Poll::Ready(self.silent());
        };
        self.keepalive.unblocked();
        let sent =
            ready.and_then(|()| Pin::new(&mut self.ws).start_send(Message::Binary(message())));
        Poll::Ready(sent.or_else(|error| self.fail(&error)))
    }

    /// Nothing came, or nothing was taken, for the keepalive timeout.
    fn silent<T>(&mut self) -> io::Result<T> {
        let _ = self.shared.ended.set(Ended::Silent(self.keepalive.timeout()));
        self.phase = Phase::Over;
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WsIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let chunk = ready!(self.poll_chunk(cx))?;
        let n = chunk.len().min(buf.remaining());
        buf.put_slice(&chunk[..n]);
        self.take_chunk(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WsIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = buf.len().min(WS_MESSAGE_BYTES);
        self.poll_send(cx, || Bytes::copy_from_slice(&buf[..n])).map_ok(|()| n)
    }

    /// One message for all slices: HTTP/2 writes a frame as its head and its payload.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = slices.iter().map(|slice| slice.len()).sum::<usize>().min(WS_MESSAGE_BYTES);
        self.poll_send(cx, || join(slices, n)).map_ok(|()| n)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = self.poll_upkeep(cx) {
            return Poll::Ready(self.fail(&error));
        }
        if !matches!(self.phase, Phase::Open) {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(Pin::new(&mut self.ws).poll_flush(cx));
        Poll::Ready(result.or_else(|error| self.fail(&error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.phase, Phase::Open) {
            self.begin_close(CloseCode::Normal, "the byte stream has ended");
        }
        self.poll_closing(cx).map(Ok)
    }
}

fn join(slices: &[IoSlice<'_>], mut n: usize) -> Bytes {
    let mut joined = BytesMut::with_capacity(n);
    for slice in slices {
        let part = &slice[..slice.len().min(n)];
        joined.extend_from_slice(part);
        n -= part.len();
    }
    joined.freeze()
}

#[cfg(test)]
mod tests;
