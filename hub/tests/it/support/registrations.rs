//! More registrations than one address may make.

use std::net::SocketAddr;

use futures_util::future::join_all;
use hub::limits::REGISTRATIONS;
use tunnel::program::raise_open_files;

use super::admin::exchange;

const AT_ONCE: usize = 1024;

/// Asks, as `head` says it, until that is too often: what follows of its address is refused for a while.
pub(crate) async fn exhaust(hub: SocketAddr, head: &str) {
    let _ = raise_open_files();
    for _ in 0..4 * REGISTRATIONS.burst as usize / AT_ONCE {
        let answers = join_all((0..AT_ONCE).map(|_| exchange(hub, head))).await;
        if answers.iter().any(|answer| answer.starts_with("HTTP/1.1 429")) {
            return;
        }
    }
    panic!("no registration was refused");
}
