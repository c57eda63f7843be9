//! Several callers on one connection, as a proxy makes it: what one of them does, the others do not wait for.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Ping;
use h2::client::SendRequest;
use http::{HeaderValue, Request, Response};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::time::{Duration, Instant, sleep, timeout};
use tunnel::wire::{HUB_REASON, HUB_TOKEN, NAME};

use super::callers::{Callers, Due};
use super::connection::serve;
use crate::config::Config;
use crate::config::auth::Auth;
use crate::config::keys::Keys;
use crate::context::hub::Hub;
use crate::context::origin::Origin;
use crate::limits::{
    ANSWERS, CALLERS_REMEMBERED, CLIENT_RESETS, FAREWELL_TIMEOUT, HEAD_BYTES, HEAD_BYTES_FREE,
    OWN_CALLS, PING_PAUSE, STARTING,
};

const ABUSER: &str = "abuser";
const BYSTANDER: &str = "bystander";
/// A token of a bucket takes so long, and fractions are rounded.
const OFF_BY: Duration = Duration::from_millis(2);

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

/// Nobody waits for who is not there.
fn config() -> Config {
    Config { park_timeout: Duration::ZERO, ..Config::default() }
}

/// A connection on which both have called.
async fn front() -> SendRequest<Bytes> {
    let mut calls = connection(config()).await;
    for token in [BYSTANDER, ABUSER] {
        assert_answered(&mut calls, token).await;
    }
    calls
}

