//! The built-in services of an agent that runs as a process.

use hub_proto::fluentd::v1::StartRequest;
use hub_proto::fluentd::v1::fluentd_client::FluentdClient;
use rustix::process::{Pid, test_kill_process};

use crate::support::grpc::Caller;
use crate::support::programs::Hub;
use crate::support::soon;

fn is_alive(pid: u32) -> bool {
    test_kill_process(Pid::from_raw(pid.cast_signed()).unwrap()).is_ok()
}

#[tokio::test]
async fn the_supervised_process_ends_with_its_agent() {
    let hub = Hub::start(&[]).await;
    let agent = hub.agent("testserver", &["--fluentd-command", "sleep 3600"]).await;
    let caller = Caller::connect(hub.address).await;
    let request = caller.request("testserver", StartRequest::default());
    let started = soon(FluentdClient::new(caller.channel.clone()).start(request)).await.unwrap();
    let pid = started.into_inner().status.unwrap().pid;
    assert!(is_alive(pid));
    assert_eq!(agent.stop().await.code(), 0);
    assert!(!is_alive(pid));
}
