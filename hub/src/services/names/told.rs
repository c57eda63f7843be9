//! How names and what is counted of them stand in messages.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hub_proto::hub::v1::{LimitReached, Method, Name, NameState as State, Recent, StatusCount};
use prost_types::Timestamp;
use tonic::Status;

use crate::observe::limit::Reached;
use crate::observe::name_view::{NameState, NameView};
use crate::observe::tally::{MethodTally, Rates};

/// A name, and what lists are ordered by.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) view: NameView,
    pub(super) rates: Rates,
    /// The times within which a half, and 99 of 100, of the unary calls had the head of their answer.
    pub(super) quantiles: Option<[Duration; 2]>,
}

impl Row {
    pub(super) fn of(view: NameView) -> Self {
        let looked = view.tally.look(|lately, _| (lately.rates(), lately.quantiles([0.5, 0.99])));
        let (rates, quantiles) = looked.unwrap_or_default();
        Self { view, rates, quantiles }
    }

    pub(super) fn told(&self) -> Name {
        let Self { view, rates, quantiles } = self;
        let counts = &view.tally.counts;
        let [request_bytes, response_bytes] =
            [0, 1].map(|way| counts.bytes[way].load(Ordering::Relaxed));
        let (calls, refusals) = counts.calls();
        let steps = view.tally.look(|lately, _| {
            lately.steps().map(|step| Recent { calls: step.calls, errors: step.errors }).collect()
        });
        Name {
            name: view.name.to_string(),
            state: state(view.state).into(),
            since: Some(view.since.into()),
            agents: number(view.agents),
            sessions: number(view.sessions),
            lanes: number(view.lanes),
            calls_in_flight: view.in_flight as u64,
            rtt: view.rtt.and_then(|rtt| rtt.try_into().ok()),
            calls_rate: rates.calls,
            errors_rate: rates.errors,
            request_bytes_rate: rates.bytes.0,
            response_bytes_rate: rates.bytes.1,
            p50: quantiles.and_then(|times| times[0].try_into().ok()),
            p99: quantiles.and_then(|times| times[1].try_into().ok()),
            calls,
            errors: counts.errors.load(Ordering::Relaxed),
            refusals,
            request_bytes,
            response_bytes,
            recent: steps.unwrap_or_default(),
        }
    }
}

pub(super) fn state(state: NameState) -> State {
    match state {
        NameState::Offline => State::Offline,
        NameState::Unreachable => State::Unreachable,
        NameState::Draining => State::Draining,
        NameState::Suspect => State::Suspect,
        NameState::Online => State::Online,
    }
}

/// The state that somebody asks for.
pub(super) fn state_asked(asked: i32) -> Result<NameState, Status> {
    let found = NameState::ALL.into_iter().find(|known| i32::from(state(*known)) == asked);
    found.ok_or_else(|| Status::invalid_argument("there is no such state"))
}

/// With how many calls it had.
pub(super) fn method_told((method, tally): (&str, &MethodTally)) -> (u64, Method) {
    let status = |(outcome, calls): &(crate::observe::outcome::Outcome, u64)| StatusCount {
        status: outcome.label().to_owned(),
        calls: *calls,
    };
    let calls = tally.outcomes.iter().map(|(_, times)| times).sum();
    let statuses = tally.outcomes.iter().map(status).collect();
    (calls, Method { method: method.to_owned(), statuses, time: tally.time.try_into().ok() })
}

pub(super) fn limit_told(reached: Reached) -> LimitReached {
    let limit = reached.limit.label().to_owned();
    LimitReached { limit, times: reached.times, last: Some(reached.last.into()) }
}

/// Seconds since 1970.
pub(super) fn unix(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
