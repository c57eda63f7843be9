//! Whether the upstream takes connections: told to the hub, which asks other agents of the name while it does not.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{copy, sink};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use tunnel::box_io::BoxIo;

use crate::limits::{
    UPSTREAM_CHECK, UPSTREAM_RETRY, UPSTREAM_RETRY_LONG, UPSTREAM_RETRY_SOON, UPSTREAM_UNFIT,
    UPSTREAM_UNFIT_SOON,
};
use crate::upstream::UpstreamError;

/// One for each name: what ails it under one, such as its certificate, may be no matter under another.
#[derive(Debug)]
pub(crate) struct Monitor {
    up: watch::Sender<bool>,
    /// Why it was not, when that was seen last.
    why_not: Mutex<String>,
    /// It is there, and of no use.
    unfit: AtomicBool,
    connections: Arc<Connections>,
    /// How often the server had ended one when that was last looked into.
    looked: AtomicU64,
}

/// The connections to one server, which several names may share.
#[derive(Debug, Default)]
struct Connections {
    live: AtomicUsize,
    /// How often the server has ended one.
    ended: watch::Sender<u64>,
    /// Dials that are under way.
    dialling: AtomicUsize,
    /// One begins.
    dials: Notify,
}

/// A connection to the upstream, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Live<'c>(&'c Connections);

/// A dial, for as long as it takes.
#[derive(Debug)]
pub(crate) struct Dialling<'c>(&'c Connections);

impl Monitor {
    /// The upstream is there until somebody finds that it is not.
    pub(crate) fn new() -> Self {
        Self::with(Arc::default())
    }

    /// For another name that leads to the same server.
    pub(crate) fn of_same_server(&self) -> Self {
        Self::with(self.connections.clone())
    }

    fn with(connections: Arc<Connections>) -> Self {
        let looked = AtomicU64::new(*connections.ended.borrow());
        let (up, why_not) = (watch::Sender::new(true), Mutex::default());
        Self { up, why_not, unfit: AtomicBool::new(false), connections, looked }
    }

    /// Tells of changes from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// Why the upstream is taken for one that is away, if it is.
    pub(crate) fn why_not_up(&self) -> Option<String> {
        (!*self.up.borrow()).then(|| self.why_not.lock().clone())
    }

