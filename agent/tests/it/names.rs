//! Several names of one agent, each with what is behind it.

use crate::support::fake::{Then, answers};
use crate::support::grpc::{Caller, reason};
use crate::support::process::{Process, command};
use crate::support::programs::{Agent, Hub};
use crate::support::server::{HELD, Upstream};
use crate::support::{binaries, soon};

#[tokio::test]
async fn each_name_leads_to_its_own_server_on_one_session() {
    let hub = Hub::start(&[]).await;
    let (mut one, mut other) = (Upstream::start().await, Upstream::start().await);
    let more = ["--upstream", &one.address, "--name", "other", "--upstream", &other.address];
    // The third has the services of the agent itself.
    let more = [&more[..], &["--name", "third", "--sessions", "1"]].concat();
    let agent = hub.agent("one", &more).await;
    for name in ["other", "third"] {
        hub.registered(name).await;
    }
    let line = agent.process.log.said("registered", &[]).await;
    assert_eq!(line.field("name"), "one, other, third");
    let sessions: Vec<_> = hub.process.log.with("registered");
    let sessions: Vec<_> = sessions.iter().map(|line| line.field("session")).collect();
    assert!(sessions.len() == 3 && sessions.iter().all(|id| *id == sessions[0]), "{sessions:?}");
    let caller = Caller::connect(hub.address).await;
    let mut held = Vec::new();
    for (name, upstream) in [("one", &mut one), ("other", &mut other)] {
        let caller = Caller::connect(hub.address).await;
        held.push(tokio::spawn(async move { caller.check(name, HELD).await }));
        upstream.arrival().await;
        upstream.release();
    }
    for held in held {
        soon(held).await.unwrap().unwrap();
    }
    caller.check("third", "").await.unwrap();
    assert_eq!(agent.stop().await.code(), 0);
    for name in ["one", "other", "third"] {
        hub.process.log.said("unregistered", &[("name", name)]).await;
    }
}

#[tokio::test]
async fn names_and_servers_may_come_from_the_environment() {
    let hub = Hub::start(&[]).await;
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    let mut command = command(binaries::agent(), ["--hub-uri", &hub.uri()].into_iter());
    let upstreams = format!("{},{}", one.address, other.address);
    command.envs([("AGENT_NAME", "one,other"), ("AGENT_UPSTREAM", &upstreams)]);
    let _agent = Process::start(command);
    let caller = Caller::connect(hub.address).await;
    for name in ["one", "other"] {
        hub.registered(name).await;
        caller.check(name, "").await.unwrap();
    }
}

/// Told at both ends, with what to do; and the other name serves all the while.
#[tokio::test]
async fn a_server_that_speaks_no_http2_is_told_of_by_its_name() {
    let hub = Hub::start(&[]).await;
    let (good, bad) =
        (Upstream::start().await, answers("HTTP/1.1 400 \r\n\r\n", Then::Close).await);
    let bad = bad.to_string();
    let more = ["--upstream", &good.address, "--name", "bad", "--upstream", &bad];
    let agent: Agent = hub.agent("good", &more).await;
    let why = [("name", "bad"), ("error", "the upstream does not speak HTTP/2")];
    hub.process.log.said("upstream not of use", &why).await;
    let sentence = format!(
        "the upstream does not speak HTTP/2; if it speaks TLS, say --upstream https://{bad}; this needs a change of configuration"
    );
    agent.process.log.said(&sentence, &[("name", "bad"), ("level", "ERROR")]).await;
    let caller = Caller::connect(hub.address).await;
    caller.check("good", "").await.unwrap();
    let status = caller.check("bad", "").await.unwrap_err();
    assert_eq!(reason(&status), Some("upstream-unreachable"));
    assert!(agent.process.log.with("disconnected").is_empty());
}
