//! How a call begins: its route, its caller, its turn.

use std::borrow::Cow;
use std::net::IpAddr;

use http::uri::PathAndQuery;
use http2::error::Reason;
use http2::fields::Fields;
use http2::message::Malformed;
use switch::{CallId, Unfit};
use tunnel::name::Name;
use tunnel::speaks::WebProtocol;

use super::call::{Call, Next};
use super::callers::Due;
use super::connection::Connection;
use super::groups::source;
use super::record::Record;
use super::route::{Head, Route};
use crate::config::auth::{Auth, Caller, Denied};
use crate::config::networks::network;
use crate::limits::MAX_HEADER_LIST;
use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;
use crate::observe::limit::Limit;
use crate::observe::metrics::Target;
use crate::services;

impl Connection {
    /// A call has come.
    pub(super) fn begin(&mut self, id: CallId) {
        if let Some(Unfit::Malformed(malformed)) = self.switch.unfit(id)
            && !is_answered(malformed)
        {
            return self.switch.breach(id, Reason::PROTOCOL_ERROR);
        }
        let Some(fields) = self.switch.request(id) else { return };
        let (head, size) = (Head::of(fields), fields.size());
        let form = head.answer_form();
        let caller = self.origin.hub.doors.keys(self.origin.worker).auth.caller(head.token());
        let routing = &self.origin.hub.config.routing;
        let route = head.route(routing, self.origin.sni.as_deref());
        let behind = self.origin.behind(fields);
        let is_fit = self.switch.unfit(id).is_none() && size <= MAX_HEADER_LIST as usize;
        let is_web = is_fit && self.is_web(&head, form, &route);
        let mut record = self.record(&head, &route, caller.as_ref().ok(), behind);
        record.says(form == AnswerForm::Grpc, head.trace());
        let key = key(caller.as_ref().ok(), behind);
        let paces = self.callers.enter(key.as_deref());
        let is_session = matches!(route, Ok(Route::Session));
        let who = caller.as_ref().ok().filter(|_| !is_session).cloned();
        let next = if !is_web {
            self.next(id, route, caller, behind, size)
        } else if is_read_by_libraries(self.switch.request(id)) {
            Next::Web
        } else {
            let why = "its path has characters that only gRPC's own form may have";
            Next::Refuse(Refusal::BadRequest(why.to_owned()))
        };
        let call = Call { who, is_session, ..Call::new(record, form, paces, next) };
        if let Some(user) = self.switch.user(id) {
            self.sessions += usize::from(call.is_session);
            *user = Some(Box::new(call));
        }
        self.look_at_calls_soon();
        let (may_begin, limit) = self.callers.may_begin(paces, id, size);
        self.note_paces(limit);
        if may_begin {
            self.go_on(id);
        }
    }

    fn record(
        &self,
        head: &Head<'_>,
        route: &Result<Route, Refusal>,
        caller: Option<&Caller>,
        behind: Option<IpAddr>,
    ) -> Record {
        let (target, name) = match route {
            Ok(Route::Agent(name)) => (Target::Agent, Some(name.clone())),
            Ok(Route::Own | Route::Session) | Err(Refusal::NoName) => (Target::Hub, None),
            Err(_) => (Target::Agent, None),
        };
        let (hub, peer) = (&self.origin.hub, self.origin.caller(behind));
        let mut record = Record::start(hub, peer, target, head.path(), name);
        if let Some(caller) = caller {
            record.called_by(caller);
        }
        record
    }

    /// Whether it is an agent's session, or said in words that a gRPC server may not know. Servers that do are asked as it
    /// is, but for pages: it is the hub who tells their browsers what they may see.
    fn is_web(&self, head: &Head<'_>, form: AnswerForm, route: &Result<Route, Refusal>) -> bool {
        if self.web.is_none() {
            return false;
        }
        if matches!(route, Ok(Route::Session)) {
            return true;
        }
        let serves_pages = self.origin.hub.config.cors_origins.is_some();
        let protocol = match form {
            AnswerForm::GrpcWeb(_) => WebProtocol::GrpcWeb,
            AnswerForm::ConnectUnary | AnswerForm::ConnectStream(_) => WebProtocol::Connect,
            _ => return serves_pages && head.is_preflight(),
        };
        match route {
            Ok(Route::Agent(name)) if !(serves_pages && head.is_of_page()) => {
                !self.origin.hub.registry.speaks(name, protocol)
            }
            _ => true,
        }
    }

