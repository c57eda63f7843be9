//! One lane of a mux: its credit both ways, what has come, and what waits to be sent.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::ReadBuf;

use super::{Event, Link, Role, Violation};
use crate::lanes::fair_queue::{HasTurn, Turn};
use crate::lanes::frame::{self, BadLength, HEAD_BYTES, Open, Source};
use crate::lanes::inbox::Inbox;
use crate::lanes::memory::Promise;
use crate::limits::{
    LANE_ABANDONED_SWEEPS, LANE_COPY_BELOW, LANE_CREDIT_GROWN, LANE_CREDIT_MAX, LANE_DATA_MAX,
    LANE_FAR, LANE_FIRST_CREDIT, LANE_GROWS_BELOW, LANE_GROWS_BY, LANE_GROWS_FAR_BY,
    LANE_IDLE_SWEEPS, LANE_QUEUE, LANE_SHRINKS_ABOVE,
};
use crate::pieces::Pieces;

/// One lane.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) source: Source,
    /// Its place among those that have DATA to send.
    pub(super) turn: Turn,
    pub(super) inbox: Inbox,
    /// Bytes that the peer may still send.
    pub(super) granted: u32,
    /// The most that may be granted and unread together.
    window: u32,
    /// What it was before it was given back.
    once: u32,
    /// What of it is more than the first.
    promise: Promise,
    /// When the half of it began that is being used, and what is used of it.
    began: Duration,
    used: u32,
    /// The peer has sent FIN.
    pub(super) peer_finished: bool,
    /// Bytes that may still be queued.
    pub(super) credit: u32,
    /// DATA messages, complete but for the last, which may be added to.
    queue: VecDeque<Pieces>,
    queued: usize,
    /// Bytes of DATA that were taken from it.
    pub(super) sent: u64,
    /// Told to the peer with FIN and RESET.
    pub(super) delivered: u64,
    /// To be sent, in this order, before DATA.
    pub(super) open: Option<Open>,
    pub(super) credit_due: u32,
    pub(super) return_due: u32,
    fin: Fin,
    /// It stands among those that have something other than DATA to send.
    pub(super) is_urgent: bool,
    /// Its user has gone, after a FIN that may not have been sent.
    pub(super) abandoned: bool,
    /// Sweeps since something was last written, or FIN was sent, or it was abandoned.
    sweeps: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    No,
    Due,
    Sent,
}

/// What a lane that nobody uses is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sweep {
    Nothing,
    /// Credit is to be given back.
    Return,
    /// The peer does not end it.
    Reset,
}

impl HasTurn for LaneState {
    fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }
}

impl LaneState {
    pub(super) fn new(source: Source, promise: Promise, now: Duration) -> Self {
        Self {
            source,
            turn: Turn::default(),
            inbox: Inbox::default(),
            granted: LANE_FIRST_CREDIT,
            window: LANE_FIRST_CREDIT,
            once: 0,
            promise,
            began: now,
            used: 0,
            peer_finished: false,
            credit: LANE_FIRST_CREDIT,
            queue: VecDeque::new(),
            queued: 0,
            sent: 0,
            delivered: 0,
            open: None,
            credit_due: 0,
            return_due: 0,
            fin: Fin::No,
            is_urgent: false,
            abandoned: false,
            sweeps: 0,
        }
    }

    // --- what comes ---

    pub(super) fn take_data(&mut self, bytes: Bytes, link: Link) -> Result<Event, Violation> {
        if self.peer_finished {
            return Err(Violation::AfterFin);
        }
        if bytes.is_empty() {
            return Ok(Event::Ignored);
        }
        // While all of it is there, nobody waits for more: how long that was says nothing of a long link.
        if link.rtt >= LANE_FAR && self.used == 0 && self.granted == self.window {
            self.began = self.began.max(link.now.saturating_sub(link.rtt));
        }
        let len = bytes.len() as u32;
        self.granted = self.granted.checked_sub(len).ok_or(Violation::Credit)?;
        if self.abandoned {
            return Ok(Event::Late);
        }
        self.inbox.push(bytes);
        Ok(Event::Readable)
    }

    pub(super) fn take_credit(&mut self, more: u32) -> Result<Event, Violation> {
        let credit = self.credit.checked_add(more).filter(|credit| *credit <= LANE_CREDIT_MAX);
        self.credit = credit.ok_or(Violation::Credit)?;
        Ok(Event::Writable)
    }