    /// A connection was made.
    pub(crate) fn connected(&self) -> Live<'_> {
        self.connections.live.fetch_add(1, Ordering::SeqCst);
        Live(&self.connections)
    }

    /// Whether a connection lives.
    pub(crate) fn is_connected(&self) -> bool {
        self.connections.live.load(Ordering::SeqCst) > 0
    }

    /// The upstream could not be reached.
    pub(crate) fn failed(&self, error: &UpstreamError, upstream: &impl Display) {
        *self.why_not.lock() = format!("the upstream {upstream} is not reachable: {error}");
        if self.up.send_if_modified(|up| std::mem::replace(up, false)) {
            warn!(%upstream, %error, "the upstream is not reachable; dialling it until it is");
        }
    }

    /// The upstream takes connections, and is of no use: as if it were away, for a while. Returns `true` if that is news.
    pub(crate) fn found_unfit(&self, why: &str) -> bool {
        why.clone_into(&mut self.why_not.lock());
        self.unfit.store(true, Ordering::SeqCst);
        self.up.send_if_modified(|up| std::mem::replace(up, false))
    }

    /// Somebody wants to know whether the upstream is there: without a connection, nobody would notice that it has gone.
    pub(crate) fn look(&self) {
        if !self.is_connected() {
            self.ended();
        }
    }

    /// The upstream has ended a connection.
    pub(crate) fn ended(&self) {
        self.connections.ended.send_modify(|times| *times += 1);
    }

    /// The upstream is being dialled, until what this returns is dropped. Nobody needs a sentinel then, and a server that
    /// serves its connections one after the other must not wait for its end.
    pub(crate) fn dials(&self) -> Dialling<'_> {
        self.connections.dialling.fetch_add(1, Ordering::SeqCst);
        self.connections.dials.notify_waiters();
        Dialling(&self.connections)
    }

    /// Watches a connection that carries no lane, a sentinel, for as long as there is no other. Its end tells, as any
    /// other's does.
    pub(crate) async fn keep_watch(&self, mut upstream: BoxIo, live: Live<'_>) {
        let connections = &self.connections;
        let dials = connections.dials.notified();
        let is_dialled = connections.dialling.load(Ordering::SeqCst) > 0;
        if is_dialled || connections.live.load(Ordering::SeqCst) > 1 {
            return;
        }
        let mut nobody = sink();
        tokio::select! {
            _ = copy(&mut upstream, &mut nobody) => {
                drop(live);
                self.ended();
            }
            () = dials => {}
        }
    }

    /// Finds out by itself when the upstream goes away while nobody calls, and when it is back. `dial` connects to it,
    /// and hangs up.
    pub(crate) async fn run<F>(&self, upstream: &impl Display, dial: impl Fn() -> F)
    where
        F: Future<Output = Result<(), UpstreamError>>,
    {
        let (mut up, mut unfit) = (self.watch(), Unfit::default());
        loop {
            if *up.borrow_and_update() {
                tokio::select! {
                    _ = up.changed() => {}
                    () = self.check_when_ended(upstream, &dial) => {}
                }
            } else {
                if self.unfit.load(Ordering::SeqCst) {
                    sleep(unfit.pause(Instant::now())).await;
                }
                self.until_back(upstream, &dial).await;
                if self.unfit.swap(false, Ordering::SeqCst) {
                    info!(%upstream, "trying the upstream again");
                } else {
                    info!(%upstream, "the upstream is reachable again");
                }
                self.up.send_replace(true);
            }
        }
    }

    /// An upstream that ends its last connection may be gone, or may just not like idle ones.
    async fn check_when_ended<F>(&self, upstream: &impl Display, dial: &impl Fn() -> F)
    where
        F: Future<Output = Result<(), UpstreamError>>,
    {
        let mut ended = self.connections.ended.subscribe();
        let looked = self.looked.load(Ordering::SeqCst);
        // The sender lives as long as this.
        if let Ok(times) = ended.wait_for(|times| *times != looked).await {
            self.looked.store(*times, Ordering::SeqCst);
        }
        if self.is_connected() {
            return;
        }
        match dial().await {
            Ok(()) => sleep(UPSTREAM_CHECK).await,
            Err(error) => self.failed(&error, upstream),
        }
    }

    /// Dials until it works.
    async fn until_back<F>(&self, upstream: &impl Display, dial: &impl Fn() -> F)
    where
        F: Future<Output = Result<(), UpstreamError>>,
    {
        let since = Instant::now();
        loop {
            let is_long = since.elapsed() >= UPSTREAM_RETRY_LONG;
            sleep(if is_long { UPSTREAM_RETRY } else { UPSTREAM_RETRY_SOON }).await;
            match dial().await {
                Ok(()) => return,
                Err(error) => self.failed(&error, upstream),
            }
        }
    }
}

/// How long an upstream of no use is left alone: it may only be about to start, or want somebody to change something.
#[derive(Debug, Default)]
struct Unfit {
    last: Option<(Instant, Duration)>,
}

impl Unfit {
    fn pause(&mut self, now: Instant) -> Duration {
        // One that has done well for a while begins anew.
        let lately = self.last.filter(|(until, _)| now < *until + UPSTREAM_UNFIT);
        let pause = lately.map_or(UPSTREAM_UNFIT_SOON, |(_, before)| before * 2);
        let pause = pause.min(UPSTREAM_UNFIT);
        self.last = Some((now + pause, pause));
        pause
    }
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        self.0.dialling.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio::time::timeout;

    use super::*;

    const UPSTREAM: &str = "http://upstream";
    const SECOND: Duration = Duration::from_secs(1);

    /// An upstream that is there or not, and when it was dialled.
    struct Scene {
        monitor: Monitor,
        is_there: Cell<bool>,
        start: Instant,
        dialled: RefCell<Vec<u64>>,
    }

    impl Scene {
        fn new() -> Self {
            let (monitor, is_there) = (Monitor::new(), Cell::new(false));
            Self { monitor, is_there, start: Instant::now(), dialled: RefCell::default() }
        }

        async fn dial(&self) -> Result<(), UpstreamError> {
            self.dialled.borrow_mut().push(self.start.elapsed().as_secs());
            if self.is_there.get() { Ok(()) } else { Err(UpstreamError::Timeout) }
        }

        /// Lets the monitor work for so long.
        async fn pass(&self, time: Duration) {
            let run = self.monitor.run(&UPSTREAM, || self.dial());
            timeout(time, run).await.expect_err("it never ends");
        }

