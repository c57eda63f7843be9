//! Guards one client's connection against floods of frames, and the others of its thread against its bulk.
//!
//! Frames are looked at before `h2` sees them, which answers or ignores many without counting. Whoever floods, by
//! this measure or by `h2`'s, is left waiting before it is told, or it would be back at once.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use h2::Reason;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};
use tunnel::allowance::Allowance;
use tunnel::limits::{
    CLIENT_RESETS, CLIENT_RESETS_FORGIVEN, HEAD_BYTES, HEAD_BYTES_FORGIVEN, HEAD_BYTES_FREE,
    OFFENDER_PAUSE, SMALL_DATA_FORGIVEN, SMALL_DATA_FRAMES, WORK_PER_CALL, WORK_PER_FRAME,
    WORK_TURN,
};
use tunnel::tap::Tapped;
use tunnel::turn::Turn;

use crate::frames::{CONTINUATION, Frame, HEADERS, PREFACE_BYTES, RST_STREAM, SETTINGS};
use crate::idle_frames::IdleFrames;
use crate::limit::Limit;
use crate::long_heads::LongHeads;
use crate::origin::Origin;
use crate::pace::Pace;
use crate::sieve::{Sieve, Watch};

/// Weighs what a client sends against what its calls explain.
#[derive(Debug)]
pub(crate) struct ClientGuard {
    idle: IdleFrames,
    resets: Allowance,
    /// Every byte of them is decoded here, and encoded and decoded again on the session that all callers share.
    heads: LongHeads,
    small_data: Pace,
    turn: Turn,
    /// Before a GOAWAY.
    pause: Option<Pin<Box<Sleep>>>,
    flood: Arc<Flood>,
    origin: Origin,
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
    pub(crate) fn on<S>(io: S, origin: &Origin) -> (Tapped<S, Sieve<Self>>, Arc<Flood>) {
        let flood = Arc::new(Flood::default());
        let guard = Self {
            idle: IdleFrames::new(),
            resets: Allowance::new(CLIENT_RESETS, CLIENT_RESETS_FORGIVEN),
            heads: LongHeads::new(HEAD_BYTES_FREE, HEAD_BYTES, HEAD_BYTES_FORGIVEN),
            small_data: Pace::new(SMALL_DATA_FRAMES, SMALL_DATA_FORGIVEN),
            turn: Turn::default(),
            pause: None,
            flood: flood.clone(),
            origin: origin.clone(),
        };
        (Sieve::on(io, guard, PREFACE_BYTES, 0), flood)
    }
}

impl ClientGuard {
    fn reached(&self, limit: Limit) {
        self.origin.hub.limits.reached(limit, self.origin.peer, None);
    }
}

