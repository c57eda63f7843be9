//! Every metric of the hub, and the bounded sets its labels come from.

mod names;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use self::names::*;
use crate::limits::METER_STEP;
use crate::message::refusal::Refusal;
use crate::observe::outcome::Outcome;

/// From a call on the same machine to a stream of an hour; a factor of about 4 between buckets.
const CALL_SECONDS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0, 3600.0];
/// From a local network to a satellite.
const RTT_SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Whom a call was for: a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An agent's server.
    Agent,
    /// The server of an agent that is connected to another hub.
    Elsewhere,
    /// The hub's own services.
    Hub,
}

/// Who is there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct There {
    pub(crate) agents: usize,
    pub(crate) sessions: usize,
    pub(crate) suspect: usize,
    pub(crate) draining: usize,
    /// Other hubs, and those of them that owe an answer.
    pub(crate) peers: (usize, usize),
    /// How long ago the directory was heard of, if there is one.
    pub(crate) directory_age: Option<Duration>,
}

/// What is there of other hubs.
#[derive(Debug)]
struct PeerGauges {
    connected: Gauge,
    suspect: Gauge,
    lanes_relayed: Gauge,
}

impl PeerGauges {
    fn new() -> Self {
        let (connected, suspect) = (gauge!(PEERS), gauge!(PEERS_SUSPECT));
        Self { connected, suspect, lanes_relayed: gauge!(LANES_RELAYED) }
    }
}

/// The metrics of one hub. Handles are made once; counting then takes no lock and no allocation.
#[derive(Debug)]
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    agents: Gauge,
    sessions: Gauge,
    suspect: Gauge,
    draining: Gauge,
    registrations: Counter,
    client_connections: Gauge,
    streams: Gauge,
    lanes: Gauge,
    parked: Gauge,
    peers: PeerGauges,
    call_duration: Histogram,
    session_rtt: Histogram,
    request_bytes: Counter,
    response_bytes: Counter,
    calls: [[[OnceLock<Counter>; Refusal::REASONS.len() + 1]; Outcome::LABELS]; 3],
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let recorder = recorder();
        let handle = recorder.handle();
        let (agents, sessions, suspect, draining, registrations, clients, streams, lanes, parked) =
            with_local_recorder(&recorder, || {
                describe();
                (
                    gauge!(AGENTS),
                    gauge!(SESSIONS),
                    gauge!(SESSIONS_SUSPECT),
                    gauge!(SESSIONS_DRAINING),
                    counter!(REGISTRATIONS),
                    gauge!(CLIENT_CONNECTIONS),
                    gauge!(STREAMS),
                    gauge!(LANES),
                    gauge!(CALLS_PARKED),
                )
            });
        let peers = with_local_recorder(&recorder, PeerGauges::new);
        let (call_duration, session_rtt, request_bytes, response_bytes) =
            with_local_recorder(&recorder, || {
                (
                    histogram!(CALL_DURATION),
                    histogram!(SESSION_RTT),
                    counter!(CALL_BYTES, "direction" => "request"),
                    counter!(CALL_BYTES, "direction" => "response"),
                )
            });
        Arc::new(Self {
            recorder,
            handle,
            agents,
            sessions,
            suspect,
            draining,
            registrations,
            client_connections: clients,
            streams,
            lanes,
            parked,
            peers,
            call_duration,
            session_rtt,
            request_bytes,
            response_bytes,
            calls: Default::default(),
        })
    }

    /// The Prometheus text format. The registry knows who is there now.
    pub(crate) fn render(&self, there: &There) -> String {
        self.agents.set(there.agents as f64);
        self.sessions.set(there.sessions as f64);
        self.suspect.set(there.suspect as f64);
        self.draining.set(there.draining as f64);
        self.peers.connected.set(there.peers.0 as f64);
        self.peers.suspect.set(there.peers.1 as f64);
        if let Some(age) = there.directory_age {
            with_local_recorder(&self.recorder, || gauge!(DIRECTORY_AGE).set(age.as_secs_f64()));
        }
        self.handle.render()
    }

    /// Folds what the histograms have gathered; without it every call would add to memory.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    pub(crate) fn registered(&self) {
        self.registrations.increment(1);
    }

    /// A registration was refused; the reason is one of a few words.
    pub(crate) fn registration_refused(&self, reason: &'static str) {
        self.rare(REGISTRATION_REFUSALS, "reason", reason);
    }

    /// A connection did not come as far as a protocol.
    pub(crate) fn handshake_failed(&self, stage: &'static str) {
        self.rare(HANDSHAKE_FAILURES, "stage", stage);
    }

    /// A peer has reached a limit; the label is one of a few words.
    pub(crate) fn limit_reached(&self, limit: &'static str) {
        self.rare(LIMITS_REACHED, "limit", limit);
    }

    /// When the certificate ends, in seconds since 1970.
    pub(crate) fn certificate_ends(&self, not_after: i64) {
        with_local_recorder(&self.recorder, || gauge!(CERT_NOT_AFTER).set(not_after as f64));
    }

    /// The files were read anew, or could not be used.
    pub(crate) fn reloaded(&self, done: bool) {
        self.rare(RELOADS, "result", if done { "ok" } else { "failed" });
    }

    /// A session has taken the place of another.
    pub(crate) fn session_replaced(&self) {
        with_local_recorder(&self.recorder, || counter!(REPLACED).increment(1));
    }

    /// A session owes an answer.
    pub(crate) fn session_suspected(&self) {
        with_local_recorder(&self.recorder, || counter!(SUSPICIONS).increment(1));
    }

    /// A call is sent once more.
    pub(crate) fn replayed(&self) {
        with_local_recorder(&self.recorder, || counter!(REPLAYS).increment(1));
    }

    /// A call has waited for its name; the outcome is one of a few words.
    pub(crate) fn call_was_parked(&self, outcome: &'static str) {
        self.rare(PARKED_TOTAL, "outcome", outcome);
    }

    /// Counts a call that waits for its name until the guard is dropped.
    pub(crate) fn call_parked(&self) -> GaugeGuard {
        GaugeGuard::new(&self.parked)
    }

    fn rare(&self, name: &'static str, label: &'static str, value: &'static str) {
        with_local_recorder(&self.recorder, || counter!(name, label => value).increment(1));
    }

    pub(crate) fn session_rtt(&self, rtt: Duration) {
        self.session_rtt.record(rtt);
    }

    /// Counts a client connection until the guard is dropped.
    pub(crate) fn client_connection(&self) -> GaugeGuard {
        GaugeGuard::new(&self.client_connections)
    }

    /// Counts a stream until the guard is dropped.
    pub(crate) fn stream(&self) -> GaugeGuard {
        GaugeGuard::new(&self.streams)
    }

    /// A lane was opened, or not; the outcome is one of a few words.
    pub(crate) fn lane_opened(&self, outcome: &'static str) {
        self.rare(LANES_OPENED, "outcome", outcome);
    }

    /// Counts an open lane until the guard is dropped.
    pub(crate) fn lane(&self) -> GaugeGuard {
        GaugeGuard::new(&self.lanes)
    }

    /// Counts a lane that another hub has opened, to an agent of this one, until the guard is dropped.
    pub(crate) fn lane_relayed(&self) -> GaugeGuard {
        GaugeGuard::new(&self.peers.lanes_relayed)
    }

    /// Another hub was refused; the reason is one of a few words.
    pub(crate) fn peer_refused(&self, reason: &'static str) {
        self.rare(PEER_REFUSALS, "reason", reason);
    }

    /// A call has ended.
    pub(crate) fn call(
        &self,
        target: Target,
        outcome: Outcome,
        refusal: Option<&Refusal>,
        duration: Duration,
    ) {
        let reason = refusal.map_or(0, |refusal| refusal.index() + 1);
        let counter = self.calls[target as usize][outcome.index()][reason].get_or_init(|| {
            with_local_recorder(&self.recorder, || {
                counter!(
                    CALLS,
                    "target" => if target == Target::Hub { "hub" } else { "agent" },
                    "outcome" => outcome.label(),
                    "hub_reason" => refusal.map_or("none", Refusal::reason),
                    "via" => if target == Target::Elsewhere { "peer" } else { "local" },
                )
            })
        });
        counter.increment(1);
        self.call_duration.record(duration);
    }

    /// Counts the DATA of one connection's requests.
    pub(crate) fn request_meter(&self) -> Meter {
        Meter::new(&self.request_bytes)
    }

    /// Counts the DATA of one connection's responses.
    pub(crate) fn response_meter(&self) -> Meter {
        Meter::new(&self.response_bytes)
    }
}

