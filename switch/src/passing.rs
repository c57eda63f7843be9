//! DATA and trailers pass, and windows with them.

use http2::fields::{Field, Fields};

use crate::event::{CallId, LaneId};
use crate::guard::Guard;
use crate::head::{answered, stripped};
use crate::limits::REPLAY_ALL;
use crate::link::OUTPUT_ENOUGH;
use crate::switch::Switch;
use crate::way::Tail;

impl<C, G: Guard> Switch<C, G> {
    // --- what has just come ---

    /// Passes `len` bytes at the front of the client's input on to the call's lane, or holds them.
    pub(crate) fn pass_up(&mut self, id: CallId, len: usize, end: bool) {
        let Self { client, calls, lanes, kept, .. } = self;
        let Some(call) = calls.get_mut(&id).filter(|call| !call.up.sink_ended) else {
            return client.input.skip(len);
        };
        let on_lane = call.on_lane();
        let lane = on_lane.and_then(|(lane, _)| lanes.get_mut(lane)?.as_mut());
        let mut target = lane.zip(on_lane.map(|(_, stream)| stream));
        if let Some((lane, stream)) = &mut target
            && call.up.held.is_empty()
            && lane.link.room(call.up.allowed) >= len
        {
            if len == 0 && !end {
                return;
            }
            lane.link.begin_data(*stream, len, end);
            client.input.pieces(len, |piece| {
                call.up.messages.see(&piece);
                *kept += call.keep(&piece, REPLAY_ALL - *kept);
                lane.link.output.push(piece);
            });
            call.up.sent(len, end);
            self.moved.0 += if call.is_proxied { len as u64 } else { 0 };
        } else {
            client.input.pieces(len, |piece| {
                call.up.messages.see(&piece);
                *kept += call.keep(&piece, REPLAY_ALL - *kept);
                call.up.held.push(piece);
            });
            self.client_held += len;
            if end {
                call.up.tail = Tail::End;
            }
            if let Some((lane, _)) = &mut target {
                lane.up_held += len;
                if call.up.can_go_on() {
                    lane.link.enqueue(id, &mut call.up);
                }
            }
        }
        self.forget_if_useless(id);
        if let Some((lane, _)) = on_lane {
            self.touch(lane);
        }
    }

    /// Once more was passed on than is kept, nothing is.
    fn forget_if_useless(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(&id)
            && !call.is_at_hand()
        {
            self.kept -= call.forget_kept();
        }
    }

    /// Passes `len` bytes at the front of a lane's input on to the client, or holds them.
    pub(crate) fn pass_down(&mut self, lane: LaneId, id: CallId, len: usize, end: bool) {
        let Self { client, calls, lanes, .. } = self;
        let Some(lane) = lanes.get_mut(lane).and_then(Option::as_mut) else { return };
        let input = &mut lane.link.input;
        let Some(call) = calls.get_mut(&id).filter(|call| !call.down.sink_ended) else {
            return input.skip(len);
        };
        if call.down.held.is_empty() && client.room(call.down.allowed) >= len {
            if len > 0 || end {
                client.begin_data(id, len, end);
                input.pieces(len, |piece| {
                    call.down.messages.see(&piece);
                    client.output.push(piece);
                });
                call.down.sent(len, end);
                self.moved.1 += if call.is_proxied { len as u64 } else { 0 };
            }
            return;
        }
        input.pieces(len, |piece| {
            call.down.messages.see(&piece);
            call.down.held.push(piece);
        });
        lane.down_held += len;
        self.answers_held += len;
        if end {
            call.down.tail = Tail::End;
        }
        if call.down.can_go_on() {
            client.enqueue(id, &mut call.down);
        }
    }

