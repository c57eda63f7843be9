//! When to ping, and when a silent peer counts as dead.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::rtt::Rtt;
use crate::limits::{BUSY_BYTES, BUSY_PING_INTERVAL};

/// How often to ping, and how long a silence may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveConfig {
    /// Time between two pings.
    pub interval: Duration,
    /// A read that has waited this long for anything at all ends the session.
    pub timeout: Duration,
}

/// The clock of one WebSocket. Whatever arrives counts as a sign of life, not pongs alone: on a thin
/// link a pong may stand in a long queue of data.
#[derive(Debug)]
pub(crate) struct Keepalive {
    config: KeepaliveConfig,
    timer: Pin<Box<Sleep>>,
    next_ping: Instant,
    due: bool,
    /// When the read that waits now began to wait. Not the time of the last byte: who has not come to read
    /// must not conclude that nobody speaks.
    waiting_since: Option<Instant>,
    /// When the write that waits now began to wait: a peer that takes nothing is as dead as one that says
    /// nothing.
    blocked_since: Option<Instant>,
    /// The newest ping, until it is answered.
    last_ping: Option<(u64, Instant)>,
    pings: u64,
    pinged_at: Instant,
    /// Bytes since then.
    moved: usize,
    /// The next one comes sooner because of them.
    is_hurried: bool,
    rtt: Rtt,
}

impl Keepalive {
    pub(crate) fn new(config: KeepaliveConfig) -> Self {
        // At once: so the round trip time is known from the start.
        let next_ping = Instant::now();
        Self {
            config,
            timer: Box::pin(tokio::time::sleep_until(next_ping)),
            next_ping,
            due: false,
            waiting_since: None,
            blocked_since: None,
            last_ping: None,
            pings: 0,
            pinged_at: next_ping,
            moved: 0,
            is_hurried: false,
            rtt: Rtt::new(),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// Whether a ping is due. It stays so until [`Self::ping`]: the socket may be full.
    pub(crate) fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.next_ping {
                self.next_ping = now + self.config.interval;
                self.due = true;
            }
            self.timer.as_mut().reset(self.next_ping);
        }
        self.due
    }

    /// The payload of a ping that is sent now.
    pub(crate) fn ping(&mut self) -> Bytes {
        let now = Instant::now();
        (self.due, self.is_hurried, self.moved, self.pinged_at) = (false, false, 0, now);
        self.pings += 1;
        self.last_ping = Some((self.pings, now));
        Bytes::copy_from_slice(&self.pings.to_be_bytes())
    }

    /// A message has arrived.
    pub(crate) fn heard(&mut self) {
        self.waiting_since = None;
    }

    /// So much data came or went: with enough of it, the next ping comes soon, unless one is under way.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved < BUSY_BYTES || self.is_hurried || self.last_ping.is_some() {
            return;
        }
        self.is_hurried = true;
        self.next_ping = self.next_ping.min(self.pinged_at + BUSY_PING_INTERVAL);
        self.timer.as_mut().reset(self.next_ping);
    }

    /// The round trip time, if this answers the newest ping: the least of late. Anything else is an unsolicited pong,
    /// which RFC 6455 5.5.3 allows.
    pub(crate) fn pong(&mut self, payload: &[u8]) -> Option<Duration> {
        let (id, sent) = self.last_ping?;
        if payload != id.to_be_bytes() {
            return None;
        }
        self.last_ping = None;
        Some(self.rtt.measured(sent.elapsed()))
    }

    /// To be called when a read finds nothing: ready once it has waited too long.
    pub(crate) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        self.poll_timeout(cx, since)
    }

    /// To be called when a write finds no room: ready once it has waited too long.
    pub(crate) fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        self.poll_timeout(cx, since)
    }

    /// A write has found room.
    pub(crate) fn unblocked(&mut self) {
        self.blocked_since = None;
    }

    fn poll_timeout(&mut self, cx: &mut Context<'_>, since: Instant) -> Poll<()> {
        let deadline = since + self.config.timeout;
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
            // Registers the waker; the timer lies ahead, so it cannot be ready.
            let _ = self.timer.as_mut().poll(cx);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const CONFIG: KeepaliveConfig =
        KeepaliveConfig { interval: Duration::from_secs(15), timeout: Duration::from_secs(40) };

    /// Waits as a reader does that hears nothing: when it pinged, and when it gave up.
    async fn silence(keepalive: &mut Keepalive) -> (Vec<u64>, u64) {
        let start = Instant::now();
        let mut pings = Vec::new();
        poll_fn(|cx| {
            if keepalive.is_due(cx) {
                keepalive.ping();
                pings.push(start.elapsed().as_secs());
            }
            keepalive.poll_silence(cx)
        })
        .await;
        (pings, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn pings_every_interval_and_gives_up_after_the_timeout() {
        let mut keepalive = Keepalive::new(CONFIG);
        assert_eq!(silence(&mut keepalive).await, (vec![0, 15, 30], 40));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_waiting_reader_hears_silence() {
        let mut keepalive = Keepalive::new(CONFIG);
        tokio::time::advance(Duration::from_secs(39)).await;
        keepalive.heard();
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(silence(&mut keepalive).await.1, 40);
    }

    #[tokio::test(start_paused = true)]
    async fn while_much_moves_pings_come_often_and_one_at_a_time() {
        let mut keepalive = Keepalive::new(CONFIG);
        assert!(poll_fn(|cx| Poll::Ready(keepalive.is_due(cx))).await);
        let mut ping = keepalive.ping();
        for (round_trip, pause) in [(20, 250), (20, 250), (400, 400)] {
            let start = Instant::now();
            keepalive.moved(BUSY_BYTES);
            tokio::time::advance(Duration::from_millis(round_trip)).await;
            assert!(!poll_fn(|cx| Poll::Ready(keepalive.is_due(cx))).await, "one is under way");
            keepalive.pong(&ping).expect("the answer");
            keepalive.moved(BUSY_BYTES - 1);
            keepalive.moved(1);
            poll_fn(|cx| if keepalive.is_due(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
            assert_eq!(start.elapsed(), Duration::from_millis(pause));
            ping = keepalive.ping();
        }
        keepalive.pong(&ping).expect("the answer");
        keepalive.moved(BUSY_BYTES - 1);
        let start = Instant::now();
        poll_fn(|cx| if keepalive.is_due(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        assert_eq!(start.elapsed(), CONFIG.interval, "little moves");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pong_counts_once_and_only_for_the_newest_ping() {
        let mut keepalive = Keepalive::new(CONFIG);
        assert!(poll_fn(|cx| Poll::Ready(keepalive.is_due(cx))).await);
        tokio::time::advance(Duration::from_secs(1)).await;
        let ping = keepalive.ping();
        tokio::time::advance(Duration::from_millis(70)).await;
        assert_eq!(keepalive.pong(b"unasked"), None);
        assert_eq!(keepalive.pong(&ping), Some(Duration::from_millis(70)));
        assert_eq!(keepalive.pong(&ping), None);
    }
}
