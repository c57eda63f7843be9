//! A gRPC server on a port of its own, with TLS or without, that ends with its test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, Router};

/// Serves `router` on a port of its own, for as long as the test's runtime lives.
pub(crate) async fn serve(router: Router) -> String {
    let (address, accepted) = listen(None).await;
    tokio::spawn(router.serve_with_incoming(accepted));
    format!("http://{address}")
}

/// Serves `router` with TLS. Returns its address, and the certificate file to trust.
pub(crate) async fn serve_tls(router: Router, dir: &tempfile::TempDir) -> (String, PathBuf) {
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = tunnel::tls::server_config(&cert, &key, &[b"h2"]).unwrap();
    let (address, accepted) = listen(Some(config.into())).await;
    tokio::spawn(router.serve_with_incoming(accepted));
    (format!("https://localhost:{}", address.port()), cert)
}

async fn listen(tls: Option<TlsAcceptor>) -> (SocketAddr, ReceiverStream<io::Result<Transport>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (tls, sender) = (tls.clone(), sender.clone());
            tokio::spawn(async move {
                if let Ok(io) = handshake(tcp, tls).await {
                    _ = sender.send(Ok(io)).await;
                }
            });
        }
    });
    (address, ReceiverStream::new(receiver))
}

async fn handshake(tcp: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Transport> {
    Ok(match tls {
        Some(tls) => Transport(Box::new(tls.accept(tcp).await?)),
        None => Transport(Box::new(tcp)),
    })
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An accepted connection.
struct Transport(Box<dyn Io>);

impl Connected for Transport {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A port that answers whatever comes first with `answer`, and closes.
pub(crate) async fn answer_raw(answer: &'static [u8]) -> SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut first = [0; 1024];
            _ = tcp.read(&mut first).await;
            _ = tcp.write_all(answer).await;
        }
    });
    address
}
