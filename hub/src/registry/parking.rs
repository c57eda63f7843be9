//! Calls that wait for a name to come back: how many, and who is told when it does.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tunnel::name::Name;

use crate::limits::{PARKED, PARKED_OF_NAME};

/// The places for them. A name is in here only while calls wait for it.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    lots: Mutex<Lots>,
}

#[derive(Debug, Default)]
struct Lots {
    of_name: HashMap<Name, Lot>,
    calls: usize,
}

#[derive(Debug, Default)]
struct Lot {
    calls: usize,
    arrived: watch::Sender<()>,
}

/// A call's place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Parked {
    parking: Arc<Parking>,
    name: Name,
    pub(crate) since: Instant,
}

impl Parking {
    /// A place for a call for `name`, unless too many wait already.
    pub(crate) fn enter(self: &Arc<Self>, name: &Name) -> Option<Parked> {
        let mut lots = self.lots.lock();
        let of_name = lots.of_name.get(name).map_or(0, |lot| lot.calls);
        if lots.calls >= PARKED || of_name >= PARKED_OF_NAME {
            return None;
        }
        lots.calls += 1;
        lots.of_name.entry(name.clone()).or_default().calls += 1;
        Some(Parked { parking: self.clone(), name: name.clone(), since: Instant::now() })
    }

    /// Somebody may serve `name` now.
    pub(super) fn arrived(&self, name: &Name) {
        if let Some(lot) = self.lots.lock().of_name.get(name) {
            lot.arrived.send_replace(());
        }
    }
}

impl Parked {
    /// Told when somebody may serve the name, from now on.
    pub(crate) fn arrivals(&self) -> watch::Receiver<()> {
        let lots = self.parking.lots.lock();
        // It is there for as long as one of its places is.
        lots.of_name.get(&self.name).map(|lot| lot.arrived.subscribe()).unwrap_or_else(never)
    }
}

/// Of one that has left already: resolves at once, with an error.
fn never() -> watch::Receiver<()> {
    watch::Sender::new(()).subscribe()
}

impl Drop for Parked {
    fn drop(&mut self) {
        let mut lots = self.parking.lots.lock();
        lots.calls -= 1;
        if let Some(lot) = lots.of_name.get_mut(&self.name) {
            lot.calls -= 1;
            if lot.calls == 0 {
                lots.of_name.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let parking = Arc::new(Parking::default());
        let one = name("one");
        let mut places: Vec<_> = (0..PARKED_OF_NAME).map_while(|_| parking.enter(&one)).collect();
        assert_eq!(places.len(), PARKED_OF_NAME);
        assert!(parking.enter(&one).is_none());
        places.pop();
        assert!(parking.enter(&one).is_some());
        let others = (0..).map(|n| name(&format!("n{}", n / PARKED_OF_NAME)));
        let others: Vec<_> = others.map_while(|name| parking.enter(&name)).collect();
        assert_eq!(places.len() + others.len(), PARKED);
        drop((places, others));
        assert!(parking.lots.lock().of_name.is_empty());
        assert!(parking.enter(&one).is_some());
    }

    #[tokio::test]
    async fn only_who_waits_for_the_name_is_told() {
        let parking = Arc::new(Parking::default());
        let (one, other) = (name("one"), name("other"));
        let waits = [&one, &other].map(|name| parking.enter(name).expect("a place"));
        let [mut of_one, mut of_other] = waits.each_ref().map(Parked::arrivals);
        parking.arrived(&one);
        parking.arrived(&name("nobody"));
        assert!(of_one.has_changed().expect("a place"));
        assert!(!of_other.has_changed().expect("a place"));
        of_one.borrow_and_update();
        drop(waits);
        assert!(of_other.changed().await.is_err(), "its place is gone");
    }
}
