//! The lanes of a connection, from their opening to their end.

use http2::error::{ConnectionError, Reason};
use switch::LaneId;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::debug;
use tunnel::lanes::LaneEnd;
use tunnel::limits::{OFFENDER_PAUSE, SETTINGS_TIMEOUT};

use super::connection::Connection;
use super::groups::GroupId;
use super::lane::ClientLane;
use super::lane_io::LaneIo;
use crate::guard::peer_guard::PeerGuard;
use crate::lanes::{Group, Opened, Seat, Sentinel, failure, said, silent};
use crate::limits::{
    FAREWELL_TIMEOUT, LANE_ENDED_LATELY, LANE_IDLE, LANE_IDLE_MIN, LANE_IDLE_SCARCE, LANE_STUCK,
};
use crate::observe::limit::Limit;
use crate::registry::{OpenError, Session};

impl Connection {
    // --- beginnings ---

    /// A lane is there, though its upstream has not spoken: what is sent on it now costs no round trip.
    pub(super) fn add_opened(&mut self, group: GroupId, opened: Opened) {
        let Opened { io, seat, under_way } = opened;
        let session = seat.session().clone();
        let max_streams = u32::try_from(session.agent.max_streams()).unwrap_or(u32::MAX);
        let id = self.switch.open_lane(max_streams, PeerGuard::upstream());
        self.add_lane(id, LaneIo::Session(io), Some(group), Some(seat), Some(under_way));
        if let Some(group) = self.groups.get(group) {
            group.opened(&session, Ok(id));
        }
    }

    /// A lane on which HTTP/2 has begun already.
    pub(super) fn add_sentinel(&mut self, group: GroupId, sentinel: Sentinel) {
        let Sentinel { io, http2, seat } = sentinel;
        let session = seat.session().clone();
        let id = self.switch.attach_lane(http2);
        self.add_lane(id, LaneIo::Session(io), Some(group), Some(seat), None);
        if let Some(group) = self.groups.get(group) {
            group.opened(&session, Ok(id));
        }
    }

    pub(super) fn add_lane(
        &mut self,
        id: LaneId,
        io: LaneIo,
        group: Option<GroupId>,
        seat: Option<Seat>,
        under_way: Option<OwnedSemaphorePermit>,
    ) {
        let woken = self.wakers.of(id);
        if let Some(seat) = &seat {
            seat.driven_by(woken.waker.clone());
        }
        let opened = Instant::now();
        let lane = ClientLane {
            io,
            woken,
            group,
            seat,
            under_way,
            opened,
            leaves_by: None,
            is_held: false,
            stuck: None,
            idle_since: Some(opened),
        };
        if self.lanes.len() <= id {
            self.lanes.resize_with(id + 1, || None);
        }
        self.lanes[id] = Some(lane);
        self.look_by(opened + LANE_IDLE_MIN);
        let source = group.and_then(|group| self.groups.get(group)).map(|group| group.source);
        let promise = self.origin.hub.lane_memory.promise(source.unwrap_or_default());
        if let Some(guard) = self.switch.lane_guard(id) {
            guard.promises(promise);
        }
    }

