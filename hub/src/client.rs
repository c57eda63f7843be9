//! One client, for as long as its connection lives: what its calls share.

pub(crate) mod call;
pub(crate) mod connection;
pub(crate) mod flood_guard;
pub(crate) mod paces;
pub(crate) mod record;
pub(crate) mod route;
pub(crate) mod splice;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use h2::StreamId;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::client::paces::Paces;
use crate::context::origin::Origin;
use crate::guard::growth::{Grants, Growth};
use crate::lanes::{Owner, Pool};
use crate::limits::OWN_CALLS;
use crate::observe::limit::Limit;

/// What the calls of one connection share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) origin: Origin,
    /// Its lanes to agents.
    pub(crate) lanes: Pool,
    /// Its calls to the hub's own services.
    pub(crate) own_calls: Semaphore,
    /// What is due to the windows of its streams.
    pub(crate) grants: Arc<Grants>,
    /// Who has called on it: what the auth file calls them.
    callers: Mutex<Vec<(Option<String>, Arc<Paces>)>>,
    /// More than one has.
    is_front: AtomicBool,
}

impl Client {
    pub(crate) fn new(origin: Origin) -> Arc<Self> {
        let Origin { hub, peer, worker, .. } = &origin;
        let owner = Owner { opener: hub.lanes.clone(), peer: *peer, worker: *worker };
        Arc::new(Self {
            lanes: Pool::new(owner),
            own_calls: Semaphore::new(OWN_CALLS),
            grants: Arc::default(),
            callers: Mutex::default(),
            is_front: AtomicBool::new(false),
            origin,
        })
    }

    /// Of the window in which a call of the connection sends.
    pub(crate) fn growth(&self, stream: StreamId) -> Growth {
        let window = self.origin.hub.config.stream_window;
        Growth::new(self.grants.clone(), stream.as_u32(), window)
    }

    /// How fast the caller of this name may be served; all who have none are one.
    pub(crate) fn paces(&self, caller: Option<&str>) -> Arc<Paces> {
        let mut callers = self.callers.lock();
        if let Some((_, paces)) = callers.iter().find(|(known, _)| known.as_deref() == caller) {
            return paces.clone();
        }
        let paces = Arc::new(Paces::new(&self.origin));
        callers.push((caller.map(str::to_owned), paces.clone()));
        self.is_front.store(callers.len() > 1, Ordering::Relaxed);
        paces
    }

    /// Whether it is not a caller's own connection but that of a proxy, on which several call. What one of them does
    /// must not slow the connection down, for that would be everybody's.
    pub(crate) fn is_front(&self) -> bool {
        self.is_front.load(Ordering::Relaxed)
    }

    /// It has reached a limit.
    pub(crate) fn reached(&self, limit: Limit) {
        self.origin.hub.limits.reached(limit, self.origin.peer, None);
    }
}

#[cfg(test)]
mod tests;
