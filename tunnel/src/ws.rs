//! A WebSocket of ours: the only file that sees its messages.
//!
//! Binary messages go up and down as they are. Pings, pongs, control messages and the closing handshake are
//! dealt with on the way, by whoever drives it. A [`Handle`] speaks to the peer from elsewhere.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

use crate::limits::{
    CLOSING_PAUSE, CONTROL_QUEUE, WORK_PER_FRAME, WS_IDLE_MESSAGES, WS_MAX_MESSAGE,
    WS_MAX_WRITE_BUFFER, WS_READ_BUFFER, WS_WRITE_BUFFER,
};
use crate::token_bucket::TokenBucket;
use crate::turn::Turn;
use crate::wire::{CloseCode, Control};

mod fragments;
mod handle;
mod keepalive;
mod phase;
mod read_ahead;
mod rtt;

pub use fragments::Fragments;
use handle::Shared;
pub use handle::{Ended, Handle};
use keepalive::Keepalive;
pub use keepalive::KeepaliveConfig;
use phase::{Phase, close_frame, is_loss};
pub use read_ahead::ReadAhead;

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

/// The WebSocket. Whoever holds it must keep receiving, for that is what answers pings.
#[derive(Debug)]
pub(crate) struct Ws<S> {
    ws: WebSocketStream<S>,
    keepalive: Keepalive,
    turn: Turn,
    /// Messages without data that the peer may still send.
    idle: TokenBucket,
    control: mpsc::Sender<Control>,
    shared: Arc<Shared>,
    phase: Phase,
    /// Something has been written and may not have been sent.
    unflushed: bool,
    /// The socket takes less than there is to send.
    is_slow: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    /// Takes over a WebSocket whose handshake is done. The receiver yields the peer's control messages.
    pub(crate) fn new(
        ws: WebSocketStream<S>,
        keepalive: KeepaliveConfig,
    ) -> (Self, Handle, mpsc::Receiver<Control>) {
        let (control, control_receiver) = mpsc::channel(CONTROL_QUEUE);
        let shared = Arc::new(Shared::default());
        let handle = Handle(shared.clone());
        let keepalive = Keepalive::new(keepalive);
        let idle = TokenBucket::new(WS_IDLE_MESSAGES);
        let (turn, phase) = (Turn::default(), Phase::Open);
        let ws = Self {
            ws,
            keepalive,
            turn,
            idle,
            control,
            shared,
            phase,
            unflushed: false,
            is_slow: false,
        };
        (ws, handle, control_receiver)
    }

    /// Sends what is due besides data: pings, control messages, and the start of a close.
    pub(crate) fn poll_upkeep(&mut self, cx: &mut Context<'_>) {
        if let Err(error) = self.try_upkeep(cx) {
            self.fail(&error);
        }
    }

    fn try_upkeep(&mut self, cx: &mut Context<'_>) -> Result<(), WsError> {
        if !self.is_open() {
            return Ok(());
        }
        // Not behind a socket that is full: the close has a deadline of its own.
        if let Some((code, reason)) = self.shared.poll_close(cx) {
            self.begin_close(code, reason);
            return Ok(());
        }
        if self.keepalive.is_due(cx) && self.poll_ready(cx)?.is_ready() {
            let payload = self.keepalive.ping();
            self.send_unflushed(Message::Ping(payload))?;
        }
        while self.shared.has_control() && self.poll_ready(cx)?.is_ready() {
            let Some(control) = self.shared.next_control() else { break };
            self.send_unflushed(Message::text(control.as_text()))?;
        }
        Ok(())
    }

