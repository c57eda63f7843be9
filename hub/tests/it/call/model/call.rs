//! The model: a call, what each side has said of it, and what has become of it by that. Pure.

use super::step::{Form, Side};
use crate::support::hpack::Headers;
use crate::support::peer::Heard;

pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
/// How often a hub sends a call once more, and how much of its body may have been sent then.
const REPLAYS: usize = 2;
const KEPT: usize = 16_384;

/// One call, and all that was said about it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) index: usize,
    pub(super) form: Form,
    pub(super) client_stream: u32,
    /// Known once the upstream has heard of it.
    pub(super) upstream_stream: Option<u32>,
    /// Streams on which the upstream has refused it: it has heard of it once more each time.
    pub(super) refused: Vec<u32>,
    pub(super) client: Said,
    pub(super) upstream: Said,
    pub(super) fate: Fate,
    pub(super) cut: Cut,
}

/// What one side has said on the call's stream.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) informational: usize,
    /// Whether it was all of the message.
    pub(super) head: Option<bool>,
    pub(super) bytes: usize,
    pub(super) end: Option<Ended>,
    pub(super) reset: Option<u32>,
}

/// How END_STREAM was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Bare,
    Trailers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Each side hears what the other says.
    Spliced,
    /// The client gave up, which the upstream hears.
    Cancelled,
    /// The client gave up when there was nothing to give up any more.
    Over,
    /// The upstream's GOAWAY has left it out.
    Unprocessed,
    /// No lane takes it, and there is no other.
    Refused,
    SessionLost,
}

/// An answer that breaks off: what the client's own window has no room for is not waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cut {
    /// There was more than the client's window has room for, since it has made it smaller.
    pub(super) is_tight: bool,
    /// The window had no room at all: nothing keeps the end back.
    pub(super) is_shut: bool,
    /// The client has made room since.
    pub(super) has_grown: bool,
}

impl Call {
    pub(super) fn new(index: usize, form: Form, client_stream: u32) -> Self {
        Self {
            index,
            form,
            client_stream,
            upstream_stream: None,
            refused: Vec::new(),
            client: Said::default(),
            upstream: Said::default(),
            fate: Fate::Spliced,
            cut: Cut::default(),
        }
    }

    pub(super) fn path(&self) -> String {
        format!("/s/{}", self.index)
    }

    /// The request's head, for a `name`.
    pub(super) fn request_head(&self, name: &str) -> Headers {
        let content_type = if self.form == Form::Grpc { "application/grpc" } else { "text/plain" };
        owned(&[
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "hub.test"),
            (":path", &self.path()),
            ("content-type", content_type),
            ("te", "trailers"),
            ("name", name),
            ("x-call", &self.index.to_string()),
        ])
    }

    pub(super) fn response_head(&self) -> Headers {
        owned(&[
            (":status", "200"),
            ("x-call", &self.index.to_string()),
            ("x-two", "a"),
            ("x-two", "b"),
        ])
    }

    pub(super) fn trailers(&self, side: Side) -> Headers {
        let bytes = self.said(side).bytes.to_string();
        owned(&[("grpc-status", "5"), ("x-bytes", &bytes)])
    }

    pub(super) fn said(&self, side: Side) -> &Said {
        if side == Side::Client { &self.client } else { &self.upstream }
    }

    pub(super) fn saying(&mut self, side: Side) -> &mut Said {
        if side == Side::Client { &mut self.client } else { &mut self.upstream }
    }

    /// Bytes `at` and on of what a side says; no two calls and sides say the same.
    pub(super) fn content(&self, side: Side, at: usize, bytes: usize) -> Vec<u8> {
        let salt = self.index * 2 + usize::from(side == Side::Client);
        let byte = |at: usize| ((at + salt * 7919) as u32).wrapping_mul(2_654_435_761) >> 24;
        (at..at + bytes).map(|at| byte(at) as u8).collect()
    }

    /// The client has reset the stream, of which the upstream had heard `heard`, with this much room on its
    /// connection.
    pub(super) fn given_up(&mut self, heard: Option<&Heard>, room: i64) {
        if self.fate != Fate::Spliced {
            return;
        }
        // Whether the upstream's stream is closed, or may be: what is left of the request fits, and goes
        // in the same breath.
        let is_closed = heard.is_some_and(|heard| {
            let left = (self.client.bytes - heard.body.len()) as i64;
            let may_end = self.client.end.is_some() && left <= heard.room.min(room).max(0);
            let ended = self.upstream.end.is_some() && (heard.ended || may_end);
            ended || self.upstream.reset.is_some()
        });
        self.fate = if is_closed { Fate::Over } else { Fate::Cancelled };
    }

    /// The upstream refuses the stream, of which it has heard `heard`, before it has begun to answer. Returns
    /// whether it hears of the call once more: of the body, what was sent must be kept.
    pub(super) fn is_sent_again(&mut self, heard: &Heard) -> bool {
        let is_kept = heard.body.len() <= KEPT && heard.trailers.is_none();
        let Some(stream) = self.upstream_stream.filter(|_| is_kept) else {
            return false;
        };
        if self.fate != Fate::Spliced || self.refused.len() >= REPLAYS {
            return false;
        }
        self.refused.push(stream);
        self.upstream_stream = None;
        true
    }

    /// The answer breaks off, of which the client has heard `heard`.
    pub(super) fn cut_off(&mut self, heard: &Heard) {
        self.cut = Cut { is_shut: heard.room <= 0, ..Cut::default() };
        self.cut_to(heard, heard.room);
    }

    /// The client's window has this much room from now on.
    pub(super) fn cut_to(&mut self, heard: &Heard, room: i64) {
        let coming = self.upstream.bytes.saturating_sub(heard.body.len());
        self.cut.is_tight |= coming as i64 > room;
    }
}

pub(super) fn owned(headers: &[(&str, &str)]) -> Headers {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
