//! One end of a session's lanes: what may be sent, what has come, who is over. No I/O, no clock.
//!
//! Messages go in by [`Mux::receive`] and come out of [`Mux::next_message`]. Credit is charged when bytes are
//! taken from a lane's user, so whatever is queued may be sent. Frames without data go before DATA; DATA goes
//! by turns of sources, then of lanes.

#[cfg(any(test, fuzzing))]
mod account;
mod event;
mod lane_state;
mod turns;
mod writing;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::ReadBuf;

pub use self::event::{Event, Violation};
use self::lane_state::{LaneState, Sweep};
use self::turns::Turns;
use super::by_id::{ById, shrink};
use super::frame::{self, Frame, Open, ResetCode};
use super::inbox::Inbox;
use super::memory::LaneMemory;
use super::role::Role;
use crate::limits::{LANE_FIRST_CREDIT, LANE_IDS_MAX, LANE_RESETS_WAITING, LANE_RTT_LEAST};
use crate::pieces::Pieces;

/// What is known of the session's link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Since the session began.
    now: Duration,
    /// The round trip to the peer.
    rtt: Duration,
}

/// The lanes of one end of a session.
#[derive(Debug)]
pub struct Mux {
    role: Role,
    memory: LaneMemory,
    link: Link,
    lanes: ById<LaneState>,
    /// The most that were ever accepted at once: those may be there still, whatever is said now.
    most: usize,
    /// What came on lanes that are over, until their users have read it.
    unread: ById<Inbox>,
    /// The highest lane that was opened.
    highest: u32,
    /// Bytes that may still come on lanes that are gone here, for there was credit for them.
    late: u64,
    /// Lanes with frames to send that are no DATA.
    urgent: VecDeque<u32>,
    /// RESETs of lanes that are gone here already.
    resets: VecDeque<Bytes>,
    turns: Turns,
}

impl Mux {
    /// An end without lanes, which may have `memory`.
    #[must_use]
    pub fn new(role: Role, memory: LaneMemory) -> Self {
        Self {
            role,
            memory,
            link: Link { now: Duration::ZERO, rtt: LANE_RTT_LEAST },
            lanes: HashMap::default(),
            most: if let Role::Agent { max_lanes } = role { max_lanes } else { 0 },
            unread: HashMap::default(),
            highest: 0,
            late: 0,
            urgent: VecDeque::new(),
            resets: VecDeque::new(),
            turns: Turns::default(),
        }
    }

    /// So much time has passed since the session began, and so long is the round trip to the peer, as far as it is known.
    pub fn passed(&mut self, now: Duration, rtt: Option<Duration>) {
        self.link = Link { now, rtt: rtt.unwrap_or_default().max(LANE_RTT_LEAST) };
    }

    /// From now on so many lanes are accepted at once; those that are there stay. Of a hub, which accepts none, nothing.
    pub fn accept_at_most(&mut self, max: usize) {
        if let Role::Agent { max_lanes } = &mut self.role {
            *max_lanes = max;
            self.most = self.most.max(max);
        }
    }

    /// Lanes that are not over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Opens a lane, at the hub; `None` when a session has had as many as there are numbers.
    pub fn open(&mut self, open: Open) -> Option<u32> {
        if self.role != Role::Hub || self.highest >= LANE_IDS_MAX {
            return None;
        }
        let id = self.highest + 1;
        let lane = self.add(id, open);
        lane.open = Some(open);
        lane.is_urgent = true;
        self.urgent.push_back(id);
        Some(id)
    }

    fn add(&mut self, id: u32, open: Open) -> &mut LaneState {
        self.highest = id;
        self.turns.enter(open.source);
        let (memory, now) = (&self.memory, self.link.now);
        let new = || LaneState::new(open.source, memory.promise(open.source), now);
        self.lanes.entry(id).or_insert_with(new)
    }

    /// Takes one message of the peer.
    ///
    /// # Errors
    /// The peer broke the protocol; the session is to be closed.
    pub fn receive(&mut self, message: Bytes) -> Result<(u32, Event), Violation> {
        let (id, frame) = Frame::read(message)?;
        let event = match frame {
            Frame::Unknown => Event::Ignored,
            Frame::Open(open) => self.accept(id, open)?,
            _ if id == 0 || id > self.highest => return Err(Violation::UnknownLane),
            frame => self.take(id, frame)?,
        };
        Ok((id, event))
    }

