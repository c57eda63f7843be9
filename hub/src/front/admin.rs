//! The admin listener: a page, `/metrics`, `/healthz`, `/readyz`, `/reload`. No traffic shares it.

use std::sync::Arc;

use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, ORIGIN};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tonic::body::Body;
use tunnel::{admin, wire};

use super::page;
use crate::context::hub::Hub;
use crate::message::refusal::{BadName, Refusal};
use crate::observe::metrics::{There, open_metrics};

/// What an agent logs that was given this port.
const ELSEWHERE: &str = "this is the hub's admin listener: a page at /, /metrics, /healthz, /readyz, and POST /reload\n";

/// Serves it, for ever.
pub(crate) async fn serve(listener: TcpListener, hub: Arc<Hub>) {
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let answer = move |request| answer(request, hub.clone(), is_local);
    admin::serve(&listener, answer).await;
}

async fn answer(request: Request<Incoming>, hub: Arc<Hub>, is_local: bool) -> Response<Body> {
    let mut response = if page::is_asked_for(&request) {
        page::answer(request, &hub, is_local).await
    } else {
        text(&request, &hub).await.map(Body::new)
    };
    // An agent that is sent here by mistake is told so in the hub's own words.
    let mark = HeaderValue::from_str(&hub.node_id).ok();
    response.headers_mut().extend(mark.map(|id| (HeaderName::from_static(wire::HUB_NODE_ID), id)));
    response
}

async fn text(request: &Request<Incoming>, hub: &Arc<Hub>) -> Response<String> {
    let path = request.uri().path();
    let (status, content_type, body) = match (request.method(), path) {
        (&Method::GET | &Method::HEAD, "/metrics") => metrics(request, hub).await,
        (&Method::GET | &Method::HEAD, "/healthz") => {
            (StatusCode::OK, "text/plain", "ok\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, "/readyz") => readiness(hub, request.uri().query()),
        // A page of somebody else's may send it, though it may not read the answer.
        (&Method::POST, "/reload") if request.headers().contains_key(ORIGIN) => {
            (StatusCode::FORBIDDEN, "text/plain", "not for pages\n".to_owned())
        }
        (&Method::POST, "/reload") => reload(hub),
        (_, "/metrics" | "/healthz" | "/readyz") => not_allowed("GET"),
        (_, "/reload") => not_allowed("POST"),
        _ => (StatusCode::NOT_FOUND, "text/plain", ELSEWHERE.to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = if path == "/reload" { "POST" } else { "GET, HEAD" };
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

fn not_allowed(allowed: &str) -> (StatusCode, &'static str, String) {
    (StatusCode::METHOD_NOT_ALLOWED, "text/plain", format!("{allowed} only\n"))
}

/// Whoever asks changes nothing that is not in the files already. Not in a loop: all that is open looks at itself.
fn reload(hub: &Hub) -> (StatusCode, &'static str, String) {
    if hub.reloads.lock().take(1).is_err() {
        let sentence = "reloaded a moment ago: try again in a second\n".to_owned();
        return (StatusCode::TOO_MANY_REQUESTS, "text/plain", sentence);
    }
    match hub.reload() {
        Ok(()) => (StatusCode::OK, "text/plain", "reloaded\n".to_owned()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
    }
}

/// As OpenMetrics for who takes that, as Prometheus does. Of many names it takes some milliseconds, for which nobody waits.
async fn metrics(
    request: &Request<Incoming>,
    hub: &Arc<Hub>,
) -> (StatusCode, &'static str, String) {
    let accepted = request.headers().get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|accepted| accepted.to_str().ok());
    let is_open = accepted.any(open_metrics::is_accepted);
    let hub = hub.clone();
    let rendered = tokio::task::spawn_blocking(move || {
        let there = There { directory_age: hub.directory.age(), ..hub.registry.there() };
        let names = hub.registry.overview();
        if is_open {
            hub.metrics.render_open(&there, &names)
        } else {
            hub.metrics.render(&there, &names)
        }
    });
    let content_type =
        if is_open { open_metrics::CONTENT_TYPE } else { "text/plain; version=0.0.4" };
    match rendered.await {
        Ok(text) => (StatusCode::OK, content_type, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
    }
}

/// Of the hub, and of all names that are asked about: `?name=billing&name=stock`.
fn readiness(hub: &Hub, query: Option<&str>) -> (StatusCode, &'static str, String) {
    if hub.stop.is_leaving() {
        return (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "draining\n".to_owned());
    }
    if hub.beginning.lasts() {
        let waits = "waiting for the other hubs\n".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, "text/plain", waits);
    }
    let parts = query.unwrap_or_default().split('&');
    let names = parts.filter_map(|part| part.strip_prefix("name="));
    let away: Vec<_> = names.filter_map(|name| name_is_away(hub, name)).collect();
    // The first says what is wrong; there is a line for each.
    match away.first() {
        None => (StatusCode::OK, "text/plain", "ready\n".to_owned()),
        Some((status, _)) => {
            let lines = away.iter().map(|(_, line)| format!("{line}\n")).collect();
            (*status, "text/plain", lines)
        }
    }
}

/// Why calls for a name cannot be served, if they cannot. No name has a character that a query escapes.
fn name_is_away(hub: &Hub, name: &str) -> Option<(StatusCode, String)> {
    let name = match name.parse() {
        Ok(name) => name,
        Err(error) => return Some((StatusCode::BAD_REQUEST, BadName::Invalid(error).to_string())),
    };
    let why = hub.registry.why_not(&name)?;
    let status = match why {
        Refusal::UnknownName(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Some((status, why.to_string()))
}
