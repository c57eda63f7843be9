//! One direction of a call, as an account of bytes.

use std::time::Duration;

use http2::error::Reason;
use http2::fields::Fields;
use http2::output::Output;

use crate::held::Held;
use crate::limits::STREAM_WINDOW_MAX;
use crate::messages::Messages;
use crate::pace::{self, Halves, Speed};
use crate::window::worth_a_grant;

/// What the sender may still send, what the receiver takes, and what lies between.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// What the sender may still send. A sender that does not know yet of less may send more.
    pub(crate) granted: i64,
    /// What it could send when it was told last, and how fast it uses that.
    told: i64,
    pace: Halves,
    /// What it may send beyond what the receiver takes, because it is far away.
    pub(crate) ahead: i64,
    /// What the receiver's window has room for. Below zero after it has made its window smaller (RFC 9113 6.9.2).
    pub(crate) allowed: i64,
    pub(crate) held: Held,
    /// What follows the held bytes.
    pub(crate) tail: Tail,
    /// The sender has ended its side of the stream, or is not listened to any more.
    pub(crate) source_ended: bool,
    /// The receiver has been told the end, or does not listen any more.
    pub(crate) sink_ended: bool,
    /// Bytes that were passed on.
    pub(crate) passed: u64,
    /// Messages that have come.
    pub(crate) messages: Messages,
    /// What is left of the length that the sender has announced.
    pub(crate) expected: Option<u64>,
    /// It stands in the queue of those that have something to send.
    pub(crate) is_queued: bool,
    /// It is due a window once its lane holds less.
    pub(crate) is_starved: bool,
    /// The end that the receiver was told is a reset.
    pub(crate) was_reset: bool,
}

/// What the bytes of a direction wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// A window of their receiver.
    ForWindow,
    /// That what is before them is written.
    ForOutput,
}

/// The end of a direction, which waits behind its last bytes.
#[derive(Debug, Default)]
pub(crate) enum Tail {
    /// More may come.
    #[default]
    Open,
    /// END_STREAM.
    End,
    Trailers(Box<Fields>),
    /// The stream breaks off.
    Reset(Reason),
}

impl Tail {
    /// Bytes of its header list.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Trailers(fields) => fields.size(),
            Self::Open | Self::End | Self::Reset(_) => 0,
        }
    }
}

impl Way {
    /// Of a stream whose sender may send `granted` bytes, and whose receiver takes `allowed`.
    pub(crate) fn new(granted: i64, allowed: i64) -> Self {
        Self { granted, told: granted, allowed, ..Self::default() }
    }

    /// The sender may send as much as it was told when the stream was opened.
    pub(crate) fn opens(&mut self, granted: i64, now: Duration) {
        (self.granted, self.told, self.pace) = (granted, granted, Halves::begin(now));
    }

    /// The sender's window changes by so much, which it learns by SETTINGS.
    pub(crate) fn shift_granted(&mut self, delta: i64) {
        self.granted += delta;
        self.told += delta;
    }

    /// Takes DATA with `len` bytes of content, `flow` with padding, to account.
    ///
    /// # Errors
    /// The code of what is wrong with it: it comes after the end, or there is more than was announced.
    pub(crate) fn receives(&mut self, flow: usize, len: usize, end: bool) -> Result<(), Reason> {
        if self.source_ended {
            return Err(Reason::STREAM_CLOSED);
        }
        self.granted -= flow as i64;
        if let Some(left) = self.expected {
            self.expected = Some(left.checked_sub(len as u64).ok_or(Reason::PROTOCOL_ERROR)?);
        }
        if end && !self.is_complete() {
            return Err(Reason::PROTOCOL_ERROR);
        }
        self.source_ended = end;
        Ok(())
    }

