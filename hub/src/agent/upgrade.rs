//! The WebSocket with which an agent registers: over HTTP/1.1 by an upgrade (RFC 6455), over HTTP/2 by CONNECT (RFC 8441).

use std::sync::Arc;

use futures_util::future::join_all;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tracing::{debug, info};
use tunnel::name::Name;
use tunnel::registration::{Exposed, Registration, first_name};
use tunnel::wire;

use crate::config::auth::{Denied, Holder, Ownership};
use crate::config::networks::network;
use crate::context::hub::{Hub, random_id};
use crate::context::origin::Origin;
use crate::directory::{Claim, ClaimError};
use crate::limits::{LOGGED_MAX, REFUSAL_PAUSE, RETRY_AFTER_SECONDS, RETRY_BUSY_SECONDS};
use crate::observe::activity::What;
use crate::observe::limit::Limit;
use crate::registry::Admitted;

/// Answers a request for a session: with whom it is for, or with why there is none.
pub(crate) async fn answer<B>(
    request: &Request<B>,
    origin: &Origin,
) -> Result<(Response<()>, Admitted), Response<String>> {
    // Whoever is behind a trusted proxy is who registers.
    let origin = origin.of(origin.behind_headers(request.headers()));
    match admit(request, &origin).await {
        Ok(admitted) => Ok(admitted),
        Err(rejection) => {
            refused(request, &rejection, &origin);
            // Or it would be asked again at once.
            sleep(REFUSAL_PAUSE).await;
            Err(rejection.into_response(&origin.hub.node_id, request.version()))
        }
    }
}

fn refused<B>(request: &Request<B>, rejection: &Rejection, Origin { hub, peer, .. }: &Origin) {
    let path = request.uri().path();
    // Scanners ask for other paths all day; only an agent asks for this one.
    if path == wire::PATH {
        hub.metrics.registration_refused(rejection.reason);
    }
    if [BUSY, ELSEWHERE].contains(&rejection.reason) {
        // The one thousands a second, just when there is enough to do; the other is asked for.
        return debug!(%peer, error = rejection.sentence, "registration refused");
    }
    let name = request.headers().get(wire::HUB_NAME);
    if path == wire::PATH {
        let first = first_name(request.headers());
        let what = What::Refused { reason: rejection.reason, address: *peer };
        hub.activity.publish(|| (first, String::new(), what));
    }
    info!(
        %peer,
        path = shortened(path.as_bytes()),
        name = name.map(|name| shortened(name.as_bytes())),
        status = rejection.status.as_u16(),
        error = rejection.sentence,
        "registration refused",
    );
}

/// What a stranger sends does not fill the log.
fn shortened(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LOGGED_MAX)]).into_owned()
}

/// The metrics' label of what a hub that is behind does not take now.
const BUSY: &str = "busy";

/// Of what is not to be here.
const ELSEWHERE: &str = "elsewhere";

/// Why there is no upgrade.
#[derive(Debug, PartialEq, Eq)]
struct Rejection {
    status: StatusCode,
    header: Option<(HeaderName, HeaderValue)>,
    /// What an agent's log shows.
    sentence: String,
    /// The metrics' label.
    reason: &'static str,
}

impl Rejection {
    fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        let reason = match status {
            StatusCode::UNAUTHORIZED => "unauthenticated",
            StatusCode::FORBIDDEN => "denied",
            StatusCode::CONFLICT => "owned",
            StatusCode::UPGRADE_REQUIRED => "version",
            StatusCode::TOO_MANY_REQUESTS => "limit",
            StatusCode::SERVICE_UNAVAILABLE => "draining",
            StatusCode::MISDIRECTED_REQUEST => ELSEWHERE,
            _ => "bad-request",
        };
        Self { status, header: None, sentence: sentence.into(), reason }
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    /// With the mark of a hub's own answers: others may answer in its stead.
    fn into_response(self, node_id: &str, version: Version) -> Response<String> {
        let mut response = Response::new(self.sentence + "\n");
        *response.status_mut() = self.status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        if version != Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mark = HeaderValue::from_str(node_id).ok();
        response
            .headers_mut()
            .extend(mark.map(|id| (HeaderName::from_static(wire::HUB_NODE_ID), id)));
        response.headers_mut().extend(self.header);
        response
    }
}

