//! A WebSocket of ours, once its handshake is done.
//!
//! Binary messages go up and down as they are. Pings, pongs, control messages and the closing handshake are
//! dealt with on the way, by whoever drives it. A [`Handle`] speaks to the peer from elsewhere.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::limits::{CONTROL_QUEUE, WORK_PER_FRAME, WS_IDLE_MESSAGES};
use crate::pieces::Pieces;
use crate::token_bucket::TokenBucket;
use crate::turn::Turn;
use crate::wire::{CloseCode, Control};

mod ending;
mod flight;
mod frame;
mod handle;
mod keepalive;
mod masks;
mod message;
mod phase;
mod reader;
mod rtt;
mod writer;

use flight::Flight;
use frame::Opcode;
pub(crate) use frame::Side;
use handle::Shared;
pub use handle::{Ended, Handle};
pub use keepalive::KeepaliveConfig;
use keepalive::{Keepalive, Silence};
use message::{Close, Message};
use phase::Phase;
use reader::{Incoming, ReadError, Reader};
use writer::Writer;

/// The WebSocket. Whoever holds it must keep receiving, for that is what answers pings.
#[derive(Debug)]
pub(crate) struct Ws<S> {
    io: S,
    side: Side,
    reader: Reader,
    writer: Writer,
    keepalive: Keepalive,
    flight: Flight,
    turn: Turn,
    /// Messages without data that the peer may still send.
    idle: TokenBucket,
    /// Fragments without data that it may.
    empty: TokenBucket,
    /// Data has come since its last ping: one is free.
    may_ping: bool,
    /// What the peer's newest ping said, until that is answered.
    pinged: Option<Bytes>,
    control: mpsc::Sender<Control>,
    shared: Arc<Shared>,
    phase: Phase,
    /// The peer has sent a Close frame.
    has_closed: bool,
    /// The socket takes less than there is to send.
    is_slow: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ws<S> {
    /// Takes over a WebSocket whose handshake is done, with what was read behind that. The receiver yields the peer's
    /// control messages.
    pub(crate) fn new(
        io: S,
        read: Bytes,
        side: Side,
        keepalive: KeepaliveConfig,
    ) -> (Self, Handle, mpsc::Receiver<Control>) {
        let (control, control_receiver) = mpsc::channel(CONTROL_QUEUE);
        let shared = Arc::new(Shared::default());
        let handle = Handle(shared.clone());
        let ws = Self {
            io,
            side,
            reader: Reader::new(side, &read),
            writer: Writer::new(side),
            keepalive: Keepalive::new(keepalive),
            flight: Flight::new(),
            turn: Turn::default(),
            idle: TokenBucket::new(WS_IDLE_MESSAGES),
            empty: TokenBucket::new(WS_IDLE_MESSAGES),
            may_ping: false,
            pinged: None,
            control,
            shared,
            phase: Phase::Open,
            has_closed: false,
            is_slow: false,
        };
        (ws, handle, control_receiver)
    }

    /// Sends what is due besides data: pings and pongs, control messages, and the start of a close.
    pub(crate) fn poll_upkeep(&mut self, cx: &mut Context<'_>) {
        if let Err(error) = self.try_upkeep(cx) {
            self.fail(&error.into());
        }
    }

    fn try_upkeep(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.is_open() {
            return Ok(());
        }
        // Not behind a socket that is full: the close has a deadline of its own.
        let (close, probe) = self.shared.poll_asked(cx);
        if let Some((code, reason)) = close {
            self.begin_close(code, reason);
            return Ok(());
        }
        if probe {
            self.keepalive.probe();
        }
        if self.keepalive.is_due(cx) && self.poll_room(cx)?.is_ready() {
            self.ping();
        }
        while self.shared.has_control() && self.poll_room(cx)?.is_ready() {
            let Some(control) = self.shared.next_control() else { break };
            self.writer.put(Message::Text(control.to_text()));
        }
        Ok(())
    }

    fn ping(&mut self) {
        let payload = self.flight.ping();
        self.keepalive.pinged();
        self.writer.put(Message::Ping(payload));
    }

    /// Ready when a message may be put into the writer.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        if self.writer.has_room() {
            return Ok(Poll::Ready(()));
        }
        match self.writer.poll_write(&mut self.io, cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending if !self.writer.has_room() => Ok(Poll::Pending),
            _ => Ok(Poll::Ready(())),
        }
    }

    /// Counts a frame as work, and notes a Close.
    fn did(&mut self, incoming: &Incoming) {
        let bytes = match incoming {
            Incoming::Whole(message) => message.len(),
            Incoming::Fragment { .. } => 0,
        };
        self.has_closed |= matches!(incoming, Incoming::Whole(Message::Close(_)));
        self.turn.did(WORK_PER_FRAME + bytes);
    }

    /// The next binary message; `None` when the WebSocket is over.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if !self.is_open() {
                ready!(self.poll_closing(cx));
                return Poll::Ready(None);
            }
            ready!(self.turn.poll(cx));
            let Poll::Ready(read) = self.reader.poll_frame(&mut self.io, cx) else {
                self.turn.over();
                match ready!(self.keepalive.poll_silence(cx)) {
                    Silence::Over(waited) => self.silent(waited),
                    Silence::Suspect => {
                        self.shared.set_suspect(true);
                        return Poll::Pending;
                    }
                }
                continue;
            };
            if says_unasked(&read) {
                self.keepalive.heard_unasked();
            } else {
                self.keepalive.heard();
                self.shared.set_suspect(false);
            }
            match read {
                Ok(Some(incoming)) => {
                    self.did(&incoming);
                    if let Some(bytes) = self.take(incoming) {
                        return Poll::Ready(Some(bytes));
                    }
                }
                Err(ReadError::Frame(error)) => {
                    self.end_violation(error.to_string(), error.code());
                }
                Err(error) => self.fail(&error),
                Ok(None) => self.fail(&io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            }
        }
    }

    /// Takes a frame; what is in it, if it is for whoever holds the WebSocket.
    fn take(&mut self, incoming: Incoming) -> Option<Bytes> {
        let message = match incoming {
            Incoming::Whole(message) => message,
            Incoming::Fragment { len } => {
                self.take_fragment(len);
                return None;
            }
        };
        let has_use = match &message {
            Message::Binary(_) | Message::Close(_) => true,
            Message::Pong(payload) => self.is_answer(payload),
            Message::Ping(_) => std::mem::take(&mut self.may_ping),
            Message::Text(_) => false,
        };
        if !has_use && self.idle.take(1).is_err() {
            self.end_flood();
            return None;
        }
        match message {
            Message::Binary(bytes) => {
                self.empty.give_back(1);
                self.may_ping |= !bytes.is_empty();
                self.keepalive.moved(bytes.len());
                return Some(bytes);
            }
            Message::Ping(payload) => self.pinged = Some(payload),
            Message::Pong(_) => {}
            // It is never full: whoever says more at once is ended for a flood.
            Message::Text(text) => {
                let _ = self.control.try_send(Control::from_text(&text));
            }
            Message::Close(close) => {
                let code = close.as_ref().map_or(CloseCode::Normal, |close| close.code);
                let _ = self.shared.ended.set(Ended::by(close));
                self.phase = Phase::closing(Close::new(code, ""));
            }
        }
        None
    }

    /// Whether a pong answers a ping of ours.
    fn is_answer(&mut self, payload: &[u8]) -> bool {
        let rtt = self.flight.answered(payload);
        if let Some(rtt) = rtt {
            self.shared.set_rtt(rtt);
        }
        if self.flight.is_answered() {
            self.keepalive.answered();
        }
        rtt.is_some()
    }

    /// Fragments that bring nothing are good for little.
    fn take_fragment(&mut self, len: usize) {
        if len > 0 {
            self.empty.give_back(1);
        } else if self.empty.take(1).is_err() {
            self.end_flood();
        }
    }

    /// Whether messages still come and go.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Ready when a message may be sent. Never once the WebSocket is closing; and where too much is on its way, once the
    /// peer tells by its answer to a ping that some of it has arrived.
    pub(crate) fn poll_sendable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_open() {
            return Poll::Pending;
        }
        match self.poll_room(cx) {
            Ok(Poll::Ready(())) => {
                // Or data would always be before it.
                self.answer_ping();
                if self.flight.wants_ping() {
                    self.ping();
                }
                if self.flight.has_room() {
                    self.keepalive.unblocked();
                    return Poll::Ready(());
                }
                self.poll_blocked(cx)
            }
            Ok(Poll::Pending) => {
                self.is_slow = true;
                self.poll_blocked(cx)
            }
            Err(error) => {
                self.fail(&error.into());
                Poll::Pending
            }
        }
    }

    /// Nothing may be sent: for too long, where the peer takes nothing, or never tells what it has got.
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(waited) = self.keepalive.poll_blocked(cx) {
            self.silent(waited);
        }
        Poll::Pending
    }

    /// Sends a binary message, after [`Self::poll_sendable`]. Messages are written together; but where the socket takes
    /// less than there is, one at a time, so that what has more haste does not stand behind several.
    pub(crate) fn send(&mut self, message: impl Into<Pieces>, cx: &mut Context<'_>) {
        let message = message.into();
        self.keepalive.moved(message.len());
        self.keepalive.sent();
        self.flight.sent(message.len());
        self.writer.put_pieces(Opcode::Binary, message);
        if self.is_slow {
            self.poll_flush(cx);
        }
    }

    fn answer_ping(&mut self) {
        if let Some(payload) = self.pinged.take() {
            self.writer.put(Message::Pong(payload));
        }
    }

    /// Writes what was sent to the socket, as far as that takes it, and the answer to the peer's newest ping.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) {
        if !self.is_open() {
            return;
        }
        loop {
            if self.writer.has_room() {
                self.answer_ping();
            }
            if self.writer.is_flushed() {
                return;
            }
            let flushed = self.writer.poll_flush(&mut self.io, cx);
            self.is_slow = flushed.is_pending();
            match flushed {
                // Room for what had none.
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.fail(&error.into()),
                Poll::Pending => return,
            }
        }
    }
}

/// Whether it tells that the peer lives, but not that it hears anything: so a link goes on that has lost one direction. Data
/// is taken for an answer, for on a thin link the answer may stand behind it.
fn says_unasked(read: &Result<Option<Incoming>, ReadError>) -> bool {
    matches!(read, Ok(Some(Incoming::Whole(Message::Ping(_) | Message::Text(_)))))
}

#[cfg(test)]
mod tests;