    fn next(
        &mut self,
        id: CallId,
        route: Result<Route, Refusal>,
        caller: Result<Caller, Denied>,
        behind: Option<IpAddr>,
        size: usize,
    ) -> Next {
        let unfit = match self.switch.unfit(id) {
            Some(Unfit::TooLarge(_)) => Some(Refusal::HeaderList(MAX_HEADER_LIST as usize)),
            _ if size > MAX_HEADER_LIST as usize => {
                Some(Refusal::HeaderList(MAX_HEADER_LIST as usize))
            }
            Some(Unfit::Malformed(malformed)) => Some(Refusal::BadRequest(malformed.to_string())),
            None => None,
        };
        if let Some(Refusal::HeaderList(max)) = unfit {
            return Next::Refuse(Refusal::HeaderList(max));
        }
        let name = match route {
            Ok(Route::Agent(name)) => name,
            Ok(Route::Own) => return self.next_own(id, caller),
            // One that is fit is not asked about here.
            Ok(Route::Session) => return Next::Refuse(unfit.unwrap_or(Refusal::Connect)),
            Err(refusal) => return Next::Refuse(refusal),
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(denied) => return Next::Refuse(unauthenticated(denied)),
        };
        if !caller.may_call(&name) {
            return Next::Refuse(Refusal::Denied(name));
        }
        match unfit {
            Some(refusal) => Next::Refuse(refusal),
            None => {
                let address = behind.unwrap_or_else(|| self.origin.peer.ip());
                let key = key(Some(&caller), behind).unwrap_or_default();
                Next::Agent(self.groups.of(
                    &name,
                    &key,
                    || source(&self.origin.hub.source_key, &caller, address),
                    self.origin.worker,
                ))
            }
        }
    }

    fn next_own(&self, id: CallId, caller: Result<Caller, Denied>) -> Next {
        match caller {
            Ok(caller) => Next::Own(Some(caller)),
            // Health tells for itself what it tells to whom.
            Err(denied) => match self.switch.request(id) {
                Some(head) if services::is_health(Head::of(head).path()) => Next::Own(None),
                _ => Next::Refuse(unauthenticated(denied)),
            },
        }
    }

    /// Who may come in has changed: ends the calls of those who may not any more. The others go on.
    pub(super) fn heed(&mut self, auth: &Auth) {
        // They show what their callers might see. Those that nobody calls on any more end by themselves.
        self.own_lanes.clear();
        let calls: Vec<CallId> = self.switch.call_ids().collect();
        for id in calls {
            // Calls in other words are looked at where they are put so.
            let call = self.call(id).filter(|call| !call.is_in_other_words());
            if let Some(refusal) = call.and_then(|call| revised(call, auth)) {
                self.cut_off(id, refusal);
            }
        }
    }

    pub(super) fn note_paces(&mut self, limit: Option<Limit>) {
        if let Some(limit) = limit {
            self.reached(limit, None);
        }
        if let Some(at) = self.callers.due_at() {
            self.look_by(at);
        }
    }

    /// Lets calls go on that had to wait for their turn.
    pub(super) fn serve_callers(&mut self) {
        while let Some(due) = self.callers.due() {
            match due {
                Due::Begin(id) => self.go_on(id),
                Due::Answer(id) => self.answer(id),
            }
        }
        self.note_paces(None);
    }

