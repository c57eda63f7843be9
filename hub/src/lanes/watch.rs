//! What passes on a lane, beside what HTTP/2 tells of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tunnel::lanes::{LaneEnd, LaneStatus};
use tunnel::limits::CLOSING_PAUSE;
use tunnel::turn::Turn;

use crate::guard::frame_guard::{FrameGuard, UPSTREAM};
use crate::guard::frames::{Frame, GOAWAY, HEAD_BYTES, HEADERS, Head, PREFACE_BYTES, SETTINGS};
use crate::guard::growth::Grants;
use crate::guard::sieve::Watch;
use crate::limits::LANE_HEADS_REMEMBERED;

/// What is seen of a lane. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LaneWatch {
    pub(crate) grants: Arc<Grants>,
    seen: Arc<Seen>,
    status: LaneStatus,
}

#[derive(Debug, Default)]
struct Seen {
    /// Told of the first frame, and whether it was SETTINGS.
    spoken: Notify,
    first: Mutex<Option<bool>>,
    goaway: Notify,
    flooded: Notify,
    slowed: Notify,
    /// Where the HEADERS of the latest requests began in what was sent.
    heads: Mutex<VecDeque<(u32, u64)>>,
}

/// Sees the frames of a lane.
#[derive(Debug)]
pub(crate) struct LaneFrames {
    watch: LaneWatch,
    guard: FrameGuard,
    /// Bytes that were sent before the frame that goes out next.
    sent: u64,
}

impl LaneWatch {
    pub(super) fn new(status: LaneStatus) -> Self {
        Self { grants: Arc::default(), seen: Arc::default(), status }
    }

    /// To be shown the frames.
    pub(super) fn frames(&self) -> LaneFrames {
        let guard = FrameGuard::new(&UPSTREAM);
        LaneFrames { watch: self.clone(), guard, sent: PREFACE_BYTES as u64 }
    }

    /// Resolves when the upstream has spoken: `true` if it began as HTTP/2 does (RFC 9113 3.4).
    pub(super) async fn spoken(&self) -> bool {
        loop {
            let spoken = self.seen.spoken.notified();
            if let Some(is_http2) = *self.seen.first.lock() {
                return is_http2;
            }
            spoken.await;
        }
    }

    /// Resolves when the upstream has said GOAWAY. `h2` tells of it only to who wants a new stream.
    pub(super) async fn goaway(&self) {
        self.seen.goaway.notified().await;
    }

    /// Resolves when the upstream has said more than any call explains.
    pub(super) async fn flooded(&self) {
        self.seen.flooded.notified().await;
    }

    /// Resolves when the upstream's heads are so long that they are read slowly from now on.
    pub(super) async fn slowed(&self) {
        self.seen.slowed.notified().await;
    }

    /// How the lane ended, once it has.
    pub(super) fn end(&self) -> Option<&LaneEnd> {
        self.status.end()
    }

    /// Whether the head of the request on this stream had not been written to the upstream when the lane ended.
    pub(super) fn is_undelivered(&self, stream: u32) -> bool {
        let delivered = match self.end() {
            Some(LaneEnd::Finished { delivered } | LaneEnd::Reset { delivered, .. }) => *delivered,
            // What was sent may have arrived.
            Some(LaneEnd::Lost) | None => u64::MAX,
        };
        let heads = self.seen.heads.lock();
        let never_sent = heads.back().is_none_or(|(last, _)| *last < stream);
        never_sent || heads.iter().any(|(sent, began)| *sent == stream && *began >= delivered)
    }
}

impl Watch for LaneFrames {
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.guard.poll_more(cx)
    }

    fn read(&mut self, bytes: usize) {
        self.guard.read(bytes);
    }

    fn incoming(&mut self, frame: Frame) {
        if let Frame::Head(head) = frame {
            self.begins(head);
        }
    }

    fn outgoing(&mut self, frame: Frame) {
        let Frame::Head(head) = frame else {
            return;
        };
        self.guard.outgoing(head);
        if head.kind == HEADERS {
            let mut heads = self.watch.seen.heads.lock();
            // Streams are opened in the order of their numbers; what follows on one are its trailers.
            if heads.back().is_none_or(|(last, _)| *last < head.stream) {
                if heads.len() >= LANE_HEADS_REMEMBERED {
                    heads.pop_front();
                }
                heads.push_back((head.stream, self.sent));
            }
        }
        self.sent += (HEAD_BYTES + head.len) as u64;
    }
}

impl LaneFrames {
    fn begins(&mut self, head: Head) {
        let LaneWatch { grants, seen, .. } = &self.watch;
        grants.incoming(head);
        if seen.first.lock().is_none() {
            *seen.first.lock() = Some(head.kind == SETTINGS && head.stream == 0);
            seen.spoken.notify_waiters();
        }
        let verdict = self.guard.incoming(head);
        if verdict.slow.is_some() {
            seen.slowed.notify_one();
        }
        if verdict.flood {
            // For as long as it takes to end the lane.
            self.guard.slow_down(Turn::slow(CLOSING_PAUSE));
            seen.flooded.notify_one();
        }
        if head.kind == GOAWAY {
            seen.goaway.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::guard::frames::RST_STREAM;
    use crate::guard::sieve::Sieve;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, 0, 0, 0, 0, stream][..], payload].concat()
    }

    async fn seen(said: &[u8]) -> LaneWatch {
        let watch = LaneWatch::new(LaneStatus::default());
        let mut io = Sieve::on(said, watch.frames(), 0, 0);
        io.read_to_end(&mut Vec::new()).await.expect("read");
        watch
    }

    #[tokio::test]
    async fn an_upstream_begins_with_settings() {
        for (said, is_http2) in [
            (frame(SETTINGS, 0, b""), Some(true)),
            (frame(SETTINGS, 1, b""), Some(false)),
            (frame(HEADERS, 1, b"x"), Some(false)),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Some(false)),
            (b"\0\0\0\x04\0".to_vec(), None),
        ] {
            let watch = seen(&said).await;
            let spoken = poll!(pin!(watch.spoken()));
            assert_eq!(
                spoken.is_ready().then(|| spoken == Poll::Ready(true)),
                is_http2,
                "{said:?}"
            );
        }
    }

    #[tokio::test]
    async fn goaway_is_told() {
        assert!(poll!(pin!(seen(&frame(GOAWAY, 0, &[0; 8])).await.goaway())).is_ready());
        assert!(poll!(pin!(seen(&frame(SETTINGS, 0, b"")).await.goaway())).is_pending());
    }

    /// How much of many frames with an empty payload is read before others have their turn.
    async fn read_at_once(kind: u8) -> usize {
        let frame = [0, 0, 0, kind, 0, 0, 0, 0, 0];
        let said = frame.repeat(1 << 20);
        let watch = LaneWatch::new(LaneStatus::default());
        let mut io = Sieve::on(&said[..], watch.frames(), 0, 0);
        let (mut read, mut portion) = (0, [0; 90]);
        while poll!(pin!(io.read(&mut portion))).is_ready() {
            read += portion.len() / frame.len();
        }
        read
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
