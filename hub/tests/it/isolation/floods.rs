//! Floods of frames end on the connection of whoever sends them; what calls explain is no flood.

use std::net::SocketAddr;

use h2::Reason;
use hub::limits::{CLIENT_RESETS, SETTINGS_WEIGHT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tunnel::limits::OFFENDER_PAUSE;

use crate::support::NAME;
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame,
    request_head,
};
use crate::support::hub::Hub;
use crate::support::pair::Pair;
use crate::support::peer::Settings;
use crate::support::world::World;
use crate::support::{until, within};

const PRIORITY: u8 = 2;
const WINDOW_UPDATE: u8 = 8;
const UNKNOWN: u8 = 0x20;

/// More than is allowed without calls.
const FLOOD: usize = 6000;

/// Somebody else is still served, on the same session.
async fn assert_unharmed(world: &mut World) {
    world.assert_unharmed().await;
    assert_eq!(world.hub.metric("hub_registrations_total").await, 1.0);
}

/// Says all this on a connection of its own, and returns the code of the GOAWAY with which the hub ends it.
/// It takes its time, or the flood would be back at once.
async fn goaway_after(hub: SocketAddr, said: Vec<u8>) -> u32 {
    let start = Instant::now();
    let tcp = TcpStream::connect(hub).await.unwrap();
    let (mut answers, mut says) = tcp.into_split();
    // The hub may hang up before all is written.
    let said = tokio::spawn(async move { says.write_all(&said).await.map(|()| says) });
    let code = within("a GOAWAY", async {
        loop {
            let mut head = [0; 9];
            answers.read_exact(&mut head).await.expect("a frame");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            answers.read_exact(&mut payload).await.expect("a payload");
            if head[3] == GOAWAY {
                return u32::from_be_bytes(payload[4..8].try_into().unwrap());
            }
        }
    });
    let code = code.await;
    assert!(start.elapsed() >= OFFENDER_PAUSE);
    said.abort();
    code
}

fn opening(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request_head(NAME, "/a.B/Flood"))
}

#[tokio::test]
async fn frames_that_belong_to_no_call() {
    let mut world = World::start().await;
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &opening(1)].concat();
    for (count, flood) in (1..).zip([
        frame(PING, 0, 0, b"12345678"),
        frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(UNKNOWN, 0, 0, b"?"),
        frame(DATA, 0, 1, &[]),
        // Of these a few are many.
        frame(SETTINGS, 0, 0, &[]),
    ]) {
        let times = if flood[3] == SETTINGS { FLOOD / SETTINGS_WEIGHT as usize } else { FLOOD };
        let said = [&hello[..], &flood.repeat(times)].concat();
        let code = goaway_after(world.hub.address, said).await;
        assert_eq!(code, u32::from(Reason::ENHANCE_YOUR_CALM), "{flood:?}");
        let counted = world.hub.metric("hub_limits_reached_total{limit=\"client-frames\"}").await;
        assert_eq!(counted, f64::from(count), "{flood:?}");
        assert_unharmed(&mut world).await;
    }
}

/// Until it has heard that it is to go, it is read on, at leisure. (Sockets take some megabytes by themselves.)
#[tokio::test]
async fn a_flood_that_goes_on_is_hardly_read() {
    const MOST: usize = 24 << 20;
    let mut world = World::start().await;
    let tcp = TcpStream::connect(world.hub.address).await.unwrap();
    let (mut answers, mut says) = tcp.into_split();
    let hears = tokio::spawn(async move { answers.read_to_end(&mut Vec::new()).await });
    says.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let (flood, mut said) = (frame(PING, 0, 0, b"12345678").repeat(FLOOD), 0);
    let goes_on = async {
        while says.write_all(&flood).await.is_ok() {
            said += flood.len();
        }
    };
    within("the end of the connection", goes_on).await;
    assert!(said < MOST, "{} MiB were read", said >> 20);
    let _ = within("the end of the answers", hears).await;
    assert_unharmed(&mut world).await;
}

/// Nor is it what a reader of small messages says to each.
#[tokio::test]
async fn what_answers_explain_is_no_flood() {
    const MESSAGES: usize = 1500;
    let hub = Hub::start().await;
    let mut pair = Pair::start(&hub, NAME, Settings::default(), Settings::default()).await;
    let Pair { client, upstream } = &mut pair;
    client.call(1, NAME, "/a.B/Small", 0);
    client.flush().await;
    let stream = upstream.request("/a.B/Small").await;
    upstream.head(stream, &[(":status", "200")], 0);
    for i in 1..=MESSAGES {
        upstream.data(stream, b"x", 0);
        upstream.flush().await;
        client.until("a message", |client| client.heard(1).body.len() == i).await;
        for _ in 0..2 {
            client.grant(1, 1);
            client.grant(0, 1);
        }
        client.flush().await;
    }
    pair.call(3, NAME).await;
}

/// They are no flood yet, but read slowly.
#[tokio::test]
async fn resets_that_end_no_call() {
    const RESETS: usize = 2 * CLIENT_RESETS.burst as usize;
    let mut world = World::start().await;
    let reset = frame(RST_STREAM, 0, 1, &u32::from(Reason::CANCEL).to_be_bytes());
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &opening(1)].concat();
    let mut tcp = TcpStream::connect(world.hub.address).await.unwrap();
    tcp.write_all(&[hello, reset.repeat(RESETS)].concat()).await.unwrap();
    let counted = "hub_limits_reached_total{limit=\"client-resets\"}";
    until("a limit", async || world.hub.metric(counted).await >= 1.0).await;
    assert_unharmed(&mut world).await;
}

/// A client that streams small messages may ping, update windows and send empty DATA as it goes.
#[tokio::test]
async fn what_calls_explain_is_no_flood() {
    const MESSAGES: usize = 20_000;
    let mut world = World::start_patient().await;
    let mut tcp = TcpStream::connect(world.hub.address).await.unwrap();
    let message = [
        frame(DATA, 0, 1, b"x"),
        frame(DATA, 0, 1, &[]),
        frame(PING, 0, 0, b"12345678"),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
    ]
    .concat();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &opening(1)].concat();
    let end = frame(DATA, END_STREAM, 1, &[]);
    let said = [&hello[..], &message.repeat(MESSAGES), &end].concat();
    let (mut answers, mut says) = tcp.split();
    let (_, body) = tokio::join!(says.write_all(&said), async {
        let answers = async { while answers.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {} };
        tokio::select! {
            () = answers => panic!("the hub hung up"),
            body = async { world.session.call().await.body().await } => body,
        }
    });
    assert_eq!((body.0.len(), body.1.is_ok()), (MESSAGES, true));
    assert_unharmed(&mut world).await;
}
