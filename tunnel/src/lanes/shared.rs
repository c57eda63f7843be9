//! What a session's lanes and their driver have in common.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::by_id::{ById, shrink};
use super::end::{LaneEnd, LaneStatus};
use super::frame::Open;
use super::memory::LaneMemory;
use super::mux::{Event, Mux, Violation};
use super::role::Role;
use crate::pieces::Pieces;
use crate::ws::Handle;

/// The lanes of one end of a session. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lanes(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    ws: Handle,
}

/// The mux, and whom to wake.
#[derive(Debug)]
pub(super) struct State {
    pub(super) mux: Mux,
    pub(super) life: Life,
    users: ById<User>,
    /// Lanes of the mux that the hub has opened and nobody has accepted yet, in the order of their numbers.
    opened: VecDeque<(u32, Open)>,
    acceptor: Option<Waker>,
    driver: Option<Waker>,
}

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    /// Its lanes are lost; the WebSocket is being closed.
    Closing,
    Over,
}

/// Who holds a lane.
#[derive(Debug, Default)]
struct User {
    reader: Option<Waker>,
    writer: Option<Waker>,
    status: LaneStatus,
}

impl Lanes {
    pub(super) fn new(role: Role, memory: LaneMemory, ws: Handle) -> Self {
        let state = State {
            mux: Mux::new(role, memory),
            life: Life::Open,
            users: HashMap::default(),
            opened: VecDeque::new(),
            acceptor: None,
            driver: None,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), ws }))
    }

    /// A lane that the hub opens: its number, and what will tell how it ended.
    pub(super) fn begin(&self, open: Open) -> Option<(u32, LaneStatus)> {
        let mut state = self.0.state.lock();
        if state.life != Life::Open {
            return None;
        }
        let id = state.mux.open(open)?;
        let status = LaneStatus::default();
        state.users.insert(id, User { status: status.clone(), ..User::default() });
        let driver = state.driver.take();
        drop(state);
        wake(driver);
        Some((id, status))
    }

    /// The next one that the agent is to accept; `None` once the driver is through.
    pub(super) fn poll_opened(&self, cx: &Context<'_>) -> Poll<Option<(u32, LaneStatus, Open)>> {
        let mut state = self.0.state.lock();
        if let Some((id, open)) = state.opened.pop_front() {
            let status = state.users.get(&id).map(|user| user.status.clone()).unwrap_or_default();
            return Poll::Ready(Some((id, status, open)));
        }
        if state.life == Life::Over {
            return Poll::Ready(None);
        }
        remember(&mut state.acceptor, cx);
        Poll::Pending
    }

    /// Speaks to the peer beside the lanes, and tells how the session ended.
    #[must_use]
    pub fn ws(&self) -> &Handle {
        &self.0.ws
    }

    /// Lanes that are not over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state.lock().mux.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of an agent: from now on so many lanes are accepted at once.
    pub fn accept_at_most(&self, max: usize) {
        self.change(|mux| mux.accept_at_most(max));
    }

    /// Changes the state of the lanes, and wakes the driver, which may have something to send then.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Mux) -> T) -> T {
        let mut state = self.0.state.lock();
        let changed = change(&mut state.mux);
        let driver = state.driver.take();
        drop(state);
        wake(driver);
        changed
    }

    /// The lane's user has gone.
    pub(super) fn drop_lane(&self, id: u32, end: impl FnOnce(&mut Mux)) {
        let mut state = self.0.state.lock();
        state.users.remove(&id);
        shrink(&mut state.users);
        end(&mut state.mux);
        let driver = state.driver.take();
        drop(state);
        wake(driver);
    }
}

impl State {
    pub(super) fn wait_to_read(&mut self, id: u32, cx: &Context<'_>) {
        if let Some(user) = self.users.get_mut(&id) {
            remember(&mut user.reader, cx);
        }
    }

