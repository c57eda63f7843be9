//! What becomes of a name that agents of several hubs register.

use http::StatusCode;
use hub::{Config, Directory, Peering};

use crate::support::auth_file::{AuthFile, Entry, agent, caller};
use crate::support::balancer::Balancer;
use crate::support::cluster::{Cluster, listed, two_with};
use crate::support::hub::Hub;
use crate::support::raw_agent::RawAgent;
use crate::support::{NAME, until};

/// Two hubs at which `owner` has names in this way.
async fn hubs(ownership: &'static str) -> ([Hub; 2], Cluster) {
    let owner = Entry { ownership, ..agent("owner", "*") };
    let file = AuthFile::new(&[owner, caller("ops", "*")]);
    two_with(file.config()).await
}

/// Registers an agent at a hub, or says why not.
async fn register(hub: &Hub, instance: &str) -> Result<RawAgent, StatusCode> {
    let headers = [("hub-name", NAME), ("hub-instance", instance), ("hub-token", "owner")];
    let mut agent = RawAgent::connect(hub, &headers).await.map_err(|refused| refused.0)?;
    agent.settings().await;
    Ok(agent)
}

/// Waits until a hub lists these.
async fn until_are(hub: &Hub, instances: &[&str]) {
    until("these agents", async || {
        let clients = listed(hub, Some("ops")).await;
        clients.iter().map(|client| &*client.instance).eq(instances.iter().copied())
    })
    .await;
}

#[tokio::test]
async fn an_exclusive_name_has_one_agent_at_all_hubs() {
    let ([one, other], _cluster) = hubs("exclusive").await;
    let first = register(&one, "o1").await.expect("a free name");
    until_are(&other, &["o1"]).await;
    assert_eq!(register(&other, "o2").await.err(), Some(StatusCode::CONFLICT));
    // The same agent may be at both.
    let _again = register(&other, "o1").await.expect("its own name");
    until_are(&one, &["o1"]).await;
    drop(first);
}

/// Without a directory, hubs that do not hear of each other both give it away.
#[tokio::test]
async fn of_two_that_have_a_name_exclusively_the_first_keeps_it() {
    let owner = Entry { ownership: "exclusive", ..agent("owner", "*") };
    let file = AuthFile::new(&[owner, caller("ops", "*")]);
    for (first, second) in [(0, 1), (1, 0)] {
        let mut cluster = Cluster::new(2).await;
        let doors = [Balancer::start().await, Balancer::start().await];
        let peers = doors.each_ref().map(|door| door.address.to_string().parse().unwrap());
        let peering = Peering { peers: peers.into(), ..cluster.peering() };
        let config = || Config { peering: peering.clone(), ..file.config() };
        let hubs = [cluster.start_as(0, config()).await, cluster.start_as(1, config()).await];
        let _o1 = register(&hubs[first], "o1").await.expect("a free name");
        let o2 = register(&hubs[second], "o2").await.expect("a name that seems free");
        for (at, door) in doors.iter().enumerate() {
            door.leads_to(&[cluster.address(at)]);
        }
        let closed = o2.closed().await.expect("a close frame");
        assert_eq!(closed.0, 4000, "{closed:?}");
        for hub in &hubs {
            until_are(hub, &["o1"]).await;
            assert_eq!(register(hub, "o2").await.err(), Some(StatusCode::CONFLICT));
        }
    }
}

#[tokio::test]
async fn the_latest_takes_a_name_over_at_all_hubs() {
    let ([one, other], _cluster) = hubs("takeover").await;
    let first = register(&one, "o1").await.expect("a free name");
    until_are(&other, &["o1"]).await;
    let _second = register(&other, "o2").await.expect("a name to take over");
    let closed = first.closed().await.expect("a close frame");
    assert_eq!(closed.0, 4000, "{closed:?}");
    for hub in [&one, &other] {
        until_are(hub, &["o2"]).await;
    }
    // And it is not taken back, at whichever hub.
    for hub in [&one, &other] {
        assert_eq!(register(hub, "o1").await.err(), Some(StatusCode::CONFLICT));
    }
}

/// An agent that comes to another hub is no newcomer to its name.
#[tokio::test]
async fn an_agent_that_moves_stays_before_whoever_stands_by() {
    let ([one, other], _cluster) = hubs("standby").await;
    let first = register(&one, "o1").await.expect("a free name");
    until_are(&other, &["o1"]).await;
    let _second = register(&other, "o2").await.expect("a place behind it");
    until_are(&one, &["o1", "o2"]).await;
    let _moved = register(&other, "o1").await.expect("its own name");
    until("it is at both hubs", async || {
        let clients = listed(&one, Some("ops")).await;
        clients.len() == 2 && clients[0].hubs.len() == 2
    })
    .await;
    drop(first);
    until("it is at the other hub alone", async || {
        let clients = listed(&one, Some("ops")).await;
        clients.len() == 2 && clients.iter().all(|client| client.hubs == clients[1].hubs)
    })
    .await;
    for hub in [&one, &other] {
        let clients = listed(hub, Some("ops")).await;
        let stand_by: Vec<_> =
            clients.iter().map(|client| (&*client.instance, client.standby)).collect();
        assert_eq!(stand_by, [("o1", false), ("o2", true)]);
    }
}

#[tokio::test]
async fn who_stands_by_does_so_for_agents_of_all_hubs() {
    let ([one, other], _cluster) = hubs("standby").await;
    let first = register(&one, "o1").await.expect("a free name");
    until_are(&other, &["o1"]).await;
    let _second = register(&other, "o2").await.expect("a place behind it");
    let stand_by = async |hub: &Hub| {
        let clients = listed(hub, Some("ops")).await;
        clients.iter().map(|client| client.standby).collect::<Vec<_>>()
    };
    for hub in [&one, &other] {
        until_are(hub, &["o1", "o2"]).await;
        assert_eq!(stand_by(hub).await, [false, true]);
    }
    drop(first);
    for hub in [&one, &other] {
        until_are(hub, &["o2"]).await;
        assert_eq!(stand_by(hub).await, [false]);
    }
}

/// Who else has a name alone only the directory knows.
#[tokio::test]
async fn while_the_directory_is_away_nobody_new_gets_a_name_for_itself() {
    // Nobody listens there.
    let uri = "etcd://127.0.0.1:1".parse().unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    let directory = Some(Directory { uri, address, tls: None, user_file: None });
    let peering = Peering { directory, ..Peering::default() };
    for (ownership, refused) in
        [("exclusive", Some(StatusCode::SERVICE_UNAVAILABLE)), ("takeover", None), ("share", None)]
    {
        let owner = Entry { ownership, ..agent("owner", "*") };
        let file = AuthFile::new(&[owner, caller("ops", "*")]);
        let hub = Hub::start_with(Config { peering: peering.clone(), ..file.config() }).await;
        assert_eq!(register(&hub, "o1").await.err(), refused, "{ownership}");
    }
}
