//! A request that is no call yet: it is recorded here, unless it becomes one in memory, which has a record of its own.

use http::Request;
use http::header::HeaderValue;
use tunnel::name::Name;
use tunnel::wire;

use crate::client::record::Record;
use crate::context::origin::Origin;
use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;
use crate::observe::metrics::Target;
use crate::observe::outcome::Outcome;

/// One of them. One that is dropped was given up by its caller.
#[derive(Debug)]
pub(super) struct Pending(Record);

impl Pending {
    pub(super) fn of<B>(request: &Request<B>, origin: &Origin) -> Self {
        let said = request.headers().get(wire::NAME).map(HeaderValue::as_bytes);
        let name = said.and_then(|name| std::str::from_utf8(name).ok()?.parse::<Name>().ok());
        let target = if name.is_some() { Target::Agent } else { Target::Hub };
        let peer = origin.caller(origin.behind_headers(request.headers()));
        Self(Record::start(&origin.hub, peer, target, request.uri().path(), name))
    }

    /// It becomes a call, or, with `false`, does not after all.
    pub(super) fn is_passed_on(&mut self, is: bool) {
        self.0.is_written_elsewhere(is);
    }

    /// The hub itself answers it, in words.
    pub(super) fn refused(mut self, refusal: &Refusal, form: AnswerForm) {
        self.0.answered(Outcome::of_refusal(refusal, form), Some(refusal));
    }

    /// The hub itself answers it with this status.
    pub(super) fn answered(mut self, status: http::StatusCode) {
        self.0.answered(Outcome::Http(status), None);
    }
}
