//! How calls end, and what each end is told of it.

use bytes::Bytes;
use http2::error::{ConnectionError, Reason};
use http2::fields::Fields;
use http2::frame;

use crate::call::At;
use crate::event::{CallId, Event, How, LaneId};
use crate::guard::Guard;
use crate::limits::{RESETS_REMEMBERED, SPARE_CALLS};
use crate::switch::Switch;
use crate::way::Tail;

/// The code that an upstream sees of a client's reset: what a client says of its connection to the hub must not make the
/// hub look guilty.
pub(crate) fn from_client(reason: Reason) -> Reason {
    if reason == Reason::NO_ERROR { reason } else { Reason::CANCEL }
}

/// The code that a client sees of an upstream's reset of an answer that is not complete: those cross on which clients
/// act. Codes about the upstream's own connection become INTERNAL_ERROR; so does NO_ERROR, which some clients take for
/// the answer's end (hyper 1), and so would not notice that it is cut short.
pub(crate) fn from_upstream(reason: Reason) -> Reason {
    match reason {
        Reason::REFUSED_STREAM
        | Reason::CANCEL
        | Reason::ENHANCE_YOUR_CALM
        | Reason::INADEQUATE_SECURITY
        | Reason::HTTP_1_1_REQUIRED => reason,
        _ => Reason::INTERNAL_ERROR,
    }
}

impl<C, G: Guard> Switch<C, G> {
    // --- by the owner ---

