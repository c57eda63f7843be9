//! One call, from its head to its record.

use std::future::poll_fn;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Uri};
use tunnel::name::Name;
use tunnel::wire::HUB_TOKEN;
use tunnel::{bridge, limits};

use crate::auth::{Caller, Denied};
use crate::header_list;
use crate::hub_headers::strip_request;
use crate::limit::Limit;
use crate::malformed;
use crate::metrics::Target;
use crate::origin::Origin;
use crate::outcome::Outcome;
use crate::record::Record;
use crate::refusal::{AnswerForm, Refusal};
use crate::route::{Route, answer_form, route};
use crate::services;
use crate::session::Session;
use crate::splice::{End, Opened, Splice, refuse};

/// Serves one call to its end.
pub(crate) async fn serve(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    origin: Origin,
) {
    let (size, max) = (header_list::request_size(&request), limits::MAX_HEADER_LIST as usize);
    let mut toll = Toll { head: size };
    if size > max {
        let record = Record::start(&origin, Target::Hub, request.uri().path(), None);
        let refusal = Refusal::HeaderList(max);
        return refused(request, respond, &refusal, record, &origin, &mut toll).await;
    }
    let token = request.headers().get(HUB_TOKEN).cloned();
    let caller = origin.hub.config.auth.caller(token.as_ref().map(HeaderValue::as_bytes));
    match route(request.method(), request.uri(), request.headers()) {
        Ok(Route::Agent(name)) => {
            to_agent(name, caller, request, respond, &origin, &mut toll).await
        }
        Ok(Route::Own) => to_hub(caller, request, respond, &origin, &mut toll).await,
        Err(refusal) => {
            let target = if refusal == Refusal::NoName { Target::Hub } else { Target::Agent };
            let record = Record::start(&origin, target, request.uri().path(), None);
            refused(request, respond, &refusal, record, &origin, &mut toll).await;
        }
    }
}

/// What a call has to wait for because of its own connection, once.
struct Toll {
    /// The size of its head.
    head: usize,
}

impl Toll {
    /// Before it goes on.
    async fn pay(&mut self, origin: &Origin) {
        origin.long_head(std::mem::take(&mut self.head)).await;
    }

    /// Before the hub itself answers it.
    async fn pay_for_answer(&mut self, origin: &Origin) {
        self.pay(origin).await;
        origin.answer().await;
    }
}

/// Waits for something, for as long as the client wants the call: one that is dead already must hold nothing,
/// and must not reach an upstream, whose guard against cancelled calls would count it against all callers.
async fn unless_reset<T>(
    respond: &mut SendResponse<Bytes>,
    wait: impl Future<Output = T>,
) -> Result<T, Reason> {
    tokio::select! {
        biased;
        reset = poll_fn(|cx| respond.poll_reset(cx)) => Err(reset.unwrap_or(Reason::CANCEL)),
        done = wait => Ok(done),
    }
}

async fn to_agent(
    name: Name,
    caller: Result<Caller, Denied>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    origin: &Origin,
    toll: &mut Toll,
) {
    let mut record = Record::start(origin, Target::Agent, request.uri().path(), Some(name.clone()));
    let (head, body) = request.into_parts();
    let form = answer_form(&head.method, &head.headers);
    let opened = match admit(&name, &head, caller, &mut record) {
        Ok(()) => open(&name, head, body.is_end_stream(), &mut respond, origin, toll).await,
        Err(refusal) => {
            drop(head);
            Err(Closed::Refused(refusal))
        }
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(Closed::Refused(refusal)) => {
            drop(body);
            return refuse_in_turn(respond, &refusal, form, record, origin, toll).await;
        }
        Err(Closed::ByClient(reason)) => {
            return record.ended(End::ClientReset(reason), Outcome::Reset(reason), None);
        }
    };
    record.reached(&opened.permit.session);
    let mut splice = Splice::new(body, respond, opened, form, origin);
    let lost = Refusal::SessionLost(name);
    let (end, outcome) = splice.run(&lost).await;
    record.passed(splice.bytes());
    record.ended(end, outcome, Some(&lost));
    match end {
        End::Complete => origin.completed(),
        End::ClientReset(_) => origin.cancelled(),
        _ => {}
    }
    splice.leave(end, origin.party()).await;
}

fn admit(
    name: &Name,
    head: &http::request::Parts,
    caller: Result<Caller, Denied>,
    record: &mut Record,
) -> Result<(), Refusal> {
    let caller = caller.map_err(unauthenticated)?;
    record.called_by(&caller);
    if !caller.may_call(name) {
        return Err(Refusal::Denied(name.clone()));
    }
    malformed::head(head).map_err(|why| Refusal::BadRequest(why.to_string()))
}

fn unauthenticated(denied: Denied) -> Refusal {
    if denied == Denied::NoToken { Refusal::NoToken } else { Refusal::UnknownToken }
}

/// Why no stream was opened.
enum Closed {
    Refused(Refusal),
    /// The client gave up before.
    ByClient(Reason),
}

