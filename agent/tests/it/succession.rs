//! Sessions that follow each other: because the hub drains, because they grow old, or because another agent has come.

use rustix::process::Signal;
use tunnel::wire::{Control, HUB_SLOT};

use crate::support::fake_hub::FakeHub;
use crate::support::grpc::Caller;
use crate::support::programs::{Agent, Hub};
use crate::support::server::Upstream;
use crate::support::soon;

/// An agent with one session.
fn agent(hub: &FakeHub, args: &[&str]) -> Agent {
    Agent::start("testserver", &hub.uri(), &[&["--sessions", "1"], args].concat())
}

#[tokio::test]
async fn a_hub_that_drains_hears_when_the_agent_has_moved() {
    let hub = FakeHub::start().await;
    let agent = agent(&hub, &[]);
    let mut first = hub.session().await;
    first.say(Control::Registered).await;
    first.say(Control::Drain).await;
    // An answer to the dial does not tell that anybody is served there.
    drop(hub.session().await);
    let mut third = hub.session().await;
    first.assert_silent().await;
    third.say(Control::Registered).await;
    assert_eq!(first.said().await, Control::Moved);
    agent.process.signal(Signal::TERM);
    assert_eq!(first.said().await, Control::Drain);
    assert_eq!(third.said().await, Control::Drain);
}

#[tokio::test]
async fn an_old_session_takes_calls_until_its_successor_does() {
    let hub = FakeHub::start().await;
    let agent = agent(&hub, &["--max-session-age", "1s"]);
    let mut first = hub.session().await;
    first.say(Control::Registered).await;
    // To the hub they are two, or it would end the first for the second.
    let mut second = hub.session().await;
    assert_ne!(first.headers[HUB_SLOT], second.headers[HUB_SLOT]);
    first.assert_silent().await;
    second.say(Control::Registered).await;
    assert_eq!(first.said().await, Control::Drain);
    let third = hub.session().await;
    assert_eq!(first.headers[HUB_SLOT], third.headers[HUB_SLOT]);
    drop(third);
    // That one was lost, perhaps unknown to the hub: there is no other beside it.
    let fourth = hub.session().await;
    assert_eq!(first.headers[HUB_SLOT], fourth.headers[HUB_SLOT]);
    agent.process.signal(Signal::TERM);
    assert_eq!(second.said().await, Control::Drain);
}

#[tokio::test]
async fn no_call_notices_that_sessions_are_replaced() {
    let hub = Hub::start(&[]).await;
    let upstream = Upstream::start().await;
    let args = ["--upstream", &upstream.address, "--sessions", "1", "--max-session-age", "1s"];
    let agent = hub.agent("testserver", &args).await;
    let caller = Caller::connect(hub.address).await;
    let calls = async {
        while agent.process.log.with("registered").len() < 4 {
            caller.check("testserver", "").await.unwrap();
        }
    };
    soon(calls).await;
    let lost = agent.process.log.with("disconnected");
    assert!(lost.iter().all(|line| line.field("ended").contains("1000: drained")), "{lost:#?}");
    assert!(!lost.is_empty());
}

#[tokio::test]
async fn whoever_has_taken_the_name_over_is_not_fought() {
    let hub = FakeHub::start().await;
    let agent = agent(&hub, &[]);
    let mut session = hub.session().await;
    session.say(Control::Registered).await;
    session.close(4000, "taken over").await;
    let log = &agent.process.log;
    log.said("another agent has taken the name over", &[("level", "WARN")]).await;
    let line = log.said("dialling again", &[]).await;
    let seconds: f64 = line.field("retry_in").trim_end_matches('s').parse().unwrap();
    assert!((30.0..=60.0).contains(&seconds), "{line:?}");
}
