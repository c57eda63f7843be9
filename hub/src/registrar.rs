//! Brings a session into being on an agent's WebSocket, into the registry, and to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use h2::client::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tracing::{info, warn};
use tunnel::limits;
use tunnel::name::Name;
use tunnel::wire::{CloseCode, Control};
use tunnel::ws_io::{Ended, Handle, WsIo};

use crate::frames::PREFACE_BYTES;
use crate::growing_windows::GrowingWindows;
use crate::hub::Hub;
use crate::limit::Limit;
use crate::origin::Origin;
use crate::session::{Admitted, Session};
use crate::settings_gate::SettingsGate;
use crate::sieve::Sieve;
use crate::upstream_watch::UpstreamWatch;

/// Serves one agent's WebSocket from the upgrade to its end.
pub(crate) async fn serve<S>(ws: WebSocketStream<S>, admitted: Admitted, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let hub = &origin.hub;
    let (io, ws, control) = WsIo::new(ws, hub.config.keepalive);
    let about = (admitted.registration.name.clone(), admitted.peer);
    let Some((session, driver)) = open(io, ws.clone(), admitted, hub.config.stream_window).await
    else {
        hub.metrics.registration_refused("not-http2");
        warn!(name = %about.0, peer = %about.1, ended = ended(&ws), "session did not begin");
        tell_flood(hub, &ws, &about);
        return;
    };
    let registration = match hub.registry.register(session.clone()) {
        Ok(registration) => registration,
        Err(owned) => {
            hub.metrics.registration_refused("owned");
            ws.close(CloseCode::Policy, "the name is owned exclusively by another agent");
            let _ = driver.await;
            warn!(name = %session.name, peer = %session.peer, error = %owned, "session refused");
            return;
        }
    };
    hub.metrics.registered();
    ws.send(Control::Registered);
    log(&session, "registered", None);
    run(&session, control, driver, &origin).await;
    drop(registration);
    tell_flood(hub, &ws, &about);
    log(&session, "unregistered", Some(ended(&ws)));
}

fn tell_flood(hub: &Hub, ws: &Handle, (name, peer): &(Name, SocketAddr)) {
    if ws.ended() == Some(&Ended::Flood) {
        hub.limits.reached(Limit::AgentMessages, *peer, Some(name));
    }
}

fn log(session: &Session, message: &'static str, ended: Option<String>) {
    info!(
        name = %session.name,
        instance = session.instance,
        slot = session.slot,
        session = session.id,
        peer = %session.peer,
        ended,
        "{message}",
    );
}

fn ended(ws: &Handle) -> String {
    ws.ended().map_or_else(|| "the HTTP/2 connection failed".to_owned(), Ended::to_string)
}

type Driver = JoinHandle<Result<(), h2::Error>>;

/// Starts HTTP/2 and waits for the upstream's SETTINGS.
async fn open<S>(
    io: WsIo<S>,
    ws: Handle,
    admitted: Admitted,
    stream_window: u32,
) -> Option<(Arc<Session>, Driver)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watch = UpstreamWatch::new();
    let io = GrowingWindows::on(io, PREFACE_BYTES, watch.grants.clone());
    let (io, verdict) = SettingsGate::on(Sieve::on(io, watch.frames(), 0, PREFACE_BYTES));
    let handshake = timeout(limits::SETTINGS_TIMEOUT, builder(stream_window).handshake(io)).await;
    let (streams, connection) = handshake.ok()?.ok()?;
    let driver = tokio::spawn(connection);
    let reason = match timeout(limits::SETTINGS_TIMEOUT, verdict).await {
        Ok(Ok(Ok(settings))) => {
            let session = Session::new(admitted, streams, ws, watch, stream_window, settings);
            return Some((Arc::new(session), driver));
        }
        Ok(_) => "the upstream does not speak HTTP/2",
        Err(_) => "the upstream sent no HTTP/2 SETTINGS in time",
    };
    ws.close(CloseCode::NotHttp2, reason);
    let _ = driver.await;
    // Held until here: without it the connection would end before the close is said.
    drop(streams);
    None
}

