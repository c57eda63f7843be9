//! What passes on the connection to an upstream, beside what HTTP/2 tells of it.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tunnel::limits::{CLOSING_PAUSE, WORK_PER_FRAME, WORK_TURN};
use tunnel::turn::Turn;

use crate::frames::{CONTINUATION, DATA, Frame, GOAWAY, HEADERS, Head, RST_STREAM, SETTINGS};
use crate::growth::Grants;
use crate::idle_frames::IdleFrames;
use crate::sieve::Watch;
use crate::upload_window::UploadWindow;

/// What is seen of a session.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamWatch {
    pub(crate) uploads: Arc<UploadWindow>,
    pub(crate) grants: Arc<Grants>,
    goaway: Arc<Notify>,
    settings: Arc<Notify>,
    flooded: Arc<Notify>,
}

/// Sees the frames of a session.
#[derive(Debug)]
pub(crate) struct UpstreamFrames {
    watch: UpstreamWatch,
    turn: Turn,
    /// Until the upstream floods, which is told once.
    idle: Option<IdleFrames>,
}

impl UpstreamWatch {
    pub(crate) fn new() -> Self {
        Self {
            uploads: UploadWindow::new(),
            grants: Arc::default(),
            goaway: Arc::default(),
            settings: Arc::default(),
            flooded: Arc::default(),
        }
    }

    /// To be shown the frames.
    pub(crate) fn frames(&self) -> UpstreamFrames {
        UpstreamFrames { watch: self.clone(), turn: Turn::default(), idle: Some(IdleFrames::new()) }
    }

    /// Resolves when the upstream has said GOAWAY. `h2` tells of it only to who wants a new stream, and by
    /// then the connection may be gone, and no successor asked for.
    pub(crate) async fn goaway(&self) {
        self.goaway.notified().await;
    }

    /// Resolves when the upstream has said SETTINGS: it may take more streams than before.
    pub(crate) async fn settings(&self) {
        self.settings.notified().await;
    }

    /// Resolves when the upstream has said more than any call explains.
    pub(crate) async fn flooded(&self) {
        self.flooded.notified().await;
    }
}

impl Watch for UpstreamFrames {
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.turn.poll(cx)
    }

    /// Bytes have turns of their own, where messages are read.
    fn read(&mut self, bytes: usize) {
        if bytes == 0 {
            self.turn.over();
        }
    }

    fn incoming(&mut self, frame: Frame) {
        let UpstreamWatch { uploads, grants, goaway, settings, flooded } = &self.watch;
        if let Frame::Head(head) = frame {
            grants.incoming(head);
            self.turn.did(work(head));
            if self.idle.as_mut().is_some_and(|idle| !idle.incoming(head)) {
                self.idle = None;
                // For as long as it takes to tell the agent.
                self.turn = Turn::slow(CLOSING_PAUSE);
                flooded.notify_one();
            }
        }
        match frame {
            Frame::Head(head) if head.kind == GOAWAY => goaway.notify_one(),
            Frame::Head(head) if head.kind == SETTINGS => settings.notify_one(),
            Frame::WindowUpdate { stream, increment } => uploads.given_back(stream, increment),
            Frame::Head(_) | Frame::Goaway { .. } => {}
        }
    }

    fn outgoing(&mut self, frame: Frame) {
        let Frame::Head(head) = frame else {
            return;
        };
        if let Some(idle) = &mut self.idle {
            idle.outgoing(head);
        }
        if head.kind == DATA {
            self.watch.uploads.taken(head.stream, head.len, head.ends_stream());
        }
    }
}

/// What a frame costs of a turn besides its bytes. Nothing if it is part of a call: what callers are answered
/// stands behind what others are, and to read a session slowly would make all of them wait.
fn work(head: Head) -> usize {
    match head.kind {
        // HTTP/2 goes through all streams of the session for it.
        SETTINGS => WORK_TURN,
        HEADERS | CONTINUATION | RST_STREAM => 0,
        DATA if !head.is_idle_data() => 0,
        _ => WORK_PER_FRAME,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::sieve::Sieve;

    /// How much of many frames with an empty payload is read before others have their turn.
    async fn read_at_once(kind: u8) -> usize {
        let frame = [0, 0, 0, kind, 0, 0, 0, 0, 0];
        let said = frame.repeat(1 << 20);
        let mut io = Sieve::on(&said[..], UpstreamWatch::new().frames(), 0, 0);
        let (mut read, mut portion) = (0, [0; 90]);
        while poll!(pin!(io.read(&mut portion))).is_ready() {
            read += portion.len() / frame.len();
        }
        read
    }

    #[tokio::test]
    async fn frames_that_mean_nothing_take_their_turn() {
        const UNKNOWN: u8 = 0xee;
        assert!((1..=50).contains(&read_at_once(UNKNOWN).await));
        assert_eq!(read_at_once(SETTINGS).await, 10, "one read");
    }
}
