//! One session, as one of its agent's names has it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tunnel::lanes::{Lane, Open, Source};
use tunnel::registration::Registration;

use super::agent::{Agent, Upstream};
use super::link::Link;
use super::remote::Remote;
use crate::config::auth::Holder;
use crate::directory::Claim;

/// What is known of a session before it begins.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) id: String,
    pub(crate) registration: Registration,
    pub(crate) holder: Option<Holder>,
    pub(crate) peer: SocketAddr,
    /// The worker whose thread drives it.
    pub(crate) worker: usize,
    /// Names that are to be its alone, in their order; none, where that is not so.
    pub(crate) claims: Vec<Claim>,
}

/// A session under one name, which may be one of several.
#[derive(Debug)]
pub(crate) struct Session {
    /// What it shares with the others.
    pub(crate) link: Arc<Link>,
    pub(crate) agent: Arc<Agent>,
    /// Which of them it is, from 0.
    pub(crate) nth: u16,
    registered: AtomicBool,
    /// Another agent has taken the name over.
    ousted: AtomicBool,
    /// The name is its agent's alone, at all hubs.
    claim: Mutex<Option<Claim>>,
    /// Somebody looks again and again whether its upstream is there.
    looking: AtomicBool,
}

impl Session {
    pub(super) fn new(link: Arc<Link>, agent: Arc<Agent>, nth: u16) -> Self {
        let (registered, ousted, claim, looking) = Default::default();
        Self { link, agent, nth, registered, ousted, claim, looking }
    }

    /// Opens a lane; without one, the session is over.
    pub(crate) fn open(&self, source: Source) -> Option<Lane> {
        let agent = self.agent.remote.as_ref().map(|remote| remote.number);
        self.link.tunnel.open(Open { source, nth: self.nth, agent })
    }

    /// Whether its agent is connected to this hub.
    pub(crate) fn is_local(&self) -> bool {
        self.agent.remote.is_none()
    }

    /// How far its agent is, by ping: behind another hub, as far as that one says.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        let beyond = self.agent.remote.as_ref().and_then(|remote| remote.state().rtt);
        Some(self.link.ws().rtt()?.saturating_add(beyond.unwrap_or_default()))
    }

    /// Whether new lanes may be opened on it.
    pub(crate) fn is_usable(&self) -> bool {
        self.link.is_usable() && !self.agent.is_told_draining()
    }

    /// It takes no new lanes, and no new calls on those it has.
    pub(crate) fn is_draining(&self) -> bool {
        self.link.is_draining() || self.agent.is_told_draining()
    }

    /// It owes an answer to a ping, or its agent owes one to another hub.
    pub(crate) fn is_suspect(&self) -> bool {
        self.link.is_suspect() || self.agent.is_told_suspect()
    }

    /// Callers can reach it. Returns `true` the first time: later, its upstream may have been away in between.
    pub(crate) fn first_shown(&self) -> bool {
        !self.registered.swap(true, Ordering::SeqCst)
    }

    /// Somebody looks again and again whether its upstream is there, until what this returns is dropped; one at a time.
    pub(crate) fn looks(&self) -> Option<Looking<'_>> {
        (!self.looking.swap(true, Ordering::SeqCst)).then_some(Looking(&self.looking))
    }

    /// It owes an answer, or has owed one so lately that what had waited for it meanwhile comes to its upstream all at once.
    pub(crate) fn is_catching_up(&self) -> bool {
        let remote = self.agent.remote.as_ref();
        self.link.is_catching_up() || remote.is_some_and(Remote::is_catching_up)
    }

    /// The name is its agent's alone.
    pub(super) fn has_claim(&self, claim: Option<Claim>) {
        *self.claim.lock() = claim;
    }

    /// Another agent has taken the name over.
    pub(super) fn loses_name(&self) {
        self.ousted.store(true, Ordering::SeqCst);
        self.has_claim(None);
    }

    /// Whether no other agent has taken the name over.
    pub(super) fn has_name(&self) -> bool {
        !self.ousted.load(Ordering::SeqCst)
    }

    pub(super) fn is_shown(&self) -> bool {
        self.agent.upstream() != Upstream::Unknown
    }

    pub(super) fn is_same_slot(&self, other: &Self) -> bool {
        self.link.slot == other.link.slot
            && Arc::ptr_eq(&self.agent, &other.agent)
            && self.is_local()
    }
}

/// Somebody looks whether the session's upstream is there.
#[derive(Debug)]
pub(crate) struct Looking<'s>(&'s AtomicBool);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
