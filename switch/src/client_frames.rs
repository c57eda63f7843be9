//! What each frame of a client does.

use http2::block::WholeBlock;
use http2::error::{ConnectionError, Reason};
use http2::frame::{self, Fault, Head, flag, kind};
use http2::message;
use http2::settings::Settings;

use crate::call::Call;
use crate::event::{CallId, Event, Unfit};
use crate::guard::Guard;
use crate::lane::ClientSettings;
use crate::limits::{HEAD_MAX, STREAM_WINDOW_MAX, TRAILERS_MAX};
use crate::switch::{DRAIN_PING, Switch};
use crate::way::Tail;
use crate::window::WINDOW_MAX;

impl<C, G: Guard> Switch<C, G> {
    /// Does what a frame of the client asks for. What is wrong with one stream ends that stream.
    pub(crate) fn client_frame(&mut self, head: Head) -> Result<(), ConnectionError> {
        if !self.has_settings && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(ConnectionError::protocol("the first frame is not SETTINGS"));
        }
        let done = match head.check() {
            Ok(()) => self.try_client_frame(head),
            Err(fault) => {
                self.client.input.skip(head.len);
                Err(fault)
            }
        };
        match done {
            Ok(()) => Ok(()),
            Err(Fault::Connection(error)) => Err(error),
            // A stream that was never opened cannot be reset (RFC 9113 6.4).
            Err(Fault::Stream { stream, .. }) if self.is_idle(stream) => {
                Err(ConnectionError::protocol("a broken frame of an idle stream"))
            }
            Err(Fault::Stream { stream, reason, .. }) => self.client_breach(stream, reason),
        }
    }

    fn try_client_frame(&mut self, head: Head) -> Result<(), Fault> {
        match head.kind {
            kind::DATA => self.client_data(head),
            kind::HEADERS => self.client_headers(head),
            kind::CONTINUATION => {
                let fragment = self.client.payload(head);
                match self.client.block.go_on(head, fragment)? {
                    Some(block) => self.client_block(&block),
                    None => Ok(()),
                }
            }
            kind::RST_STREAM => {
                let payload = self.client.payload(head);
                let reason = frame::reason(&payload).unwrap_or(Reason::CANCEL);
                self.client_reset(head.stream, reason)
            }
            kind::WINDOW_UPDATE => {
                let payload = self.client.payload(head);
                let increment = frame::increment(&payload).unwrap_or_default();
                self.client_widens(head.stream, increment)
            }
            kind::SETTINGS => self.client_settings(head),
            kind::PING => {
                self.client_ping(head);
                Ok(())
            }
            kind::PRIORITY => {
                let payload = self.client.payload(head);
                self.client_priority(head.stream, &payload)
            }
            kind::PUSH_PROMISE => Err(ConnectionError::protocol("PUSH_PROMISE of a client").into()),
            kind::GOAWAY => {
                self.client_leaves = true;
                self.client.input.skip(head.len);
                Ok(())
            }
            // What nobody knows is nobody's (RFC 9113 5.5).
            _ => {
                self.client.input.skip(head.len);
                Ok(())
            }
        }
    }

    fn client_data(&mut self, head: Head) -> Result<(), Fault> {
        let inner = unpadded(&mut self.client, head)?;
        self.client.came(head.len)?;
        let (len, after) = (inner.to - inner.from, head.len - inner.to);
        let Some(call) = self.calls.get_mut(&head.stream) else {
            self.client.input.skip(len + after);
            self.grant_client_connection();
            return self.check_closed(head.stream);
        };
        let end = head.has(flag::END_STREAM);
        let received = match call.up.receives(head.len, len, end) {
            Ok(()) if call.up.is_overdrawn() => Err(Reason::FLOW_CONTROL_ERROR),
            received => received,
        };
        if let Err(reason) = received {
            self.client.input.skip(len + after);
            self.grant_client_connection();
            return Err(stream_fault(head.stream, reason));
        }
        self.pass_up(head.stream, len, end);
        self.client.input.skip(after);
        self.grant_up(head.stream);
        self.grant_client_connection();
        self.settle(head.stream);
        Ok(())
    }

    fn client_headers(&mut self, head: Head) -> Result<(), Fault> {
        let payload = self.client.payload(head);
        let inner = frame::unpad(head, &payload)?;
        let fragment = payload.slice(inner.from.min(inner.to)..inner.to);
        self.self_dependent = inner.depends_on == Some(head.stream);
        match self.client.block.begin(head, fragment)? {
            Some(block) => self.client_block(&block),
            None => Ok(()),
        }
    }

    fn client_block(&mut self, block: &WholeBlock) -> Result<(), Fault> {
        let size = self.client.decode(block, &mut self.fields, HEAD_MAX)?;
        let stream = block.stream;
        if std::mem::take(&mut self.self_dependent) {
            self.last_call = self.last_call.max(stream);
            return Err(stream_fault(stream, Reason::PROTOCOL_ERROR));
        }
        if self.calls.contains_key(&stream) {
            self.client_trailers(block, size)
        } else if stream.is_multiple_of(2) {
            Err(ConnectionError::protocol("a stream with an even number").into())
        } else if stream <= self.last_call {
            self.check_late_headers(stream)
        } else {
            self.begin_call(block, size)
        }
    }

    fn begin_call(&mut self, block: &WholeBlock, size: usize) -> Result<(), Fault> {
        let stream = block.stream;
        self.last_call = stream;
        if stream > self.last_served {
            return Ok(());
        }
        if self.has_too_many_calls() {
            return Err(stream_fault(stream, Reason::REFUSED_STREAM));
        }
        let mut call = self.spare.pop().unwrap_or_default();
        call.begin(self.client.stream_window);
        std::mem::swap(&mut call.request, &mut self.fields);
        call.unfit = judge(&mut call, size);
        if block.end_stream {
            if !call.up.is_complete() {
                return Err(stream_fault(stream, Reason::PROTOCOL_ERROR));
            }
            (call.up.source_ended, call.up.tail) = (true, Tail::End);
        }
        self.calls.insert(stream, call);
        self.count_lists(stream);
        self.events.push_back(Event::Call(stream));
        Ok(())
    }

    /// Calls that are over for the client do not count, though an upstream may still read of them; so there may be twice
    /// as many in all.
    fn has_too_many_calls(&self) -> bool {
        let max = self.limits.max_calls as usize;
        if self.calls.len() < max {
            return false;
        }
        let over = |call: &Call<C>| call.up.source_ended && call.down.sink_ended;
        let open = self.calls.values().filter(|call| !over(call)).count();
        open >= max || self.calls.len() >= 2 * max
    }

    fn client_trailers(&mut self, block: &WholeBlock, size: usize) -> Result<(), Fault> {
        let stream = block.stream;
        let Some(call) = self.calls.get_mut(&stream) else { return Ok(()) };
        let reason = if call.up.source_ended {
            Some(Reason::STREAM_CLOSED)
        } else if size > TRAILERS_MAX {
            Some(Reason::ENHANCE_YOUR_CALM)
        } else if !block.end_stream
            || !call.up.is_complete()
            || message::trailers(&self.fields).is_err()
        {
            Some(Reason::PROTOCOL_ERROR)
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(stream_fault(stream, reason));
        }
        self.pass_trailers_up(stream);
        self.settle(stream);
        Ok(())
    }

    fn client_reset(&mut self, stream: CallId, reason: Reason) -> Result<(), Fault> {
        // HAProxy 2.6 sends it on a stream that it has not opened, for a WebSocket that it could not pass on, and has others'
        // calls on the connection. RFC 9113 5.1 would end them; the guard counts it as any other.
        if stream > self.last_call {
            return Ok(());
        }
        self.end_by_client(stream, reason);
        Ok(())
    }

    fn client_widens(&mut self, stream: CallId, increment: u32) -> Result<(), Fault> {
        if stream == 0 {
            self.client.widens(increment)?;
            return Ok(());
        }
        let Some(call) = self.calls.get_mut(&stream) else {
            if stream > self.last_call {
                return Err(ConnectionError::protocol("WINDOW_UPDATE of an idle stream").into());
            }
            return check_increment(stream, increment);
        };
        check_increment(stream, increment)?;
        call.down.allowed += i64::from(increment);
        if call.down.allowed > WINDOW_MAX {
            return Err(stream_fault(stream, Reason::FLOW_CONTROL_ERROR));
        }
        if call.down.has_more() {
            self.client.enqueue(stream, &mut call.down);
        }
        self.grant_down(stream);
        Ok(())
    }

    fn client_settings(&mut self, head: Head) -> Result<(), Fault> {
        let payload = self.client.payload(head);
        if head.has(flag::ACK) {
            return Ok(());
        }
        let settings = Settings::parse(&payload)?;
        self.has_settings = true;
        let delta = self.client.heed(&settings);
        if let Some(list) = settings.max_header_list_size {
            self.settings.header_list = list;
        }
        self.settings = ClientSettings {
            stream_window: self.client.stream_window.min(STREAM_WINDOW_MAX),
            ..self.settings
        };
        for (id, call) in &mut self.calls {
            call.down.allowed += delta;
            if call.down.allowed > WINDOW_MAX {
                let why = "SETTINGS make a stream's window too large";
                return Err(ConnectionError::new(Reason::FLOW_CONTROL_ERROR, why).into());
            }
            if delta > 0 && call.down.has_more() {
                self.client.enqueue(*id, &mut call.down);
            }
        }
        self.tell_lanes();
        Ok(())
    }

    fn client_ping(&mut self, head: Head) {
        let payload = self.client.payload(head);
        let Ok(payload) = <[u8; 8]>::try_from(&payload[..]) else { return };
        if !head.has(flag::ACK) {
            self.pings.push(payload);
        } else if payload == DRAIN_PING {
            self.events.push_back(Event::DrainHeard);
        }
    }

    fn client_priority(&mut self, stream: CallId, payload: &[u8]) -> Result<(), Fault> {
        let depends_on =
            payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) & (u32::MAX >> 1));
        if depends_on != Some(stream) {
            return Ok(());
        }
        if self.calls.contains_key(&stream) {
            return Err(stream_fault(stream, Reason::PROTOCOL_ERROR));
        }
        Err(ConnectionError::protocol("a stream that depends on itself").into())
    }

    /// Whether nobody has opened the stream; the switch opens none itself.
    fn is_idle(&self, stream: CallId) -> bool {
        stream > self.last_call || stream.is_multiple_of(2)
    }

    /// Judges DATA for a stream that is not open.
    fn check_closed(&self, stream: CallId) -> Result<(), Fault> {
        if self.is_idle(stream) {
            Err(ConnectionError::protocol("DATA of an idle stream").into())
        } else if self.was_reset_here(stream) || stream > self.last_served {
            Ok(())
        } else {
            Err(stream_fault(stream, Reason::STREAM_CLOSED))
        }
    }

    /// Judges HEADERS for a stream that is not open any more.
    fn check_late_headers(&self, stream: CallId) -> Result<(), Fault> {
        if self.was_reset_here(stream) || stream > self.last_served {
            return Ok(());
        }
        let why = "HEADERS of a stream that has ended";
        Err(ConnectionError::new(Reason::STREAM_CLOSED, why).into())
    }

    /// Late frames for a stream that was reset here are no breach: the client may not have known.
    fn was_reset_here(&self, stream: CallId) -> bool {
        self.resets.contains(&stream)
    }
}

