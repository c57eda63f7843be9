//! What each side of a call must hear, given what the other has said. Pure.

use super::call::{CANCEL, Call, Ended, Fate, REFUSED_STREAM, Said, owned};
use super::step::{Form, Side};
use crate::support::hpack::Headers;
use crate::support::peer::{Broken, Heard};

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;

/// What the client must hear.
enum Answer {
    /// What the upstream has said so far.
    Upstreams,
    /// All of that, and if it was still sending, this code: nobody reads the rest of the request.
    Whole(Option<u32>),
    /// What the upstream has said, as far as the client has room, and then this code.
    Cut(u32),
    /// What the upstream has said so far, and then trailers of the hub.
    CutByHub,
    /// An answer of the hub itself: status of plain HTTP, `hub-reason`.
    Hubs(&'static str, &'static str),
    /// A reset, and nothing else.
    Reset(u32),
}

impl Call {
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
            Some(code) if self.client.reset.map(given_up) == Some(code) => {}
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
            Answer::Hubs(status, reason) => return self.judge_hubs(heard, status, reason, room),
            Answer::Reset(_) => {}
            _ => self.judge_upstreams(heard)?,
        }
        self.judge_reset(heard, &answer)?;
        if self.client.reset.is_some() {
            return Ok(true);
        }
        let told = heard.informational.len() == self.upstream.informational;
        let arrived = told && self.upstream.arrived(heard, room);
        Ok(match answer {
            Answer::Reset(code) => heard.reset == Some(code),
            Answer::Upstreams | Answer::Whole(None) => arrived,
            Answer::Whole(Some(_)) => {
                arrived && (self.client.end.is_some() || heard.reset.is_some() || !heard.ended)
            }
            Answer::Cut(_) => {
                // The connection's window may keep it back, while the stream's has room.
                let waits = heard.body.len() < self.upstream.bytes && room <= 0;
                let begun = self.upstream.head.is_none() || heard.head.is_some();
                told && begun && (heard.reset.is_some() || (waits && !self.cut.is_shut))
            }
            Answer::CutByHub if self.form == Form::Plain => heard.reset.is_some(),
            Answer::CutByHub => heard.ended,
            Answer::Hubs(..) => true,
        })
    }

    fn answer(&self) -> Answer {
        let Said { head, end, reset, .. } = self.upstream;
        match (self.fate, reset) {
            (Fate::Refused, _) => Answer::Hubs("503", "upstream-unreachable"),
            (Fate::Unprocessed, _) => Answer::Reset(REFUSED_STREAM),
            (_, Some(NO_ERROR)) if end.is_some() => Answer::Whole(Some(NO_ERROR)),
            (_, reset) if end.is_some() => Answer::Whole(reset.map(crossed)),
            (_, Some(code)) => Answer::Cut(crossed(code)),
            (Fate::SessionLost, _) if head.is_none() => Answer::Hubs("502", "session-lost"),
            (Fate::SessionLost, _) => Answer::CutByHub,
            _ => Answer::Upstreams,
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
            let (got, said) = (heard.body.len(), self.upstream.bytes);
            if got != said {
                return Err(format!("the hub's trailers after {got} of {said} bytes"));
            }
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
            Answer::Upstreams => None,
            Answer::Whole(code) => *code,
            Answer::Cut(code) | Answer::Reset(code) => Some(*code),
            Answer::CutByHub if self.form == Form::Plain => Some(INTERNAL_ERROR),
            // An answer without the rest of the request.
            Answer::CutByHub | Answer::Hubs(..) => Some(NO_ERROR),
        };
        let lost = self.fate == Fate::SessionLost && self.upstream.end.is_some();
        if allowed != Some(code) && !(lost && code == NO_ERROR) {
            return Err(format!("reset with {code}"));
        }
        let (got, said) = (heard.body.len(), self.upstream.bytes);
        if matches!(answer, Answer::Reset(_)) || got == said || self.client.reset.is_some() {
            return Ok(());
        }
        // What the client's window has no room for is dropped; what it has room for is not.
        let is_cut = matches!(answer, Answer::Cut(_) | Answer::CutByHub) && self.cut.is_tight;
        if !is_cut || (heard.room > 0 && !self.cut.has_grown) {
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

    /// A stream that the upstream has refused is not reset by the hub, and was told what the client said.
    pub(super) fn judge_refused(&self, heard: &Heard) -> Result<(), Broken> {
        if let Some(code) = heard.reset {
            return Err(format!("a refused stream was reset with {code}"));
        }
        self.judge_content(Side::Client, heard)
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

/// The code that an upstream hears of a client's reset.
fn given_up(code: u32) -> u32 {
    if code == NO_ERROR { code } else { CANCEL }
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
