//! A hub, an honest agent, and a bystander who calls it.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::{self, SendResponse};
use h2::{RecvStream, client};
use http::{HeaderMap, HeaderValue, Request, Response};
use hub::fuzzing::Hub;
use tokio::io::DuplexStream;
use tokio::time::{Duration, sleep};
use tunnel::bridge;
use tunnel::lanes::{self, Lane, LaneMemory};
use tunnel::limits::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LANES_MAX};
use tunnel::ws::KeepaliveConfig;

use crate::frames;
use crate::peer::Peer;

/// What the agents register.
pub const HONEST: &str = "honest";
pub const HOSTILE: &str = "hostile";
/// What a socket holds.
const SOCKET: usize = 64 << 10;

/// Whom nothing may harm.
pub struct World {
    hub: Hub,
    bystander: SendRequest<Bytes>,
}

impl World {
    /// Starts all but the hub.
    pub async fn start(hub: Hub) -> Self {
        tokio::spawn(serve(register(&hub, HONEST).await));
        let mut builder = client::Builder::new();
        // A hundred small answers in one breath are a flood to h2, and here all that a script may ask for.
        builder.data_frame_budget(usize::MAX);
        let handshake = builder.handshake(connect(&hub)).await;
        let (streams, connection) = handshake.expect("HTTP/2");
        tokio::spawn(connection);
        let world = Self { hub, bystander: streams };
        sleep(Duration::from_millis(1)).await;
        world
    }

    /// A connection that the hub knows nothing of yet.
    pub fn connect(&self) -> DuplexStream {
        connect(&self.hub)
    }

    /// An agent as far as the upgrade.
    pub async fn register(&self, name: &str) -> Peer {
        register(&self.hub, name).await
    }

    /// The bystander calls `name`, and hears how it ends: `grpc-status`, or what came in its place.
    pub fn call(&self, name: &'static str) -> impl Future<Output = String> + use<> {
        let bystander = self.bystander.clone();
        async move {
            match call(bystander, name).await {
                Ok(status) => status.to_str().expect("text").to_owned(),
                Err(error) => error.to_string(),
            }
        }
    }
}

fn connect(hub: &Hub) -> DuplexStream {
    let (ours, hubs) = tokio::io::duplex(SOCKET);
    tokio::spawn(hub.clone().serve(hubs));
    ours
}

async fn register(hub: &Hub, name: &str) -> Peer {
    let mut peer = Peer::new(connect(hub), frames::upgrade(name).as_bytes()).await;
    peer.upgraded().await;
    peer
}

/// Serves a session as an agent whose upstream gives back what it gets.
async fn serve(agent: Peer) {
    let io = agent.into_inner().expect("a connection");
    let keepalive = KeepaliveConfig { interval: KEEPALIVE_INTERVAL, timeout: KEEPALIVE_TIMEOUT };
    let role = lanes::Role::Agent { max_lanes: LANES_MAX.get() as usize };
    let (driver, lanes, _control) =
        lanes::start(io, Bytes::new(), keepalive, role, LaneMemory::ample());
    tokio::spawn(driver);
    while let Some((lane, _)) = lanes.accept().await {
        tokio::spawn(serve_lane(lane));
    }
}

/// Serves one caller, who may be the hostile one.
async fn serve_lane(lane: Lane) {
    let handshake = bridge::server_builder().handshake(lane).await;
    let Ok(mut connection): Result<server::Connection<_, Bytes>, _> = handshake else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(echo(request.into_body(), respond));
    }
}

async fn echo(mut body: RecvStream, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut send = respond.send_response(Response::new(()), false)?;
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        send.send_data(data, false)?;
    }
    send.send_trailers(HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]))
}

const GRPC_STATUS: http::HeaderName = http::HeaderName::from_static("grpc-status");

async fn call(bystander: SendRequest<Bytes>, name: &str) -> Result<HeaderValue, h2::Error> {
    let mut request = Request::post("http://hub/a.B/C").header("name", name);
    request = request.header("content-type", "application/grpc");
    let request = request.body(()).expect("a request");
    let (response, mut send) = bystander.ready().await?.send_request(request, false)?;
    send.send_data(Bytes::from_static(b"hello"), true)?;
    let (head, mut body) = response.await?.into_parts();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    let trailers = body.trailers().await?;
    let trailers = trailers.as_ref().unwrap_or(&head.headers);
    Ok(trailers.get(GRPC_STATUS).cloned().unwrap_or(HeaderValue::from_static("none")))
}
