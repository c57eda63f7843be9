//! Several hubs that know each other.

use std::net::SocketAddr;
use std::path::PathBuf;

use hub::{Config, PeerTls, Peering};
use hub_proto::hub::v1::hub_client::HubClient;
use hub_proto::hub::v1::{Client, ListClientsRequest, ListNodesRequest};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::grpc::with_token;
use super::hub::{Hub, hub_config};
use super::until;

/// What all hubs share.
pub(crate) struct Cluster {
    _folder: TempDir,
    token: PathBuf,
    tls: Option<PeerTls>,
    addresses: Vec<SocketAddr>,
    listeners: Vec<Option<TcpListener>>,
}

impl Cluster {
    /// Of so many hubs, none of which has been started.
    pub(crate) async fn new(hubs: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "all hubs").unwrap();
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        for _ in 0..hubs {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            addresses.push(listener.local_addr().unwrap());
            listeners.push(Some(listener));
        }
        Self { _folder: folder, token, tls: None, addresses, listeners }
    }

    /// By TLS.
    pub(crate) fn with_tls(self, tls: PeerTls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Of the same hubs, with another token.
    pub(crate) fn with_token(&self, token: &str) -> Peering {
        let path = self.token.with_file_name("other");
        std::fs::write(&path, token).unwrap();
        Peering { token_file: Some(path), ..self.peering() }
    }

    /// What each of them is told.
    pub(crate) fn peering(&self) -> Peering {
        let host = if self.tls.is_some() { "localhost" } else { "127.0.0.1" };
        let peer = |peer: &SocketAddr| format!("{host}:{}", peer.port()).parse().unwrap();
        let peers = self.addresses.iter().map(peer).collect();
        let (token_file, tls) = (Some(self.token.clone()), self.tls.clone());
        Peering { peers, token_file, tls, ..Peering::default() }
    }

    /// Where others reach a hub.
    pub(crate) fn address(&self, at: usize) -> SocketAddr {
        self.addresses[at]
    }

    /// Starts one, or starts it again.
    pub(crate) async fn start(&mut self, at: usize) -> Hub {
        self.start_with(at, hub_config()).await
    }

    pub(crate) async fn start_with(&mut self, at: usize, config: Config) -> Hub {
        let peering = self.peering();
        self.start_as(at, Config { peering, ..config }).await
    }

    pub(crate) async fn start_as(&mut self, at: usize, config: Config) -> Hub {
        self.start_again(at, "127.0.0.1:0".parse().unwrap(), config).await
    }

    /// At a public address where agents know it.
    pub(crate) async fn start_again(
        &mut self,
        at: usize,
        public: SocketAddr,
        config: Config,
    ) -> Hub {
        let listener = match self.listeners[at].take() {
            Some(listener) => listener,
            None => TcpListener::bind(self.addresses[at]).await.expect("its port"),
        };
        Hub::start_on(public, Some(listener), config).await
    }
}

/// Two hubs, and what they share.
pub(crate) async fn two() -> ([Hub; 2], Cluster) {
    two_with(hub_config()).await
}

/// The same of this configuration.
pub(crate) async fn two_with(config: Config) -> ([Hub; 2], Cluster) {
    let mut cluster = Cluster::new(2).await;
    let first = cluster.start_with(0, config.clone()).await;
    let second = cluster.start_with(1, config).await;
    ([first, second], cluster)
}

/// The agents that a hub lists.
pub(crate) async fn listed(hub: &Hub, token: Option<&str>) -> Vec<Client> {
    let request = with_token(ListClientsRequest::default(), token);
    let page = HubClient::new(hub.channel().await).list_clients(request).await;
    page.expect("a page").into_inner().clients
}

/// The hubs that a hub lists, and how many names each has.
pub(crate) async fn nodes(hub: &Hub) -> Vec<(String, u32)> {
    let request = with_token(ListNodesRequest::default(), None);
    let listed = HubClient::new(hub.channel().await).list_nodes(request).await.expect("a list");
    listed.into_inner().nodes.into_iter().map(|node| (node.id, node.names)).collect()
}

/// Waits until a hub lists as many.
pub(crate) async fn until_listed(hub: &Hub, agents: usize) {
    until("so many agents", async || listed(hub, None).await.len() == agents).await;
}
