//! The built-in services of an agent that runs as a process.

use std::time::Duration;

use hub_proto::fluentd::v1::StartRequest;
use hub_proto::fluentd::v1::fluentd_client::FluentdClient;
use rustix::process::{Pid, Signal, test_kill_process};

use crate::support::grpc::Caller;
use crate::support::programs::Hub;
use crate::support::soon;

fn is_alive(pid: u32) -> bool {
    // Whoever inherits it need not be in a hurry to bury it.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let dead = stat.rsplit(')').next().is_some_and(|state| state.trim_start().starts_with('Z'));
    !dead && test_kill_process(Pid::from_raw(pid.cast_signed()).unwrap()).is_ok()
}

async fn start(hub: &Hub) -> u32 {
    let caller = Caller::connect(hub.address).await;
    let request = caller.request("testserver", StartRequest::default());
    let started = soon(FluentdClient::new(caller.channel.clone()).start(request)).await.unwrap();
    let pid = started.into_inner().status.unwrap().pid;
    assert!(is_alive(pid));
    pid
}

#[tokio::test]
async fn the_supervised_process_ends_with_its_agent() {
    let hub = Hub::start(&[]).await;
    let agent = hub.agent("testserver", &["--fluentd-command", "sleep 3600"]).await;
    let pid = start(&hub).await;
    assert_eq!(agent.stop().await.code(), 0);
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn also_when_a_second_signal_ends_it_at_once() {
    let hub = Hub::start(&[]).await;
    // What it is asked to do when it is to stop, it does not.
    let stubborn = ["--fluentd-command", "sh -c 'trap : TERM; while :; do sleep 1; done'"];
    let agent = hub.agent("testserver", &stubborn).await;
    let pid = start(&hub).await;
    agent.process.signal(Signal::INT);
    agent.process.log.said("draining", &[]).await;
    agent.process.signal(Signal::TERM);
    assert_eq!(agent.process.end().await.code(), 130);
    soon(async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
