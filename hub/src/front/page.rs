//! The page at the admin listener: its files, and the services that it is fed by. Whoever reaches that listener sees all names,
//! as at `/metrics`, and changes nothing.

use std::net::IpAddr;

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower_layer::Layer as _;
use tower_service::Service as _;

use crate::config::auth::Caller;
use crate::context::hub::Hub;
use crate::services;

/// Its files, made from `hub/page` and compiled in: a hub serves it where nothing else is reached.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("/", "text/html; charset=utf-8", include_bytes!("../../page/dist/index.html")),
    ("/page.js", "text/javascript; charset=utf-8", include_bytes!("../../page/dist/page.js")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("../../page/dist/page.css")),
    ("/favicon.svg", "image/svg+xml", include_bytes!("../../page/dist/favicon.svg")),
];

/// Nothing from anywhere else, and nothing that is not a file: what names, labels and methods say is others' text.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Whether the page's part of the listener is asked for, and not another.
pub(super) fn is_asked_for(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    FILES.iter().any(|(file, ..)| *file == path) || services::is_hubs_alone(path)
}

/// Answers with a file, or as a service of the hub does.
pub(super) async fn answer(
    request: Request<Incoming>,
    hub: &Hub,
    is_local: bool,
) -> Response<Body> {
    if is_local && !is_for_this_machine(request.headers()) {
        return told(
            StatusCode::FORBIDDEN,
            "the admin listener is this machine's alone: ask for localhost, or for its address\n",
        );
    }
    let path = request.uri().path();
    match FILES.iter().find(|(file, ..)| *file == path) {
        Some((_, kind, bytes)) => file(&request, kind, bytes),
        None => served(request, hub).await,
    }
}

fn file(request: &Request<Incoming>, kind: &'static str, bytes: &'static [u8]) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = told(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD only\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let tag = tag(bytes);
    let is_known = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut response = Response::new(if is_known || request.method() == Method::HEAD {
        Body::empty()
    } else {
        Body::new(http_body_util::Full::new(bytes.into()))
    });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // A newer hub has a newer page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ETAG, tag);
    response
}

/// Differs whenever the file does.
fn tag(bytes: &[u8]) -> HeaderValue {
    let hash = Sha256::digest(bytes);
    let short = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    // Hexadecimal in quotes is a good value.
    HeaderValue::from_str(&format!("\"{short}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// By gRPC-Web. Of no other origin's pages: their browsers ask first for such a content type, and are not told that they may.
async fn served(request: Request<Incoming>, hub: &Hub) -> Response<Body> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_web = kind.is_some_and(|kind| kind.starts_with("application/grpc-web"));
    if request.method() != Method::POST || !is_web {
        return told(StatusCode::UNSUPPORTED_MEDIA_TYPE, "gRPC-Web only: this is for the page\n");
    }
    let is_list = !request.uri().path().starts_with("/hub.v1.Activity/");
    let place = match hub.page_streams.clone().try_acquire_owned() {
        Ok(place) => Some(place).filter(|_| !is_list),
        Err(_) if is_list => None,
        Err(_) => {
            return told(StatusCode::SERVICE_UNAVAILABLE, "too many pages watch: close some\n");
        }
    };
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Caller::anybody());
    let mut services = GrpcWebLayer::new().layer(hub.services.clone());
    match services.call(request).await {
        Ok(mut response) if is_list => {
            // Between two questions, its connection is somebody else's: there are few, and probes need one.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
        Ok(response) => response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                // Until the last of them.
                let _place = &place;
                frame
            }))
        }),
        Err(never) => match never {},
    }
}

/// Whether it is asked for by a name that only this machine has. A page of a stranger whose name leads here, by a trick with DNS,
/// has the stranger's.
fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

fn told(status: StatusCode, sentence: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(sentence.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        let is_ours = |host: &'static str| {
            is_for_this_machine(&HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]))
        };
        for ours in [
            "localhost",
            "localhost:8081",
            "127.0.0.1:8081",
            "[::1]:8081",
            "[::1]",
            "a.localhost:1",
            "10.0.0.1",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "",
            "evil.test",
            "evil.test:8081",
            "localhost.evil.test",
            "127.0.0.1.evil.test:80",
            "notlocalhost",
        ] {
            assert!(!is_ours(other), "{other}");
        }
        assert!(!is_for_this_machine(&HeaderMap::new()));
    }

    #[test]
    fn the_page_is_small_and_refers_to_nothing_else() {
        let size: usize = FILES.iter().map(|(.., bytes)| bytes.len()).sum();
        assert!(size < 200 << 10, "{size}");
        let [(.., html), ..] = FILES;
        let html = std::str::from_utf8(html).expect("text");
        assert!(
            !html.contains("http:") && !html.contains("https:") && !html.contains("//"),
            "{html}"
        );
        for (path, ..) in &FILES[1..] {
            assert!(html.contains(&format!("\"{}\"", &path[1..])), "{path}");
        }
    }
}
