//! HTTP/1.1 on the hub's port: an agent's upgrade, or calls one after the other.

use std::convert::Infallible;
use std::pin::pin;

use bytes::Bytes;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tracing::debug;
use tunnel::box_io::BoxIo;

use super::requests::{Requests, Sessions};
use crate::agent::registrar;
use crate::context::origin::Origin;
use crate::guard::handshakes::Handshake;
use crate::guard::second_handle::SecondHandle;
use crate::limits::{FAREWELL_TIMEOUT, HANDSHAKE_TIMEOUT, REQUEST_HEAD};
use crate::observe::limit::Limit;
use crate::registry::Admitted;
use crate::stop::Stop;

/// Serves one connection to its end, and after an upgrade the session on it. `socket` is what is below it.
pub(crate) async fn serve(
    io: BoxIo,
    socket: Option<SecondHandle>,
    origin: Origin,
    handshake: Handshake<'_>,
) {
    let requests = Requests::new(origin.clone(), Sessions::Alone(Mutex::default()));
    let of = &requests;
    let answer =
        service_fn(move |request| async move { Ok::<_, Infallible>(of.answer(request).await) });
    let connection = builder().serve_connection(TokioIo::new(io), answer);
    let mut connection = pin!(connection.with_upgrades());
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = calls(&requests, socket.as_ref()) => None,
        () = handshake.ousted() => {
            return origin.hub.limits.reached(Limit::Handshakes, origin.peer, None);
        }
        () = origin.stop.closing() => return,
        // The whole exchange: hyper's own timeout is for reading the head alone.
        () = sleep(HANDSHAKE_TIMEOUT) => {
            return debug!(peer = %origin.peer, error = "too slow", "HTTP/1.1 connection failed");
        }
    };
    drop((handshake, socket));
    // The hub waits for it as for any client.
    let counted = (origin.hub.clients.token(), origin.hub.metrics.client_connection());
    let ended = match ended {
        Some(ended) => ended,
        None => tokio::select! {
            ended = &mut connection => ended,
            () = takes_leave(&origin) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = &mut connection => ended,
                    () = farewell(&origin.stop) => return,
                }
            }
        },
    };
    drop(counted);
    if let Err(error) = ended {
        return debug!(peer = %origin.peer, %error, "HTTP/1.1 connection failed");
    }
    if let Some((upgrade, admitted)) = requests.upgraded() {
        serve_session(upgrade, admitted, origin).await;
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        // Between two requests, too.
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .max_buf_size(REQUEST_HEAD);
    builder
}

/// Resolves when it is a client, which may be silent for as long as its call is: TCP asks for life from then on.
async fn calls(requests: &Requests, socket: Option<&SecondHandle>) {
    requests.called().await;
    socket.inspect(|socket| socket.ask_for_life());
}

async fn serve_session(upgrade: OnUpgrade, admitted: Admitted, origin: Origin) {
    if let Some((io, read)) = websocket(upgrade).await {
        registrar::serve(io, read, admitted, origin).await;
    }
}

/// Resolves when no more calls are to come on it: the hub drains, or it is old.
async fn takes_leave(origin: &Origin) {
    let old = async {
        match origin.hub.config.age() {
            Some(age) => sleep(age).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = origin.stop.draining() => {}
        () = old => {}
    }
}

/// Resolves when what still runs has ended, and has been told so.
async fn farewell(stop: &Stop) {
    stop.closing().await;
    sleep(FAREWELL_TIMEOUT).await;
}

/// The WebSocket's byte stream, and what was read of it behind the request.
pub(crate) async fn websocket(upgrade: OnUpgrade) -> Option<(BoxIo, Bytes)> {
    let upgraded = timeout(HANDSHAKE_TIMEOUT, upgrade).await.ok()?.ok()?;
    // It is what `serve` put in: taking it out leaves hyper's own layer behind.
    let parts = upgraded.downcast::<TokioIo<BoxIo>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}
