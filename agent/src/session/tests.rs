//! A session's conversation with its hub, in memory, with paused time.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role as WsRole;
use tunnel::box_io::BoxIo;

use super::*;
use crate::tests::{agent, services, soon};
use crate::upstream::UpstreamError;

struct Scene {
    hub: WebSocketStream<DuplexStream>,
    agent: Arc<Shared>,
    replaced: mpsc::Receiver<()>,
    session: JoinHandle<Over>,
}

impl Scene {
    /// Of an agent whose upstream is there, or not.
    async fn start(up: bool) -> Self {
        let agent = Arc::new(agent(services(), 4));
        if !up {
            agent.monitor.failed(&UpstreamError::Timeout, &"upstream");
        }
        let (ours, hub) = duplex(1 << 16);
        let dialled = Dialled {
            io: Box::new(ours) as BoxIo,
            read: Bytes::new(),
            session: "s1".into(),
            advised: 1,
        };
        let (replace, replaced) = mpsc::channel(1);
        let session = tokio::spawn(serve(dialled, 0, agent.clone(), replace));
        let hub = WebSocketStream::from_raw_socket(hub, WsRole::Server, None).await;
        Self { hub, agent, replaced, session }
    }

    /// What the agent says next, pings aside: a control message, or a close code as a number.
    async fn said(&mut self) -> String {
        let said = async {
            loop {
                match self.hub.next().await.expect("open").expect("valid") {
                    Message::Text(text) => return text.to_string(),
                    Message::Close(Some(close)) => return u16::from(close.code).to_string(),
                    Message::Ping(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        soon(said).await
    }

    async fn say(&mut self, control: Control) {
        self.hub.send(Message::text(control.as_text())).await.expect("open");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_begins_while_the_upstream_is_away_says_so() {
    let mut scene = Scene::start(false).await;
    assert_eq!(scene.said().await, Control::Upstream { up: false }.as_text());
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_upstream_and_agent_is_told() {
    let mut scene = Scene::start(true).await;
    scene.say(Control::Registered).await;
    scene.agent.monitor.failed(&UpstreamError::Timeout, &"upstream");
    assert_eq!(scene.said().await, Control::Upstream { up: false }.as_text());
    scene.agent.stop.cancel();
    assert_eq!(scene.said().await, Control::Drain.as_text());
    scene.agent.cut.cancel();
    assert_eq!(scene.said().await, "1001");
    while scene.hub.next().await.is_some() {}
    let over = soon(scene.session).await.expect("no panic");
    assert!(matches!(over.ended, Some(Ended::ByUs { code: CloseCode::GoingAway, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_drained_has_a_successor_and_goes_on() {
    let mut scene = Scene::start(true).await;
    for _ in 0..2 {
        scene.say(Control::Drain).await;
    }
    scene.replaced.recv().await.expect("asked for");
    scene.agent.monitor.failed(&UpstreamError::Timeout, &"upstream");
    assert_eq!(scene.said().await, Control::Upstream { up: false }.as_text());
    scene.hub.close(None).await.expect("open");
    while scene.hub.next().await.is_some() {}
    let over = soon(scene.session).await.expect("no panic");
    assert!(matches!(over.ended, Some(Ended::ByPeer { .. })), "{:?}", over.ended);
}