        fn is_up(&self) -> bool {
            *self.monitor.watch().borrow()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_is_away_is_dialled_each_second_and_later_less() {
        let scene = Scene::new();
        scene.monitor.failed(&UpstreamError::Timeout, &UPSTREAM);
        scene.pass(71 * SECOND).await;
        let each_second: Vec<_> = (1..=60).chain([65, 70]).collect();
        assert_eq!(*scene.dialled.borrow(), each_second);
        assert!(!scene.is_up());
        scene.is_there.set(true);
        scene.pass(2 * SECOND).await;
        assert!(scene.is_up());
    }

    /// Each time that it is tried, the hub finds the same.
    #[tokio::test(start_paused = true)]
    async fn an_upstream_of_no_use_is_left_alone_for_longer_and_longer() {
        let scene = Scene::new();
        scene.is_there.set(true);
        assert!(scene.monitor.found_unfit("why"));
        assert!(!scene.monitor.found_unfit("why"), "each session tells");
        let mut up = scene.monitor.watch();
        let finds = async {
            while up.changed().await.is_ok() {
                if *up.borrow_and_update() && scene.start.elapsed() < 150 * SECOND {
                    scene.monitor.found_unfit("why");
                }
            }
        };
        tokio::select! {
            () = finds => {}
            () = scene.pass(300 * SECOND) => {}
        }
        // A second until it is dialled comes on top of each.
        assert_eq!(*scene.dialled.borrow(), [2, 5, 10, 19, 36, 67, 98, 129, 160]);
        assert!(scene.is_up());
        // It is not held against it later.
        scene.monitor.failed(&UpstreamError::Timeout, &UPSTREAM);
        scene.pass(2 * SECOND).await;
        assert!(scene.is_up());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_last_connection_is_looked_into() {
        let scene = Scene::new();
        let (one, other) = (scene.monitor.connected(), scene.monitor.connected());
        drop(one);
        scene.monitor.ended();
        scene.pass(SECOND).await;
        assert!(scene.dialled.borrow().is_empty(), "another lives");
        drop(other);
        scene.monitor.ended();
        scene.pass(SECOND / 2).await;
        assert_eq!((scene.dialled.borrow().len(), scene.is_up()), (1, false));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_has_an_upstream_looked_into_that_nobody_has_a_connection_to() {
        let scene = Scene::new();
        let live = scene.monitor.connected();
        scene.monitor.look();
        scene.pass(SECOND).await;
        assert!(scene.dialled.borrow().is_empty(), "its end would tell");
        drop(live);
        scene.monitor.look();
        scene.pass(SECOND / 2).await;
        let why = "the upstream http://upstream is not reachable: no connection within 8s";
        assert_eq!(scene.monitor.why_not_up().as_deref(), Some(why));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sentinel_tells_of_its_end_and_makes_way() {
        let scene = Scene::new();
        let (ours, server) = duplex(64);
        let watched = scene.monitor.keep_watch(Box::new(ours), scene.monitor.connected());
        let hangs_up = async {
            sleep(SECOND).await;
            assert!(scene.monitor.is_connected());
            drop(server);
        };
        tokio::join!(watched, hangs_up);
        scene.pass(SECOND / 2).await;
        assert_eq!((scene.dialled.borrow().len(), scene.is_up()), (1, false));
        let (ours, mut server) = duplex(64);
        let watched = scene.monitor.keep_watch(Box::new(ours), scene.monitor.connected());
        let dials = async { scene.monitor.dials() };
        let (_, dialling) = tokio::join!(watched, dials);
        assert!(!scene.monitor.is_connected());
        assert_eq!(server.read(&mut [0]).await.expect("an orderly end"), 0);
        let (ours, _server) = duplex(64);
        scene.monitor.keep_watch(Box::new(ours), scene.monitor.connected()).await;
        drop(dialling);
        let (_other, (ours, _server)) = (scene.monitor.connected(), duplex(64));
        scene.monitor.keep_watch(Box::new(ours), scene.monitor.connected()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_ends_idle_connections_is_asked_once_a_second() {
        let scene = Scene::new();
        scene.is_there.set(true);
        let ends = async {
            for _ in 0..29 {
                scene.monitor.ended();
                sleep(SECOND / 10).await;
            }
        };
        tokio::select! {
            () = ends => {}
            () = scene.monitor.run(&UPSTREAM, || scene.dial()) => {}
        }
        assert_eq!((scene.dialled.borrow().len(), scene.is_up()), (3, true));
    }
}
