//! Guards one client's connection against floods of frames, and the others of its thread against its bulk.
//!
//! `h2` answers or ignores PING, SETTINGS, PRIORITY and WINDOW_UPDATE without counting them. So frames are
//! weighed here, before it sees them.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tunnel::allowance::Allowance;
use tunnel::limits::{
    CLIENT_IDLE_FRAMES, CLIENT_IDLE_FRAMES_FORGIVEN, CLIENT_RESETS, CLIENT_RESETS_FORGIVEN,
    IDLE_FRAMES_PER_FRAME, SETTINGS_WEIGHT, WORK_PER_FRAME,
};
use tunnel::tap::Tapped;
use tunnel::turn::Turn;

use crate::frames::{DATA, Frame, HEADERS, PREFACE_BYTES, RST_STREAM, SETTINGS};
use crate::limit::Limit;
use crate::sieve::{Sieve, Watch};

/// Weighs what a client sends against what its calls explain.
#[derive(Debug)]
pub(crate) struct ClientGuard {
    idle: Allowance,
    resets: Allowance,
    turn: Turn,
    flood: Arc<Flood>,
}

/// Whether the client floods; its connection is then read no further.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    limit: OnceLock<Limit>,
    begun: Notify,
}

impl Flood {
    /// Resolves when the client floods, with the limit it broke.
    pub(crate) async fn begun(&self) -> Limit {
        loop {
            let begun = self.begun.notified();
            if let Some(limit) = self.limit.get() {
                return *limit;
            }
            begun.await;
        }
    }

    fn begin(&self, limit: Limit) {
        // The first is the one to tell.
        let _ = self.limit.set(limit);
        self.begun.notify_one();
    }
}

impl ClientGuard {
    /// Puts a guard on `io`, before anything of it is read.
    pub(crate) fn on<S>(io: S) -> (Tapped<S, Sieve<Self>>, Arc<Flood>) {
        let flood = Arc::new(Flood::default());
        let guard = Self {
            idle: Allowance::new(CLIENT_IDLE_FRAMES, CLIENT_IDLE_FRAMES_FORGIVEN),
            resets: Allowance::new(CLIENT_RESETS, CLIENT_RESETS_FORGIVEN),
            turn: Turn::default(),
            flood: flood.clone(),
        };
        (Sieve::on(io, guard, PREFACE_BYTES, 0), flood)
    }
}

impl Watch for ClientGuard {
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever serves the connection has been told of a flood, and ends it.
        if self.flood.limit.get().is_some() { Poll::Pending } else { self.turn.poll(cx) }
    }

    fn read(&mut self, bytes: usize) {
        if bytes > 0 { self.turn.did(bytes) } else { self.turn.over() }
    }

    fn incoming(&mut self, frame: Frame) {
        let Frame::Head(head) = frame else {
            return;
        };
        self.turn.did(WORK_PER_FRAME);
        let (allowance, cost, limit) = match head.kind {
            HEADERS => return self.idle.earn(IDLE_FRAMES_PER_FRAME),
            DATA if !head.is_idle_data() => return self.idle.earn(IDLE_FRAMES_PER_FRAME),
            RST_STREAM => (&mut self.resets, 1, Limit::ClientResets),
            SETTINGS => (&mut self.idle, SETTINGS_WEIGHT, Limit::ClientFrames),
            _ => (&mut self.idle, 1, Limit::ClientFrames),
        };
        if !allowance.spend(cost) {
            self.flood.begin(limit);
        }
    }

    fn outgoing(&mut self, frame: Frame) {
        if let Frame::Head(head) = frame
            && matches!(head.kind, HEADERS | DATA)
        {
            self.idle.earn(IDLE_FRAMES_PER_FRAME);
        }
    }
}
