//! What the hub itself answers, and how a call ends.

use http::uri::Authority;
use http2::error::Reason;
use switch::{CallId, Ended, How, LaneId, Rewrite};

use super::answer;
use super::call::{Call, Next};
use super::connection::Connection;
use super::lane_io::LaneIo;
use super::own;
use crate::config::auth::Caller;
use crate::guard::peer_guard::PeerGuard;
use crate::limits::OWN_CALLS;
use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;
use crate::observe::limit::Limit;
use crate::observe::outcome::Outcome;

impl Connection {
    // --- own services ---

    pub(super) fn pass_on_to_own(&mut self, id: CallId, caller: Option<Caller>) {
        if self.own_calls >= OWN_CALLS {
            self.reached(Limit::OwnCalls, None);
            return self.refuse(id, Refusal::OwnCalls);
        }
        let key = caller.as_ref().map(|caller| caller.id().unwrap_or_default().to_owned());
        let lane = match self.own_lanes.get(&key) {
            Some(lane) if self.switch.has_room(*lane) => *lane,
            _ => {
                let io = own::serve(&self.origin, caller);
                let lane = self.switch.open_lane(OWN_CALLS as u32, PeerGuard::upstream());
                self.switch.mark_own(lane);
                self.add_lane(lane, LaneIo::Own(io), None, None, None);
                self.own_lanes.insert(key, lane);
                lane
            }
        };
        // They do not ask, and are read by a library that bears less than gRPC's callers send: C-core a list of addresses, Go
        // a resolver's target.
        let rewrite =
            Rewrite { scheme: b"http", authority: Some(b"hub"), otherwise: b"hub", is_ours: false };
        if !self.switch.forward(id, lane, &rewrite) {
            return self.refuse(id, Refusal::OwnCalls);
        }
        self.own_calls += 1;
        if let Some(call) = self.call(id) {
            (call.lane, call.has_own_place) = (Some(lane), true);
        }
        self.set_busy(lane);
    }

    /// The call is put in other words, and comes back on a connection in memory; or it is an agent's session.
    pub(super) fn pass_on_to_web(&mut self, id: CallId) {
        let open = self.web_lane.filter(|lane| self.switch.has_room(*lane));
        let Some(lane) = open.or_else(|| self.open_web_lane()) else {
            return self.refuse(id, Refusal::OwnCalls);
        };
        // What no library reads is no host to route by.
        let head = self.switch.request(id);
        let authority = head.and_then(|head| head.get(b":authority"));
        let is_odd = authority.is_some_and(|host| Authority::try_from(host).is_err());
        let rewrite = Rewrite {
            scheme: b"http",
            authority: is_odd.then_some(b"hub"),
            otherwise: b"hub",
            is_ours: true,
        };
        if !self.switch.forward(id, lane, &rewrite) {
            return self.refuse(id, Refusal::OwnCalls);
        }
        if let Some(call) = self.call(id) {
            call.lane = Some(lane);
            // Whatever becomes of it is written there.
            call.record.is_written_elsewhere(true);
        }
        self.set_busy(lane);
    }

    fn open_web_lane(&mut self) -> Option<LaneId> {
        let io = self.web?(self.origin.clone(), self.has_sessions.clone());
        let max = self.origin.hub.config.max_calls;
        let lane = self.switch.open_lane(max, PeerGuard::upstream());
        self.switch.mark_own(lane);
        self.add_lane(lane, LaneIo::Own(io), None, None, None);
        self.web_lane = Some(lane);
        Some(lane)
    }

    // --- answers of the hub ---

    /// Refuses a call that has had its turn once already, when it is its turn to be answered.
    pub(super) fn refuse_by_turns(&mut self, id: CallId, refusal: Refusal) {
        if let Some(call) = self.call(id) {
            call.leaves_parking("refused");
        }
        if self.switch.was_returned(id) {
            // As a server would that has not looked at it: the client's library may try again by itself.
            return self.switch.refuse(id);
        }
        let Some(call) = self.call(id) else { return };
        call.next = Next::Refuse(refusal);
        let caller = call.caller;
        let (may, limit) = self.callers.may_be_answered(caller, id);
        self.note_paces(limit);
        if may {
            self.answer(id);
        }
    }

