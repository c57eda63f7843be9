//! One accepted TCP connection: finds out what it speaks, and hands it on.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info};
use tunnel::box_io::BoxIo;
use tunnel::sockets;
use tunnel::wire::HUB_NODE_ID;

use crate::client::connection as client_connection;
use crate::context::hub::Hub;
use crate::context::origin::Origin;
use crate::front::detect::{Prefixed, Protocol, sniff};
use crate::front::proxied::{ProxiedError, read_header};
use crate::guard::second_handle::SecondHandle;
use crate::limits::{FAREWELL_TIMEOUT, HANDSHAKE_TIMEOUT};
use crate::observe::limit::Limit;
use crate::web::{http1, lane};

/// A connection that came as far as a protocol.
enum Opened {
    Http2(BoxIo),
    /// With its socket, as long as it may be an agent.
    Http1(BoxIo, Option<SecondHandle>),
}

/// Why one did not.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("a TLS client on a port without TLS")]
    UnexpectedTls,
    #[error("a client without TLS on a port with TLS")]
    MissingTls,
    #[error("a PROXY header from a network that --proxy-protocol does not list")]
    UnexpectedProxied,
    #[error("a PROXY header where none may be: behind another one, or inside TLS")]
    ProxiedTwice,
    #[error(transparent)]
    Proxied(ProxiedError),
    #[error("neither HTTP/2 nor HTTP/1.1")]
    UnknownProtocol,
}

impl From<ProxiedError> for OpenError {
    fn from(error: ProxiedError) -> Self {
        match error {
            ProxiedError::Io(error) => Self::Io(error),
            error => Self::Proxied(error),
        }
    }
}