    /// Takes what is said of a lane that was opened.
    fn take(&mut self, id: u32, frame: Frame) -> Result<Event, Violation> {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return Ok(self.take_late(&frame));
        };
        match frame {
            Frame::Data(bytes) => lane.take_data(bytes, self.link),
            Frame::Credit(more) => lane.take_credit(more),
            Frame::Return(bytes) => lane.take_return(bytes),
            Frame::Fin(delivered) => {
                let event = lane.take_fin(self.role, delivered)?;
                if lane.is_over() {
                    self.retire(id);
                }
                Ok(event)
            }
            Frame::Reset { code, delivered, reason } => {
                match self.role {
                    // The upstream's last words may be among what came before.
                    Role::Hub => self.retire(id),
                    Role::Agent { .. } => drop(self.forget(id)),
                }
                Ok(Event::Reset { code, delivered, reason })
            }
            Frame::Open(_) | Frame::Unknown => Ok(Event::Ignored),
        }
    }

    fn take_late(&mut self, frame: &Frame) -> Event {
        match frame {
            Frame::Data(bytes) if !bytes.is_empty() && bytes.len() as u64 <= self.late => {
                self.late -= bytes.len() as u64;
                Event::Late
            }
            _ => Event::Ignored,
        }
    }

    fn accept(&mut self, id: u32, open: Option<Open>) -> Result<Event, Violation> {
        let Role::Agent { max_lanes } = self.role else {
            return Err(Violation::Open);
        };
        if id <= self.highest || id > LANE_IDS_MAX {
            return Err(Violation::Open);
        }
        // An honest hub counts a lane until it has read the RESET.
        if self.lanes.len() + self.resets.len() >= self.most.saturating_add(LANE_RESETS_WAITING) {
            return Err(Violation::Unread);
        }
        let (code, reason) = match open {
            Some(open) if self.lanes.len() < max_lanes => {
                self.add(id, open);
                return Ok(Event::Opened(open));
            }
            Some(_) => (ResetCode::TooMany, "too many lanes"),
            None => (ResetCode::Protocol, "unknown kind of lane"),
        };
        self.highest = id;
        self.late += u64::from(LANE_FIRST_CREDIT);
        self.resets.push_back(frame::reset(id, code, 0, reason));
        Ok(Event::Refused)
    }

    /// Bytes that wait for the lane's reader.
    #[must_use]
    pub fn readable(&self, id: u32) -> usize {
        let inbox = self.lanes.get(&id).map(|lane| &lane.inbox).or_else(|| self.unread.get(&id));
        inbox.map_or(0, Inbox::len)
    }

    /// Whether nothing more will come on the lane, and all that came was read.
    #[must_use]
    pub fn is_read_to_end(&self, id: u32) -> bool {
        match self.lanes.get(&id) {
            Some(lane) => lane.peer_finished && lane.inbox.len() == 0,
            None => !self.unread.contains_key(&id),
        }
    }

    /// Reads what fits into `buf`. Returns `true` if there is something to send because of it.
    pub fn read(&mut self, id: u32, buf: &mut ReadBuf<'_>) -> bool {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.read(buf, self.link);
            return note_urgent(&mut self.urgent, id, lane);
        }
        if let Some(inbox) = self.unread.get_mut(&id) {
            inbox.read(buf);
            if inbox.len() == 0 {
                self.drop_unread(id);
            }
        }
        false
    }

    /// Takes at most `most` of what came first, in one piece, and whether there is something to send because of it.
    pub fn read_piece(&mut self, id: u32, most: usize) -> (Option<Bytes>, bool) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            let piece = lane.take(most, self.link);
            return (piece, note_urgent(&mut self.urgent, id, lane));
        }
        let piece = self.unread.get_mut(&id).and_then(|inbox| inbox.take(most));
        if self.unread.get(&id).is_some_and(|inbox| inbox.len() == 0) {
            self.drop_unread(id);
        }
        (piece, false)
    }

    /// Whether the lane's user may still write.
    #[must_use]
    pub fn is_open(&self, id: u32) -> bool {
        self.lanes.get(&id).is_some_and(LaneState::is_open)
    }

    /// So many more bytes of the lane were written to the upstream.
    pub fn delivered(&mut self, id: u32, bytes: u64) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.delivered += bytes;
        }
    }

    /// The lane's user sends no more: FIN follows what is queued.
    pub fn finish(&mut self, id: u32) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.finish();
            note_urgent(&mut self.urgent, id, lane);
        }
    }

    /// Ends the lane in both directions at once.
    pub fn reset(&mut self, id: u32, code: ResetCode, reason: &str) {
        self.drop_unread(id);
        // Of one that is not opened yet, the peer has never heard.
        if let Some(lane) = self.forget(id)
            && lane.open.is_none()
        {
            self.resets.push_back(frame::reset(id, code, lane.delivered, reason));
        }
    }

    /// The lane's user has gone. After a FIN the lane goes on by itself until the peer's, otherwise it is reset.
    pub fn abandon(&mut self, id: u32) {
        match self.lanes.get_mut(&id) {
            Some(lane) if !lane.is_open() => lane.abandon(),
            _ => self.reset(id, ResetCode::Closed, ""),
        }
    }

    /// Whether [`Self::sweep`] has anything to look after.
    #[must_use]
    pub fn wants_sweep(&self) -> bool {
        self.lanes.values().any(LaneState::wants_sweep)
    }

    /// To be called once a second: gives back credit that nobody uses, and ends lanes whose peers do not.
    pub fn sweep(&mut self) {
        let mut left_behind = Vec::new();
        for (id, lane) in &mut self.lanes {
            match lane.sweep() {
                Sweep::Nothing => {}
                Sweep::Return => drop(note_urgent(&mut self.urgent, *id, lane)),
                Sweep::Reset => left_behind.push(*id),
            }
        }
        left_behind.into_iter().for_each(|id| self.reset(id, ResetCode::Closed, ""));
    }

    /// The next message to send, and the lane that has room again because of it.
    pub fn next_message(&mut self) -> Option<(Pieces, Option<u32>)> {
        while let Some(id) = self.urgent.front().copied() {
            if let Some(message) = self.next_urgent(id) {
                return Some((message.into(), None));
            }
            self.urgent.pop_front();
        }
        if let Some(reset) = self.resets.pop_front() {
            if self.resets.is_empty() {
                self.resets = VecDeque::new();
            }
            return Some((reset.into(), None));
        }
        let (message, id, lane) = self.turns.next(&mut self.lanes)?;
        note_urgent(&mut self.urgent, id, lane);
        Some((message, (lane.is_open() && lane.room() > 0).then_some(id)))
    }

    /// What the lane has to say before its DATA.
    fn next_urgent(&mut self, id: u32) -> Option<Bytes> {
        let lane = self.lanes.get_mut(&id)?;
        let message = lane.next_urgent(id, self.role);
        lane.is_urgent = message.is_some();
        if lane.is_over() {
            self.retire(id);
        }
        message
    }

    /// The lane is over, but that its user may still read what came.
    fn retire(&mut self, id: u32) {
        if let Some(lane) = self.forget(id)
            && !lane.abandoned
            && lane.inbox.len() > 0
        {
            self.unread.insert(id, lane.inbox);
        }
    }

    /// Bytes of the lane that were given to who sends them.
    pub(crate) fn sent(&self, id: u32) -> u64 {
        self.lanes.get(&id).map_or(0, |lane| lane.sent)
    }

    fn forget(&mut self, id: u32) -> Option<LaneState> {
        let lane = self.lanes.remove(&id)?;
        shrink(&mut self.lanes);
        if !lane.peer_finished {
            self.late += u64::from(lane.granted);
        }
        self.turns.exit(id, &lane);
        if lane.is_urgent {
            self.urgent.retain(|other| *other != id);
        }
        Some(lane)
    }

    fn drop_unread(&mut self, id: u32) {
        if self.unread.remove(&id).is_some() {
            shrink(&mut self.unread);
        }
    }
}

/// After a change of a lane: whether there is something to send now that is no DATA.
fn note_urgent(urgent: &mut VecDeque<u32>, id: u32, lane: &mut LaneState) -> bool {
    let is_due = lane.has_urgent();
    if is_due && !lane.is_urgent {
        lane.is_urgent = true;
        urgent.push_back(id);
    }
    is_due
}

#[cfg(test)]
mod tests;
