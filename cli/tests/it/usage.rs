//! Bad usage, help, completions: what needs no hub.

use crate::support::program::{Ended, client, spawn};

async fn offline(args: &[&str]) -> Ended {
    spawn(client(args.iter().copied())).end().await
}

#[tokio::test]
async fn bad_usage_is_64() {
    for args in [
        &[][..],
        &["nonsense"],
        &["hub"],
        &["call", "x"],
        &["call", "x", "no-method"],
        &["ping", "x", "-c", "0"],
        &["-o", "yaml", "ping", "x"],
        &["--hub", "localhost:8080", "ping", "x"],
        &["--timeout", "soon", "ping", "x"],
        &["ping", "x", "-H", "no-colon"],
        &["ping", "x", "-H", "x-bin:%%"],
        &["ping", "x", "-H", "name:y"],
        &["ping", ""],
        &["completions", "cmd.exe"],
    ] {
        let ended = offline(args).await;
        assert_eq!(ended.code, Some(64), "{args:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(!ended.stderr.is_empty(), "{args:?}");
    }
}

#[tokio::test]
async fn help_is_no_failure() {
    let help = offline(&["--help"]).await;
    assert!(help.succeeded().contains("--tls-insecure-skip-verify"));
    assert!(help.stdout.contains("HUB_URI"));
    assert_eq!(
        offline(&["--version"]).await.succeeded(),
        concat!("client ", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = offline(&["completions", shell]).await;
        assert!(script.succeeded().contains("list-clients"), "{shell}");
    }
}
