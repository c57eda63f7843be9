//! A call as a line of JSON.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tunnel::name::Name;

use crate::message::refusal::Refusal;
use crate::observe::ending::Ending;

/// What a line says. What there is none of is left out.
#[derive(Serialize)]
struct Line<'c> {
    /// When the call ended.
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'c str>,
    method: &'c str,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    error: bool,
    /// Who ended it, where that was the client.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    given_up: bool,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'c str>,
    address: IpAddr,
    /// Not where a proxy has said the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// The agent process, and its session.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<u32>,
    request_bytes: u64,
    response_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_messages: Option<u64>,
    /// From the request's head to when it was sent on, to the head of the answer, and to the end: in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head_us: Option<u64>,
    total_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    parked_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replays: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

/// With the end of the line.
pub(super) fn of(ending: &Ending<'_>) -> Vec<u8> {
    let line = Line {
        time: humantime::format_rfc3339_micros(SystemTime::now()).to_string(),
        name: ending.name.map(Name::as_str),
        method: ending.method_cut(),
        status: ending.outcome.to_string(),
        hub_reason: ending.refusal.map(Refusal::reason),
        error: ending.is_error(),
        given_up: ending.is_clients,
        kind: ending.kind.label(),
        caller: ending.caller,
        address: ending.peer.ip(),
        port: Some(ending.peer.port()).filter(|port| *port > 0),
        instance: ending.instance,
        session: ending.session,
        lane: ending.lane,
        request_bytes: ending.bytes.0,
        response_bytes: ending.bytes.1,
        request_messages: ending.messages.map(|messages| messages.0),
        response_messages: ending.messages.map(|messages| messages.1),
        queue_us: ending.queue.map(micros),
        head_us: ending.head.map(micros),
        total_us: micros(ending.total),
        parked_us: ending.parked.map(micros),
        replays: (ending.replays > 0).then_some(ending.replays),
        trace_id: ending.trace.map(|trace| trace.id.to_string()),
    };
    let mut bytes = Vec::with_capacity(512);
    // A line is text and numbers: it can always be written.
    let _ = serde_json::to_writer(&mut bytes, &line);
    bytes.push(b'\n');
    bytes
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
