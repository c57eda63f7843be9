//! One call, from its head to its record.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Uri};
use tunnel::bridge;
use tunnel::name::Name;
use tunnel::wire::HUB_TOKEN;

use crate::client::Client;
use crate::client::paces::Paces;
use crate::client::record::Record;
use crate::client::route::{Route, answer_form, route};
use crate::client::splice::{End, Opened, Splice, refuse};
use crate::config::auth::{Caller, Denied};
use crate::limits::MAX_HEADER_LIST;
use crate::message::header_list;
use crate::message::hub_headers::strip;
use crate::message::malformed;
use crate::message::refusal::{AnswerForm, Refusal};
use crate::observe::limit::Limit;
use crate::observe::metrics::Target;
use crate::observe::outcome::Outcome;
use crate::registry::Agent;
use crate::services;

/// Serves one call to its end.
pub(crate) async fn serve(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    client: Arc<Client>,
) {
    let route = route(request.method(), request.uri(), request.headers());
    let token = request.headers().get(HUB_TOKEN).map(HeaderValue::as_bytes);
    let caller = client.origin.hub.config.auth.caller(token).map_err(unauthenticated);
    let paces = client.paces(caller.as_ref().ok().and_then(Caller::id));
    let call = Call::new(&request, respond, client, paces, &route);
    if call.head > MAX_HEADER_LIST as usize {
        drop(request);
        return call.refuse(&Refusal::HeaderList(MAX_HEADER_LIST as usize)).await;
    }
    match route {
        Ok(Route::Agent(name)) => call.pass_on(name, caller, request).await,
        Ok(Route::Own) => call.answer_here(caller, request).await,
        Err(refusal) => {
            drop(request);
            call.refuse(&refusal).await;
        }
    }
}

fn unauthenticated(denied: Denied) -> Refusal {
    if denied == Denied::NoToken { Refusal::NoToken } else { Refusal::UnknownToken }
}

/// A call that has no answer yet.
struct Call {
    client: Arc<Client>,
    respond: SendResponse<Bytes>,
    record: Record,
    /// What the client can take should the hub answer.
    form: AnswerForm,
    /// Its caller's.
    paces: Arc<Paces>,
    /// Bytes of its head.
    head: usize,
    /// It has waited for its turn, as each call does once, whatever becomes of it.
    has_begun: bool,
}

/// Why no stream was opened.
enum Closed {
    Refused(Refusal),
    /// The client gave up before.
    ByClient(Reason),
}

impl Call {
    fn new(
        request: &Request<RecvStream>,
        respond: SendResponse<Bytes>,
        client: Arc<Client>,
        paces: Arc<Paces>,
        route: &Result<Route, Refusal>,
    ) -> Self {
        let (target, name) = match route {
            Ok(Route::Agent(name)) => (Target::Agent, Some(name.clone())),
            Ok(Route::Own) | Err(Refusal::NoName) => (Target::Hub, None),
            Err(_) => (Target::Agent, None),
        };
        let record = Record::start(&client.origin, target, request.uri().path(), name);
        let form = answer_form(request.method(), request.headers());
        let head = header_list::request_size(request);
        Self { client, respond, record, form, paces, head, has_begun: false }
    }

    /// Passes the call on over one of the caller's lanes.
    async fn pass_on(
        mut self,
        name: Name,
        caller: Result<Caller, Refusal>,
        request: Request<RecvStream>,
    ) {
        let (head, body) = request.into_parts();
        let opened = match self.admit(&name, &head, caller) {
            Ok(caller) => self.open(&name, &caller, head, body.is_end_stream()).await,
            Err(refusal) => {
                drop(head);
                Err(Closed::Refused(refusal))
            }
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(Closed::Refused(refusal)) => {
                drop(body);
                return self.refuse(&refusal).await;
            }
            Err(Closed::ByClient(reason)) => return self.given_up(reason),
        };
        let Self { client, respond, mut record, form, paces, .. } = self;
        record.reached(opened.permit.session());
        let mut splice = Splice::new(body, respond, opened, form, &client);
        let lost = Refusal::SessionLost(name);
        let (end, outcome) = splice.run(&lost).await;
        if matches!(end, End::ClientReset(_) | End::ClientMalformed | End::ClientFlood) {
            paces.gave_up();
        }
        record.passed(splice.bytes());
        record.ended(end, outcome, Some(&lost));
        splice.leave(end).await;
    }

    fn admit(
        &mut self,
        name: &Name,
        head: &Parts,
        caller: Result<Caller, Refusal>,
    ) -> Result<Caller, Refusal> {
        let caller = caller?;
        self.record.called_by(&caller);
        if !caller.may_call(name) {
            return Err(Refusal::Denied(name.clone()));
        }
        malformed::head(head).map_err(|why| Refusal::BadRequest(why.to_string()))?;
        Ok(caller)
    }

