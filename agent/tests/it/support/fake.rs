//! Peers that are not what the programs take them for.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::certs::Certs;

/// What a peer does once it has answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Hangs up.
    Close,
    /// Reads on, and says nothing more.
    Stay,
}

/// A port that answers the first bytes of each connection with `answer`, whatever they are.
pub(crate) async fn answers(answer: &'static str, then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(respond(tcp, answer, then));
        }
    });
    address
}

/// A TLS port that negotiates one of `alpn`, or nothing if that is empty, and says nothing.
pub(crate) async fn tls(certs: &Certs, alpn: &[&[u8]]) -> SocketAddr {
    let config = tunnel::tls::server_config(&certs.cert, &certs.key, alpn).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let accepted = TlsAcceptor::from(config.clone()).accept(tcp);
            tokio::spawn(async move {
                if let Ok(stream) = accepted.await {
                    respond(stream, "", Then::Stay).await;
                }
            });
        }
    });
    address
}

async fn respond(mut io: impl AsyncRead + AsyncWrite + Unpin, answer: &str, then: Then) {
    let mut first = vec![0; 64 << 10];
    // What goes wrong here goes wrong at the program that is tested, too.
    _ = io.read(&mut first).await;
    _ = io.write_all(answer.as_bytes()).await;
    _ = io.flush().await;
    while then == Then::Stay && io.read(&mut first).await.is_ok_and(|n| n > 0) {}
}