impl Watch for ClientGuard {
    const HOLDS_GOAWAY: bool = true;

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.flood.limit.get().is_some() {
            // Whoever serves the connection has been told, and ends it.
            return Poll::Pending;
        }
        ready!(self.heads.poll_paid(cx));
        ready!(self.small_data.poll_paid(cx));
        self.turn.poll(cx)
    }

    fn poll_goaway(&mut self, cx: &mut Context<'_>, code: u32) -> Poll<()> {
        let no_error = code == u32::from(Reason::NO_ERROR);
        let calm = code == u32::from(Reason::ENHANCE_YOUR_CALM);
        // Or a flood would end with a breach of the protocol, just before the limit.
        let nearly = self.idle.is_low() || self.resets.is_low();
        if no_error || !(calm || nearly) {
            return Poll::Ready(());
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(OFFENDER_PAUSE)));
        pause.as_mut().poll(cx)
    }

    fn read(&mut self, bytes: usize) {
        self.turn.read(bytes);
    }

    fn incoming(&mut self, frame: Frame) {
        let Frame::Head(head) = frame else {
            return;
        };
        self.turn.did(match head.kind {
            HEADERS => WORK_PER_CALL.max(head.head_work()),
            CONTINUATION => WORK_PER_FRAME.max(head.head_work()),
            // HTTP/2 goes through all streams of the connection for it.
            SETTINGS => WORK_TURN,
            _ => WORK_PER_FRAME,
        });
        self.origin.grants.incoming(head);
        if self.heads.read(head) {
            self.reached(Limit::ClientHeads);
        }
        if head.is_small_data() && self.small_data.did(1) {
            self.reached(Limit::ClientData);
        }
        let (may, limit) = match head.kind {
            RST_STREAM => (self.resets.spend(1), Limit::ClientResets),
            _ => (self.idle.incoming(head), Limit::ClientFrames),
        };
        if !may {
            self.flood.begin(limit);
        }
    }

    fn outgoing(&mut self, frame: Frame) {
        if let Frame::Head(head) = frame {
            self.idle.outgoing(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::poll;
    use tokio::io::AsyncReadExt as _;
    use tokio::time::{Instant, timeout};
    use tunnel::limits::{IDLE_FRAMES, SETTINGS_WEIGHT};

    use super::*;
    use crate::config::Config;
    use crate::frames::{DATA, Head};
    use crate::hub::Hub;

    /// What a client says that begins with these frames, each as often as told.
    fn said(frames: &[(Head, u32)]) -> Vec<u8> {
        let mut said = vec![b' '; PREFACE_BYTES];
        for (head, times) in frames {
            let len = (head.len as u32).to_be_bytes();
            let mut frame =
                [&len[1..], &[head.kind, head.flags], &head.stream.to_be_bytes()].concat();
            frame.resize(frame.len() + head.len, 0);
            said.extend(frame.repeat(*times as usize));
        }
        said
    }

    fn guarded(said: &[u8]) -> (Tapped<&[u8], Sieve<ClientGuard>>, Arc<Flood>) {
        let hub = Hub::new(Config::default());
        let (peer, stop) = (([127, 0, 0, 1], 1).into(), hub.stop.child());
        ClientGuard::on(said, &Origin::new(hub, peer, 0, 0, stop))
    }

    /// How long all of it takes to be read.
    async fn time_to_read(said: &[u8]) -> Duration {
        let start = Instant::now();
        guarded(said).0.read_to_end(&mut Vec::new()).await.expect("read");
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_read_no_faster_than_its_frames_are_worth() {
        let long = Head { len: 2 * HEAD_BYTES_FREE as usize, kind: HEADERS, flags: 0, stream: 1 };
        let heads = HEAD_BYTES / HEAD_BYTES_FREE;
        assert!(time_to_read(&said(&[(long, heads)])).await < HEAD_BYTES_FORGIVEN / 10);
        assert!(time_to_read(&said(&[(long, 3 * heads)])).await >= HEAD_BYTES_FORGIVEN);
        let small = Head { len: 1, kind: DATA, flags: 0, stream: 1 };
        assert!(time_to_read(&said(&[(small, SMALL_DATA_FRAMES)])).await < SMALL_DATA_FORGIVEN / 2);
        assert!(
            time_to_read(&said(&[(small, 3 * SMALL_DATA_FRAMES)])).await >= SMALL_DATA_FORGIVEN
        );
    }

    #[tokio::test]
    async fn others_have_their_turn_after_some_of_it() {
        let call = Head { len: 1, kind: HEADERS, flags: 0, stream: 1 };
        let said = said(&[(call, (WORK_TURN / WORK_PER_CALL) as u32), (call, 1)]);
        let (mut io, _flood) = guarded(&said);
        let mut first = vec![0; said.len() - 1];
        assert!(poll!(pin!(io.read_exact(&mut first))).is_ready());
        assert!(poll!(pin!(io.read_u8())).is_pending());
        io.read_u8().await.expect("the rest");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_read_no_further() {
        let settings = Head { len: 0, kind: SETTINGS, flags: 0, stream: 0 };
        let reset = Head { len: 4, kind: RST_STREAM, flags: 0, stream: 1 };
        for (head, most, limit) in [
            (settings, IDLE_FRAMES / SETTINGS_WEIGHT, Limit::ClientFrames),
            (reset, CLIENT_RESETS, Limit::ClientResets),
        ] {
            let (allowed, flood) = (said(&[(head, most)]), said(&[(head, 2 * most)]));
            time_to_read(&allowed).await;
            let (mut io, told) = guarded(&flood);
            let read = timeout(Duration::from_secs(1), io.read_to_end(&mut Vec::new())).await;
            assert!(read.is_err(), "{limit:?}: read to its end");
            assert_eq!(told.begun().await, limit);
        }
    }
}
