//! What passes on the connection to an upstream, beside what HTTP/2 tells of it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::Notify;
use tunnel::limits::{
    ANSWER_HEAD_BYTES, ANSWER_HEAD_BYTES_FORGIVEN, ANSWER_HEAD_BYTES_FREE, ANSWER_HEADS,
    CLOSING_PAUSE, WORK_PER_FRAME, WORK_TURN,
};
use tunnel::turn::Turn;

use crate::frames::{CONTINUATION, DATA, Frame, GOAWAY, HEADERS, Head, SETTINGS};
use crate::growth::Grants;
use crate::idle_frames::IdleFrames;
use crate::long_heads::LongHeads;
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
    slowed: Arc<Notify>,
}

/// Sees the frames of a session.
#[derive(Debug)]
pub(crate) struct UpstreamFrames {
    watch: UpstreamWatch,
    turn: Turn,
    /// Until the upstream floods, which is told once.
    idle: Option<IdleFrames>,
    heads: LongHeads,
}

impl UpstreamWatch {
    pub(crate) fn new() -> Self {
        Self {
            uploads: UploadWindow::new(),
            grants: Arc::default(),
            goaway: Arc::default(),
            settings: Arc::default(),
            flooded: Arc::default(),
            slowed: Arc::default(),
        }
    }

    /// To be shown the frames.
    pub(crate) fn frames(&self) -> UpstreamFrames {
        UpstreamFrames {
            watch: self.clone(),
            turn: Turn::default(),
            idle: Some(IdleFrames::new()),
            heads: LongHeads::new(
                ANSWER_HEAD_BYTES_FREE,
                ANSWER_HEAD_BYTES,
                ANSWER_HEAD_BYTES_FORGIVEN,
            ),
        }
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

    /// Resolves when the upstream's heads are so long that they are read slowly from now on.
    pub(crate) async fn slowed(&self) {
        self.slowed.notified().await;
    }
}

impl Watch for UpstreamFrames {
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.heads.poll_paid(cx));
        self.turn.poll(cx)
    }

    /// Bytes have turns of their own, where messages are read.
    fn read(&mut self, bytes: usize) {
        if bytes == 0 {
            self.turn.over();
        }
    }

    fn incoming(&mut self, frame: Frame) {
        match frame {
            Frame::Head(head) => self.begins(head),
            Frame::WindowUpdate { stream, increment } => {
                self.watch.uploads.given_back(stream, increment);
            }
            Frame::Goaway { .. } => {}
        }
    }

    fn outgoing(&mut self, frame: Frame) {
        let Frame::Head(head) = frame else {
            return;
        };
        if let Some(idle) = &mut self.idle {
            idle.outgoing(head);
            if head.kind == HEADERS {
                idle.explain(ANSWER_HEADS);
            }
        }
        if head.kind == DATA {
            self.watch.uploads.taken(head.stream, head.len, head.ends_stream());
        }
    }
}

impl UpstreamFrames {
    fn begins(&mut self, head: Head) {
        let UpstreamWatch { grants, goaway, settings, flooded, slowed, .. } = &self.watch;
        grants.incoming(head);
        self.turn.did(work(head));
        if self.heads.read(head) {
            slowed.notify_one();
        }
        if self.idle.as_mut().is_some_and(|idle| !may_send(idle, head)) {
            self.idle = None;
            // For as long as it takes to tell the agent.
            self.turn = Turn::slow(CLOSING_PAUSE);
            flooded.notify_one();
        }
        match head.kind {
            GOAWAY => goaway.notify_one(),
            SETTINGS => settings.notify_one(),
            _ => {}
        }
    }
}

/// Whether a call explains the frame, or nobody minds it. Answers to calls that are long over are none.
fn may_send(idle: &mut IdleFrames, head: Head) -> bool {
    if head.kind == HEADERS { idle.spend(1) } else { idle.incoming(head) }
}

/// What a frame costs of a turn besides its bytes. Nothing if it is DATA of a call: what callers are answered
/// stands behind what others are, and to read a session slowly would make all of them wait.
fn work(head: Head) -> usize {
    match head.kind {
        // HTTP/2 goes through all streams of the session for it.
        SETTINGS => WORK_TURN,
        HEADERS | CONTINUATION => WORK_PER_FRAME.max(head.head_work()),
        DATA if !head.is_idle_data() => 0,
        _ => WORK_PER_FRAME,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use tokio::io::AsyncReadExt as _;
    use tokio::time::Instant;
    use tunnel::limits::IDLE_FRAMES;

    use super::*;
    use crate::frames::RST_STREAM;
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

    const ANSWER: [u8; 5] = [HEADERS, 4, 0, 0, 0];

    /// What an upstream says: frames of one kind with a payload of so many bytes.
    fn said(frame: [u8; 5], len: u16, times: u32) -> Vec<u8> {
        let head = [&[0][..], &len.to_be_bytes(), &frame, &[1]].concat();
        [head, vec![0; len.into()]].concat().repeat(times as usize)
    }

    /// Trailers on a stream that is closed already cost HTTP/2 nothing but the work.
    #[tokio::test(start_paused = true)]
    async fn answers_to_no_call_are_a_flood() {
        for (calls, answers, flooded) in
            [(0, IDLE_FRAMES, false), (0, IDLE_FRAMES + 1, true), (1000, 3000 + IDLE_FRAMES, false)]
        {
            let watch = UpstreamWatch::new();
            let mut frames = watch.frames();
            for _ in 0..calls {
                frames.outgoing(Frame::Head(Head::of(&said(ANSWER, 1, 1)).expect("a head")));
            }
            let said = said(ANSWER, 1, answers);
            Sieve::on(&said[..], frames, 0, 0).read_to_end(&mut Vec::new()).await.expect("read");
            assert_eq!(poll!(pin!(watch.flooded())).is_ready(), flooded, "{calls}, {answers}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn long_answers_are_read_slowly() {
        for (len, slow) in [(ANSWER_HEAD_BYTES_FREE, false), (5 * ANSWER_HEAD_BYTES_FREE, true)] {
            let start = Instant::now();
            let watch = UpstreamWatch::new();
            let said = said(ANSWER, len as u16, 1000);
            Sieve::on(&said[..], watch.frames(), 0, 0)
                .read_to_end(&mut Vec::new())
                .await
                .expect("read");
            assert_eq!(poll!(pin!(watch.slowed())).is_ready(), slow, "{len}");
            assert_eq!(start.elapsed() >= ANSWER_HEAD_BYTES_FORGIVEN, slow, "{len}");
        }
    }

    #[tokio::test]
    async fn frames_that_mean_nothing_take_their_turn() {
        const UNKNOWN: u8 = 0xee;
        for kind in [UNKNOWN, HEADERS, RST_STREAM] {
            let read = read_at_once(kind).await;
            assert!((1..=50).contains(&read), "{read} of {kind}");
        }
        assert_eq!(read_at_once(SETTINGS).await, 10, "one read");
    }
}
