//! `call`: the four kinds of method, through reflection.

use tonic::transport::Server;

use crate::reflection::v1;
use crate::support::echo::{RequestsEnd, echo};
use crate::support::program::{run, start};
use crate::support::server::serve;

async fn hub() -> String {
    serve(Server::builder().add_service(echo().0).add_service(v1())).await
}

/// The texts of responses, one JSON document a line.
fn texts(output: &str) -> Vec<String> {
    let text = |line| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        json["text"].as_str().unwrap_or_default().to_owned()
    };
    output.lines().map(text).collect()
}

#[tokio::test]
async fn unary_by_each_way_to_write_a_method() {
    let hub = hub().await;
    for method in ["test.v1.Echo/Unary", "/test.v1.Echo/Unary", "test.v1.Echo.Unary"] {
        let args = ["call", "testserver", method, "-o", "json"];
        let ended = run(&hub, &args, "{\"text\": \"hi\"}").await;
        assert_eq!(texts(ended.succeeded()), ["hi"]);
    }
}

#[tokio::test]
async fn people_get_indented_json_and_no_input_is_an_empty_message() {
    let ended = run(&hub().await, &["call", "-", "test.v1.Echo/Unary"], "").await;
    assert!(ended.succeeded().starts_with("{\n  \"metadata\": {\n"), "{ended:?}");
}

#[tokio::test]
async fn streams_each_way() {
    let hub = hub().await;
    let call = |method, input| {
        let hub = &hub;
        async move {
            let args = ["-o", "json", "call", "testserver", method];
            texts(run(hub, &args, input).await.succeeded())
        }
    };
    let three = "{\"text\":\"a\"} {\"text\":\"b\"}\n{\"text\":\"c\"}";
    assert_eq!(call("test.v1.Echo/Split", "{\"text\":\"a\",\"count\":3}").await, ["a", "a", "a"]);
    assert_eq!(call("test.v1.Echo/Split", "").await, [""; 0]);
    assert_eq!(call("test.v1.Echo/Join", three).await, ["a+b+c"]);
    assert_eq!(call("test.v1.Echo/Join", "").await, [""]);
    assert_eq!(call("test.v1.Echo/Chat", three).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_conversation_goes_back_and_forth() {
    let mut client = start(&hub().await, &["-o", "json", "call", "x", "test.v1.Echo/Chat"]);
    for text in ["one", "two", "three"] {
        // The next request is written only once the response to this one is here.
        client.send(&format!("{{\"text\":\"{text}\"}}")).await;
        assert_eq!(texts(&client.line().await), [text]);
    }
    client.close();
    client.end().await.succeeded();
}

#[tokio::test]
async fn metadata_goes_with_the_call() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let args = [
        "-H",
        "X-Before: one",
        "call",
        "testserver",
        "test.v1.Echo/Unary",
        "-H",
        "x-after:two",
        "-H",
        "trace-bin:AAH/",
        "-o",
        "json",
        "--token-file",
        token.to_str().unwrap(),
        "--timeout",
        "40s",
    ];
    let ended = run(&hub().await, &args, "").await;
    let json: serde_json::Value = serde_json::from_str(ended.succeeded()).unwrap();
    let sent = |key| json["metadata"][key].as_str().unwrap_or("nothing");
    assert_eq!(sent("name"), "testserver");
    assert_eq!(sent("hub-token"), "s3cret");
    assert_eq!(sent("x-before"), "one");
    assert_eq!(sent("x-after"), "two");
    assert_eq!(sent("trace-bin"), "AAH/");
    let micros: u64 = sent("grpc-timeout").trim_end_matches('u').parse().unwrap();
    assert!((1_000_000..=40_000_000).contains(&micros), "{micros}");
}

#[tokio::test]
async fn the_hub_is_called_without_a_name() {
    let args = ["call", "-", "test.v1.Echo/Unary", "-o", "json"];
    let ended = run(&hub().await, &args, "").await;
    assert!(!ended.succeeded().contains("\"name\""), "{ended:?}");
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_named() {
    let hub = hub().await;
    let call = ["call", "x", "test.v1.Echo/Unary"];
    run(&hub, &call, "{\"txt\": \"hi\"}").await.failed(
        64,
        "error: request JSON for test.v1.Ping: unrecognized field name 'txt' at line 1 column 7",
    );
    run(&hub, &call, "{\n \"count\": \"many\"}").await.failed(
        64,
        "error: request JSON for test.v1.Ping: field \"count\": invalid digit found in string \
         at line 2 column 16",
    );
    let ended = run(&hub, &call, "{\"text\": ").await;
    assert_eq!(ended.code, Some(64));
    assert!(ended.stderr.contains("EOF while parsing a value at line 1 column 9"), "{ended:?}");
    run(&hub, &call, "{} {}")
        .await
        .failed(64, "error: request JSON: this method takes exactly one test.v1.Ping");
}

#[tokio::test]
async fn a_bad_request_in_a_stream_cancels_the_call() {
    let (service, mut ends) = echo();
    let hub = serve(Server::builder().add_service(service).add_service(v1())).await;
    let mut client = start(&hub, &["-o", "json", "call", "x", "test.v1.Echo/Chat"]);
    client.send("{\"text\":\"good\"}\n").await;
    assert_eq!(texts(&client.line().await), ["good"]);
    client.send("{\"text\": 1}\n").await;
    let ended = client.end().await;
    assert_eq!(ended.code, Some(64));
    assert!(ended.stderr.contains("field \"text\": "), "{ended:?}");
    assert!(ended.stderr.contains("at line 2 column 11"), "{ended:?}");
    assert_eq!(ends.recv().await, Some(RequestsEnd::Cancelled));
}

#[tokio::test]
async fn a_stream_that_ends_is_complete() {
    let (service, mut ends) = echo();
    let hub = serve(Server::builder().add_service(service).add_service(v1())).await;
    run(&hub, &["call", "x", "test.v1.Echo/Chat"], "{}").await.succeeded();
    assert_eq!(ends.recv().await, Some(RequestsEnd::Complete));
}

#[tokio::test]
async fn a_server_that_ends_a_stream_ends_the_program_with_input_open() {
    let mut client = start(&hub().await, &["call", "x", "test.v1.Echo/Chat"]);
    client.send("{\"text\":\"fail\"}").await;
    let ended = client.end().await;
    assert_eq!(ended.code, Some(9));
}
