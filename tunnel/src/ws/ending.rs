//! How a WebSocket ends: the closing handshake, and what makes for it.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::handle::Ended;
use super::message::{Close, Message};
use super::phase::Phase;
use super::reader::ReadError;
use super::{Side, Ws};
use crate::limits::CLOSING_PAUSE;
use crate::turn::Turn;
use crate::wire::CloseCode;

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    pub(super) fn begin_close(&mut self, code: CloseCode, reason: &'static str) {
        let _ = self.shared.ended.set(Ended::ByUs { code, reason });
        self.phase = Phase::closing(Close::new(code, reason));
    }

    /// Drives the closing handshake to its end, or to its deadline.
    pub(super) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.phase {
                Phase::Open => return Poll::Ready(()),
                Phase::Calming(close, pause) => {
                    ready!(pause.as_mut().poll(cx));
                    self.phase = Phase::closing(close.clone());
                }
                Phase::Closing(close, deadline) => {
                    let deadline_passed = deadline.as_mut().poll(cx).is_ready();
                    let close = close.clone();
                    match self.poll_room(cx) {
                        Ok(Poll::Pending) if !deadline_passed => return Poll::Pending,
                        Ok(Poll::Ready(())) if !deadline_passed => {
                            self.writer.put(Message::Close(Some(close)));
                            self.await_close();
                        }
                        _ => self.phase = Phase::Over,
                    }
                }
                Phase::Closed(deadline) => {
                    let deadline_passed = deadline.as_mut().poll(cx).is_ready();
                    if deadline_passed || self.is_through(cx) {
                        self.phase = Phase::Over;
                        continue;
                    }
                    ready!(self.turn.poll(cx));
                    match ready!(self.reader.poll_frame(&mut self.io, cx)) {
                        // What still comes is for nobody.
                        Ok(Some(incoming)) => self.did(&incoming),
                        // Nothing more can be read of whoever broke the protocol, who is still told.
                        Err(ReadError::Frame(_)) if !self.writer.is_flushed() => {
                            return Poll::Pending;
                        }
                        Ok(None) | Err(_) => self.phase = Phase::Over,
                    }
                }
                Phase::Over => return Poll::Ready(()),
            }
        }
    }

    /// Whether nothing is left of the closing handshake: once both have sent a Close frame, the server hangs up first
    /// (RFC 6455 7.1.1). A flood is not listened to any longer.
    fn is_through(&mut self, cx: &mut Context<'_>) -> bool {
        let sent = self.writer.poll_flush(&mut self.io, cx);
        let is_last = self.has_closed && self.side == Side::Server;
        matches!(self.shared.ended.get(), Some(Ended::Flood))
            || matches!(sent, Poll::Ready(Err(_)))
            || (is_last && sent.is_ready())
    }

    /// What still comes before the peer's part of the handshake is read at leisure: it is for nobody.
    fn await_close(&mut self) {
        self.turn = Turn::slow(CLOSING_PAUSE);
        self.phase = Phase::closed();
    }

    /// Ends the WebSocket of a peer that says much and means nothing. It is left waiting first.
    pub(crate) fn end_flood(&mut self) {
        let _ = self.shared.ended.set(Ended::Flood);
        let close = Close::new(CloseCode::Policy, "too many messages without data");
        self.phase = Phase::calming(close);
    }

    /// Ends the WebSocket of a peer that broke the protocol above it. It is left waiting first.
    pub(crate) fn end_violation(&mut self, violation: String, code: CloseCode) {
        let _ = self.shared.ended.set(Ended::Violation(violation));
        self.phase = Phase::calming(Close::new(code, "protocol violation"));
    }

    /// Notes why it ended.
    pub(super) fn fail(&mut self, error: &ReadError) {
        self.phase = Phase::Over;
        let _ = self.shared.ended.set(Ended::of(error));
    }

    /// Nothing came, or nothing was taken, for so long.
    pub(super) fn silent(&mut self, waited: Duration) {
        let _ = self.shared.ended.set(Ended::Silent(waited));
        self.phase = Phase::Over;
    }
}