/// The HTTP/2 client of a session. Its peer serves many callers at once, so nothing that one of them
/// does may trip a guard of the whole connection.
fn builder(stream_window: u32) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(limits::INITIAL_MAX_SESSION_STREAMS)
        .initial_window_size(stream_window)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_frame_size(limits::MAX_FRAME_SIZE)
        .max_header_list_size(limits::MAX_RESPONSE_HEADER_LIST_READ)
        .max_send_buffer_size(limits::MAX_SEND_BUFFER)
        .max_concurrent_reset_streams(limits::SESSION_RESETS_REMEMBERED)
        .reset_stream_duration(limits::SESSION_RESET_MEMORY)
        .max_local_error_reset_streams(None)
        .data_frame_budget(usize::MAX);
    builder
}

/// Waits for the end of the session, and for what brings it about.
async fn run(
    session: &Arc<Session>,
    mut control: mpsc::Receiver<Control>,
    mut driver: Driver,
    origin: &Origin,
) {
    let Origin { hub, stop, .. } = origin;
    let mut checkup = tokio::time::interval(hub.config.keepalive.interval);
    let mut farewell = std::pin::pin!(tokio::time::sleep(limits::FAREWELL_TIMEOUT));
    let mut calm = std::pin::pin!(tokio::time::sleep(limits::OFFENDER_PAUSE));
    let (mut flooded, mut drained, mut closed) = (false, false, false);
    let (mut hub_drains, mut hub_closes) = (false, false);
    loop {
        tokio::select! {
            ended = &mut driver => return tell_failure(session, ended),
            Some(said) = control.recv() => if said == Control::Drain {
                session.leave();
            },
            // Before anybody wants a new stream, so that its successor is on its way.
            () = session.watch.goaway() => session.drain(),
            () = session.watch.settings() => session.wake_waiting(),
            () = session.watch.slowed() => {
                hub.limits.reached(Limit::AgentHeads, session.peer, Some(&session.name));
            }
            () = session.watch.flooded() => {
                hub.limits.reached(Limit::AgentFrames, session.peer, Some(&session.name));
                session.condemn();
                calm.as_mut().reset(Instant::now() + limits::OFFENDER_PAUSE);
                flooded = true;
            }
            // Or it would be back at once.
            () = &mut calm, if flooded && !closed => {
                session.ws.close(CloseCode::Policy, "too many HTTP/2 frames that belong to no call");
                closed = true;
            }
            () = session.nudged() => hub.registry.changed(),
            _ = checkup.tick() => check_up(session, hub).await,
            // Not at once: the last call's bytes may still be on their way through HTTP/2.
            () = &mut farewell, if drained && !flooded && !closed => {
                session.ws.close(CloseCode::Normal, "drained");
                closed = true;
            }
            () = stop.draining(), if !hub_drains => {
                // Calls that are on their way are still served: it is the agent who should look elsewhere.
                session.ws.send(Control::Drain);
                hub_drains = true;
            }
            () = stop.closing(), if !hub_closes => {
                session.ws.close(CloseCode::GoingAway, "the hub is going away");
                hub_closes = true;
            }
        }
        if session.is_draining() && session.calls() == 0 && !drained {
            drained = true;
            farewell.as_mut().reset(Instant::now() + limits::FAREWELL_TIMEOUT);
        }
    }
}

/// A connection that HTTP/2 itself ended: the upstream, or what stands before it, broke the protocol or a
/// limit.
fn tell_failure(session: &Session, ended: Result<Result<(), h2::Error>, JoinError>) {
    if let Ok(Err(error)) = ended
        && !error.is_io()
    {
        // It may show what the upstream said in its GOAWAY, which can be much.
        let error: String = error.to_string().chars().take(limits::LOGGED_MAX).collect();
        warn!(name = %session.name, session = session.id, error, "the session's HTTP/2 failed");
    }
}

/// Notices an upstream that said GOAWAY while nobody called, and one on which cancelled calls or unread
/// frames pile up, and notes the round trip time.
async fn check_up(session: &Session, hub: &Hub) {
    if session.is_refusing().await {
        session.drain();
    }
    let piled_up =
        session.cancels.waiting() >= limits::CANCELS_REPLACED || session.watch.uploads.is_worn();
    // Not while calls keep the one before it from its end: or who makes them would make sessions pile up.
    if piled_up && !hub.registry.has_sibling(session) {
        session.ask_for_successor();
    }
    if let Some(rtt) = session.ws.rtt() {
        hub.metrics.session_rtt(rtt);
    }
}
