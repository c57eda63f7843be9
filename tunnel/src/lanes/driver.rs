//! Moves the messages of a session's lanes over its WebSocket.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use super::memory::LaneMemory;
use super::mux::Event;
use super::role::Role;
use super::shared::Lanes;
use crate::limits::{LANE_FRAMES_EXPLAINED, LANE_IDLE_FRAMES, LANE_SWEEP, WORK_PER_FRAME};
use crate::token_bucket::TokenBucket;
use crate::turn::Turn;
use crate::wire::{CloseCode, Control};
use crate::ws::{KeepaliveConfig, Side, Ws};

/// Takes over a WebSocket whose handshake is done, with what was read behind that.
///
/// The session lives for as long as the [`Driver`] is polled. Its lanes grow within `memory`. The receiver yields the
/// peer's control messages.
pub fn start<S>(
    io: S,
    read: Bytes,
    keepalive: KeepaliveConfig,
    role: Role,
    memory: LaneMemory,
) -> (Driver<S>, Lanes, mpsc::Receiver<Control>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let side = if role == Role::Hub { Side::Server } else { Side::Client };
    let (ws, handle, control) = Ws::new(io, read, side, keepalive);
    let lanes = Lanes::new(role, memory, handle);
    let idle = TokenBucket::new(LANE_IDLE_FRAMES);
    let (began, sending) = (Instant::now(), Turn::default());
    let driver = Driver { ws, lanes: lanes.clone(), began, sweep: None, idle, sending };
    (driver, lanes, control)
}

/// The session's I/O: resolves when the WebSocket is over, of which [`Lanes::ws`] tells the rest.
#[derive(Debug)]
pub struct Driver<S> {
    ws: Ws<S>,
    lanes: Lanes,
    began: Instant,
    sweep: Option<Pin<Box<Sleep>>>,
    /// Frames that the peer may still send without need.
    idle: TokenBucket,
    sending: Turn,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    fn take(&mut self, message: Bytes) {
        match self.lanes.receive(message) {
            Ok(Event::Readable | Event::Opened(_) | Event::Refused) => {
                self.idle.give_back(LANE_FRAMES_EXPLAINED);
            }
            Ok(Event::Late) => {}
            Ok(_) if self.idle.take(1).is_ok() => {}
            Ok(_) => self.ws.end_flood(),
            Err(violation) => self.ws.end_violation(violation.to_string(), CloseCode::Protocol),
        }
    }

    /// Sends what is queued, as far as the socket takes it and the turn goes.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sending.poll(cx));
            ready!(self.ws.poll_sendable(cx));
            let Some(message) = self.lanes.next_message() else {
                self.sending.over();
                return Poll::Ready(());
            };
            self.idle.give_back(LANE_FRAMES_EXPLAINED);
            self.sending.did(WORK_PER_FRAME + message.len());
            self.ws.send(message, cx);
        }
    }

    fn poll_sweep(&mut self, cx: &mut Context<'_>) {
        if self.sweep.is_none() && !self.lanes.is_empty() {
            self.sweep = Some(Box::pin(sleep(LANE_SWEEP)));
        }
        while let Some(due) = &mut self.sweep
            && due.as_mut().poll(cx).is_ready()
        {
            self.sweep = self.lanes.sweep().then(|| Box::pin(sleep(LANE_SWEEP)));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.lanes.register_driver(cx, this.began.elapsed());
        this.ws.poll_upkeep(cx);
        loop {
            match this.ws.poll_receive(cx) {
                Poll::Ready(Some(message)) => this.take(message),
                Poll::Ready(None) => {
                    this.lanes.end();
                    return Poll::Ready(());
                }
                Poll::Pending if !this.ws.is_open() => {
                    this.lanes.lose();
                    return Poll::Pending;
                }
                Poll::Pending => {
                    this.poll_sweep(cx);
                    // What the lanes were woken for comes with a next poll.
                    let _ = this.poll_send(cx);
                    this.ws.poll_flush(cx);
                    if this.ws.is_open() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.lanes.end();
    }
}
