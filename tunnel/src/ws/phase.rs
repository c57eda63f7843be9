//! How far a WebSocket is on its way to its end.

use std::pin::Pin;

use tokio::time::{Sleep, sleep};

use super::message::Close;
use crate::limits::{CLOSE_TIMEOUT, OFFENDER_PAUSE};

#[derive(Debug)]
pub(super) enum Phase {
    Open,
    /// The peer has broken a rule. It is left waiting, and nothing of it is read, before it may come back.
    Calming(Close, Pin<Box<Sleep>>),
    /// Our Close frame waits for the socket to take it.
    Closing(Close, Pin<Box<Sleep>>),
    /// It is sent, as an answer or first; the peer's part of the handshake is awaited.
    Closed(Pin<Box<Sleep>>),
    Over,
}

impl Phase {
    pub(super) fn closing(close: Close) -> Self {
        Self::Closing(close, Box::pin(sleep(CLOSE_TIMEOUT)))
    }

    pub(super) fn closed() -> Self {
        Self::Closed(Box::pin(sleep(CLOSE_TIMEOUT)))
    }

    /// After it, the frame is sent.
    pub(super) fn calming(close: Close) -> Self {
        Self::Calming(close, Box::pin(sleep(OFFENDER_PAUSE)))
    }
}