    /// Answers in the agent's stead: trailers-only for gRPC, a status and a sentence for the rest.
    pub(super) fn refuse(&mut self, id: CallId, refusal: Refusal) {
        let Some(call) = self.call(id) else { return };
        let (head, body) = answer::answer(&refusal, call.form);
        call.refused = Some(refusal);
        self.switch.answer(id, &head, body);
    }

    /// The call's lane was lost under it.
    pub(super) fn lost(&mut self, id: CallId) {
        match self.call(id).map(|call| call.record.name().cloned()) {
            Some(Some(name)) => self.cut_off(id, Refusal::SessionLost(name)),
            Some(None) => {
                self.leave(id);
                self.switch.reset(id, Reason::INTERNAL_ERROR);
            }
            None => {}
        }
    }

    /// Ends a call that goes on, and tells its client why.
    pub(super) fn cut_off(&mut self, id: CallId, refusal: Refusal) {
        self.leave(id);
        let is_answered = self.switch.is_answered(id);
        let Some(call) = self.call(id) else { return };
        if !is_answered {
            return self.refuse(id, refusal);
        }
        let form = call.form;
        let trailers = answer::trailers(&refusal);
        call.refused = Some(refusal);
        if form == AnswerForm::Grpc {
            self.switch.end_with(id, &trailers);
        } else {
            self.switch.reset(id, Reason::INTERNAL_ERROR);
        }
    }

    /// Ends all calls that go on: their connection does. Agents are told on their sessions; and where the whole hub ends, so
    /// are calls in other words where they are put so. Returns `true` if none are left.
    pub(super) fn cut_off_all(&mut self, hub_ends: bool) -> bool {
        let calls: Vec<CallId> = self.switch.call_ids().collect();
        for id in calls {
            let Some(call) = self.call(id) else { continue };
            if !(call.is_session || hub_ends && call.is_in_other_words()) {
                self.cut_off(id, Refusal::GoingAway);
            }
        }
        self.handle_events();
        self.switch.calls() == 0
    }

    // --- the end ---

    /// The head of an upstream's answer has been passed on.
    pub(super) fn answered(&mut self, id: CallId) {
        if let Some(call) = self.call(id) {
            call.record.has_head();
        }
    }

    /// The call is over for its client.
    pub(super) fn ended(&mut self, id: CallId, call: Option<Box<Call>>, end: &Ended) {
        let Some(mut call) = call else { return };
        let gave_up = matches!(end.how, How::ClientReset(_) | How::ClientBreach(_));
        self.callers.forget(call.caller, id);
        let limit = self.callers.leave(call.caller, gave_up);
        self.note_paces(limit);
        self.own_calls -= usize::from(call.has_own_place);
        self.sessions -= usize::from(call.is_session);
        match call.lane {
            Some(lane) => {
                self.note_breach(lane, end);
                self.set_busy(lane);
            }
            None => self.wait_no_more(id, &call.next),
        }
        call.leaves_parking("given-up");
        let refused = call.refused.as_ref();
        let refused = refused.map(|refusal| (refusal, Outcome::of_refusal(refusal, call.form)));
        call.record.ended(end, refused);
    }

    /// What the upstream said was more than a call may.
    fn note_breach(&self, lane: LaneId, end: &Ended) {
        let seat =
            self.lanes.get(lane).and_then(Option::as_ref).and_then(|lane| lane.seat.as_ref());
        if let (How::UpstreamBreach(Reason::ENHANCE_YOUR_CALM), Some(seat)) = (end.how, seat) {
            self.reached_by(Limit::AgentHeads, seat.session());
        }
    }
}
