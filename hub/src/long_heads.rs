//! Weighs long heads of messages on one connection: to decode one takes longer than to pass on as many bytes, and
//! all who share the thread wait for it.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::frames::{CONTINUATION, HEADERS, Head};
use crate::pace::Pace;

/// What has come of them, and when more may.
#[derive(Debug)]
pub(crate) struct LongHeads {
    pace: Pace,
    /// Bytes of each that cost nothing.
    free: u32,
    /// Bytes of the one that is being read.
    bytes: u32,
}

impl LongHeads {
    /// Beyond `free` bytes of each, `most` bytes at once, and as many again in `time`.
    pub(crate) fn new(free: u32, most: u32, time: Duration) -> Self {
        Self { pace: Pace::new(most, time), free, bytes: 0 }
    }

    /// Weighs a frame, if it is part of a head. Whether it is the one from which on the connection waits.
    pub(crate) fn read(&mut self, frame: Head) -> bool {
        let before = match frame.kind {
            HEADERS => 0,
            CONTINUATION => self.bytes,
            _ => return false,
        };
        self.bytes = before.saturating_add(frame.len as u32);
        let long = |bytes: u32| bytes.saturating_sub(self.free);
        let more = long(self.bytes) - long(before);
        more > 0 && self.pace.did(more)
    }

    /// Ready when more may be read.
    pub(crate) fn poll_paid(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pace.poll_paid(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::Instant;

    use super::*;

    const FREE: u32 = 1000;
    const MOST: u32 = 32_000;
    const TIME: Duration = Duration::from_secs(1);

    fn head(kind: u8, len: u32) -> Head {
        Head { len: len as usize, kind, flags: 0, stream: 1 }
    }

    /// How long a connection takes to read `count` heads of these frames.
    async fn time_of(count: u32, frames: &[Head]) -> Duration {
        let (mut heads, start) = (LongHeads::new(FREE, MOST, TIME), Instant::now());
        for _ in 0..count {
            for frame in frames {
                heads.read(*frame);
                poll_fn(|cx| heads.poll_paid(cx)).await;
            }
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn long_heads_are_read_slowly() {
        assert_eq!(time_of(100_000, &[head(HEADERS, FREE)]).await, Duration::ZERO);
        assert_eq!(time_of(MOST / FREE, &[head(HEADERS, 2 * FREE)]).await, Duration::ZERO);
        let parts = [head(HEADERS, FREE), head(CONTINUATION, FREE)];
        for frames in [&[head(HEADERS, 2 * FREE)][..], &parts] {
            let time = time_of(3 * MOST / FREE, frames).await;
            assert!(time.abs_diff(2 * TIME) < TIME / 10, "{time:?}");
        }
    }
}