/// Counts the bytes of one direction of one connection. Tells the metric now and then, because a stream may run
/// for days, and not at each chunk, because all workers share it.
#[derive(Debug)]
pub(crate) struct Meter {
    counter: Counter,
    total: u64,
    told: u64,
}

impl Meter {
    fn new(counter: &Counter) -> Self {
        Self { counter: counter.clone(), total: 0, told: 0 }
    }

    /// So many there were until now.
    pub(crate) fn set(&mut self, total: u64) {
        self.total = total;
        if self.total - self.told >= METER_STEP {
            self.tell();
        }
    }

    /// Tells all of it now.
    pub(crate) fn tell(&mut self) {
        self.counter.increment(self.total - self.told);
        self.told = self.total;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.tell();
    }
}

/// One whose histograms have buckets.
fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in [(CALL_DURATION, &CALL_SECONDS[..]), (SESSION_RTT, &RTT_SECONDS)] {
        // Fails for an empty list of buckets only; without buckets it would be a summary.
        builder = builder
            .set_buckets_for_metric(Matcher::Full(name.into()), buckets)
            .unwrap_or_else(|_| PrometheusBuilder::new());
    }
    builder.build_recorder()
}

/// One more, for as long as it lives.
#[derive(Debug)]
pub(crate) struct GaugeGuard(Gauge);

impl GaugeGuard {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_counted() {
        let metrics = Metrics::new();
        let second = Duration::from_secs(1);
        metrics.call(Target::Agent, Outcome::Grpc(0), None, second);
        metrics.call(Target::Agent, Outcome::Grpc(14), Some(&Refusal::NoName), second);
        let mut meter = metrics.response_meter();
        meter.set(3);
        meter.set(4);
        drop(meter);
        let stream = metrics.stream();
        let there = There { agents: 2, sessions: 5, ..There::default() };
        let text = metrics.render(&there);
        for line in [
            "hub_agents 2",
            "hub_sessions 5",
            "hub_streams_in_flight 1",
            "hub_calls_total{target=\"agent\",outcome=\"OK\",hub_reason=\"none\",via=\"local\"} 1",
            "hub_calls_total{target=\"agent\",outcome=\"UNAVAILABLE\",hub_reason=\"no-name\",via=\"local\"} 1",
            "hub_call_bytes_total{direction=\"response\"} 4",
            "hub_call_duration_seconds_bucket{le=\"1\"} 2",
            "# TYPE hub_call_duration_seconds histogram",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        drop(stream);
        assert!(metrics.render(&There::default()).contains("hub_streams_in_flight 0"));
    }
}
