//! When to ping, and when a silent peer counts as dead.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::limits::{
    BUSY_BYTES, BUSY_PING_INTERVAL, PING_INTO_SILENCE, PROBE_TIMEOUT, SUSPECT_AFTER,
};

/// How often to ping, and how long a silence may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveConfig {
    /// Time between two pings.
    pub interval: Duration,
    /// A read that has waited this long for anything at all ends the session.
    pub timeout: Duration,
}

/// The clock of one WebSocket. Whatever arrives counts as a sign of life, not pongs alone: on a thin
/// link a pong may stand in a long queue of data. That it hears us as well, data and pongs tell, and not its own pings.
#[derive(Debug)]
pub(crate) struct Keepalive {
    config: KeepaliveConfig,
    timer: Pin<Box<Sleep>>,
    next_ping: Instant,
    /// One sooner than that, unless something is heard before: something was sent, and nothing came.
    asks_at: Option<Instant>,
    /// Something was sent since anything was heard.
    has_sent: bool,
    due: bool,
    /// When the read that waits now began to wait. Not the time of the last byte: who has not come to read
    /// must not conclude that nobody speaks.
    waiting_since: Option<Instant>,
    /// The same, but that what the peer says unasked does not count.
    unanswered_since: Option<Instant>,
    /// When the write that waits now began to wait: a peer that takes nothing is as dead as one that says
    /// nothing.
    blocked_since: Option<Instant>,
    /// No ping is without its answer.
    is_answered: bool,
    pinged_at: Instant,
    /// Bytes since then.
    moved: usize,
    /// The next one comes sooner because of them.
    is_hurried: bool,
    /// When the first ping was sent of which nothing was heard since.
    owed_since: Option<Instant>,
    /// Something is to be heard by then.
    probed_until: Option<Instant>,
}

/// What a read that finds nothing tells of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It owes an answer.
    Suspect,
    /// Nothing was heard for so long that it counts as gone.
    Over(Duration),
}

impl Keepalive {
    pub(crate) fn new(config: KeepaliveConfig) -> Self {
        // At once: so the round trip time is known from the start.
        let next_ping = Instant::now();
        Self {
            config,
            timer: Box::pin(tokio::time::sleep_until(next_ping)),
            next_ping,
            asks_at: None,
            has_sent: false,
            due: false,
            waiting_since: None,
            unanswered_since: None,
            blocked_since: None,
            is_answered: true,
            pinged_at: next_ping,
            moved: 0,
            is_hurried: false,
            owed_since: None,
            probed_until: None,
        }
    }

    /// Whether a ping is due. It stays so until [`Self::pinged`]: the socket may be full.
    pub(crate) fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.next() {
                (self.next_ping, self.asks_at) = (now + self.config.interval, None);
                self.due = true;
            }
            let next = self.next();
            self.timer.as_mut().reset(next);
        }
        self.due
    }

    fn next(&self) -> Instant {
        self.asks_at.map_or(self.next_ping, |asks_at| asks_at.min(self.next_ping))
    }

    /// A ping is sent now.
    pub(crate) fn pinged(&mut self) {
        (self.due, self.is_hurried, self.is_answered) = (false, false, false);
        (self.moved, self.pinged_at) = (0, Instant::now());
        self.owed_since.get_or_insert(self.pinged_at);
        self.asks_at = None;
    }

    /// The peer is to be heard of soon.
    pub(crate) fn probe(&mut self) {
        self.hurry(Instant::now());
        self.probed_until.get_or_insert_with(|| Instant::now() + PROBE_TIMEOUT);
    }

    /// Something is sent, to who may not be there any more: after a while of silence, a ping asks.
    pub(crate) fn sent(&mut self) {
        self.has_sent = true;
        if let Some(since) = self.waiting_since {
            self.ask_after(since);
        }
    }

    /// Unless it was asked already, or is going to be.
    fn ask_after(&mut self, since: Instant) {
        if self.due || self.owed_since.is_some() || self.asks_at.is_some() {
            return;
        }
        // Not so often that who takes little takes nothing but pings.
        let at = since.max(self.pinged_at + PING_INTO_SILENCE) + PING_INTO_SILENCE;
        self.asks_at = Some(at);
        // Mostly it was set for one before, which was not needed, and is set anew when it fires.
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }

    /// The next ping is due by then.
    fn hurry(&mut self, by: Instant) {
        self.next_ping = self.next_ping.min(by);
        self.timer.as_mut().reset(self.next_ping);
    }

    /// All pings are answered.
    pub(crate) fn answered(&mut self) {
        self.is_answered = true;
    }

    /// A message has arrived that may be an answer.
    pub(crate) fn heard(&mut self) {
        self.heard_unasked();
        (self.owed_since, self.probed_until, self.unanswered_since) = (None, None, None);
        (self.has_sent, self.asks_at) = (false, None);
    }

    /// One that is none.
    pub(crate) fn heard_unasked(&mut self) {
        self.waiting_since = None;
    }

    /// So much data came or went: with enough of it, the next ping comes soon, unless one is under way.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved < BUSY_BYTES || self.is_hurried || !self.is_answered {
            return;
        }
        self.is_hurried = true;
        self.hurry(self.pinged_at + BUSY_PING_INTERVAL);
    }

    /// To be called when a read finds nothing: ready once it has waited for long.
    pub(crate) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Silence> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        if self.has_sent {
            self.ask_after(since);
        }
        let over = since + self.config.timeout;
        let over = self.probed_until.map_or(over, |probed| probed.min(over));
        if self.poll_until(cx, over).is_ready() {
            return Poll::Ready(Silence::Over(over - since));
        }
        let unanswered = *self.unanswered_since.get_or_insert(since);
        let suspect = self.owed_since.map(|owed| owed.max(unanswered) + SUSPECT_AFTER);
        match suspect.map(|suspect| self.poll_until(cx, suspect)) {
            Some(Poll::Ready(())) => Poll::Ready(Silence::Suspect),
            _ => Poll::Pending,
        }
    }

    /// To be called when a write finds no room: ready with how long it may wait, once it has.
    pub(crate) fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        self.poll_until(cx, since + self.config.timeout).map(|()| self.config.timeout)
    }

    /// A write has found room.
    pub(crate) fn unblocked(&mut self) {
        self.blocked_since = None;
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
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
mod tests;
