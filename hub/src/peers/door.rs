//! The port for other hubs: TLS, and the WebSocket of whoever shows that it is one.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{CONTENT_TYPE, HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tracing::{info, warn};
use tunnel::box_io::BoxIo;
use tunnel::dial::TokenError;
use tunnel::limits::{ACCEPT_PAUSE, HEADER_MAX_BYTES};
use tunnel::{sockets, wire};

use super::link::{self, Guest};
use crate::agent::upgrade::bare;
use crate::context::hub::Hub;
use crate::limits::{HANDSHAKE_TIMEOUT, PEER_SLOTS, REQUEST_HEAD};
use crate::web::http1::websocket;

/// Why another hub has not come in.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("other hubs open a WebSocket at {}, and nobody else does", wire::PEER_PATH)]
    Path,
    #[error("this hub speaks {} with others", wire::PEER_SUBPROTOCOL)]
    Protocol,
    #[error("{} is for WebSockets only", wire::PEER_PATH)]
    NoWebSocket,
    #[error("the header {0} is missing, or wrong")]
    Header(&'static str),
    #[error("it has not the token of this hub; set --peer-token-file")]
    Token,
    #[error("{0}")]
    OwnToken(TokenError),
    #[error("it is this hub itself")]
    Myself,
    #[error(
        "there is a connection of that number already; does another address lead to the same hub?"
    )]
    Twice,
    #[error("this hub is shutting down")]
    Leaving,
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Protocol | Self::NoWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::Header(_) => StatusCode::BAD_REQUEST,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::OwnToken(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Myself | Self::Twice => StatusCode::CONFLICT,
            Self::Leaving => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The metrics' label.
    fn reason(&self) -> &'static str {
        match self {
            Self::Path | Self::NoWebSocket | Self::Header(_) => "bad-request",
            Self::Protocol => "version",
            Self::Token => "token",
            Self::OwnToken(_) => "own-token",
            Self::Myself => "myself",
            Self::Twice => "twice",
            Self::Leaving => "draining",
        }
    }
}

