//! What is rendered of what was counted, as Prometheus and as OpenMetrics have it.

use std::time::SystemTime;

use super::*;
use crate::observe::name_view::NameState;

/// A call that took a second, of this kind; its answer began after a tenth of that.
fn ending(outcome: Outcome, kind: Kind, refusal: Option<&Refusal>) -> Ending<'_> {
    let head = refusal.is_none().then_some(Duration::from_millis(100));
    Ending { refusal, kind, head, ..Ending::of_a_test("/a.B/C", outcome) }
}

fn assert_has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
    }
}

#[test]
fn renders_what_was_counted() {
    let metrics = Metrics::new();
    metrics.call(Target::Agent, &ending(Outcome::Grpc(0), Kind::Unary, None));
    metrics.call(Target::Agent, &ending(Outcome::Grpc(0), Kind::Stream, None));
    metrics.call(Target::Agent, &ending(Outcome::Grpc(14), Kind::Unary, Some(&Refusal::NoName)));
    metrics.call(Target::Hub, &ending(Outcome::Grpc(0), Kind::Unary, None));
    let mut meter = metrics.response_meter();
    meter.set(3);
    meter.set(4);
    drop(meter);
    let stream = metrics.stream();
    let there = There { agents: 2, sessions: 5, ..There::default() };
    assert_has(
        &metrics.render(&there, &[]),
        &[
            "hub_agents 2",
            "hub_sessions 5",
            "hub_streams_in_flight 1",
            "hub_calls_total{target=\"agent\",outcome=\"OK\",hub_reason=\"none\",via=\"local\"} 2",
            "hub_calls_total{target=\"agent\",outcome=\"UNAVAILABLE\",hub_reason=\"no-name\",via=\"local\"} 1",
            "hub_call_bytes_total{direction=\"response\"} 4",
            "hub_call_duration_seconds_bucket{kind=\"unary\",le=\"1\"} 1",
            "hub_call_duration_seconds_bucket{kind=\"stream\",le=\"1\"} 1",
            "hub_call_duration_seconds_bucket{kind=\"refused\",le=\"1\"} 1",
            "hub_call_head_seconds_bucket{kind=\"unary\",le=\"0.1\"} 1",
            "# TYPE hub_call_duration_seconds histogram",
        ],
    );
    drop(stream);
    assert!(metrics.render(&There::default(), &[]).contains("hub_streams_in_flight 0"));
}

fn view(metrics: &Metrics, name: &str, state: NameState) -> NameView {
    NameView {
        name: name.parse().expect("a name"),
        state,
        since: SystemTime::UNIX_EPOCH + Duration::from_secs(1234),
        agents: 1,
        sessions: 2,
        lanes: 3,
        in_flight: 4,
        rtt: Some(Duration::from_millis(5)),
        tally: {
            let tally = metrics.tallies.begin();
            tally.comes();
            tally
        },
    }
}

