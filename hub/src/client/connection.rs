//! One client's HTTP/2 connection: bytes in, bytes out, lanes beside it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::stream::FuturesUnordered;
use http2::error::{ConnectionError, Reason};
use switch::{LaneId, Limits, Switch};
use tokio::io::DuplexStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::io::poll_read_buf;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::debug;
use tunnel::box_io::BoxIo;

use super::call::Call;
use super::callers::Callers;
use super::calls_look::CallsLook;
use super::groups::{GroupId, Groups};
use super::lane::ClientLane;
use super::wakers::Wakers;
use crate::config::networks::network;
use crate::context::origin::Origin;
use crate::guard::frame_guard::Slow;
use crate::guard::held_bytes::Holding;
use crate::guard::peer_guard::PeerGuard;
use crate::lanes::Opened;
use crate::limits::{
    CLIENT_OUTPUT, CLIENT_READ, FAREWELL_TIMEOUT, HANDSHAKE_TIMEOUT, LINGER_TIMEOUT,
};
use crate::observe::limit::Limit;
use crate::observe::metrics::Meter;
use crate::registry::{OpenError, Session};

/// A lane that is being opened, for a group.
type Opening =
    Pin<Box<dyn Future<Output = (GroupId, Arc<Session>, Result<Opened, OpenError>)> + Send>>;

/// A name that may come back, for a group.
type Arriving = Pin<Box<dyn Future<Output = GroupId> + Send>>;

/// Opens a lane in memory to what puts calls in gRPC's words, and takes agents' sessions, of which it then tells.
pub(crate) type Web = fn(Origin, Arc<AtomicBool>) -> DuplexStream;

/// One client, for as long as its connection lives.
pub(super) struct Connection {
    pub(super) origin: Origin,
    pub(super) switch: Switch<Box<Call>, PeerGuard>,
    pub(super) callers: Callers,
    pub(super) groups: Groups,
    /// Beside the switch's, by the same numbers.
    pub(super) lanes: Vec<Option<ClientLane>>,
    pub(super) wakers: Arc<Wakers>,
    pub(super) opening: FuturesUnordered<Opening>,
    /// Groups whose calls wait for their name.
    pub(super) arriving: FuturesUnordered<Arriving>,
    /// There is something new among these two.
    pub(super) look_at_opening: bool,
    /// Groups with calls that have come back from a lane.
    pub(super) returned: Vec<GroupId>,
    /// Lanes to the hub's own services, by caller.
    pub(super) own_lanes: HashMap<Option<String>, LaneId>,
    pub(super) own_calls: usize,
    /// For calls in other words. Those of a connection in memory have been put in gRPC's already.
    pub(super) web: Option<Web>,
    /// The lane that it has opened.
    pub(super) web_lane: Option<LaneId>,
    /// Calls that are agents' sessions.
    pub(super) sessions: usize,
    /// One of them has been let in.
    pub(super) has_sessions: Arc<AtomicBool>,
    /// Among those that a hub waits for which ends.
    place: Option<TaskTrackerToken>,
    pub(super) io: BoxIo,
    /// Until when PINGs wait to be answered beside something else.
    pub(super) pings_wait_until: Instant,
    /// All that was written has left.
    pub(super) is_flushed: bool,
    pub(super) read: BytesMut,
    pub(super) woken: Vec<LaneId>,
    pub(super) began: Instant,
    /// When to look after what time brings about.
    pub(super) look_at: Option<Instant>,
    pub(super) timer: Pin<Box<Sleep>>,
    pub(super) sweep_at: Instant,
    /// When to look at the calls that run.
    pub(super) calls_look: CallsLook,
    /// The client is to have begun as HTTP/2 does by then.
    pub(super) greet_by: Instant,
    pub(super) meters: (Meter, Meter),
    /// What of its calls lies in the hub.
    pub(super) holding: Holding,
    pub(super) end: Option<End>,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The client has gone.
    Gone,
    /// It has done something wrong.
    Wrong(ConnectionError),
    /// One of both has taken leave, and the last call is over.
    Drained,
}

