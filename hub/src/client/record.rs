//! The record of one call: logged once, counted once, told once, however it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http2::error::Reason;
use switch::{Ended, How, Progress};
use tokio::time::Instant;
use tracing::{Level, debug, info, warn};
use tunnel::name::Name;

use crate::config::auth::Caller;
use crate::context::hub::Hub;
use crate::message::refusal::Refusal;
use crate::observe::activity::{ProxiedCall, What};
use crate::observe::ending::{Ending, Kind};
use crate::observe::metrics::{GaugeGuard, Target};
use crate::observe::outcome::Outcome;
use crate::observe::trace::Trace;
use crate::registry::{Agent, Link, Session};

/// Written when the call ends; one that is dropped without an ending was cut off with its connection.
#[derive(Debug)]
pub(crate) struct Record {
    hub: Arc<Hub>,
    peer: SocketAddr,
    target: Target,
    method: String,
    name: Option<Name>,
    agent: Option<Arc<Agent>>,
    /// Of the session that carries it.
    link: Option<Arc<Link>>,
    lane: Option<u32>,
    caller: Option<String>,
    trace: Option<Trace>,
    is_grpc: bool,
    started: Instant,
    /// From then to when it was sent to an agent, and to the head of the answer.
    queue: Option<Duration>,
    head: Option<Duration>,
    bytes: (u64, u64),
    told: Told,
    messages: (u64, u64),
    /// How long it has waited for its name to come back.
    parked: Option<Duration>,
    /// It does so now.
    parking: Option<GaugeGuard>,
    /// How often it was sent once more, for its upstream had never processed it.
    replays: u32,
    written: bool,
    running: Option<GaugeGuard>,
}

/// What of a call's bytes has been told, of its request and of its answer.
#[derive(Clone, Copy, Debug, Default)]
struct Told(u64, u64);

impl Told {
    /// So many there are by now: tells how many more that is. A call that is sent once more begins anew, behind what was told, and
    /// what passes again is not told again.
    fn more(&mut self, (request, response): (u64, u64)) -> (u64, u64) {
        let more = (request.saturating_sub(self.0), response.saturating_sub(self.1));
        *self = Self(self.0 + more.0, self.1 + more.1);
        more
    }
}

/// How it ended.
struct End<'e> {
    outcome: Outcome,
    /// What the hub itself has answered.
    refusal: Option<&'e Refusal>,
    /// It was its client who ended it.
    is_clients: bool,
    /// Of the line in the log.
    level: Level,
}

impl Record {
    /// Of a call that this peer makes.
    pub(crate) fn start(
        hub: &Arc<Hub>,
        peer: SocketAddr,
        target: Target,
        path: &str,
        name: Option<Name>,
    ) -> Self {
        Self {
            hub: hub.clone(),
            peer,
            running: Some(hub.metrics.stream()),
            target,
            method: path.to_owned(),
            name,
            agent: None,
            link: None,
            lane: None,
            caller: None,
            trace: None,
            is_grpc: false,
            started: Instant::now(),
            queue: None,
            head: None,
            bytes: (0, 0),
            told: Told::default(),
            messages: (0, 0),
            parked: None,
            parking: None,
            replays: 0,
            written: false,
        }
    }

    /// When it came.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Whom it is for, if not the hub.
    pub(crate) fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// Another one is written of the same call; or, with `false`, not after all.
    pub(crate) fn is_written_elsewhere(&mut self, is: bool) {
        self.written = is;
        self.running = (!is).then(|| self.hub.metrics.stream());
    }

    /// The hub itself has answered, outside the switch.
    pub(crate) fn answered(&mut self, outcome: Outcome, refusal: Option<&Refusal>) {
        self.write(&End { outcome, refusal, is_clients: false, level: Level::DEBUG });
    }

    /// What its head says of it.
    pub(crate) fn says(&mut self, is_grpc: bool, trace: Option<Trace>) {
        (self.is_grpc, self.trace) = (is_grpc, trace);
    }

    /// Who calls.
    pub(crate) fn called_by(&mut self, caller: &Caller) {
        self.caller = caller.id().map(str::to_owned);
    }

    /// The call has a stream on this session's lane of this number.
    pub(crate) fn reached(&mut self, session: &Session, lane: Option<u32>) {
        self.queue = Some(self.started.elapsed());
        (self.agent, self.link) = (Some(session.agent.clone()), Some(session.link.clone()));
        self.lane = lane;
    }

    /// The head of its answer has come.
    pub(crate) fn has_head(&mut self) {
        self.head = Some(self.started.elapsed());
    }

    /// It runs, and has come so far; whomever it waits for now, it is taken to have waited for all of this time.
    pub(crate) fn runs(&mut self, progress: &Progress, time: Duration) {
        let Some(agent) = &self.agent else { return };
        if let Some(stall) = progress.waits_for {
            agent.tally.stalled(stall, time.min(self.started.elapsed()));
        }
        agent.tally.moved(self.told.more(progress.bytes));
    }

    /// The call waits for its name to come back.
    pub(crate) fn parks(&mut self) {
        self.parking = Some(self.hub.metrics.call_parked());
    }

    /// It has waited so long, and goes on, or has waited in vain.
    pub(crate) fn parked(&mut self, waited: Duration, outcome: &'static str) {
        self.parking = None;
        self.parked = Some(self.parked.unwrap_or_default() + waited);
        self.hub.metrics.call_was_parked(outcome);
    }

    /// Its upstream never processed it: it is sent once more.
    pub(crate) fn replayed(&mut self) {
        self.replays += 1;
        self.hub.metrics.replayed();
    }

