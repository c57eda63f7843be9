//! Weighs the frames of a peer that carry nothing of a call against what calls explain.
//!
//! PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA and frames of unknown types cost whoever sends them next
//! to nothing, and `h2` answers or ignores them without counting.

use tunnel::allowance::Allowance;
use tunnel::limits::{
    EXPLAINED_FRAMES, IDLE_FRAME_BYTES, IDLE_FRAMES, IDLE_FRAMES_FORGIVEN, IDLE_FRAMES_PER_FRAME,
    SETTINGS_WEIGHT,
};

use crate::frames::{DATA, HEADERS, Head, SETTINGS};

/// What the peer of one connection may still send of them.
#[derive(Debug)]
pub(crate) struct IdleFrames {
    /// So many the calls explain.
    explained: u32,
    /// And so many need no explanation.
    allowance: Allowance,
}

impl IdleFrames {
    pub(crate) fn new() -> Self {
        let allowance = Allowance::new(IDLE_FRAMES, IDLE_FRAMES_FORGIVEN);
        Self { explained: 0, allowance }
    }

    /// A frame came in. Whether the peer may send it.
    #[must_use]
    pub(crate) fn incoming(&mut self, head: Head) -> bool {
        if is_of_call(head) {
            self.explain(IDLE_FRAMES_PER_FRAME);
            return true;
        }
        if head.kind == SETTINGS {
            // No call explains these.
            return self.allowance.spend(SETTINGS_WEIGHT);
        }
        self.spend(1)
    }

    /// The peer does what costs as much as so many such frames. Whether it may.
    #[must_use]
    pub(crate) fn spend(&mut self, cost: u32) -> bool {
        if let Some(left) = self.explained.checked_sub(cost) {
            self.explained = left;
            return true;
        }
        self.allowance.spend(cost)
    }

    /// A frame went out. Who receives DATA may give the windows of stream and connection back, in as many steps as
    /// it reads.
    pub(crate) fn outgoing(&mut self, head: Head) {
        if is_of_call(head) {
            let steps = if head.kind == DATA { head.len / IDLE_FRAME_BYTES } else { 0 };
            self.explain(IDLE_FRAMES_PER_FRAME + steps as u32);
        }
    }

    /// Whether the peer is about to have sent too many.
    pub(crate) fn is_low(&mut self) -> bool {
        self.allowance.is_low()
    }

    /// Something explains so many frames.
    pub(crate) fn explain(&mut self, frames: u32) {
        self.explained = self.explained.saturating_add(frames).min(EXPLAINED_FRAMES);
    }
}

fn is_of_call(head: Head) -> bool {
    match head.kind {
        HEADERS => true,
        DATA => !head.is_idle_data(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn head(kind: u8, len: usize) -> Head {
        Head { len, kind, flags: 0, stream: 1 }
    }

    /// How many PINGs are let through, up to a number.
    fn pings(frames: &mut IdleFrames, most: u32) -> u32 {
        (0..most).take_while(|_| frames.incoming(head(PING, 8))).count() as u32
    }

    #[tokio::test(start_paused = true)]
    async fn calls_explain_some_time_forgives_the_rest() {
        let mut frames = IdleFrames::new();
        assert_eq!(pings(&mut frames, 2 * IDLE_FRAMES), IDLE_FRAMES);
        assert!(frames.is_low());
        frames.outgoing(head(HEADERS, 1));
        assert!(frames.incoming(head(DATA, 1)));
        assert_eq!(pings(&mut frames, IDLE_FRAMES), 2 * IDLE_FRAMES_PER_FRAME);
        assert!(!frames.incoming(head(DATA, 0)), "empty DATA explains nothing");
        tokio::time::advance(IDLE_FRAMES_FORGIVEN).await;
        assert_eq!(pings(&mut frames, 2 * IDLE_FRAMES), IDLE_FRAMES);
    }

    /// Go's net/http gives the windows of stream and connection back for every read of its application, if
    /// that is 4 KiB (`inflowMinRefresh` in golang.org/x/net/http2), and until 2022 for any.
    #[tokio::test(start_paused = true)]
    async fn a_reader_may_give_windows_back_as_it_reads() {
        const FRAME: usize = 16 << 10;
        for (read, sent_ahead) in [(4 << 10, 1), (512, 1), (4 << 10, 4096)] {
            let mut frames = IdleFrames::new();
            for _ in 0..10_000 / sent_ahead {
                (0..sent_ahead).for_each(|_| frames.outgoing(head(DATA, FRAME)));
                for _ in 0..2 * sent_ahead * (FRAME / read) {
                    assert!(frames.incoming(head(WINDOW_UPDATE, 4)), "reads of {read} bytes");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_data_that_is_received_explains_more_than_a_few() {
        for (outgoing, frame, explained) in [
            (false, head(DATA, 16 << 10), IDLE_FRAMES_PER_FRAME),
            (false, head(HEADERS, 16 << 10), IDLE_FRAMES_PER_FRAME),
            (true, head(HEADERS, 16 << 10), IDLE_FRAMES_PER_FRAME),
            (true, head(DATA, 16 << 10), IDLE_FRAMES_PER_FRAME + 64),
        ] {
            let mut frames = IdleFrames::new();
            if outgoing {
                frames.outgoing(frame)
            } else {
                assert!(frames.incoming(frame))
            }
            assert_eq!(pings(&mut frames, 2 * IDLE_FRAMES), IDLE_FRAMES + explained, "{frame:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_explains_settings() {
        let mut frames = IdleFrames::new();
        (0..EXPLAINED_FRAMES).for_each(|_| frames.outgoing(head(DATA, 16 << 10)));
        let settings = (0..).take_while(|_| frames.incoming(head(SETTINGS, 6))).count();
        assert_eq!(settings as u32, IDLE_FRAMES / SETTINGS_WEIGHT);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_explained_has_an_end() {
        let mut frames = IdleFrames::new();
        for _ in 0..EXPLAINED_FRAMES {
            frames.outgoing(head(DATA, 16 << 10));
        }
        assert_eq!(pings(&mut frames, u32::MAX), EXPLAINED_FRAMES + IDLE_FRAMES);
    }
}