    pub(super) fn wait_to_write(&mut self, id: u32, cx: &Context<'_>) {
        if let Some(user) = self.users.get_mut(&id) {
            remember(&mut user.writer, cx);
        }
    }

    pub(super) fn take_driver(&mut self) -> Option<Waker> {
        self.driver.take()
    }
}

/// For the driver.
impl Lanes {
    /// It is polled, so long after the session began.
    pub(super) fn register_driver(&self, cx: &Context<'_>, now: Duration) {
        let mut state = self.0.state.lock();
        remember(&mut state.driver, cx);
        state.mux.passed(now, self.0.ws.rtt());
    }

    /// The next message to send. Whoever waits for room on its lane is woken.
    pub(super) fn next_message(&self) -> Option<Pieces> {
        let mut state = self.0.state.lock();
        let (message, lane) = state.mux.next_message()?;
        let writer = lane.and_then(|id| state.users.get_mut(&id)?.writer.take());
        drop(state);
        wake(writer);
        Some(message)
    }

    /// Takes a message of the peer, and wakes whom it concerns.
    pub(super) fn receive(&self, message: Bytes) -> Result<Event, Violation> {
        let mut state = self.0.state.lock();
        let (id, event) = state.mux.receive(message)?;
        let wakers = match &event {
            Event::Opened(open) => {
                state.users.insert(id, User::default());
                state.opened.push_back((id, *open));
                [state.acceptor.take(), None]
            }
            Event::Readable => [state.users.get_mut(&id).and_then(|user| user.reader.take()), None],
            Event::Writable => [state.users.get_mut(&id).and_then(|user| user.writer.take()), None],
            Event::Finished { delivered } => {
                state.end(id, LaneEnd::Finished { delivered: *delivered })
            }
            Event::Reset { code, delivered, reason } => {
                state.forget_opened(id);
                let (code, delivered, reason) = (*code, *delivered, reason.clone());
                state.end(id, LaneEnd::Reset { code, delivered, reason })
            }
            Event::Refused | Event::Late | Event::Ignored => [None, None],
        };
        drop(state);
        wakers.into_iter().for_each(wake);
        Ok(event)
    }

    /// Looks after lanes that are idle or left behind. Whether it should do so again.
    pub(super) fn sweep(&self) -> bool {
        let mut state = self.0.state.lock();
        state.mux.sweep();
        state.mux.wants_sweep()
    }

    /// Nothing more comes or goes: every lane is lost.
    pub(super) fn lose(&self) {
        let mut state = self.0.state.lock();
        if state.life != Life::Open {
            return;
        }
        state.life = Life::Closing;
        state.opened.clear();
        let State { users, mux, .. } = &mut *state;
        let lost = |(id, user): (&u32, &mut User)| user.end(LaneEnd::Lost { sent: mux.sent(*id) });
        let wakers: Vec<_> = users.iter_mut().flat_map(lost).collect();
        drop(state);
        wakers.into_iter().for_each(wake);
    }

    /// The WebSocket is over, and every lane with it.
    pub(super) fn end(&self) {
        self.lose();
        let mut state = self.0.state.lock();
        state.life = Life::Over;
        let acceptor = state.acceptor.take();
        drop(state);
        wake(acceptor);
    }
}

impl State {
    fn end(&mut self, id: u32, end: LaneEnd) -> [Option<Waker>; 2] {
        self.users.get_mut(&id).map_or([None, None], |user| user.end(end))
    }

    /// Nobody needs to accept a lane that is over.
    fn forget_opened(&mut self, id: u32) {
        if let Ok(at) = self.opened.binary_search_by_key(&id, |(id, _)| *id) {
            self.opened.remove(at);
            self.users.remove(&id);
        }
    }
}

impl User {
    fn end(&mut self, end: LaneEnd) -> [Option<Waker>; 2] {
        self.status.set(end);
        [self.reader.take(), self.writer.take()]
    }
}

fn remember(waker: &mut Option<Waker>, cx: &Context<'_>) {
    if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