impl OpenError {
    /// The metrics' label.
    fn stage(&self) -> &'static str {
        match self {
            Self::Io(_) => "connection",
            Self::Tls(_) => "tls",
            Self::UnexpectedTls => "unexpected-tls",
            Self::MissingTls => "missing-tls",
            Self::UnexpectedProxied | Self::ProxiedTwice | Self::Proxied(_) => "proxy-header",
            Self::UnknownProtocol => "protocol",
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(tcp: TcpStream, mut origin: Origin) {
    let hub = origin.hub.clone();
    let handshake = hub.handshakes.begin();
    let from = origin.peer;
    let opened = tokio::select! {
        opened = timeout(HANDSHAKE_TIMEOUT, open(tcp, &mut origin)) => opened,
        () = handshake.ousted() => return hub.limits.reached(Limit::Handshakes, from, None),
    };
    let peer = origin.peer;
    match opened {
        Ok(Ok(Opened::Http2(io))) => {
            drop(handshake);
            client_connection::serve(io, origin, Some(lane::serve)).await;
        }
        Ok(Ok(Opened::Http1(io, socket))) => http1::serve(io, socket, origin, handshake).await,
        Ok(Err(error)) => {
            hub.metrics.handshake_failed(error.stage());
            match error {
                // Port scanners and health checks do this all day.
                OpenError::Io(_) => debug!(%peer, %error, "connection not opened"),
                _ => info!(%peer, %error, "connection not opened"),
            }
        }
        Err(_) => {
            hub.metrics.handshake_failed("timeout");
            info!(%peer, error = "too slow", "connection not opened");
        }
    }
}

async fn open(mut tcp: TcpStream, origin: &mut Origin) -> Result<Opened, OpenError> {
    sockets::tune(&tcp)?;
    let is_proxied = origin.hub.config.proxy_protocol.have(origin.peer.ip());
    if is_proxied {
        origin.peer = read_header(&mut tcp).await?.unwrap_or(origin.peer);
    }
    let (protocol, stream) = sniff(tcp).await?;
    match (&origin.hub.doors.keys(origin.worker).tls, protocol) {
        (Some(config), Protocol::Tls) => {
            open_tls(TlsAcceptor::from(config.clone()), stream, origin).await
        }
        (Some(_), Protocol::Http1 | Protocol::Http2) => {
            let sentence = "This port speaks TLS: use https:// or wss://.";
            answer_plainly(stream, sentence, &origin.hub.node_id).await;
            Err(OpenError::MissingTls)
        }
        (None, Protocol::Tls) => {
            let sentence =
                "This port does not speak TLS: use http:// or ws://, or start the hub with --tls.";
            answer_plainly(stream, sentence, &origin.hub.node_id).await;
            Err(OpenError::UnexpectedTls)
        }
        (_, Protocol::Proxied) if !is_proxied => Err(OpenError::UnexpectedProxied),
        (Some(_), Protocol::Proxied) => Err(OpenError::ProxiedTwice),
        (Some(_), Protocol::Unknown) => Err(OpenError::UnknownProtocol),
        (None, protocol) => {
            let socket = heed(protocol, stream.get_ref(), &origin.hub)?;
            by_protocol(protocol, Box::new(stream), socket)
        }
    }
}

async fn open_tls(
    acceptor: TlsAcceptor,
    stream: Prefixed<TcpStream>,
    origin: &mut Origin,
) -> Result<Opened, OpenError> {
    let tls = acceptor.accept(stream).await.map_err(OpenError::Tls)?;
    origin.sni = tls.get_ref().1.server_name().map(Arc::from);
    match tls.get_ref().1.alpn_protocol() {
        Some(b"h2") => {
            let socket = heed(Protocol::Http2, tls.get_ref().0.get_ref(), &origin.hub)?;
            by_protocol(Protocol::Http2, Box::new(tls), socket)
        }
        Some(_) => {
            let socket = heed(Protocol::Http1, tls.get_ref().0.get_ref(), &origin.hub)?;
            by_protocol(Protocol::Http1, Box::new(tls), socket)
        }
        None => {
            let (protocol, stream) = sniff(tls).await?;
            let socket = heed(protocol, stream.get_ref().get_ref().0.get_ref(), &origin.hub)?;
            by_protocol(protocol, Box::new(stream), socket)
        }
    }
}

/// Clients may be silent for hours; agents ping by themselves, as often as was agreed. What it is that speaks HTTP/1.1 is
/// known later, and needs the socket for that; without one, nobody is asked for life.
fn heed(protocol: Protocol, tcp: &TcpStream, hub: &Hub) -> io::Result<Option<SecondHandle>> {
    match protocol {
        Protocol::Http2 => sockets::ask_for_life(tcp).map(|()| None),
        Protocol::Http1 => Ok(SecondHandle::of(tcp, &hub.second_handles)),
        _ => Ok(None),
    }
}

fn by_protocol(
    protocol: Protocol,
    io: BoxIo,
    socket: Option<SecondHandle>,
) -> Result<Opened, OpenError> {
    match protocol {
        Protocol::Http2 => Ok(Opened::Http2(io)),
        Protocol::Http1 => Ok(Opened::Http1(io, socket)),
        Protocol::Tls => Err(OpenError::UnexpectedTls),
        Protocol::Proxied => Err(OpenError::ProxiedTwice),
        Protocol::Unknown => Err(OpenError::UnknownProtocol),
    }
}

/// Answers in plain HTTP/1.1, which all kinds of client show when it is not what they expected: TLS clients
/// ("server gave HTTP response to HTTPS client"), and HTTP/2 clients ("looked like an HTTP/1.1 header").
/// An HTTP/2 answer would be worse: gRPC clients that are told GOAWAY connect again at once, for ever.
/// It carries the mark of a hub's own answers.
async fn answer_plainly(mut stream: Prefixed<TcpStream>, sentence: &str, node_id: &str) {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n{HUB_NODE_ID}: {node_id}\r\n\r\n{sentence}\n"
    );
    // Best effort: whoever cannot read it is told by the log.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    // What it has sent and nobody has read would make the system reset the connection, and the answer
    // might be lost with it.
    let _ = timeout(FAREWELL_TIMEOUT, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
}
