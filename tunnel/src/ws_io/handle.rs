//! Speaks to the peer of a WebSocket from outside its byte stream, and tells how it ended.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::wire::{CloseCode, Control};

/// Why a WebSocket came to its end, as this side saw it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The peer closed it.
    #[error("closed by the peer ({}{}{reason})", u16::from(*code), if reason.is_empty() { "" } else { ": " })]
    ByPeer {
        /// Its close code.
        code: CloseCode,
        /// Its words.
        reason: String,
    },
    /// This side closed it.
    #[error("closed ({}: {reason})", u16::from(*code))]
    ByUs {
        /// The close code sent.
        code: CloseCode,
        /// The words sent.
        reason: &'static str,
    },
    /// The connection went away without a closing handshake.
    #[error("connection lost")]
    Lost,
    /// Nothing was heard for the keepalive timeout.
    #[error("nothing heard for {}", Seconds(*.0))]
    Silent(Duration),
    /// The peer broke the WebSocket protocol, or one of our limits.
    #[error("protocol violation: {0}")]
    Violation(String),
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f32())
    }
}

/// Speaks to the peer from outside the byte stream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) enum Command {
    Send(Control),
    Close(CloseCode, &'static str),
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Nanoseconds; 0 is not measured yet.
    rtt: AtomicU64,
    pub(super) ended: OnceLock<Ended>,
}

impl Handle {
    /// Sends a control message. Lost if the WebSocket has ended, or if so many wait that the peer
    /// cannot be reading.
    pub fn send(&self, control: Control) {
        let _ = self.commands.try_send(Command::Send(control));
    }

    /// Closes the WebSocket; readers then see the end of the stream. The first reason given stands.
    pub fn close(&self, code: CloseCode, reason: &'static str) {
        let _ = self.commands.try_send(Command::Close(code, reason));
    }

    /// The latest round trip time by ping.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        let nanos = self.shared.rtt.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// Why the WebSocket has ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        self.shared.ended.get()
    }
}

impl Shared {
    pub(super) fn set_rtt(&self, rtt: Duration) {
        let nanos = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX);
        self.rtt.store(nanos.max(1), Ordering::Relaxed);
    }
}
