//! Guards one client's connection against floods of frames, and the others of its thread against its bulk.
//!
//! Whoever floods, by [`FrameGuard`]'s measure or by `h2`'s, is left waiting before it is told, or it would be back at
//! once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use h2::Reason;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};
use tunnel::limits::OFFENDER_PAUSE;
use tunnel::tap::Tapped;

use crate::client::Client;
use crate::guard::frame_guard::{CLIENT, FRONT, FrameGuard, Slow};
use crate::guard::frames::{Frame, PREFACE_BYTES};
use crate::guard::sieve::{Sieve, Watch};
use crate::observe::limit::Limit;

/// Shows the guard what a client sends, and acts on its verdicts.
#[derive(Debug)]
pub(crate) struct ClientGuard {
    guard: FrameGuard,
    /// The guard knows that it is one.
    is_front: bool,
    /// Before a GOAWAY.
    pause: Option<Pin<Box<Sleep>>>,
    reading: Arc<Reading>,
    client: Arc<Client>,
}

/// Whether more of the connection is read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// There are calls in what was read that nobody has taken yet.
    held: AtomicBool,
    /// The client floods: nothing is read any more.
    flooded: AtomicBool,
    flood: Notify,
}

impl Reading {
    /// Resolves when the client floods.
    pub(crate) async fn flooded(&self) {
        loop {
            let flood = self.flood.notified();
            if self.is_flooded() {
                return;
            }
            flood.await;
        }
    }

    fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.flooded.store(true, Ordering::Relaxed);
        self.flood.notify_one();
    }

    /// Reads nothing until [`Self::go_on`]. Whoever calls either polls the connection afterwards.
    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if it was held.
    pub(crate) fn go_on(&self) -> bool {
        self.held.swap(false, Ordering::Relaxed)
    }
}

impl ClientGuard {
    /// Puts a guard on `io`, before anything of it is read.
    pub(crate) fn on<S>(io: S, client: &Arc<Client>) -> (Tapped<S, Sieve<Self>>, Arc<Reading>) {
        let reading = Arc::new(Reading::default());
        let guard = Self {
            guard: FrameGuard::new(&CLIENT),
            is_front: false,
            pause: None,
            reading: reading.clone(),
            client: client.clone(),
        };
        (Sieve::on(io, guard, PREFACE_BYTES, 0), reading)
    }
}

impl Watch for ClientGuard {
    const HOLDS_GOAWAY: bool = true;

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever serves the connection knows, and goes on or ends it.
        if self.reading.is_flooded() || self.reading.held.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        if !self.is_front && self.client.is_front() {
            self.is_front = true;
            self.guard.follow(&FRONT);
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
                Slow::Resets => Limit::ClientResets,
                Slow::SmallData => Limit::ClientData,
            };
            self.client.reached(limit);
        }
        if verdict.flood {
            self.reading.end();
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
    use tunnel::limits::WORK_TURN;

    use super::*;
    use crate::config::Config;
    use crate::context::hub::Hub;
    use crate::context::origin::Origin;
    use crate::guard::frames::{HEADERS, Head, SETTINGS};
    use crate::limits::{OVERHEAD, SETTINGS_WEIGHT, WORK_PER_CALL};

    const PRIORITY: u8 = 2;

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

    fn guarded(said: &[u8]) -> (Tapped<&[u8], Sieve<ClientGuard>>, Arc<Reading>) {
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
        let priority = Head { len: 5, kind: PRIORITY, flags: 0, stream: 1 };
        for (head, most) in
            [(settings, OVERHEAD.burst / SETTINGS_WEIGHT), (priority, OVERHEAD.burst)]
        {
            let (allowed, flood) = (said(&[(head, most)]), said(&[(head, 2 * most)]));
            guarded(&allowed).0.read_to_end(&mut Vec::new()).await.expect("read");
            let (mut io, told) = guarded(&flood);
            let read = timeout(Duration::from_secs(1), io.read_to_end(&mut Vec::new())).await;
            assert!(read.is_err(), "{head:?}: read to its end");
            timeout(Duration::from_secs(1), told.flooded()).await.expect("told");
        }
    }
}
