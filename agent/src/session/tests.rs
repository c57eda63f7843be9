//! A session's conversation with its hub, in memory, with paused time.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role as WsRole;
use tunnel::box_io::BoxIo;
use tunnel::wire::{CloseCode, Control};

use super::*;
use crate::succession::Predecessor;
use crate::tests::{agent, services, soon};
use crate::upstream::UpstreamError;

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

struct Scene {
    hub: WebSocketStream<DuplexStream>,
    agent: Arc<Shared>,
    news: mpsc::Receiver<News>,
    session: JoinHandle<Over>,
}

impl Scene {
    /// Of an agent whose upstream is there, or not.
    async fn start(up: bool) -> Self {
        let agent = Arc::new(agent(services(), 4));
        if !up {
            agent.reaches[0].monitor.failed(&UpstreamError::Timeout, &"upstream");
        }
        Self::of(agent).await
    }

    /// Of an agent whose sessions are to be no older than a minute.
    async fn ageing(sessions: u16) -> Self {
        let mut config = agent(services(), 4).config;
        config.max_session_age = Some(MINUTE);
        config.sessions = Some(sessions);
        Self::of(Arc::new(Shared::new(config).expect("no files are read"))).await
    }

    async fn of(agent: Arc<Shared>) -> Self {
        let (ours, hub) = duplex(1 << 16);
        let dialled = Dialled {
            hub: agent.config.hubs.first().clone(),
            io: Box::new(ours) as BoxIo,
            read: Bytes::new(),
            session: "s1".into(),
            advised: 1,
            node: "n1".into(),
            hubs: 1,
            keepalive: agent.config.keepalive(None),
            places: agent.max_lanes.subscribe(),
        };
        let (told, news) = mpsc::channel(2);
        let session = tokio::spawn(serve(dialled, 0, agent.clone(), told));
        let hub = WebSocketStream::from_raw_socket(hub, WsRole::Server, None).await;
        Self { hub, agent, news, session }
    }

    /// Answers pings until the session is to be replaced.
    async fn until_leaving(&mut self) -> Predecessor {
        let leaves = async {
            loop {
                tokio::select! {
                    news = self.news.recv() => match news.expect("it runs") {
                        News::Registered => {}
                        News::Crowded(_) => panic!("there is one hub"),
                        News::Leaving(predecessor) => return predecessor,
                    },
                    said = self.hub.next() => match said.expect("open").expect("valid") {
                        Message::Ping(_) => {}
                        other => panic!("{other:?}"),
                    },
                }
            }
        };
        timeout(2 * MINUTE, leaves).await.expect("it never leaves")
    }

    /// Cuts the connection, and waits until that was noticed.
    async fn lose(self) {
        drop(self.hub);
        soon(self.session).await.expect("no panic");
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
        self.hub.send(Message::text(control.to_text())).await.expect("open");
    }
}

