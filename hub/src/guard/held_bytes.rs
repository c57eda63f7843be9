//! Bytes of calls that lie in the hub because their receivers do not take them. With too many of them, addresses that
//! hold no less than the average get no new calls.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::limits::HELD_STEP;

/// What all connections hold.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    ceiling: usize,
    total: AtomicUsize,
    /// Addresses with a connection that holds something, and what they hold together.
    holders: Mutex<HashMap<IpAddr, Holder>>,
}

#[derive(Debug, Default)]
struct Holder {
    connections: usize,
    bytes: usize,
}

/// What one connection holds.
#[derive(Debug)]
pub(crate) struct Holding {
    all: Arc<HeldBytes>,
    address: IpAddr,
    bytes: usize,
}

impl HeldBytes {
    /// Beyond `ceiling`, some get no new calls.
    pub(crate) fn new(ceiling: usize) -> Arc<Self> {
        Arc::new(Self { ceiling, total: AtomicUsize::new(0), holders: Mutex::default() })
    }

    /// A connection from this address, which holds nothing yet.
    pub(crate) fn connection(self: &Arc<Self>, address: IpAddr) -> Holding {
        Holding { all: self.clone(), address, bytes: 0 }
    }

    /// Beyond which some get no new calls.
    pub(crate) fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// Bytes of all connections.
    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }
}

impl Holding {
    /// It holds so much now. Small differences are not told: this is called whenever bytes move.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes.abs_diff(self.bytes) >= HELD_STEP || (bytes == 0 && self.bytes > 0) {
            self.tell(bytes);
        }
    }

    fn tell(&mut self, bytes: usize) {
        let mut holders = self.all.holders.lock();
        let holder = holders.entry(self.address).or_default();
        holder.connections += usize::from(self.bytes == 0 && bytes > 0);
        holder.connections -= usize::from(self.bytes > 0 && bytes == 0);
        holder.bytes = holder.bytes + bytes - self.bytes;
        if holder.connections == 0 {
            holders.remove(&self.address);
        }
        let total = self.all.total() + bytes - self.bytes;
        self.all.total.store(total, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// Whether the hub holds too much, and the connection's address no less of it than others do on average.
    pub(crate) fn is_too_much(&self) -> bool {
        // First what every call finds.
        let total = self.all.total();
        if total <= self.all.ceiling {
            return false;
        }
        let holders = self.all.holders.lock();
        holders.get(&self.address).is_some_and(|holder| holder.bytes >= total / holders.len())
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: usize = HELD_STEP;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn beyond_the_ceiling_whoever_holds_most_gets_no_more() {
        let all = HeldBytes::new(10 * STEP);
        let mut most = [all.connection(address(1)), all.connection(address(1))];
        let (mut little, nothing) = (all.connection(address(2)), all.connection(address(3)));
        most.iter_mut().for_each(|holding| holding.set(4 * STEP));
        little.set(2 * STEP);
        assert!(!most[0].is_too_much(), "the ceiling is not reached");
        most[0].set(5 * STEP);
        assert!(most.iter().all(Holding::is_too_much));
        assert!(!little.is_too_much() && !nothing.is_too_much());
        assert!(all.connection(address(1)).is_too_much(), "another connection is no way around it");
        most[0].set(0);
        assert!(!most[1].is_too_much());
        drop((most, little, nothing));
        assert_eq!((all.total(), all.holders.lock().len()), (0, 0));
    }

    #[test]
    fn who_holds_all_of_it_is_not_below_average() {
        let all = HeldBytes::new(STEP);
        let mut only = all.connection(address(1));
        only.set(2 * STEP - 1);
        assert!(only.is_too_much());
        only.set(STEP);
        assert!(only.is_too_much(), "a small difference is not told");
        only.set(0);
        assert!(!only.is_too_much());
    }
}
