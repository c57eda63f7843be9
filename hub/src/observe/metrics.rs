//! Every metric of the hub, and the bounded sets its labels come from.

mod meters;
mod names;
mod of_names;
pub(crate) mod open_metrics;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use parking_lot::Mutex;

use self::meters::Level;
pub(crate) use self::meters::{GaugeGuard, Meter};
use self::names::*;
use self::open_metrics::Exemplars;
use crate::message::refusal::Refusal;
use crate::observe::ending::{Ending, Kind};
use crate::observe::name_view::NameView;
use crate::observe::outcome::Outcome;
use crate::observe::tally::Tallies;

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

/// How many of what there are now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Levels {
    pub(crate) client_connections: u64,
    pub(crate) streams: u64,
    pub(crate) parked: u64,
    pub(crate) lanes: u64,
}

/// What is there of other hubs.
#[derive(Debug)]
struct PeerGauges {
    connected: Gauge,
    suspect: Gauge,
    lanes_relayed: Level,
}

impl PeerGauges {
    fn new() -> Self {
        let (connected, suspect) = (gauge!(PEERS), gauge!(PEERS_SUSPECT));
        Self { connected, suspect, lanes_relayed: Level::new(gauge!(LANES_RELAYED)) }
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
    client_connections: Level,
    streams: Level,
    lanes: Level,
    parked: Level,
    peers: PeerGauges,
    /// By kind, then of those that the hub refused, and last of those for the hub itself.
    call_duration: [Histogram; 5],
    /// By kind.
    call_head: [Histogram; 3],
    exemplars: Exemplars,
    /// In seconds since 1970.
    certificate_end: Mutex<Option<i64>>,
    /// Of each name.
    pub(crate) tallies: Tallies,
    session_rtt: Histogram,
    access_log_dropped: Counter,
    spans_dropped: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
    calls: [[[OnceLock<Counter>; Refusal::REASONS.len() + 1]; Outcome::LABELS]; 3],
}

impl Metrics {
    #[cfg(any(test, fuzzing))]
    pub(crate) fn new() -> Arc<Self> {
        Self::with_names(crate::limits::METRICS_NAMES)
    }

