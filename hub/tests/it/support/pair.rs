//! A client and an upstream that write their frames by hand, and a hub between them.

use tunnel::lanes::ResetCode;
use tunnel::wire::Control;

use super::frames::END_STREAM;
use super::hub::Hub;
use super::peer::{Broken, Peer, Settings};
use super::raw_agent::{Delivered, RawAgent};
use super::within;

/// Both ends of what a hub splices.
pub(crate) struct Pair {
    pub(crate) client: Peer,
    /// The server at the other end of the client's lane, the only one of its name.
    pub(crate) upstream: Peer,
}

impl Pair {
    /// Registers `name` at a hub, and connects.
    pub(crate) async fn start(hub: &Hub, name: &str, client: Settings, upstream: Settings) -> Self {
        Self::start_with(hub, name, client, upstream, ResetCode::TooMany).await
    }

    /// `further` is what the hub is told that wants another lane.
    pub(crate) async fn start_with(
        hub: &Hub,
        name: &str,
        client: Settings,
        upstream: Settings,
        further: ResetCode,
    ) -> Self {
        let agent = RawAgent::register(hub, name, "by-hand", "0").await;
        let (lanes, mut control) = agent.into_lanes();
        let (lane, _) = within("a lane", lanes.accept()).await.expect("a session");
        tokio::spawn(async move {
            while let Some((lane, _)) = lanes.accept().await {
                lane.reset(further, "one lane is all there is");
            }
        });
        let upstream = Peer::server(Delivered(lane), upstream).await;
        let registered = within("the agent shown", control.recv()).await;
        assert_eq!(registered, Some(Control::Registered));
        Self { client: Peer::client(hub.address, client).await, upstream }
    }

    /// Makes a call that the upstream answers at once.
    pub(crate) async fn call(&mut self, stream: u32, name: &str) {
        let path = format!("/a.B/Call{stream}");
        self.client.call(stream, name, &path, END_STREAM);
        self.client.flush().await;
        let at_upstream = self.upstream.request(&path).await;
        self.upstream.answer(at_upstream);
        self.upstream.flush().await;
        self.client.until("an answer", |client| client.heard(stream).ended).await;
        let status = ("grpc-status".to_owned(), "0".to_owned());
        let head = self.client.heard(stream).head.as_ref().expect("a head");
        assert!(head.contains(&status), "{head:?}");
    }

    /// Hears one frame from either side.
    pub(crate) async fn hear(&mut self) -> Result<(), Broken> {
        tokio::select! {
            heard = self.client.hear() => heard.map_err(|broken| format!("client side: {broken}")),
            heard = self.upstream.hear() => heard.map_err(|broken| format!("agent side: {broken}")),
        }
    }
}
