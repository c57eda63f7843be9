//! What a line says, and what becomes of lines: files that move, disks that are full.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::config::access_log::LogPlace;
use crate::message::refusal::Refusal;
use crate::observe::metrics::There;
use crate::observe::outcome::Outcome;
use crate::observe::trace::Trace;

const TRACE: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn ending<'c>(method: &'c str, refusal: Option<&'c Refusal>) -> Ending<'c> {
    Ending {
        refusal,
        instance: Some("i"),
        session: Some("s"),
        lane: Some(3),
        caller: Some("who"),
        head: Some(Duration::from_micros(200)),
        queue: Some(Duration::from_micros(100)),
        total: Duration::from_micros(300),
        bytes: (10, 20),
        messages: Some((1, 2)),
        trace: Trace::of(TRACE),
        ..Ending::of_a_test(method, Outcome::Grpc(if refusal.is_some() { 14 } else { 0 }))
    }
}

fn open(path: &std::path::Path, sample: f64) -> (AccessLog, Arc<Metrics>) {
    let metrics = Metrics::new();
    let config = AccessLogConfig { to: LogPlace::File(path.to_owned()), sample };
    (AccessLog::open(&config, metrics.clone()).expect("a log"), metrics)
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a file");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_line_says_what_is_known_of_a_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let (log, _) = open(&path, 1.0);
    log.write(&ending("/a.B/C\"\n", None));
    log.close();
    let [line] = &lines(&path)[..] else { panic!("one line") };
    let expected: [(&str, Value); 13] = [
        ("method", "/a.B/C\"\n".into()),
        ("status", "OK".into()),
        ("kind", "unary".into()),
        ("caller", "who".into()),
        ("address", "127.0.0.1".into()),
        ("instance", "i".into()),
        ("session", "s".into()),
        ("request_bytes", 10.into()),
        ("response_messages", 2.into()),
        ("queue_us", 100.into()),
        ("head_us", 200.into()),
        ("total_us", 300.into()),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c".into()),
    ];
    for (field, value) in expected {
        assert_eq!(line[field], value, "{field}");
    }
    let time = line["time"].as_str().expect("a time");
    assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == 27, "{time}");
    for field in ["name", "hub_reason", "error", "given_up", "parked_us", "replays"] {
        assert!(line.get(field).is_none(), "{field}");
    }
}

#[test]
fn calls_with_errors_are_written_whatever_the_sample() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let (log, _) = open(&path, 0.0);
    log.write(&ending("/fine", None));
    // What a client may not do is no error of anybody's who reads this.
    log.write(&ending("/bad", Some(&Refusal::NoToken)));
    let refusal = Refusal::UnknownName("nobody".parse().expect("a name"));
    log.write(&ending("/refused", Some(&refusal)));
    log.close();
    let [line] = &lines(&path)[..] else { panic!("one line") };
    let said = (&line["method"], &line["hub_reason"]);
    assert_eq!(said, (&"/refused".into(), &"unknown-name".into()));
    assert_eq!(line["error"], true);
}

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let (log, _) = open(&path, 1.0);
    log.write(&ending("/first", None));
    // Until it is there, the line is on its way.
    let begun = std::time::SystemTime::now();
    while fs::metadata(&path).expect("a file").len() == 0 {
        assert!(begun.elapsed().expect("a clock").as_secs() < 60, "it never comes");
        std::thread::yield_now();
    }
    fs::rename(&path, &moved).expect("moved");
    log.reopen();
    log.write(&ending("/second", None));
    log.close();
    assert_eq!(lines(&moved)[0]["method"], "/first");
    assert_eq!(lines(&path)[0]["method"], "/second");
    assert_eq!((lines(&moved).len(), lines(&path).len()), (1, 1));
}

#[test]
fn a_disk_that_takes_nothing_costs_lines_and_they_are_counted() {
    let full = std::path::Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let (log, metrics) = open(full, 1.0);
    (0..10).for_each(|_| log.write(&ending("/lost", None)));
    log.close();
    let text = metrics.render(&There::default(), &[]);
    assert!(text.contains("hub_access_log_dropped_total 10"), "{text}");
    // Closed, it takes nothing more, and does not fail.
    log.write(&ending("/later", None));
}

#[test]
fn a_file_that_cannot_be_made_is_told_at_once() {
    let config = AccessLogConfig { to: LogPlace::File("/nowhere/at/all".into()), sample: 1.0 };
    assert!(AccessLog::open(&config, Metrics::new()).is_err());
}

#[test]
fn what_clients_choose_is_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let (log, _) = open(&path, 1.0);
    log.write(&ending(&"\u{20ac}".repeat(10_000), None));
    log.close();
    let method = lines(&path)[0]["method"].as_str().expect("text").len();
    assert!((200..=256).contains(&method), "{method}");
}
