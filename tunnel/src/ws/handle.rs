//! Speaks to the peer of a WebSocket beside its messages, and tells how it ended.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::message::Close;
use super::reader::ReadError;
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
    /// The peer sent more messages without data than anybody has use for.
    #[error("too many messages without data")]
    Flood,
    /// The peer broke the WebSocket protocol, or one of our limits.
    #[error("protocol violation: {0}")]
    Violation(String),
}

impl Ended {
    /// The peer's close frame has come.
    pub(super) fn by(close: Option<Close>) -> Self {
        let close = close.unwrap_or_else(|| Close::new(CloseCode::Normal, ""));
        Self::ByPeer { code: close.code, reason: close.reason }
    }

    /// What an error means: a connection that went away is nobody's offence.
    pub(super) fn of(error: &ReadError) -> Self {
        match error {
            ReadError::Io(_) => Self::Lost,
            ReadError::Frame(error) => Self::Violation(error.to_string()),
        }
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f32())
    }
}

/// Speaks to the peer beside the messages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(pub(super) Arc<Shared>);

/// What a [`Handle`] and its WebSocket have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    outbox: Mutex<Outbox>,
    /// Nanoseconds; 0 is not measured yet.
    rtt: AtomicU64,
    /// It owes an answer, and who is told when that changes.
    is_suspect: AtomicBool,
    suspicion: Notify,
    pub(super) ended: OnceLock<Ended>,
}

/// What is to be said to the peer, and whom to wake to say it.
#[derive(Debug, Default)]
struct Outbox {
    controls: VecDeque<Control>,
    close: Option<(CloseCode, &'static str)>,
    probe: bool,
    waker: Option<Waker>,
}

impl Handle {
    /// Sends a control message. Lost if the WebSocket has ended; and it takes the place of one about the same that still
    /// waits, so that the last word is the one that is heard.
    pub fn send(&self, control: Control) {
        self.0.put(|outbox| {
            outbox.controls.retain(|waits| !waits.is_replaced_by(&control));
            outbox.controls.push_back(control);
        });
    }

    /// Closes the WebSocket. The first reason given stands.
    pub fn close(&self, code: CloseCode, reason: &'static str) {
        self.0.put(|outbox| {
            outbox.close.get_or_insert((code, reason));
        });
    }

    /// Has the peer pinged now: if it is not heard of within [`PROBE_TIMEOUT`](crate::limits::PROBE_TIMEOUT), it is gone.
    pub fn probe(&self) {
        self.0.put(|outbox| outbox.probe = true);
    }

    /// Whether the peer owes an answer to a ping, and nothing else was heard of it since.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.0.is_suspect.load(Ordering::Relaxed)
    }

    /// Resolves when that has changed. One at a time may wait for it.
    pub async fn suspicion(&self) {
        self.0.suspicion.notified().await;
    }

    /// The round trip time by ping, the least of late.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        let nanos = self.0.rtt.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// Why the WebSocket has ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        self.0.ended.get()
    }
}

impl Shared {
    fn put(&self, put: impl FnOnce(&mut Outbox)) {
        let mut outbox = self.outbox.lock();
        put(&mut outbox);
        let waker = outbox.waker.take();
        drop(outbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the WebSocket is to be closed, and how; and whether the peer is to be probed. Wakes the task when something
    /// is put in.
    pub(super) fn poll_asked(&self, cx: &Context<'_>) -> (Option<(CloseCode, &'static str)>, bool) {
        let mut outbox = self.outbox.lock();
        if outbox.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            outbox.waker = Some(cx.waker().clone());
        }
        (outbox.close, std::mem::take(&mut outbox.probe))
    }

    /// The next control message to send.
    pub(super) fn next_control(&self) -> Option<Control> {
        self.outbox.lock().controls.pop_front()
    }

    pub(super) fn has_control(&self) -> bool {
        !self.outbox.lock().controls.is_empty()
    }

    pub(super) fn set_suspect(&self, is_suspect: bool) {
        if self.is_suspect.load(Ordering::Relaxed) != is_suspect {
            self.is_suspect.store(is_suspect, Ordering::Relaxed);
            self.suspicion.notify_one();
        }
    }

    pub(super) fn set_rtt(&self, rtt: Duration) {
        let nanos = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX);
        self.rtt.store(nanos.max(1), Ordering::Relaxed);
    }
}
