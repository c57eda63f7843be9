//! Files that cannot be used, and ports that are taken: one line on standard error that names which,
//! exit code 1.

use std::path::Path;

use tokio::net::TcpListener;

use crate::support::certs::{Certs, text};
use crate::support::process::Ended;
use crate::support::programs::{ANY_PORT, Hub, run_agent, run_hub};

const MISSING: &str = "/nowhere/file";

/// One line that names what cannot be used, and says why once.
#[track_caller]
fn assert_named(ended: &Ended, what: &str) {
    let line = ended.failure();
    assert!(line.contains(what), "no {what:?}: {line}");
    assert!(line.matches("os error").count() <= 1, "the same twice: {line}");
}

async fn hub_with(args: &[&str]) -> Ended {
    let fixed = ["--listen", ANY_PORT, "--admin-listen", "none"];
    run_hub(&fixed.iter().chain(args).copied().collect::<Vec<_>>()).await
}

async fn hub_with_tls(cert: &Path, key: &Path) -> Ended {
    hub_with(&["--tls", "--tls-cert-file", text(cert), "--tls-key-file", text(key)]).await
}

/// Paths at which nobody can read a file. A directory stands for one without permission, too, for tests
/// may run as root.
fn unreadable(certs: &Certs) -> [&Path; 2] {
    [Path::new(MISSING), certs.cert.parent().unwrap()]
}

#[tokio::test]
async fn an_unreadable_certificate_is_named() {
    let certs = Certs::new();
    for path in unreadable(&certs) {
        assert_named(&hub_with_tls(path, &certs.key).await, text(path));
    }
}

#[tokio::test]
async fn an_unreadable_key_is_named() {
    let certs = Certs::new();
    for path in unreadable(&certs) {
        assert_named(&hub_with_tls(&certs.cert, path).await, text(path));
    }
}

#[tokio::test]
async fn a_certificate_that_is_none_is_named() {
    let certs = Certs::new();
    let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for content in ["", "garbage", broken, empty] {
        let path = certs.file("bad-cert.pem", content);
        let ended = hub_with_tls(&path, &certs.key).await;
        assert_named(&ended, "bad-cert.pem");
    }
    assert_named(&hub_with_tls(&certs.key, &certs.key).await, text(&certs.key));
}

#[tokio::test]
async fn a_key_that_is_none_is_named() {
    let certs = Certs::new();
    let empty = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for content in ["", "garbage", empty] {
        let path = certs.file("bad-key.pem", content);
        assert_named(&hub_with_tls(&certs.cert, &path).await, "bad-key.pem");
    }
    assert_named(&hub_with_tls(&certs.cert, &certs.cert).await, text(&certs.cert));
}

#[tokio::test]
async fn a_key_of_another_certificate_is_named() {
    let (certs, other) = (Certs::new(), Certs::new());
    assert_named(&hub_with_tls(&certs.cert, &other.key).await, text(&other.key));
}

#[tokio::test]
async fn an_unreadable_auth_file_is_named() {
    let certs = Certs::new();
    for path in unreadable(&certs) {
        assert_named(&hub_with(&["--auth-file", text(path)]).await, text(path));
    }
}

#[tokio::test]
async fn an_auth_file_with_a_mistake_is_named_with_its_line() {
    let certs = Certs::new();
    for (content, what) in [
        ("[[agents]\n", "line 1"),
        ("[[agents]]\nid = 'a'\nsecret = 'x'\n", "secret"),
        ("[[agents]]\nid = 'a'\ntoken_sha256 = 'x'\nnames = []\n", "64 hexadecimal digits"),
        ("[[agents]]\nid = 'a'\n", "token_sha256"),
        ("[[guests]]\n", "guests"),
    ] {
        let path = certs.file("auth.toml", content);
        let ended = hub_with(&["--auth-file", text(&path)]).await;
        assert_named(&ended, "auth.toml");
        assert!(ended.failure().contains(what), "no {what:?}: {ended:#?}");
    }
}

#[tokio::test]
async fn an_auth_file_that_lists_nobody_is_told() {
    let certs = Certs::new();
    let path = certs.file("auth.toml", "# to be filled in\n");
    let hub = Hub::start(&["--auth-file", text(&path)]).await;
    let shut = "--auth-file lists no agents and no callers: nobody can register or call";
    hub.process.log.said(shut, &[("level", "WARN")]).await;
}

#[tokio::test]
async fn a_bad_ca_file_of_an_agent_is_named() {
    let certs = Certs::new();
    for path in unreadable(&certs) {
        assert_named(&run_agent(&["serve", "a", "--tls-ca-file", text(path)]).await, text(path));
    }
    for content in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let path = certs.file("ca.pem", content);
        assert_named(&run_agent(&["serve", "a", "--tls-ca-file", text(&path)]).await, "ca.pem");
    }
}

#[tokio::test]
async fn an_unreadable_token_file_of_an_agent_is_named() {
    let certs = Certs::new();
    for path in unreadable(&certs) {
        assert_named(&run_agent(&["serve", "a", "--token-file", text(path)]).await, text(path));
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_named(&run_hub(&["--listen", &address]).await, &address);
    let admin = ["--listen", ANY_PORT, "--admin-listen", &address];
    assert_named(&run_hub(&admin).await, &address);
    let ended = run_agent(&["serve", "a", "--admin-listen", &address]).await;
    assert_named(&ended, &address);
    assert!(ended.failure().contains("choose another with --admin-listen"), "{ended:#?}");
}

#[tokio::test]
async fn an_address_of_another_machine_is_named() {
    // Reserved for documentation (RFC 5737): no machine has it.
    assert_named(&run_hub(&["--listen", "192.0.2.1:0"]).await, "192.0.2.1:0");
}
