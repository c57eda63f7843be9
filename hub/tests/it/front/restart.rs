//! A new hub takes the place of an old one at the same port, and no call is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use h2::Reason;
use hub::{ListenAddr, Listeners};
use hub_proto::grpc::health::v1::HealthCheckRequest;
use hub_proto::grpc::health::v1::health_client::HealthClient;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

use crate::support::agent::{Agent, exposed, server};
use crate::support::client::Client;
use crate::support::hub::hub_config;
use crate::support::message::grpc;
use crate::support::upstream::Upstream;
use crate::support::{NAME, within};

/// A hub at a port that it shares.
struct Sharing {
    stop: oneshot::Sender<()>,
    running: JoinHandle<std::io::Result<()>>,
}

impl Sharing {
    /// At this port, or at any; returns it.
    async fn start(port: u16) -> (Self, u16) {
        let address: ListenAddr = format!("127.0.0.1:{port}").parse().unwrap();
        let public = address.bind(true).await.expect("a port that is shared");
        let port = public.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let park_timeout = hub::limits::PARK_TIMEOUT;
        let config = hub::Config { park_timeout, ..hub_config() };
        let listeners = Listeners { public, admin: None, peers: None, shares_port: true };
        let never = async || std::future::pending().await;
        let run = hub::run(listeners, config, never, async { drop(stopped.await) });
        (Self { stop, running: tokio::spawn(run) }, port)
    }

    async fn leaves(self) {
        drop(self.stop);
        within("the hub to stop", self.running).await.unwrap().expect("no failure");
    }
}

/// A call on a connection of its own; one that the hub has not looked at is made again, as gRPC libraries do.
async fn call(port: u16) {
    loop {
        let client = Client::connect(("127.0.0.1", port)).await;
        match client.call(grpc(NAME, "/a.B/C"), b"ping").await {
            Ok(answer) => {
                assert_eq!((answer.grpc_status(), answer.hub_reason()), (Some("0"), None));
                return;
            }
            Err(error) => assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_hub_takes_the_port_over_from_another() {
    let (mut hub, port) = Sharing::start(0).await;
    let upstream = Upstream::listen().await;
    let uri = format!("ws://127.0.0.1:{port}/ws").parse().unwrap();
    let config = agent::Config::new(exposed(server(upstream.address)), uri);
    let _agent = Agent::start(config);
    upstream.all().answer_all(Arc::default());
    let (done, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let calling = async || {
        while !done.load(Ordering::Relaxed) {
            call(port).await;
            calls.fetch_add(1, Ordering::Relaxed);
        }
    };
    let restarts = async {
        for _ in 0..3 {
            let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
            let channel = within("a connection", channel.connect()).await.expect("connected");
            let mut health = HealthClient::new(channel);
            let watch = health.watch(HealthCheckRequest::default());
            let _held = within("a watch", watch).await.expect("a watch");
            let (next, _) = Sharing::start(port).await;
            std::mem::replace(&mut hub, next).leaves().await;
            let before = calls.load(Ordering::Relaxed);
            while calls.load(Ordering::Relaxed) < before + 100 {
                call(port).await;
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(restarts, calling(), calling(), calling());
    hub.leaves().await;
}