    /// Passes what was decoded last on as the trailers of a request.
    pub(crate) fn pass_trailers_up(&mut self, id: CallId) {
        let Self { calls, lanes, fields, scratch, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        call.up.source_ended = true;
        call.keep_no_more();
        if call.up.sink_ended {
            return;
        }
        let on_lane = call.on_lane();
        let lane = on_lane.and_then(|(lane, _)| lanes.get_mut(lane)?.as_mut());
        if let Some((lane, (id, stream))) = lane.zip(on_lane)
            && call.up.held.is_empty()
        {
            lane.link.write_fields(stream, stripped(fields), true, scratch);
            call.up.sink_ended = true;
            self.kept -= call.forget_kept();
            self.touch(id);
        } else {
            call.up.tail = Tail::Trailers(Box::new(collected(stripped(fields))));
        }
    }

    /// Passes what was decoded last on as the trailers of an answer.
    pub(crate) fn pass_trailers_down(&mut self, id: CallId) {
        let Self { client, calls, fields, scratch, .. } = self;
        let Some(call) = calls.get_mut(&id).filter(|call| !call.down.sink_ended) else { return };
        let is_own = !call.is_proxied;
        if call.down.held.is_empty() {
            client.write_fields(id, answered(fields, is_own), true, scratch);
            call.down.sink_ended = true;
        } else {
            call.down.tail = Tail::Trailers(Box::new(collected(answered(fields, is_own))));
        }
    }

    /// Passes what was decoded last on as the head of an answer.
    pub(crate) fn write_head_to_client(&mut self, id: CallId, end_stream: bool) {
        let Self { client, calls, fields, scratch, .. } = self;
        let is_own = calls.get(&id).is_some_and(|call| !call.is_proxied);
        client.write_fields(id, answered(fields, is_own), end_stream, scratch);
    }

    // --- what was held ---

    /// Puts what waits for the client into its output, by turns.
    pub(crate) fn fill_client(&mut self) {
        while self.client.output.len() < OUTPUT_ENOUGH && self.client.send_window > 0 {
            let before = self.client.output.len();
            for _ in 0..self.client.queued() {
                if self.client.output.len() >= OUTPUT_ENOUGH {
                    return;
                }
                let Some(id) = self.client.dequeue() else { return };
                self.pass_held_down(id);
            }
            if self.client.output.len() == before {
                return;
            }
        }
    }

    fn pass_held_down(&mut self, id: CallId) {
        let Self { client, calls, lanes, scratch, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        call.down.is_queued = false;
        let len = client.write_next(id, &mut call.down, scratch);
        self.answers_held -= len;
        self.moved.1 += if call.is_proxied { len as u64 } else { 0 };
        if call.down.can_go_on() {
            client.enqueue(id, &mut call.down);
        }
        if let Some((lane_id, _)) = call.on_lane()
            && let Some(lane) = lanes.get_mut(lane_id).and_then(Option::as_mut)
        {
            lane.down_held -= len;
            self.grant_lane_connection(lane_id);
        } else {
            self.orphaned -= len;
        }
        self.grant_down(id);
        self.settle(id);
    }

    /// Puts what waits for a lane into its output, by turns.
    pub(crate) fn fill_lane(&mut self, lane_id: LaneId) {
        loop {
            let Some(link) = self.lane_mut(lane_id).map(|lane| &mut lane.link) else { return };
            if link.output.len() >= OUTPUT_ENOUGH || link.send_window <= 0 {
                return;
            }
            let (before, queued) = (link.output.len(), link.queued());
            for _ in 0..queued {
                let Some(link) = self.lane_mut(lane_id).map(|lane| &mut lane.link) else { return };
                if link.output.len() >= OUTPUT_ENOUGH {
                    return;
                }
                let Some(id) = link.dequeue() else { return };
                self.pass_held_up(lane_id, id);
            }
            if self.lane(lane_id).is_none_or(|lane| lane.link.output.len() == before) {
                return;
            }
        }
    }

    fn pass_held_up(&mut self, lane_id: LaneId, id: CallId) {
        let Self { calls, lanes, scratch, .. } = self;
        let Some(lane) = lanes.get_mut(lane_id).and_then(Option::as_mut) else { return };
        let Some(call) = calls.get_mut(&id) else { return };
        let Some((_, stream)) = call.on_lane().filter(|(on, _)| *on == lane_id) else { return };
        call.up.is_queued = false;
        let len = lane.link.write_next(stream, &mut call.up, scratch);
        self.moved.0 += if call.is_proxied { len as u64 } else { 0 };
        if call.up.can_go_on() {
            lane.link.enqueue(id, &mut call.up);
        }
        lane.up_held -= len;
        self.client_held -= len;
        self.forget_if_useless(id);
        self.feed_starved(lane_id);
        self.grant_up(id);
        self.grant_client_connection();
        self.settle(id);
    }

    // --- windows ---

    /// Grants the client what the upstream takes of a request, when it is due.
    pub(crate) fn grant_up(&mut self, id: CallId) {
        let Self { client, calls, lanes, .. } = self;
        let Some(call) = calls.get_mut(&id).filter(|call| call.up.due(0).is_some()) else { return };
        let lane = call.on_lane().and_then(|(lane, _)| lanes.get_mut(lane)?.as_mut());
        // What nobody listens to any more does not wait in the lane.
        if let Some(lane) = lane
            && !call.up.sink_ended
            && lane.is_clogged()
        {
            if !std::mem::replace(&mut call.up.is_starved, true) {
                lane.starved.push(id);
            }
            return;
        }
        if let Some(due) = call.up.grant(0) {
            client.write_window_update(id, due);
        }
    }

    /// Grants what was due while the lane held too much, once it holds less.
    pub(crate) fn feed_starved(&mut self, lane_id: LaneId) {
        let Some(lane) = self.lane_mut(lane_id).filter(|lane| !lane.is_clogged()) else { return };
        for id in std::mem::take(&mut lane.starved) {
            if let Some(call) = self.calls.get_mut(&id) {
                call.up.is_starved = false;
            }
            self.grant_up(id);
        }
    }

    /// Grants the upstream what the client takes of an answer, when it is due.
    pub(crate) fn grant_down(&mut self, id: CallId) {
        let Self { calls, lanes, settings, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        let Some((lane_id, stream)) = call.on_lane() else { return };
        let Some(lane) = lanes.get_mut(lane_id).and_then(Option::as_mut) else { return };
        // The client already takes it, but the upstream will learn of it by SETTINGS: it must not hear of it twice.
        let untold = (settings.stream_window - lane.told.stream_window).max(0);
        if call.down.due(untold).is_none() {
            return;
        }
        let more = call.down.follow(self.now, lane.rtt, lane.link.window);
        if more != 0 {
            call.down.ahead += lane.shift_ahead(more);
        }
        if let Some(due) = call.down.grant(untold) {
            lane.link.write_window_update(stream, due);
            self.touch(lane_id);
        }
    }

    /// A call is taken to be as large as the one before it on its lane: a far upstream is told at once how far ahead of the
    /// client it may be, and not after a round trip. One call of a lane: what is promised to calls that send nothing is
    /// missing elsewhere.
    pub(crate) fn expect_as_much(&mut self, id: CallId) {
        let Self { calls, lanes, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        let Some((lane_id, stream)) = call.on_lane() else { return };
        let Some(lane) = lanes.get_mut(lane_id).and_then(Option::as_mut) else { return };
        let more = call.down.could_be_ahead(lane.rtt, lane.link.window.min(lane.expected));
        if more <= 0 || lane.ahead > 0 {
            return;
        }
        let more = lane.shift_ahead(more);
        if let Ok(told @ 1..) = u32::try_from(more) {
            call.down.goes_ahead(more);
            lane.link.write_window_update(stream, told);
            self.touch(lane_id);
        }
    }

    /// A client's connection window is given back on receipt, until much is held: so a lane that takes nothing does not
    /// stop the others of the connection, which behind a proxy are other people's.
    pub(crate) fn grant_client_connection(&mut self) {
        let held = self.client_held.saturating_sub(self.client_may_hold);
        self.client.grant_connection(held as i64);
    }

    /// A lane's connection window is given back as DATA leaves for the client: it is what bounds the DATA that waits,
    /// for the lane itself is always read (RFC 9113 5.2.2).
    pub(crate) fn grant_lane_connection(&mut self, id: LaneId) {
        let now = self.now;
        if let Some(lane) = self.lane_mut(id) {
            let before = lane.link.output.len();
            lane.grant_connection(now);
            if lane.link.output.len() > before {
                self.touch(id);
            }
        }
    }

    /// Tells every lane what the client says of itself now: an upstream that does not know of a larger window would
    /// never use it.
    pub(crate) fn tell_lanes(&mut self) {
        (0..self.lanes.len()).for_each(|id| self.tell_lane(id));
    }

    pub(crate) fn tell_lane(&mut self, id: LaneId) {
        let settings = self.settings;
        let Some(lane) = self.lane_mut(id) else { return };
        let delta = lane.tell(settings);
        let calls: Vec<CallId> = lane.streams.values().copied().collect();
        self.touch(id);
        for call_id in calls {
            if let Some(call) = self.calls.get_mut(&call_id) {
                call.down.shift_granted(delta);
            }
            self.grant_down(call_id);
        }
    }
}

fn collected<'f>(fields: impl Iterator<Item = Field<'f>>) -> Fields {
    let mut collected = Fields::new();
    fields.for_each(|field| collected.push(field.name, field.value, field.indexing));
    collected
}
