//! What a session and its hub say to each other beside data.

use std::num::NonZeroU32;
use std::pin::Pin;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{StreamExt as _, StreamMap};
use tunnel::lanes::Lanes;
use tunnel::wire::{CloseCode, Control};
use tunnel::ws::Handle;

use super::about::About;
use super::accepted;
use crate::standing::Connected;
use crate::succession::{News, Predecessor, Turn};

/// The agent's side of it, and how far it is.
pub(super) struct Conversation<'s> {
    about: &'s About,
    connected: Connected<'s>,
    lanes: &'s Lanes,
    ws: &'s Handle,
    news: mpsc::Sender<News>,
    is_registered: bool,
    /// The hub has asked for no more than what runs, and waits until the agent is elsewhere.
    hub_drains: bool,
    /// The agent has asked for no more.
    drains: bool,
    is_cut: bool,
    /// Its slot dials a successor, or is asked to.
    is_leaving: bool,
    /// Tells when that is registered.
    succeeded: Option<oneshot::Receiver<()>>,
    has_successor: bool,
    /// Resolves in the session's turn to be replaced because of its age.
    grows_old: Option<Pin<Box<dyn Future<Output = Turn> + Send>>>,
    /// Resolves when the session had better be at another hub.
    is_crowded: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<'s> Conversation<'s> {
    pub(super) fn new(
        about: &'s About,
        connected: Connected<'s>,
        lanes: &'s Lanes,
        news: mpsc::Sender<News>,
    ) -> Self {
        let (agent, began, random) = (about.agent.clone(), about.began, fastrand::f64());
        let grows_old = async move {
            agent.age.is_near(began, random).await;
            agent.turns.take().await
        };
        Self {
            about,
            connected,
            lanes,
            ws: lanes.ws(),
            news,
            is_registered: false,
            hub_drains: false,
            drains: false,
            is_cut: false,
            is_leaving: false,
            succeeded: None,
            has_successor: false,
            grows_old: Some(Box::pin(grows_old)),
            is_crowded: crowded(about),
        }
    }

    /// Whether the session was to end.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Listens to what the hub says, and tells it what becomes of the agent and its upstream. Ends with the session only.
    pub(super) async fn run(
        &mut self,
        mut control: mpsc::Receiver<Control>,
        mut places: watch::Receiver<NonZeroU32>,
    ) {
        let agent = &self.about.agent;
        let mut upstreams = StreamMap::new();
        for (nth, reach) in (0..).zip(&agent.reaches) {
            let mut up = reach.monitor.watch();
            if !*up.borrow_and_update() {
                self.ws.send(Control::Upstream { up: false, nth });
            }
            upstreams.insert(nth, WatchStream::from_changes(up));
        }
        loop {
            tokio::select! {
                Some(said) = control.recv() => self.hear(said),
                // The monitors live as long as the agent.
                Some((nth, up)) = upstreams.next() => self.ws.send(Control::Upstream { up, nth }),
                Ok(()) = places.changed() => self.takes(*places.borrow_and_update()),
                turn = pending(&mut self.grows_old) => self.is_old(turn),
                () = pending(&mut self.is_crowded), if self.is_registered => self.looks_elsewhere(),
                is_registered = succeeded(&mut self.succeeded) => self.succeeded(is_registered),
                () = agent.stop.cancelled(), if !self.drains => {
                    (self.grows_old, self.is_crowded) = (None, None);
                    self.drain();
                }
                () = agent.cut.cancelled(), if !self.is_cut => {
                    self.ws.close(CloseCode::GoingAway, "the agent is stopping");
                    self.is_cut = true;
                }
            }
        }
    }

    fn hear(&mut self, said: Control) {
        match said {
            Control::Registered if !self.is_registered => {
                self.is_registered = true;
                self.connected.registered();
                self.about.log("registered");
                self.tell(News::Registered);
            }
            // A second request changes nothing.
            Control::Drain if !self.hub_drains => {
                self.hub_drains = true;
                self.connected.draining();
                self.about.agent.hubs.leaves(&self.about.node);
                self.about.log("draining: the hub opens no new lanes on this session");
                self.tell_moved();
                self.leave(None);
            }
            Control::HubPeers(hubs) => {
                let About { agent, node, hub, .. } = self.about;
                agent.hubs.told(node, hub, hubs.count, &hubs.uris);
            }
            Control::NotHttp2 { nth, silent } => {
                if let Some(reach) = self.about.agent.reaches.get(usize::from(nth)) {
                    reach.found_not_http2(silent);
                }
            }
            _ => {}
        }
    }

    /// The agent takes so many lanes from now on.
    fn takes(&self, max: NonZeroU32) {
        self.lanes.accept_at_most(accepted(max));
        self.ws.send(Control::MaxLanes { max: max.get() });
    }

    fn is_old(&mut self, turn: Turn) {
        self.about.log("replacing the session before it is too old");
        if !self.about.agent.is_paired() {
            // Or the hub would close it for its successor, which has the same number.
            self.drain();
        }
        self.leave(Some(turn));
    }

    /// Asks for a successor, once.
    fn leave(&mut self, turn: Option<Turn>) {
        // Dropped, for a turn that nobody takes would keep others waiting.
        (self.grows_old, self.is_crowded) = (None, None);
        if self.is_leaving {
            return;
        }
        self.is_leaving = true;
        let (predecessor, succeeded) = Predecessor::new(turn);
        // A slot that does not listen any more has begun with a successor already, which is told of otherwise.
        if self.tell(News::Leaving(predecessor)) {
            self.succeeded = Some(succeeded);
        }
    }

    /// Asks for a successor at another hub, if there is one, and stays otherwise.
    fn looks_elsewhere(&mut self) {
        self.is_crowded = None;
        let (predecessor, succeeded) = Predecessor::new(None);
        self.succeeded = Some(succeeded);
        self.tell(News::Crowded(predecessor));
    }

    /// The successor is registered, or there will be none.
    fn succeeded(&mut self, is_registered: bool) {
        self.succeeded = None;
        if !is_registered {
            if !self.is_leaving && !self.drains {
                self.is_crowded = crowded(self.about);
            }
            return;
        }
        (self.is_leaving, self.has_successor) = (true, true);
        (self.grows_old, self.is_crowded) = (None, None);
        self.tell_moved();
        if !self.hub_drains {
            self.drain();
        }
    }

    fn tell_moved(&self) {
        if self.hub_drains && self.has_successor {
            self.ws.send(Control::Moved);
        }
    }

    fn drain(&mut self) {
        if !std::mem::replace(&mut self.drains, true) {
            self.connected.draining();
            self.ws.send(Control::Drain);
        }
    }

    /// The slot listens until the session leaves, or has a successor. Returns whether it does.
    fn tell(&self, news: News) -> bool {
        self.news.try_send(news).is_ok()
    }
}

/// Resolves when the session had better be at another hub. Not one that shares its number with its successor, which would be
/// ended by that.
fn crowded(about: &About) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let (hubs, slot, random) = (about.agent.hubs.clone(), about.slot, fastrand::f64());
    let crowded = async move { hubs.is_crowded(slot, random).await };
    about.agent.is_paired().then(|| Box::pin(crowded) as _)
}

/// Never, where there is nothing to wait for.
async fn pending<T>(awaited: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match awaited {
        Some(awaited) => awaited.await,
        None => std::future::pending().await,
    }
}

async fn succeeded(receiver: &mut Option<oneshot::Receiver<()>>) -> bool {
    match receiver {
        Some(receiver) => receiver.await.is_ok(),
        None => std::future::pending().await,
    }
}
