//! `--help` and `--version`: no failures, and complete.

use crate::support::process::Ended;
use crate::support::programs::{run_agent, run_hub};

const HUB_FLAGS: &str = "--listen --admin-listen --tls --tls-cert-file --tls-key-file --auth-file \
    --keepalive-interval --keepalive-timeout --drain-timeout --shutdown-delay --park-timeout --proxy-protocol --max-connection-age --max-connection-age-grace --reuse-port \
    --workers --max-connections --max-calls --lane-memory --log-format --log-filter";
const AGENT_FLAGS: &str = "--name --hub-uri --upstream --token-file --tls-ca-file \
    --tls-insecure-skip-verify --sessions --keepalive-interval --max-session-age --label --authority --max-lanes \
    --lane-memory --drain-timeout --fluentd-command --log-format --log-filter --proxy --hub-headers-file \
    --tls-cert-file --tls-key-file --upstream-tls-ca-file --upstream-tls-insecure-skip-verify --upstream-tls-server-name \
    --upstream-tls-cert-file --upstream-tls-key-file --upstream-alpn --admin-listen";

/// Every flag has a line, and a variable of the program's own in the environment.
#[track_caller]
fn assert_complete(help: &Ended, flags: &str, variables: &str) {
    assert_eq!((help.code(), help.text().as_str()), (0, ""), "{help:#?}");
    // One entry a flag, up to where the next begins.
    let entries: Vec<_> = help.stdout.split("\n  ").map(str::trim_start).collect();
    for flag in flags.split_whitespace() {
        // A value that may be left out is in brackets.
        let own = |entry: &&str| entry.split([' ', '\n', '[']).any(|word| word == flag);
        let at = entries.iter().position(|entry| entry.starts_with("--") && own(entry));
        let at = at.unwrap_or_else(|| panic!("{flag} is not in\n{}", help.stdout));
        let next = entries[at + 1..].iter().position(|entry| entry.starts_with('-'));
        let entry = entries[at..][..next.map_or(entries.len() - at, |next| next + 1)].join(" ");
        assert!(entry.contains(&format!("[env: {variables}")), "{flag}: {entry}");
    }
}

#[tokio::test]
async fn help_has_every_flag_of_the_hub() {
    assert_complete(&run_hub(&["--help"]).await, HUB_FLAGS, "HUB_");
    assert_eq!(run_hub(&["serve", "--help"]).await.code(), 0);
}

#[tokio::test]
async fn help_has_every_flag_of_the_agent() {
    assert_complete(&run_agent(&["--help"]).await, AGENT_FLAGS, "AGENT_");
    assert_eq!(run_agent(&["serve", "--help"]).await.code(), 0);
}

#[tokio::test]
async fn versions() {
    let version = concat!(" ", env!("CARGO_PKG_VERSION"), "\n");
    for (ended, name) in
        [(run_hub(&["--version"]).await, "hub"), (run_agent(&["-V"]).await, "agent")]
    {
        assert_eq!((ended.code(), ended.stdout), (0, format!("{name}{version}")));
    }
}
