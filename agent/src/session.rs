//! One session: a WebSocket to the hub, whose lanes are served until it ends.

mod about;
mod conversation;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tunnel::lanes::{self, Lanes, Role};
use tunnel::limits::CLOSING_TIMEOUT;
use tunnel::ws::Ended;

use self::about::{About, lost_at};
use self::conversation::Conversation;
use crate::dial::Dialled;
use crate::lane;
use crate::shared::Shared;
use crate::succession::News;

/// What a session leaves behind.
pub(crate) struct Over {
    pub(crate) ended: Option<Ended>,
    pub(crate) lived: Duration,
}

/// Serves a session to its end. Its slot is told `news` of it.
pub(crate) async fn serve(
    dialled: Dialled,
    slot: u16,
    agent: Arc<Shared>,
    news: mpsc::Sender<News>,
) -> Over {
    let role = Role::Agent { max_lanes: accepted(*agent.max_lanes.borrow()) };
    let Dialled { hub, node, io, read, session, keepalive, places, .. } = dialled;
    let (driver, lanes, control) =
        lanes::start(io, read, keepalive, role, agent.lane_memory.clone());
    let about = About { slot, session, hub, node, agent, began: Instant::now() };
    let connected = about.agent.standing.connected(&about.hub, &about.node, lanes.ws());
    let mut conversation = Conversation::new(&about, connected, &lanes, news);
    tokio::select! {
        biased;
        () = driver => {}
        () = serve_lanes(&lanes, &about.agent) => {}
        () = conversation.run(control, places) => {}
        () = about.agent.age.outlived_by(about.began) => {}
        () = cut_off(&about.agent) => {}
    }
    let over = Over { ended: lanes.ws().ended().cloned(), lived: about.began.elapsed() };
    let was_to_end = conversation.is_leaving() || about.agent.stop.is_cancelled();
    drop(conversation);
    about.tell_end(&over);
    if let Some(age) = lost_at(&over).filter(|_| !was_to_end) {
        about.agent.age.lost(age, about.began);
    }
    over
}

/// Lanes of one session, those included that wait for the place of one that has ended.
fn accepted(places: NonZeroU32) -> usize {
    (places.get() as usize).saturating_mul(2)
}

/// Serves the lanes, each in a task of its own. They end with the session.
async fn serve_lanes(lanes: &Lanes, agent: &Arc<Shared>) {
    let mut serving = JoinSet::new();
    loop {
        tokio::select! {
            Some((lane, open)) = lanes.accept() => {
                serving.spawn(lane::serve(lane, open, agent.clone()));
            }
            Some(_) = serving.join_next() => {}
            else => std::future::pending().await,
        }
    }
}

/// Resolves when not even the end of a close is awaited any longer.
async fn cut_off(agent: &Shared) {
    agent.cut.cancelled().await;
    sleep(CLOSING_TIMEOUT).await;
}

#[cfg(test)]
mod tests;
