//! What each metric is called, its unit, and what it tells.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};

pub(super) const AGENTS: &str = "hub_agents";
pub(super) const SESSIONS: &str = "hub_sessions";
pub(super) const REGISTRATIONS: &str = "hub_registrations_total";
pub(super) const REGISTRATION_REFUSALS: &str = "hub_registration_refusals_total";
pub(super) const CLIENT_CONNECTIONS: &str = "hub_client_connections";
pub(super) const HANDSHAKE_FAILURES: &str = "hub_handshake_failures_total";
pub(super) const CALLS: &str = "hub_calls_total";
pub(super) const CALL_DURATION: &str = "hub_call_duration_seconds";
pub(super) const CALL_HEAD: &str = "hub_call_head_seconds";
/// The kind of calls that were refused.
pub(super) const REFUSED: &str = "refused";
/// The kind of those for the hub itself.
pub(super) const OWN: &str = "hub";
pub(super) const CALL_BYTES: &str = "hub_call_bytes_total";
pub(super) const STREAMS: &str = "hub_streams_in_flight";
pub(super) const LANES: &str = "hub_lanes";
pub(super) const LANES_OPENED: &str = "hub_lanes_opened_total";
pub(super) const LIMITS_REACHED: &str = "hub_limits_reached_total";
pub(super) const SESSIONS_SUSPECT: &str = "hub_sessions_suspect";
pub(super) const SESSIONS_DRAINING: &str = "hub_sessions_draining";
pub(super) const SUSPICIONS: &str = "hub_session_suspicions_total";
pub(super) const REPLACED: &str = "hub_sessions_replaced_total";
pub(super) const CALLS_PARKED: &str = "hub_calls_parked";
pub(super) const PARKED_TOTAL: &str = "hub_call_parkings_total";
pub(super) const REPLAYS: &str = "hub_call_replays_total";
pub(super) const CERT_NOT_AFTER: &str = "hub_tls_cert_not_after_seconds";
pub(super) const RELOADS: &str = "hub_reloads_total";
pub(super) const SESSION_RTT: &str = "hub_session_rtt_seconds";
pub(super) const PEERS: &str = "hub_peers";
pub(super) const PEERS_SUSPECT: &str = "hub_peers_suspect";
pub(super) const DIRECTORY_AGE: &str = "hub_directory_age_seconds";
pub(super) const PEER_REFUSALS: &str = "hub_peer_refusals_total";
pub(super) const LANES_RELAYED: &str = "hub_lanes_relayed";
pub(super) const ACCESS_LOG_DROPPED: &str = "hub_access_log_dropped_total";
pub(super) const SPANS_DROPPED: &str = "hub_spans_dropped_total";
pub(super) const BUILD_INFO: &str = "hub_build_info";

/// Tells the recorder of all of them, and which version runs.
pub(super) fn describe() {
    describe_counter!(
        RELOADS,
        "Times that certificate, key and auth file were read anew; failed: they stayed as they were"
    );
    describe_gauge!(
        CERT_NOT_AFTER,
        Unit::Seconds,
        "When the certificate that the hub shows ends, in seconds since 1970"
    );
    describe_gauge!(AGENTS, "Agents that are registered now, a process of several names as often");
    describe_gauge!(SESSIONS, "Sessions of agents that are registered now");
    describe_gauge!(SESSIONS_SUSPECT, "Sessions that owe an answer to a ping now");
    describe_gauge!(SESSIONS_DRAINING, "Sessions that get no new calls any more");
    describe_counter!(SUSPICIONS, "Times that a session came to owe an answer to a ping");
    describe_counter!(REPLACED, "Sessions whose place another one has taken");
    describe_gauge!(CALLS_PARKED, "Calls that wait now for their name to come back");
    describe_counter!(PARKED_TOTAL, "Calls that have waited for their name, by what came of it");
    describe_counter!(REPLAYS, "Times that a call was sent once more, never begun with before");
    describe_counter!(REGISTRATIONS, "Sessions that were registered");
    describe_counter!(REGISTRATION_REFUSALS, "Registrations that were refused, by reason");
    describe_gauge!(CLIENT_CONNECTIONS, "HTTP/2 connections of clients that are open now");
    describe_counter!(
        HANDSHAKE_FAILURES,
        "Connections that ended before they spoke a protocol, by stage"
    );
    describe_calls();
    describe_gauge!(LANES, "Lanes that are open now: connections of callers to agents' servers");
    describe_counter!(LANES_OPENED, "Lanes that were to be opened, by what came of it");
    describe_counter!(LIMITS_REACHED, "Times that a client or an agent reached a limit, by limit");
    describe_histogram!(
        SESSION_RTT,
        Unit::Seconds,
        "Round trip time of sessions, by WebSocket ping"
    );
    describe_counter!(ACCESS_LOG_DROPPED, "Lines of the access log that could not be written");
    describe_counter!(SPANS_DROPPED, "Spans of calls that did not come to the collector");
    describe_peers();
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    describe_gauge!(BUILD_INFO, "Always 1; the label says which version runs");
}

fn describe_calls() {
    describe_counter!(
        CALLS,
        "Calls that have ended, by what the client was told, why the hub answered itself, and via which hub"
    );
    describe_histogram!(
        CALL_DURATION,
        Unit::Seconds,
        "From the request head to the end of the response, by kind: unary, stream, other (no gRPC), refused by the hub, or for the hub itself"
    );
    describe_histogram!(
        CALL_HEAD,
        Unit::Seconds,
        "From the request head to the head of the answer of an agent's server, of calls that have ended"
    );
    describe_counter!(CALL_BYTES, Unit::Bytes, "Bytes of DATA passed on, by direction");
    describe_gauge!(STREAMS, "Calls that are running now");
}

fn describe_peers() {
    describe_gauge!(PEERS, "Other hubs whose agents can be called by way of them now");
    describe_gauge!(PEERS_SUSPECT, "Those of them that owe an answer to a ping");
    describe_gauge!(
        DIRECTORY_AGE,
        Unit::Seconds,
        "How long ago the directory was heard of that tells which other hubs there are"
    );
    describe_counter!(PEER_REFUSALS, "Connections of other hubs that were refused, by reason");
    describe_gauge!(LANES_RELAYED, "Lanes that other hubs have open now to agents of this one");
}
