//! An agent's WebSocket as a byte stream: what it yields is what the binary messages before the first
//! violation hold, and it ends, however the peer behaves. A flood of fragments without data may end it sooner.
//!
//! Input: a byte of manners, three sizes of chunks, then what the peer sends.
#![no_main]

mod model;

use fuzz::{AtEnd, Chunked, Writes};
use libfuzzer_sys::fuzz_target;
use model::Model;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tunnel::keepalive::KeepaliveConfig;
use tunnel::limits;
use tunnel::wire::Control;
use tunnel::ws_io::{self, Fragments, WsIo};

/// Longer than silence and both waits of the closing handshake together.
const PATIENCE: Duration = Duration::from_secs(60);

fuzz_target!(|data: &[u8]| {
    let (head, sent) = data.split_at(data.len().min(4));
    let Some((&manners, sizes)) = head.split_first() else {
        return;
    };
    let at_end = if manners & 1 == 0 { AtEnd::Eof } else { AtEnd::Silence };
    let writes = if manners & 2 == 0 { Writes::Taken } else { Writes::Stuck };
    let speaks = manners & 4 != 0;
    let peer = Chunked::new(sent, sizes).with(at_end, writes);
    let (bytes, controls) = fuzz::run(read_all(peer, speaks));
    let expected = Model::of(sent);
    assert!(expected.bytes.starts_with(&bytes), "bytes are made up");
    let kept = expected.controls.len().min(limits::CONTROL_QUEUE);
    assert!(expected.controls[..kept].starts_with(&controls), "control messages are made up");
    if !expected.may_flood() {
        assert_eq!(bytes.len(), expected.bytes.len(), "bytes are lost");
        assert_eq!(controls.len(), kept, "control messages are lost");
    }
});

/// Everything that the peer says, and how it ends; `speaks`: while it is told something.
async fn read_all(peer: Chunked<'_>, speaks: bool) -> (Vec<u8>, Vec<Control>) {
    let config = Some(ws_io::config());
    let peer = Fragments::on(peer, &[]);
    let ws = WebSocketStream::from_raw_socket(peer, Role::Server, config).await;
    let keepalive = KeepaliveConfig {
        interval: limits::KEEPALIVE_INTERVAL,
        timeout: limits::KEEPALIVE_TIMEOUT,
    };
    let (mut io, handle, mut receiver) = WsIo::new(ws, keepalive);
    for _ in 0..if speaks { 2 * limits::CONTROL_QUEUE } else { 0 } {
        handle.send(Control::Drain);
    }
    let mut bytes = Vec::new();
    // An error is an end as good as any.
    let _ = timeout(PATIENCE, io.read_to_end(&mut bytes)).await.expect("an end in time");
    assert!(handle.ended().is_some(), "nobody says why it ended");
    let controls = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
    (bytes, controls)
}
