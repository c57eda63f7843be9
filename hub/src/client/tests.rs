//! Several callers on one connection, as a proxy makes it: what one of them does, the others do not wait for.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderValue, Request, Response};
use sha2::{Digest as _, Sha256};
use tokio::io::duplex;
use tokio::time::{Duration, Instant};
use tunnel::wire::{HUB_REASON, HUB_TOKEN, NAME};

use super::Client;
use super::connection::serve;
use crate::config::Config;
use crate::config::auth::Auth;
use crate::context::hub::Hub;
use crate::context::origin::Origin;
use crate::limits::{CALLERS_REMEMBERED, CLIENT_RESETS, HEAD_BYTES, HEAD_BYTES_FREE, OWN_CALLS};

const ABUSER: &str = "abuser";
const BYSTANDER: &str = "bystander";

fn auth() -> Auth {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.toml");
    let mut file = String::new();
    for token in [ABUSER, BYSTANDER] {
        let hash = Sha256::digest(token)
            .iter()
            .fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
        writeln!(file, "[[callers]]\nid = '{token}'\ntoken_sha256 = '{hash}'\nnames = ['*']")
            .unwrap();
    }
    std::fs::write(&path, file).unwrap();
    Auth::from_file(&path).expect("an auth file")
}

/// A connection on which both have called.
async fn front() -> SendRequest<Bytes> {
    let hub = Hub::new(Config { auth: auth(), ..Config::default() });
    let (near, far) = duplex(64 << 10);
    let (peer, stop) = (([127, 0, 0, 1], 1).into(), hub.stop.child());
    tokio::spawn(serve(Box::new(far), Origin { hub, peer, worker: 0, stop }));
    let (mut calls, connection) = h2::client::handshake(near).await.expect("HTTP/2");
    tokio::spawn(connection);
    for token in [BYSTANDER, ABUSER] {
        assert_answered(&mut calls, token).await;
    }
    calls
}

fn call(token: &'static str, path: &str) -> Request<()> {
    let call = Request::post(format!("http://hub.test{path}")).header(HUB_TOKEN, token);
    call.header("content-type", "application/grpc").body(()).unwrap()
}

/// A call that the hub itself answers.
fn to_nobody(token: &'static str) -> Request<()> {
    let mut call = call(token, "/a.B/C");
    call.headers_mut().insert(NAME, HeaderValue::from_static("nobody"));
    call
}

fn assert_refused<T>(answer: &Response<T>) {
    assert_eq!(answer.headers()[HUB_REASON], "unknown-name");
}

async fn assert_answered(calls: &mut SendRequest<Bytes>, token: &'static str) {
    let (answer, _) = calls.send_request(to_nobody(token), true).expect("sent");
    assert_refused(&answer.await.expect("an answer"));
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_given_up() {
    const AT_ONCE: u32 = OWN_CALLS as u32 / 2;
    let mut calls = front().await;
    let start = Instant::now();
    let mut give_up = async |batches| {
        for _ in 0..batches {
            let mut open = Vec::new();
            for _ in 0..AT_ONCE {
                let watch = call(ABUSER, "/grpc.health.v1.Health/Watch");
                let (answer, mut send) = calls.send_request(watch, false).expect("sent");
                send.send_data(Bytes::from_static(&[0; 5]), true).expect("sent");
                open.push(answer.await.expect("a head"));
            }
        }
    };
    // By `ANSWERS` alone, the first half takes no time, and the second a quarter of a second.
    give_up(CLIENT_RESETS.burst / AT_ONCE).await;
    assert!(start.elapsed() < CLIENT_RESETS.per / 4, "{:?}", start.elapsed());
    give_up(CLIENT_RESETS.burst / AT_ONCE).await;
    assert!(start.elapsed() > CLIENT_RESETS.per / 2, "{:?}", start.elapsed());
    let start = Instant::now();
    assert_answered(&mut calls, BYSTANDER).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn long_heads() {
    const HEAD: u32 = 2 * HEAD_BYTES_FREE;
    const CALLS: u32 = 3 * HEAD_BYTES.burst / HEAD_BYTES_FREE;
    let mut calls = front().await;
    let start = Instant::now();
    let mut long = to_nobody(ABUSER);
    // `~` takes 13 bits in Huffman's code, so it is sent as it is.
    let value = HeaderValue::from_str(&"~".repeat(HEAD as usize)).unwrap();
    long.headers_mut().insert("long", value);
    let mut waiting: Vec<_> =
        (0..CALLS).map(|_| calls.send_request(long.clone(), true).expect("sent").0).collect();
    assert_answered(&mut calls, BYSTANDER).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_refused(&waiting.pop().unwrap().await.expect("an answer"));
    assert!(start.elapsed() >= HEAD_BYTES.per, "{:?}", start.elapsed());
}

fn client() -> Arc<Client> {
    let hub = Hub::new(Config::default());
    let (peer, stop) = (([127, 0, 0, 1], 1).into(), hub.stop.child());
    Client::new(Origin { hub, peer, worker: 0, stop })
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_given_up_while_others_wait_count() {
    const MORE: u32 = CLIENT_RESETS.burst / 4;
    let (client, start) = (client(), Instant::now());
    let paces = client.paces(Some(ABUSER));
    (0..CLIENT_RESETS.burst + 1).for_each(|_| paces.gave_up());
    let give_up = async { (0..MORE).for_each(|_| paces.gave_up()) };
    tokio::join!(paces.may_begin(0), give_up);
    let owed = CLIENT_RESETS.per * MORE / CLIENT_RESETS.burst;
    assert!(start.elapsed() >= owed, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_front_has_several_callers_with_tokens_and_forgets_those_who_owe_nothing() {
    let client = client();
    client.paces(Some(ABUSER));
    client.paces(None);
    assert!(!client.is_front(), "whoever has one token could look like one");
    let waiting = client.paces(Some(BYSTANDER));
    assert!(client.is_front());
    for user in 0..3 * CALLERS_REMEMBERED {
        client.paces(Some(&user.to_string()));
    }
    assert!(client.callers.lock().len() <= CALLERS_REMEMBERED);
    assert!(Arc::ptr_eq(&client.paces(Some(BYSTANDER)), &waiting));
}
