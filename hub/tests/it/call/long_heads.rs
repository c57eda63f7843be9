//! Long heads are held for calls that somebody waits for, and for no others.

use http::{Response, StatusCode};
use hub::limits::{HEAD_BYTES, MAX_HEADER_LIST};
use switch::INFORMATIONAL_MAX;

use crate::support::client::answer;
use crate::support::frames::{
    END_HEADERS, END_STREAM, FrameConnection, HEADERS, PING, RST_STREAM, frame, request_head,
};
use crate::support::message::grpc;
use crate::support::world::World;
use crate::support::{NAME, PATIENCE, until};

/// Calls, of which all but a few wait for longer than a test does until they may go on.
const CALLS: u32 = 900;

/// The heads of so many calls: a few bytes of references to one field stand for as much as a client may send.
fn heads(name: &str) -> Vec<u8> {
    const FIELD: &[u8] = b"\x40\x01x\x00";
    const THE_SAME: &[u8] = b"\xbe";
    const FIELD_BYTES: usize = 33;
    let mut heads = Vec::new();
    for at in 0..CALLS {
        let mut block = request_head(name, "/a.B/Long");
        block.extend_from_slice(if at == 0 { FIELD } else { &[] });
        block.extend(THE_SAME.repeat(MAX_HEADER_LIST as usize / FIELD_BYTES - 20));
        heads.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * at + 1, &block));
    }
    heads
}

/// Whether the client is still there or not: what it does not wait for is gone at once.
#[tokio::test]
async fn of_calls_that_are_gone() {
    let of_all = HEAD_BYTES.per * (CALLS * MAX_HEADER_LIST / 2 / HEAD_BYTES.burst);
    assert!(of_all > PATIENCE, "{of_all:?}");
    let mut world = World::start().await;
    for name in [NAME, "nobody", ""] {
        for leaves in [true, false] {
            let mut caller = FrameConnection::connect(world.hub.address).await;
            caller.write(&[heads(name), frame(PING, 0, 0, b"all said")]).await;
            caller.next(PING).await;
            let waiting = async || world.hub.metric("hub_streams_in_flight").await;
            until("calls", async || waiting().await > 100.0).await;
            if leaves {
                drop(caller);
            } else {
                let reset = |at| frame(RST_STREAM, 0, 2 * at + 1, &[0, 0, 0, 8]);
                caller.write(&(0..CALLS).map(reset).collect::<Vec<_>>()).await;
            }
            until("their end", async || waiting().await == 0.0).await;
        }
    }
    world.assert_unharmed().await;
}

/// No window holds them back, so all of them together are no larger than one head may be.
#[tokio::test]
async fn of_informational_answers() {
    const FITTING: usize = 20 << 10;
    let mut world = World::start().await;
    for (count, bytes, fit) in
        [(4, FITTING, true), (8, FITTING, false), (INFORMATIONAL_MAX, 16 << 10, false)]
    {
        let (response, _sending) = world.client.open(grpc(NAME, "/a.B/C"), true).await;
        let mut call = world.session.call().await;
        for _ in 0..count {
            let mut early = Response::new(());
            *early.status_mut() = StatusCode::EARLY_HINTS;
            early.headers_mut().insert("large", "x".repeat(bytes).parse().unwrap());
            call.respond.send_informational(early).unwrap();
        }
        call.answer();
        let told = answer(response).await;
        assert_eq!(told.is_ok(), fit, "{count} of {bytes} bytes: {told:?}");
    }
    assert_eq!(world.hub.metric("hub_limits_reached_total{limit=\"agent-heads\"}").await, 2.0);
    world.assert_unharmed().await;
}
