//! Relays between a lane and an upstream, both in memory, with paused time.

use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tunnel::lanes::{LaneEnd, Lanes};
use tunnel::limits::{LANE_FIRST_CREDIT, LANE_GROWS_BY, LANE_QUEUE};
use tunnel::wire::CloseCode;

use super::*;
use crate::limits::{RELAY_BUFFER, RELAY_WRITE};
use crate::metrics::Metrics;
use crate::standing::Seen;
use crate::tests::{lane as open_lane, session, soon};

/// Bytes that the upstream's socket takes before it is read.
const SOCKET: usize = 100;

struct Scene {
    hub: Lane,
    upstream: DuplexStream,
    relay: JoinHandle<RelayEnd>,
    metrics: Metrics,
    sessions: (Lanes, Lanes),
    start: Instant,
}

impl Scene {
    async fn start() -> Self {
        let (ours, upstream) = duplex(SOCKET);
        Self::start_with(ours, upstream).await
    }

    async fn start_with<U>(mut ours: U, upstream: DuplexStream) -> Self
    where
        U: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let sessions = session();
        let (hub, mut lane) = open_lane(&sessions).await;
        let metrics = Metrics::new();
        let meters = metrics.of_name("testserver").meters();
        let relay = tokio::spawn(async move {
            let end = relay(&mut lane, &mut ours, meters).await;
            if end == RelayEnd::Upstream {
                ignore(lane).await;
            }
            end
        });
        Self { hub, upstream, relay, metrics, sessions, start: Instant::now() }
    }

    /// Bytes that were counted until now.
    fn counted(&self, direction: &str) -> usize {
        let text = self.metrics.render(&Seen::default());
        let series =
            format!("agent_relayed_bytes_total{{name=\"testserver\",direction=\"{direction}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.expect("a counter").parse().expect("a number")
    }

    async fn upstream_says(&mut self, bytes: &[u8]) {
        self.upstream.write_all(bytes).await.expect("taken");
    }

    async fn upstream_hears(&mut self, bytes: usize) -> Vec<u8> {
        let mut heard = vec![0; bytes];
        soon(self.upstream.read_exact(&mut heard)).await.expect("so much");
        heard
    }

    /// All that the hub hears, and how the lane ended.
    async fn hub_hears_all(&mut self) -> (Vec<u8>, LaneEnd) {
        let mut heard = Vec::new();
        soon(self.hub.read_to_end(&mut heard)).await.expect("no reset");
        (heard, self.hub.status().end().expect("over").clone())
    }

    /// The relay's end, and that of its connection to the upstream.
    async fn over(mut self) -> RelayEnd {
        soon(self.upstream.read_to_end(&mut Vec::new())).await.expect("closed");
        soon(self.relay).await.expect("no panic")
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 251 + at) as u8).collect()
}

