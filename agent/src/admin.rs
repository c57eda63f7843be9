//! The admin listener: `/healthz`, `/readyz`, `/metrics`. No traffic shares it.

use std::future::pending;
use std::sync::Arc;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tracing::info;
use tunnel::admin;

use crate::reach::Reach;
use crate::shared::Shared;

/// What somebody is told who looks for something else here.
const ELSEWHERE: &str = "this is an agent's admin listener: /healthz, /readyz, /metrics\n";
const PLAIN: &str = "text/plain";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4";

/// Serves it, for ever, if there is one.
pub(crate) async fn serve(agent: Arc<Shared>) {
    let Some(listener) = agent.config.admin.clone() else { return pending().await };
    if let Ok(address) = listener.local_addr() {
        info!(%address, "admin listening");
    }
    let answer = move |request| std::future::ready(answer(&request, &agent));
    admin::serve(&listener, answer).await;
}

fn answer<B>(request: &Request<B>, agent: &Shared) -> Response<String> {
    let (status, content_type, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => readiness(agent, request.uri().query()),
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, METRICS, metrics(agent)),
        (_, "/healthz" | "/readyz" | "/metrics") => {
            (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET only\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, PLAIN, ELSEWHERE.to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// Whether the agent is registered, which it is with all of its names, and calls get through to all servers, or to that of the
/// name that is asked for (`name=`).
fn readiness(agent: &Shared, query: Option<&str>) -> (StatusCode, &'static str, String) {
    let mut pairs = query.unwrap_or_default().split('&');
    let asked = pairs.find_map(|pair| pair.strip_prefix("name="));
    let is_asked = |reach: &&Arc<Reach>| asked.is_none_or(|name| name == reach.name());
    let reaches: Vec<_> = agent.reaches.iter().filter(is_asked).collect();
    if reaches.is_empty() {
        let body = format!("no such name; there is {}\n", agent.config.names());
        return (StatusCode::NOT_FOUND, PLAIN, body);
    }
    if agent.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, PLAIN, "draining\n".to_owned());
    }
    let not_ready: String =
        reaches.iter().filter_map(|reach| why_not_ready(agent, reach)).collect();
    if not_ready.is_empty() {
        (StatusCode::OK, PLAIN, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, PLAIN, not_ready)
    }
}

/// In one line, if it is not. An upstream that nobody has a connection to is asked for life; the next one who asks here
/// hears what came of it.
fn why_not_ready(agent: &Shared, reach: &Reach) -> Option<String> {
    reach.monitor.look();
    let registered = agent.standing.why_not_registered();
    let registered = registered.map(|why| format!("not registered: {why}"));
    let reasons: Vec<_> = registered.into_iter().chain(reach.monitor.why_not_up()).collect();
    // What others have said may be of several lines.
    let line = reasons.join("; ").replace(char::is_control, " ");
    (!reasons.is_empty()).then(|| format!("{}: {line}\n", reach.name()))
}

fn metrics(agent: &Shared) -> String {
    agent.metrics.set_registered(agent.standing.why_not_registered().is_none());
    for reach in &agent.reaches {
        reach.metrics.set_up(reach.monitor.why_not_up().is_none());
    }
    agent.metrics.render(&agent.standing.seen())
}
