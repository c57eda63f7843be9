//! TLS on either side of a hub.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tunnel::tls::{Trust, client_config, server_config};

use super::hub::hub_config;
use super::within;

/// A certificate for `localhost`, its key, and a folder that goes away with them.
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    _folder: TempDir,
}

/// Whom it is for.
const HOSTS: [&str; 2] = ["localhost", "nobody.localhost"];

impl Certificate {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let certificate = Self { cert, key, _folder: folder };
        certificate.renew();
        certificate
    }

    /// Puts another into the same files.
    pub(crate) fn renew(&self) {
        let made = rcgen::generate_simple_self_signed(HOSTS.map(str::to_owned)).unwrap();
        std::fs::write(&self.cert, made.cert.pem()).unwrap();
        std::fs::write(&self.key, made.signing_key.serialize_pem()).unwrap();
    }

    /// Of a hub that shows it, and reads it anew.
    pub(crate) fn config(&self) -> hub::Config {
        let tls = Some(self.server(&[b"h2", b"http/1.1"]));
        let key_files =
            hub::KeyFiles { tls: Some((self.cert.clone(), self.key.clone())), auth: None };
        hub::Config { keys: hub::Keys { tls, auth: hub::Auth::Open }, key_files, ..hub_config() }
    }

    pub(crate) fn server(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        server_config(&self.cert, &self.key, alpn).unwrap()
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::CaFile(self.cert.clone())
    }

    fn client(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        client_config(&self.trust(), alpn).unwrap()
    }

    /// Connects and shakes hands.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_as("localhost", address, alpn).await
    }

    /// The same for this host.
    pub(crate) async fn connect_as(
        &self,
        host: &'static str,
        address: SocketAddr,
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(address).await.expect("connected");
        let connector = TlsConnector::from(self.client(alpn));
        let name = host.try_into().unwrap();
        within("a TLS handshake", connector.connect(name, tcp)).await
    }
}
