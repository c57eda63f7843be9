//! The way to the hub through a proxy, and past a gate.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::certs::{Certs, text};
use crate::support::fake_hub::FakeHub;
use crate::support::grpc::Caller;
use crate::support::programs::{Agent, Hub, run_agent};

const FATAL: &str = "not registered; this needs a change of configuration";
/// me:it
const CREDENTIALS: &str = "Proxy-Authorization: Basic bWU6aXQ=";

/// An HTTP proxy on any port, which lets in who says user and password.
async fn proxy() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(pass_on(tcp));
        }
    });
    address
}

async fn pass_on(tcp: TcpStream) -> std::io::Result<()> {
    let mut io = BufReader::new(tcp);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        io.read_line(&mut line).await?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let to = head[0].strip_prefix("CONNECT ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let answer = match to {
        None => "HTTP/1.1 400 Bad Request\r\n\r\n",
        Some(_) if head.iter().any(|line| line == CREDENTIALS) => "HTTP/1.1 200 OK\r\n\r\n",
        Some(_) => "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    };
    io.write_all(answer.as_bytes()).await?;
    if answer.contains(" 200 ") {
        let mut to = TcpStream::connect(to.unwrap_or_default()).await?;
        copy_bidirectional(&mut io, &mut to).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_registers_through_a_proxy() {
    let (certs, proxy) = (Certs::new(), proxy().await);
    let tls = certs.hub_flags();
    for hub in [Hub::start(&[]).await, Hub::start(&tls).await] {
        let through = format!("http://me:it@{proxy}");
        let args = [&["--proxy", &through][..], &certs.agent_flags()].concat();
        let agent = hub.agent("testserver", &args).await;
        let told = [("proxy", &*format!("http://{proxy}"))];
        agent.process.log.said("a proxy leads to the hub", &told).await;
        if !hub.uri().starts_with("wss") {
            Caller::connect(hub.address).await.check("testserver", "").await.unwrap();
        }
        assert!(agent.process.log.lines().iter().all(|line| !line.text.contains("me:it")));
    }
}

#[tokio::test]
async fn a_proxy_that_wants_credentials_says_so() {
    let (hub, proxy) = (Hub::start(&[]).await, proxy().await);
    let through = format!("http://{proxy}");
    let agent = Agent::start("testserver", &hub.uri(), &["--proxy", &through]);
    let says = "wants to know who is there: say http://user:password@host:port";
    agent.process.log.said(FATAL, &[("error", says)]).await;
}

/// Also where the environment says otherwise: `AGENT_PROXY`, and `none`.
#[tokio::test]
async fn the_environment_has_a_proxy_for_all_who_are_elsewhere() {
    let hub = Hub::start(&[]).await;
    let nobody = ("HTTPS_PROXY", "http://127.0.0.1:1");
    let _here = Agent::start_with("here", &hub.uri(), &[], &[nobody]);
    hub.registered("here").await;
    let elsewhere = "wss://hub.invalid/ws";
    let through = Agent::start_with("testserver", elsewhere, &[], &[nobody]);
    let says = "cannot connect to the proxy http://127.0.0.1:1: ";
    through.process.log.said("not registered", &[("error", says)]).await;
    for (args, vars) in [
        (&["--proxy", "none"][..], &[nobody][..]),
        (&[], &[nobody, ("AGENT_PROXY", "none")]),
        (&[], &[nobody, ("NO_PROXY", "*")]),
    ] {
        let straight = Agent::start_with("testserver", elsewhere, args, vars);
        let says = [("error", "hub wss://hub.invalid/ws: cannot connect: ")];
        straight.process.log.said("not registered", &says).await;
    }
}

#[tokio::test]
async fn a_gate_is_told_what_it_wants_to_hear_at_each_dial() {
    let (hub, certs) = (FakeHub::start().await, Certs::new());
    let file = certs.file("headers", "CF-Access-Client-Secret: one\n");
    let args = ["--hub-header", "CF-Access-Client-Id: me", "--hub-headers-file", text(&file)];
    let _agent = Agent::start("testserver", &hub.uri(), &args);
    let session = hub.session().await;
    assert_eq!(session.headers["cf-access-client-id"], "me");
    assert_eq!(session.headers["cf-access-client-secret"], "one");
    certs.file("headers", "CF-Access-Client-Secret: two\n");
    drop(session);
    assert_eq!(hub.session().await.headers["cf-access-client-secret"], "two");
    certs.file("headers", "Hub-Token: mine\n");
    let ended = run_agent(&[&["--name", "a"], &args[..]].concat()).await;
    assert!(ended.failure().contains("line 1: hub-token is the agent's own to say"), "{ended:#?}");
}

/// So that a new token needs no restart.
#[tokio::test]
async fn a_token_is_read_at_each_dial() {
    let (hub, certs) = (FakeHub::start().await, Certs::new());
    let file = certs.file("token", "one\n");
    let _agent = Agent::start("testserver", &hub.uri(), &["--token-file", text(&file)]);
    let session = hub.session().await;
    assert_eq!(session.headers["hub-token"], "one");
    certs.file("token", "two\n");
    drop(session);
    assert_eq!(hub.session().await.headers["hub-token"], "two");
}
