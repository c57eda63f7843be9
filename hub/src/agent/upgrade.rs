//! HTTP/1.1 on the hub's port: the WebSocket upgrade with which an agent registers, and plain words for
//! whoever else comes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tracing::{debug, info};
use tunnel::box_io::BoxIo;
use tunnel::registration::Registration;
use tunnel::wire;

use crate::agent::registrar;
use crate::client::groups::network;
use crate::config::auth::Denied;
use crate::context::hub::{Hub, random_id};
use crate::context::origin::Origin;
use crate::guard::handshakes::Handshake;
use crate::limits::{
    HANDSHAKE_TIMEOUT, LOGGED_MAX, REFUSAL_PAUSE, REQUEST_HEAD, RETRY_AFTER_SECONDS,
    RETRY_BUSY_SECONDS,
};
use crate::observe::limit::Limit;
use crate::registry::Admitted;

/// Serves one HTTP/1.1 connection: one request, and after an upgrade the session on it.
pub(crate) async fn serve(io: BoxIo, origin: Origin, handshake: Handshake<'_>) {
    let upgraded = Mutex::new(None);
    let answer = service_fn(|request| async {
        Ok::<_, std::convert::Infallible>(answer(request, &origin, &upgraded).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .max_buf_size(REQUEST_HEAD)
        .serve_connection(TokioIo::new(io), answer)
        .with_upgrades();
    // The whole exchange: hyper's own timeout is for reading the head alone.
    let connection = tokio::select! {
        ended = timeout(HANDSHAKE_TIMEOUT, connection) => ended,
        () = handshake.ousted() => return origin.hub.limits.reached(Limit::Handshakes, origin.peer, None),
    };
    drop(handshake);
    match connection {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return debug!(peer = %origin.peer, %error, "HTTP/1.1 connection failed"),
        Err(_) => {
            return debug!(peer = %origin.peer, error = "too slow", "HTTP/1.1 connection failed");
        }
    }
    let Some((upgrade, admitted)) = upgraded.into_inner() else {
        return;
    };
    let Some((io, read)) = websocket(upgrade).await else {
        return;
    };
    registrar::serve(io, read, admitted, origin).await;
}

/// The WebSocket's byte stream, and what was read of it behind the request.
async fn websocket(upgrade: OnUpgrade) -> Option<(BoxIo, Bytes)> {
    let upgraded = timeout(HANDSHAKE_TIMEOUT, upgrade).await.ok()?.ok()?;
    // It is what `serve` put in: taking it out leaves hyper's own layer behind.
    let parts = upgraded.downcast::<TokioIo<BoxIo>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

type Upgraded = Mutex<Option<(OnUpgrade, Admitted)>>;

async fn answer(
    mut request: Request<Incoming>,
    origin: &Origin,
    upgraded: &Upgraded,
) -> Response<String> {
    match admit(&request, origin).await {
        Ok((response, admitted)) => {
            *upgraded.lock() = Some((hyper::upgrade::on(&mut request), admitted));
            response
        }
        Err(rejection) => {
            refused(&request, &rejection, origin);
            // Or it would be asked again at once.
            sleep(REFUSAL_PAUSE).await;
            rejection.into_response(&origin.hub.node_id)
        }
    }
}

fn refused(request: &Request<Incoming>, rejection: &Rejection, Origin { hub, peer, .. }: &Origin) {
    let path = request.uri().path();
    // Scanners ask for other paths all day; only an agent asks for this one.
    if path == wire::PATH {
        hub.metrics.registration_refused(rejection.reason);
    }
    if rejection.reason == BUSY {
        // Thousands a second, just when there is enough to do.
        return debug!(%peer, error = rejection.sentence, "HTTP/1.1 request refused");
    }
    let name = request.headers().get(wire::HUB_NAME);
    info!(
        %peer,
        path = shortened(path.as_bytes()),
        name = name.map(|name| shortened(name.as_bytes())),
        status = rejection.status.as_u16(),
        error = rejection.sentence,
        "HTTP/1.1 request refused",
    );
}

/// What a stranger sends does not fill the log.
fn shortened(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LOGGED_MAX)]).into_owned()
}

/// The metrics' label of what a hub that is behind does not take now.
const BUSY: &str = "busy";

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
            _ => "bad-request",
        };
        Self { status, header: None, sentence: sentence.into(), reason }
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    /// With the mark of a hub's own answers: others may answer in its stead.
    fn into_response(self, node_id: &str) -> Response<String> {
        let mut response = Response::new(self.sentence + "\n");
        *response.status_mut() = self.status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
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
) -> Result<(Response<String>, Admitted), Rejection> {
    check_path(request.method(), request.uri().path())?;
    check_subprotocol(request.headers())?;
    let address = network(origin.peer.ip());
    if !origin.hub.registrants.admit(address) {
        origin.hub.limits.reached(Limit::Registrations, origin.peer, None);
        let sentence = "too many registrations from this address";
        let rejection = Rejection::new(StatusCode::TOO_MANY_REQUESTS, sentence);
        return Err(rejection.with(RETRY_AFTER, RETRY_AFTER_SECONDS));
    }
    let bare = bare(request);
    let mut response = create_response(&bare).map_err(|_| {
        let sentence = format!(
            "{} is for WebSockets only; if an agent asks, something in between takes its Upgrade or Connection away",
            wire::PATH
        );
        let upgrade = HeaderValue::from_static("websocket");
        Rejection::new(StatusCode::UPGRADE_REQUIRED, sentence).with(UPGRADE, upgrade)
    })?;
    let admitted = admit_agent(request.headers(), origin)?;
    if !origin.hub.pace.admit(origin.hub.registry.is_there(&admitted)).await {
        origin.hub.registrants.give_back(address);
        return Err(Rejection { reason: BUSY, ..busy() });
    }
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(wire::SUBPROTOCOL));
    for (name, value) in [
        (wire::HUB_SESSION_ID, admitted.id.clone()),
        (wire::HUB_NODE_ID, origin.hub.node_id.clone()),
        (wire::HUB_SESSIONS, origin.hub.advised_sessions.to_string()),
        (
            wire::HUB_KEEPALIVE_INTERVAL,
            origin.hub.config.keepalive.interval.as_millis().to_string(),
        ),
    ] {
        headers.extend(
            HeaderValue::try_from(value).ok().map(|value| (HeaderName::from_static(name), value)),
        );
    }
    Ok((response.map(|()| String::new()), admitted))
}

