//! `/readyz` of names, for whoever cannot speak gRPC.

use tunnel::wire::Control;

use crate::support::admin::get;
use crate::support::auth_file::{agent, guarded_hub};
use crate::support::hub::Hub;
use crate::support::raw_agent::RawAgent;
use crate::support::until;

async fn ready(hub: &Hub, query: &str) -> (u16, String) {
    get(hub.admin, &format!("/readyz?{query}")).await
}

#[tokio::test]
async fn names_are_ready_whose_servers_can_be_reached() {
    let hub = Hub::start().await;
    let mut up = RawAgent::shown(&hub, "up", "instance-1").await;
    let gone = RawAgent::shown(&hub, "gone", "instance-2").await;
    let mut down = RawAgent::shown(&hub, "down", "instance-3").await;
    let ok = (200, "ready\n".to_owned());
    assert_eq!(ready(&hub, "name=up").await, ok);
    assert_eq!(ready(&hub, "name=up&name=gone&name=down&t=1").await, ok);
    drop(gone);
    down.say(Control::Upstream { up: false, nth: 0 }).await;
    let away = async |query: &str| ready(&hub, query).await.0 == 503;
    // Its calls are refused a moment before it is taken out of the registry.
    until("it is gone", async || ready(&hub, "name=gone").await.1.contains("ended")).await;
    until("it is down", async || away("name=down").await).await;
    let gone = "\"gone\" is offline: its last connection ended 0 s ago\n";
    let down_told = "the server of \"down\" is not reachable from its agent\n";
    let (status, told) = ready(&hub, "name=gone").await;
    assert_eq!((status, seconds_aside(&told)), (503, gone.to_owned()));
    assert_eq!(ready(&hub, "name=down").await, (503, down_told.to_owned()));
    let (status, told) = ready(&hub, "name=up&name=down&name=gone&name=nobody").await;
    let nobody = "nobody has registered the name \"nobody\"\n";
    assert_eq!((status, seconds_aside(&told)), (503, [down_told, gone, nobody].concat()));
    assert_eq!(ready(&hub, "name=nobody").await, (404, nobody.to_owned()));
    assert_eq!(ready(&hub, "name=").await.0, 400);
    assert_eq!(ready(&hub, "name=No%20Name").await.0, 400);
    assert_eq!(ready(&hub, "").await, ok);
    up.say(Control::Drain).await;
    until("it drains", async || away("name=up").await).await;
}

/// A slow machine takes longer.
fn seconds_aside(told: &str) -> String {
    let seconds = told.split_once("ended ").and_then(|(_, rest)| rest.split_once(" s ago"));
    seconds.map_or_else(
        || told.to_owned(),
        |(seconds, _)| told.replace(&format!("ended {seconds} s"), "ended 0 s"),
    )
}

#[tokio::test]
async fn a_name_that_the_auth_file_spells_out_is_offline_before_it_first_comes() {
    let hub = guarded_hub(&[agent("berlin", "berlin-1"), agent("other", "other-*")]).await;
    let offline = "\"berlin-1\" is offline\n".to_owned();
    assert_eq!(ready(&hub, "name=berlin-1").await, (503, offline));
    assert_eq!(ready(&hub, "name=other-1").await.0, 404);
}
