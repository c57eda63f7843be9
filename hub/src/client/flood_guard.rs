//! Guards one client's connection against floods of frames, and the others of its thread against its bulk.
//!
//! Whoever floods, by [`FrameGuard`]'s measure or by `h2`'s, is left waiting before it is told, or it would be back at
//! once.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use h2::Reason;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};
use tunnel::limits::OFFENDER_PAUSE;
use tunnel::tap::Tapped;

use crate::client::Client;
use crate::guard::frame_guard::{self, CLIENT, FrameGuard, Slow};
use crate::guard::frames::{Frame, PREFACE_BYTES};
use crate::guard::sieve::{Sieve, Watch};
use crate::observe::limit::Limit;

/// Shows the guard what a client sends, and acts on its verdicts.
#[derive(Debug)]
pub(crate) struct ClientGuard {
    guard: FrameGuard,
    /// Before a GOAWAY.
    pause: Option<Pin<Box<Sleep>>>,
    flood: Arc<Flood>,
    client: Arc<Client>,
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
    pub(crate) fn on<S>(io: S, client: &Arc<Client>) -> (Tapped<S, Sieve<Self>>, Arc<Flood>) {
        let flood = Arc::new(Flood::default());
        let guard = Self {
            guard: FrameGuard::new(&CLIENT),
            pause: None,
            flood: flood.clone(),
            client: client.clone(),
        };
        (Sieve::on(io, guard, PREFACE_BYTES, 0), flood)
    }
}

impl Watch for ClientGuard {
    const HOLDS_GOAWAY: bool = true;

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.flood.limit.get().is_some() {
            // Whoever serves the connection has been told, and ends it.
            return Poll::Pending;
        }
        self.guard.poll_more(cx)
    }

    fn poll_goaway(&mut self, cx: &mut Context<'_>, code: u32) -> Poll<()> {
        let no_error = code == u32::from(Reason::NO_ERROR);
        let calm = code == u32::from(Reason::ENHANCE_YOUR_CALM);
        // Or a flood would end with a breach of the protocol, just before the limit.
        let nearly = self.guard.is_nearly_flooded();
        if no_error || !(calm || nearly) {
            return Poll::Ready(());
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(OFFENDER_PAUSE)));
        pause.as_mut().poll(cx)
    }

    fn read(&mut self, bytes: usize) {
        self.guard.read(bytes);
    }

    fn incoming(&mut self, frame: Frame) {
        let Frame::Head(head) = frame else {
            return;
        };
        self.client.grants.incoming(head);
        let verdict = self.guard.incoming(head);
        if let Some(slow) = verdict.slow {
            let limit = match slow {
                Slow::Heads => Limit::ClientHeads,
                Slow::SmallData => Limit::ClientData,
            };
            self.client.reached(limit);
        }
        if let Some(flood) = verdict.flood {
            self.flood.begin(match flood {
                frame_guard::Flood::Overhead => Limit::ClientFrames,
                frame_guard::Flood::Resets => Limit::ClientResets,
            });
        }
    }

    fn outgoing(&mut self, frame: Frame) {
        if let Frame::Head(head) = frame {
            self.guard.outgoing(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::poll;
    use tokio::io::AsyncReadExt as _;
    use tokio::time::timeout;
    use tunnel::limits::{CLIENT_RESETS, OVERHEAD, SETTINGS_WEIGHT, WORK_PER_CALL, WORK_TURN};

    use super::*;
    use crate::config::Config;
    use crate::context::hub::Hub;
    use crate::context::origin::Origin;
    use crate::guard::frames::{HEADERS, Head, RST_STREAM, SETTINGS};

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
        ClientGuard::on(said, &Client::new(Origin { hub, peer, worker: 0, stop }))
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
            (settings, OVERHEAD.burst / SETTINGS_WEIGHT, Limit::ClientFrames),
            (reset, CLIENT_RESETS.burst, Limit::ClientResets),
        ] {
            let (allowed, flood) = (said(&[(head, most)]), said(&[(head, 2 * most)]));
            guarded(&allowed).0.read_to_end(&mut Vec::new()).await.expect("read");
            let (mut io, told) = guarded(&flood);
            let read = timeout(Duration::from_secs(1), io.read_to_end(&mut Vec::new())).await;
            assert!(read.is_err(), "{limit:?}: read to its end");
            assert_eq!(told.begun().await, limit);
        }
    }
}