    /// The upstream has spoken.
    pub(super) fn lane_ready(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return };
        lane.under_way = None;
        let (Some(seat), Some(group)) = (&lane.seat, lane.group) else { return };
        let session = seat.session().clone();
        self.origin.hub.lanes.note(&session, None);
        session.agent.note_max_streams(self.switch.max_streams(id) as usize);
        if let Some(group) = self.groups.get(group) {
            group.is_fine(&session.agent);
        }
        self.serve_group(group);
    }

    /// It has calls, or none any more.
    pub(super) fn set_busy(&mut self, id: LaneId) {
        let is_busy = self.switch.calls_on(id) > 0;
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return };
        if is_busy != lane.idle_since.is_none() {
            lane.idle_since = (!is_busy).then(Instant::now);
            if let Some(seat) = &lane.seat {
                seat.set_busy(is_busy);
            }
        }
    }

    // --- while it lives ---

    /// Looks after lanes: those that have been idle for long end, those whose upstreams say nothing fail. Returns when
    /// to look again.
    pub(super) fn look_after_lanes(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for id in 0..self.lanes.len() {
            if let Some(at) = self.look_after_lane(id, now) {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        next
    }

    fn look_after_lane(&mut self, id: LaneId, now: Instant) -> Option<Instant> {
        let lane = self.lanes.get(id)?.as_ref()?;
        if let Some(by) = lane.leaves_by {
            if now >= by {
                self.end_lane(id, None);
                return None;
            }
            return Some(by);
        }
        if !self.switch.has_spoken(id) && now >= lane.opened + SETTINGS_TIMEOUT {
            if let Some(seat) = &lane.seat {
                let session = seat.session();
                let error = silent(&session.agent);
                // A server speaks first (RFC 9113 3.4), and what it says would have come; unless nothing comes at all.
                let delivered = (!session.is_suspect()).then_some(0);
                self.lane_failed_to_open(id, error, delivered);
            }
            return None;
        }
        if self.is_stuck(id, now) {
            self.end_lane(id, None);
            return None;
        }
        let lane = self.lanes.get(id)?.as_ref()?;
        let limit = match &lane.seat {
            Some(seat) => {
                let agent = &seat.session().agent;
                agent.idle.lock().limit(agent.lanes.len(), agent.lanes.max())
            }
            None => LANE_IDLE,
        };
        match lane.idle_since {
            Some(since) if now - since >= limit => {
                self.leave_lane(id);
                Some(now + FAREWELL_TIMEOUT)
            }
            Some(since) => Some(since + limit),
            None => Some(now + limit.min(LANE_IDLE_SCARCE)),
        }
    }

    /// Whether the lane has taken nothing for long of what waits for it: its upstream, or its agent, has stopped.
    fn is_stuck(&mut self, id: LaneId, now: Instant) -> bool {
        let (waiting, written) = self.switch.lane_waits_for(id);
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return false };
        match lane.stuck.filter(|(before, _)| *before == written && waiting > 0) {
            Some((_, since)) => now >= since + LANE_STUCK,
            None => {
                lane.stuck = (waiting > 0).then_some((written, now));
                false
            }
        }
    }

    /// Retires a lane that is to take no new calls: it ends with the last one.
    pub(super) fn retire_lane(&mut self, id: LaneId) {
        self.switch.retire_lane(id);
        let group = self.lanes.get(id).and_then(Option::as_ref).and_then(|lane| lane.group);
        if let Some(group) = group {
            if let Some(group) = self.groups.get(group) {
                group.left(id);
            }
            self.serve_group(group);
        }
        if self.switch.calls_on(id) == 0 {
            self.leave_lane(id);
        }
    }

    /// Says goodbye on a lane without calls.
    pub(super) fn leave_lane(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return };
        if lane.leaves_by.is_some() {
            return;
        }
        let by = Instant::now() + FAREWELL_TIMEOUT;
        lane.leaves_by = Some(by);
        if let Some(group) = lane.group.and_then(|group| self.groups.get(group)) {
            group.left(id);
        }
        self.switch.close_lane(id);
        self.look_by(by);
    }

    // --- endings ---

    /// The upstream takes no new calls on the lane; nothing else of the agent notices.
    pub(super) fn lane_said_goaway(&mut self, id: LaneId, reason: Reason, debug: &[u8]) {
        let idle_for = self.idle_for(id);
        // hypercorn 0.18 has said that it leaves, and calls what was on its way to it meanwhile an error. A guard that
        // has had enough is meant as it is said.
        let was_leaving = self.group_of(id).is_none_or(|group| !group.has(id))
            && reason != Reason::ENHANCE_YOUR_CALM;
        if let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut)
            && let Some(seat) = &mut lane.seat
        {
            if let Some(idle) = idle_for {
                seat.session().agent.idle.lock().ended_after(idle);
            }
            // C-core says INTERNAL_ERROR to a connection that was idle for long, which is nobody's fault.
            if reason != Reason::NO_ERROR {
                let why = said(reason, debug);
                seat.error = Some(why.clone());
                if !was_leaving && idle_for.is_none_or(|idle| idle < LANE_ENDED_LATELY) {
                    self.closed_for_cause(id, why);
                }
            }
        }
        self.retire_lane(id);
    }

    /// How long it has been without a call.
    fn idle_for(&self, id: LaneId) -> Option<std::time::Duration> {
        let lane = self.lanes.get(id)?.as_ref()?;
        lane.idle_since.map(|since| since.elapsed())
    }

    fn closed_for_cause(&mut self, id: LaneId, why: String) {
        let lane = self.lanes.get(id).and_then(Option::as_ref);
        let seat = lane.and_then(|lane| lane.seat.as_ref());
        if seat.is_some_and(|seat| seat.session().is_catching_up()) {
            return;
        }
        let Some(group) = self.group_of(id) else { return };
        let name = group.name.clone();
        debug!(%name, why, "a lane was ended for cause");
        group.closed_for_cause(why);
        self.reached(Limit::UpstreamClosed, Some(&name));
    }

    fn group_of(&mut self, id: LaneId) -> Option<&mut Group> {
        let lane = self.lanes.get(id)?.as_ref()?;
        self.groups.get(lane.group?)
    }

    /// The upstream breaks the protocol.
    pub(super) fn lane_failed(&mut self, id: LaneId, error: ConnectionError) {
        let is_flood = self.switch.lane_guard(id).is_some_and(|guard| guard.is_flooded());
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return };
        if let Some(seat) = &mut lane.seat {
            seat.error = Some(error.to_string());
            let (session, spoken) = (seat.session().clone(), self.switch.has_spoken(id));
            if is_flood {
                let by = Instant::now() + OFFENDER_PAUSE;
                (lane.leaves_by, lane.is_held) = (Some(by), true);
                self.reached_by(Limit::AgentFrames, &session);
                return self.look_by(by);
            } else if !spoken {
                return self.lane_failed_to_open(id, OpenError::NotHttp2, Some(0));
            }
        }
        self.leave_lane(id);
    }

    /// Nothing more comes on the lane.
    pub(super) fn lane_over(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return };
        let end = lane.io.end();
        let session = lane.seat.as_ref().map(|seat| seat.session().clone());
        if let (Some(session), LaneIo::Session(io)) = (&session, &lane.io)
            && !self.switch.has_spoken(id)
        {
            let error = failure(io, &session.agent);
            return self.lane_failed_to_open(id, error, delivered(end.as_ref()));
        }
        if let (Some(session), Some(LaneEnd::Finished { .. })) = (&session, &end) {
            if lane.leaves_by.is_none()
                && let Some(since) = lane.idle_since
            {
                session.agent.idle.lock().ended_after(since.elapsed());
            }
            let delivered =
                if let Some(LaneEnd::Finished { delivered }) = end { delivered } else { 0 };
            let is_guilty = lane.seat.as_ref().is_some_and(|seat| seat.error.is_none());
            if is_guilty && self.switch.got_calls(id, delivered) && !self.switch.has_answered(id) {
                self.closed_for_cause(id, "it hung up and has answered nothing".to_owned());
            }
        }
        self.end_lane(id, delivered(end.as_ref()));
    }

    /// There is no upstream at its end, or none that has spoken, and it got no more than so many bytes.
    fn lane_failed_to_open(&mut self, id: LaneId, error: OpenError, delivered: Option<u64>) {
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return };
        let (Some(seat), Some(group)) = (&mut lane.seat, lane.group) else { return };
        let session = seat.session().clone();
        seat.error = Some(error.to_string());
        self.origin.hub.lanes.note(&session, Some(&error));
        if let Some(group) = self.groups.get(group) {
            group.leave_out(&session.agent, error);
        }
        self.end_lane(id, delivered);
    }

    pub(super) fn end_lane(&mut self, id: LaneId, delivered: Option<u64>) {
        let group = self.drop_lane(id);
        self.switch.lane_ended(id, delivered);
        self.handle_events();
        if let Some(group) = group {
            self.serve_group(group);
        }
    }

    /// Lets the lane go. Its place is free for another.
    fn drop_lane(&mut self, id: LaneId) -> Option<GroupId> {
        let lane = self.lanes.get_mut(id)?.take()?;
        self.own_lanes.retain(|_, own| *own != id);
        let group = lane.group?;
        if let Some(group) = self.groups.get(group) {
            group.left(id);
        }
        Some(group)
    }

    pub(super) fn reached_by(&self, limit: Limit, session: &Session) {
        self.origin.hub.limits.reached(limit, session.link.peer, Some(&session.agent.name));
    }
}

/// How many bytes of a lane may have come to its upstream; without, all of them.
fn delivered(end: Option<&LaneEnd>) -> Option<u64> {
    match end? {
        LaneEnd::Finished { delivered } | LaneEnd::Reset { delivered, .. } => Some(*delivered),
        // What was sent may have arrived; the rest has not.
        LaneEnd::Lost { sent } => Some(*sent),
    }
}
