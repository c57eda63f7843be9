//! One session: an agent's WebSocket, and on it the HTTP/2 connection whose client the hub is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::Request;
use http::uri::{Authority, Scheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tracing::{info, warn};
use tunnel::limits;
use tunnel::name::Name;
use tunnel::wire::{CloseCode, Control};
use tunnel::ws_io::{Ended, Handle, WsIo};

use crate::auth::Holder;
use crate::hub::Hub;
use crate::room::Room;
use crate::settings_gate::SettingsGate;

/// What is known of a session before its HTTP/2 begins.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) id: String,
    pub(crate) registration: tunnel::registration::Registration,
    pub(crate) holder: Option<Holder>,
    pub(crate) peer: SocketAddr,
    pub(crate) worker: usize,
}

/// A session that callers can be sent to.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) name: Name,
    pub(crate) instance: String,
    pub(crate) slot: u16,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) agent_version: String,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Option<Authority>,
    /// Whose token registered it.
    pub(crate) holder: Option<Holder>,
    pub(crate) peer: SocketAddr,
    /// The worker whose thread drives it.
    pub(crate) worker: usize,
    pub(crate) since: SystemTime,
    /// Speaks to the agent itself.
    pub(crate) ws: Handle,
    /// Calls that run over it.
    pub(crate) in_flight: AtomicUsize,
    streams: SendRequest<Bytes>,
    draining: AtomicBool,
    /// Told when it begins to drain, and when a draining one has lost its last call.
    nudged: Notify,
    room: OnceLock<Arc<Room>>,
}

impl Session {
    /// It takes no new calls.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// No new calls from now on; the agent is asked for a replacement.
    pub(crate) fn drain(&self) {
        if !self.draining.swap(true, Ordering::AcqRel) {
            self.ws.send(Control::Drain);
            self.nudged.notify_one();
        }
    }

    pub(crate) fn is_same_slot(&self, other: &Self) -> bool {
        self.instance == other.instance && self.slot == other.slot
    }

    pub(crate) fn join_room(&self, room: Arc<Room>) {
        // A session registers once.
        let _ = self.room.set(room);
    }

    /// Whether the upstream takes another stream. `h2` itself would queue without a bound.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) < self.streams.current_max_send_streams()
    }

    /// Takes one of the streams that the upstream allows, if one is left.
    pub(crate) fn take_stream(self: &Arc<Self>) -> Option<Permit> {
        let max = self.streams.current_max_send_streams();
        let taken = self
            .in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| (n < max).then_some(n + 1));
        taken.is_ok().then(|| Permit { session: self.clone() })
    }
}

/// The right to one stream of a session, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) session: Arc<Session>,
}

impl Permit {
    /// Opens the stream.
    ///
    /// # Errors
    /// The connection takes no new streams: the upstream said GOAWAY, or the session is gone. Nothing
    /// was sent, so another session may be tried.
    pub(crate) fn open(
        &self,
        head: Request<()>,
        end_stream: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.session.streams.clone().send_request(head, end_stream)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let session = &self.session;
        let last = session.in_flight.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && session.is_draining() {
            session.nudged.notify_one();
        }
        if let Some(room) = session.room.get() {
            room.wake_one();
        }
    }
}

/// Serves one agent's WebSocket from the upgrade to its end.
pub(crate) async fn serve<S>(ws: WebSocketStream<S>, admitted: Admitted, hub: Arc<Hub>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, ws, control) = WsIo::new(ws, hub.config.keepalive);
    let about = (admitted.registration.name.clone(), admitted.peer);
    let Some((session, driver)) = open(io, ws.clone(), admitted).await else {
        warn!(name = %about.0, peer = %about.1, ended = ended(&ws), "session did not begin");
        return;
    };
    let registration = match hub.registry.register(session.clone()) {
        Ok(registration) => registration,
        Err(owned) => {
            ws.close(CloseCode::Policy, "the name is owned exclusively by another agent");
            let _ = driver.await;
            warn!(name = %session.name, peer = %session.peer, error = %owned, "session refused");
            return;
        }
    };
    hub.metrics.registered();
    ws.send(Control::Registered);
    log(&session, "registered", None);
    run(&session, control, driver, &hub).await;
    drop(registration);
    log(&session, "unregistered", Some(ended(&ws)));
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
async fn open<S>(io: WsIo<S>, ws: Handle, admitted: Admitted) -> Option<(Arc<Session>, Driver)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, verdict) = SettingsGate::new(io);
    let opening = async {
        let (streams, connection) = builder().handshake(io).await.ok()?;
        let driver = tokio::spawn(connection);
        Some((streams, driver, verdict.await))
    };
    // The verdict outlives the timeout's future only through these; what is left on a timeout is closed.
    match tokio::time::timeout(limits::SETTINGS_TIMEOUT, opening).await {
        Ok(Some((streams, driver, Ok(Ok(()))))) => {
            Some((Arc::new(Session::new(admitted, streams, ws)), driver))
        }
        Ok(Some((_streams, driver, _no_http2))) => {
            ws.close(CloseCode::NotHttp2, "the upstream does not speak HTTP/2");
            let _ = driver.await;
            None
        }
        Ok(None) => None,
        Err(_) => {
            ws.close(CloseCode::NotHttp2, "the upstream sent no HTTP/2 SETTINGS in time");
            None
        }
    }
}

impl Session {
    fn new(admitted: Admitted, streams: SendRequest<Bytes>, ws: Handle) -> Self {
        let Admitted { id, registration, holder, peer, worker } = admitted;
        Self {
            id,
            name: registration.name,
            instance: registration.instance,
            slot: registration.slot,
            labels: registration.labels,
            agent_version: registration.agent_version,
            scheme: registration.scheme,
            authority: registration.authority,
            holder,
            peer,
            worker,
            since: SystemTime::now(),
            ws,
            in_flight: AtomicUsize::new(0),
            streams,
            draining: AtomicBool::new(false),
            nudged: Notify::new(),
            room: OnceLock::new(),
        }
    }
}

/// The HTTP/2 client of a session. Its peer serves many callers at once, so nothing that one of them
/// does may trip a guard of the whole connection.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(limits::INITIAL_MAX_SESSION_STREAMS)
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_frame_size(limits::MAX_FRAME_SIZE)
        .max_header_list_size(limits::MAX_RESPONSE_HEADER_LIST)
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
    hub: &Hub,
) {
    let mut checkup = tokio::time::interval(hub.config.keepalive.interval);
    let mut hub_drains = false;
    let mut hub_closes = false;
    loop {
        tokio::select! {
            _ = &mut driver => return,
            Some(said) = control.recv() => if said == Control::Drain {
                session.drain();
            },
            () = session.nudged.notified() => hub.registry.changed(),
            _ = checkup.tick() => check_up(session, hub).await,
            () = hub.stop.draining(), if !hub_drains => {
                // Calls that are on their way are still served: it is the agent who should look elsewhere.
                session.ws.send(Control::Drain);
                hub_drains = true;
            }
            () = hub.stop.closing(), if !hub_closes => {
                session.ws.close(CloseCode::GoingAway, "the hub is going away");
                hub_closes = true;
            }
        }
        if session.is_draining() && session.in_flight.load(Ordering::Acquire) == 0 {
            session.ws.close(CloseCode::Normal, "drained");
        }
    }
}

/// Notices an upstream that said GOAWAY while nobody called, and notes the round trip time.
async fn check_up(session: &Session, hub: &Hub) {
    if session.streams.clone().ready().await.is_err() {
        session.drain();
    }
    if let Some(rtt) = session.ws.rtt() {
        hub.metrics.session_rtt(rtt);
    }
}