async fn connection(config: Config) -> SendRequest<Bytes> {
    let hub = Hub::new(Config { keys: Keys { auth: auth(), tls: None }, ..config }).expect("a hub");
    let (near, far) = duplex(64 << 10);
    let (peer, stop) = (([127, 0, 0, 1], 1).into(), hub.stop.child());
    tokio::spawn(serve(Box::new(far), Origin { hub, peer, worker: 0, sni: None, stop }, None));
    let (calls, connection) = h2::client::handshake(near).await.expect("HTTP/2");
    tokio::spawn(connection);
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

/// For much longer than a lane is waited for, or a hub that has just started expects names.
#[tokio::test(start_paused = true)]
async fn a_name_is_waited_for_as_long_as_the_hub_was_told() {
    let park_timeout = 10 * STARTING;
    let mut calls = connection(Config { park_timeout, ..config() }).await;
    let start = Instant::now();
    let (waits, _) = calls.send_request(to_nobody(BYSTANDER), true).expect("sent");
    sleep(2 * STARTING).await;
    // Nobody expects the name any more: that is no reason to send away who waits already.
    assert_answered(&mut calls, BYSTANDER).await;
    assert_eq!(start.elapsed(), 2 * STARTING);
    assert_refused(&waits.await.expect("an answer"));
    assert_eq!(start.elapsed().as_secs(), park_timeout.as_secs());
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
    assert!(start.elapsed() >= CLIENT_RESETS.per / 2, "{:?}", start.elapsed());
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

#[tokio::test(start_paused = true)]
async fn calls_that_are_given_up_while_others_wait_count() {
    const MORE: u32 = CLIENT_RESETS.burst / 4;
    let mut callers = Callers::new();
    let start = Instant::now();
    let caller = callers.enter(Some(ABUSER));
    let give_up = |callers: &mut Callers, times| {
        for _ in 0..times {
            let caller = callers.enter(Some(ABUSER));
            callers.leave(caller, true);
        }
    };
    give_up(&mut callers, CLIENT_RESETS.burst + 1);
    assert!(!callers.may_begin(caller, 1, 0).0);
    give_up(&mut callers, MORE);
    assert_eq!(callers.due(), None);
    let owed = CLIENT_RESETS.per * (MORE + 1) / CLIENT_RESETS.burst;
    let due_at = callers.due_at().expect("it waits");
    assert!(due_at >= start + owed - OFF_BY && due_at <= start + owed + OFF_BY);
    tokio::time::sleep_until(due_at).await;
    assert_eq!(callers.due(), Some(Due::Begin(1)));
    assert_eq!((callers.due(), callers.due_at()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_over_waits_no_more() {
    let mut callers = Callers::new();
    let caller = callers.enter(None);
    for call in 0..=ANSWERS.burst + 3 {
        let waits = !callers.may_be_answered(caller, call).0;
        assert_eq!(waits, call > ANSWERS.burst, "{call}");
    }
    callers.forget(caller, ANSWERS.burst + 2);
    sleep(ANSWERS.per).await;
    assert_eq!(callers.due(), Some(Due::Answer(ANSWERS.burst + 1)));
    assert_eq!(callers.due(), Some(Due::Answer(ANSWERS.burst + 3)));
    assert_eq!(callers.due(), None);
}

/// What is answered in one lot keeps a thread from its other connections: 50 lists of the registered clients for a
/// millisecond, and a processor from whoever else needs it.
#[tokio::test(start_paused = true)]
async fn those_who_wait_are_not_answered_in_one_lot() {
    const LOT: u32 = 50;
    let mut callers = Callers::new();
    let caller = callers.enter(None);
    let waits = (0..ANSWERS.burst + LOT).filter(|call| !callers.may_be_answered(caller, *call).0);
    let (mut left, start) = (waits.count() as u32, Instant::now());
    while let Some(due_at) = callers.due_at() {
        tokio::time::sleep_until(due_at).await;
        let due = std::iter::from_fn(|| callers.due()).count() as u32;
        // A timer is a millisecond late.
        assert!((1..=5).contains(&due), "{due}");
        left -= due;
    }
    assert_eq!(left, 0);
    assert!(start.elapsed() <= ANSWERS.per * LOT / ANSWERS.burst + OFF_BY);
}

#[test]
fn a_front_has_several_callers_with_tokens_and_forgets_those_who_owe_nothing() {
    let mut callers = Callers::new();
    callers.enter(Some(ABUSER));
    callers.enter(None);
    assert!(!callers.is_front(), "whoever has one token could look like one");
    let waiting = callers.enter(Some(BYSTANDER));
    assert!(callers.is_front());
    for user in 0..3 * CALLERS_REMEMBERED {
        let caller = callers.enter(Some(&user.to_string()));
        assert_ne!(caller, waiting, "it has a call");
        callers.leave(caller, false);
    }
    assert!(callers.len() <= CALLERS_REMEMBERED + 1);
    assert_eq!(callers.enter(Some(BYSTANDER)), waiting);
}

/// A stream that holds back what is written until it is flushed, and is not ready to be flushed the first time, as TLS is
/// where its socket is full.
struct Lazy {
    io: DuplexStream,
    held: Vec<u8>,
    is_asked: bool,
}

impl AsyncRead for Lazy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Lazy {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if !std::mem::replace(&mut self.is_asked, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.is_asked = false;
        let held = std::mem::take(&mut self.held);
        let written = Pin::new(&mut self.io).poll_write(cx, &held);
        assert!(matches!(written, Poll::Ready(Ok(len)) if len == held.len()), "room for all");
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_flushed_in_the_end() {
    let hub = Hub::new(config()).expect("a hub");
    let (near, far) = duplex(1 << 20);
    let io = Lazy { io: far, held: Vec::new(), is_asked: false };
    let (peer, stop) = (([127, 0, 0, 1], 1).into(), hub.stop.child());
    tokio::spawn(serve(Box::new(io), Origin { hub, peer, worker: 0, sni: None, stop }, None));
    let (mut calls, connection) = h2::client::handshake(near).await.expect("HTTP/2");
    tokio::spawn(connection);
    let answers = async {
        for _ in 0..10 {
            assert_answered(&mut calls, "").await;
        }
    };
    timeout(FAREWELL_TIMEOUT, answers).await.expect("nothing waits for a timer");
}

#[tokio::test(start_paused = true)]
async fn whoever_pings_as_fast_as_it_is_answered_waits() {
    let hub = Hub::new(config()).expect("a hub");
    let (near, far) = duplex(1 << 20);
    let (peer, stop) = (([127, 0, 0, 1], 1).into(), hub.stop.child());
    tokio::spawn(serve(Box::new(far), Origin { hub, peer, worker: 0, sni: None, stop }, None));
    let (mut calls, mut connection) = h2::client::handshake(near).await.expect("HTTP/2");
    let mut pings = connection.ping_pong().expect("asked for once");
    tokio::spawn(connection);
    assert_answered(&mut calls, "").await;
    let start = Instant::now();
    for waits in [0, 1, 2] {
        pings.ping(Ping::opaque()).await.expect("an answer");
        let waited = start.elapsed();
        assert!(waited >= waits * PING_PAUSE && waited <= waits * (PING_PAUSE + OFF_BY), "{waits}");
    }
    // Whoever gets something else gets it at once, and the answer with it.
    let start = Instant::now();
    pings.send_ping(Ping::opaque()).expect("none is on its way");
    assert_answered(&mut calls, "").await;
    poll_fn(|cx| pings.poll_pong(cx)).await.expect("an answer");
    assert_eq!(start.elapsed(), Duration::ZERO);
}