fn busy() -> Rejection {
    let sentence = "this hub is busy: come back later";
    Rejection::new(StatusCode::SERVICE_UNAVAILABLE, sentence).with(RETRY_AFTER, RETRY_BUSY_SECONDS)
}

fn check_path(method: &Method, path: &str) -> Result<(), Rejection> {
    if path != wire::PATH {
        let sentence = format!(
            "gRPC clients speak HTTP/2 with this port, agents open a WebSocket at {}; nothing else is here",
            wire::PATH
        );
        return Err(Rejection::new(StatusCode::NOT_FOUND, sentence));
    }
    if method != Method::GET {
        let sentence = format!("{} is for WebSockets only", wire::PATH);
        let get = HeaderValue::from_static("GET");
        return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, sentence).with(ALLOW, get));
    }
    Ok(())
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
    let name = &registration.name;
    let holder = hub.doors.keys(origin.worker).auth.agent(token, name).map_err(|denied| {
        let (status, sentence) = match denied {
            Denied::NoToken => (
                StatusCode::UNAUTHORIZED,
                "this hub wants an agent's token; set --token-file".to_owned(),
            ),
            Denied::UnknownToken => {
                (StatusCode::UNAUTHORIZED, "this hub does not know the agent's token".to_owned())
            }
            Denied::Name => {
                (StatusCode::FORBIDDEN, format!("the token is not good for the name \"{name}\""))
            }
        };
        Rejection::new(status, sentence)
    })?;
    let instance = &registration.instance;
    hub.registry.check_owner(name, holder.as_ref(), instance).map_err(|_| {
        let sentence = format!("the name \"{name}\" has another agent, which is alive");
        Rejection::new(StatusCode::CONFLICT, sentence)
    })?;
    if hub.stop.is_moving() {
        let rejection =
            Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "this hub is shutting down");
        return Err(rejection.with(RETRY_AFTER, RETRY_AFTER_SECONDS));
    }
    let (peer, worker) = (origin.peer, origin.worker);
    Ok(Admitted { id: random_id(), registration, holder, peer, worker })
}

/// The request without its body, as tungstenite wants to see it.
fn bare<B>(request: &Request<B>) -> Request<()> {
    let mut bare = Request::new(());
    *bare.method_mut() = request.method().clone();
    *bare.uri_mut() = request.uri().clone();
    *bare.version_mut() = request.version();
    *bare.headers_mut() = request.headers().clone();
    bare
}

#[cfg(test)]
mod tests;