#[tokio::test(start_paused = true)]
async fn the_hub_hears_how_many_lanes_there_may_be_from_now_on() {
    let mut scene = Scene::start(true).await;
    scene.agent.max_lanes.send_replace(NonZeroU32::new(7).expect("some"));
    assert_eq!(scene.said().await, Control::MaxLanes { max: 7 }.to_text());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_begins_while_the_upstream_is_away_says_so() {
    let mut scene = Scene::start(false).await;
    assert_eq!(scene.said().await, Control::Upstream { up: false, nth: 0 }.to_text());
}

#[tokio::test(start_paused = true)]
async fn each_upstream_is_told_of_and_heard_of_by_its_number() {
    let mut config = agent(services(), 4).config;
    let mut other = config.first.clone();
    other.name = "other".parse().expect("a name");
    config.others = vec![other];
    let mut scene = Scene::of(Arc::new(Shared::new(config).expect("no files are read"))).await;
    scene.agent.reaches[1].monitor.failed(&UpstreamError::Timeout, &"upstream");
    assert_eq!(scene.said().await, Control::Upstream { up: false, nth: 1 }.to_text());
    // Of one that there is not, nothing.
    for nth in [2, 0] {
        scene.say(Control::NotHttp2 { nth, silent: false }).await;
    }
    assert_eq!(scene.said().await, Control::Upstream { up: false, nth: 0 }.to_text());
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_upstream_and_agent_is_told() {
    let mut scene = Scene::start(true).await;
    scene.say(Control::Registered).await;
    scene.agent.reaches[0].monitor.failed(&UpstreamError::Timeout, &"upstream");
    assert_eq!(scene.said().await, Control::Upstream { up: false, nth: 0 }.to_text());
    scene.agent.stop.cancel();
    assert_eq!(scene.said().await, Control::Drain.to_text());
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
    let predecessor = scene.until_leaving().await;
    assert!(!predecessor.is_old() && predecessor.lives());
    scene.agent.reaches[0].monitor.failed(&UpstreamError::Timeout, &"upstream");
    assert_eq!(scene.said().await, Control::Upstream { up: false, nth: 0 }.to_text());
    predecessor.succeeded();
    assert_eq!(scene.said().await, Control::Moved.to_text());
    scene.hub.close(None).await.expect("open");
    while scene.hub.next().await.is_some() {}
    let over = soon(scene.session).await.expect("no panic");
    assert!(matches!(over.ended, Some(Ended::ByPeer { .. })), "{:?}", over.ended);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_stops_has_not_moved() {
    let mut scene = Scene::start(true).await;
    scene.say(Control::Drain).await;
    drop(scene.until_leaving().await);
    scene.agent.stop.cancel();
    assert_eq!(scene.said().await, Control::Drain.to_text());
}

#[tokio::test(start_paused = true)]
async fn an_old_session_drains_once_it_has_a_successor() {
    let (mut scene, start) = (Scene::ageing(1).await, Instant::now());
    let predecessor = scene.until_leaving().await;
    assert!(predecessor.is_old());
    let age = start.elapsed();
    assert!(age >= MINUTE.mul_f64(0.8) && age <= MINUTE.mul_f64(0.95) + MILLISECOND, "{age:?}");
    // Until then it takes calls: it has said nothing.
    timeout(MINUTE / 120, scene.said()).await.expect_err("it goes on");
    predecessor.succeeded();
    assert_eq!(scene.said().await, Control::Drain.to_text());
}

#[tokio::test(start_paused = true)]
async fn an_old_session_that_the_hub_drains_too_has_moved() {
    for hub_is_first in [true, false] {
        let mut scene = Scene::ageing(1).await;
        let predecessor = scene.until_leaving().await;
        if hub_is_first {
            scene.say(Control::Drain).await;
            scene.hub.send(Message::Ping("heard?".into())).await.expect("open");
            while !matches!(soon(scene.hub.next()).await, Some(Ok(Message::Pong(_)))) {}
            predecessor.succeeded();
        } else {
            predecessor.succeeded();
            assert_eq!(scene.said().await, Control::Drain.to_text());
            scene.say(Control::Drain).await;
        }
        assert_eq!(scene.said().await, Control::Moved.to_text());
    }
}

/// With so many, each has one number only, and the hub ends whoever has it but for those that drain.
#[tokio::test(start_paused = true)]
async fn an_old_one_of_many_sessions_drains_at_once() {
    let mut scene = Scene::ageing(64).await;
    assert_eq!(scene.said().await, Control::Drain.to_text());
    assert!(scene.until_leaving().await.is_old());
}

#[tokio::test(start_paused = true)]
async fn old_sessions_of_an_agent_are_replaced_one_at_a_time() {
    let mut one = Scene::ageing(2).await;
    let mut other = Scene::of(one.agent.clone()).await;
    let (first, is_one) = tokio::select! {
        first = one.until_leaving() => (first, true),
        first = other.until_leaving() => (first, false),
    };
    let second = if is_one { &mut other } else { &mut one };
    timeout(MINUTE / 4, second.until_leaving()).await.expect_err("it is the other's turn");
    first.succeeded();
    timeout(MILLISECOND, second.until_leaving()).await.expect("it is old");
}

/// A hub that drains asks all sessions to leave: none of them keeps its turn.
#[tokio::test(start_paused = true)]
async fn who_leaves_for_its_hub_takes_no_turn() {
    let mut one = Scene::ageing(2).await;
    let another = one.agent.turns.take().await;
    tokio::time::advance(MINUTE).await;
    timeout(MILLISECOND, one.until_leaving()).await.expect_err("it is another's turn");
    one.say(Control::Drain).await;
    assert!(!one.until_leaving().await.is_old());
    drop(another);
    timeout(MILLISECOND, one.agent.turns.take()).await.expect("nobody's turn");
}

#[tokio::test(start_paused = true)]
async fn the_age_at_which_sessions_are_lost_is_learned() {
    let mut scene = Scene::start(true).await;
    let agent = scene.agent.clone();
    for _ in 0..2 {
        timeout(MINUTE, scene.until_leaving()).await.expect_err("nothing is known");
        scene.lose().await;
        scene = Scene::of(agent.clone()).await;
    }
    let start = Instant::now();
    assert!(scene.until_leaving().await.is_old());
    assert!(start.elapsed() <= MINUTE.mul_f64(0.95) + MILLISECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_age_that_a_session_outlives_is_forgotten() {
    let mut old = Scene::start(true).await;
    let agent = old.agent.clone();
    for is_known in [false, false, true] {
        let mut scene = Scene::of(agent.clone()).await;
        let one_leaves = async {
            tokio::select! {
                _ = scene.until_leaving() => {}
                _ = old.until_leaving() => {}
            }
        };
        let what = if is_known { "it was no rule" } else { "nothing is known" };
        timeout(MINUTE, one_leaves).await.expect_err(what);
        scene.lose().await;
    }
}

/// It says so first.
#[tokio::test(start_paused = true)]
async fn what_a_hub_ends_on_purpose_has_no_greatest_age() {
    let mut scene = Scene::start(true).await;
    let agent = scene.agent.clone();
    for _ in 0..3 {
        timeout(MINUTE, scene.until_leaving()).await.expect_err("nothing is known");
        scene.say(Control::Drain).await;
        scene.until_leaving().await;
        scene.lose().await;
        scene = Scene::of(agent.clone()).await;
    }
    timeout(MINUTE, scene.until_leaving()).await.expect_err("nothing is known");
}
