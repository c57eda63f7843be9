//! How much is on its way to the peer, and how much may be, so that no queue forms before a thin link.
//!
//! TCP sends until a queue on the way is full and something of it is dropped; what is sent then stands behind all of it,
//! be it the answer of a small call. Pings among the messages tell, by their answers, what has arrived before them and how
//! long that took. Once it takes much longer than the link is long, the sender is *held*: as much may be on its way as
//! keeps the link busy and makes a short queue ([`HELD_QUEUE`]): what goes, by the pings, in the time that one should take.
//! (FAST TCP, Wei et al. 2006, sets a window so.) What is beyond stays where turns are taken.
//!
//! How long the link is cannot be seen where it is never idle. So from time to time the queue is let run empty for one
//! ping, as BBR does.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::rtt::Rtt;
use crate::limits::{
    HELD_FORGOTTEN, HELD_LEAST, HELD_MOST, HELD_PINGS, HELD_PROBE_INTERVAL, HELD_PROBE_ROUNDS,
    HELD_QUEUE, LANE_DATA_MAX, RTT_MEMORY,
};

/// What is on its way.
#[derive(Debug)]
pub(super) struct Flight {
    /// When the intervals began at the ends of which the queue is let run empty.
    began: Instant,
    /// Bytes that were sent.
    sent: u64,
    /// Those of them that have arrived for certain: a ping behind them was answered.
    arrived: u64,
    /// Pings without an answer, oldest first.
    pings: VecDeque<Ping>,
    last_id: u64,
    /// What was sent before the newest ping.
    marked: u64,
    rtt: Rtt,
    /// The least that a ping ever took.
    least: Duration,
    hold: Option<Hold>,
}

/// A ping on its way.
#[derive(Clone, Copy, Debug)]
struct Ping {
    id: u64,
    at: Instant,
    /// Bytes that were sent before it.
    position: u64,
    kind: Kind,
}

/// What a ping tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// How long so many bytes take.
    Full(u64),
    /// How long the link is.
    Probe,
    /// That what was before it has arrived.
    Mark,
}

/// The sender is held.
#[derive(Debug)]
struct Hold {
    /// Bytes that may be on their way.
    window: u64,
    /// How long a ping takes without a queue, by the last probe.
    base: Duration,
    /// What that told, if it is much longer than was known, and so is to be told twice.
    doubted: Option<Duration>,
    /// The round is over when what was sent by then has arrived.
    round_ends: u64,
    /// Of the pings in it that stood behind a window's bytes, those for which it went fastest, and how long that took.
    best: Option<(u64, Duration)>,
    /// How long a ping took before the window became smaller.
    before: Option<Duration>,
    /// When the window was last used.
    used_at: Instant,
    probe_at: Instant,
    /// Nothing is sent until the queue is empty, so that a probe can be.
    is_draining: bool,
    /// What had arrived when the queue was. It is filled again as more arrives, not in one go, which would overflow it.
    fills_from: Option<u64>,
}

impl Flight {
    pub(super) fn new() -> Self {
        // What stands before one's link may be another's, and those of one process are often the sessions of one agent. So
        // all of them let their queues run empty at the same times.
        static FIRST: OnceLock<Instant> = OnceLock::new();
        Self::probing_since(*FIRST.get_or_init(Instant::now))
    }

    /// One that may probe at the beginning of each of the intervals that began then.
    fn probing_since(began: Instant) -> Self {
        Self {
            began,
            sent: 0,
            arrived: 0,
            pings: VecDeque::new(),
            last_id: 0,
            marked: 0,
            rtt: Rtt::new(),
            least: Duration::MAX,
            hold: None,
        }
    }

    /// So many bytes are sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Whether more may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.hold.as_ref().is_none_or(|hold| self.on_its_way() < hold.allows(self.arrived))
    }

    fn on_its_way(&self) -> u64 {
        self.sent - self.arrived
    }

    /// Whether the sender must know more of what has arrived: a ping is to be sent.
    pub(super) fn wants_ping(&self) -> bool {
        let Some(hold) = &self.hold else { return false };
        if self.pings.len() >= HELD_PINGS {
            return false;
        }
        let unmarked = self.sent - self.marked;
        let spacing = (hold.window / 4).max(LANE_DATA_MAX as u64);
        let is_drained = hold.is_draining && self.has_room();
        is_drained || unmarked >= spacing || (unmarked > 0 && !self.has_room())
    }

    /// Returns the payload of a ping that is sent now.
    pub(super) fn ping(&mut self) -> Bytes {
        self.last_id += 1;
        self.marked = self.sent;
        let (now, way) = (Instant::now(), self.on_its_way());
        let kind = match &mut self.hold {
            Some(hold) if hold.is_draining && way < hold.drained() => {
                (hold.is_draining, hold.fills_from) = (false, Some(self.arrived));
                hold.probe_at = next_probe(self.began, now, hold.base);
                Kind::Probe
            }
            Some(hold) if way >= hold.window - hold.window / 4 => Kind::Full(way),
            _ => Kind::Mark,
        };
        let (id, position) = (self.last_id, self.sent);
        // A peer that answers none may still say much, and live for long.
        if self.pings.len() >= HELD_PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back(Ping { id, at: now, position, kind });
        Bytes::copy_from_slice(&id.to_be_bytes())
    }

    /// Whether no ping is on its way.
    pub(super) fn is_answered(&self) -> bool {
        self.pings.is_empty()
    }

    /// Takes the answer to a ping, which answers those before it, too (RFC 6455 5.5.3). Returns the round trip time, the
    /// least of late; nothing if it is an unsolicited pong, which is allowed.
    pub(super) fn answered(&mut self, payload: &[u8]) -> Option<Duration> {
        let id = u64::from_be_bytes(payload.try_into().ok()?);
        let at = self.pings.iter().position(|ping| ping.id == id)?;
        let now = Instant::now();
        let mut answered = self.pings.drain(..=at);
        let ping = answered.next_back()?;
        // A peer that reads it with the next one answers only that.
        let probe = answered.find(|ping| ping.kind == Kind::Probe).unwrap_or(ping);
        drop(answered);
        let took = now - ping.at;
        self.least = self.least.min(took);
        self.arrived = ping.position;
        match &mut self.hold {
            Some(hold) => {
                if probe.kind == Kind::Probe {
                    hold.probed(now - probe.at, now);
                }
                hold.answered(&ping, took, self.sent, now);
                if now - hold.used_at > HELD_FORGOTTEN {
                    self.hold = None;
                }
            }
            None => {
                let came = self.sent - ping.position;
                let probe_at = next_probe(self.began, now, self.least);
                self.hold = Hold::begin(came, took, self.least, self.sent, probe_at);
            }
        }
        Some(self.rtt.measured(took))
    }
}

