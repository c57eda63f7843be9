//! Every metric of the agent, and the bounded sets its labels come from.

mod meter;
mod name;
mod names;

use std::time::Duration;

use http::StatusCode;
use metrics::{Gauge, counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub(crate) use self::meter::{Meter, Meters};
pub(crate) use self::name::{LaneRefused, NameMetrics};
use self::names::*;
use crate::standing::Seen;

/// What a hub, or who is in front of it, commonly refuses a registration with: a label for each.
const STATUSES: [u16; 13] = [400, 401, 403, 404, 405, 407, 408, 409, 426, 429, 431, 502, 503];

/// What came of a dial: a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialResult {
    /// A session.
    Ok,
    /// The hub refused it.
    Refused,
    /// Somebody else did.
    Front,
    /// The hub has sessions of the agent already, and another one is wanted.
    Elsewhere,
    /// There is no connection, or it has failed.
    Unreachable,
    /// It took too long.
    Timeout,
    /// Whoever answers is no hub.
    NoHub,
    /// The file of the token or of the headers cannot be used.
    Files,
}

impl DialResult {
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Front => "front",
            Self::Elsewhere => "elsewhere",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::NoHub => "no-hub",
            Self::Files => "files",
        }
    }
}

/// The metrics of one agent. Handles of what happens often are made once; what is rare has its series looked up each time.
#[derive(Debug)]
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    registered: Gauge,
    connecting: Gauge,
    connected: Gauge,
    draining: Gauge,
    hubs: Gauge,
    session_rtt: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let sessions = |state: &'static str| gauge!(SESSIONS, "state" => state);
        let (registered, [connecting, connected, draining], hubs, session_rtt) =
            with_local_recorder(&recorder, || {
                describe();
                let states = ["connecting", "connected", "draining"].map(sessions);
                (gauge!(REGISTERED), states, gauge!(HUBS), gauge!(SESSION_RTT))
            });
        Self { recorder, handle, registered, connecting, connected, draining, hubs, session_rtt }
    }

    /// Those of one of the agent's names.
    pub(crate) fn of_name(&self, name: &str) -> NameMetrics {
        with_local_recorder(&self.recorder, || NameMetrics::new(name))
    }

    /// Whether the agent is registered now, with all of its names.
    pub(crate) fn set_registered(&self, is_registered: bool) {
        self.registered.set(if is_registered { 1.0 } else { 0.0 });
    }

    /// The Prometheus text format.
    pub(crate) fn render(&self, seen: &Seen) -> String {
        self.connecting.set(seen.connecting as f64);
        self.connected.set(seen.connected as f64);
        self.draining.set(seen.draining as f64);
        self.hubs.set(seen.hubs as f64);
        self.session_rtt.set(seen.rtt.as_ref().map_or(f64::NAN, Duration::as_secs_f64));
        self.handle.render()
    }

    /// A hub was dialled.
    pub(crate) fn dialled(&self, result: DialResult) {
        self.rare(DIALS, "result", result.label());
    }

    /// A registration was refused.
    pub(crate) fn refused(&self, status: StatusCode) {
        let is_known = STATUSES.contains(&status.as_u16());
        let status = if is_known { status.as_str().to_owned() } else { "other".to_owned() };
        with_local_recorder(&self.recorder, || counter!(REFUSALS, "status" => status).increment(1));
    }

    /// The files were read anew, or could not be used.
    pub(crate) fn reloaded(&self, done: bool) {
        self.rare(RELOADS, "result", if done { "ok" } else { "failed" });
    }

    fn rare(&self, name: &'static str, label: &'static str, value: &'static str) {
        with_local_recorder(&self.recorder, || counter!(name, label => value).increment(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_counted() {
        let metrics = Metrics::new();
        metrics.dialled(DialResult::Refused);
        for status in [401, 401, 418, 599] {
            metrics.refused(StatusCode::from_u16(status).expect("a status"));
        }
        metrics.reloaded(false);
        let name = metrics.of_name("testserver");
        name.set_up(false);
        metrics.set_registered(true);
        let open = name.lane_opened();
        name.lane_refused(LaneRefused::Unreachable);
        let Meters { mut up, mut down } = name.meters();
        up.add(3);
        down.add(4);
        up.tell();
        drop(down);
        let rtt = Some(Duration::from_millis(20));
        let seen = Seen { connecting: 1, connected: 2, draining: 3, hubs: 4, rtt };
        let text = metrics.render(&seen);
        for line in [
            concat!("agent_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "agent_dials_total{result=\"refused\"} 1",
            "agent_registration_refusals_total{status=\"401\"} 2",
            "agent_registration_refusals_total{status=\"other\"} 2",
            "agent_reloads_total{result=\"failed\"} 1",
            "agent_registered 1",
            "agent_upstream_up{name=\"testserver\"} 0",
            "agent_lanes{name=\"testserver\"} 1",
            "agent_lanes_opened_total{name=\"testserver\",outcome=\"opened\"} 1",
            "agent_lanes_opened_total{name=\"testserver\",outcome=\"unreachable\"} 1",
            "agent_relayed_bytes_total{name=\"testserver\",direction=\"request\"} 3",
            "agent_relayed_bytes_total{name=\"testserver\",direction=\"response\"} 4",
            "agent_sessions{state=\"connecting\"} 1",
            "agent_sessions{state=\"connected\"} 2",
            "agent_sessions{state=\"draining\"} 3",
            "agent_hubs 4",
            "agent_session_rtt_seconds 0.02",
            "# TYPE agent_lanes gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        drop(open);
        let text = metrics.render(&Seen::default());
        assert!(text.contains("agent_lanes{name=\"testserver\"} 0"), "{text}");
        assert!(text.contains("agent_session_rtt_seconds NaN"), "{text}");
    }
}
