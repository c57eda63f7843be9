//! A connection to whoever is measured.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tunnel::box_io::BoxIo;

/// Windows of an honest client of bulk, of a stream and of a connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Connects.
pub(crate) async fn connect(
    address: SocketAddr,
    tls: Option<TlsConnector>,
) -> Result<SendRequest<Bytes>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let io: BoxIo = match tls {
        Some(tls) => Box::new(tls.connect(address.ip().into(), tcp).await?),
        None => Box::new(tcp),
    };
    let (streams, connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // Many small messages are what is asked for, not a flood.
        .data_frame_budget(usize::MAX)
        .handshake(io)
        .await?;
    // How it ends, each call on it learns by itself.
    tokio::spawn(async move { drop(connection.await) });
    Ok(streams)
}
