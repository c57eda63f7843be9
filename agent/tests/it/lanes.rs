//! How many connections an agent makes to its upstream.

use tonic::Code;

use crate::support::binaries;
use crate::support::grpc::{Caller, reason};
use crate::support::process::{Process, command};
use crate::support::programs::{Agent, Hub};
use crate::support::server::{HELD, Upstream};
use crate::support::soon;

#[tokio::test]
async fn callers_beyond_the_lanes_wait_for_their_turn() {
    let hub = Hub::start(&[]).await;
    let mut upstream = Upstream::start().await;
    let args = ["--upstream", &upstream.address, "--max-lanes", "1", "--sessions", "2"];
    let _agent = hub.agent("testserver", &args).await;
    let (first, second) = (Caller::connect(hub.address).await, Caller::connect(hub.address).await);
    let held = tokio::spawn(async move { first.check("testserver", HELD).await });
    upstream.arrival().await;
    let status = second.check("testserver", "").await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, Some("limit")));
    upstream.release();
    soon(held).await.unwrap().unwrap();
    // The lane that is idle now makes room, and costs nobody a call.
    second.check("testserver", "").await.unwrap();
}

#[tokio::test]
async fn no_more_lanes_than_files() {
    let hub = Hub::start(&[]).await;
    let upstream = Upstream::start().await;
    let agent = binaries::agent().to_str().unwrap();
    let script = format!("ulimit -n 80; exec {agent} \"$@\"");
    let args = ["-c", &script, "agent", "--name", "testserver", "--hub-uri", &hub.uri()];
    let more = ["--upstream", &upstream.address, "--log-format", "json"];
    let shell = command("sh".as_ref(), args.into_iter().chain(more));
    let agent = Process::start(shell);
    let lowered = "the limit of open files lowers the number of lanes";
    agent.log.said(lowered, &[("lanes", "16"), ("max_lanes", "1024"), ("level", "WARN")]).await;
    hub.registered("testserver").await;
    assert_eq!(agent.log.with(lowered).len(), 1);
    Caller::connect(hub.address).await.check("testserver", "").await.unwrap();
}

#[tokio::test]
async fn no_word_of_files_where_there_are_enough() {
    let hub = Hub::start(&[]).await;
    let agent: Agent = hub.agent("testserver", &[]).await;
    agent.process.log.said("registered", &[]).await;
    assert!(agent.process.log.lines().iter().all(|line| line.field("lanes").is_empty()));
}