    /// So many names at most have series of their own.
    pub(crate) fn with_names(names: usize) -> Arc<Self> {
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
                    Level::new(gauge!(CLIENT_CONNECTIONS)),
                    Level::new(gauge!(STREAMS)),
                    Level::new(gauge!(LANES)),
                    Level::new(gauge!(CALLS_PARKED)),
                )
            });
        let peers = with_local_recorder(&recorder, PeerGauges::new);
        let (call_duration, call_head) = with_local_recorder(&recorder, histograms_of_calls);
        let session_rtt = with_local_recorder(&recorder, || histogram!(SESSION_RTT));
        let [request_bytes, response_bytes] = with_local_recorder(&recorder, bytes_of_calls);
        let [access_log_dropped, spans_dropped] = with_local_recorder(&recorder, losses);
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
            call_head,
            exemplars: Exemplars::default(),
            certificate_end: Mutex::default(),
            tallies: Tallies::new(names),
            session_rtt,
            access_log_dropped,
            spans_dropped,
            request_bytes,
            response_bytes,
            calls: Default::default(),
        })
    }

    /// The Prometheus text format. The registry knows who is there now.
    pub(crate) fn render(&self, there: &There, names: &[NameView]) -> String {
        self.agents.set(there.agents as f64);
        self.sessions.set(there.sessions as f64);
        self.suspect.set(there.suspect as f64);
        self.draining.set(there.draining as f64);
        self.peers.connected.set(there.peers.0 as f64);
        self.peers.suspect.set(there.peers.1 as f64);
        if let Some(age) = there.directory_age {
            with_local_recorder(&self.recorder, || gauge!(DIRECTORY_AGE).set(age.as_secs_f64()));
        }
        let mut text = self.handle.render();
        of_names::write(&mut text, names, &self.tallies);
        text
    }

    /// The same as OpenMetrics.
    pub(crate) fn render_open(&self, there: &There, names: &[NameView]) -> String {
        open_metrics::of_text(&self.render(there, names), &self.exemplars)
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

    /// How many there are now.
    pub(crate) fn levels(&self) -> Levels {
        Levels {
            client_connections: self.client_connections.now(),
            streams: self.streams.now(),
            parked: self.parked.now(),
            lanes: self.lanes.now(),
        }
    }

    /// Lines of the access log were lost.
    pub(crate) fn access_log_dropped(&self, lines: u64) {
        self.access_log_dropped.increment(lines);
    }

    /// Spans were lost.
    pub(crate) fn spans_dropped(&self, spans: u64) {
        self.spans_dropped.increment(spans);
    }

    /// When the certificate ends, if there is one.
    pub(crate) fn certificate_end(&self) -> Option<i64> {
        *self.certificate_end.lock()
    }

    /// When the certificate ends, in seconds since 1970.
    pub(crate) fn certificate_ends(&self, not_after: i64) {
        *self.certificate_end.lock() = Some(not_after);
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
        self.parked.one_more()
    }

    fn rare(&self, name: &'static str, label: &'static str, value: &'static str) {
        with_local_recorder(&self.recorder, || counter!(name, label => value).increment(1));
    }

    pub(crate) fn session_rtt(&self, rtt: Duration) {
        self.session_rtt.record(rtt);
    }

    /// Counts a client connection until the guard is dropped.
    pub(crate) fn client_connection(&self) -> GaugeGuard {
        self.client_connections.one_more()
    }

    /// Counts a stream until the guard is dropped.
    pub(crate) fn stream(&self) -> GaugeGuard {
        self.streams.one_more()
    }

    /// A lane was opened, or not; the outcome is one of a few words.
    pub(crate) fn lane_opened(&self, outcome: &'static str) {
        self.rare(LANES_OPENED, "outcome", outcome);
    }

    /// Counts an open lane until the guard is dropped.
    pub(crate) fn lane(&self) -> GaugeGuard {
        self.lanes.one_more()
    }

    /// Counts a lane that another hub has opened, to an agent of this one, until the guard is dropped.
    pub(crate) fn lane_relayed(&self) -> GaugeGuard {
        self.peers.lanes_relayed.one_more()
    }

    /// Another hub was refused; the reason is one of a few words.
    pub(crate) fn peer_refused(&self, reason: &'static str) {
        self.rare(PEER_REFUSALS, "reason", reason);
    }

    /// A call has ended.
    pub(crate) fn call(&self, target: Target, ending: &Ending<'_>) {
        let Ending { outcome, refusal, kind, .. } = *ending;
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
        let place = match (refusal, target) {
            (Some(_), _) => Kind::ALL.len(),
            (None, Target::Hub) => Kind::ALL.len() + 1,
            (None, Target::Agent | Target::Elsewhere) => kind as usize,
        };
        self.call_duration[place].record(ending.total);
        if let Some(head) = ending.head.filter(|_| target != Target::Hub) {
            self.call_head[kind as usize].record(head);
            self.exemplars.note(kind, head, ending.trace);
        }
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

fn bytes_of_calls() -> [Counter; 2] {
    ["request", "response"].map(|direction| counter!(CALL_BYTES, "direction" => direction))
}

/// Of calls, where they were to be written down.
fn losses() -> [Counter; 2] {
    [counter!(ACCESS_LOG_DROPPED), counter!(SPANS_DROPPED)]
}

/// Of how long calls take, and of how long their answers take to begin.
fn histograms_of_calls() -> ([Histogram; 5], [Histogram; 3]) {
    let kinds = Kind::ALL.map(Kind::label);
    let [unary, stream, other] = kinds;
    let of = |kind: &'static str| histogram!(CALL_DURATION, "kind" => kind);
    let duration = [unary, stream, other, REFUSED, OWN].map(of);
    (duration, kinds.map(|kind| histogram!(CALL_HEAD, "kind" => kind)))
}

/// One whose histograms have buckets.
fn recorder() -> PrometheusRecorder {
    let mut builder = PrometheusBuilder::new();
    let calls = [CALL_DURATION, CALL_HEAD].map(|name| (name, &CALL_SECONDS[..]));
    for (name, buckets) in calls.into_iter().chain([(SESSION_RTT, &RTT_SECONDS[..])]) {
        // Fails for an empty list of buckets only; without buckets it would be a summary.
        builder = builder
            .set_buckets_for_metric(Matcher::Full(name.into()), buckets)
            .unwrap_or_else(|_| PrometheusBuilder::new());
    }
    builder.build_recorder()
}

#[cfg(test)]
mod tests;