    pub(super) fn take_return(&mut self, bytes: u32) -> Result<Event, Violation> {
        self.granted = self.granted.checked_sub(bytes).ok_or(Violation::Credit)?;
        self.once = self.once.max(std::mem::replace(&mut self.window, LANE_FIRST_CREDIT));
        self.used = 0;
        self.keep_promise();
        Ok(Event::Ignored)
    }

    pub(super) fn take_fin(
        &mut self,
        role: Role,
        delivered: Option<u64>,
    ) -> Result<Event, Violation> {
        if self.peer_finished {
            return Err(Violation::AfterFin);
        }
        let delivered = match role {
            Role::Hub => delivered.ok_or(BadLength)?,
            Role::Agent { .. } => 0,
        };
        self.peer_finished = true;
        self.credit_due = 0;
        Ok(Event::Finished { delivered })
    }

    pub(super) fn read(&mut self, buf: &mut ReadBuf<'_>, link: Link) {
        self.inbox.read(buf);
        self.grant(link);
    }

    pub(super) fn take(&mut self, most: usize, link: Link) -> Option<Bytes> {
        let piece = self.inbox.take(most);
        self.grant(link);
        piece
    }

    /// Grants anew what was read: half of the first window, an eighth of a large one; or a whole message, when the peer
    /// stands at zero. By less, a reader of single bytes would have each sent alone. If it were half of a large one too,
    /// half of it would be all that is on its way where it is granted once in a round trip.
    fn grant(&mut self, link: Link) {
        let used = self.window.saturating_sub(self.held());
        let much = (LANE_FIRST_CREDIT / 2).max(self.window / 8);
        let enough = if self.granted == 0 { LANE_DATA_MAX as u32 } else { much };
        if self.peer_finished || used < enough {
            return;
        }
        self.follow(link, used);
        let more = self.window.saturating_sub(self.held());
        self.granted += more;
        self.credit_due += more;
    }

    /// The window follows the link: see [`LANE_GROWS_BELOW`].
    fn follow(&mut self, link: Link, used: u32) {
        self.used = self.used.saturating_add(used);
        if self.used < self.window / 2 {
            return;
        }
        let took = link.now.saturating_sub(std::mem::replace(&mut self.began, link.now));
        // As long as half of it takes.
        let half = took.saturating_mul(self.window) / self.used.saturating_mul(2);
        self.used = 0;
        if half < link.rtt * LANE_GROWS_BELOW {
            let by = if link.rtt < LANE_FAR { LANE_GROWS_BY } else { LANE_GROWS_FAR_BY };
            self.grow((by * self.window).max(self.once).min(LANE_CREDIT_GROWN));
        } else if half > link.rtt * LANE_SHRINKS_ABOVE {
            self.window = (self.window / 2).max(LANE_FIRST_CREDIT);
            self.keep_promise();
        }
    }

    /// To so much, or to half of it, where so much may not be, or to a half of that.
    fn grow(&mut self, mut wider: u32) {
        while wider > self.window {
            if self.promise.set((wider - LANE_FIRST_CREDIT) as usize) {
                (self.window, self.once) = (wider, 0);
            }
            wider /= 2;
        }
    }

    /// What the peer may still send, and what waits.
    fn held(&self) -> u32 {
        self.granted + self.inbox.len() as u32
    }

    /// What was promised before is, until it is used.
    fn keep_promise(&mut self) {
        let promised = self.window.max(self.held());
        self.promise.set((promised - LANE_FIRST_CREDIT) as usize);
    }

    // --- what goes ---

    /// Room for bytes of its user, now.
    pub(super) fn room(&self) -> usize {
        (self.credit as usize).min(LANE_QUEUE - self.queued)
    }

    /// Whether its user may still write.
    pub(super) fn is_open(&self) -> bool {
        self.fin == Fin::No
    }

