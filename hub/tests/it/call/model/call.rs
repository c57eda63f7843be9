//! The model: what each side of a call must hear, given what the other has said. Pure.

use super::step::{Form, Side};
use crate::support::hpack::Headers;
use crate::support::peer::{Broken, Heard};

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// One call, and all that was said about it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) index: usize,
    pub(super) form: Form,
    pub(super) client_stream: u32,
    /// Known once the upstream has heard of it.
    pub(super) upstream_stream: Option<u32>,
    pub(super) client: Said,
    pub(super) upstream: Said,
    pub(super) fate: Fate,
    /// The test was too slow to make room for what an upstream had said before it reset the stream, for
    /// which a hub waits a second. So some of it may be lost.
    pub(super) late: bool,
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

/// What the client must hear.
enum Answer {
    /// What the upstream has said, and this code if it was cut short.
    Upstreams(Option<u32>),
    /// What the upstream has said so far, and then trailers of the hub.
    CutByHub,
    /// An answer of the hub itself: status of plain HTTP, `hub-reason`.
    Hubs(&'static str, &'static str),
    /// A reset, and nothing else.
    Reset(u32),
}

impl Call {
    pub(super) fn new(index: usize, form: Form, client_stream: u32) -> Self {
        Self {
            index,
            form,
            client_stream,
            upstream_stream: None,
            client: Said::default(),
            upstream: Said::default(),
            fate: Fate::Spliced,
            late: false,
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

    /// The client has reset the stream, of which it had heard `heard`.
    pub(super) fn given_up(&mut self, heard: &Heard) {
        let Said { end, reset, .. } = self.upstream;
        let closed_here = self.client.end.is_some() && heard.ended;
        // Both sides have said all they have to say. `h2` does not reset such a stream, though the last
        // of the request may still wait in it for the upstream's window.
        let closed_there = reset.is_some() || (end.is_some() && self.client.end.is_some());
        if self.fate == Fate::Spliced && !closed_here {
            self.fate = if closed_there { Fate::Over } else { Fate::Cancelled };
        }
    }

    /// Whether the upstream has heard all that it must, with this much room on its connection.
    pub(super) fn judge_request(
        &self,
        heard: Option<&Heard>,
        name: &str,
        room: i64,
    ) -> Result<bool, Broken> {
        let Some(heard) = heard else {
            // Who opens a call and gives it up in one breath may not get it to the upstream.
            return Ok(self.fate != Fate::Spliced || self.upstream.reset.is_some());
        };
        if self.fate == Fate::Refused {
            return Err("a call that was refused".into());
        }
        same("head", heard.head.as_ref(), &self.request_head(name))?;
        self.judge_body(Side::Client, heard)?;
        match heard.reset {
            Some(CANCEL) if self.client.reset.is_some() || self.upstream.reset.is_some() => {}
            Some(code) => return Err(format!("reset with {code}")),
            None => {}
        }
        Ok(match self.fate {
            Fate::Cancelled => heard.reset.is_some(),
            Fate::Spliced if self.upstream.reset.is_none() => self.client.arrived(heard, room),
            _ => true,
        })
    }

    /// Whether the client has heard all that it must, with this much room on its connection.
    pub(super) fn judge_response(&self, heard: &Heard, room: i64) -> Result<bool, Broken> {
        let answer = self.answer();
        match answer {
            Answer::Upstreams(_) | Answer::CutByHub => self.judge_upstreams(heard)?,
            Answer::Hubs(status, reason) => return self.judge_hubs(heard, status, reason, room),
            Answer::Reset(_) => {}
        }
        self.judge_reset(heard, &answer)?;
        if self.client.reset.is_some() {
            return Ok(true);
        }
        let told = heard.informational.len() == self.upstream.informational;
        Ok(match answer {
            Answer::Reset(code) => heard.reset == Some(code),
            // Told that nobody reads the rest of the request, if there was one.
            Answer::Upstreams(Some(NO_ERROR)) if self.client.end.is_some() => {
                told && self.upstream.arrived(heard, room)
            }
            Answer::Upstreams(Some(NO_ERROR)) => {
                let whole = self.upstream.arrived(heard, room);
                told && whole && (heard.reset.is_some() || !heard.ended)
            }
            Answer::Upstreams(Some(_)) => {
                let flowed = self.upstream.flowed(heard, room);
                let all = heard.body.len() == self.upstream.bytes;
                heard.reset.is_some() || (told && flowed && !all)
            }
            Answer::Upstreams(None) => told && self.upstream.arrived(heard, room),
            Answer::CutByHub if self.form == Form::Plain => heard.reset.is_some(),
            Answer::CutByHub => heard.ended,
            Answer::Hubs(..) => true,
        })
    }

    fn answer(&self) -> Answer {
        let Said { head, end, reset, .. } = self.upstream;
        match self.fate {
            Fate::Refused => Answer::Hubs("503", "upstream-unreachable"),
            Fate::Unprocessed => Answer::Reset(REFUSED_STREAM),
            _ if end.is_some() => Answer::Upstreams(reset.map(|_| NO_ERROR)),
            _ if reset.is_some() => Answer::Upstreams(reset.map(crossed)),
            Fate::SessionLost if head.is_none() => Answer::Hubs("502", "session-lost"),
            Fate::SessionLost => Answer::CutByHub,
            _ => Answer::Upstreams(None),
        }
    }

    fn judge_upstreams(&self, heard: &Heard) -> Result<(), Broken> {
        let informational = owned(&[(":status", "103"), ("link", "a")]);
        for early in &heard.informational {
            same("1xx", Some(early), &informational)?;
        }
        if heard.head.is_some() {
            same("head", heard.head.as_ref(), &self.response_head())?;
            if heard.head_only != (self.upstream.head == Some(true)) {
                return Err(format!("a head that is all of the answer: {}", heard.head_only));
            }
        }
        if self.fate == Fate::SessionLost && self.upstream.end.is_none() && heard.ended {
            let trailers = heard.trailers.clone().unwrap_or_default();
            return has(&trailers, &[("grpc-status", "14"), ("hub-reason", "session-lost")]);
        }
        self.judge_body(Side::Upstream, heard)
    }

    fn judge_reset(&self, heard: &Heard, answer: &Answer) -> Result<(), Broken> {
        let Some(code) = heard.reset else {
            return Ok(());
        };
        let allowed = match answer {
            Answer::Upstreams(allowed) => *allowed,
            Answer::CutByHub if self.form == Form::Plain => Some(INTERNAL_ERROR),
            // An answer without the rest of the request.
            Answer::CutByHub | Answer::Hubs(..) => Some(NO_ERROR),
            Answer::Reset(code) => Some(*code),
        };
        let lost = self.fate == Fate::SessionLost && self.upstream.end.is_some();
        if allowed != Some(code) && !(lost && code == NO_ERROR) {
            return Err(format!("reset with {code}"));
        }
        let whole = heard.body.len() == self.upstream.bytes;
        if matches!(answer, Answer::Upstreams(_))
            && !whole
            && !self.late
            && self.client.reset.is_none()
        {
            let (got, said) = (heard.body.len(), self.upstream.bytes);
            return Err(format!("reset after {got} of {said} bytes"));
        }
        Ok(())
    }

    fn judge_hubs(
        &self,
        heard: &Heard,
        status: &str,
        reason: &str,
        room: i64,
    ) -> Result<bool, Broken> {
        let Some(head) = &heard.head else {
            return Ok(self.client.reset.is_some());
        };
        let for_cause = ("hub-reason".to_owned(), "upstream-closed".to_owned());
        // After a GOAWAY that names an error, once the lane has ended.
        let (status, code, reason) = if self.fate == Fate::Refused && head.contains(&for_cause) {
            ("429", "8", "upstream-closed")
        } else {
            (status, "14", reason)
        };
        let grpc = [(":status", "200"), ("grpc-status", code), ("hub-reason", reason)];
        let plain = [(":status", status), ("hub-reason", reason)];
        let grpcs = self.form == Form::Grpc;
        has(head, if grpcs { &grpc } else { &plain })?;
        if grpcs && !heard.head_only {
            return Err("more than a head".into());
        }
        if let Some(code) = heard.reset.filter(|code| *code != NO_ERROR) {
            return Err(format!("reset with {code}"));
        }
        // The sentence of a plain answer may wait for a window.
        Ok(heard.ended || heard.room.min(room) <= 0 || self.client.reset.is_some())
    }

    /// Nothing that was not said, and the end only after everything.
    fn judge_body(&self, from: Side, heard: &Heard) -> Result<(), Broken> {
        let said = self.said(from);
        let bytes = heard.body.len();
        if bytes > said.bytes {
            return Err(format!("{bytes} of {} bytes", said.bytes));
        }
        if !heard.ended {
            return Ok(());
        }
        if bytes != said.bytes || said.end.is_none() {
            return Err(format!("the end after {bytes} of {} bytes: {said:?}", said.bytes));
        }
        match (said.end, &heard.trailers) {
            (Some(Ended::Bare), None) => Ok(()),
            (Some(Ended::Trailers), Some(_)) => {
                same("trailers", heard.trailers.as_ref(), &self.trailers(from))
            }
            (said, trailers) => Err(format!("{said:?} became {trailers:?}")),
        }
    }

    /// Byte for byte.
    pub(super) fn judge_content(&self, from: Side, heard: &Heard) -> Result<(), Broken> {
        let hubs = matches!(self.answer(), Answer::Hubs(..)) && from == Side::Upstream;
        if hubs || heard.body == self.content(from, 0, heard.body.len()) {
            return Ok(());
        }
        Err(format!("{:?} said something else", from))
    }
}

impl Said {
    /// Whether all has arrived that the windows let through.
    fn arrived(&self, heard: &Heard, room: i64) -> bool {
        let head = self.head.is_none() || heard.head.is_some();
        let end = self.end.is_none() || heard.ended || heard.body.len() < self.bytes;
        head && end && self.flowed(heard, room)
    }

    fn flowed(&self, heard: &Heard, room: i64) -> bool {
        heard.body.len() == self.bytes || heard.room <= 0 || room <= 0
    }
}

/// The code that a client hears: the table of resets.
fn crossed(code: u32) -> u32 {
    const ENHANCE_YOUR_CALM: u32 = 11;
    const INADEQUATE_SECURITY: u32 = 12;
    const HTTP_1_1_REQUIRED: u32 = 13;
    match code {
        REFUSED_STREAM | CANCEL | ENHANCE_YOUR_CALM | INADEQUATE_SECURITY | HTTP_1_1_REQUIRED => {
            code
        }
        _ => INTERNAL_ERROR,
    }
}

fn owned(headers: &[(&str, &str)]) -> Headers {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The order between names means nothing.
fn same(what: &str, heard: Option<&Headers>, said: &Headers) -> Result<(), Broken> {
    let mut heard = heard.cloned().unwrap_or_default();
    let mut said = said.clone();
    heard.sort_by(|a, b| a.0.cmp(&b.0));
    said.sort_by(|a, b| a.0.cmp(&b.0));
    if heard == said { Ok(()) } else { Err(format!("{what}: {said:?} became {heard:?}")) }
}

fn has(heard: &Headers, expected: &[(&str, &str)]) -> Result<(), Broken> {
    let missing = owned(expected).into_iter().find(|pair| !heard.contains(pair));
    missing.map_or(Ok(()), |missing| Err(format!("{missing:?} is missing: {heard:?}")))
}