#[tokio::test(start_paused = true)]
async fn the_hub_ends_a_lane() {
    let mut scene = Scene::start().await;
    let request = pattern(1 << 20);
    scene.upstream_says(b"hello").await;
    let says = async {
        scene.hub.write_all(&request).await.expect("written");
        scene.hub.shutdown().await.expect("finished");
    };
    let mut heard = Vec::new();
    let hears = soon(scene.upstream.read_to_end(&mut heard));
    tokio::join!(says, hears).1.expect("an orderly end");
    assert!(heard == request, "{} of {}", heard.len(), request.len());
    scene.upstream_says(b", and goodbye").await;
    scene.upstream.shutdown().await.expect("hung up");
    let (heard, end) = scene.hub_hears_all().await;
    assert_eq!(heard, b"hello, and goodbye");
    assert_eq!(end, LaneEnd::Finished { delivered: 1 << 20 });
    assert_eq!(soon(scene.relay).await.expect("no panic"), RelayEnd::Hub);
    assert!(scene.start.elapsed() < LANE_AFTER_HUB, "nobody waits for a timer");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_does_not_end_is_left() {
    let mut scene = Scene::start().await;
    scene.hub.shutdown().await.expect("finished");
    let start = scene.start;
    let (heard, end) = scene.hub_hears_all().await;
    assert_eq!((heard.len(), end), (0, LaneEnd::Finished { delivered: 0 }));
    assert_eq!(scene.over().await, RelayEnd::Hub);
    assert_eq!(start.elapsed().as_secs(), LANE_AFTER_HUB.as_secs());
}

/// It may have hung up as it read the first byte, so that what the socket took still counts as delivered.
#[tokio::test(start_paused = true)]
async fn what_the_upstream_was_sent_before_its_end_is_told() {
    let mut scene = Scene::start().await;
    scene.hub.write_all(&pattern(1000)).await.expect("written");
    scene.upstream_hears(50).await;
    let last_words = pattern(500);
    scene.upstream_says(&last_words).await;
    scene.upstream.shutdown().await.expect("hung up");
    let (heard, end) = scene.hub_hears_all().await;
    assert!(heard == last_words);
    assert_eq!(end, LaneEnd::Finished { delivered: 50 + SOCKET as u64 });
    // Nothing more is written to it, though it could take more; what the hub still says is for nobody.
    scene.hub.write_all(&pattern(100_000)).await.expect("taken");
    scene.upstream_hears(SOCKET).await;
    assert_eq!(scene.upstream.read(&mut [0]).await.expect("an orderly end"), 0);
    scene.hub.shutdown().await.expect("finished");
    assert_eq!(scene.over().await, RelayEnd::Upstream);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_has_ended_is_sent_nothing() {
    let (mut ours, mut upstream) = duplex(SOCKET);
    upstream.shutdown().await.expect("hung up");
    let sessions = session();
    let (mut hub, mut lane) = open_lane(&sessions).await;
    hub.write_all(b"a call").await.expect("written");
    // What comes later on another lane shows that it is there before the relay looks at either side.
    let (mut marks, mut mark) = open_lane(&sessions).await;
    marks.write_all(b"x").await.expect("written");
    mark.read_exact(&mut [0]).await.expect("the mark");
    let meters = Metrics::new().of_name("testserver").meters();
    assert_eq!(soon(relay(&mut lane, &mut ours, meters)).await, RelayEnd::Upstream);
    assert_eq!(hub.read(&mut [0]).await.expect("an orderly end"), 0);
    assert_eq!(hub.status().end(), Some(&LaneEnd::Finished { delivered: 0 }));
    drop(ours);
    assert_eq!(upstream.read(&mut [0]).await.expect("closed"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_goes_on_is_not_listened_to_for_ever() {
    let mut scene = Scene::start().await;
    scene.upstream.shutdown().await.expect("hung up");
    scene.hub_hears_all().await;
    let Scene { relay, start, hub, .. } = scene;
    assert_eq!(soon(relay).await.expect("no panic"), RelayEnd::Upstream);
    assert_eq!(start.elapsed().as_secs(), LANE_AFTER_UPSTREAM.as_secs());
    drop(hub);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_no_more_may_say_why() {
    let (ours, mut upstream) = duplex(SOCKET);
    let (deaf, _) = duplex(SOCKET);
    upstream.write_all(b"go away").await.expect("taken");
    let mut scene = Scene::start_with(tokio::io::join(ours, deaf), upstream).await;
    scene.hub.write_all(b"a call").await.expect("written");
    let (heard, end) = scene.hub_hears_all().await;
    assert_eq!((&heard[..], end), (&b"go away"[..], LaneEnd::Finished { delivered: 0 }));
    drop(scene.hub);
    assert_eq!(soon(scene.relay).await.expect("no panic"), RelayEnd::Upstream);
}

#[tokio::test(start_paused = true)]
async fn a_reset_closes_the_upstream_though_it_takes_nothing() {
    let Scene { mut hub, mut upstream, relay, start, .. } = Scene::start().await;
    hub.write_all(&pattern(1000)).await.expect("written");
    upstream.read_exact(&mut [0]).await.expect("it has begun");
    drop(hub);
    assert_eq!(soon(relay).await.expect("no panic"), RelayEnd::Hub);
    assert_eq!(upstream.read_to_end(&mut Vec::new()).await.expect("closed"), SOCKET);
    assert!(start.elapsed() < LANE_AFTER_HUB, "nobody waits for a timer");
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_closes_the_upstream() {
    let scene = Scene::start().await;
    scene.sessions.0.ws().close(CloseCode::GoingAway, "");
    assert_eq!(scene.over().await, RelayEnd::Hub);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_reads_nothing_stops_one_direction_alone() {
    let Scene { mut hub, upstream, .. } = Scene::start().await;
    let (mut hears, mut says) = tokio::io::split(upstream);
    let told = tokio::spawn(async move {
        let mut told = 0;
        let say = async {
            loop {
                told += says.write(&[0; SOCKET]).await.expect("open");
            }
        };
        let _ = timeout(LANE_AFTER_HUB, say).await;
        told
    });
    let request = pattern(200_000);
    let mut heard = vec![0; request.len()];
    let (written, read) = tokio::join!(hub.write_all(&request), soon(hears.read_exact(&mut heard)));
    written.expect("written");
    read.expect("heard");
    assert!(heard == request);
    let most = LANE_FIRST_CREDIT as usize + LANE_QUEUE + RELAY_BUFFER + SOCKET;
    let told = told.await.expect("no panic");
    assert!((LANE_FIRST_CREDIT as usize..=most).contains(&told), "{told}");
}

/// Its lane may have grown meanwhile, for it was read so fast at first.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_nothing_stops_the_hub() {
    let mut scene = Scene::start().await;
    let window = (LANE_GROWS_BY * LANE_FIRST_CREDIT) as usize;
    let most = window + LANE_QUEUE + RELAY_WRITE + SOCKET;
    let mut told = 0;
    while told <= most
        && let Ok(written) = timeout(LANE_AFTER_HUB, scene.hub.write(&[0; 10_000])).await
    {
        told += written.expect("open");
    }
    assert!((LANE_FIRST_CREDIT as usize..=most).contains(&told), "{told}");
    assert!(scene.counted("request") <= RELAY_WRITE + SOCKET, "{}", scene.counted("request"));
}

/// Not only once a lane has nothing more to say.
#[tokio::test(start_paused = true)]
async fn what_waits_for_who_takes_nothing_is_counted() {
    let (ours, upstream) = duplex(1 << 20);
    let mut scene = Scene::start_with(ours, upstream).await;
    // More than the lane takes: what is read last waits for the hub.
    scene.upstream_says(&pattern(200_000)).await;
    sleep(LANE_AFTER_HUB).await;
    assert!(scene.counted("response") >= LANE_FIRST_CREDIT as usize);

    let mut scene = Scene::start().await;
    scene.hub.write_all(&pattern(3 * SOCKET)).await.expect("written");
    scene.upstream_hears(1).await;
    sleep(LANE_AFTER_HUB).await;
    assert_eq!(scene.counted("request"), 3 * SOCKET);
}
