//! Lots of spans go to the collector, and the log says what it does not take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::channel;
use super::losses::Losses;
use super::room::Room;
use crate::config::otlp::OtlpConfig;
use crate::limits::{SPANS_EXPORT, SPANS_PAUSE_MAX, SPANS_PAUSES};
use crate::observe::metrics::Metrics;

/// Used by one thread alone, which may wait.
#[derive(Debug)]
pub(super) struct Exporter {
    client: TraceServiceClient<Channel>,
    headers: MetadataMap,
    /// Who makes the spans.
    resource: ResourceAttributesWithSchema,
    losses: Losses,
    /// Whether the last lot was lost as a whole.
    is_out: AtomicBool,
    /// Where spans wait for it.
    room: Arc<Room>,
}

impl Exporter {
    pub(super) fn new(config: &OtlpConfig, metrics: Arc<Metrics>, room: Arc<Room>) -> Self {
        Self {
            client: TraceServiceClient::new(channel::lazy(config, SPANS_EXPORT)),
            headers: MetadataMap::from_headers(config.headers.map().clone()),
            resource: ResourceAttributesWithSchema::default(),
            losses: Losses::new(config.endpoint.clone(), metrics),
            is_out: AtomicBool::new(false),
            room,
        }
    }

    /// Again for a moment, where that may help: after a lot that was lost in spite of it, others only wait behind it.
    async fn send(&self, lot: ExportTraceServiceRequest) -> Result<(), Lost> {
        let began = Instant::now();
        let pauses = if self.is_out.load(Ordering::Relaxed) { &[][..] } else { &SPANS_PAUSES };
        for pause in pauses {
            match self.send_once(lot.clone()).await {
                Err(Lost::Lot(status)) if began.elapsed() < SPANS_EXPORT => {
                    let Some(asked) = may_be_sent_again(&status) else {
                        return Err(Lost::Lot(status));
                    };
                    std::thread::sleep(pause_of(*pause, asked));
                }
                sent => return sent,
            }
        }
        self.send_once(lot).await
    }

    async fn send_once(&self, lot: ExportTraceServiceRequest) -> Result<(), Lost> {
        let mut request = Request::new(lot);
        *request.metadata_mut() = self.headers.clone();
        let answer = self.client.clone().export(request).await.map_err(Lost::Lot)?;
        match answer.into_inner().partial_success {
            Some(partial) if partial.rejected_spans > 0 => Err(Lost::Some(partial)),
            _ => Ok(()),
        }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let count = spans.len();
        self.room.leave(count);
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let sent = self.send(ExportTraceServiceRequest { resource_spans }).await;
        self.is_out.store(matches!(sent, Err(Lost::Lot(_))), Ordering::Relaxed);
        match &sent {
            Ok(()) => self.losses.none(),
            Err(lost) => self.losses.more(lost.count(count), &lost.words()),
        }
        sent.map_err(|lost| OTelSdkError::InternalFailure(lost.words()))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// What the collector did not take.
enum Lost {
    /// All of it.
    Lot(Status),
    /// It says how many.
    Some(ExportTracePartialSuccess),
}

impl Lost {
    /// Spans, of so many.
    fn count(&self, all: usize) -> usize {
        match self {
            Self::Lot(_) => all,
            Self::Some(partial) => usize::try_from(partial.rejected_spans).unwrap_or(all).min(all),
        }
    }

    /// Why: what the collector says, or why it could not be asked.
    fn words(&self) -> String {
        match self {
            Self::Lot(status) => why_unreached(status)
                .unwrap_or_else(|| format!("{:?}: {}", status.code(), status.message())),
            Self::Some(partial) if partial.error_message.is_empty() => {
                "it does not say why".to_owned()
            }
            Self::Some(partial) => partial.error_message.clone(),
        }
    }
}

/// What a failure on the way is at its root; none for what a collector answers.
fn why_unreached(status: &Status) -> Option<String> {
    let mut root = std::error::Error::source(status)?;
    while let Some(source) = root.source() {
        root = source;
    }
    Some(root.to_string())
}

/// Ours, or the longer one that the collector asks for, within reason.
fn pause_of(ours: Duration, asked: Duration) -> Duration {
    asked.clamp(ours, SPANS_PAUSE_MAX)
}

/// As OTLP has it, and where the collector has not answered at all. Returns for how long it asks to be left alone.
fn may_be_sent_again(status: &Status) -> Option<Duration> {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        Code::ResourceExhausted => asked,
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Some(asked.unwrap_or_default()),
        // A connection that breaks beneath a call has no code of its own.
        _ => why_unreached(status).map(|_| Duration::ZERO),
    }
}

#[cfg(test)]
mod tests;
