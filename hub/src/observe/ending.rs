//! How a call went, once it is over: what metrics, logs and the page are told of it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;
use tunnel::name::Name;

use crate::limits::METHOD_LEN;
use crate::message::refusal::Refusal;
use crate::observe::outcome::Outcome;
use crate::observe::trace::Trace;

/// What kind of call it was, as far as its messages tell: whoever streams a single message each way looks unary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One message each way at most.
    Unary,
    /// More than one, one way or the other.
    Stream,
    /// No gRPC: pages, downloads, WebSockets.
    Other,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Unary, Self::Stream, Self::Other];

    /// As a label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Stream => "stream",
            Self::Other => "other",
        }
    }
}

/// A call that is over.
#[derive(Debug)]
pub(crate) struct Ending<'c> {
    /// Whom it was for, if not the hub.
    pub(crate) name: Option<&'c Name>,
    /// The path.
    pub(crate) method: &'c str,
    pub(crate) outcome: Outcome,
    /// What the hub itself has answered.
    pub(crate) refusal: Option<&'c Refusal>,
    /// The client has given it up, or was cut off for what it did.
    pub(crate) is_clients: bool,
    pub(crate) kind: Kind,
    /// The agent process that it reached.
    pub(crate) instance: Option<&'c str>,
    /// The session that carried it.
    pub(crate) session: Option<&'c str>,
    /// The lane's number in it.
    pub(crate) lane: Option<u32>,
    /// Whose token it had.
    pub(crate) caller: Option<&'c str>,
    pub(crate) peer: SocketAddr,
    /// From its head to the one of the answer, where there was one of an agent's server.
    pub(crate) head: Option<Duration>,
    /// From its head to when it was sent to an agent, where it was.
    pub(crate) queue: Option<Duration>,
    pub(crate) ended: Instant,
    /// From its head to its end.
    pub(crate) total: Duration,
    /// Of the request, and of the answer.
    pub(crate) bytes: (u64, u64),
    /// The same; none of what is no gRPC.
    pub(crate) messages: Option<(u64, u64)>,
    /// How long it has waited for its name to come back.
    pub(crate) parked: Option<Duration>,
    /// How often it was sent once more.
    pub(crate) replays: u32,
    /// What it belongs to, where its caller said so.
    pub(crate) trace: Option<Trace>,
}

impl Ending<'_> {
    /// Whether it failed by somebody's fault but the client's: what OpenTelemetry takes for errors of a server (its
    /// conventions for RPC spans), an upstream's reset, and what the hub refuses a client that has done nothing wrong.
    pub(crate) fn is_error(&self) -> bool {
        let is_refused = self.refusal.is_some_and(|refusal| !refusal.is_clients_fault());
        let is_failed = self.refusal.is_none() && self.outcome.is_servers_fault();
        !self.is_clients && (is_refused || is_failed)
    }

    /// The path as far as it is written down: clients choose it, and it may be of 48 KiB.
    pub(crate) fn method_cut(&self) -> &str {
        &self.method[..self.method.floor_char_boundary(METHOD_LEN)]
    }
}

#[cfg(test)]
impl<'c> Ending<'c> {
    /// A unary call to nobody, that ended so.
    pub(crate) fn of_a_test(method: &'c str, outcome: Outcome) -> Self {
        Self {
            name: None,
            method,
            outcome,
            refusal: None,
            is_clients: false,
            kind: Kind::Unary,
            instance: None,
            session: None,
            lane: None,
            caller: None,
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            head: None,
            queue: None,
            ended: Instant::now(),
            total: Duration::from_secs(1),
            bytes: (0, 0),
            messages: None,
            parked: None,
            replays: 0,
            trace: None,
        }
    }
}