impl Hold {
    /// Begins to hold a sender of whom so much came while a ping was on its way, if that took long for it.
    fn begin(
        came: u64,
        took: Duration,
        base: Duration,
        sent: u64,
        probe_at: Instant,
    ) -> Option<Self> {
        let has_queue = took > base + queue(base) + HELD_QUEUE && came >= HELD_LEAST;
        has_queue.then(|| Self {
            window: scaled(came, base + queue(base), took).max(HELD_LEAST),
            base,
            doubted: None,
            round_ends: sent,
            best: None,
            before: None,
            used_at: Instant::now(),
            probe_at,
            is_draining: false,
            fills_from: None,
        })
    }

    /// What may be on its way, if so much has arrived.
    fn allows(&self, arrived: u64) -> u64 {
        match self.fills_from {
            _ if self.is_draining => self.drained(),
            Some(from) => self.window.min(self.drained() + arrived - from),
            None => self.window,
        }
    }

    /// Half of what the link itself holds, by what is known of it; so it becomes known.
    fn drained(&self) -> u64 {
        scaled(self.window, self.base, self.base + queue(self.base)) / 2 + 1
    }

    fn answered(&mut self, ping: &Ping, took: Duration, sent: u64, now: Instant) {
        if let Kind::Full(way) = ping.kind {
            self.used_at = now;
            let is_faster = |best: &(u64, Duration)| scaled(best.0, took, best.1) > way;
            self.best = self.best.filter(is_faster).or(Some((way, took)));
        }
        if ping.position < self.round_ends {
            return;
        }
        self.round_ends = sent;
        if self.allows(ping.position) == self.window {
            self.fills_from = None;
        }
        if let Some((way, took)) = self.best.take() {
            self.follow(way, took, now);
            self.is_draining |= now >= self.probe_at;
        }
    }

    /// So long is the link. A ping that something else has held up must not make the window larger for long.
    fn probed(&mut self, took: Duration, now: Instant) {
        self.before = None;
        if took > self.base + queue(self.base) && self.doubted.is_none() {
            (self.doubted, self.probe_at) = (Some(took), now);
        } else {
            self.base = self.doubted.take().map_or(took, |doubted| doubted.min(took));
        }
    }

    /// Makes the window what it should be, if so much took so long.
    fn follow(&mut self, way: u64, took: Duration, now: Instant) {
        if self.before.take().is_some_and(|before| took > before - before / 8) {
            // It was made smaller, and nothing came of it: the link has become longer, or the queue is another's.
            self.probe_at = now;
            return;
        }
        let queue = queue(self.base);
        let should = if took < self.base + queue / 4 {
            // Nothing stands before the link, and nothing tells how wide it is.
            2 * way
        } else {
            scaled(way, self.base + queue, took)
        };
        let should = should.clamp(HELD_LEAST, HELD_MOST);
        self.before = (should < self.window - self.window / 4).then_some(took);
        self.window = should;
    }
}

/// How long what is sent may stand before the link: less than people notice, or than the link is long.
fn queue(base: Duration) -> Duration {
    HELD_QUEUE + base / 4
}

/// When the queue is let run empty next. A long link is idle for longer each time, so more rarely.
fn next_probe(began: Instant, now: Instant, base: Duration) -> Instant {
    let rounds = HELD_PROBE_ROUNDS * base.as_nanos() / HELD_PROBE_INTERVAL.as_nanos();
    let most = RTT_MEMORY.as_nanos() / HELD_PROBE_INTERVAL.as_nanos();
    let interval = HELD_PROBE_INTERVAL * u32::try_from(rounds.clamp(1, most)).unwrap_or(1);
    let times = now.saturating_duration_since(began).as_nanos() / interval.as_nanos() + 1;
    began + interval * u32::try_from(times).unwrap_or(u32::MAX)
}

/// `bytes` times `by` over `of`.
fn scaled(bytes: u64, by: Duration, of: Duration) -> u64 {
    let scaled = u128::from(bytes) * by.as_nanos() / of.as_nanos().max(1);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
