//! A hub on ports of its own.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use agent::HubUri;
use hub::{Config, Listeners};
use hub_proto::grpc::health::v1::HealthCheckRequest;
use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::health_client::HealthClient;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::admin;
use super::client::Client;
use super::grpc::with_token;
use super::within;

/// A running hub; it ends with the test at the latest.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<io::Result<()>>,
}

/// The configuration of most hubs here: nobody waits for who is not there.
pub(crate) fn hub_config() -> Config {
    let park_timeout = Duration::ZERO;
    Config { workers: NonZeroUsize::new(2).unwrap(), park_timeout, ..Config::default() }
}

/// In one process with others, no signal tells a hub to read its files anew: `POST /reload` does.
async fn never() {
    std::future::pending().await
}

impl Hub {
    pub(crate) async fn start() -> Self {
        Self::start_with(hub_config()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), config).await
    }

    pub(crate) async fn start_at(address: SocketAddr, config: Config) -> Self {
        Self::start_on(address, None, config).await
    }

    /// With a listener for other hubs, which know its address.
    pub(crate) async fn start_on(
        address: SocketAddr,
        peers: Option<TcpListener>,
        config: Config,
    ) -> Self {
        let public = TcpListener::bind(address).await.expect("a free port");
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (public.local_addr().unwrap(), admin.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let listeners = Listeners { public, admin: Some(admin), peers, shares_port: false };
        let running =
            tokio::spawn(hub::run(listeners, config, never, async { drop(stopped.await) }));
        Self { address: addresses.0, admin: addresses.1, stop: Some(stop), running }
    }

    /// Asks it to stop.
    pub(crate) fn drain(&mut self) {
        self.stop.take();
    }

    /// Waits until it has stopped.
    pub(crate) async fn ended(&mut self) {
        let ended = within("the hub to stop", &mut self.running).await;
        ended.expect("no panic").expect("no failure");
    }

    /// Where agents find it.
    pub(crate) fn uri(&self) -> HubUri {
        format!("ws://{}/ws", self.address).parse().unwrap()
    }

    /// A raw client.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A connection for tonic's clients.
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        within("a connection", endpoint.connect()).await.expect("connected")
    }

    /// Waits until calls for `name` can be served.
    pub(crate) async fn until_serving(&self, name: &str) {
        self.until(name, ServingStatus::Serving, None).await;
    }

    /// Waits until calls for `name` can be served no more.
    pub(crate) async fn until_offline(&self, name: &str) {
        self.until(name, ServingStatus::NotServing, None).await;
    }

    /// Waits until the name has this status, as a caller with `token` sees it.
    pub(crate) async fn until(&self, name: &str, status: ServingStatus, token: Option<&str>) {
        let mut health = HealthClient::new(self.channel().await);
        let request = with_token(HealthCheckRequest { service: name.into() }, token);
        let watched = within("a watch", health.watch(request)).await.expect("a watch");
        let mut watched = watched.into_inner();
        let seen = async {
            while watched.message().await?.expect("a watch without an end").status() != status {}
            Ok::<_, Status>(())
        };
        within(status.as_str_name(), seen).await.expect("a watch");
    }

    /// Has it read its files anew. Returns the status, and what it says.
    pub(crate) async fn reload(&self) -> (u16, String) {
        admin::ask(self.admin, "POST", "/reload").await
    }

    /// The value of one line of `/metrics`; 0 where there is none.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        admin::metric(self.admin, line).await
    }
}