/// Checks everything that can be checked before the session begins.
async fn admit<B>(
    request: &Request<B>,
    origin: &Origin,
) -> Result<(Response<()>, Admitted), Rejection> {
    check_path(request)?;
    check_subprotocol(request.headers())?;
    let address = network(origin.peer.ip());
    let registrants = &origin.hub.registrants;
    check_wanted(request.headers(), &origin.hub)?;
    if !registrants.admit(address) {
        return Err(too_many(origin));
    }
    let mut response = accept(request)?;
    let mut admitted = admit_agent(request.headers(), origin)?;
    // Each name costs what an agent does.
    let others = u32::try_from(admitted.registration.others.len()).unwrap_or(u32::MAX);
    if !registrants.admit_all(address, others) {
        registrants.give_back(address, 1);
        return Err(too_many(origin));
    }
    if !origin.hub.pace.admit(origin.hub.registry.is_there(&admitted)).await {
        registrants.give_back(address, 1 + others);
        return Err(Rejection { reason: BUSY, ..busy() });
    }
    admitted.claims = claims(&admitted, &origin.hub).await.inspect_err(|rejection| {
        if rejection.status == StatusCode::SERVICE_UNAVAILABLE {
            // It is no fault of theirs, and they come again.
            registrants.give_back(address, 1 + others);
        }
    })?;
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(wire::SUBPROTOCOL));
    for (name, value) in [
        (wire::HUB_SESSION_ID, admitted.id.clone()),
        (wire::HUB_NODE_ID, origin.hub.node_id.clone()),
        (wire::HUB_SESSIONS, origin.hub.advised_sessions.to_string()),
        (wire::HUB_HUBS, origin.hub.registry.hubs().to_string()),
        (
            wire::HUB_KEEPALIVE_INTERVAL,
            origin.hub.config.keepalive.interval.as_millis().to_string(),
        ),
    ] {
        headers.extend(
            HeaderValue::try_from(value).ok().map(|value| (HeaderName::from_static(name), value)),
        );
    }
    Ok((response, admitted))
}

fn too_many(origin: &Origin) -> Rejection {
    origin.hub.limits.reached(Limit::Registrations, origin.peer, None);
    let sentence = "too many registrations from this address";
    let rejection = Rejection::new(StatusCode::TOO_MANY_REQUESTS, sentence);
    rejection.with(RETRY_AFTER, RETRY_AFTER_SECONDS)
}

fn busy() -> Rejection {
    let sentence = "this hub is busy: come back later";
    Rejection::new(StatusCode::SERVICE_UNAVAILABLE, sentence).with(RETRY_AFTER, RETRY_BUSY_SECONDS)
}

fn check_path<B>(request: &Request<B>) -> Result<(), Rejection> {
    if request.uri().path() != wire::PATH {
        let sentence = format!("agents open a WebSocket at {}, and nobody else does", wire::PATH);
        return Err(Rejection::new(StatusCode::NOT_FOUND, sentence));
    }
    if request.version() == Version::HTTP_2 {
        return check_connect(request);
    }
    if request.method() != Method::GET {
        let sentence = format!("{} is for WebSockets only", wire::PATH);
        let get = HeaderValue::from_static("GET");
        return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, sentence).with(ALLOW, get));
    }
    Ok(())
}

/// Over HTTP/2 a WebSocket is CONNECT with a protocol (RFC 8441 4).
fn check_connect<B>(request: &Request<B>) -> Result<(), Rejection> {
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    if request.method() == Method::CONNECT && protocol == Some("websocket") {
        return Ok(());
    }
    let sentence = format!("{} is for WebSockets only", wire::PATH);
    Err(Rejection::new(StatusCode::BAD_REQUEST, sentence))
}

