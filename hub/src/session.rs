//! One session, as callers meet it: streams of the HTTP/2 connection to an agent's server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use http::uri::{Authority, Scheme};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tunnel::name::Name;
use tunnel::registration::Registration;
use tunnel::wire::Control;
use tunnel::ws_io::Handle;

use crate::auth::Holder;
use crate::room::Room;

/// What is known of a session before its HTTP/2 begins.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) id: String,
    pub(crate) registration: Registration,
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
    /// `streams` is the client of its HTTP/2 connection.
    pub(crate) fn new(admitted: Admitted, streams: SendRequest<Bytes>, ws: Handle) -> Self {
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

    /// Whose token registered it; nobody's at an open hub.
    pub(crate) fn holder_id(&self) -> Option<&str> {
        self.holder.as_ref().map(Holder::id)
    }

    /// It takes no new calls.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// No new calls from now on; the agent is asked for a replacement.
    pub(crate) fn drain(&self) {
        if !self.draining.swap(true, Ordering::SeqCst) {
            self.ws.send(Control::Drain);
            self.nudged.notify_one();
            // Whoever waits for a stream of it waits in vain.
            if let Some(room) = self.room.get() {
                room.wake_all();
            }
        }
    }

    /// Resolves when it has begun to drain, or when a draining one has lost its last call.
    pub(crate) fn nudged(&self) -> Notified<'_> {
        self.nudged.notified()
    }

    /// Whether the upstream has said GOAWAY: it takes no new streams.
    pub(crate) async fn is_refusing(&self) -> bool {
        self.streams.clone().ready().await.is_err()
    }

    pub(crate) fn is_same_slot(&self, other: &Self) -> bool {
        // Instances are shown in lists, so knowing one is no right to take its place.
        let same_holder = self.holder_id() == other.holder_id();
        self.instance == other.instance && self.slot == other.slot && same_holder
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
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, |n| (n < max).then_some(n + 1));
        let permit = taken.is_ok().then(|| Permit { session: self.clone() })?;
        // Asked after the stream is counted: a session that began to drain in between is either seen to
        // drain here, or sees this call and waits for it.
        if self.is_draining() { None } else { Some(permit) }
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
        let last = session.in_flight.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && session.is_draining() {
            session.nudged.notify_one();
        }
        if let Some(room) = session.room.get() {
            room.wake_one();
        }
    }
}
