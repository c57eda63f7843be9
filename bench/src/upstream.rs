//! The server behind the agent: the same service on each kind of HTTP/2 server.

mod foreign;
mod guarded;
mod service;

use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result};
use bench::role::{announce, wait_for_end_of_input};
pub(crate) use foreign::has_nginx;
use service::Bench;
use tokio::net::TcpSocket;
use tokio::runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tunnel::program::raise_open_files;

use crate::args::Kind;

/// Serves until standard input ends, which it does with the process that started this one.
pub(crate) fn run(kind: Kind, jars: Option<&Path>) -> Result<()> {
    match (kind, jars) {
        (Kind::Nginx, _) => return foreign::nginx(),
        (Kind::Netty, jars) => return foreign::netty(jars.context("no --netty")?),
        _ => {}
    }
    // Whoever comes in a crowd has a connection each.
    let _ = raise_open_files();
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    thread::spawn(move || {
        let result = runtime.block_on(serve(kind));
        announce(&format!("failed: {result:?}"));
    });
    wait_for_end_of_input()
}

async fn serve(kind: Kind) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
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
    Ok({ server }.add_service(Bench).serve_with_incoming(incoming).await?)
}
