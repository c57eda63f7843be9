//! What other hubs tell of their agents.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;
use tunnel::name::Name;
use tunnel::registration::Exposed;

use super::about::About;
use crate::limits::CATCHING_UP;

/// A name, as another hub tells of it.
#[derive(Clone, Debug)]
pub(crate) struct ToldName {
    pub(crate) name: Name,
    pub(crate) agents: Vec<Told>,
    /// Instances from which another one has taken it over.
    pub(crate) ousted: Vec<String>,
}

impl ToldName {
    /// Nobody has it there any more.
    pub(super) fn gone(name: Name) -> Self {
        Self { name, agents: Vec::new(), ousted: Vec::new() }
    }
}

/// An agent, as another hub tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) exposed: Exposed,
    pub(crate) about: About,
    /// What that hub calls it.
    pub(crate) number: u64,
    /// Lanes that it takes at once.
    pub(crate) max_lanes: usize,
    pub(crate) state: ToldState,
}

/// What of it may change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToldState {
    /// None of its sessions takes new calls.
    pub(crate) is_draining: bool,
    /// All of those that do owe an answer to a ping.
    pub(crate) is_suspect: bool,
    /// Its server takes no connections.
    pub(crate) is_down: bool,
    /// How many of its sessions have begun to drain so far.
    pub(crate) drains: u64,
    pub(crate) sessions: u32,
    /// How far it is from its hub.
    pub(crate) rtt: Option<Duration>,
    /// Where its oldest session comes from, if that was told.
    pub(crate) peer: Option<SocketAddr>,
    /// When that registered.
    pub(crate) since: SystemTime,
}

/// What only an agent of another hub has.
#[derive(Debug)]
pub(crate) struct Remote {
    /// The id of the hub process that it is connected to.
    pub(crate) node: Arc<str>,
    /// What that hub calls it.
    pub(crate) number: u64,
    state: Mutex<ToldState>,
    /// When it was told last that it is heard of again.
    heard_again: Mutex<Option<Instant>>,
}

impl Remote {
    pub(super) fn new(node: Arc<str>, number: u64, state: ToldState) -> Self {
        Self { node, number, state: Mutex::new(state), heard_again: Mutex::default() }
    }

    /// Its hub tells of it again.
    pub(super) fn is_told(&self, state: ToldState) {
        let before = std::mem::replace(&mut *self.state.lock(), state);
        if before.is_suspect && !state.is_suspect {
            *self.heard_again.lock() = Some(Instant::now());
        }
    }

    /// It does not answer its hub, or has not lately.
    pub(super) fn is_catching_up(&self) -> bool {
        let lately = |heard: Instant| heard.elapsed() < CATCHING_UP;
        self.state().is_suspect || self.heard_again.lock().is_some_and(lately)
    }

    /// As its hub has told last.
    pub(crate) fn state(&self) -> ToldState {
        *self.state.lock()
    }
}