    /// Queues as much of `slices` as there is room for, and charges it.
    pub(super) fn write(&mut self, id: u32, slices: &[IoSlice<'_>]) -> usize {
        slices.iter().map(|slice| self.write_from(id, &mut &slice[..])).sum()
    }

    /// Takes as much of `bytes` as there is room for, queues and charges it. What lies there in large pieces is not copied,
    /// if `bytes` can give it away.
    pub(super) fn write_from(&mut self, id: u32, bytes: &mut impl Buf) -> usize {
        if !self.is_open() {
            return 0;
        }
        let before = self.queued;
        loop {
            let len = bytes.chunk().len().min(self.room());
            if len == 0 {
                break;
            }
            self.add(id, bytes, len);
        }
        self.sweeps = 0;
        self.queued - before
    }

    /// Queues a whole message that was begun with [`frame::data`], and charges it; there is room for it.
    pub(super) fn queue(&mut self, message: BytesMut) {
        let len = message.len() - HEAD_BYTES;
        self.queued += len;
        self.credit -= len as u32;
        self.queue.push_back(message.into());
        self.sweeps = 0;
    }

    /// Queues the next `len` bytes, which are in one piece there.
    fn add(&mut self, id: u32, bytes: &mut impl Buf, len: usize) {
        self.queued += len;
        self.credit -= len as u32;
        let mut left = len;
        while left > 0 {
            let room = |message: &Pieces| HEAD_BYTES + LANE_DATA_MAX - message.len();
            let is_small = left < LANE_COPY_BELOW;
            let message = match self.queue.back_mut().filter(|message| room(message) > 0) {
                Some(message) => message,
                None => {
                    let message = frame::data(id, if is_small { left } else { 0 });
                    self.queue.push_back_mut(message.into())
                }
            };
            let len = left.min(room(message));
            if len < LANE_COPY_BELOW {
                message.extend(&bytes.chunk()[..len]);
                bytes.advance(len);
            } else {
                message.push(bytes.copy_to_bytes(len));
            }
            left -= len;
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    pub(super) fn has_data(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Pieces> {
        let message = self.queue.pop_front()?;
        self.queued -= message.len() - HEAD_BYTES;
        self.sent += (message.len() - HEAD_BYTES) as u64;
        Some(message)
    }

    /// FIN follows what is queued.
    pub(super) fn finish(&mut self) {
        if self.is_open() {
            self.fin = Fin::Due;
        }
    }

    /// Its user has gone.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        self.sweeps = 0;
        self.inbox = Inbox::default();
    }

    /// Whether it has something to say before DATA.
    pub(super) fn has_urgent(&self) -> bool {
        let fin = self.fin == Fin::Due && self.queue.is_empty();
        self.open.is_some() || self.credit_due > 0 || self.return_due > 0 || fin
    }

    /// What that is.
    pub(super) fn next_urgent(&mut self, id: u32, role: Role) -> Option<Bytes> {
        if let Some(open) = self.open.take() {
            return Some(frame::open(id, open));
        }
        if self.credit_due > 0 {
            return Some(frame::credit(id, std::mem::take(&mut self.credit_due)));
        }
        if self.return_due > 0 {
            return Some(frame::give_back(id, std::mem::take(&mut self.return_due)));
        }
        if self.fin != Fin::Due || self.has_data() {
            return None;
        }
        self.fin = Fin::Sent;
        self.sweeps = 0;
        Some(frame::fin(id, (role != Role::Hub).then_some(self.delivered)))
    }

    /// Both ends have said all that they had to.
    pub(super) fn is_over(&self) -> bool {
        self.peer_finished && self.fin == Fin::Sent
    }

    // --- while nothing happens ---

    /// Whether [`Self::sweep`] may find something.
    pub(super) fn wants_sweep(&self) -> bool {
        self.abandoned || self.is_open() && self.credit > LANE_FIRST_CREDIT
    }

    pub(super) fn sweep(&mut self) -> Sweep {
        self.sweeps = self.sweeps.saturating_add(1);
        // What was written before the FIN has all the time that it takes.
        if self.abandoned && self.fin == Fin::Sent && self.sweeps > LANE_ABANDONED_SWEEPS {
            return Sweep::Reset;
        }
        let is_idle = self.sweeps > LANE_IDLE_SWEEPS && !self.has_data() && self.return_due == 0;
        if !is_idle || !self.is_open() || self.credit <= LANE_FIRST_CREDIT {
            return Sweep::Nothing;
        }
        self.return_due = self.credit - LANE_FIRST_CREDIT;
        self.credit = LANE_FIRST_CREDIT;
        Sweep::Return
    }
}
