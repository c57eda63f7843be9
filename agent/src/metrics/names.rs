//! What each metric is called, its unit, and what it tells.

use metrics::{Unit, describe_counter, describe_gauge, gauge};

pub(super) const BUILD_INFO: &str = "agent_build_info";
pub(super) const REGISTERED: &str = "agent_registered";
pub(super) const UPSTREAM_UP: &str = "agent_upstream_up";
pub(super) const SESSIONS: &str = "agent_sessions";
pub(super) const SESSION_RTT: &str = "agent_session_rtt_seconds";
pub(super) const HUBS: &str = "agent_hubs";
pub(super) const DIALS: &str = "agent_dials_total";
pub(super) const REFUSALS: &str = "agent_registration_refusals_total";
pub(super) const LANES: &str = "agent_lanes";
pub(super) const LANES_OPENED: &str = "agent_lanes_opened_total";
pub(super) const RELAYED_BYTES: &str = "agent_relayed_bytes_total";
pub(super) const RELOADS: &str = "agent_reloads_total";

/// Tells the recorder of all of them, and which version runs.
pub(super) fn describe() {
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    describe_gauge!(BUILD_INFO, "Always 1; the label says which version runs");
    describe_gauge!(
        REGISTERED,
        "Whether a hub has said that the agent is registered, with all of its names: 1, or 0"
    );
    describe_gauge!(UPSTREAM_UP, "Whether the name's server takes connections: 1, or 0");
    describe_gauge!(SESSIONS, "Sessions now; connecting: those that are dialled, or will be");
    describe_gauge!(
        SESSION_RTT,
        Unit::Seconds,
        "Round trip time by WebSocket ping of the session where it is longest; NaN without any"
    );
    describe_gauge!(HUBS, "Hubs at which there are sessions now");
    describe_counter!(DIALS, "Times that a hub was dialled, by what came of it");
    describe_counter!(REFUSALS, "Dials that a hub, or who is in front of it, refused, by status");
    describe_gauge!(
        LANES,
        "Lanes that are open now: connections of callers to the name's server, or to services of the agent's own"
    );
    describe_counter!(
        LANES_OPENED,
        "Lanes that were to be opened for a name of the agent's, by what came of it"
    );
    describe_counter!(
        RELAYED_BYTES,
        Unit::Bytes,
        "Bytes between lanes and the name's server; none of services of the agent's own"
    );
    describe_counter!(RELOADS, "Times that files were read anew; failed: all stayed as it was");
}
