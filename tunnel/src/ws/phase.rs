//! How far a WebSocket is on its way to its end.

use std::pin::Pin;

use tokio::time::{Sleep, sleep};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;

use crate::limits::{CLOSE_TIMEOUT, OFFENDER_PAUSE};
use crate::wire::CloseCode;

#[derive(Debug)]
pub(super) enum Phase {
    Open,
    /// The peer has broken a rule. It is left waiting, and nothing of it is read, before it may come back.
    Calming(Option<CloseFrame>, Pin<Box<Sleep>>),
    /// Our Close frame waits for the socket to take it.
    Closing(CloseFrame, Pin<Box<Sleep>>),
    /// It is sent, as an answer or first; the peer's part of the handshake is awaited.
    Closed(Pin<Box<Sleep>>),
    Over,
}

impl Phase {
    pub(super) fn closing(frame: CloseFrame) -> Self {
        Self::Closing(frame, Box::pin(sleep(CLOSE_TIMEOUT)))
    }

    pub(super) fn closed() -> Self {
        Self::Closed(Box::pin(sleep(CLOSE_TIMEOUT)))
    }

    /// After it, the frame is sent, if there is one.
    pub(super) fn calming(frame: Option<CloseFrame>) -> Self {
        Self::Calming(frame, Box::pin(sleep(OFFENDER_PAUSE)))
    }
}

pub(super) fn close_frame(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame { code: u16::from(code).into(), reason: reason.into() }
}

/// The connection went away, which is nobody's offence.
pub(super) fn is_loss(error: &WsError) -> bool {
    matches!(
        error,
        WsError::ConnectionClosed
            | WsError::AlreadyClosed
            | WsError::Io(_)
            | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)
    )
}