    fn send_unflushed(&mut self, message: Message) -> Result<(), WsError> {
        self.unflushed = true;
        Pin::new(&mut self.ws).start_send(message)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, WsError> {
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

    /// The next binary message; `None` when the WebSocket is over.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if !self.is_open() {
                ready!(self.poll_closing(cx));
                return Poll::Ready(None);
            }
            ready!(self.turn.poll(cx));
            let Poll::Ready(message) = Pin::new(&mut self.ws).poll_next(cx) else {
                self.turn.over();
                ready!(self.keepalive.poll_silence(cx));
                self.silent();
                continue;
            };
            self.keepalive.heard();
            match message {
                Some(Ok(message)) => {
                    if let Some(bytes) = self.take(message) {
                        return Poll::Ready(Some(bytes));
                    }
                }
                Some(Err(error)) if fragments::is_flood(&error) => self.end_flood(),
                Some(Err(error)) if !is_loss(&error) => {
                    let _ = self.shared.ended.set(Ended::Violation(error.to_string()));
                    self.phase = Phase::calming(None);
                }
                Some(Err(error)) => self.fail(&error),
                None => {
                    let _ = self.shared.ended.set(Ended::Lost);
                    self.phase = Phase::Over;
                }
            }
        }
    }

    /// Takes a message; what is in it, if it is for whoever holds the WebSocket.
    fn take(&mut self, message: Message) -> Option<Bytes> {
        self.turn.did(WORK_PER_FRAME + message.len());
        if !message.is_binary() && !message.is_close() && self.idle.take(1).is_err() {
            self.end_flood();
            return None;
        }
        match message {
            Message::Binary(bytes) => {
                self.keepalive.moved(bytes.len());
                return Some(bytes);
            }
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
        None
    }

    /// Ends the WebSocket of a peer that says much and means nothing. It is left waiting first.
    pub(crate) fn end_flood(&mut self) {
        let _ = self.shared.ended.set(Ended::Flood);
        let frame = close_frame(CloseCode::Policy, "too many messages without data");
        self.phase = Phase::calming(Some(frame));
    }

    /// Ends the WebSocket of a peer that broke the protocol above it. It is left waiting first.
    pub(crate) fn end_violation(&mut self, violation: String, code: CloseCode) {
        let frame = close_frame(code, "protocol violation");
        let _ = self.shared.ended.set(Ended::Violation(violation));
        self.phase = Phase::calming(Some(frame));
    }

    /// Notes why it ended.
    fn fail(&mut self, error: &WsError) {
        self.phase = Phase::Over;
        let _ = self.shared.ended.set(Ended::of(error));
    }

    /// Whether messages still come and go.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Ready when a message may be sent. Never once the WebSocket is closing.
    pub(crate) fn poll_sendable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_open() {
            return Poll::Pending;
        }
        match self.poll_ready(cx) {
            Ok(Poll::Ready(())) => {
                self.keepalive.unblocked();
                Poll::Ready(())
            }
            Ok(Poll::Pending) => {
                self.is_slow = true;
                if self.keepalive.poll_blocked(cx).is_ready() {
                    self.silent();
                }
                Poll::Pending
            }
            Err(error) => {
                self.fail(&error);
                Poll::Pending
            }
        }
    }

    /// Sends a binary message, after [`Self::poll_sendable`]. Messages are written together; but where the socket takes
    /// less than there is, one at a time, so that what has more haste does not stand behind several.
    pub(crate) fn send(&mut self, message: Bytes, cx: &mut Context<'_>) {
        self.keepalive.moved(message.len());
        if let Err(error) = self.send_unflushed(Message::Binary(message)) {
            self.fail(&error);
        }
        if self.is_slow {
            self.poll_flush(cx);
        }
    }

    /// Writes what was sent to the socket, as far as that takes it.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) {
        if !self.unflushed || !self.is_open() {
            return;
        }
        let flushed = Pin::new(&mut self.ws).poll_flush(cx);
        self.is_slow = flushed.is_pending();
        if let Poll::Ready(result) = flushed {
            self.unflushed = false;
            if let Err(error) = result {
                self.fail(&error);
            }
        }
    }

    /// Nothing came, or nothing was taken, for the keepalive timeout.
    fn silent(&mut self) {
        let _ = self.shared.ended.set(Ended::Silent(self.keepalive.timeout()));
        self.phase = Phase::Over;
    }
}

#[cfg(test)]
mod tests;
