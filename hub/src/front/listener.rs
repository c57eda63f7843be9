//! Accepts connections.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tracing::warn;
use tunnel::limits::ACCEPT_PAUSE;

use crate::context::hub::Hub;
use crate::front::worker::Workers;
use crate::limits::LAST_HANDSHAKES;
use crate::observe::limit::Limit;

/// The hub's port.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) tcp: TcpListener,
    /// Other hubs may listen at the same port, with a listener of their own.
    pub(crate) shares_port: bool,
}

impl Listener {
    /// Accepts connections and hands them to the workers, for ever. A failed accept passes (the peer has left
    /// already, file descriptors are short for a moment), so it ends nothing.
    pub(crate) async fn accept(&self, workers: &Workers, hub: &Hub) {
        loop {
            let accepted = self.tcp.accept().await;
            match accepted.and_then(|(socket, peer)| Ok((socket.into_std()?, canonical(peer)))) {
                Ok((_, peer)) if workers.connections() >= hub.config.max_connections => {
                    hub.limits.reached(Limit::Connections, peer, None);
                }
                Ok((socket, peer)) => workers.assign(socket, peer).await,
                Err(error) => {
                    warn!(%error, "cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Accepts no more. Who shares the port with another hub first takes what the kernel has given it already: each listener
    /// of a port has a queue of its own, and what is in it, or is still shaking hands, is reset when the listener is closed
    /// (Linux, unless `net.ipv4.tcp_migrate_req` is set). So no new handshakes are let in for a moment; whoever begins one
    /// meanwhile does so again after a second, and meets the other hub.
    pub(crate) async fn close(self, workers: &Workers, hub: &Hub) {
        if !self.shares_port {
            return;
        }
        match refuse_handshakes(&self.tcp) {
            Ok(()) => drop(timeout(LAST_HANDSHAKES, self.accept(workers, hub)).await),
            Err(error) => warn!(%error, "connections that are being made now may be lost"),
        }
    }
}

/// Has the kernel drop the first segment of each new connection, as if it had been lost.
#[cfg(target_os = "linux")]
fn refuse_handshakes(listener: &TcpListener) -> io::Result<()> {
    /// Where the flags stand in a TCP header (RFC 9293 3.1), and SYN and ACK among them.
    const FLAGS: (u32, u32, u32) = (13, 0x02, 0x10);
    // linux/bpf_common.h: load a byte at a place; and; jump if equal; return.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let (flags, syn, ack) = FLAGS;
    let program = [
        socket2::SockFilter::new(LOAD_BYTE, 0, 0, flags),
        socket2::SockFilter::new(AND, 0, 0, syn | ack),
        socket2::SockFilter::new(JUMP_IF_EQUAL, 0, 1, syn),
        // Nothing of it is kept.
        socket2::SockFilter::new(RETURN, 0, 0, 0),
        socket2::SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&program)
}

#[cfg(not(target_os = "linux"))]
fn refuse_handshakes(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A dual-stack socket shows IPv4 peers as `::ffff:1.2.3.4`.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
