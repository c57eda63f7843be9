//! The WebSocket of a session, and what all names on it share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tunnel::lanes::Lanes;
use tunnel::ws::Handle;

use crate::config::auth::Holder;
use crate::limits::{CATCHING_UP, FAREWELL_TIMEOUT};

/// A WebSocket from an agent, that lanes can be opened on.
#[derive(Debug)]
pub(crate) struct Link {
    /// The session's.
    pub(crate) id: String,
    /// Which of the agent's sessions it is.
    pub(crate) slot: u16,
    pub(crate) peer: SocketAddr,
    /// The worker whose thread drives it.
    pub(crate) worker: usize,
    /// Whose token let it in: its agent's, or another one of the same holder.
    pub(crate) holder: Option<Holder>,
    pub(crate) since: SystemTime,
    /// Under how many names it was registered.
    pub(crate) names: usize,
    /// Those of them under which another session has taken its place.
    lost: AtomicUsize,
    /// Its byte streams.
    pub(crate) tunnel: Lanes,
    registered: AtomicBool,
    draining: AtomicBool,
    leaves: AtomicBool,
    moved: CancellationToken,
    over: CancellationToken,
    lanes: AtomicUsize,
    /// When the last of them was over that is.
    lane_ended: Mutex<Option<Instant>>,
    /// When it was heard of after it had owed an answer.
    heard_again: Mutex<Option<Instant>>,
    /// Told when it begins to drain, and when it has lost its last lane.
    nudged: Notify,
}

impl Link {
    pub(crate) fn new(
        id: String,
        slot: u16,
        (peer, worker): (SocketAddr, usize),
        holder: Option<Holder>,
        names: usize,
        tunnel: Lanes,
    ) -> Self {
        Self {
            id,
            slot,
            peer,
            worker,
            holder,
            since: SystemTime::now(),
            names,
            lost: AtomicUsize::new(0),
            tunnel,
            registered: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            leaves: AtomicBool::new(false),
            moved: CancellationToken::new(),
            over: CancellationToken::new(),
            lanes: AtomicUsize::new(0),
            lane_ended: Mutex::default(),
            heard_again: Mutex::default(),
            nudged: Notify::new(),
        }
    }

    /// Speaks to the agent itself.
    pub(crate) fn ws(&self) -> &Handle {
        self.tunnel.ws()
    }

    /// The agent may be told that it is registered. Returns `true` the first time.
    pub(crate) fn first_registered(&self) -> bool {
        !self.registered.swap(true, Ordering::SeqCst)
    }

    /// Resolves when it is in the registry no more.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    pub(super) fn is_over(&self) {
        self.over.cancel();
    }

    /// Whether new lanes may be opened on it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_draining() && self.ws().ended().is_none()
    }

    /// It takes no new lanes, and no new calls on those it has.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// It owes an answer to a ping.
    pub(crate) fn is_suspect(&self) -> bool {
        self.ws().is_suspect()
    }

    /// It is to be replaced, and goes on until it is.
    pub(crate) fn leaves(&self) {
        self.leaves.store(true, Ordering::SeqCst);
    }

    /// Whether a new session of its slot takes its place at once: not where it was asked to find one.
    pub(super) fn gives_way(&self) -> bool {
        !self.is_draining() && !self.leaves.load(Ordering::SeqCst)
    }

    /// Resolves when its replacement is registered, here or at another hub.
    pub(crate) async fn has_moved(&self) {
        self.moved.cancelled().await;
    }

    pub(crate) fn moves(&self) {
        self.moved.cancel();
    }

    /// No new lanes and calls from now on. Returns `true` the first time.
    pub(super) fn drain(&self) -> bool {
        let is_first = !self.draining.swap(true, Ordering::SeqCst);
        if is_first {
            self.nudged.notify_one();
        }
        is_first
    }

    /// Another session has taken its place under one of its names. Returns `true` if it has none left.
    pub(super) fn loses_name(&self) -> bool {
        self.lost.fetch_add(1, Ordering::SeqCst) + 1 == self.names
    }

    /// Whether others have taken its place under all of its names.
    pub(super) fn has_no_name(&self) -> bool {
        self.lost.load(Ordering::SeqCst) == self.names
    }

    /// Resolves when it has begun to drain, or has lost its last lane.
    pub(crate) async fn nudged(&self) {
        self.nudged.notified().await;
    }

    /// When the last bytes of lanes that are over have left, too.
    pub(crate) fn quiet_at(&self) -> Instant {
        let ended = *self.lane_ended.lock();
        ended.map_or_else(Instant::now, |ended| ended + FAREWELL_TIMEOUT)
    }

    /// It owes an answer, or has owed one so lately that what had waited for it meanwhile comes to its upstream all at once.
    pub(crate) fn is_catching_up(&self) -> bool {
        let lately = |heard: Instant| heard.elapsed() < CATCHING_UP;
        self.is_suspect() || self.heard_again.lock().is_some_and(lately)
    }

    /// It is heard of again.
    pub(super) fn is_heard_again(&self) {
        *self.heard_again.lock() = Some(Instant::now());
    }

    /// Lanes that are open on it.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.load(Ordering::SeqCst)
    }

    pub(crate) fn lane_began(&self) {
        self.lanes.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn lane_ended(&self) {
        *self.lane_ended.lock() = Some(Instant::now());
        if self.lanes.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.nudged.notify_one();
        }
    }
}
