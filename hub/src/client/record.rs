//! The record of one call: logged once, counted once, told once, however it ends.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http2::error::Reason;
use switch::{Ended, How};
use tokio::time::Instant;
use tracing::{Level, debug, info, warn};
use tunnel::name::Name;

use crate::config::auth::Caller;
use crate::context::origin::Origin;
use crate::message::refusal::Refusal;
use crate::observe::activity::{ProxiedCall, What};
use crate::observe::metrics::{GaugeGuard, Target};
use crate::observe::outcome::Outcome;
use crate::registry::{Agent, Session};

/// Written when the call ends; one that is dropped without an ending was cut off with its connection.
#[derive(Debug)]
pub(crate) struct Record {
    origin: Origin,
    target: Target,
    method: String,
    name: Option<Name>,
    agent: Option<Arc<Agent>>,
    caller: Option<String>,
    started: Instant,
    bytes: (u64, u64),
    /// How long it has waited for its name to come back.
    parked: Option<Duration>,
    /// It does so now.
    parking: Option<GaugeGuard>,
    /// How often it was sent once more, for its upstream had never processed it.
    replays: u32,
    written: bool,
    running: Option<GaugeGuard>,
}

impl Record {
    pub(crate) fn start(origin: Origin, target: Target, path: &str, name: Option<Name>) -> Self {
        Self {
            running: Some(origin.hub.metrics.stream()),
            origin,
            target,
            method: path.to_owned(),
            name,
            agent: None,
            caller: None,
            started: Instant::now(),
            bytes: (0, 0),
            parked: None,
            parking: None,
            replays: 0,
            written: false,
        }
    }

    /// Whom it is for, if not the hub.
    pub(crate) fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// Another one is written of the same call; or, with `false`, not after all.
    pub(crate) fn is_written_elsewhere(&mut self, is: bool) {
        self.written = is;
        self.running = (!is).then(|| self.origin.hub.metrics.stream());
    }

    /// The hub itself has answered, outside the switch.
    pub(crate) fn answered(&mut self, outcome: Outcome, refusal: Option<&Refusal>) {
        self.write(outcome, refusal, Level::DEBUG);
    }

    /// Who calls.
    pub(crate) fn called_by(&mut self, caller: &Caller) {
        self.caller = caller.id().map(str::to_owned);
    }

    /// The call has a stream on this session.
    pub(crate) fn reached(&mut self, session: &Session) {
        self.agent = Some(session.agent.clone());
    }

    /// The call waits for its name to come back.
    pub(crate) fn parks(&mut self) {
        self.parking = Some(self.origin.hub.metrics.call_parked());
    }

    /// It has waited so long, and goes on, or has waited in vain.
    pub(crate) fn parked(&mut self, waited: Duration, outcome: &'static str) {
        self.parking = None;
        self.parked = Some(self.parked.unwrap_or_default() + waited);
        self.origin.hub.metrics.call_was_parked(outcome);
    }

    /// Its upstream never processed it: it is sent once more.
    pub(crate) fn replayed(&mut self) {
        self.replays += 1;
        self.origin.hub.metrics.replayed();
    }

    /// It is over; `refusal` is what the hub itself has answered, and how.
    pub(crate) fn ended(mut self, end: &Ended, refusal: Option<(&Refusal, Outcome)>) {
        if self.written {
            return;
        }
        self.bytes = end.bytes;
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
        self.write(outcome, refusal.map(|(refusal, _)| refusal), level);
    }

    fn write(&mut self, outcome: Outcome, refusal: Option<&Refusal>, level: Level) {
        self.written = true;
        let duration = self.started.elapsed();
        let metrics = &self.origin.hub.metrics;
        let is_elsewhere = self.agent.as_ref().is_some_and(|agent| agent.remote.is_some());
        let target = if is_elsewhere { Target::Elsewhere } else { self.target };
        metrics.call(target, outcome, refusal, duration);
        self.log(outcome, refusal, duration, level);
        let Some(name) = self.name.clone() else {
            return;
        };
        self.origin.hub.activity.publish(|| {
            let call = ProxiedCall {
                method: std::mem::take(&mut self.method),
                outcome,
                reason: refusal.map(Refusal::reason),
                duration,
                request_bytes: self.bytes.0,
                response_bytes: self.bytes.1,
                parked: self.parked,
                replays: self.replays,
            };
            let instance = self.agent.as_ref().map(|agent| agent.instance.clone());
            (name, instance.unwrap_or_default(), What::Proxied(call))
        });
    }

    fn log(&self, outcome: Outcome, refusal: Option<&Refusal>, duration: Duration, level: Level) {
        let instance = self.agent.as_ref().map(|agent| &*agent.instance);
        macro_rules! line {
            ($macro:ident) => {
                $macro!(
                    name = self.name.as_ref().map(Name::as_str),
                    method = self.method,
                    status = %outcome,
                    hub_reason = refusal.map(Refusal::reason),
                    instance,
                    caller = self.caller,
                    peer = %self.origin.peer,
                    duration_us = duration.as_micros() as u64,
                    request_bytes = self.bytes.0,
                    response_bytes = self.bytes.1,
                    parked_ms = self.parked.map(|parked| parked.as_millis() as u64),
                    replays = (self.replays > 0).then_some(self.replays),
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
            self.write(Outcome::Reset(h2::Reason::CANCEL), None, Level::DEBUG);
        }
    }
}
