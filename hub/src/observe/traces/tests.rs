//! What is counted of spans that are lost.

use tokio::net::TcpListener;

use super::*;
use crate::observe::metrics::There;

fn ending() -> Ending<'static> {
    Ending::of_a_test("/a.B/C", Outcome::Grpc(0))
}

fn dropped(metrics: &Metrics) -> String {
    let text = metrics.render(&There::default(), &[]);
    let count = text.lines().find_map(|line| line.strip_prefix("hub_spans_dropped_total "));
    count.expect("the metric").to_owned()
}

/// As many as have a place are a lot, which leaves them before it is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_has_no_place_is_counted_and_what_nobody_takes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let config = OtlpConfig { sample: 1.0, ..OtlpConfig::plain(&endpoint) };
    let metrics = Metrics::new();
    let traces = Traces::start_with(&config, "node", metrics.clone(), Room::new(20));
    (0..20).for_each(|_| traces.write(&ending()));
    let silent = listener.accept().await.expect("a connection");
    assert_eq!(dropped(&metrics), "0");
    (0..23).for_each(|_| traces.write(&ending()));
    assert_eq!(dropped(&metrics), "3", "those without a place");
    drop((silent, listener));
    traces.provider.force_flush().expect("all have been sent by now");
    assert_eq!(dropped(&metrics), "43", "all of them");
}