/// Serves the connection until the client closes it, or the hub must end.
///
/// On draining, the client is told to go elsewhere (GOAWAY) and running calls go on; the connection ends
/// by itself after the last of them. On closing, what still runs is cut off.
pub(crate) async fn serve(io: BoxIo, origin: Origin, web: Option<Web>) {
    let mut connection = Connection::new(io, origin, web);
    let metrics = connection.origin.hub.metrics.clone();
    // What is in memory is a part of another.
    let _counted = connection.web.map(|_| metrics.client_connection());
    let peer = connection.origin.peer;
    debug!(%peer, "client connected");
    let end = connection.run().await;
    connection.take_leave(end).await;
    debug!(%peer, ?end, "client disconnected");
}

impl Connection {
    fn new(io: BoxIo, origin: Origin, web: Option<Web>) -> Self {
        let limits = Limits { max_calls: origin.hub.config.max_calls };
        let metrics = &origin.hub.metrics;
        let now = Instant::now();
        Self {
            switch: Switch::new(limits, PeerGuard::client()),
            callers: Callers::new(),
            groups: Groups::default(),
            lanes: Vec::new(),
            wakers: Arc::default(),
            opening: FuturesUnordered::new(),
            arriving: FuturesUnordered::new(),
            look_at_opening: false,
            returned: Vec::new(),
            own_lanes: HashMap::new(),
            own_calls: 0,
            web,
            web_lane: None,
            sessions: 0,
            has_sessions: Arc::default(),
            place: web.map(|_| origin.hub.clients.token()),
            io,
            pings_wait_until: now,
            is_flushed: true,
            read: BytesMut::new(),
            woken: Vec::new(),
            began: now,
            look_at: Some(now + HANDSHAKE_TIMEOUT),
            timer: Box::pin(sleep(HANDSHAKE_TIMEOUT)),
            sweep_at: now + LINGER_TIMEOUT,
            calls_look: CallsLook::default(),
            greet_by: now + HANDSHAKE_TIMEOUT,
            meters: (metrics.request_meter(), metrics.response_meter()),
            holding: origin.hub.held.connection(network(origin.peer.ip())),
            end: None,
            origin,
        }
    }

    /// Serves until something ends it.
    async fn run(&mut self) -> End {
        let stop = self.origin.stop.clone();
        let (mut draining, mut closing) = (pin!(stop.draining()), pin!(stop.closing()));
        let mut keys = self.origin.hub.doors.watch(self.origin.worker);
        let mut heard_by: Option<Pin<Box<Sleep>>> = None;
        // What is in memory takes leave with the connection that it is a part of.
        let is_own = self.web.is_some();
        let age = self.origin.hub.config.age().filter(|_| is_own);
        let mut age = age.map(|age| Box::pin(sleep(age)));
        let mut grace = None;
        let mut farewell: Option<Pin<Box<Sleep>>> = None;
        let (mut drains, mut closes) = (false, false);
        loop {
            tokio::select! {
                biased;
                () = &mut closing, if !closes => {
                    if self.cut_off_all(true) {
                        return End::Drained;
                    }
                    (closes, farewell) = (true, Some(Box::pin(sleep(FAREWELL_TIMEOUT))));
                }
                () = until(&mut farewell) => return End::Drained,
                () = until(&mut grace) => if self.cut_off_all(false) {
                    return End::Drained;
                },
                is_old = until_draining(&mut draining, &mut age), if is_own && !drains => {
                    self.switch.drain();
                    heard_by = Some(Box::pin(sleep(FAREWELL_TIMEOUT)));
                    let patience = self.origin.hub.config.max_connection_age_grace;
                    grace = patience.filter(|_| is_old).map(|patience| Box::pin(sleep(patience)));
                    drains = true;
                }
                end = poll_fn(|cx| self.poll(cx)) => return end,
                Ok(()) = keys.changed() => self.heed(&keys.borrow_and_update().auth),
                () = until(&mut heard_by) => self.switch.take_no_more(Reason::NO_ERROR, b""),
            }
        }
    }

