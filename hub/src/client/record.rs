//! The record of one call: logged once, counted once, told once, however it ends.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{Level, debug, info, warn};
use tunnel::bridge::Answered;
use tunnel::name::Name;

use crate::client::splice::End;
use crate::config::auth::Caller;
use crate::context::origin::Origin;
use crate::message::refusal::Refusal;
use crate::observe::activity::{ProxiedCall, What};
use crate::observe::metrics::{GaugeGuard, Target};
use crate::observe::outcome::Outcome;
use crate::registry::Session;

/// Written when the call ends; one that is dropped without an ending was cut off with its connection.
#[derive(Debug)]
pub(crate) struct Record {
    origin: Origin,
    target: Target,
    method: String,
    name: Option<Name>,
    instance: String,
    caller: Option<String>,
    started: Instant,
    bytes: (u64, u64),
    written: bool,
    _running: GaugeGuard,
}

impl Record {
    pub(crate) fn start(origin: &Origin, target: Target, path: &str, name: Option<Name>) -> Self {
        Self {
            _running: origin.hub.metrics.stream(),
            origin: origin.clone(),
            target,
            method: path.to_owned(),
            name,
            instance: String::new(),
            caller: None,
            started: Instant::now(),
            bytes: (0, 0),
            written: false,
        }
    }

    /// Who calls.
    pub(crate) fn called_by(&mut self, caller: &Caller) {
        self.caller = caller.id().map(str::to_owned);
    }

    /// The call has a stream on this session.
    pub(crate) fn reached(&mut self, session: &Session) {
        self.instance.clone_from(&session.agent.instance);
    }

    /// Bytes of the request and of the response.
    pub(crate) fn passed(&mut self, bytes: (u64, u64)) {
        self.bytes = bytes;
    }

    /// The hub refused it.
    pub(crate) fn refused(mut self, outcome: Outcome, refusal: &Refusal) {
        self.write(outcome, Some(refusal), Level::DEBUG);
    }

    /// It was passed on; `lost` is what the hub said if the session went away under it.
    pub(crate) fn ended(mut self, end: End, outcome: Outcome, lost: Option<&Refusal>) {
        self.write(outcome, lost.filter(|_| end == End::SessionLost), end.level());
    }

    /// The hub's own services answered it.
    pub(crate) fn answered(mut self, answered: &Result<Answered, h2::Error>) {
        let outcome = match answered {
            Ok(answered) => {
                self.bytes.1 = answered.bytes;
                Outcome::of(answered.status, answered.grpc_status)
            }
            Err(error) => Outcome::Reset(error.reason().unwrap_or(h2::Reason::CANCEL)),
        };
        self.write(outcome, None, Level::DEBUG);
    }

    fn write(&mut self, outcome: Outcome, refusal: Option<&Refusal>, level: Level) {
        self.written = true;
        let duration = self.started.elapsed();
        let metrics = &self.origin.hub.metrics;
        metrics.call(self.target, outcome, refusal, duration);
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
            };
            (name, std::mem::take(&mut self.instance), What::Proxied(call))
        });
    }

    fn log(&self, outcome: Outcome, refusal: Option<&Refusal>, duration: Duration, level: Level) {
        let instance = Some(&*self.instance).filter(|instance| !instance.is_empty());
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

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            self.write(Outcome::Reset(h2::Reason::CANCEL), None, Level::DEBUG);
        }
    }
}