/// Over HTTP/2 a key has no meaning (RFC 8441 5). But Envoy (1.40) passes that of an agent on, and leaves its answer, which
/// the agent waits for, to whom it passes it on to.
fn accept_over_http2(headers: &HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    let key = headers.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    if let Some(Ok(accept)) = key.map(HeaderValue::try_from) {
        response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// The head of the answer that makes a WebSocket of the request.
fn accept<B>(request: &Request<B>) -> Result<Response<()>, Rejection> {
    if request.version() == Version::HTTP_2 {
        if request.headers().get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version == "13") {
            return Ok(accept_over_http2(request.headers()));
        }
        let sentence = "this hub speaks version 13 of WebSocket";
        let version = HeaderValue::from_static("13");
        let rejection = Rejection::new(StatusCode::UPGRADE_REQUIRED, sentence);
        return Err(rejection.with(SEC_WEBSOCKET_VERSION, version));
    }
    create_response(&bare(request)).map_err(|_| {
        let sentence = format!(
            "{} is for WebSockets only; if an agent asks, something in between takes its Upgrade or Connection away",
            wire::PATH
        );
        let upgrade = HeaderValue::from_static("websocket");
        Rejection::new(StatusCode::UPGRADE_REQUIRED, sentence).with(UPGRADE, upgrade)
    })
}

/// An unknown version is told apart from a stranger: its agent must be updated, or this hub.
fn check_subprotocol(headers: &HeaderMap) -> Result<(), Rejection> {
    let offers: Vec<_> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    if offers.contains(&wire::SUBPROTOCOL) {
        return Ok(());
    }
    let wanted = HeaderValue::from_static(wire::SUBPROTOCOL);
    match offers.iter().find(|offer| offer.starts_with(wire::SUBPROTOCOL_FAMILY)) {
        Some(other) => {
            let sentence = format!("this hub speaks {}, not {other}", wire::SUBPROTOCOL);
            let rejection = Rejection::new(StatusCode::UPGRADE_REQUIRED, sentence);
            Err(rejection.with(SEC_WEBSOCKET_PROTOCOL, wanted))
        }
        None if headers.contains_key(UPGRADE) => {
            let sentence = format!("offer the WebSocket subprotocol {}", wire::SUBPROTOCOL);
            Err(Rejection::new(StatusCode::BAD_REQUEST, sentence))
        }
        // Not even a WebSocket: told so by what follows.
        None => Ok(()),
    }
}

/// An agent that is here already looks for another hub.
fn check_wanted(headers: &HeaderMap, hub: &Hub) -> Result<(), Rejection> {
    let not_at = headers.get(wire::HUB_NOT_AT).and_then(|value| value.to_str().ok());
    if not_at.is_some_and(|nodes| nodes.split(',').any(|node| node.trim() == hub.node_id)) {
        let sentence = "the agent is at this hub already, and asks for another one";
        return Err(Rejection::new(StatusCode::MISDIRECTED_REQUEST, sentence));
    }
    Ok(())
}

fn admit_agent(headers: &HeaderMap, origin: &Origin) -> Result<Admitted, Rejection> {
    let hub: &Arc<Hub> = &origin.hub;
    let registration = Registration::from_headers(headers)
        .map_err(|error| Rejection::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let mut tokens = headers.get_all(wire::HUB_TOKEN).iter().map(HeaderValue::as_bytes);
    let token = tokens.next();
    if tokens.next().is_some() {
        let sentence = format!("the header {} is given more than once", wire::HUB_TOKEN);
        return Err(Rejection::new(StatusCode::BAD_REQUEST, sentence));
    }
    let keys = hub.doors.keys(origin.worker);
    // A token is one holder's, whichever name is asked for.
    let mut holder = None;
    for Exposed { name, .. } in registration.exposed() {
        holder = keys.auth.agent(token, name).map_err(|denied| denial(denied, name))?;
        let checked = hub.registry.check_owner(name, holder.as_ref(), &registration.instance);
        checked.map_err(|owned| Rejection::new(StatusCode::CONFLICT, owned.to_string()))?;
    }
    if hub.stop.is_moving() {
        let rejection =
            Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "this hub is shutting down");
        return Err(rejection.with(RETRY_AFTER, RETRY_AFTER_SECONDS));
    }
    let (peer, worker) = (origin.peer, origin.worker);
    Ok(Admitted { id: random_id(), registration, holder, peer, worker, claims: Vec::new() })
}

/// Where there is a directory of hubs, an agent's exclusive names are its own at all of them.
async fn claims(admitted: &Admitted, hub: &Hub) -> Result<Vec<Claim>, Rejection> {
    let Admitted { registration, holder, .. } = admitted;
    let is_exclusive = |holder: &&Holder| holder.ownership() == Ownership::Exclusive;
    let exclusive = holder.as_ref().filter(is_exclusive).zip(hub.config.peering.directory.as_ref());
    let Some((holder, _)) = exclusive else { return Ok(Vec::new()) };
    // No header has such a character in it.
    let who = format!("{}\n{}", registration.instance, holder.id());
    let claims = registration.exposed().map(|exposed| hub.claims.claim(&exposed.name, &who));
    // All of them are waited for: what is asked for and given up has to be taken back.
    let claims: Result<_, _> = join_all(claims).await.into_iter().collect();
    claims.map_err(|error| unclaimed(&error))
}

fn unclaimed(error: &ClaimError) -> Rejection {
    match error {
        ClaimError::Taken(_) => Rejection::new(StatusCode::CONFLICT, error.to_string()),
        ClaimError::Away(_) => {
            let rejection = Rejection::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
            let rejection = rejection.with(RETRY_AFTER, RETRY_AFTER_SECONDS);
            Rejection { reason: "directory", ..rejection }
        }
    }
}

fn denial(denied: Denied, name: &Name) -> Rejection {
    match denied {
        Denied::NoToken => {
            let sentence = "this hub wants an agent's token; set --token-file";
            Rejection::new(StatusCode::UNAUTHORIZED, sentence)
        }
        Denied::UnknownToken => {
            let sentence = "this hub does not know the agent's token";
            Rejection::new(StatusCode::UNAUTHORIZED, sentence)
        }
        Denied::Name => {
            let sentence = format!("the token is not good for the name \"{name}\"");
            Rejection::new(StatusCode::FORBIDDEN, sentence)
        }
    }
}

/// The request without its body, as tungstenite wants to see it.
pub(crate) fn bare<B>(request: &Request<B>) -> Request<()> {
    let mut bare = Request::new(());
    *bare.method_mut() = request.method().clone();
    *bare.uri_mut() = request.uri().clone();
    *bare.version_mut() = request.version();
    *bare.headers_mut() = request.headers().clone();
    bare
}

#[cfg(test)]
mod tests;
