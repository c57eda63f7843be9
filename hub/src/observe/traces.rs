//! Spans of calls, for a collector (OTLP over gRPC). Without `--otlp-endpoint` nothing of this is there.
//!
//! `traceparent` passes as it came, so a hub's span and the server's are children of the same: the caller's. A span is made
//! once its call is over, and handed to a thread that sends them in lots; where that is behind, they are lost, and counted.

mod channel;
mod exporter;
mod losses;
mod room;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Event, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use tunnel::limits::CLOSE_TIMEOUT;

use crate::config::otlp::OtlpConfig;
use crate::message::refusal::Refusal;
use crate::observe::ending::Ending;
use crate::observe::metrics::Metrics;
use crate::observe::outcome::Outcome;
use crate::observe::trace::Trace;
use crate::observe::traces::exporter::Exporter;
use crate::observe::traces::room::Room;

/// Makes spans.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    sample: f64,
    room: Arc<Room>,
    metrics: Arc<Metrics>,
}

impl Traces {
    /// Begins, though the collector may not be there yet. `node` is the id of this hub process.
    pub(crate) fn start(config: &OtlpConfig, node: &str, metrics: Arc<Metrics>) -> Self {
        Self::start_with(config, node, metrics, Room::from_env())
    }

    fn start_with(config: &OtlpConfig, node: &str, metrics: Arc<Metrics>, room: Room) -> Self {
        let room = Arc::new(room);
        let resource = Resource::builder()
            .with_service_name("grpc-hub")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", node.to_owned()));
        let exporter = Exporter::new(config, metrics.clone(), room.clone());
        let queue = BatchConfigBuilder::default().with_max_queue_size(room.places()).build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(queue).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            // It is decided here.
            .with_sampler(Sampler::AlwaysOn)
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("grpc-hub");
        Self { provider, tracer, sample: config.sample, room, metrics }
    }

    /// A call is over.
    pub(crate) fn write(&self, ending: &Ending<'_>) {
        if ending.refusal.is_some_and(Refusal::is_of_stranger) {
            // Or anybody could fill the collector.
            return;
        }
        let is_chosen = match &ending.trace {
            Some(trace) => trace.is_sampled,
            None => self.sample > 0.0 && fastrand::f64() < self.sample,
        };
        if is_chosen && self.room.enter() {
            self.write_span(ending);
        } else if is_chosen {
            self.metrics.spans_dropped(1);
        }
    }

    fn write_span(&self, ending: &Ending<'_>) {
        let end = SystemTime::now();
        let start = end.checked_sub(ending.total).unwrap_or(end);
        let parent = ending.trace.map(parent).unwrap_or_default();
        let method = ending.method_cut().trim_start_matches('/').to_owned();
        let builder = self
            .tracer
            .span_builder(method)
            .with_kind(SpanKind::Server)
            .with_start_time(start)
            .with_attributes(attributes(ending))
            .with_events(events(ending, start));
        let mut span = self.tracer.build_with_context(builder, &parent);
        if ending.is_error() {
            span.set_status(Status::error(ending.outcome.to_string()));
        }
        span.end_with_timestamp(end);
    }

    /// Sends what there is, for a moment at most. It waits.
    pub(crate) fn close(&self) {
        // What could not be sent, the collector did not take.
        let _ = self.provider.shutdown_with_timeout(CLOSE_TIMEOUT);
    }
}

/// The caller's span.
fn parent(trace: Trace) -> Context {
    let id = TraceId::from(trace.id.0);
    let flags = if trace.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let span = SpanContext::new(id, SpanId::from(trace.parent), flags, true, TraceState::default());
    Context::new().with_remote_span_context(span)
}

/// By OpenTelemetry's conventions for RPC spans, and what only a hub knows.
fn attributes(ending: &Ending<'_>) -> Vec<KeyValue> {
    let text = |key: &'static str, value: &str| KeyValue::new(key, value.to_owned());
    let mut all = vec![
        text("client.address", &ending.peer.ip().to_string()),
        text("hub.kind", ending.kind.label()),
        KeyValue::new("hub.request_bytes", whole(ending.bytes.0)),
        KeyValue::new("hub.response_bytes", whole(ending.bytes.1)),
    ];
    match ending.outcome {
        Outcome::Grpc(code) => all.push(KeyValue::new("rpc.grpc.status_code", i64::from(code))),
        Outcome::Http(status) => {
            all.push(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        }
        Outcome::Reset(_) => {}
    }
    if let Some((request, response)) = ending.messages {
        let path = ending.method_cut().trim_start_matches('/');
        let (service, method) = path.split_once('/').unwrap_or((path, ""));
        all.push(text("rpc.system", "grpc"));
        all.push(text("rpc.service", service));
        all.push(text("rpc.method", method));
        all.push(KeyValue::new("hub.request_messages", whole(request)));
        all.push(KeyValue::new("hub.response_messages", whole(response)));
    }
    let lane = ending.lane.map(|lane| lane.to_string());
    for (key, value) in [
        ("hub.name", ending.name.map(tunnel::name::Name::as_str)),
        ("hub.reason", ending.refusal.map(Refusal::reason)),
        ("hub.agent", ending.instance),
        ("hub.session", ending.session),
        ("hub.lane", lane.as_deref()),
        ("hub.caller", ending.caller),
    ] {
        all.extend(value.map(|value| text(key, value)));
    }
    if ending.replays > 0 {
        all.push(KeyValue::new("hub.replays", i64::from(ending.replays)));
    }
    all
}

/// When it was sent to an agent, and when the head of the answer came.
fn events(ending: &Ending<'_>, start: SystemTime) -> Vec<Event> {
    let event = |name: &'static str, after: Option<Duration>| {
        let at = start.checked_add(after?)?;
        Some(Event::new(Cow::Borrowed(name), at, Vec::new(), 0))
    };
    [event("sent", ending.queue), event("head", ending.head)].into_iter().flatten().collect()
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