    /// Answers a call that waits, or whose lane was lost before an answer: with this head, and this body where there is
    /// one. What the client still sends of its request is not wanted.
    pub fn answer(&mut self, id: CallId, head: &Fields, body: Bytes) {
        if self.calls.get(&id).is_none_or(|call| call.is_answered) {
            return;
        }
        self.reset_lane_stream(id, Reason::CANCEL);
        self.stop_up(id);
        self.leave_lane(id);
        let Self { client, calls, scratch, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        call.is_answered = true;
        call.forget_request();
        call.how = How::Answered;
        call.down.source_ended = true;
        client.write_fields(id, head.iter(), body.is_empty(), scratch);
        if body.is_empty() {
            call.down.sink_ended = true;
        } else {
            self.answers_held += body.len();
            self.orphaned += body.len();
            call.down.held.push(body);
            call.down.tail = Tail::End;
            client.enqueue(id, &mut call.down);
        }
        self.stop_upload(id, Reason::NO_ERROR);
        self.settle(id);
    }

    /// Ends an answer that has begun, and whose lane was lost, with these trailers.
    pub fn end_with(&mut self, id: CallId, trailers: &Fields) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| !call.down.sink_ended) else {
            return;
        };
        (call.how, call.down.source_ended) = (How::Answered, true);
        self.reset_lane_stream(id, Reason::CANCEL);
        self.stop_up(id);
        self.fields.clone_from(trailers);
        self.pass_our_trailers(id);
        self.stop_upload(id, Reason::NO_ERROR);
        self.settle(id);
    }

    fn pass_our_trailers(&mut self, id: CallId) {
        let Self { client, calls, fields, scratch, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        if call.down.held.is_empty() {
            client.write_fields(id, fields.iter(), true, scratch);
            call.down.sink_ended = true;
        } else {
            call.down.tail = Tail::Trailers(Box::new(std::mem::take(fields)));
        }
    }

    /// Breaks a call off, behind what of its answer is on the way already.
    pub fn reset(&mut self, id: CallId, reason: Reason) {
        if let Some(call) = self.calls.get_mut(&id).filter(|call| !call.down.sink_ended) {
            call.how = How::Answered;
        }
        self.reset_lane_stream(id, Reason::CANCEL);
        self.stop_up(id);
        self.reset_down(id, reason);
        self.stop_upload(id, reason);
        self.settle(id);
    }

    // --- by the client ---

    /// The client wants the call no more.
    pub(crate) fn end_by_client(&mut self, id: CallId, reason: Reason) {
        if let Some(call) = self.calls.get_mut(&id).filter(|call| !call.is_told) {
            call.how = How::ClientReset(reason);
        }
        self.drop_call(id, from_client(reason));
    }

    /// The client has broken the protocol on a stream.
    pub(crate) fn client_breach(
        &mut self,
        id: CallId,
        reason: Reason,
    ) -> Result<(), ConnectionError> {
        self.write_reset_to_client(id, reason);
        if let Some(call) = self.calls.get_mut(&id).filter(|call| !call.is_told) {
            call.how = How::ClientBreach(reason);
        }
        self.drop_call(id, Reason::CANCEL);
        if self.client.guard.breach() {
            return Ok(());
        }
        self.client.is_deaf = true;
        Err(ConnectionError::new(Reason::ENHANCE_YOUR_CALM, "too many broken streams"))
    }

    /// The client is gone, or goes: so are its calls.
    pub fn client_gone(&mut self) {
        self.client.is_deaf = true;
        let mut calls: Vec<CallId> = self.calls.keys().copied().collect();
        calls.sort_unstable();
        for call in calls {
            self.end_by_client(call, Reason::CANCEL);
        }
    }

    /// Tells the client what is wrong with its connection, and ends its calls.
    pub fn fail_client(&mut self, error: ConnectionError) {
        let debug = error.why.as_bytes();
        let last = self.last_call.min(self.last_served);
        frame::write_goaway(&mut self.client.output, last, error.reason, debug);
        self.client_gone();
    }

    // --- by the upstream ---

    /// The upstream has broken the protocol on a stream.
    pub(crate) fn upstream_breach(&mut self, lane: LaneId, stream: u32, reason: Reason) {
        let Some(side) = self.lane_mut(lane) else { return };
        side.link.write_reset(stream, reason);
        let id = side.streams.get(&stream).copied();
        self.touch(lane);
        let Some(id) = id else { return };
        self.stop_up(id);
        if let Some(call) = self.calls.get_mut(&id).filter(|call| !call.down.sink_ended) {
            call.how = How::UpstreamBreach(reason);
        }
        self.reset_down(id, Reason::INTERNAL_ERROR);
        self.stop_upload(id, Reason::NO_ERROR);
        self.settle(id);
    }

    /// The call was never processed, and cannot be sent again here: the client's own library decides.
    pub fn refuse(&mut self, id: CallId) {
        self.stop_up(id);
        if let Some(call) = self.calls.get_mut(&id) {
            call.how = How::Refused;
        }
        self.reset_down(id, Reason::REFUSED_STREAM);
        self.settle(id);
    }

    // --- steps of these ---

    /// Forgets a call at once; its upstream is told so by `reason`.
    fn drop_call(&mut self, id: CallId, reason: Reason) {
        self.reset_lane_stream(id, reason);
        self.stop_up(id);
        self.stop_down(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        (call.up.source_ended, call.down.source_ended) = (true, true);
        self.settle(id);
    }

    fn reset_lane_stream(&mut self, id: CallId, reason: Reason) {
        let Some(call) = self.calls.get(&id).filter(|call| call.is_on_stream()) else { return };
        let Some((lane_id, stream)) = call.on_lane() else { return };
        if let Some(lane) = self.lane_mut(lane_id) {
            lane.link.write_reset(stream, reason);
            self.touch(lane_id);
        }
    }

    /// Nobody takes the request any more.
    pub(crate) fn stop_up(&mut self, id: CallId) {
        let Self { calls, lanes, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        let held = call.up.stop();
        self.client_held -= held;
        self.kept -= call.forget_kept();
        let on_lane = call.on_lane().map(|(lane, _)| lane);
        if let Some(lane) = on_lane.and_then(|lane| lanes.get_mut(lane)?.as_mut()) {
            lane.up_held -= held;
            lane.link.unqueue(id, &mut call.up);
            lane.unstarve(id, &mut call.up);
        }
        if held > 0 {
            on_lane.into_iter().for_each(|lane| self.feed_starved(lane));
            self.grant_client_connection();
        }
    }

    /// Nobody takes the answer any more.
    fn stop_down(&mut self, id: CallId) {
        let Self { client, calls, lanes, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        let held = call.down.stop();
        self.answers_held -= held;
        client.unqueue(id, &mut call.down);
        let lane = call.on_lane();
        if let Some((lane_id, _)) = lane
            && let Some(lane) = lanes.get_mut(lane_id).and_then(Option::as_mut)
        {
            lane.down_held -= held;
            self.grant_lane_connection(lane_id);
        } else {
            self.orphaned -= held;
        }
    }

    /// Breaks the answer off behind what is held of it.
    pub(crate) fn reset_down(&mut self, id: CallId, reason: Reason) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| !call.down.sink_ended) else {
            return;
        };
        call.down.source_ended = true;
        // What the client has no window for would never go, and the reset with it.
        if !call.down.held.is_empty() && call.down.allowed > 0 {
            call.down.tail = Tail::Reset(reason);
            return self.client.enqueue(id, &mut call.down);
        }
        self.stop_down(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.down.was_reset = true;
        self.client.write_reset(id, reason);
    }

    pub(crate) fn write_reset_to_client(&mut self, id: CallId, reason: Reason) {
        self.client.write_reset(id, reason);
        self.remember_reset(id);
    }

    fn remember_reset(&mut self, id: CallId) {
        if self.resets.len() >= RESETS_REMEMBERED {
            self.resets.pop_front();
        }
        self.resets.push_back(id);
    }

    /// Once the client has its answer, it is told to send no more of the request. The first reason is the one: what
    /// the upstream itself has said stays, whatever becomes of its lane meanwhile.
    pub(crate) fn stop_upload(&mut self, id: CallId, reason: Reason) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.stop_upload.get_or_insert(reason);
        }
    }

    /// Tells of a call what is to be told, and forgets it once nothing is left of it.
    pub(crate) fn settle(&mut self, id: CallId) {
        self.count_lists(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.down.sink_ended && !call.up.source_ended && call.down.was_reset {
            call.up.source_ended = true;
            self.remember_reset(id);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.down.sink_ended
            && !call.up.source_ended
            && let Some(reason) = call.stop_upload.take()
        {
            call.up.source_ended = true;
            self.write_reset_to_client(id, reason);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.down.sink_ended && !std::mem::replace(&mut call.is_told, true) {
            let (user, end) = (call.user.take(), call.ended());
            self.events.push_back(Event::Ended { call: id, user, end });
        }
        let is_passed = call.down.source_ended && call.down.held.is_empty();
        if call.is_on_stream() && call.up.sink_ended && call.down.source_ended {
            self.leave_stream(id);
        }
        if is_passed {
            self.take_ahead_back(id);
        }
        self.forget_if_over(id);
    }

    /// Takes the header lists to account that a call holds now.
    pub(crate) fn count_lists(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let size = call.lists_size();
        self.lists_held = self.lists_held + size - std::mem::replace(&mut call.lists, size);
    }

    /// No upstream is concerned any more. What is held of the answer is not the lane's.
    pub(crate) fn leave_lane(&mut self, id: CallId) {
        if self.calls.get(&id).is_some_and(|call| call.is_on_stream()) {
            self.leave_stream(id);
        }
        self.take_ahead_back(id);
        let Self { calls, lanes, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        if let Some((lane_id, _)) = call.on_lane()
            && let Some(lane) = lanes.get_mut(lane_id).and_then(Option::as_mut)
        {
            lane.down_held -= call.down.held.len();
            self.orphaned += call.down.held.len();
        }
        call.at = At::Nowhere;
    }

    /// Nothing more comes of the answer ahead of the client.
    pub(crate) fn take_ahead_back(&mut self, id: CallId) {
        let Self { calls, lanes, .. } = self;
        let Some(call) = calls.get_mut(&id).filter(|call| call.down.ahead > 0) else { return };
        let ahead = std::mem::take(&mut call.down.ahead);
        if let Some((lane, _)) = call.on_lane()
            && let Some(lane) = lanes.get_mut(lane).and_then(Option::as_mut)
        {
            lane.shift_ahead(-ahead);
        }
    }

    /// The stream on the lane has ended: another may have its place.
    pub(crate) fn leave_stream(&mut self, id: CallId) {
        let Self { calls, lanes, events, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        call.left_stream = true;
        let Some((lane_id, stream)) = call.on_lane() else { return };
        let Some(lane) = lanes.get_mut(lane_id).and_then(Option::as_mut) else { return };
        lane.link.unqueue(id, &mut call.up);
        lane.unstarve(id, &mut call.up);
        let was_full = !lane.takes_calls();
        lane.streams.remove(&stream);
        if call.is_answered {
            let came = call.down.passed.saturating_add(call.down.held.len() as u64);
            lane.expected = i64::try_from(came).unwrap_or(i64::MAX);
        }
        if (was_full && lane.has_room()) || lane.streams.is_empty() {
            events.push_back(Event::LaneRoom(lane_id));
        }
    }

    fn forget_if_over(&mut self, id: CallId) {
        if self.calls.get(&id).is_none_or(|call| !call.is_over()) {
            return;
        }
        if let Some(mut call) = self.calls.remove(&id) {
            self.kept -= call.forget_kept();
            self.lists_held -= call.lists;
            if self.spare.len() < SPARE_CALLS && call.is_small() {
                self.spare.push(call);
            }
        }
    }

    /// Looks after answers that are complete while their requests go on: one that has not moved since the last time is
    /// over.
    pub fn sweep(&mut self) {
        let mut stuck: Vec<CallId> = Vec::new();
        for (id, call) in &mut self.calls {
            if call.is_told && call.looked == call.up.passed {
                stuck.push(*id);
            }
            call.looked = call.up.passed;
        }
        for id in stuck {
            self.reset_lane_stream(id, Reason::CANCEL);
            self.stop_up(id);
            if let Some(call) = self.calls.get_mut(&id) {
                call.down.source_ended = true;
            }
            self.stop_upload(id, Reason::NO_ERROR);
            self.settle(id);
        }
    }
}