    /// It is over; `refusal` is what the hub itself has answered, and how.
    pub(crate) fn ended(mut self, end: &Ended, refusal: Option<(&Refusal, Outcome)>) {
        if self.written {
            return;
        }
        (self.bytes, self.messages) = (end.bytes, end.messages);
        if end.status != 0 && self.head.is_none() {
            // It was all of the answer.
            self.has_head();
        }
        let lost = matches!(refusal, Some((Refusal::SessionLost(_), _)));
        let reset = |reason: Reason| Outcome::Reset(reason.0.into());
        let (outcome, level) = match (end.how, refusal) {
            (How::Answered, Some((_, outcome))) if lost => (outcome, Level::WARN),
            (How::Answered, Some((_, outcome))) => (outcome, Level::DEBUG),
            (How::Answered, None) if lost => (reset(Reason::INTERNAL_ERROR), Level::WARN),
            (How::Complete | How::Answered, _) => (complete(end), Level::DEBUG),
            // What only the client brought about is its own affair.
            (How::ClientReset(reason) | How::ClientBreach(reason), _) => {
                (reset(reason), Level::DEBUG)
            }
            (How::UpstreamReset(reason), _) => (reset(reason), Level::INFO),
            // There is a line of its limit, which is itself limited.
            (How::UpstreamBreach(_), _) => (reset(Reason::INTERNAL_ERROR), Level::DEBUG),
            (How::Refused, _) => (reset(Reason::REFUSED_STREAM), Level::INFO),
        };
        let is_clients = matches!(end.how, How::ClientReset(_) | How::ClientBreach(_));
        let refusal = refusal.map(|(refusal, _)| refusal);
        self.write(&End { outcome, refusal, is_clients, level });
    }

    fn write(&mut self, end: &End<'_>) {
        self.written = true;
        let moved = self.told.more(self.bytes);
        let hub = &self.hub;
        let ending = self.ending(end);
        let is_elsewhere = self.agent.as_ref().is_some_and(|agent| agent.remote.is_some());
        let target = if is_elsewhere { Target::Elsewhere } else { self.target };
        hub.metrics.call(target, &ending);
        match (&self.agent, &self.name) {
            (Some(agent), _) => agent.tally.ended(&ending, moved),
            // It has reached nobody, and was not given up before it could.
            (None, Some(name)) if end.refusal.is_some() => {
                hub.registry.tally(name).iter().for_each(|tally| tally.ended(&ending, moved));
            }
            (None, _) => {}
        }
        hub.books.write(&ending);
        log(&ending, end.level);
        let Some(name) = &self.name else { return };
        hub.activity.publish(|| {
            let instance = ending.instance.unwrap_or_default().to_owned();
            (name.clone(), instance, What::Proxied(ProxiedCall::of(&ending)))
        });
    }

    fn ending<'c>(&'c self, end: &End<'c>) -> Ending<'c> {
        let (request, response) = self.messages;
        let ended = Instant::now();
        let kind = match self.is_grpc {
            true if request <= 1 && response <= 1 => Kind::Unary,
            true => Kind::Stream,
            false => Kind::Other,
        };
        Ending {
            name: self.name.as_ref(),
            method: &self.method,
            outcome: end.outcome,
            refusal: end.refusal,
            is_clients: end.is_clients,
            kind,
            instance: self.agent.as_ref().map(|agent| &*agent.instance),
            session: self.link.as_ref().map(|link| &*link.id),
            lane: self.lane,
            caller: self.caller.as_deref(),
            peer: self.peer,
            head: self.head,
            queue: self.queue,
            ended,
            total: ended - self.started,
            bytes: self.bytes,
            messages: self.is_grpc.then_some(self.messages),
            parked: self.parked,
            replays: self.replays,
            trace: self.trace,
        }
    }
}

fn log(ending: &Ending<'_>, level: Level) {
    macro_rules! line {
        ($macro:ident) => {
            $macro!(
                name = ending.name.map(Name::as_str),
                method = ending.method,
                status = %ending.outcome,
                hub_reason = ending.refusal.map(Refusal::reason),
                instance = ending.instance,
                caller = ending.caller,
                peer = %ending.peer,
                duration_us = ending.total.as_micros() as u64,
                request_bytes = ending.bytes.0,
                response_bytes = ending.bytes.1,
                parked_ms = ending.parked.map(|parked| parked.as_millis() as u64),
                replays = (ending.replays > 0).then_some(ending.replays),
                "call ended"
            )
        };
    }
    match level {
        Level::WARN => line!(warn),
        Level::INFO => line!(info),
        _ => line!(debug),
    }
}

/// What a response says that was passed on whole.
fn complete(end: &Ended) -> Outcome {
    let status = StatusCode::from_u16(end.status).unwrap_or(StatusCode::OK);
    let grpc_status = end.grpc_status.map(|code| u16::try_from(code).unwrap_or(u16::MAX));
    Outcome::of(status, grpc_status)
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            let outcome = Outcome::Reset(h2::Reason::CANCEL);
            self.write(&End { outcome, refusal: None, is_clients: true, level: Level::DEBUG });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_once_more_is_not_told_twice() {
        let mut told = Told::default();
        let steps = [
            ((10, 0), (10, 0)),
            ((30, 5), (20, 5)),
            // It is sent once more.
            ((0, 0), (0, 0)),
            ((20, 0), (0, 0)),
            ((40, 9), (10, 4)),
        ];
        for (now, more) in steps {
            assert_eq!(told.more(now), more);
        }
    }
}
