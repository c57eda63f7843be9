//! TLS towards an upstream: what is said of the hub does not hold for it, nor the reverse.

use std::sync::Arc;

use agent::{Exposed, HubUri, UpstreamTls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tunnel::tls::Identity;

use crate::support::agent::{Agent, config, exposed, exposing, server};
use crate::support::hub::Hub;
use crate::support::secure::Certificate;
use crate::support::upstream::Upstream;
use crate::support::{NAME, until, within};

/// An upstream over TLS at `host`, and an agent to whom this is said of it, at a hub over TLS.
struct World {
    hub: Hub,
    upstream: Upstream,
    _agent: Agent,
}

impl World {
    async fn start(secrets: Arc<ServerConfig>, host: &str, tls: UpstreamTls) -> Self {
        let own = Certificate::new();
        let hub = Hub::start_with(own.config()).await;
        let acceptor = TlsAcceptor::from(secrets);
        let upstream = Upstream::listen_with(h2::server::Builder::new(), Some(acceptor)).await;
        let address = format!("https://{host}:{}", upstream.address.port()).parse().unwrap();
        let _agent = Agent::start(agent::Config {
            hubs: wss(hub.address.port()).into(),
            trust: own.trust(),
            ..exposing(&hub, Exposed { tls, ..exposed(agent::Upstream::Server(address)) })
        });
        until("a session", async || hub.metric("hub_sessions").await == 1.0).await;
        Self { hub, upstream, _agent }
    }

    /// The upstream speaks HTTP/2 with the hub.
    async fn reaches_it(mut self) {
        self.upstream.connection().await;
        until("the agent", async || self.hub.metric("hub_agents").await == 1.0).await;
    }
}

fn wss(port: u16) -> HubUri {
    format!("wss://localhost:{port}/ws").parse().unwrap()
}

fn trusts(certificate: &Certificate) -> UpstreamTls {
    UpstreamTls { trust: certificate.trust(), ..UpstreamTls::default() }
}

#[tokio::test]
async fn who_vouches_for_the_hub_need_not_vouch_for_the_upstream() {
    let certificate = Certificate::new();
    World::start(certificate.server(&[b"h2"]), "localhost", trusts(&certificate))
        .await
        .reaches_it()
        .await;
}

#[tokio::test]
async fn it_may_be_dialled_by_another_name_than_its_certificate_has() {
    let certificate = Certificate::new();
    let name = Some("localhost".try_into().unwrap());
    let tls = UpstreamTls { server_name: name, ..trusts(&certificate) };
    World::start(certificate.server(&[b"h2"]), "127.0.0.1", tls).await.reaches_it().await;
}

#[tokio::test]
async fn it_need_not_know_alpn_where_that_is_said() {
    let certificate = Certificate::new();
    let tls = UpstreamTls { has_alpn: false, ..trusts(&certificate) };
    World::start(certificate.server(&[]), "localhost", tls).await.reaches_it().await;
}

/// A certificate of the agent's own, and its key.
fn identity(certificate: &Certificate) -> Identity {
    Identity { cert: certificate.cert.clone(), key: certificate.key.clone() }
}

/// Of a server that lets in nobody but who shows this certificate.
fn wants(shown: &Certificate, own: &Certificate, alpn: &[u8]) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&shown.cert).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let chain = vec![CertificateDer::from_pem_file(&own.cert).unwrap()];
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&own.key).unwrap())
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

#[tokio::test]
async fn an_upstream_that_asks_is_shown_a_certificate() {
    let (shown, own) = (Certificate::new(), Certificate::new());
    let secrets = wants(&shown, &own, b"h2");
    let tls = UpstreamTls { identity: Some(identity(&shown)), ..trusts(&own) };
    World::start(secrets, "localhost", tls).await.reaches_it().await;
}

/// What is in front of a hub may ask for one.
#[tokio::test]
async fn a_hub_that_asks_is_shown_another() {
    let (shown, own) = (Certificate::new(), Certificate::new());
    let front = TlsAcceptor::from(wants(&shown, &own, b"http/1.1"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hub = Hub::start().await;
    let upstream = Upstream::listen().await;
    let (address, port) = (upstream.address, listener.local_addr().unwrap().port());
    let _agent = Agent::start(agent::Config {
        hubs: wss(port).into(),
        trust: own.trust(),
        identity: Some(identity(&shown)),
        ..config(&hub, server(address))
    });
    let passes = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut outer = front.accept(tcp).await.expect("a certificate that is known");
        let mut inner = tokio::net::TcpStream::connect(hub.address).await.unwrap();
        let there = hub.until_serving(NAME);
        tokio::select! {
            ended = tokio::io::copy_bidirectional(&mut outer, &mut inner) => panic!("{ended:?}"),
            () = there => {}
        }
    });
    within("a registration", passes).await.expect("it is there");
}