    /// The sender has sent more than it was granted.
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.granted < 0
    }

    /// Whether all that was announced has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.expected.is_none_or(|left| left == 0)
    }

    /// Returns what the sender is to be granted now, and notes that it was. Windows are given lazily, when much of what
    /// was told is used: a unary call causes none. By `untold` the window grows by SETTINGS that are yet to be sent.
    pub(crate) fn grant(&mut self, untold: i64) -> Option<u32> {
        let due = self.due(untold)?;
        self.granted += i64::from(due);
        self.told = self.granted;
        Some(due)
    }

    /// By how much more, or less, the sender should be ahead of the receiver, now that it is owed something. One who waits
    /// for the receiver is no faster for it; one who waits for word from here may have as much on its way as its lane.
    pub(crate) fn follow(&mut self, now: Duration, rtt: Duration, lane: i64) -> i64 {
        let used = self.told - self.granted;
        let pace = self.pace.used(used, self.told, now, rtt);
        let waits = 2 * self.held.len() as i64 > self.told;
        let all = self.could_be_ahead(rtt, lane);
        let ahead = match pace {
            _ if !waits && self.pace.was_fast(self.told, rtt) => all,
            Speed::Slow => all.min(self.ahead / 2),
            Speed::Fast | Speed::Fine => all.min(self.ahead),
        };
        let promised = self.granted + self.held.len() as i64 - self.allowed;
        ahead.max(promised).max(0) - self.ahead
    }

    /// How far ahead the sender could be, of what the receiver itself does not take of `lane` bytes. Of one nearby, the
    /// receiver's window is all there is.
    pub(crate) fn could_be_ahead(&self, rtt: Duration, lane: i64) -> i64 {
        // As it is now: what was told before may have been more, or less.
        let takes = (self.allowed - self.held.len() as i64).max(0);
        if pace::is_near(rtt) { 0 } else { lane - takes }
    }

    /// The sender is told at once that it may be so much farther ahead.
    pub(crate) fn goes_ahead(&mut self, ahead: i64) {
        self.granted += ahead;
        self.ahead += ahead;
        self.told = self.granted;
    }

    /// Whether the sender is owed something.
    pub(crate) fn due(&self, untold: i64) -> Option<u32> {
        if self.source_ended || self.told - self.granted < worth_a_grant(self.told) {
            return None;
        }
        let may = self.allowed.min(STREAM_WINDOW_MAX) + self.ahead;
        let due = may - untold - self.held.len() as i64 - self.granted;
        u32::try_from(due).ok().filter(|due| *due > 0)
    }

    /// What it waits for, whose bytes go into this output, of a connection whose receiver takes so many. A sender that has used
    /// all that it was granted waits with whoever does not take it.
    pub(crate) fn waits(&self, output: &Output, connection: i64) -> Option<Waits> {
        let is_used_up = !self.source_ended && self.granted <= 0;
        if self.sink_ended || self.held.is_empty() && !is_used_up {
            return None;
        }
        let is_shut = self.allowed <= 0 || connection <= 0;
        match (is_shut, self.held.is_empty()) {
            (true, _) => Some(Waits::ForWindow),
            (false, false) if !output.is_empty() => Some(Waits::ForOutput),
            // It is about to go on.
            (false, _) => None,
        }
    }

    /// Whether there is something to send, or would be with a window.
    pub(crate) fn has_more(&self) -> bool {
        !self.sink_ended && (!self.held.is_empty() || !matches!(self.tail, Tail::Open))
    }

    /// Whether something can be sent as far as the stream's own window goes. Its end needs none.
    pub(crate) fn can_go_on(&self) -> bool {
        let needs_none = self.held.is_empty() || matches!(self.tail, Tail::Reset(_));
        self.has_more() && (self.allowed > 0 || needs_none)
    }

    /// So many bytes were sent to the receiver, and perhaps the end.
    pub(crate) fn sent(&mut self, len: usize, end: bool) {
        self.allowed -= len as i64;
        self.passed += len as u64;
        if end {
            (self.sink_ended, self.tail) = (true, Tail::Open);
        }
    }

    /// Nobody listens any more; returns how many bytes were held.
    pub(crate) fn stop(&mut self) -> usize {
        self.sink_ended = true;
        self.tail = Tail::Open;
        self.held.clear()
    }
}