    /// Opens a stream on one of the caller's lanes. One that takes no new streams after all is left out from then on,
    /// and the next one tried: nothing of the call has been sent.
    async fn open(
        &mut self,
        name: &Name,
        caller: &Caller,
        head: Parts,
        end_stream: bool,
    ) -> Result<Opened, Closed> {
        self.wait_for_turn().await.map_err(Closed::ByClient)?;
        let lanes = self.client.lanes.lanes_for(caller, name);
        loop {
            let acquired = unless_reset(&mut self.respond, lanes.acquire()).await;
            let mut permit = acquired.map_err(Closed::ByClient)?.map_err(Closed::Refused)?;
            let forwarded = forwarded_head(&head, &permit.session().agent);
            match permit.open(forwarded, end_stream) {
                Ok((response, send)) => return Ok(Opened { permit, response, send }),
                Err(_) if permit.is_refused().await => permit.give_up_lane(),
                // The lane is fine, so it is this request that cannot be sent.
                Err(error) => return Err(Closed::Refused(Refusal::BadRequest(error.to_string()))),
            }
        }
    }

    /// Answers it from the hub's own services.
    async fn answer_here(
        mut self,
        caller: Result<Caller, Refusal>,
        mut request: Request<RecvStream>,
    ) {
        match caller {
            Ok(caller) => drop(request.extensions_mut().insert(caller)),
            // Health tells for itself what it tells to whom.
            Err(_) if services::is_health(request.uri().path()) => {}
            Err(refusal) => {
                drop(request);
                return self.refuse(&refusal).await;
            }
        }
        if let Err(reason) = self.wait_for_answer().await {
            return self.given_up(reason);
        }
        let client = self.client.clone();
        let Ok(_one) = client.own_calls.try_acquire() else {
            client.reached(Limit::OwnCalls);
            drop(request);
            return self.refuse(&Refusal::OwnCalls).await;
        };
        // The services read all of a request; what they hold of it has a limit of its own.
        let _window = client.growth(request.body().stream_id()).whole();
        let services = client.origin.hub.services.clone();
        let answered = bridge::serve(services, request, self.respond).await;
        if answered.is_err() {
            self.paces.gave_up();
        }
        self.record.answered(&answered);
    }

    /// Answers it in the agent's stead. Nothing of the call is held while it waits but the right to answer it.
    async fn refuse(mut self, refusal: &Refusal) {
        match self.wait_for_answer().await {
            Ok(()) => {
                let outcome = refuse(&mut self.respond, refusal, self.form);
                self.record.refused(outcome, refusal);
            }
            Err(reason) => self.given_up(reason),
        }
    }

    /// Waits until a call of this caller with such a head may begin.
    async fn wait_for_turn(&mut self) -> Result<(), Reason> {
        if !self.has_begun {
            unless_reset(&mut self.respond, self.paces.may_begin(self.head)).await?;
            self.has_begun = true;
        }
        Ok(())
    }

    /// Waits until the hub itself may answer it.
    async fn wait_for_answer(&mut self) -> Result<(), Reason> {
        self.wait_for_turn().await?;
        unless_reset(&mut self.respond, self.paces.may_be_answered()).await
    }

    fn given_up(self, reason: Reason) {
        if self.has_begun {
            self.paces.gave_up();
        }
        self.record.ended(End::ClientReset(reason), Outcome::Reset(reason), None);
    }
}

/// Waits for something, for as long as the client wants the call: one that is dead already must hold nothing, and must
/// not reach an upstream, whose guard would count it.
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

/// The head as the agent's server gets it: as it came, but for `:scheme` and `:authority` as the agent asked, and
/// without what is between the client and the hub.
fn forwarded_head(head: &Parts, agent: &Agent) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.headers_mut() = head.headers.clone();
    strip(request.headers_mut());
    if agent.authority.is_some() {
        // Servers may refuse a host that differs from :authority (RFC 9113 8.3.1).
        request.headers_mut().remove(HOST);
    }
    *request.uri_mut() = forwarded_uri(head, agent);
    request
}

fn forwarded_uri(head: &Parts, agent: &Agent) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(agent.scheme.clone());
    let authority = agent.authority.clone().or_else(|| head.uri.authority().cloned());
    parts.authority = Some(authority.unwrap_or_else(|| host_or_name(&head.headers, agent)));
    parts.path_and_query =
        head.uri.path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
    // Cannot fail: it has all three parts.
    Uri::from_parts(parts).unwrap_or_default()
}

/// A request may lack `:authority` (RFC 9113 8.3.1); h2 does not send one without.
fn host_or_name(headers: &HeaderMap, agent: &Agent) -> Authority {
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    // Every name is a valid host.
    host.or_else(|| Authority::try_from(agent.name.as_str()).ok())
        .unwrap_or_else(|| Authority::from_static("localhost"))
}
