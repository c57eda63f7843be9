//! One session, as callers meet it: streams of the HTTP/2 connection to an agent's server.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{SendStream, StreamId};
use http::Request;
use http::uri::{Authority, Scheme};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tunnel::limits::{CANCELS, HEADER_MAX_BYTES, MAX_HEADER_LIST, SCARCE_STREAMS};
use tunnel::name::Name;
use tunnel::registration::Registration;
use tunnel::wire::Control;
use tunnel::ws_io::Handle;

use crate::auth::Holder;
use crate::cancels::{CallNumber, Cancels};
use crate::growth::Growth;
use crate::origin::Party;
use crate::room::Room;
use crate::settings_gate::Settings;
use crate::share::fair_share;
use crate::upload_window::UploadGate;
use crate::upstream_watch::UpstreamWatch;

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
    /// Bytes of the largest header list that it is sent.
    pub(crate) max_header_list: usize,
    /// Whose token registered it.
    pub(crate) holder: Option<Holder>,
    pub(crate) peer: SocketAddr,
    /// The worker whose thread drives it.
    pub(crate) worker: usize,
    pub(crate) since: SystemTime,
    /// Speaks to the agent itself.
    pub(crate) ws: Handle,
    /// Streams that are open on it: calls that run, and cancelled ones that wait for their turn.
    pub(crate) in_flight: AtomicUsize,
    pub(crate) cancels: Cancels,
    streams: SendRequest<Bytes>,
    pub(crate) watch: UpstreamWatch,
    /// Bytes of the window in which the upstream answers a call, at most.
    stream_window: u32,
    draining: AtomicBool,
    /// The agent drains it itself.
    leaving: AtomicBool,
    /// The agent was asked for a successor, and this one is good until it is there.
    succeeded: AtomicBool,
    /// Streams of each caller, where the upstream's are few.
    shares: Mutex<HashMap<Party, usize>>,
    /// Told when it begins to drain, and when a draining one has lost its last call.
    nudged: Notify,
    room: OnceLock<Arc<Room>>,
}

impl Session {
    /// `streams` is the client of its HTTP/2 connection.
    pub(crate) fn new(
        admitted: Admitted,
        streams: SendRequest<Bytes>,
        ws: Handle,
        watch: UpstreamWatch,
        stream_window: u32,
        settings: Settings,
    ) -> Self {
        let Admitted { id, registration, holder, peer, worker } = admitted;
        if settings.may_count_frames {
            watch.uploads.counts_frames();
        }
        Self {
            id,
            name: registration.name,
            instance: registration.instance,
            slot: registration.slot,
            labels: registration.labels,
            agent_version: registration.agent_version,
            scheme: registration.scheme,
            authority: registration.authority,
            max_header_list: max_header_list(registration.max_header_list, settings),
            holder,
            peer,
            worker,
            since: SystemTime::now(),
            ws,
            in_flight: AtomicUsize::new(0),
            cancels: Cancels::new(allowed_cancels(registration.max_cancels, settings)),
            streams,
            watch,
            stream_window,
            draining: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            succeeded: AtomicBool::new(false),
            shares: Mutex::default(),
            nudged: Notify::new(),
            room: OnceLock::new(),
        }
    }

    /// Whose token registered it; nobody's at an open hub.
    pub(crate) fn holder_id(&self) -> Option<&str> {
        self.holder.as_ref().map(Holder::id)
    }

    /// Calls that run over it.
    pub(crate) fn calls(&self) -> usize {
        // They change one after the other, so the difference may be off for a moment.
        self.in_flight.load(Ordering::SeqCst).saturating_sub(self.cancels.waiting())
    }

    /// It takes no new calls.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Whether the agent was asked for a replacement, which is on its way therefore.
    pub(crate) fn is_being_replaced(&self) -> bool {
        self.is_draining() && !self.leaving.load(Ordering::SeqCst)
    }

