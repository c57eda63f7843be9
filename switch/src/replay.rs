//! Calls are sent on lanes, and once more where they were never processed.

use http2::error::{ConnectionError, Reason};
use http2::frame;

use crate::call::At;
use crate::event::{CallId, Event, LaneId};
use crate::guard::Guard;
use crate::head::{Rewrite, forwarded};
use crate::switch::Switch;
use crate::way::Tail;

impl<C, G: Guard> Switch<C, G> {
    /// Sends a call that waits on a lane. Returns `false` if the lane takes none, or the call does not wait.
    pub fn forward(&mut self, id: CallId, lane_id: LaneId, rewrite: &Rewrite<'_>) -> bool {
        let Self { calls, lanes, scratch, .. } = self;
        let Some(call) = calls.get_mut(&id).filter(|call| call.at == At::Waiting) else {
            return false;
        };
        // Nobody may pass it on (RFC 9113 8.1.1), nor would it be whole.
        if call.unfit.is_some() {
            return false;
        }
        let lane = lanes.get_mut(lane_id).and_then(Option::as_mut);
        let Some(lane) = lane.filter(|lane| lane.takes_calls()) else { return false };
        let stream = lane.next_stream;
        lane.next_stream += 2;
        // The last number there is.
        lane.is_closing |= lane.next_stream > u32::MAX >> 1;
        let began = lane.link.position();
        let whole = call.up.held.is_empty() && matches!(call.up.tail, Tail::End);
        lane.link.write_fields(stream, forwarded(&call.request, rewrite), whole, scratch);
        if whole {
            call.up.sent(0, true);
        }
        call.at = At::Lane { lane: lane_id, stream, began };
        (call.left_stream, call.is_proxied) = (false, !lane.is_own);
        call.up.allowed = lane.link.stream_window;
        call.down.opens(lane.told.stream_window, self.now);
        lane.up_held += call.up.held.len();
        lane.streams.insert(stream, id);
        if call.up.held.is_empty() {
            // Trailers need no window.
            lane.link.write_next(stream, &mut call.up, scratch);
        } else if call.up.can_go_on() {
            lane.link.enqueue(id, &mut call.up);
        }
        self.count_lists(id);
        self.touch(lane_id);
        self.grant_up(id);
        self.grant_down(id);
        self.expect_as_much(id);
        true
    }

    /// The upstream never processed the call: it waits again, or is refused, so that its client may try again.
    pub(crate) fn give_back(&mut self, id: CallId) {
        let Self { calls, lanes, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        if !call.can_be_sent_again() {
            return self.refuse(id);
        }
        let before = call.up.held.len();
        let on_lane = call.on_lane().map(|(lane, _)| lane);
        if let Some(lane) = on_lane.and_then(|lane| lanes.get_mut(lane)?.as_mut()) {
            lane.up_held -= before;
            // A lane that has not come about does not count.
            call.replays += u8::from(lane.has_spoken);
        }
        self.leave_stream(id);
        self.take_ahead_back(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.rewind();
        self.client_held = self.client_held - before + call.up.held.len();
        self.events.push_back(Event::Returned(id));
        if let Some(lane) = on_lane {
            self.feed_starved(lane);
        }
    }

    /// A lane is over. The agent has written `delivered` bytes of it to the upstream; `None` if that is not known, and
    /// all may have arrived. What its upstream has said before is to be looked at first.
    pub fn lane_ended(&mut self, lane: LaneId, delivered: Option<u64>) {
        self.lose_calls(lane, delivered.unwrap_or(u64::MAX));
        self.forget_lane(lane);
    }

    /// The upstream breaks the protocol: it is told so, and its calls are lost.
    pub(crate) fn fail_lane(&mut self, id: LaneId, error: ConnectionError) {
        let Some(lane) = self.lane_mut(id) else { return };
        (lane.is_closing, lane.link.is_deaf) = (true, true);
        frame::write_goaway(&mut lane.link.output, 0, error.reason, error.why.as_bytes());
        self.touch(id);
        self.lose_calls(id, u64::MAX);
        self.events.push_back(Event::LaneFailed(id, error));
    }

    /// Says goodbye on a lane: no new calls.
    pub fn close_lane(&mut self, id: LaneId) {
        let Some(lane) = self.lane_mut(id) else { return };
        lane.is_closing = true;
        if !lane.link.is_deaf {
            frame::write_goaway(&mut lane.link.output, 0, Reason::NO_ERROR, b"");
        }
        self.touch(id);
    }

    /// No new calls on a lane; those that it has go on.
    pub fn retire_lane(&mut self, id: LaneId) {
        if let Some(lane) = self.lane_mut(id) {
            lane.is_closing = true;
        }
    }

    /// Forgets a lane, which has no calls any more. Its number may be given to another.
    pub fn forget_lane(&mut self, id: LaneId) {
        self.lose_calls(id, u64::MAX);
        if let Some(lane) = self.lanes.get_mut(id) {
            *lane = None;
        }
        // Another lane may have the number soon.
        let is_of_it = |event: &Event<C>| match event {
            Event::LaneReady(lane) | Event::LaneRoom(lane) => *lane == id,
            _ => false,
        };
        self.events.retain(|event| !is_of_it(event));
        while self.lanes.last().is_some_and(Option::is_none) {
            self.lanes.pop();
        }
    }

    fn lose_calls(&mut self, lane: LaneId, delivered: u64) {
        // What has not left the hub was not delivered, whoever knows of the rest.
        let delivered = self.lane(lane).map_or(delivered, |lane| lane.link.written.min(delivered));
        let on_lane =
            self.calls.iter().filter(|(_, call)| call.on_lane().is_some_and(|(on, _)| on == lane));
        let mut calls: Vec<CallId> = on_lane.map(|(id, _)| *id).collect();
        calls.sort_unstable();
        for id in calls {
            self.lose_call(id, delivered);
        }
    }

    fn lose_call(&mut self, id: CallId, delivered: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let At::Lane { began, .. } = call.at else { return };
        if !call.is_answered && began >= delivered && !call.left_stream {
            return self.give_back(id);
        }
        self.stop_up(id);
        self.leave_lane(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let was_complete = std::mem::replace(&mut call.down.source_ended, true);
        if was_complete {
            self.stop_upload(id, Reason::NO_ERROR);
        } else {
            self.events.push_back(Event::Lost(id));
        }
        self.settle(id);
    }
}
