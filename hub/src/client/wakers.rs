//! Which of a connection's lanes have something to do: looking at all of them each time would cost more the more there
//! are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use parking_lot::Mutex;
use switch::LaneId;

/// The lanes that were woken, and the task that looks after them.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    woken: Vec<LaneId>,
    task: Option<Waker>,
}

#[derive(Debug)]
struct LaneWaker {
    lane: LaneId,
    is_woken: AtomicBool,
    wakers: Arc<Wakers>,
}

impl Wakers {
    /// What wakes this lane. It is ready at first.
    pub(super) fn of(self: &Arc<Self>, lane: LaneId) -> Woken {
        let waker = LaneWaker { lane, is_woken: AtomicBool::new(false), wakers: self.clone() };
        let waker = Arc::new(waker);
        let woken = Woken { waker: Waker::from(waker.clone()), state: waker };
        woken.waker.wake_by_ref();
        woken
    }

    /// The lanes that were woken since the last time; the next one wakes the task.
    pub(super) fn take(&self, task: &Waker, lanes: &mut Vec<LaneId>) {
        let mut state = self.state.lock();
        if !state.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            state.task = Some(task.clone());
        }
        lanes.append(&mut state.woken);
    }
}

/// A lane's waker.
#[derive(Debug)]
pub(super) struct Woken {
    pub(super) waker: Waker,
    state: Arc<LaneWaker>,
}

impl Woken {
    /// It is being looked after: what happens from now on wakes it again.
    pub(super) fn heed(&self) {
        self.state.is_woken.store(false, Ordering::Release);
    }
}

impl Wake for LaneWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.wakers.state.lock();
        state.woken.push(self.lane);
        let task = state.task.clone();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}