#[test]
fn names_have_series_of_their_own_and_those_beyond_are_counted_together() {
    let metrics = Metrics::with_names(2);
    let states = [("a", NameState::Online), ("b", NameState::Offline), ("c", NameState::Online)];
    let mut views: Vec<_> =
        states.map(|(name, state)| view(&metrics, name, state)).into_iter().collect();
    for view in &views {
        view.tally.ended(&ending(Outcome::Grpc(0), Kind::Unary, None), (0, 0));
        view.tally.ended(&ending(Outcome::Grpc(14), Kind::Unary, Some(&Refusal::NoName)), (0, 0));
        let failed = Refusal::UnknownName(view.name.clone());
        view.tally.ended(&ending(Outcome::Grpc(14), Kind::Unary, Some(&failed)), (0, 0));
        view.tally.moved((10, 20));
        view.tally.stalled(switch::Stall::Upstream, Duration::from_millis(1500));
    }
    let text = metrics.render(&There::default(), &views);
    assert_has(
        &text,
        &[
            "hub_name_up{name=\"a\"} 1",
            "hub_name_up{name=\"b\"} 0",
            "hub_name_since_seconds{name=\"a\"} 1234",
            "hub_name_rtt_seconds{name=\"a\"} 0.005",
            "hub_name_calls_in_flight{name=\"a\"} 4",
            "hub_name_calls_total{name=\"a\",outcome=\"OK\"} 1",
            "hub_name_refusals_total{name=\"b\",hub_reason=\"no-name\"} 1",
            // Whoever names nobody is at fault.
            "hub_name_errors_total{name=\"a\"} 1",
            "hub_name_bytes_total{name=\"a\",direction=\"response\"} 20",
            "hub_name_stall_seconds_total{name=\"a\",cause=\"server\"} 1.5",
            "hub_name_head_seconds_bucket{name=\"a\",kind=\"unary\",le=\"0.025\"} 0",
            "hub_name_head_seconds_bucket{name=\"a\",kind=\"unary\",le=\"0.1\"} 1",
            "hub_name_head_seconds_count{name=\"a\",kind=\"unary\"} 1",
            "hub_name_head_seconds_sum{name=\"a\",kind=\"unary\"} 0.1",
            "hub_names_untold 1",
            "hub_name_calls_total{name=\"_other\",outcome=\"OK\"} 1",
        ],
    );
    assert!(!text.contains("name=\"c\""), "{text}");
    // One is forgotten: the next that comes has its place, one that comes back too. What the others had done is not undone.
    views.remove(0);
    views.push(view(&metrics, "d", NameState::Online));
    let text = metrics.render(&There::default(), &views);
    assert_has(
        &text,
        &["hub_name_up{name=\"d\"} 1", "hub_name_calls_total{name=\"_other\",outcome=\"OK\"} 1"],
    );
    assert!(!text.contains("name=\"a\"") && !text.contains("name=\"c\""), "{text}");
}

#[test]
fn openmetrics_names_families_and_a_call_of_a_bucket() {
    let metrics = Metrics::new();
    let trace = crate::observe::trace::Trace::of(
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    let recorded = Ending { trace, ..ending(Outcome::Grpc(0), Kind::Unary, None) };
    metrics.call(Target::Agent, &recorded);
    metrics.call(Target::Agent, &ending(Outcome::Grpc(0), Kind::Stream, None));
    let views = [view(&metrics, "a", NameState::Online)];
    views[0].tally.ended(&recorded, (0, 0));
    let text = metrics.render_open(&There::default(), &views);
    assert!(text.ends_with("\n# EOF\n") && !text.contains("\n\n"), "{text}");
    assert_has(
        &text,
        &[
            "# TYPE hub_calls counter",
            "# TYPE hub_name_calls counter",
            "# TYPE hub_call_head_seconds histogram",
            "hub_name_calls_total{name=\"a\",outcome=\"OK\"} 1",
        ],
    );
    let exemplars: Vec<_> = text.lines().filter(|line| line.contains(" # {")).collect();
    let [line] = exemplars[..] else { panic!("one exemplar: {exemplars:?}") };
    let bucket = "hub_call_head_seconds_bucket{kind=\"unary\",le=\"0.1\"} 1 # \
                  {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.1 ";
    assert!(line.starts_with(bucket), "{line}");
    // One family is in one piece, whatever has been counted by then.
    metrics.call_was_parked("served");
    let _parked = metrics.call_parked();
    metrics.access_log_dropped(1);
    metrics.replayed();
    let text = metrics.render_open(&There::default(), &views);
    let mut families: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let all = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), all, "{text}");
}

#[test]
fn openmetrics_is_for_who_takes_it() {
    use super::open_metrics::is_accepted;
    for (accept, is) in [
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.3",
            true,
        ),
        ("text/plain, application/openmetrics-text", true),
        ("text/plain;version=0.0.4", false),
        ("application/openmetrics-text;q=0, text/plain", false),
        ("*/*", false),
    ] {
        assert_eq!(is_accepted(accept), is, "{accept}");
    }
}
