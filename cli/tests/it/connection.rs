//! Getting to the hub: TLS, no TLS, nobody there.

use hub_proto::hub::v1::hub_server::HubServer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::Router;

use crate::support::program::{Ended, client, run, spawn};
use crate::support::server::{answer_raw, serve, serve_tls};
use crate::support::services::TwoAgents;

const LIST: [&str; 2] = ["hub", "list-clients"];

fn hub() -> Router {
    Server::builder().add_service(HubServer::new(TwoAgents))
}

#[track_caller]
fn unavailable(ended: &Ended, hub: &str, cause: &str) {
    let line = format!("UNAVAILABLE: cannot connect to {hub}: ");
    assert!(ended.stderr.starts_with(&line), "{ended:?}");
    assert!(ended.stderr.contains(cause), "{ended:?}");
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(14), 1), "{ended:?}");
}

#[tokio::test]
async fn tls_trusts_the_ca_that_is_named() {
    let dir = TempDir::new().unwrap();
    let (hub, cert) = serve_tls(hub(), &dir).await;
    let ca = ["--tls-ca-file", cert.to_str().unwrap()];
    let args: Vec<&str> = LIST.into_iter().chain(ca).collect();
    assert!(run(&hub, &args, "").await.succeeded().contains("alpha"));

    let args = [&LIST[..], &["--tls-insecure-skip-verify"]].concat();
    assert!(run(&hub, &args, "").await.succeeded().contains("alpha"));

    let other = TempDir::new().unwrap();
    let (_, cert) = serve_tls(self::hub(), &other).await;
    let args = [&LIST[..], &["--tls-ca-file", cert.to_str().unwrap()]].concat();
    let not_signed = format!("not signed by the CA in {} (--tls-ca-file)", cert.display());
    unavailable(&run(&hub, &args, "").await, &hub, &not_signed);
    unavailable(&run(&hub, &LIST, "").await, &hub, "name its CA with --tls-ca-file");
}

#[tokio::test]
async fn every_option_has_an_environment_variable() {
    let dir = TempDir::new().unwrap();
    let (hub, cert) = serve_tls(hub(), &dir).await;
    let mut command = client(LIST);
    command.env("HUB_URI", &hub).env("HUB_TLS_CA_FILE", &cert).env("HUB_OUTPUT", "json");
    command.env("HUB_TIMEOUT", "30s").env("HUB_TLS_INSECURE_SKIP_VERIFY", "0");
    let mut running = spawn(command);
    running.close();
    assert!(running.end().await.succeeded().starts_with("{\"clients\":"));

    let mut command = client(LIST);
    command.env("HUB_URI", &hub).env("HUB_TLS_INSECURE_SKIP_VERIFY", "1");
    let mut running = spawn(command);
    running.close();
    running.end().await.succeeded();

    let mut command = client(LIST);
    command.env("HUB_URI", &hub).env("HUB_TOKEN_FILE", "/nowhere/token");
    let ended = spawn(command).end().await;
    assert_eq!(ended.code, Some(64));
    assert!(ended.stderr.starts_with("error: cannot read the token file /nowhere/token: "));
}

#[tokio::test]
async fn tls_and_plain_mixed_up_is_said() {
    let dir = TempDir::new().unwrap();
    let (secure, _) = serve_tls(hub(), &dir).await;
    let plain = secure.replace("https", "http");
    run(&plain, &LIST, "").await.failed(14, "UNAVAILABLE: the port speaks TLS: use https://");

    let plain = serve(hub()).await;
    let secure = plain.replace("http", "https");
    unavailable(&run(&secure, &LIST, "").await, &secure, "use http://");
}

#[tokio::test]
async fn a_port_with_something_else_is_said() {
    let http1 = format!("http://{}", answer_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
    run(&http1, &LIST, "").await.failed(
        14,
        "UNAVAILABLE: the port speaks HTTP/1 and no HTTP/2: is it a hub's --listen port?",
    );
    let silent = format!("http://{}", answer_raw(b"").await);
    let ended = run(&silent, &LIST, "").await;
    ended.failed(
        14,
        "UNAVAILABLE: it closed the connection without an answer: is it a hub's --listen port, \
         and without TLS?",
    );
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hub = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    unavailable(&run(&hub, &LIST, "").await, &hub, "Connection refused");
}

#[tokio::test]
async fn files_that_are_of_no_use_are_bad_usage() {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (empty, junk) = (file("empty", ""), file("junk", "not a certificate"));
    for (option, path) in [("--token-file", &empty), ("--tls-ca-file", &junk)] {
        // Nobody listens there; the file is looked at first.
        let args = [&LIST[..], &[option, path]].concat();
        let ended = run("https://127.0.0.1:1", &args, "").await;
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.stderr.contains(path.as_str()), "{ended:?}");
    }
}
