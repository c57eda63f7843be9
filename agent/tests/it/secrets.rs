//! Tokens are in no log line, not even at the loudest.

use crate::support::auth::{self, AGENT_TOKEN, CALLER_TOKEN};
use crate::support::certs::{Certs, text};
use crate::support::grpc::Caller;
use crate::support::log::Log;
use crate::support::programs::Agent;

const TRACE: [(&str, &str); 1] = [("RUST_LOG", "trace")];
const UNUSABLE: &str = "not registered; this needs a change of configuration";

#[track_caller]
fn assert_silent(log: &Log) {
    for line in log.lines() {
        for secret in [AGENT_TOKEN, CALLER_TOKEN, "made-up-token"] {
            assert!(!line.text.contains(secret), "{line:?}");
        }
    }
}

#[tokio::test]
async fn no_token_is_logged() {
    let certs = Certs::new();
    let hub = auth::hub(&certs, &TRACE).await;
    let good = certs.file("token", AGENT_TOKEN);
    let args = ["--token-file", text(&good)];
    let agent = Agent::start_with("berlin-1", &hub.uri(), &args, &TRACE);
    hub.registered("berlin-1").await;

    let bad = certs.file("bad-token", "made-up-token");
    let refused = Agent::start_with("berlin-1", &hub.uri(), &["--token-file", text(&bad)], &TRACE);
    hub.process.log.said("registration refused", &[("status", "401")]).await;
    let split = certs.file("split-token", &format!("made-up-token\n{AGENT_TOKEN}"));
    let unusable =
        Agent::start_with("berlin-1", &hub.uri(), &["--token-file", text(&split)], &TRACE);
    unusable.process.log.said(UNUSABLE, &[("error", "split-token")]).await;

    let caller = Caller::connect(hub.address).await;
    caller.check("berlin-1", "").await.expect_err("no token");
    let stranger = caller.clone().with_token("made-up-token");
    stranger.check("berlin-1", "").await.expect_err("an unknown token");
    caller.with_token(CALLER_TOKEN).check("berlin-1", "").await.unwrap();

    for loud in [&hub.process, &agent.process] {
        let lines = loud.log.lines();
        let is_loud = |level: &str| ["TRACE", "DEBUG"].contains(&level);
        assert!(lines.iter().any(|line| is_loud(&line.field("level"))), "{lines:#?}");
    }
    for program in [&hub.process, &agent.process, &refused.process, &unusable.process] {
        assert_silent(&program.log);
    }
}
