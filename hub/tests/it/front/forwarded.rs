//! Behind a proxy that says whose requests it passes on.

use http::{HeaderValue, Request};

use crate::services::clients::list;
use crate::support::admin::exchange;
use crate::support::client::answer;
use crate::support::hub::{Hub, hub_config};
use crate::support::message::grpc;
use crate::support::raw_agent::RawAgent;
use crate::support::registrations::exhaust;
use crate::support::world::World;
use crate::support::{NAME, until};

/// Of a hub that believes proxies on this machine.
fn behind(networks: &[&str]) -> hub::Config {
    let networks = networks.iter().map(|network| network.parse().unwrap());
    hub::Config { trusted_proxies: networks.collect(), ..hub_config() }
}

fn of(mut request: Request<()>, address: &str) -> Request<()> {
    request.headers_mut().insert("x-forwarded-for", HeaderValue::from_str(address).unwrap());
    request
}

#[tokio::test]
async fn an_agent_is_listed_where_it_is() {
    for (config, address) in [(behind(&["127.0.0.1"]), Some("192.0.2.7:0")), (hub_config(), None)] {
        let hub = Hub::start_with(config).await;
        let headers = [
            ("hub-name", NAME),
            ("hub-instance", "i"),
            ("forwarded", "for=198.51.100.1, for=\"192.0.2.7:4660\""),
        ];
        let mut agent = RawAgent::connect(&hub, &headers).await.expect("an upgrade");
        agent.settings().await;
        until("an agent", async || hub.metric("hub_agents").await == 1.0).await;
        let told = list(&hub).await[0].remote_address.clone();
        match address {
            Some(address) => assert_eq!(told, address),
            None => assert!(told.starts_with("127.0.0.1:"), "{told}"),
        }
    }
}

/// Two callers on a proxy's connection are told apart, unless its word is not taken.
#[tokio::test]
async fn each_address_has_a_lane_of_its_own() {
    for (config, apart) in [(behind(&["127.0.0.1"]), true), (behind(&["10.0.0.0/8"]), false)] {
        let mut world = World::start_with(config, h2::server::Builder::new()).await;
        for address in ["192.0.2.1", "192.0.2.2"] {
            let (response, _) = world.client.open(of(grpc(NAME, "/a.B/C"), address), true).await;
            world.session.call().await.answer();
            answer(response).await.expect("an answer");
        }
        let lanes = if apart { 2 } else { 1 };
        assert_eq!(world.session.begun(), lanes, "the probe becomes the first");
    }
}

#[tokio::test]
async fn each_address_has_limits_of_its_own() {
    let hub = Hub::start_with(behind(&["127.0.0.1"])).await;
    let asks = |address: &str| {
        let offer = tunnel::wire::SUBPROTOCOL;
        format!(
            "GET /ws HTTP/1.1\r\nHost: hub\r\nX-Forwarded-For: {address}\r\n\
             Sec-WebSocket-Protocol: {offer}\r\n\r\n"
        )
    };
    exhaust(hub.address, &asks("192.0.2.7")).await;
    let other = exchange(hub.address, &asks("203.0.113.9")).await;
    assert!(other.starts_with("HTTP/1.1 426"), "{other}");
}
