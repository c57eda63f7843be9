//! TLS on the hub's port, at the upstream, and where nobody expects it.

use http::HeaderValue;
use http::uri::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::admin::exchange;
use crate::support::agent::{Agent, config, exposed, exposing, server};
use crate::support::client::{Client, answer, builder};
use crate::support::hub::Hub;
use crate::support::message::{grpc, message};
use crate::support::secure::Certificate;
use crate::support::upstream::{Connection, Upstream};
use crate::support::world::World;
use crate::support::{NAME, until, within};

/// A hub with TLS, and an agent that trusts its certificate.
struct SecureWorld {
    certificate: Certificate,
    hub: Hub,
    session: Connection,
    _agent: Agent,
}

impl SecureWorld {
    async fn start() -> Self {
        let certificate = Certificate::new();
        let hub = Hub::start_with(certificate.config()).await;
        let upstream = Upstream::listen().await;
        let agent = Agent::start(agent::Config {
            hubs: format!("wss://localhost:{}/ws", hub.address.port())
                .parse::<agent::HubUri>()
                .unwrap()
                .into(),
            trust: certificate.trust(),
            ..config(&hub, server(upstream.address))
        });
        let session = upstream.all();
        until("one session", async || hub.metric("hub_sessions").await == 1.0).await;
        Self { certificate, hub, session, _agent: agent }
    }

    async fn client(&self, alpn: &[&[u8]]) -> Client {
        let tls = self.certificate.connect(self.hub.address, alpn).await.expect("TLS");
        assert_eq!(tls.get_ref().1.alpn_protocol(), alpn.first().copied());
        Client::handshake(tls, &builder()).await
    }
}

#[tokio::test]
async fn a_call_over_tls_to_an_agent_over_tls() {
    let mut world = SecureWorld::start().await;
    // With ALPN, and without, where the first bytes tell.
    for alpn in [&[&b"h2"[..]][..], &[]] {
        let client = world.client(alpn).await;
        let (response, mut sending) = client.open(grpc(NAME, "/a.B/C"), false).await;
        sending.send_data(message(b"ping"), true).unwrap();
        let mut call = world.session.call().await;
        assert_eq!(call.request.uri().scheme_str(), Some("http"), "what the upstream speaks");
        assert_eq!(call.body().await.0, message(b"ping"));
        call.answer();
        assert_eq!(answer(response).await.expect("an answer").body, message(b"pong"));
    }
}

#[tokio::test]
async fn http1_over_tls_reaches_the_same_port() {
    let world = SecureWorld::start().await;
    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let mut tls = world.certificate.connect(world.hub.address, alpn).await.expect("TLS");
        tls.write_all(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // The hub may hang up without a closing alert.
        _ = within("an answer", tls.read_to_end(&mut answer)).await;
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_speaks_no_common_protocol_is_refused() {
    let world = SecureWorld::start().await;
    world.certificate.connect(world.hub.address, &[b"spdy/3"]).await.expect_err("no ALPN");
    world.client(&[b"h2"]).await.request(grpc("nobody", "/a.B/C")).await.expect("an answer");
}

/// Who speaks plainly to a port with TLS is told so in plain HTTP/1.1, which all kinds of client show.
#[tokio::test]
async fn a_plain_client_on_a_port_with_tls() {
    const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let world = SecureWorld::start().await;
    for said in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", PREFACE] {
        let answer = exchange(world.hub.address, said).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("https://"), "{answer}");
    }
    let tcp = TcpStream::connect(world.hub.address).await.unwrap();
    let (mut streams, connection) = h2::client::handshake(tcp).await.expect("nothing heard yet");
    let (response, _sending) = streams.send_request(grpc(NAME, "/a.B/C"), true).unwrap();
    let ended = tokio::spawn(connection);
    within("an error", response).await.expect_err("no HTTP/2");
    within("the end", ended).await.unwrap().expect_err("no HTTP/2");
    let line = "hub_handshake_failures_total{stage=\"missing-tls\"}";
    until("counted", async || world.hub.metric(line).await == 3.0).await;
}

#[tokio::test]
async fn a_tls_client_on_a_port_without() {
    let hub = Hub::start().await;
    let certificate = Certificate::new();
    certificate.connect(hub.address, &[b"h2"]).await.expect_err("no TLS");
    // A ClientHello's first bytes.
    let answer = exchange(hub.address, "\x16\x03\x01\x02\x00\x01").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("--tls"), "{answer}");
    let line = "hub_handshake_failures_total{stage=\"unexpected-tls\"}";
    until("counted", async || hub.metric(line).await == 2.0).await;
}

/// The upstream sees its own scheme, as ASP.NET's Kestrel wants it, and the authority asked for.
#[tokio::test]
async fn an_upstream_with_tls() {
    let certificate = Certificate::new();
    let hub = Hub::start().await;
    let tls = certificate.server(&[b"h2"]).into();
    let mut upstream = Upstream::listen_with(h2::server::Builder::new(), Some(tls)).await;
    let address = format!("https://localhost:{}", upstream.address.port()).parse().unwrap();
    let exposed = agent::Exposed {
        tls: agent::UpstreamTls { trust: certificate.trust(), ..Default::default() },
        authority: Some(Authority::from_static("inner.test:443")),
        ..exposed(agent::Upstream::Server(address))
    };
    let _agent = Agent::start(exposing(&hub, exposed));
    let mut session = upstream.connection().await;
    hub.until_serving(NAME).await;
    let client = hub.client().await;
    let mut request = grpc(NAME, "/a.B/C");
    request.headers_mut().insert("host", HeaderValue::from_static("hub.test"));
    let (response, _sending) = client.open(request, true).await;
    let call = session.call().await;
    assert_eq!(call.request.uri().to_string(), "https://inner.test:443/a.B/C");
    assert_eq!(call.header("host"), None);
    call.answer();
    assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
}

#[tokio::test]
async fn without_an_authority_of_its_own_the_clients_is_kept() {
    let mut world = World::start().await;
    let (_response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
    let call = world.session.call().await;
    assert_eq!(call.request.uri().authority().unwrap(), "hub.test");
}
