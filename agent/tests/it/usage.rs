//! The command line and the environment, as typed.

use crate::support::binaries;
use crate::support::grpc::Caller;
use crate::support::log::Log;
use crate::support::process::{Ended, Process, command};
use crate::support::programs::{ANY_PORT, Agent, Hub, run_agent, run_hub};

/// Exit code 64, nothing on standard output, and an error that says what is wrong.
#[track_caller]
fn assert_bad_usage(ended: &Ended, word: &str) {
    assert_eq!((ended.code(), ended.stdout.as_str()), (64, ""), "{ended:#?}");
    let errors = ended.stderr.iter().filter(|line| line.text.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{ended:#?}");
    assert!(ended.text().contains(word), "no {word:?}: {ended:#?}");
}

#[tokio::test]
async fn bad_usage_of_the_hub_is_64() {
    for (args, word) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["stray"], "stray"),
        (&["serve", "stray"], "stray"),
        (&["serve", "serve"], "serve"),
        (&["--listen"], "--listen"),
        (&["--listen", "8080"], "host:port"),
        (&["--admin-listen", "nowhere"], "host:port"),
        (&["--keepalive-interval", "soon"], "--keepalive-interval"),
        (&["--keepalive-timeout", "0s"], "longer than 0"),
        (&["--drain-timeout", "30"], "--drain-timeout"),
        (&["--workers", "100000"], "--workers"),
        (&["--log-format", "xml"], "text or json"),
    ] {
        assert_bad_usage(&run_hub(args).await, word);
    }
}

#[tokio::test]
async fn bad_usage_of_the_agent_is_64() {
    for (args, word) in [
        (&[][..], "--name"),
        (&["serve"], "--name"),
        (&["a", "--nonsense"], "--nonsense"),
        (&["a", "b"], "b"),
        (&["--name", "No"], "a-z"),
        (&["a", "--hub-uri", "http://hub"], "ws://"),
        (&["a", "--upstream", "50051"], "host:port"),
        (&["a", "--sessions", "65"], "1..=64"),
        (&["a", "--admin-listen", "9090"], "host:port"),
        (&["a", "--label", "zone"], "KEY=VALUE"),
        (&["a", "--authority", "a b"], "--authority"),
        (&["a", "--fluentd-command", "sh 'x"], "quote"),
        (&["serve", "a", "--upstream", ":1", "--fluentd-command", "x"], "cannot be used with"),
    ] {
        assert_bad_usage(&run_agent(args).await, word);
    }
}

#[tokio::test]
async fn tls_needs_a_certificate_and_a_key() {
    assert_bad_usage(&run_hub(&["--tls"]).await, "--tls-cert-file");
    assert_bad_usage(&run_hub(&["--tls", "--tls-cert-file", "c"]).await, "--tls-key-file");
    assert_bad_usage(&run_hub(&["--tls", "--tls-key-file", "k"]).await, "--tls-cert-file");
}

#[tokio::test]
async fn a_bad_variable_is_bad_usage() {
    let mut hub = command(binaries::hub(), []);
    hub.env("HUB_LISTEN", "8080");
    assert_bad_usage(&Process::start(hub).end().await, "host:port");
    let mut agent = command(binaries::agent(), []);
    agent.env("AGENT_NAME", "No");
    assert_bad_usage(&Process::start(agent).end().await, "a-z");
}

#[tokio::test]
async fn a_log_level_that_is_none_is_told() {
    let hub = Hub::start_at(ANY_PORT, &[], &[("RUST_LOG", "hub=debgu")]).await;
    let mistake = [("level", "WARN"), ("error", "level")];
    hub.process.log.said("RUST_LOG cannot be used: logging as with RUST_LOG=info", &mistake).await;
}

#[tokio::test]
async fn serve_may_be_said() {
    let args = ["serve", "--listen", ANY_PORT, "--admin-listen", "none", "--log-format", "json"];
    let hub = Process::start(command(binaries::hub(), args));
    let address = listening(&hub.log).await;
    let uri = format!("ws://{address}/ws");
    let args = ["serve", "testserver", "--hub-uri", &uri, "--log-format", "json"];
    let agent = Process::start(command(binaries::agent(), args));
    agent.log.said("registered", &[("name", "testserver")]).await;
    assert_eq!(hub.log.with("admin listening").len(), 0);
}

#[tokio::test]
async fn the_environment_says_what_flags_say() {
    let mut hub = command(binaries::hub(), []);
    hub.envs([("HUB_LISTEN", ANY_PORT), ("HUB_ADMIN_LISTEN", "none"), ("HUB_WORKERS", "3")]);
    hub.envs([("HUB_LOG_FORMAT", "json"), ("HUB_KEEPALIVE_INTERVAL", "1s")]);
    let hub = Process::start(hub);
    let address = listening(&hub.log).await;
    assert_eq!(hub.log.with("listening")[0].field("workers"), "3");

    let mut agent = command(binaries::agent(), []);
    agent.envs([("AGENT_NAME", "by-env"), ("AGENT_HUB_URI", &format!("ws://{address}/ws"))]);
    agent.envs([("AGENT_LOG_FORMAT", "json"), ("AGENT_SESSIONS", "1")]);
    agent.env("AGENT_LABELS", "zone=eu,rack=7");
    let agent = Process::start(agent);
    agent.log.said("registered", &[("name", "by-env"), ("slot", "0")]).await;
    assert!(Caller::connect(address.parse().unwrap()).await.is_registered("by-env").await);
}

#[tokio::test]
async fn what_is_typed_wins_over_the_environment() {
    let hub = Hub::start_at(ANY_PORT, &[], &[("HUB_LISTEN", "127.0.0.1:1")]).await;
    assert_ne!(hub.address.port(), 1);
    let env = [("AGENT_NAME", "by-env")];
    let _typed = Agent::start_with("by-flag", &hub.uri(), &[], &env);
    hub.registered("by-flag").await;

    let args = ["serve", "by-argument", "--hub-uri", &hub.uri(), "--log-format", "json"];
    let mut argument = command(binaries::agent(), args);
    argument.env("AGENT_NAME", "by-env");
    let argument = Process::start(argument);
    argument.log.said("registered", &[("name", "by-argument")]).await;
}

#[tokio::test]
async fn a_switch_in_the_environment_can_be_off() {
    let off = [("HUB_TLS", "false")];
    let hub = Hub::start_at(ANY_PORT, &[], &off).await;
    assert_eq!(hub.process.log.with("listening")[0].field("tls"), "false");
}

async fn listening(log: &Log) -> String {
    log.said("listening", &[]).await.field("address")
}

/// systemd would write it down at each start.
#[tokio::test]
async fn what_may_be_a_password_is_not_shown() {
    for args in [["--proxy", "https://me:secret@proxy:443"], ["--hub-header", "Key secret"]] {
        let ended = run_agent(&[&["--name", "a"], &args[..]].concat()).await;
        let said = ended.text();
        assert!(said.contains(args[0]) && !said.contains("secret"), "{said}");
        assert_eq!(ended.code(), 64);
    }
}
