//! Lanes, by the first byte of the input: whatever an agent says on its WebSocket, what its lanes yield is what the
//! messages before the first violation hold, and it ends, however the agent behaves; whatever a peer's frames say, no
//! rule of memory is broken; and two ends that both keep the rules agree, whatever their users do.
//!
//! Input: which of the three, then: a byte of manners, three sizes of chunks, and what the agent sends; or a script
//! (`tunnel::lanes::hostile`, `tunnel::lanes::model`).
#![no_main]

mod heard;

use bytes::Bytes;
use fuzz::{AtEnd, Chunked, Writes};
use heard::{Heard, Said};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, ReadBuf};
use tokio::time::{Duration, timeout};
use tunnel::lanes::{Lane, LaneMemory, Mux, Open, Role, hostile, model, start};
use tunnel::limits::{CONTROL_QUEUE, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use tunnel::wire::Control;
use tunnel::ws::KeepaliveConfig;

/// Longer than silence and both waits of the closing handshake together.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lanes that the hub has opened.
const LANES: usize = 2;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, data)) => session(data),
        Some((1, script)) => drop(hostile::run(script)),
        Some((_, script)) => model::run(script),
        None => {}
    }
});

fn session(data: &[u8]) {
    let (head, sent) = data.split_at(data.len().min(4));
    let Some((&manners, sizes)) = head.split_first() else {
        return;
    };
    let at_end = if manners & 1 == 0 { AtEnd::Eof } else { AtEnd::Silence };
    let writes = if manners & 2 == 0 { Writes::Taken } else { Writes::Stuck };
    let speaks = manners & 4 != 0;
    // What was read behind the handshake.
    let (came, rest) = sent.split_at(sent.len().min(usize::from(manners >> 3)));
    let peer = Chunked::new(rest, sizes).with(at_end, writes);
    let (lanes, controls) = fuzz::run(read_all(came, peer, speaks));
    let heard = Heard::of(sent);
    let (expected_lanes, expected_controls) = meaning(&heard);
    let kept = expected_controls.len().min(CONTROL_QUEUE);
    assert!(expected_controls[..kept].starts_with(&controls), "control messages are made up");
    for (lane, expected) in lanes.iter().zip(&expected_lanes) {
        assert!(expected.starts_with(lane), "bytes are made up");
    }
    if !heard.may_flood() {
        assert_eq!(lanes, expected_lanes, "bytes are lost");
        assert_eq!(controls.len(), kept, "control messages are lost");
    }
}

/// What is read on each lane, and the control messages.
type Meaning = (Vec<Vec<u8>>, Vec<Control>);

/// What the messages mean, up to the first violation.
fn meaning(heard: &Heard) -> Meaning {
    let mut mux = Mux::new(Role::Hub, LaneMemory::ample());
    let ids: Vec<u32> = (0..LANES).map(|_| mux.open(Open::default()).expect("a lane")).collect();
    let (mut lanes, mut controls) = (vec![Vec::new(); LANES], Vec::new());
    for said in &heard.said {
        match said {
            Said::Control(control) => controls.push(control.clone()),
            Said::Message(message) => {
                if mux.receive(message.clone().into()).is_err() {
                    break;
                }
            }
        }
        for (id, lane) in ids.iter().zip(&mut lanes) {
            let mut space = vec![0; mux.readable(*id)];
            let mut buf = ReadBuf::new(&mut space);
            mux.read(*id, &mut buf);
            lane.extend_from_slice(buf.filled());
        }
    }
    (lanes, controls)
}

/// Everything that the peer says, and how it ends; `speaks`: while it is told something.
async fn read_all(came: &[u8], peer: Chunked<'_>, speaks: bool) -> Meaning {
    let keepalive = KeepaliveConfig { interval: KEEPALIVE_INTERVAL, timeout: KEEPALIVE_TIMEOUT };
    let (came, memory) = (Bytes::copy_from_slice(came), LaneMemory::ample());
    let (driver, lanes, mut receiver) = start(peer, came, keepalive, Role::Hub, memory);
    for _ in 0..if speaks { 2 * CONTROL_QUEUE } else { 0 } {
        lanes.ws().send(Control::Drain);
    }
    let open = || lanes.open(Open::default()).expect("a lane");
    let [first, second]: [Lane; LANES] = [open(), open()];
    let all = async { tokio::join!(read(first), read(second), driver) };
    let (first, second, ()) = timeout(PATIENCE, all).await.expect("an end in time");
    assert!(lanes.ws().ended().is_some(), "nobody says why it ended");
    let controls = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
    (vec![first, second], controls)
}

/// The lane is held until its end, so that the peer is not told that nobody reads.
async fn read(mut lane: Lane) -> Vec<u8> {
    let mut bytes = Vec::new();
    // An error is an end as good as any.
    let _ = lane.read_to_end(&mut bytes).await;
    bytes
}
