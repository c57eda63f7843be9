//! What each frame of an upstream does.

use http2::block::WholeBlock;
use http2::error::{ConnectionError, Reason};
use http2::frame::{self, Fault, Goaway, Head, flag, kind};
use http2::message;
use http2::settings::Settings;

use crate::client_frames::{stream_fault, unpadded};
use crate::endings::from_upstream;
use crate::event::{CallId, Event, How, LaneId};
use crate::guard::Guard;
use crate::limits::{ANSWER_HEAD_MAX, INFORMATIONAL_MAX};
use crate::switch::Switch;
use crate::window::{WINDOW_FIRST, WINDOW_MAX};

impl<C, G: Guard> Switch<C, G> {
    /// Does what a frame of a lane's upstream asks for. What is wrong with one stream ends that stream.
    pub(crate) fn lane_frame(&mut self, id: LaneId, head: Head) -> Result<(), ConnectionError> {
        let Some(lane) = self.lane_mut(id) else { return Ok(()) };
        if !lane.has_spoken && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(ConnectionError::protocol("the first frame is not SETTINGS"));
        }
        let done = match head.check() {
            Ok(()) => self.try_lane_frame(id, head),
            Err(fault) => {
                lane.link.input.skip(head.len);
                Err(fault)
            }
        };
        match done {
            Ok(()) => Ok(()),
            Err(Fault::Connection(error)) => Err(error),
            Err(Fault::Stream { stream, reason, .. }) => {
                // A stream that was never opened cannot be reset.
                self.lane(id).map_or(Ok(()), |lane| lane.check_known(stream))?;
                self.upstream_breach(id, stream, reason);
                Ok(())
            }
        }
    }

    fn try_lane_frame(&mut self, id: LaneId, head: Head) -> Result<(), Fault> {
        if head.kind == kind::DATA {
            return self.lane_data(id, head);
        }
        let Some(lane) = self.lane_mut(id) else { return Ok(()) };
        let payload = lane.link.payload(head);
        match head.kind {
            kind::HEADERS => {
                let inner = frame::unpad(head, &payload)?;
                let fragment = payload.slice(inner.from.min(inner.to)..inner.to);
                match lane.link.block.begin(head, fragment)? {
                    Some(block) => self.lane_block(id, &block),
                    None => Ok(()),
                }
            }
            kind::CONTINUATION => match lane.link.block.go_on(head, payload)? {
                Some(block) => self.lane_block(id, &block),
                None => Ok(()),
            },
            kind::RST_STREAM => {
                lane.check_known(head.stream)?;
                let reason = frame::reason(&payload).unwrap_or(Reason::CANCEL);
                self.lane_reset(id, head.stream, reason);
                Ok(())
            }
            kind::WINDOW_UPDATE => {
                let increment = frame::increment(&payload).unwrap_or_default();
                self.lane_widens(id, head.stream, increment)
            }
            kind::SETTINGS => self.lane_settings(id, head, &payload),
            kind::PING => {
                if let (false, Ok(ping)) = (head.has(flag::ACK), <[u8; 8]>::try_from(&payload[..]))
                {
                    frame::write_ping_ack(&mut lane.link.output, ping);
                    self.touch(id);
                }
                Ok(())
            }
            kind::GOAWAY => {
                if let Some(goaway) = Goaway::parse(payload) {
                    self.lane_goaway(id, goaway);
                }
                Ok(())
            }
            kind::PUSH_PROMISE => {
                Err(ConnectionError::protocol("PUSH_PROMISE, which was off").into())
            }
            _ => Ok(()),
        }
    }

    fn lane_data(&mut self, id: LaneId, head: Head) -> Result<(), Fault> {
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return Ok(()) };
        let inner = unpadded(&mut lane.link, head)?;
        lane.link.came(head.len)?;
        lane.check_known(head.stream)?;
        let (len, after) = (inner.to - inner.from, head.len - inner.to);
        let end = head.has(flag::END_STREAM);
        let call = lane.streams.get(&head.stream).copied();
        let fault = call.and_then(|call| self.calls.get_mut(&call)).map(|call| {
            if call.is_answered {
                call.down.receives(head.len, len, end)
            } else {
                Err(Reason::PROTOCOL_ERROR)
            }
        });
        if let (Some(call), Some(Ok(()))) = (call, fault) {
            self.pass_down(id, call, len, end);
            self.skip_of_lane(id, after);
            self.grant_down(call);
            self.grant_lane_connection(id);
            self.settle(call);
            return Ok(());
        }
        self.skip_of_lane(id, len + after);
        self.grant_lane_connection(id);
        match fault {
            Some(Err(reason)) => Err(stream_fault(head.stream, reason)),
            // Of a stream that was reset here.
            _ => Ok(()),
        }
    }

    fn skip_of_lane(&mut self, id: LaneId, bytes: usize) {
        if let Some(lane) = self.lane_mut(id) {
            lane.link.input.skip(bytes);
        }
    }

    fn lane_block(&mut self, id: LaneId, block: &WholeBlock) -> Result<(), Fault> {
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return Ok(()) };
        lane.check_known(block.stream)?;
        let size = lane.link.decode(block, &mut self.fields, ANSWER_HEAD_MAX)?;
        let Some(call) = lane.streams.get(&block.stream).copied() else { return Ok(()) };
        if size > ANSWER_HEAD_MAX {
            return Err(stream_fault(block.stream, Reason::ENHANCE_YOUR_CALM));
        }
        let is_answered = self.calls.get(&call).is_some_and(|call| call.is_answered);
        let passed = if is_answered {
            self.lane_trailers(call, block.end_stream)
        } else {
            self.lane_head(call, block.end_stream)
        };
        passed.map_err(|reason| stream_fault(block.stream, reason))?;
        if self.is_answered(call)
            && let Some(lane) = self.lane_mut(id)
        {
            lane.has_answered = true;
        }
        self.settle(call);
        Ok(())
    }

    /// Passes the head of an answer on, and 1xx before it. A trailers-only answer stays one: gRPC clients take a head
    /// without END_STREAM for a beginning.
    fn lane_head(&mut self, id: CallId, end_stream: bool) -> Result<(), Reason> {
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        let head = message::response(&self.fields).map_err(|_| Reason::PROTOCOL_ERROR)?;
        if head.status < 200 {
            call.informational += 1;
            call.informational_bytes += self.fields.size();
            // No window holds them back where the client does not read.
            let too_much = call.informational > INFORMATIONAL_MAX
                || call.informational_bytes > ANSWER_HEAD_MAX;
            if end_stream {
                return Err(Reason::PROTOCOL_ERROR);
            } else if too_much {
                return Err(Reason::ENHANCE_YOUR_CALM);
            }
        } else {
            call.is_answered = true;
            call.forget_request();
            call.note_status(head.status);
            self.kept -= call.forget_kept();
            let has_body = !call.is_head && !matches!(head.status, 204 | 304);
            call.down.expected = head.content_length.filter(|_| has_body);
            if end_stream && !call.down.is_complete() {
                return Err(Reason::PROTOCOL_ERROR);
            } else if end_stream {
                call.note_grpc_status(&self.fields);
                (call.down.source_ended, call.down.sink_ended) = (true, true);
            }
        }
        let is_answered = call.is_answered;
        self.write_head_to_client(id, end_stream);
        if is_answered {
            self.events.push_back(Event::Answered(id));
        }
        Ok(())
    }

    fn lane_trailers(&mut self, id: CallId, end_stream: bool) -> Result<(), Reason> {
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        if call.down.source_ended {
            return Err(Reason::STREAM_CLOSED);
        }
        if !end_stream || !call.down.is_complete() || message::trailers(&self.fields).is_err() {
            return Err(Reason::PROTOCOL_ERROR);
        }
        call.note_grpc_status(&self.fields);
        call.down.source_ended = true;
        self.pass_trailers_down(id);
        Ok(())
    }

    fn lane_reset(&mut self, lane: LaneId, stream: u32, reason: Reason) {
        let Some(id) = self.lane(lane).and_then(|lane| lane.streams.get(&stream).copied()) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if reason == Reason::REFUSED_STREAM && !call.is_answered {
            return self.give_back(id);
        }
        if call.down.source_ended {
            // It has answered in full, and wants no more of the request.
            let is_good = reason == Reason::NO_ERROR;
            self.stop_upload(id, if is_good { reason } else { from_upstream(reason) });
        } else {
            call.how = How::UpstreamReset(from_upstream(reason));
            self.reset_down(id, from_upstream(reason));
        }
        self.stop_up(id);
        self.settle(id);
    }

    fn lane_widens(&mut self, id: LaneId, stream: u32, increment: u32) -> Result<(), Fault> {
        self.touch(id);
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return Ok(()) };
        if stream == 0 {
            lane.link.widens(increment)?;
            return Ok(());
        }
        lane.check_known(stream)?;
        let call_id = lane.streams.get(&stream).copied();
        let Some(call) = call_id.and_then(|call| self.calls.get_mut(&call)) else { return Ok(()) };
        call.up.allowed += i64::from(increment);
        if increment == 0 || call.up.allowed > WINDOW_MAX {
            let reason =
                if increment == 0 { Reason::PROTOCOL_ERROR } else { Reason::FLOW_CONTROL_ERROR };
            return Err(stream_fault(stream, reason));
        }
        let call_id = call_id.unwrap_or_default();
        if call.up.has_more() {
            lane.link.enqueue(call_id, &mut call.up);
        }
        self.grant_up(call_id);
        Ok(())
    }

    fn lane_settings(&mut self, id: LaneId, head: Head, payload: &[u8]) -> Result<(), Fault> {
        self.touch(id);
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return Ok(()) };
        if head.has(flag::ACK) {
            lane.is_unacknowledged = false;
            self.tell_lane(id);
            return Ok(());
        }
        let mut settings = Settings::parse(payload)?;
        if !std::mem::replace(&mut lane.has_spoken, true) {
            // What they do not name is as the RFC has it (6.5.2): no bound of streams, the first window.
            lane.max_streams = u32::MAX;
            settings.initial_window_size.get_or_insert(WINDOW_FIRST as u32);
            self.events.push_back(Event::LaneReady(id));
        }
        if let Some(max) = settings.max_concurrent_streams {
            lane.max_streams = max;
            self.events.push_back(Event::LaneRoom(id));
        }
        let delta = lane.link.heed(&settings);
        if delta == 0 {
            return Ok(());
        }
        let calls: Vec<CallId> = lane.streams.values().copied().collect();
        for call_id in calls {
            let Some(call) = self.calls.get_mut(&call_id) else { continue };
            call.up.allowed += delta;
            if call.up.allowed > WINDOW_MAX {
                let why = "SETTINGS make a stream's window too large";
                return Err(ConnectionError::new(Reason::FLOW_CONTROL_ERROR, why).into());
            }
            if let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut)
                && call.up.has_more()
            {
                lane.link.enqueue(call_id, &mut call.up);
            }
            self.grant_up(call_id);
        }
        Ok(())
    }

    fn lane_goaway(&mut self, id: LaneId, goaway: Goaway) {
        let Some(lane) = self.lane_mut(id) else { return };
        lane.is_closing = true;
        let above = lane.streams.iter().filter(|(stream, _)| **stream > goaway.last_stream);
        // Some say that they have seen none though they are about to answer (Helidon 4): what has an answer is served.
        let mut unseen: Vec<CallId> = above.map(|(_, call)| *call).collect();
        unseen.sort_unstable();
        self.events.push_back(Event::Goaway {
            lane: id,
            reason: goaway.reason,
            debug: goaway.debug,
        });
        for call in unseen {
            if self.calls.get(&call).is_none_or(|call| call.is_answered) {
                continue;
            } else if goaway.reason == Reason::NO_ERROR {
                self.give_back(call);
            } else {
                self.refuse(call);
            }
        }
    }
}
