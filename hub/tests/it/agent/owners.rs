//! What becomes of a name that several agents register.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::hub::v1::ListClientsRequest;
use hub_proto::hub::v1::hub_client::HubClient;

use crate::support::auth_file::{Entry, agent, caller, guarded_hub, token_file};
use crate::support::client::Client;
use crate::support::grpc::with_token;
use crate::support::hub::Hub;
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until};

/// A hub at which `owner` has names in this way, and `stranger` shares them.
async fn hub(ownership: &'static str) -> Hub {
    let owner = Entry { ownership, ..agent("owner", "*") };
    guarded_hub(&[owner, agent("stranger", "*"), caller("ops", "*")]).await
}

/// Registers an agent that is shown, or says why not.
async fn register(
    hub: &Hub,
    token: &str,
    name: &str,
    instance: &str,
) -> Result<RawAgent, StatusCode> {
    let headers = [("hub-name", name), ("hub-instance", instance), ("hub-token", token)];
    let mut agent = RawAgent::connect(hub, &headers).await.map_err(|refused| refused.0)?;
    agent.settings().await;
    hub.until(name, ServingStatus::Serving, Some("ops")).await;
    Ok(agent)
}

#[tokio::test]
async fn an_exclusive_name_has_one_agent() {
    let hub = hub("exclusive").await;
    let first = register(&hub, "owner", "mine", "o1").await.expect("a free name");
    assert_eq!(register(&hub, "stranger", "mine", "s1").await.err(), Some(StatusCode::CONFLICT));
    assert_eq!(register(&hub, "owner", "mine", "o2").await.err(), Some(StatusCode::CONFLICT));
    // Nor does it get a name that others share.
    let _stranger = register(&hub, "stranger", "shared", "s1").await.expect("a free name");
    assert_eq!(register(&hub, "owner", "shared", "o1").await.err(), Some(StatusCode::CONFLICT));
    drop(first);
    until("the name free", async || register(&hub, "owner", "mine", "o2").await.is_ok()).await;
}

/// A power cut says no goodbye; but whoever comes next has the dead one asked.
#[tokio::test]
async fn a_dead_agent_does_not_keep_an_exclusive_name() {
    let hub = hub("exclusive").await;
    // It answers nothing from now on.
    let _dead = register(&hub, "owner", NAME, "o1").await.expect("a free name");
    until("the name free", async || register(&hub, "owner", NAME, "o2").await.is_ok()).await;
}

#[tokio::test]
async fn the_latest_takes_a_name_over_and_keeps_it() {
    let hub = hub("takeover").await;
    let first = register(&hub, "owner", NAME, "o1").await.expect("a free name");
    let headers = [("hub-name", NAME), ("hub-instance", "o2"), ("hub-token", "owner")];
    let mut second = RawAgent::connect(&hub, &headers).await.expect("an upgrade");
    second.settings().await;
    let closed = first.closed().await.expect("a close frame");
    assert_eq!(closed.0, 4000, "{closed:?}");
    assert_eq!(register(&hub, "owner", NAME, "o1").await.err(), Some(StatusCode::CONFLICT));
    assert_eq!(register(&hub, "stranger", NAME, "s1").await.err(), Some(StatusCode::CONFLICT));
    assert_eq!(hub.metric("hub_agents").await, 1.0);
    assert_eq!(hub.metric("hub_sessions_replaced_total").await, 1.0);
    drop(second);
    until("the name free", async || register(&hub, "owner", NAME, "o1").await.is_ok()).await;
}

#[tokio::test]
async fn who_stands_by_is_called_once_the_first_is_gone() {
    let hub = hub("standby").await;
    let (_folder, token) = token_file("owner");
    let mut agents = Vec::new();
    let mut answered = Vec::new();
    for instance in ["o1", "o2"] {
        let upstream = Upstream::listen().await;
        let config =
            crate::support::agent::config(&hub, crate::support::agent::server(upstream.address));
        let config =
            agent::Config { instance: instance.into(), token_file: Some(token.clone()), ..config };
        let count = Arc::new(AtomicUsize::new(0));
        upstream.all().answer_all(count.clone());
        answered.push(count);
        agents.push(crate::support::agent::Agent::start(config));
        let sessions = agents.len() as f64;
        until("a session", async || hub.metric("hub_sessions").await == sessions).await;
    }
    let listed = with_token(ListClientsRequest::default(), Some("ops"));
    let listed = HubClient::new(hub.channel().await).list_clients(listed).await.expect("a page");
    let listed = listed.into_inner().clients;
    let told: Vec<_> = listed.iter().map(|agent| (&*agent.instance, agent.standby)).collect();
    assert_eq!(told, [("o1", false), ("o2", true)]);
    let client = hub.client().await;
    for _ in 0..20 {
        call(&client).await;
    }
    let answers = || [0, 1].map(|at: usize| answered[at].load(Ordering::Relaxed));
    assert_eq!(answers(), [20, 0]);
    agents[0].drain();
    agents[0].ended().await;
    for _ in 0..20 {
        call(&client).await;
    }
    assert_eq!(answers(), [20, 20]);
}

async fn call(client: &Client) {
    let mut request = grpc(NAME, "/a.B/C");
    request.headers_mut().insert("hub-token", http::HeaderValue::from_static("ops"));
    let answer = client.call(request, b"ping").await.expect("an answer");
    assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("0"), None));
}
