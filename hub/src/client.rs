//! One client, for as long as its connection lives: what its calls share.

pub(crate) mod call;
pub(crate) mod connection;
pub(crate) mod flood_guard;
pub(crate) mod paces;
pub(crate) mod record;
pub(crate) mod route;
pub(crate) mod splice;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use h2::StreamId;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::client::paces::Paces;
use crate::context::origin::Origin;
use crate::guard::growth::{Grants, Growth};
use crate::lanes::{Owner, Pool};
use crate::limits::{CALLERS_REMEMBERED, OWN_CALLS};
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
    /// Of all who call without a good token.
    nobody: Arc<Paces>,
    /// Of the others, by what the auth file calls them.
    callers: Mutex<HashMap<String, Arc<Paces>>>,
    /// Several have, with a token each.
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
            nobody: Arc::new(Paces::new(&origin)),
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
        let Some(caller) = caller else {
            return self.nobody.clone();
        };
        let mut callers = self.callers.lock();
        if let Some(paces) = callers.get(caller) {
            return paces.clone();
        }
        if !callers.is_empty() {
            self.is_front.store(true, Ordering::Relaxed);
        }
        if callers.len() >= CALLERS_REMEMBERED {
            callers.retain(|_, paces| Arc::strong_count(paces) > 1 || !paces.is_unused());
        }
        let paces = Arc::new(Paces::new(&self.origin));
        callers.insert(caller.to_owned(), paces.clone());
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