/// Accepts connections of other hubs and hands them to the workers, for ever.
pub(crate) async fn accept(listener: TcpListener, hub: Arc<Hub>, workers: Vec<Handle>) {
    let turn = AtomicUsize::new(0);
    loop {
        match listener.accept().await.and_then(|(tcp, peer)| Ok((tcp.into_std()?, peer))) {
            Ok((tcp, peer)) => {
                let worker = turn.fetch_add(1, Ordering::Relaxed) % workers.len();
                let serving = serve(tcp, peer, hub.clone(), worker);
                workers[worker].spawn(hub.connections.track_future(serving));
            }
            Err(error) => {
                warn!(%error, "cannot accept other hubs");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(tcp: TcpStream, peer: SocketAddr, hub: Arc<Hub>, worker: usize) {
    let handshake = hub.peer_handshakes.begin();
    let opened = tokio::select! {
        opened = timeout(HANDSHAKE_TIMEOUT, open(tcp, peer, &hub)) => opened,
        () = handshake.ousted() => return hub.metrics.peer_refused("too-many"),
    };
    drop(handshake);
    match opened {
        Ok(Ok(Some((io, read, guest)))) => {
            link::serve(io, read, guest, (peer, worker), hub).await;
        }
        // It was told why.
        Ok(Ok(None)) => {}
        Ok(Err(error)) => {
            hub.metrics.peer_refused("handshake");
            info!(%peer, %error, "no connection with another hub");
        }
        Err(_) => {
            hub.metrics.peer_refused("handshake");
            info!(%peer, error = "too slow", "no connection with another hub");
        }
    }
}

type Opened = (BoxIo, bytes::Bytes, Guest);

async fn open(tcp: TcpStream, peer: SocketAddr, hub: &Hub) -> io::Result<Option<Opened>> {
    let tcp = tokio::net::TcpStream::from_std(tcp)?;
    sockets::tune(&tcp)?;
    let io: BoxIo = match &hub.config.peering.tls {
        Some(tls) => Box::new(TlsAcceptor::from(tls.server.clone()).accept(tcp).await?),
        None => Box::new(tcp),
    };
    let let_in = Mutex::new(None);
    let answer = |mut request: Request<Incoming>| {
        let answered = check(&request, hub).map(|(response, guest)| {
            *let_in.lock() = Some((hyper::upgrade::on(&mut request), guest));
            response
        });
        let answered = answered.unwrap_or_else(|refused| {
            hub.metrics.peer_refused(refused.reason());
            info!(%peer, error = %refused, "another hub refused");
            refusal(&refused, hub)
        });
        std::future::ready(Ok::<_, Infallible>(answered))
    };
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).max_buf_size(REQUEST_HEAD).keep_alive(false);
    let connection = builder.serve_connection(TokioIo::new(io), service_fn(answer));
    connection.with_upgrades().await.map_err(io::Error::other)?;
    let let_in: Option<(OnUpgrade, Guest)> = let_in.into_inner();
    let Some((upgrade, guest)) = let_in else { return Ok(None) };
    Ok(websocket(upgrade).await.map(|(io, read)| (io, read, guest)))
}

fn check(request: &Request<Incoming>, hub: &Hub) -> Result<(Response<String>, Guest), Refused> {
    let headers = request.headers();
    if request.uri().path() != wire::PEER_PATH {
        return Err(Refused::Path);
    }
    if text(headers, SEC_WEBSOCKET_PROTOCOL.as_str()) != Some(wire::PEER_SUBPROTOCOL) {
        return Err(Refused::Protocol);
    }
    let token = headers.get(wire::HUB_TOKEN).map(HeaderValue::as_bytes);
    if !hub.config.peering.is_token(token).map_err(Refused::OwnToken)? {
        return Err(Refused::Token);
    }
    let node = text(headers, wire::HUB_NODE_ID).filter(|node| is_id(node));
    let node = node.ok_or(Refused::Header(wire::HUB_NODE_ID))?;
    let slot = text(headers, wire::HUB_SLOT).and_then(|slot| slot.parse().ok());
    let slot = slot.filter(|slot| *slot < PEER_SLOTS).ok_or(Refused::Header(wire::HUB_SLOT))?;
    if node == hub.node_id {
        return Err(Refused::Myself);
    }
    if hub.registry.is_connected(node, slot) {
        return Err(Refused::Twice);
    }
    if hub.stop.is_moving() {
        return Err(Refused::Leaving);
    }
    let response = create_response(&bare(request)).map_err(|_| Refused::NoWebSocket)?;
    let mut response = response.map(|()| String::new());
    let protocol = HeaderValue::from_static(wire::PEER_SUBPROTOCOL);
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    for (name, value) in [
        (wire::HUB_NODE_ID, hub.node_id.clone()),
        (wire::HUB_SESSIONS, hub.advised_sessions.to_string()),
    ] {
        let value = HeaderValue::try_from(value).ok();
        response.headers_mut().extend(value.map(|value| (HeaderName::from_static(name), value)));
    }
    let public_uri = text(headers, wire::HUB_PUBLIC_URI);
    let public_uri = public_uri.filter(|uri| uri.len() <= HEADER_MAX_BYTES);
    let public_uri = public_uri.and_then(|uri| uri.parse().ok());
    Ok((response, Guest { node: node.to_owned(), slot, public_uri }))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// As hubs make them for themselves.
fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// In words, with the mark of a hub's own answers.
fn refusal(refused: &Refused, hub: &Hub) -> Response<String> {
    let mut response = Response::new(format!("{refused}\n"));
    *response.status_mut() = refused.status();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    let mark = HeaderValue::from_str(&hub.node_id).ok();
    response.headers_mut().extend(mark.map(|id| (HeaderName::from_static(wire::HUB_NODE_ID), id)));
    response
}
