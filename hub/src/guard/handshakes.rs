//! Connections that have not shown yet what they want. When they are too many, the oldest goes.
//!
//! A handshake takes a few round trips; what stands half done for longer is broken, or holds a place on
//! purpose. To turn away the newest would let a thousand idle sockets keep everybody out.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Those that are under way.
#[derive(Debug)]
pub(crate) struct Handshakes {
    max: usize,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    /// By age.
    taken: BTreeMap<u64, Arc<Notify>>,
}

/// A place among them, until dropped.
#[derive(Debug)]
pub(crate) struct Handshake<'h> {
    handshakes: &'h Handshakes,
    number: u64,
    ousted: Arc<Notify>,
}

impl Handshakes {
    /// For `max` at once.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, places: Mutex::default() }
    }

    /// Takes a place; of the oldest, if none is free.
    pub(crate) fn begin(&self) -> Handshake<'_> {
        let mut places = self.places.lock();
        let number = places.next;
        places.next += 1;
        if places.taken.len() >= self.max
            && let Some((_, oldest)) = places.taken.pop_first()
        {
            oldest.notify_one();
        }
        let ousted = Arc::new(Notify::new());
        places.taken.insert(number, ousted.clone());
        Handshake { handshakes: self, number, ousted }
    }
}

impl Handshake<'_> {
    /// Resolves when somebody newer has taken the place.
    pub(crate) async fn ousted(&self) {
        self.ousted.notified().await;
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.handshakes.places.lock().taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let handshakes = Handshakes::new(2);
        let (oldest, done) = (handshakes.begin(), handshakes.begin());
        drop(done);
        let newer = handshakes.begin();
        assert!(poll!(pin!(oldest.ousted())).is_pending());
        let newest = handshakes.begin();
        assert!(poll!(pin!(oldest.ousted())).is_ready());
        assert!(poll!(pin!(newer.ousted())).is_pending());
        drop((oldest, newer, newest));
        assert!(handshakes.places.lock().taken.is_empty());
    }
}
