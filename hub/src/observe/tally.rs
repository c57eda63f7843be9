//! What is counted of each name: for metrics since it came, for the page of the last minutes.

mod heads;
mod lately;
mod methods;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use switch::Stall;

pub(crate) use self::heads::{HEAD_BOUNDS, Heads};
pub(crate) use self::lately::{Lately, RECENT_STEP, Rates};
pub(crate) use self::methods::{MethodTally, Methods};
use crate::limits::NAMES_LATELY;
use crate::message::refusal::Refusal;
use crate::observe::ending::{Ending, Kind};
use crate::observe::outcome::Outcome;

/// The tallies of all names.
#[derive(Debug)]
pub(crate) struct Tallies {
    shared: Arc<Shared>,
}

/// What they have in common.
#[derive(Debug)]
struct Shared {
    /// Names that have series of their own.
    told: Places,
    /// Names whose last minutes are remembered.
    remembered: Places,
    /// Of all others together.
    rest: Counts,
    /// Methods that are told one by one, of all names.
    methods: Arc<AtomicUsize>,
}

/// The tally of one name, for as long as anybody remembers it.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// It has series of its own.
    is_told: AtomicBool,
    /// It is one of those whose last minutes are remembered.
    is_remembered: AtomicBool,
    /// From the first call on.
    lately: Mutex<Option<Box<(Lately, Methods)>>>,
    shared: Arc<Shared>,
}

/// What only grows.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Calls that the hub did not answer in the agent's stead, by outcome.
    pub(crate) calls: [AtomicU64; Outcome::LABELS],
    /// Those that it did, by reason.
    pub(crate) refusals: [AtomicU64; Refusal::REASONS.len()],
    pub(crate) errors: AtomicU64,
    /// Of requests, and of answers.
    pub(crate) bytes: [AtomicU64; 2],
    /// Time to the head of the answer, by kind.
    pub(crate) heads: [Heads; 3],
    /// Milliseconds that calls have waited, by whom for.
    pub(crate) stalls: [AtomicU64; STALLS.len()],
}

/// Whom calls wait for, as labels.
pub(crate) const STALLS: [&str; 3] = ["client", "server", "link"];

fn place(stall: Stall) -> usize {
    match stall {
        Stall::Client => 0,
        Stall::Upstream => 1,
        Stall::Link => 2,
    }
}

impl Tallies {
    /// So many names at most have series of their own.
    pub(crate) fn new(most: usize) -> Self {
        let (told, remembered) = (Places::new(most), Places::new(NAMES_LATELY));
        let (rest, methods) = Default::default();
        Self { shared: Arc::new(Shared { told, remembered, rest, methods }) }
    }

    /// One for a name that has just come.
    pub(crate) fn begin(&self) -> Arc<Tally> {
        let (counts, shared) = (Counts::default(), self.shared.clone());
        let (is_told, is_remembered, lately) = Default::default();
        Arc::new(Tally { counts, is_told, is_remembered, lately, shared })
    }

    /// Of all names together that have no series of their own.
    pub(crate) fn rest(&self) -> &Counts {
        &self.shared.rest
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.shared.told.leave(&self.is_told);
        self.shared.remembered.leave(&self.is_remembered);
    }
}

/// Places for some of those that want one.
#[derive(Debug)]
struct Places {
    taken: AtomicUsize,
    most: usize,
}

impl Places {
    fn new(most: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most }
    }

    /// Whoever has none takes one, if there is one. Returns whether it has one now.
    fn take(&self, has: &AtomicBool) -> bool {
        if has.load(Ordering::Relaxed) {
            return true;
        }
        if self.taken.fetch_add(1, Ordering::Relaxed) < self.most {
            // Of two at once, one gives its own back.
            if has.swap(true, Ordering::Relaxed) {
                self.taken.fetch_sub(1, Ordering::Relaxed);
            }
            return true;
        }
        self.taken.fetch_sub(1, Ordering::Relaxed);
        false
    }

    fn leave(&self, has: &AtomicBool) {
        if has.swap(false, Ordering::Relaxed) {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Tally {
    /// An agent of its name has come: it gets series of its own, if there is a place by now.
    pub(crate) fn comes(&self) {
        self.shared.told.take(&self.is_told);
    }

    /// Whether it has series of its own.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    /// A call is over, and so much more of it has passed than was told before.
    pub(crate) fn ended(&self, end: &Ending<'_>, (request, response): (u64, u64)) {
        self.each(|counts| {
            counts.moved(request, response);
            counts.ended(end);
        });
        self.recently(|lately, methods| {
            lately.ended(end, request, response);
            methods.ended(end, &self.shared.methods);
        });
    }

    /// So much more of a call has passed.
    pub(crate) fn moved(&self, (request, response): (u64, u64)) {
        if request == 0 && response == 0 {
            return;
        }
        self.each(|counts| counts.moved(request, response));
        self.recently(|lately, _| lately.moved(request, response));
    }

    /// A call has waited for somebody for so long.
    pub(crate) fn stalled(&self, stall: Stall, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.each(|counts| {
            counts.stalls[place(stall)].fetch_add(millis, Ordering::Relaxed);
        });
    }

    /// Looks at the last minutes and at the methods, unless nobody has called yet.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Lately, &Methods) -> T) -> Option<T> {
        self.lately.lock().as_mut().map(|both| look(&mut both.0, &both.1))
    }

    fn recently(&self, tell: impl FnOnce(&mut Lately, &mut Methods)) {
        let mut lately = self.lately.lock();
        if lately.is_none() && !self.shared.remembered.take(&self.is_remembered) {
            return;
        }
        let both = lately.get_or_insert_with(Box::default);
        tell(&mut both.0, &mut both.1);
    }

    /// Where it is to be counted.
    fn each(&self, count: impl Fn(&Counts)) {
        count(&self.counts);
        if !self.is_told() {
            count(&self.shared.rest);
        }
    }
}

impl Counts {
    fn moved(&self, request: u64, response: u64) {
        self.bytes[0].fetch_add(request, Ordering::Relaxed);
        self.bytes[1].fetch_add(response, Ordering::Relaxed);
    }

    fn ended(&self, end: &Ending<'_>) {
        match end.refusal {
            Some(refusal) => &self.refusals[refusal.index()],
            None => &self.calls[end.outcome.index()],
        }
        .fetch_add(1, Ordering::Relaxed);
        if end.is_error() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(head) = end.head {
            self.heads[end.kind as usize].record(head);
        }
    }

    /// Calls that are over, and those of them that the hub refused.
    pub(crate) fn calls(&self) -> (u64, u64) {
        let sum = |counts: &[AtomicU64]| counts.iter().map(|one| one.load(Ordering::Relaxed)).sum();
        let refused: u64 = sum(&self.refusals);
        (refused + sum(&self.calls), refused)
    }
}

impl Kind {
    /// Of these counts.
    pub(crate) fn heads(self, counts: &Counts) -> &Heads {
        &counts.heads[self as usize]
    }
}

#[cfg(test)]
mod tests;