    /// The call's turn has come.
    pub(super) fn go_on(&mut self, id: CallId) {
        let Some(call) = self.call(id) else { return };
        let caller = call.caller;
        if let Next::Agent(group) = call.next {
            return self.wait_for_lane(id, group);
        }
        let is_answered_there = matches!(call.form, AnswerForm::Http | AnswerForm::HttpHead);
        if matches!(call.next, Next::Web) && !is_answered_there {
            // It comes back, and is paced then.
            return self.pass_on_to_web(id);
        }
        self.refuse_own_if_too_much(id);
        let (may, limit) = self.callers.may_be_answered(caller, id);
        self.note_paces(limit);
        if may {
            self.answer(id);
        }
    }

    /// Answers of the hub's own services wait for their client, too. Health of one name is short, and asked when all is not well.
    fn refuse_own_if_too_much(&mut self, id: CallId) {
        if !self.holding.is_too_much() {
            return;
        }
        let is_short =
            self.switch.request(id).is_some_and(|head| services::is_short(Head::of(head).path()));
        if !is_short
            && let Some(call) = self.call(id)
            && matches!(call.next, Next::Own(_))
        {
            call.next = Next::Refuse(Refusal::Held);
            self.reached(Limit::Held, None);
        }
    }

    /// The hub itself answers the call, or its own services do.
    pub(super) fn answer(&mut self, id: CallId) {
        let Some(call) = self.call(id) else { return };
        match call.next.clone() {
            Next::Refuse(refusal) => self.refuse(id, refusal),
            Next::Web => self.pass_on_to_web(id),
            Next::Own(caller) => self.pass_on_to_own(id, caller),
            Next::Agent(_) => {}
        }
    }

    /// What is known of a call, while its client waits for an answer.
    pub(super) fn call(&mut self, id: CallId) -> Option<&mut Call> {
        self.switch.user(id)?.as_deref_mut()
    }

    /// A limit that the client has reached.
    pub(super) fn reached(&self, limit: Limit, name: Option<&Name>) {
        let by = name.map(|name| name as &dyn std::fmt::Display);
        self.origin.hub.limits.reached(limit, self.origin.peer, by);
    }
}

/// Why a call must end now, if so.
fn revised(call: &Call, auth: &Auth) -> Option<Refusal> {
    let who = call.who.as_ref()?;
    let now = match auth.caller_now(who) {
        Ok(now) => now,
        Err(denied) => return Some(unauthenticated(denied)),
    };
    match call.record.name() {
        Some(name) => (!now.may_call(name)).then(|| Refusal::Denied(name.clone())),
        // The hub's own services have taken it at its word.
        None => (!now.may_as_much_as(who)).then_some(Refusal::Revised),
    }
}

/// What tells a caller of a connection from the others: its credential, or the address that a trusted proxy forwards. Where
/// callers have credentials, nobody reaches an agent without one; so no address is ever taken for one.
fn key(caller: Option<&Caller>, behind: Option<IpAddr>) -> Option<Cow<'_, str>> {
    let id = caller.and_then(Caller::id).map(Cow::Borrowed);
    id.or_else(|| Some(network(behind?).to_string().into()))
}

/// Whether h2 and hyper take its path. They would end the stream for it, and, for what is no UTF-8, all others beside it.
fn is_read_by_libraries(head: Option<&Fields>) -> bool {
    let path = head.and_then(|head| head.get(b":path"));
    path.is_some_and(|path| PathAndQuery::try_from(path).is_ok() && path.is_ascii())
}

fn unauthenticated(denied: Denied) -> Refusal {
    if denied == Denied::NoToken { Refusal::NoToken } else { Refusal::UnknownToken }
}

/// Whether the client is told in words what is malformed. What no library sends by mistake ends the stream.
fn is_answered(malformed: &Malformed) -> bool {
    match malformed {
        Malformed::Repeated(name) => !name.starts_with(':'),
        Malformed::Empty(name) => *name == "host",
        Malformed::Authority(_)
        | Malformed::ContentLength
        | Malformed::Path
        | Malformed::PathCharacter
        | Malformed::HostDiffers => true,
        _ => false,
    }
}
