//! One lane, as calls meet it: streams of an HTTP/2 connection to an agent's server that one caller has to itself.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{SendStream, StreamId};
use http::Request;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::watch::LaneWatch;
use crate::guard::growth::Growth;
use crate::registry::{OpenLane, Session};

/// Who is told what becomes of a lane.
pub(super) trait LaneOwner: fmt::Debug + Send + Sync {
    /// The client.
    fn peer(&self) -> SocketAddr;
    /// The lane has room again, or takes no more calls.
    fn wake(&self);
    /// The upstream has ended it for what its caller did, in these words.
    fn closed_for_cause(&self, why: String);
}

/// A lane whose upstream has spoken.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) session: Arc<Session>,
    /// Gone once the lane takes no new calls: then HTTP/2 ends the connection after the last of them.
    streams: Mutex<Option<SendRequest<Bytes>>>,
    watch: LaneWatch,
    calls: AtomicUsize,
    /// Which of its owner's calls was the last that it took.
    last_call: AtomicU64,
    /// The upstream has answered one of them.
    answered: AtomicBool,
    /// When the last call ended.
    idle_since: Mutex<Instant>,
    /// Whose lane it is; nobody's yet while it is a sentinel.
    owner: Mutex<Option<Weak<dyn LaneOwner>>>,
    /// Bytes of the window in which the upstream answers a call, at most.
    stream_window: u32,
}

impl Lane {
    pub(super) fn new(
        session: Arc<Session>,
        streams: SendRequest<Bytes>,
        watch: LaneWatch,
        stream_window: u32,
    ) -> Self {
        Self {
            session,
            streams: Mutex::new(Some(streams)),
            watch,
            calls: AtomicUsize::new(0),
            last_call: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
            owner: Mutex::default(),
            stream_window,
        }
    }

    /// It belongs to this owner from now on.
    pub(super) fn belongs_to(&self, owner: Weak<dyn LaneOwner>) {
        *self.owner.lock() = Some(owner);
    }

    /// Whose lane it is, if anybody's.
    pub(super) fn owner(&self) -> Option<Arc<dyn LaneOwner>> {
        self.owner.lock().as_ref()?.upgrade()
    }

    /// Whether it takes new calls, as far as the hub knows.
    pub(crate) fn is_open(&self) -> bool {
        self.streams.lock().is_some() && !self.session.is_draining()
    }

    /// Calls that run on it.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Which of its owner's calls was the last that it took.
    pub(super) fn last_call(&self) -> u64 {
        self.last_call.load(Ordering::Relaxed)
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether the upstream takes another stream on it. `h2` itself would queue without a bound.
    pub(super) fn has_room(&self) -> bool {
        let streams = self.streams.lock();
        streams.as_ref().is_some_and(|streams| self.calls() < streams.current_max_send_streams())
    }

    /// Streams that it may have at once.
    pub(super) fn max_streams(&self) -> Option<usize> {
        self.streams.lock().as_ref().map(SendRequest::current_max_send_streams)
    }

    /// It is idle from now on.
    pub(super) fn rest(&self) {
        *self.idle_since.lock() = Instant::now();
    }

    /// Takes one of the streams that the upstream allows, if one is left, for this one of its owner's calls.
    pub(super) fn take_stream(self: &Arc<Self>, call: u64) -> Option<Permit> {
        let streams = self.streams.lock().clone()?;
        let max = streams.current_max_send_streams();
        let taken = self
            .calls
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, |n| (n < max).then_some(n + 1));
        taken.ok()?;
        self.last_call.store(call, Ordering::Relaxed);
        self.session.agent.call_began();
        Some(Permit { lane: self.clone(), streams })
    }

    fn tell_owner(&self) {
        if let Some(owner) = self.owner() {
            owner.wake();
        }
    }
}

impl OpenLane for Lane {
    fn idle_since(&self) -> Option<Instant> {
        (self.calls() == 0).then(|| *self.idle_since.lock())
    }

    fn session_id(&self) -> &str {
        &self.session.id
    }

    fn retire(&self) {
        // Outside the lock: the last handle that goes wakes the connection.
        let streams = self.streams.lock().take();
        drop(streams);
        self.tell_owner();
    }
}

/// The right to one stream of a lane, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Permit {
    lane: Arc<Lane>,
    streams: SendRequest<Bytes>,
}

impl Permit {
    /// Opens the stream.
    ///
    /// # Errors
    /// The connection takes no new streams: the upstream said GOAWAY, or the lane is gone. Nothing was sent, so
    /// another lane may be tried.
    pub(crate) fn open(
        &mut self,
        head: Request<()>,
        end_stream: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.streams.send_request(head, end_stream)
    }

    /// Whether the upstream takes no new streams on the lane.
    pub(crate) async fn is_refused(&self) -> bool {
        self.streams.clone().ready().await.is_err()
    }

    /// The lane takes no new streams after all.
    pub(crate) fn give_up_lane(&self) {
        self.lane.retire();
    }

    pub(crate) fn session(&self) -> &Session {
        &self.lane.session
    }

    /// Of the window in which the upstream answers.
    pub(crate) fn growth(&self, stream: StreamId) -> Growth {
        let growth =
            Growth::new(self.lane.watch.grants.clone(), stream.as_u32(), self.lane.stream_window);
        growth.over(self.session().ws().rtt().unwrap_or_default())
    }

    /// The upstream has begun to answer the call.
    pub(crate) fn answered(&self) {
        self.lane.answered.store(true, Ordering::Relaxed);
    }

    /// Whether the upstream has never looked at the call on this stream, as far as its end tells.
    pub(crate) fn is_unprocessed(&self, stream: StreamId) -> bool {
        self.lane.watch.is_undelivered(stream.as_u32())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let lane = &self.lane;
        lane.session.agent.call_ended();
        lane.rest();
        if lane.calls.fetch_sub(1, Ordering::SeqCst) == 1 && lane.session.is_draining() {
            lane.retire();
        }
        lane.tell_owner();
    }
}
