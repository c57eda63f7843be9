//! Which lane a call gets, and when it is left.

use std::sync::Arc;

use switch::{CallId, LaneId, Rewrite};
use tokio::time::Instant;

use super::call::Next;
use super::connection::Connection;
use super::groups::GroupId;
use super::lane::ClientLane;
use crate::lanes::{Seat, Take};
use crate::limits::{LANE_LOOK, STREAM_QUEUE_MAX};
use crate::message::refusal::Refusal;
use crate::observe::limit::Limit;
use crate::registry::{Agent, Session};

impl Connection {
    /// The call waits for a lane of this group, unless too many do.
    pub(super) fn wait_for_lane(&mut self, id: CallId, group: GroupId) {
        let Some(of_group) = self.groups.get(group) else { return };
        let is_too_much = self.holding.is_too_much();
        if !is_too_much && of_group.waiting.len() < STREAM_QUEUE_MAX {
            of_group.waiting.push_back(id);
            return self.serve_group(group);
        }
        let name = of_group.name.clone();
        let (limit, refusal) = if is_too_much {
            (Limit::Held, Refusal::Held)
        } else {
            (Limit::Streams, Refusal::Limit(name.clone()))
        };
        self.reached(limit, Some(&name));
        self.refuse_by_turns(id, refusal);
    }

    /// Gives the calls that wait for a lane of this group what there is.
    pub(super) fn serve_group(&mut self, id: GroupId) {
        loop {
            let Some(group) = self.groups.get(id) else { return };
            let Some(call) = group.waiting.front().copied() else { return };
            let registry = &self.origin.hub.registry;
            match group.take(registry, &self.switch) {
                Take::Lane(lane) => {
                    // Its session may drain, or its place be another's, since it was last looked at.
                    if is_retired(&self.lanes, lane) {
                        self.retire_lane(lane);
                        continue;
                    }
                    group.waiting.pop_front();
                    let spread = group.spread(registry);
                    self.forward(call, id, lane);
                    if let Some(session) = spread {
                        self.open_lane(id, session);
                    }
                }
                Take::Open(session) => self.open_lane(id, session),
                Take::Refuse(refusal) => {
                    group.waiting.pop_front();
                    self.refuse_by_turns(call, refusal);
                }
                Take::Away(away) => {
                    if !self.park(id, &away) {
                        return;
                    }
                }
                Take::Wait(patience) => {
                    let name = group.name.clone();
                    let since = self.call(call).map(|call| call.waits_since);
                    if since.is_none_or(|since| since.elapsed() < patience) {
                        return self.look_by(Instant::now() + LANE_LOOK);
                    }
                    if let Some(group) = self.groups.get(id) {
                        group.waiting.pop_front();
                    }
                    self.reached(Limit::Streams, Some(&name));
                    self.refuse_by_turns(call, Refusal::Limit(name));
                }
            }
        }
    }

    /// Opens a lane, or takes one that stands ready.
    fn open_lane(&mut self, id: GroupId, session: Arc<Session>) {
        let Some(group) = self.groups.get(id) else { return };
        if let Some(sentinel) = self.origin.hub.sentinels.take(&session.agent) {
            return self.add_sentinel(id, sentinel);
        }
        group.opens(&session.agent);
        let (opener, source) = (self.origin.hub.lanes.clone(), group.source);
        self.opening.push(Box::pin(async move {
            let opened = opener.open(session.clone(), source).await;
            (id, session, opened)
        }));
        self.look_at_opening = true;
    }

    pub(super) fn forward(&mut self, id: CallId, group: GroupId, lane: LaneId) {
        let Some(of_lane) = self.lanes.get(lane).and_then(Option::as_ref) else { return };
        let Some(session) = of_lane.seat.as_ref().map(|seat| seat.session().clone()) else {
            return;
        };
        let number = of_lane.io.number();
        let is_forwarded = self.switch.forward(id, lane, &rewrite(&session.agent));
        let Some(call) = self.switch.user(id).and_then(Option::as_mut) else { return };
        if !is_forwarded {
            // It has not waited for nothing.
            if let Some(group) = self.groups.get(group) {
                group.waiting.push_front(id);
            }
            return;
        }
        call.lane = Some(lane);
        call.running = Some(session.agent.call());
        call.record.reached(&session, number);
        call.leaves_parking("served");
        self.set_busy(lane);
    }

    /// The call's lane never processed it: it waits for another.
    pub(super) fn returned(&mut self, id: CallId) {
        self.leave(id);
        let Some(call) = self.call(id) else { return };
        call.record.replayed();
        if let Next::Agent(group) = call.next
            && let Some(of_group) = self.groups.get(group)
        {
            of_group.waiting.push_front(id);
            self.returned.push(group);
        }
    }

    /// The call waits for no lane any more: it is over.
    pub(super) fn wait_no_more(&mut self, id: CallId, next: &Next) {
        if let Next::Agent(group) = next
            && let Some(group) = self.groups.get(*group)
        {
            group.waiting.retain(|other| *other != id);
        }
    }

    /// The call is on no lane any more.
    pub(super) fn leave(&mut self, id: CallId) {
        let Some(call) = self.call(id) else { return };
        call.running = None;
        if let Some(lane) = call.lane.take() {
            self.set_busy(lane);
        }
    }
}

/// Whether a lane is to take no new calls.
pub(super) fn is_retired(lanes: &[Option<ClientLane>], lane: LaneId) -> bool {
    let seat = lanes.get(lane).and_then(Option::as_ref).and_then(|lane| lane.seat.as_ref());
    seat.is_some_and(Seat::is_retired)
}

/// What a request says on this agent's lanes.
fn rewrite(agent: &Agent) -> Rewrite<'_> {
    Rewrite {
        scheme: agent.scheme.as_str().as_bytes(),
        authority: agent.authority.as_ref().map(|authority| authority.as_str().as_bytes()),
        // Every name is a valid host.
        otherwise: agent.name.as_str().as_bytes(),
        is_ours: false,
    }
}
