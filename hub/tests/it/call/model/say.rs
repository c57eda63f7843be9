//! Takes a case's steps: says what HTTP/2 allows at that moment, and notes it in the model.

use super::call::{Call, Ended, Fate};
use super::run::Run;
use super::step::{Act, CALLS, Form, Side, Step, Wire};
use super::wire;
use crate::support::frames::RST_STREAM;
use crate::support::hpack::encode;

const INFORMATIONAL: usize = 16;
pub(super) const PLAIN_WIRE: Wire = Wire { padding: None, priority: false, split: false };

impl Run<'_> {
    pub(super) fn take(&mut self, step: &Step) {
        let peer = self.peer(step.side);
        match step.act {
            Act::GrantConnection { bytes } => return peer.grant(0, bytes),
            Act::Resize { window } => return peer.resize(window),
            Act::GoAway { code } if step.side == Side::Client => {
                // Of streams that a hub begins there are none.
                peer.go_away(0, code);
                self.client_leaves = true;
                return;
            }
            _ => {}
        }
        let Some(at) = self.begun(step) else {
            return;
        };
        match step.act {
            Act::GoAway { code } => self.leave(at, code),
            Act::Grant { bytes } => {
                if let Some((stream, heard)) = self.heard(step.side, at)
                    && !heard.ended
                    && heard.reset.is_none()
                {
                    self.peer(step.side).grant(stream, bytes);
                }
            }
            Act::Informational if step.side == Side::Upstream => self.inform(at),
            Act::Informational => {}
            Act::Head { end, wire, .. } => self.say_head(step.side, at, end, wire),
            Act::Data { bytes, padding, end } => {
                self.say_head(step.side, at, false, PLAIN_WIRE);
                self.say_data(step.side, at, bytes, padding, end);
            }
            Act::Trailers { wire } => {
                self.say_head(step.side, at, false, PLAIN_WIRE);
                self.say_trailers(step.side, at, wire);
            }
            Act::Reset { code } => self.say_reset(step.side, at, code),
            Act::GrantConnection { .. } | Act::Resize { .. } => {}
        }
    }

    /// Where the step's call is; it begins now, if its client speaks for the first time.
    pub(super) fn begun(&mut self, step: &Step) -> Option<usize> {
        debug_assert!(step.call < CALLS);
        let found = self.calls.iter().position(|call| call.index == step.call);
        if found.is_some() || step.side == Side::Upstream || self.client_leaves {
            return found;
        }
        let form = match step.act {
            Act::Head { form, .. } => form,
            Act::Data { .. } => Form::Grpc,
            _ => return None,
        };
        Some(self.begin(step.call, form))
    }

    pub(super) fn begin(&mut self, index: usize, form: Form) -> usize {
        let mut call = Call::new(index, form, self.next_stream);
        if self.upstream_leaves {
            call.fate = Fate::Refused;
        }
        self.next_stream += 2;
        self.calls.push(call);
        self.calls.len() - 1
    }

    pub(super) fn inform(&mut self, at: usize) {
        let Some(stream) = self.may_speak(Side::Upstream, at) else {
            return;
        };
        let said = &mut self.calls[at].upstream;
        if said.head.is_none() && said.informational < INFORMATIONAL {
            said.informational += 1;
            self.pair.upstream.head(stream, &[(":status", "103"), ("link", "a")], 0);
        }
    }

    pub(super) fn say_head(&mut self, side: Side, at: usize, end: bool, wire: Wire) {
        let Some(stream) = self.may_speak(side, at) else {
            return;
        };
        let call = &mut self.calls[at];
        if call.said(side).head.is_some() {
            return;
        }
        let headers = match side {
            Side::Client => call.request_head(self.name),
            Side::Upstream => call.response_head(),
        };
        let said = call.saying(side);
        said.head = Some(end);
        said.end = end.then_some(Ended::Bare);
        let frames = wire::headers(stream, &encode(&headers), end, wire);
        self.peer(side).queue(stream, &frames);
    }

    pub(super) fn say_data(
        &mut self,
        side: Side,
        at: usize,
        bytes: usize,
        padding: Option<u8>,
        end: bool,
    ) {
        let Some(stream) = self.may_speak(side, at) else {
            return;
        };
        let counted = bytes + padding.map_or(0, |padding| 1 + usize::from(padding));
        if !self.peer(side).allows(stream, counted) {
            return;
        }
        let call = &mut self.calls[at];
        let content = call.content(side, call.said(side).bytes, bytes);
        let said = call.saying(side);
        said.bytes += bytes;
        said.end = end.then_some(Ended::Bare);
        let frames = wire::data(stream, &content, end, padding);
        self.peer(side).queue(stream, &frames);
        self.peer(side).spend(stream, counted);
    }

    pub(super) fn say_trailers(&mut self, side: Side, at: usize, wire: Wire) {
        let Some(stream) = self.may_speak(side, at) else {
            return;
        };
        let call = &mut self.calls[at];
        let frames = wire::headers(stream, &encode(&call.trailers(side)), true, wire);
        call.saying(side).end = Some(Ended::Trailers);
        self.peer(side).queue(stream, &frames);
    }

    pub(super) fn say_reset(&mut self, side: Side, at: usize, code: u32) {
        let Some((stream, heard)) = self.heard(side, at) else {
            return;
        };
        let call = &self.calls[at];
        let said = call.said(side);
        let begun = side == Side::Upstream || said.head.is_some();
        if !begun || said.reset.is_some() || heard.reset.is_some() || call.fate == Fate::Unprocessed
        {
            return;
        }
        if side == Side::Client {
            self.calls[at].given_up(self.pair.client.heard(stream));
        } else if said.end.is_none() {
            self.release.push(at);
        }
        self.calls[at].saying(side).reset = Some(code);
        self.peer(side).send(RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    /// The upstream's GOAWAY. What it has begun to answer it has looked at.
    pub(super) fn leave(&mut self, at: usize, code: u32) {
        if self.upstream_leaves {
            return;
        }
        self.upstream_leaves = true;
        let touched = |call: &&Call| {
            call.upstream.head.is_some()
                || call.upstream.informational > 0
                || call.upstream.reset.is_some()
        };
        let streams = self.calls.iter().filter(touched).filter_map(|call| call.upstream_stream);
        let last = streams.chain(self.calls[at].upstream_stream).max().unwrap_or(0);
        for call in &mut self.calls {
            if call.upstream_stream.is_some_and(|stream| stream > last)
                && call.fate == Fate::Spliced
            {
                call.fate = Fate::Unprocessed;
            }
        }
        self.pair.upstream.go_away(last, code);
    }

    /// The stream, if HTTP/2 allows this side to say more on it.
    pub(super) fn may_speak(&self, side: Side, at: usize) -> Option<u32> {
        let (stream, heard) = match (side, self.heard(side, at)) {
            (_, Some((stream, heard))) => (stream, Some(heard)),
            (Side::Client, None) => (self.calls[at].client_stream, None),
            (Side::Upstream, None) => return None,
        };
        let call = &self.calls[at];
        let said = call.said(side);
        let silent = said.end.is_some()
            || said.reset.is_some()
            || heard.is_some_and(|heard| heard.reset.is_some())
            || (side == Side::Upstream && call.fate == Fate::Unprocessed);
        (!silent).then_some(stream)
    }
}
