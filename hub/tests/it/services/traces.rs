//! Spans of calls, as a collector gets them: a recording server of OTLP.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::client::answer;
use crate::support::hub::hub_config;
use crate::support::message::grpc;
use crate::support::world::World;
use crate::support::{NAME, within};

/// Passes on what it is told.
struct Collector(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let token = request.metadata().get("authorization").expect("a token");
        assert_eq!(token, "Bearer secret");
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.expect("a resource");
            let is_named = resource
                .attributes
                .iter()
                .any(|attribute| attribute.key == "service.name" && text(attribute) == "grpc-hub");
            assert!(is_named, "{resource:?}");
            let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.for_each(|span| drop(self.0.send(span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

type Attribute = opentelemetry_proto::tonic::common::v1::KeyValue;

fn text(attribute: &Attribute) -> String {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// What a span says under this key; empty, if nothing.
fn says(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    found.map(text).unwrap_or_default()
}

/// A hub that sends spans, and what a collector gets of them.
async fn world(sample: f64) -> (World, mpsc::UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let (sender, spans) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(sender)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    let endpoint = endpoint.parse().expect("an endpoint");
    let headers = "authorization=Bearer%20secret".parse().expect("headers");
    let otlp = Some(hub::OtlpConfig { endpoint, tls: None, headers, sample });
    let config = hub::Config { otlp, ..hub_config() };
    (World::start_with(config, h2::server::Builder::new()).await, spans)
}

/// Calls with this `traceparent`, if there is one. Returns what the server is told of it.
async fn call(world: &mut World, method: &str, traceparent: Option<&str>) -> Option<String> {
    let mut request = grpc(NAME, method);
    if let Some(traceparent) = traceparent {
        request.headers_mut().insert("traceparent", traceparent.parse().unwrap());
    }
    let (response, _sending) = world.client.open(request, true).await;
    let call = world.session.call().await;
    let told = call.request.headers().get("traceparent").cloned();
    call.answer();
    answer(response).await.expect("an answer");
    told.map(|told| told.to_str().expect("text").to_owned())
}

/// The hub ends, and sends what it has.
async fn all(mut world: World, mut spans: mpsc::UnboundedReceiver<Span>) -> Vec<Span> {
    world.hub.drain();
    drop((world.client, world.session));
    within("the end", world.hub.ended()).await;
    let mut all = Vec::new();
    while let Ok(span) = spans.try_recv() {
        all.push(span);
    }
    all
}

const RECORDED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_RECORDED: &str = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

#[tokio::test]
async fn a_call_that_its_caller_records_has_a_span_below_the_callers() {
    let (mut world, spans) = world(0.0).await;
    assert_eq!(call(&mut world, "/a.B/Yes", Some(RECORDED)).await.as_deref(), Some(RECORDED));
    call(&mut world, "/a.B/No", Some(NOT_RECORDED)).await;
    call(&mut world, "/a.B/Nothing", None).await;
    let mut refused = grpc("nobody", "/a.B/Refused");
    refused.headers_mut().insert("traceparent", RECORDED.parse().unwrap());
    world.client.request(refused).await.expect("an answer");
    let spans = all(world, spans).await;
    let mut names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["a.B/Refused", "a.B/Yes"]);
    for span in &spans {
        assert_eq!(span.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
        assert_eq!(span.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        let is_error =
            span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
        assert_eq!(is_error, span.name == "a.B/Refused", "{span:?}");
    }
    let served = spans.iter().find(|span| span.name == "a.B/Yes").expect("the first");
    for (key, value) in [
        ("rpc.service", "a.B"),
        ("rpc.method", "Yes"),
        ("rpc.grpc.status_code", "0"),
        ("hub.name", NAME),
    ] {
        assert_eq!(says(served, key), value, "{key}");
    }
    for key in ["hub.agent", "hub.session", "hub.lane", "client.address"] {
        assert!(!says(served, key).is_empty(), "{key}");
    }
    let events: Vec<_> = served.events.iter().map(|event| &*event.name).collect();
    assert_eq!(events, ["sent", "head"]);
    let refused = spans.iter().find(|span| span.name == "a.B/Refused").expect("the second");
    assert_eq!(says(refused, "hub.reason"), "unknown-name");
}

#[tokio::test]
async fn of_calls_without_a_trace_a_share_begins_one() {
    let (mut world, spans) = world(1.0).await;
    assert_eq!(call(&mut world, "/a.B/Mine", None).await, None, "what is sent on is as it came");
    call(&mut world, "/a.B/No", Some(NOT_RECORDED)).await;
    let spans = all(world, spans).await;
    let mine: Vec<_> = spans.iter().filter(|span| span.name.starts_with("a.B")).collect();
    assert_eq!(mine.len(), 1, "{spans:?}");
    assert!(mine[0].parent_span_id.is_empty() && mine[0].trace_id.iter().any(|byte| *byte != 0));
}
