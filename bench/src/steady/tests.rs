//! Calls against servers that refuse, leave, hang, vanish, and mistake one call for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser as _;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Shared;
use crate::args::Args;
use crate::attempt::message;
use crate::call::Way;
use crate::channel::Channel;
use crate::tally::Tally;

/// What a server does with a call.
#[derive(Clone, Copy)]
enum Does {
    Echo,
    /// And says that it leaves.
    EchoAndLeave,
    Refuse,
    Hang,
    /// Without an answer, or a word.
    Vanish,
    /// With the message of a call that nobody made.
    Mistake,
}

/// Does so with one call after the other, whichever connection it comes on; the last of it over and over. Returns what
/// became of so many unary calls, one after the other, and how many came to the server.
async fn called(calls: usize, does: &'static [Does]) -> (Value, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    tokio::spawn(serve(listener, does, seen.clone()));
    let args = Args::parse_from([
        "steady",
        &address.to_string(),
        "--deadline",
        "500ms",
        "--redial",
        "1ms",
    ]);
    let way = Way { channel: Channel::new(address, args.redial), name: None };
    let (tally, stopped) = (Mutex::new(Tally::new().unwrap()), watch::Sender::new(false));
    let shared = Shared { args, tally, stopped };
    for _ in 0..calls {
        shared.unary(&way, Instant::now()).await;
    }
    let report = shared.tally.lock().report();
    assert_eq!([&report["open"], &report["ended_twice"]], [&json!(0), &json!(0)]);
    (report, seen.load(Ordering::Relaxed))
}

async fn serve(listener: TcpListener, does: &'static [Does], seen: Arc<AtomicUsize>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let seen = seen.clone();
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(tcp).await.unwrap();
            while let Some(Ok((request, respond))) = connection.accept().await {
                let number = seen.fetch_add(1, Ordering::Relaxed);
                match does[number.min(does.len() - 1)] {
                    Does::Vanish => return,
                    Does::EchoAndLeave => connection.graceful_shutdown(),
                    _ => {}
                }
                tokio::spawn(answer(does[number.min(does.len() - 1)], request, respond));
            }
        });
    }
}

async fn answer(does: Does, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    match does {
        Does::Refuse => return respond.send_reset(Reason::REFUSED_STREAM),
        Does::Hang | Does::Vanish => return std::future::pending().await,
        Does::Echo | Does::EchoAndLeave | Does::Mistake => {}
    }
    let mut body = request.into_body();
    let mut heard = body.data().await.unwrap().unwrap();
    if matches!(does, Does::Mistake) {
        heard = message(u64::MAX, 0);
    }
    let mut send = respond.send_response(Response::new(()), false).unwrap();
    send.send_data(heard, false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    send.send_trailers(trailers).unwrap();
}

#[tokio::test]
async fn answers_are_counted() {
    let (report, seen) = called(3, &[Does::Echo]).await;
    assert_eq!((&report["unary"]["ok"], &report["unary"]["lost"], seen), (&json!(3), &json!(0), 3));
    assert_eq!(report["retried"], json!({}));
}

#[tokio::test]
async fn what_a_server_refuses_is_made_again_once() {
    let (report, seen) = called(1, &[Does::Refuse, Does::Echo]).await;
    assert_eq!((&report["unary"]["ok"], seen), (&json!(1), 2));
    assert_eq!(report["retried"], json!({"REFUSED_STREAM": 1}));

    let (report, seen) = called(1, &[Does::Refuse]).await;
    assert_eq!((&report["unary"]["why"], seen), (&json!({"REFUSED_STREAM, twice": 1}), 2));
}

#[tokio::test]
async fn who_leaves_is_left_and_no_call_is_lost() {
    let (report, seen) = called(3, &[Does::EchoAndLeave]).await;
    assert_eq!((&report["unary"]["ok"], &report["unary"]["lost"], seen), (&json!(3), &json!(0), 3));
}

#[tokio::test]
async fn what_may_have_been_processed_is_lost_and_the_next_call_goes_well() {
    let (report, seen) = called(2, &[Does::Vanish, Does::Echo]).await;
    assert_eq!((&report["unary"]["ok"], seen), (&json!(1), 2));
    assert_eq!(report["unary"]["why"], json!({"connection lost": 1}));
}

#[tokio::test]
async fn no_answer_and_anothers_answer_are_losses() {
    let start = Instant::now();
    let (report, _) = called(1, &[Does::Hang]).await;
    assert_eq!(report["unary"]["why"], json!({"DeadlineExceeded": 1}));
    assert!(start.elapsed() >= Duration::from_millis(500));
    let (report, _) = called(1, &[Does::Mistake]).await;
    assert_eq!(report["unary"]["why"], json!({"another call's answer": 1}));
}