/// Opens a stream on one of the name's sessions. One that takes no new streams after all is left out from
/// then on, and the next one tried: nothing of the call has been sent.
async fn open(
    name: &Name,
    head: http::request::Parts,
    end_stream: bool,
    respond: &mut SendResponse<Bytes>,
    origin: &Origin,
    toll: &mut Toll,
) -> Result<Opened, Closed> {
    let pay = async {
        toll.pay(origin).await;
        origin.begin().await;
    };
    unless_reset(respond, pay).await.map_err(Closed::ByClient)?;
    loop {
        let pick = origin.hub.registry.pick(name, origin.worker, origin.party());
        let picked = unless_reset(respond, pick).await.map_err(Closed::ByClient)?;
        if matches!(picked, Err(Refusal::Limit(_))) {
            origin.hub.limits.reached(Limit::Streams, origin.peer, Some(name));
        }
        let permit = picked.map_err(Closed::Refused)?;
        if permit.session.cancels.is_full(origin.party()) {
            origin.hub.limits.reached(Limit::Cancels, origin.peer, Some(name));
            return Err(Closed::Refused(Refusal::CancelledCalls(name.clone())));
        }
        let forwarded = forwarded_head(&head, &permit.session);
        let max = permit.session.max_header_list;
        if header_list::request_size(&forwarded) > max {
            return Err(Closed::Refused(Refusal::HeaderList(max)));
        }
        match permit.open(forwarded, end_stream) {
            Ok((response, send)) => return Ok(Opened { permit, response, send }),
            Err(_) if permit.session.is_refusing().await => permit.session.drain(),
            // The session is fine, so it is this request that cannot be sent.
            Err(error) => return Err(Closed::Refused(Refusal::BadRequest(error.to_string()))),
        }
    }
}

/// The head as the agent's server gets it: as it came, but for `:scheme` and `:authority` as the session
/// asked, and without what is between the client and the hub.
fn forwarded_head(head: &http::request::Parts, session: &Session) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.headers_mut() = head.headers.clone();
    strip_request(request.headers_mut());
    if session.authority.is_some() {
        // Servers may refuse a host that differs from :authority (RFC 9113 8.3.1).
        request.headers_mut().remove(HOST);
    }
    *request.uri_mut() = forwarded_uri(head, session);
    request
}

fn forwarded_uri(head: &http::request::Parts, session: &Session) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(session.scheme.clone());
    let authority = session.authority.clone().or_else(|| head.uri.authority().cloned());
    parts.authority = Some(authority.unwrap_or_else(|| host_or_name(&head.headers, session)));
    parts.path_and_query =
        head.uri.path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
    // Cannot fail: it has all three parts.
    Uri::from_parts(parts).unwrap_or_default()
}

/// A request may lack `:authority` (RFC 9113 8.3.1); h2 does not send one without.
fn host_or_name(headers: &HeaderMap, session: &Session) -> Authority {
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    // Every name is a valid host.
    host.or_else(|| Authority::try_from(session.name.as_str()).ok())
        .unwrap_or_else(|| Authority::from_static("localhost"))
}

async fn to_hub(
    caller: Result<Caller, Denied>,
    mut request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    origin: &Origin,
    toll: &mut Toll,
) {
    let record = Record::start(origin, Target::Hub, request.uri().path(), None);
    match caller {
        Ok(caller) => drop(request.extensions_mut().insert(caller)),
        // Health tells for itself what it tells to whom.
        Err(_) if services::is_health(request.uri().path()) => {}
        Err(denied) => {
            return refused(request, respond, &unauthenticated(denied), record, origin, toll).await;
        }
    }
    if let Err(reason) = unless_reset(&mut respond, toll.pay_for_answer(origin)).await {
        return record.ended(End::ClientReset(reason), Outcome::Reset(reason), None);
    }
    let Ok(_one) = origin.own_calls.try_acquire() else {
        origin.hub.limits.reached(Limit::OwnCalls, origin.peer, None);
        return refused(request, respond, &Refusal::OwnCalls, record, origin, toll).await;
    };
    // The services read all of a request; what they hold of it has a limit of its own.
    let _window = origin.growth(request.body().stream_id()).whole();
    let answered = bridge::serve(origin.hub.services.clone(), request, respond).await;
    record.answered(&answered);
}

async fn refused(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    refusal: &Refusal,
    record: Record,
    origin: &Origin,
    toll: &mut Toll,
) {
    let form = answer_form(request.method(), request.headers());
    drop(request);
    refuse_in_turn(respond, refusal, form, record, origin, toll).await;
}

/// Nothing of the call is held while it waits but the right to answer it.
async fn refuse_in_turn(
    mut respond: SendResponse<Bytes>,
    refusal: &Refusal,
    form: AnswerForm,
    record: Record,
    origin: &Origin,
    toll: &mut Toll,
) {
    match unless_reset(&mut respond, toll.pay_for_answer(origin)).await {
        Ok(()) => {
            let outcome = refuse(&mut respond, refusal, form);
            record.refused(outcome, refusal);
        }
        Err(reason) => record.ended(End::ClientReset(reason), Outcome::Reset(reason), None),
    }
}
