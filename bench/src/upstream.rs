//! The server behind the agent: the same service on each kind of HTTP/2 server.

mod foreign;
mod guarded;
mod service;

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::role::{announce, wait_for_end_of_input};
pub(crate) use foreign::has_nginx;
use service::Bench;
use tokio::net::TcpSocket;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tunnel::program::{raise_open_files, stop_signal};

use crate::args::Kind;

/// For calls that run when tonic is told to end: longer than those of an orderly caller.
const DRAIN: Duration = Duration::from_secs(15);

/// Serves until standard input ends, which it does with the process that started this one. tonic also drains at SIGTERM,
/// as servers do that are replaced by others.
pub(crate) fn run(kind: Kind, jars: Option<&Path>, listen: SocketAddr) -> Result<()> {
    match (kind, jars) {
        (Kind::Nginx, _) => return foreign::nginx(),
        (Kind::Netty, jars) => return foreign::netty(jars.context("no --netty")?),
        _ => {}
    }
    // Whoever comes in a crowd has a connection each.
    let _ = raise_open_files();
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let (ends, ended) = oneshot::channel();
    thread::spawn(move || ends.send(wait_for_end_of_input()));
    runtime.block_on(async {
        let served = tokio::select! {
            served = serve(kind, listen) => served,
            ended = ended => return ended.context("nobody reads standard input")?,
        };
        if let Err(error) = &served {
            announce(&format!("failed: {error:?}"));
        }
        served
    })
}

async fn serve(kind: Kind, listen: SocketAddr) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    // The port of a server that has just ended.
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    // Not tokio's 128: what a crowd of connections is measured by is not this server.
    let listener = socket.listen(4096)?;
    announce(&format!("listening {}", listener.local_addr()?));
    let server = match kind {
        Kind::H2 => return guarded::serve(listener, None).await,
        Kind::LikeNetty => return guarded::serve(listener, Some(guarded::NETTY)).await,
        Kind::Limit100 => Server::builder().max_concurrent_streams(100),
        Kind::Tonic | Kind::Nginx | Kind::Netty => Server::builder(),
    };
    // As where tonic listens itself.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let (drains, drained) = oneshot::channel::<()>();
    let stop = stop_signal()?;
    let signal = async move {
        stop.await;
        drop(drains);
    };
    let serving = { server }.add_service(Bench).serve_with_incoming_shutdown(incoming, signal);
    let late = async {
        // Ends when the signal has come.
        let _ = drained.await;
        sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = late => Ok(()),
    }
}
