//! How cancelled calls are told to an upstream: a few at a time, not as a storm.
//!
//! Servers guard themselves against clients that open calls only to cancel them, and count per connection.
//! A session is one connection for many callers: past the count, all of them lose their calls. So each
//! caller has an allowance, and what goes beyond waits here. To wait costs little: the caller has been told
//! already, and most calls end by themselves before their turn has come.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tunnel::allowance::Allowance;
use tunnel::limits::{
    CANCEL_PAUSE, CANCELLERS, CANCELS_FORGIVEN, CANCELS_UNSEEN, CANCELS_WAITING,
    CANCELS_WAITING_ALL, CANCELS_WAITING_FREE, UNSEEN_TIMEOUT,
};

use crate::lines::Lines;
use crate::origin::Party;

/// The cancelled calls of one session.
#[derive(Debug)]
pub(crate) struct Cancels {
    /// What one address may pass on at once; `None` is any number.
    allowed: Option<u32>,
    /// What is left of it to addresses that have used some.
    allowances: Mutex<HashMap<IpAddr, Allowance>>,
    lines: Lines,
    unseen: Mutex<Unseen>,
    /// Calls opened so far: the number of the latest.
    opened: AtomicU64,
    /// The latest of those that were answered.
    answered: AtomicU64,
}

/// The number of a call among those of its session, in the order in which they were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallNumber(u64);

impl Cancels {
    /// `allowed` is how many one address may pass on at once.
    pub(crate) fn new(allowed: Option<u32>) -> Self {
        Self {
            allowed,
            allowances: Mutex::default(),
            lines: Lines::default(),
            unseen: Mutex::default(),
            opened: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        }
    }

