//! Where callers wait: a line for each, so that nobody stands behind somebody else's many.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::origin::Party;

/// The lines for one thing that callers wait for.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: Mutex<HashMap<Party, Arc<Line>>>,
    waiting: AtomicUsize,
}

/// One caller's line. Only the first of it does anything.
#[derive(Debug, Default)]
struct Line {
    first: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
}

/// A place in a line; dropping it leaves the line.
#[derive(Debug)]
pub(crate) struct Place<'l> {
    lines: &'l Lines,
    line: Arc<Line>,
    caller: Party,
}

impl Lines {
    /// How many wait, in all lines.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// How many of this caller wait.
    pub(crate) fn waiting_of(&self, caller: Party) -> usize {
        if self.waiting() == 0 {
            return 0;
        }
        let lines = self.lines.lock();
        lines.get(&caller).map_or(0, |line| line.waiting.load(Ordering::SeqCst))
    }

    /// Goes to the end of the caller's line.
    pub(crate) fn join(&self, caller: Party) -> Place<'_> {
        let mut lines = self.lines.lock();
        let line = lines.entry(caller).or_default().clone();
        line.waiting.fetch_add(1, Ordering::SeqCst);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Place { lines: self, line, caller }
    }

    /// Goes to the end of the caller's line, unless `max` wait already, or the caller alone has taken as
    /// many places as are left: so there is always room for others.
    pub(crate) fn join_one_of(&self, max: usize, caller: Party) -> Option<Place<'_>> {
        let place = self.join(caller);
        let left = (max + 1).saturating_sub(self.waiting());
        (place.line.waiting.load(Ordering::SeqCst) <= left.max(1) && left > 0).then_some(place)
    }
}

impl Place<'_> {
    /// Resolves when this place is the first of its line, and keeps it so until dropped.
    pub(crate) async fn first(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.line.first.lock().await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.lines.lines.lock();
        self.lines.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.line.waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            lines.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const MANY: Party = Party { connection: 1, address: ADDRESS };
    const ONE: Party = Party { connection: 2, address: ADDRESS };

    #[tokio::test]
    async fn each_caller_has_a_line_of_its_own() {
        let lines = Lines::default();
        let (first, second, other) = (lines.join(MANY), lines.join(MANY), lines.join(ONE));
        let guard = first.first().await;
        let mut next = Box::pin(second.first());
        assert!(poll!(&mut next).is_pending());
        assert!(poll!(pin!(other.first())).is_ready());
        assert_eq!((lines.waiting(), lines.waiting_of(MANY)), (3, 2));
        drop(guard);
        assert!(poll!(&mut next).is_ready());
        drop(next);
        drop((first, second, other));
        assert_eq!((lines.waiting(), lines.lines.lock().len()), (0, 0));
    }

    #[test]
    fn nobody_takes_all_places() {
        let lines = Lines::default();
        let taken: Vec<_> = (0..16).map_while(|_| lines.join_one_of(16, MANY)).collect();
        assert_eq!(taken.len(), 8);
        let others: Vec<_> = (0..16).map_while(|_| lines.join_one_of(16, ONE)).collect();
        assert_eq!(others.len(), 4);
        assert_eq!(lines.waiting(), 12);
    }

    #[test]
    fn places_have_an_end() {
        let lines = Lines::default();
        let one_of_many = |connection| lines.join_one_of(16, Party { connection, ..ONE });
        let taken: Vec<_> = (0..20).filter_map(one_of_many).collect();
        assert_eq!((taken.len(), lines.waiting()), (16, 16));
    }
}
