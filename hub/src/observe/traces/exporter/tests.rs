//! A lot of spans, and a collector that answers as it is made to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Response;
use tonic_types::ErrorDetails;

use super::*;

/// Answers each time what it is made to, and counts.
struct Collector<F>(F, Arc<AtomicUsize>);

type Answer = Result<Option<ExportTracePartialSuccess>, Status>;

#[tonic::async_trait]
impl<F: Fn(usize) -> Answer + Send + Sync + 'static> TraceService for Collector<F> {
    async fn export(
        &self,
        _request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let partial_success = (self.0)(self.1.fetch_add(1, Ordering::SeqCst))?;
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

fn exporter(endpoint: &str) -> Exporter {
    let room = Arc::new(Room::new(0));
    Exporter::new(&OtlpConfig::plain(endpoint), Metrics::new(), room)
}

/// An exporter to such a collector, and how often it has sent.
async fn to(
    answer: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (Exporter, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    (exporter(&endpoint), serve(listener, answer))
}

fn serve(
    listener: TcpListener,
    answer: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let times = Arc::new(AtomicUsize::new(0));
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(answer, times.clone())))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    times
}

/// What comes of a lot, and how often it was sent.
async fn sent(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (OTelSdkResult, usize) {
    let (exporter, times) = to(answer).await;
    let result = exporter.export(Vec::new()).await;
    (result, times.load(Ordering::SeqCst))
}

/// What the log has.
fn words(result: OTelSdkResult) -> String {
    match result {
        Err(OTelSdkError::InternalFailure(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_the_collector_says_is_known() {
    let (refused, times) = sent(|_| Err(Status::permission_denied("no such token"))).await;
    assert_eq!((&*words(refused), times), ("PermissionDenied: no such token", 1));
    let partial =
        ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
    let (refused, times) = sent(move |_| Ok(Some(partial.clone()))).await;
    assert_eq!((&*words(refused), times), ("too old", 1));
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: String::new() };
    let (refused, _) = sent(move |_| Ok(Some(partial.clone()))).await;
    assert_eq!(words(refused), "it does not say why");
    // A warning, and no more.
    let warning = ExportTracePartialSuccess { rejected_spans: 0, error_message: "x".to_owned() };
    assert!(sent(move |_| Ok(Some(warning.clone()))).await.0.is_ok());
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    let busy = |time| if time < 2 { Err(Status::unavailable("busy")) } else { Ok(None) };
    let began = Instant::now();
    let (taken, times) = sent(busy).await;
    assert!(taken.is_ok(), "{taken:?}");
    assert_eq!(times, 3);
    assert!(began.elapsed() >= SPANS_PAUSES[0] + SPANS_PAUSES[1], "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_collector_that_asks_for_a_pause_gets_it() {
    let asked = SPANS_PAUSES[1];
    let details = ErrorDetails::with_retry_info(Some(asked));
    let busy = move |time| match time {
        0 => Err(Status::with_error_details(Code::Unavailable, "busy", details.clone())),
        _ => Ok(None),
    };
    let began = Instant::now();
    let (taken, times) = sent(busy).await;
    assert!(taken.is_ok() && times == 2, "{taken:?}, {times}");
    assert!(began.elapsed() >= asked, "{:?}", began.elapsed());
}

#[test]
fn pauses_are_no_shorter_than_ours_and_no_longer_than_the_longest_of_them() {
    let [first, second, longest] = SPANS_PAUSES;
    for (asked, pause) in [
        (Duration::ZERO, first),
        (second, second),
        (SPANS_EXPORT, longest),
        (Duration::MAX, longest),
    ] {
        assert_eq!(pause_of(first, asked), pause, "{asked:?}");
    }
    assert_eq!(pause_of(longest, SPANS_EXPORT), longest);
}

#[tokio::test]
async fn lots_behind_a_lost_one_are_sent_once_until_one_is_taken() {
    let tries = SPANS_PAUSES.len() + 1;
    let taken_at = tries + 2;
    let (exporter, times) =
        to(move |time| if time == taken_at { Ok(None) } else { Err(Status::unavailable("busy")) })
            .await;
    let mut so_far = 0;
    for (sent, is_taken) in [(tries, false), (1, false), (1, false), (1, true), (tries, false)] {
        assert_eq!(exporter.export(Vec::new()).await.is_ok(), is_taken);
        so_far += sent;
        assert_eq!(times.load(Ordering::SeqCst), so_far);
    }
}

#[tokio::test]
async fn a_lot_whose_connection_breaks_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let exporter = exporter(&format!("http://{}", listener.local_addr().expect("bound")));
    let breaks = async move {
        let (first, _) = listener.accept().await.expect("a connection");
        let mut first = h2::server::handshake(first).await.expect("HTTP/2");
        first.accept().await.expect("a lot").expect("whole");
        drop(first);
        serve(listener, |_| Ok(None))
    };
    let (taken, times) = tokio::join!(exporter.export(Vec::new()), breaks);
    assert!(taken.is_ok(), "{taken:?}");
    assert_eq!(times.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let result = exporter(&endpoint).export(Vec::new()).await;
    assert!(words(result).contains("refused"));
}

#[test]
fn what_passes_is_sent_again() {
    for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Aborted] {
        assert_eq!(may_be_sent_again(&Status::new(code, "")), Some(Duration::ZERO), "{code}");
    }
    for code in [Code::Unauthenticated, Code::Unimplemented, Code::ResourceExhausted] {
        assert_eq!(may_be_sent_again(&Status::new(code, "")), None, "{code}");
    }
    let asked = Duration::from_secs(1);
    let details = ErrorDetails::with_retry_info(Some(asked));
    for code in [Code::Unavailable, Code::ResourceExhausted] {
        let status = Status::with_error_details(code, "", details.clone());
        assert_eq!(may_be_sent_again(&status), Some(asked), "{code}");
    }
}
