//! A hub that has just started, and others.

use hub::{Config, Directory, Peering};

use crate::support::admin::get;
use crate::support::agent::{Agent, config, server};
use crate::support::cluster::{Cluster, listed};
use crate::support::hub::{Hub, hub_config};
use crate::support::upstream::Upstream;
use crate::support::{NAME, until};

async fn readiness(hub: &Hub) -> (u16, String) {
    get(hub.admin, "/readyz").await
}

fn waits() -> (u16, String) {
    (503, "waiting for the other hubs\n".to_owned())
}

async fn until_ready(hub: &Hub) {
    until("it is ready", async || readiness(hub).await == (200, "ready\n".to_owned())).await;
}

/// Whoever is sent to it finds what the others have.
#[tokio::test]
async fn a_hub_that_starts_is_ready_once_it_knows_all_names() {
    let mut cluster = Cluster::new(2).await;
    let first = cluster.start(0).await;
    assert_eq!(readiness(&first).await, waits(), "nobody answers at the other's port");
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&first, server(upstream.address)));
    first.until_serving(NAME).await;
    let second = cluster.start(1).await;
    until_ready(&second).await;
    assert_eq!(listed(&second, None).await.len(), 1);
    until_ready(&first).await;
}

/// Not for long: it has agents of its own.
#[tokio::test]
async fn a_hub_that_finds_no_other_is_ready_all_the_same() {
    // Nobody listens there.
    let uri = "etcd://127.0.0.1:1".parse().unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    let directory = Some(Directory { uri, address, tls: None, user_file: None });
    let away = Peering { directory, ..Peering::default() };
    let nobody = Peering { peers: vec!["127.0.0.1:1".parse().unwrap()], ..Peering::default() };
    for peering in [away, nobody] {
        let hub = Hub::start_with(Config { peering, ..hub_config() }).await;
        assert_eq!(readiness(&hub).await, waits());
        until_ready(&hub).await;
    }
}
