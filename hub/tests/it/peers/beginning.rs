//! A hub that has just started, and others.

use hub::limits::BEGINNING;
use hub::{Config, Directory, Peering};

use tokio::time::Instant;

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

/// It is not yet, if it was asked within the time that it has for that.
async fn assert_waits(hub: &Hub, began: Instant, why: &str) {
    let told = readiness(hub).await;
    assert!(told == waits() || began.elapsed() >= BEGINNING, "{told:?}: {why}");
}

/// Waits until it is, and returns when it was asked last and was not.
async fn until_ready(hub: &Hub) -> Instant {
    let mut not_yet = Instant::now();
    until("it is ready", async || {
        let asked = Instant::now();
        let is_ready = readiness(hub).await == (200, "ready\n".to_owned());
        if !is_ready {
            not_yet = asked;
        }
        is_ready
    })
    .await;
    not_yet
}

/// Whoever is sent to it finds what the others have.
#[tokio::test]
async fn a_hub_that_starts_is_ready_once_it_knows_all_names() {
    let (mut cluster, began) = (Cluster::new(2).await, Instant::now());
    let first = cluster.start(0).await;
    assert_waits(&first, began, "nobody answers at the other's port").await;
    let upstream = Upstream::listen().await;
    let _agent = Agent::start(config(&first, server(upstream.address)));
    first.until_serving(NAME).await;
    let began = Instant::now();
    let second = cluster.start(1).await;
    // And not because it has waited for long enough.
    assert!(until_ready(&second).await - began < BEGINNING * 4 / 5);
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
        let began = Instant::now();
        let hub = Hub::start_with(Config { peering, ..hub_config() }).await;
        assert_waits(&hub, began, "there is none").await;
        until_ready(&hub).await;
    }
}