    /// A call is opened.
    pub(crate) fn opened(&self) -> CallNumber {
        CallNumber(self.opened.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The upstream has begun to answer a call.
    pub(crate) fn answered(&self, call: CallNumber) {
        self.answered.fetch_max(call.0, Ordering::Relaxed);
    }

    /// Cancelled calls that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lines.waiting()
    }

    /// Whether so many of this caller wait that it may begin no new call.
    pub(crate) fn is_full(&self, caller: Party) -> bool {
        let left = CANCELS_WAITING_ALL.saturating_sub(self.lines.waiting());
        self.lines.waiting_of(caller) >= left.clamp(CANCELS_WAITING_FREE, CANCELS_WAITING)
    }

    /// Resolves when a call may be cancelled. `is_answered` tells whether the upstream has begun to answer
    /// it, and has seen it therefore.
    pub(crate) async fn turn(&self, caller: Party, is_answered: impl Fn() -> bool) {
        let place = self.lines.join(caller);
        let _first = place.first().await;
        while !self.spend(caller.address) {
            sleep(CANCEL_PAUSE).await;
        }
        while !is_answered() && !self.take_unseen() {
            sleep(CANCEL_PAUSE).await;
        }
    }

    fn take_unseen(&self) -> bool {
        let answered = self.answered.load(Ordering::Relaxed);
        self.unseen.lock().take(self.opened.load(Ordering::Relaxed), answered)
    }

    /// Whether there is something left of what is allowed to this address: who has many connections does
    /// not get more. Others of the address only wait.
    fn spend(&self, address: IpAddr) -> bool {
        let Some(allowed) = self.allowed else {
            return true;
        };
        let mut allowances = self.allowances.lock();
        if !allowances.contains_key(&address) {
            allowances.retain(|_, allowance| !allowance.is_whole());
        }
        let known = allowances.contains_key(&address) || allowances.len() < CANCELLERS;
        let address = if known { address } else { Ipv6Addr::UNSPECIFIED.into() };
        let new = || Allowance::new(allowed, CANCELS_FORGIVEN);
        allowances.entry(address).or_insert_with(new).spend(1)
    }
}

/// Cancels of calls that the upstream perhaps still has in its queue.
///
/// A server takes its streams in order. So when it answers one that was opened later than a cancel was
/// sent, it has seen what was cancelled.
#[derive(Debug, Default)]
struct Unseen {
    /// The latest call at the time of the cancel, and that time.
    sent: VecDeque<(u64, Instant)>,
}

impl Unseen {
    /// Whether one more may be sent now, while `opened` is the latest call, and `answered` the latest that
    /// was answered.
    fn take(&mut self, opened: u64, answered: u64) -> bool {
        let now = Instant::now();
        while self
            .sent
            .front()
            .is_some_and(|&(latest, at)| answered > latest || now - at >= UNSEEN_TIMEOUT)
        {
            self.sent.pop_front();
        }
        let free = self.sent.len() < CANCELS_UNSEEN;
        if free {
            self.sent.push_back((opened, now));
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tunnel::limits::CANCELS;

    use super::*;

    const OFFENDER: Party = party(1, 1);
    const BYSTANDER: Party = party(2, 2);

    const fn party(connection: u64, address: u8) -> Party {
        Party { connection, address: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, address)) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_waits_and_hurts_only_its_own() {
        let cancels = Cancels::new(Some(CANCELS));
        for _ in 0..CANCELS {
            assert!(poll!(std::pin::pin!(cancels.turn(OFFENDER, || true))).is_ready());
        }
        let mut waiting: Vec<_> =
            (0..CANCELS_WAITING).map(|_| Box::pin(cancels.turn(OFFENDER, || true))).collect();
        for one in &mut waiting {
            assert!(poll!(one).is_pending());
        }
        assert!(cancels.is_full(OFFENDER));
        assert!(!cancels.is_full(BYSTANDER));
        assert!(poll!(std::pin::pin!(cancels.turn(BYSTANDER, || true))).is_ready());
        let neighbour = party(3, 1);
        assert!(!cancels.is_full(neighbour), "another connection of the address");
        assert!(poll!(std::pin::pin!(cancels.turn(neighbour, || true))).is_pending());
        let before = Instant::now();
        waiting.remove(0).await;
        assert!(before.elapsed() < CANCELS_FORGIVEN / 50);
        drop(waiting);
        assert_eq!(cancels.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn in_no_30_seconds_are_more_than_150() {
        let cancels = Cancels::new(Some(CANCELS));
        let mut times = Vec::new();
        for _ in 0..600 {
            cancels.turn(OFFENDER, || true).await;
            times.push(Instant::now());
        }
        for window in times.windows(151) {
            assert!(window[150] - window[0] > CANCELS_FORGIVEN);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_upstream_may_not_have_seen_waits_for_a_sign_of_it() {
        let cancels = Cancels::new(None);
        cancels.opened();
        for _ in 0..CANCELS_UNSEEN {
            assert!(poll!(std::pin::pin!(cancels.turn(OFFENDER, || false))).is_ready());
        }
        let mut next = Box::pin(cancels.turn(OFFENDER, || false));
        assert!(poll!(&mut next).is_pending());
        // Opened before the cancels were sent: no sign.
        cancels.answered(CallNumber(1));
        tokio::time::advance(CANCEL_PAUSE).await;
        assert!(poll!(&mut next).is_pending());
        let later = cancels.opened();
        cancels.answered(later);
        tokio::time::advance(CANCEL_PAUSE).await;
        assert!(poll!(&mut next).is_ready());
        // Or until it will never come.
        let more = async {
            for _ in 0..2 * CANCELS_UNSEEN {
                cancels.turn(OFFENDER, || false).await;
            }
        };
        tokio::time::timeout(3 * UNSEEN_TIMEOUT, more).await.expect("a turn");
    }

    #[tokio::test(start_paused = true)]
    async fn many_connections_together_leave_places_to_others() {
        let cancels = Cancels::new(Some(1));
        let place = |connection| cancels.lines.join(party(connection, 1));
        let _first: Vec<_> = (0..CANCELS_WAITING - 1).map(|_| place(1)).collect();
        assert!(!cancels.is_full(OFFENDER), "it has fewer than are left");
        let _second: Vec<_> = (0..CANCELS_WAITING / 2 + 1).map(|_| place(2)).collect();
        assert!(cancels.is_full(OFFENDER) && cancels.is_full(party(2, 1)));
        assert!(!cancels.is_full(party(3, 1)));
        let _third: Vec<_> = (0..CANCELS_WAITING).map(|_| place(3)).collect();
        let _own: Vec<_> = (1..CANCELS_WAITING_FREE).map(|_| place(4)).collect();
        assert!(!cancels.is_full(party(4, 1)), "of some, who has a few is not refused");
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_beyond_a_number_share_what_is_allowed() {
        let cancels = Cancels::new(Some(1));
        let address = |i: usize| Ipv6Addr::from(1 + i as u128).into();
        assert!((0..=CANCELLERS).all(|i| cancels.spend(address(i))));
        assert!(!cancels.spend(address(CANCELLERS + 1)), "the one before had it");
        assert_eq!(cancels.allowances.lock().len(), CANCELLERS + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_are_forgotten() {
        let cancels = Cancels::new(Some(1));
        cancels.turn(OFFENDER, || true).await;
        tokio::time::advance(CANCELS_FORGIVEN).await;
        cancels.turn(BYSTANDER, || true).await;
        assert_eq!(cancels.allowances.lock().len(), 1);
    }
}