    /// No new calls from now on, because the agent leaves.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        self.drain();
    }

    /// No new calls from now on, and nobody is asked for a replacement.
    pub(crate) fn condemn(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        self.retire();
    }

    /// No new calls from now on; the agent is asked for a replacement.
    pub(crate) fn drain(&self) {
        if self.retire() {
            self.ws.send(Control::Drain);
        }
    }

    /// No new calls from now on. Whether there were before.
    fn retire(&self) -> bool {
        let retired = !self.draining.swap(true, Ordering::SeqCst);
        if retired {
            self.nudged.notify_one();
            // Whoever waits for a stream of it waits in vain.
            self.wake_waiting();
        }
        retired
    }

    /// Asks the agent for a successor; until that is there, calls go on.
    pub(crate) fn ask_for_successor(&self) {
        if !self.succeeded.swap(true, Ordering::SeqCst) {
            self.ws.send(Control::Drain);
        }
    }

    /// Another session has come in its place. Whether its calls may end by themselves, because it was asked
    /// for.
    pub(crate) fn make_way(&self) -> bool {
        let asked_for = self.succeeded.load(Ordering::SeqCst);
        if asked_for {
            self.retire();
        }
        asked_for || self.is_draining()
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
        // Instances are shown in lists. Among agents with tokens, knowing one is no right to take its place; those
        // without, or with the same one, cannot be told apart.
        let same_holder = self.holder_id() == other.holder_id();
        self.instance == other.instance && self.slot == other.slot && same_holder
    }

    /// There may be room for calls that wait.
    pub(crate) fn wake_waiting(&self) {
        if let Some(room) = self.room.get() {
            room.wake();
        }
    }

    pub(crate) fn join_room(&self, room: Arc<Room>) {
        // A session registers once.
        let _ = self.room.set(room);
    }

    /// Whether the upstream takes another stream, and this caller may have it. `h2` itself would queue
    /// without a bound.
    pub(crate) fn has_room_for(&self, caller: Party) -> bool {
        let max = self.streams.current_max_send_streams();
        let used = self.in_flight.load(Ordering::Relaxed);
        used < max && (max > SCARCE_STREAMS || self.share_of(caller) < fair_share(max - used))
    }

    fn share_of(&self, caller: Party) -> usize {
        self.shares.lock().get(&caller).copied().unwrap_or(0)
    }

    /// Takes one of the streams that the upstream allows, if one is left to this caller.
    pub(crate) fn take_stream(self: &Arc<Self>, caller: Party) -> Option<Permit> {
        if !self.has_room_for(caller) {
            return None;
        }
        let max = self.streams.current_max_send_streams();
        let taken = self
            .in_flight
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, |n| (n < max).then_some(n + 1));
        taken.ok()?;
        let scarce = max <= SCARCE_STREAMS;
        if scarce {
            *self.shares.lock().entry(caller).or_default() += 1;
        }
        let number = self.cancels.opened();
        let permit = Permit { session: self.clone(), number, shared_by: scarce.then_some(caller) };
        // Asked after the stream is counted: a session that began to drain in between is either seen to
        // drain here, or sees this call and waits for it.
        if self.is_draining() { None } else { Some(permit) }
    }

    fn give_back(&self, caller: Party) {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get_mut(&caller) {
            *share -= 1;
            if *share == 0 {
                shares.remove(&caller);
            }
        }
    }
}

/// What the agent says counts; else what the upstream itself says, which need not say anything.
fn max_header_list(registered: Option<u32>, settings: Settings) -> usize {
    let said = registered.or(settings.max_header_list).unwrap_or(MAX_HEADER_LIST);
    // The hub may add an `:authority` to what it took.
    said.min(MAX_HEADER_LIST + HEADER_MAX_BYTES as u32) as usize
}

/// What one caller may pass on at once, of what the upstream bears in 30 s: half of it, for in that time
/// it is allowed once more. `None` is any number.
fn allowed_cancels(in_30_seconds: Option<u32>, settings: Settings) -> Option<u32> {
    match in_30_seconds {
        None => (!settings.bears_cancels).then_some(CANCELS),
        Some(0) => None,
        Some(max) => Some((max / 2).max(1)),
    }
}

/// The right to one stream of a session, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) session: Arc<Session>,
    number: CallNumber,
    shared_by: Option<Party>,
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

    /// For the upload on a stream that was opened.
    pub(crate) fn upload_gate(&self, stream: StreamId, caller: Party) -> UploadGate {
        self.session.watch.uploads.gate(stream.as_u32(), caller)
    }

    /// Of the window in which the upstream answers.
    pub(crate) fn growth(&self, stream: StreamId) -> Growth {
        let Session { watch, ws, stream_window, .. } = &*self.session;
        let growth = Growth::new(watch.grants.clone(), stream.as_u32(), *stream_window);
        growth.over(ws.rtt().unwrap_or_default())
    }

    /// The upstream has begun to answer the call.
    pub(crate) fn answered(&self) {
        self.session.cancels.answered(self.number);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let session = &self.session;
        if let Some(caller) = self.shared_by {
            session.give_back(caller);
        }
        session.in_flight.fetch_sub(1, Ordering::SeqCst);
        if session.is_draining() && session.calls() == 0 {
            session.nudged.notify_one();
        }
        session.wake_waiting();
    }
}