/// Why a request cannot be passed on, if it cannot; and what its head says that matters on the way.
fn judge<C>(call: &mut Call<C>, size: usize) -> Option<Unfit> {
    if size > HEAD_MAX {
        return Some(Unfit::TooLarge(size));
    }
    let (length, is_head) = match message::request(&call.request) {
        Ok(head) => (head.content_length, head.method == b"HEAD"),
        Err(malformed) => return Some(Unfit::Malformed(malformed)),
    };
    (call.up.expected, call.is_head) = (length, is_head);
    None
}

/// Of nothing is wrong on any stream (RFC 9113 6.9).
fn check_increment(stream: u32, increment: u32) -> Result<(), Fault> {
    if increment > 0 { Ok(()) } else { Err(stream_fault(stream, Reason::PROTOCOL_ERROR)) }
}

pub(crate) fn stream_fault(stream: u32, reason: Reason) -> Fault {
    Fault::Stream { stream, reason, why: "" }
}

/// The first bytes of a payload, which say how it is padded.
pub(crate) fn first_of(input: &http2::input::Input, head: Head) -> Vec<u8> {
    let mut first = vec![0; head.len.min(6)];
    input.copy_to(&mut first);
    first
}

/// Takes what is in front of a DATA frame's content off.
pub(crate) fn unpadded<G: Guard>(
    link: &mut crate::link::Link<G>,
    head: Head,
) -> Result<frame::Inner, ConnectionError> {
    if !head.has(flag::PADDED) {
        return Ok(frame::Inner { from: 0, to: head.len, depends_on: None });
    }
    let inner = frame::unpad(head, &first_of(&link.input, head))?;
    link.input.skip(inner.from);
    Ok(inner)
}
