//! Takes a case's steps: says what HTTP/2 allows at that moment, and notes it in the model.

use super::call::{Call, Ended, Fate, REFUSED_STREAM};
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
            Act::GrantConnection { bytes } => {
                peer.grant(0, bytes);
                self.upstream_grew |= step.side == Side::Upstream;
                return;
            }
            Act::Resize { window } => return self.resize(step.side, window),
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
                    self.grant(step.side, at, stream, bytes);
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
        let around = padding.map_or(0, |padding| 1 + usize::from(padding));
        let Some(bytes) = self.fitting(side, stream, bytes, around) else {
            return;
        };
        let counted = bytes + around;
        let call = &mut self.calls[at];
        let content = call.content(side, call.said(side).bytes, bytes);
        let said = call.saying(side);
        said.bytes += bytes;
        said.end = end.then_some(Ended::Bare);
        let frames = wire::data(stream, &content, end, padding);
        self.peer(side).queue(stream, &frames);
        self.peer(side).spend(stream, counted);
    }

    /// How much of so many bytes a hub's windows allow, with so many around them.
    pub(super) fn fitting(
        &mut self,
        side: Side,
        stream: u32,
        bytes: usize,
        around: usize,
    ) -> Option<usize> {
        let peer = self.peer_ref(side);
        let allowance = peer.streams.get(&stream)?.allowance.min(peer.allowance);
        if bytes + around == 0 {
            return Some(0);
        }
        let room = usize::try_from(allowance).ok()?.checked_sub(around)?;
        (bytes == 0 || room > 0).then_some(bytes.min(room))
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
        self.peer(side).send(RST_STREAM, 0, stream, &code.to_be_bytes());
        if side == Side::Client {
            self.give_up(at);
        } else if self.is_sent_again(at, code) {
            return;
        } else if self.calls[at].upstream.end.is_none() {
            self.cut_off(at);
        }
        self.calls[at].saying(side).reset = Some(code);
    }

    /// The client does not want the call any more.
    pub(super) fn give_up(&mut self, at: usize) {
        let Run { calls, pair, .. } = self;
        let upstream = &pair.upstream;
        let heard = calls[at].upstream_stream.map(|stream| upstream.heard(stream));
        calls[at].given_up(heard, upstream.room);
    }

    /// Whether the upstream hears of the call once more by resetting it: on the same lane, as there is no other.
    fn is_sent_again(&mut self, at: usize, code: u32) -> bool {
        let Run { calls, pair, .. } = self;
        let call = &mut calls[at];
        let refuses = code == REFUSED_STREAM && call.upstream.head.is_none();
        let heard = call.upstream_stream.map(|stream| pair.upstream.heard(stream));
        refuses && !self.upstream_leaves && heard.is_some_and(|heard| call.is_sent_again(heard))
    }

    /// The answer breaks off.
    pub(super) fn cut_off(&mut self, at: usize) {
        let Run { calls, pair, .. } = self;
        if let Some(heard) = pair.client.streams.get(&calls[at].client_stream) {
            calls[at].cut_off(heard);
        }
    }

    fn resize(&mut self, side: Side, window: u32) {
        let Run { calls, pair, windows, .. } = self;
        let (before, peer) = match side {
            Side::Client => (&mut windows.0, &mut pair.client),
            Side::Upstream => (&mut windows.1, &mut pair.upstream),
        };
        let by = i64::from(window) - i64::from(std::mem::replace(before, window));
        peer.resize(window);
        if side == Side::Upstream {
            self.upstream_grew |= by > 0;
            self.upstream_has_shrunk |= by < 0;
            return;
        }
        self.client_shrinks += by.min(0);
        for call in calls {
            let Some(heard) = pair.client.streams.get(&call.client_stream) else { continue };
            call.cut.has_grown |= by > 0;
            call.cut_to(heard, heard.room + self.client_shrinks);
        }
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
            // One that it has refused just before comes too late to be sent to it once more.
            if call.upstream_stream.is_none_or(|stream| stream > last) && call.fate == Fate::Spliced
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
