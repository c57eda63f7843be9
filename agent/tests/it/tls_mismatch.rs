//! TLS where none is expected, none where it is, and certificates that nobody vouches for.

use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tunnel::tls::{Trust, client_config};

use crate::support::certs::Certs;
use crate::support::programs::{Agent, Hub};
use crate::support::raw::{Answer, Request};
use crate::support::soon;

const FATAL: &str = "not registered; this needs a change of configuration";
const SPEAKS_TLS: &str = "This port speaks TLS: use https:// or wss://.";

/// What a TLS client sees of a port.
async fn tls_connect(address: SocketAddr, trust: &Trust) -> std::io::Result<()> {
    let connector = TlsConnector::from(client_config(trust, &[b"h2"]).unwrap());
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    soon(connector.connect(name, tcp)).await.map(drop)
}

/// What somebody sees of a port who sends `bytes` and then reads to the end. The end is an orderly one: a
/// reset could overtake the words, and on some systems takes what was not read yet with it.
async fn read_words(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    let mut words = Vec::new();
    soon(tcp.read_to_end(&mut words)).await.unwrap();
    Answer::parse(&words)
}

#[tokio::test]
async fn a_tls_client_on_a_plain_port_gets_plain_words() {
    let hub = Hub::start(&[]).await;
    tls_connect(hub.address, &Trust::Anybody).await.expect_err("no TLS");
    hub.process.log.said("connection not opened", &[("error", "a TLS client")]).await;
    let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[0; 506]].concat();
    let answer = read_words(hub.address, &hello).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("does not speak TLS"), "{answer:?}");
    assert_eq!(answer.body.lines().count(), 1, "{answer:?}");
}

#[tokio::test]
async fn http2_without_tls_on_a_tls_port_gets_a_sentence() {
    let certs = Certs::new();
    let hub = Hub::start(&certs.hub_flags()).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let answer = read_words(hub.address, preface).await;
    assert_eq!((answer.status, answer.body.trim_end()), (400, SPEAKS_TLS));
    hub.process.log.said("connection not opened", &[("error", "a client without TLS")]).await;
}

/// What an HTTP/2 client shows is what it has read, as long as the connection does not break under it.
#[tokio::test]
async fn http2_without_tls_on_a_tls_port_gets_to_read_it() {
    let certs = Certs::new();
    let hub = Hub::start(&certs.hub_flags()).await;
    for _ in 0..20 {
        let tcp = TcpStream::connect(hub.address).await.unwrap();
        let (_streams, connection) = h2::client::handshake(tcp).await.unwrap();
        let error = soon(connection).await.expect_err("no plain HTTP/2");
        assert!(!error.is_io(), "{error:?}");
    }
}

#[tokio::test]
async fn http1_without_tls_on_a_tls_port_gets_a_sentence() {
    let certs = Certs::new();
    let hub = Hub::start(&certs.hub_flags()).await;
    let answer = read_words(hub.address, &Request::plain("GET / HTTP/1.1").bytes()).await;
    assert_eq!((answer.status, answer.body.trim_end()), (400, SPEAKS_TLS));
}

#[tokio::test]
async fn an_agent_over_tls_registers() {
    let certs = Certs::new();
    let hub = Hub::start(&certs.hub_flags()).await;
    let _by_address = hub.agent("by-address", &certs.agent_flags()).await;
    let uri = format!("wss://localhost:{}", hub.address.port());
    let _by_name = Agent::start("by-name", &uri, &certs.agent_flags());
    hub.registered("by-name").await;
    let _trusting = hub.agent("trusting", &["--tls-insecure-skip-verify"]).await;
}

#[tokio::test]
async fn an_agent_without_tls_is_told_that_the_hub_speaks_it() {
    let certs = Certs::new();
    let hub = Hub::start(&certs.hub_flags()).await;
    let mut agent = Agent::start("testserver", &format!("ws://{}/ws", hub.address), &[]);
    agent.process.log.said(FATAL, &[("error", "use https:// or wss://")]).await;
    agent.process.assert_runs();
}

#[tokio::test]
async fn an_agent_with_tls_is_told_that_the_hub_does_not_speak_it() {
    let hub = Hub::start(&[]).await;
    let uri = format!("wss://{}/ws", hub.address);
    let mut agent = Agent::start("testserver", &uri, &["--tls-insecure-skip-verify"]);
    let line = agent.process.log.said("not registered", &[("error", &uri)]).await;
    assert!(line.field("error").contains("speak TLS"), "{line:?}");
    agent.process.assert_runs();
    hub.process.log.said("connection not opened", &[("error", "a TLS client")]).await;
}

#[tokio::test]
async fn a_hub_whose_certificate_nobody_vouches_for_is_not_trusted() {
    let (certs, other) = (Certs::new(), Certs::new());
    let hub = Hub::start(&certs.hub_flags()).await;
    let not_signed = format!("not signed by the CA in {} (--tls-ca-file)", other.cert.display());
    let name_it = "if it is to be trusted, name its CA with --tls-ca-file";
    for (flags, advice) in [(&[][..], name_it), (&other.agent_flags(), &not_signed)] {
        let mut agent = Agent::start("testserver", &hub.uri(), flags);
        let problem = [("error", "invalid peer certificate"), ("error", advice), ("retry_in", "s")];
        agent.process.log.said("not registered", &problem).await;
        agent.process.assert_runs();
    }
    hub.process.log.said("connection not opened", &[("error", "the TLS handshake failed")]).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_not_trusted() {
    let certs = Certs::for_hosts(&["elsewhere.example"]);
    let hub = Hub::start(&certs.hub_flags()).await;
    let agent = Agent::start("testserver", &hub.uri(), &certs.agent_flags());
    let problem = [("error", "invalid peer certificate"), ("error", "elsewhere.example")];
    agent.process.log.said("not registered", &problem).await;
}
