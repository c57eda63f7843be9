//! What one connection may do only so fast: it waits, nothing of it fails, and nobody else waits with it.
//!
//! Only the least that it must take is asserted: how much longer, the machine decides.

use http::{HeaderName, HeaderValue};
use hub::limits::{
    ANSWERS, CLIENT_RESETS, HEAD_BYTES, HEAD_BYTES_FREE, REFUSAL_PAUSE, SMALL_DATA, WORK_PER_CALL,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tunnel::limits::WORK_TURN;
use tunnel::token_bucket::Rate;

use crate::support::client::answer;
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, FrameConnection, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame,
    given_up, request_head,
};
use crate::support::message::grpc;
use crate::support::world::World;
use crate::support::{NAME, within};

/// What was begun at `start` took as long as it must at this rate. (A machine may be so slow that it takes as
/// long by itself, and the limit is not reached.)
fn assert_paced(start: Instant, done: u32, Rate { burst, per }: Rate) {
    let took = start.elapsed();
    let least = per.mul_f64(f64::from(done - burst) / f64::from(burst));
    assert!(took >= least, "{took:?}");
}

/// For an agent's that there is not, for the hub's own that there is not, and for a service of the hub.
#[tokio::test]
async fn calls_that_the_hub_itself_answers() {
    const CALLS: u32 = 8 * ANSWERS.burst;
    const AT_ONCE: u32 = 256;
    let mut world = World::start().await;
    for (name, path, reason) in [
        ("nobody", "/a.B/C", Some("unknown-name")),
        ("", "/a.B/C", Some("no-name")),
        ("", "/grpc.health.v1.Health/Check", None),
    ] {
        let (client, start) = (world.hub.client().await, Instant::now());
        for _ in 0..CALLS / AT_ONCE {
            let mut open = Vec::new();
            for _ in 0..AT_ONCE {
                open.push(client.open(grpc(name, path), true).await.0);
            }
            for response in open {
                let answer = within("an answer", answer(response)).await.expect("an answer");
                assert_eq!(answer.hub_reason(), reason);
            }
        }
        assert_paced(start, CALLS, ANSWERS);
    }
    world.assert_unharmed().await;
}

#[tokio::test]
async fn long_heads() {
    const HEAD: u32 = 2 * HEAD_BYTES_FREE;
    const CALLS: u32 = 2 * HEAD_BYTES.burst / HEAD_BYTES_FREE;
    let mut world = World::start().await;
    let (client, start) = (world.hub.client().await, Instant::now());
    for _ in 0..CALLS {
        let mut call = grpc("nobody", "/a.B/C");
        // `~` takes 13 bits in Huffman's code, so it is sent as it is.
        let long = HeaderValue::from_str(&"~".repeat(HEAD as usize)).unwrap();
        call.headers_mut().append(HeaderName::from_static("long"), long);
        let (response, _send) = client.open(call, true).await;
        within("an answer", answer(response)).await.expect("an answer");
    }
    let done = CALLS * HEAD_BYTES_FREE;
    assert_paced(start, done, HEAD_BYTES);
    world.assert_unharmed().await;
}

/// On the way to the hub, and where it takes them.
#[tokio::test]
async fn calls_that_are_given_up() {
    const CALLS: u32 = 2 * CLIENT_RESETS.burst;
    let mut world = World::start().await;
    let start = Instant::now();
    let mut client = FrameConnection::connect(world.hub.address).await;
    let call = request_head("nobody", "/a.B/C");
    client.write(&given_up(&call, 1, CALLS)).await;
    client.write(&[frame(HEADERS, END_HEADERS | END_STREAM, 2 * CALLS + 1, &call)]).await;
    client.answer(2 * CALLS + 1).await;
    // What is read in one turn counts for the next.
    assert_paced(start, CALLS - (WORK_TURN / WORK_PER_CALL) as u32, CLIENT_RESETS);
    world.assert_unharmed().await;
}

#[tokio::test]
async fn small_messages() {
    const MESSAGES: u32 = 4 * SMALL_DATA.burst;
    let mut world = World::start_patient().await;
    let mut tcp = TcpStream::connect(world.hub.address).await.unwrap();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let opening = frame(HEADERS, END_HEADERS, 1, &request_head(NAME, "/a.B/Small"));
    let end = frame(DATA, END_STREAM, 1, &[]);
    let small = frame(DATA, 0, 1, b"x").repeat(MESSAGES as usize);
    let start = Instant::now();
    let (mut answers, mut says) = tcp.split();
    let said = [hello, opening, small, end].concat();
    let (_, body) = tokio::join!(says.write_all(&said), async {
        let answers = async { while answers.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {} };
        tokio::select! {
            () = answers => panic!("the hub hung up"),
            body = async { world.session.call().await.body().await } => body,
        }
    });
    assert_eq!((body.0.len(), body.1.is_ok()), (MESSAGES as usize, true));
    assert_paced(start, MESSAGES, SMALL_DATA);
    world.assert_unharmed().await;
}

#[tokio::test]
async fn refused_upgrades() {
    let mut world = World::start().await;
    let start = Instant::now();
    let mut tcp = TcpStream::connect(world.hub.address).await.unwrap();
    tcp.write_all(b"GET /ws HTTP/1.1\r\nHost: hub\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within("the refusal", tcp.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
    assert!(start.elapsed() >= REFUSAL_PAUSE);
    world.assert_unharmed().await;
}

/// References to a field that came before: a few bytes on the wire, and long in all that follows.
#[tokio::test]
async fn long_heads_that_look_short() {
    const FIELD: usize = 3800;
    const REFERENCES: usize = 12;
    const CALLS: u32 = 2 * HEAD_BYTES.burst / HEAD_BYTES_FREE;
    /// An indexed field, the first of the dynamic table (RFC 7541 6.1, 2.3.3).
    const REFERENCE: u8 = 0x80 | 62;
    let mut world = World::start().await;
    let mut tcp = TcpStream::connect(world.hub.address).await.unwrap();
    let call = request_head("nobody", "/a.B/Long");
    // A literal that is remembered (6.2.1); its length is 127 and 3,673 more (5.1).
    let field = [&[0x40, 4][..], b"long", &[0x7f, 0xd9, 0x1c], &[b'x'; FIELD]].concat();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let first = [&call[..], &field].concat();
    let next = [&call[..], &[REFERENCE; REFERENCES]].concat();
    let start = Instant::now();
    tcp.write_all(&[hello, frame(HEADERS, END_HEADERS | END_STREAM, 1, &first)].concat())
        .await
        .unwrap();
    let (mut answers, mut says) = tcp.split();
    let said: Vec<u8> = (3..)
        .step_by(2)
        .take(CALLS as usize)
        .flat_map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &next))
        .collect();
    says.write_all(&said).await.unwrap();
    let answered = async {
        let (mut left, mut head) = (CALLS + 1, [0; 9]);
        while left > 0 {
            answers.read_exact(&mut head).await.expect("a frame");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            answers.read_exact(&mut payload).await.expect("a payload");
            assert_ne!(head[3], RST_STREAM);
            left -= u32::from(head[3] == HEADERS);
        }
    };
    within("the answers", answered).await;
    let done = CALLS * (REFERENCES * FIELD) as u32 - CALLS * HEAD_BYTES_FREE;
    assert_paced(start, done, HEAD_BYTES);
    world.assert_unharmed().await;
}