    /// Does what can be done now. Ready at the end of the connection.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.switch.passed(self.began.elapsed());
        self.poll_timer(cx);
        if let Some(end) = self.end {
            return Poll::Ready(end);
        }
        self.poll_opening(cx);
        self.poll_lanes(cx);
        if self.poll_client(cx).is_ready() {
            // What it has said before still counts.
            let _ = self.poll_writes(cx);
            return Poll::Ready(self.end.unwrap_or(End::Gone));
        }
        self.poll_opening(cx);
        if self.poll_writes(cx).is_err() {
            return Poll::Ready(End::Gone);
        }
        let is_leaving = self.switch.takes_no_more() || self.switch.client_leaves();
        if is_leaving && self.switch.calls() == self.sessions {
            // The hub waits for calls, which may come on these sessions; not for sessions.
            self.place = None;
            if self.sessions == 0 {
                return Poll::Ready(End::Drained);
            }
        }
        // What was woken meanwhile, and what is due sooner now.
        self.wakers.take(cx.waker(), &mut self.woken);
        if self.poll_timer(cx) || !self.woken.is_empty() || self.look_at_opening {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    // --- the client ---

    /// Reads, and does what the client asks for. Ready when it is gone, or has done something wrong.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let carries_sessions = self.sessions > 0 && self.has_sessions.load(Ordering::Relaxed);
            let is_front = self.callers.is_front() || carries_sessions;
            self.switch.client_guard().is_front(is_front);
            if is_front {
                self.switch.serves_front();
            }
            ready!(self.switch.client_guard().poll_more(cx));
            loop {
                match self.switch.next_of_client() {
                    Ok(Some(event)) => self.handle(event),
                    Ok(None) => break,
                    Err(error) => {
                        self.end = Some(End::Wrong(error));
                        return Poll::Ready(());
                    }
                }
            }
            self.note_slow();
            if self.switch.is_tired() {
                continue;
            }
            // Whoever takes no answers is asked for no more: PINGs and SETTINGS are answered without a window.
            if self.switch.client_waits_for() > CLIENT_OUTPUT {
                let _ = self.poll_write_client(cx);
                if self.switch.client_waits_for() > CLIENT_OUTPUT {
                    return Poll::Pending;
                }
            }
            if ready!(self.poll_read(cx)) == 0 {
                self.end = Some(End::Gone);
                return Poll::Ready(());
            }
        }
    }

    /// Reads what there is. Ready with how much; nothing at the connection's end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        if self.read.capacity() < CLIENT_READ / 4 {
            self.read = BytesMut::with_capacity(CLIENT_READ);
        }
        let Poll::Ready(read) = poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read) else {
            if self.switch.calls() == 0 {
                // An idle connection needs no memory for what may come.
                self.read = BytesMut::new();
            }
            self.switch.client_guard().read(0);
            return Poll::Pending;
        };
        let len = read.unwrap_or_default();
        if len > 0 {
            self.switch.client_guard().read(len);
            self.switch.client_came(self.read.split().freeze());
        }
        Poll::Ready(len)
    }

    /// Tells of a limit that the client has reached.
    fn note_slow(&mut self) {
        let limit = match self.switch.client_guard().take_slow() {
            None => return,
            Some(Slow::Heads) => Limit::ClientHeads,
            Some(Slow::Resets) => Limit::ClientResets,
            Some(Slow::SmallData) => Limit::ClientData,
        };
        self.reached(limit, None);
    }
}

/// Resolves when the hub drains, or, with `true`, when the connection is old enough to be made anew.
async fn until_draining(
    draining: &mut (impl Future<Output = ()> + Unpin),
    age: &mut Option<Pin<Box<Sleep>>>,
) -> bool {
    tokio::select! {
        () = draining => false,
        () = until(age) => true,
    }
}

/// Resolves when the time has come, if there is one.
async fn until(time: &mut Option<Pin<Box<Sleep>>>) {
    match time {
        Some(sleep) => {
            sleep.await;
            *time = None;
        }
        None => std::future::pending().await,
    }
}
