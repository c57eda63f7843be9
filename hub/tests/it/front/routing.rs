//! Calls without `name`: by the host that they are for, and to whoever is there for them.

use http::uri::Authority;
use http::{Method, Request, Uri};
use hub::Routing;

use crate::support::NAME;
use crate::support::agent::{Agent, config, server};
use crate::support::client::{Client, builder};
use crate::support::hub::{Hub, hub_config};
use crate::support::message::{grpc, plain};
use crate::support::secure::Certificate;
use crate::support::upstream::{Connection, Upstream};

const LIST: &str = "/hub.v1.Hub/ListClients";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

fn routing(domains: &[&str], default: Option<&str>) -> Routing {
    Routing {
        domains: domains.iter().map(|domain| domain.parse().unwrap()).collect(),
        default_name: default.map(|name| name.parse().unwrap()),
    }
}

async fn world(config_of: hub::Config, routing: Routing) -> (Hub, Agent, Connection) {
    let hub = Hub::start_with(hub::Config { routing, ..config_of }).await;
    let upstream = Upstream::listen().await;
    let agent = Agent::start(config(&hub, server(upstream.address)));
    (hub, agent, upstream.all())
}

fn at(mut request: Request<()>, host: &str) -> Request<()> {
    let mut uri = request.uri().clone().into_parts();
    uri.authority = Some(host.parse::<Authority>().unwrap());
    *request.uri_mut() = Uri::from_parts(uri).unwrap();
    request
}

async fn assert_reaches(client: &Client, request: Request<()>, session: &mut Connection) {
    let path = request.uri().path().to_owned();
    let (response, _) = client.open(request, true).await;
    let call = session.call().await;
    assert_eq!(call.request.uri().path(), path);
    call.answer();
    assert_eq!(response.await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_host_says_the_name() {
    let (hub, _agent, mut session) = world(hub_config(), routing(&["hub.test"], None)).await;
    hub.until_serving(NAME).await;
    let client = hub.client().await;
    for host in ["testserver.hub.test", "TestServer.hub.test:8080"] {
        assert_reaches(&client, at(grpc("", HEALTH), host), &mut session).await;
        assert_reaches(&client, at(plain(Method::GET, "", "/"), host), &mut session).await;
    }
    // The metadata wins, and the domain itself is the hub's.
    assert_reaches(&client, at(grpc(NAME, "/a.B/C"), "nobody.hub.test"), &mut session).await;
    let refused = client.call(at(grpc("", HEALTH), "nobody.hub.test"), b"").await.unwrap();
    assert_eq!(refused.hub_reason(), Some("unknown-name"));
    let bad = client.call(at(grpc("", HEALTH), "-.hub.test"), b"").await.unwrap();
    assert_eq!(bad.hub_reason(), Some("bad-name"));
    let own = client.call(at(grpc("", LIST), "hub.test"), b"").await.unwrap();
    assert_eq!(own.grpc_status(), Some("0"));
}

/// Of a client that says another host in its calls than it has dialled.
#[tokio::test]
async fn the_name_that_tls_was_asked_for_says_it() {
    let certificate = Certificate::new();
    let hub = Hub::start_with(hub::Config {
        routing: routing(&["localhost"], None),
        ..certificate.config()
    })
    .await;
    let tls = certificate.connect_as("nobody.localhost", hub.address, &[b"h2"]).await.expect("TLS");
    let client = Client::handshake(tls, &builder()).await;
    let refused = client.call(grpc("", LIST), b"").await.unwrap();
    assert_eq!(refused.hub_reason(), Some("unknown-name"));
}

#[tokio::test]
async fn a_default_gets_what_is_not_for_the_hub_alone() {
    let (hub, _agent, mut session) = world(hub_config(), routing(&[], Some(NAME))).await;
    let client = hub.client().await;
    crate::support::until("an agent", async || hub.metric("hub_agents").await == 1.0).await;
    for path in ["/a.B/C", HEALTH, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"] {
        assert_reaches(&client, grpc("", path), &mut session).await;
    }
    let own = client.call(grpc("", LIST), b"").await.unwrap();
    assert_eq!(own.grpc_status(), Some("0"));
    let other = client.call(grpc("nobody", "/a.B/C"), b"").await.unwrap();
    assert_eq!(other.hub_reason(), Some("unknown-name"));
}
