//! Places for lanes: how many a name may have at once, on all sessions together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many of them. The number may change while some are taken.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    max: AtomicU32,
}

/// A place that is taken, until it is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

impl Places {
    pub(crate) fn new(max: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(max as usize)), max: AtomicU32::new(max) }
    }

    /// Waits for a place, and takes it.
    pub(crate) async fn take(&self) -> Option<Place> {
        // Never closed.
        self.free.clone().acquire_owned().await.ok()
    }

    /// There are so many from now on. Where more are taken, those who have them stay, and nobody gets one before enough of
    /// them have gone.
    pub(crate) fn resize(&self, max: u32) {
        let before = self.max.swap(max, Ordering::SeqCst);
        self.free.add_permits(max.saturating_sub(before) as usize);
        let fewer = before.saturating_sub(max);
        if fewer > 0 {
            let gone = self.free.clone().acquire_many_owned(fewer);
            // Whoever asks later stands behind.
            tokio::spawn(async move { gone.await.map(OwnedSemaphorePermit::forget) });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    /// How many can be taken at once.
    async fn taken(places: &Places) -> Vec<Place> {
        let mut taken = Vec::new();
        loop {
            tokio::select! {
                biased;
                place = places.take() => taken.extend(place),
                () = yield_now() => return taken,
            }
        }
    }

    #[tokio::test]
    async fn there_are_more_at_once_and_fewer_as_they_are_given_back() {
        let places = Places::new(2);
        let mut held = taken(&places).await;
        assert_eq!(held.len(), 2);
        places.resize(4);
        held.append(&mut taken(&places).await);
        assert_eq!(held.len(), 4);
        places.resize(1);
        yield_now().await;
        for left in [3, 2, 1] {
            held.pop();
            assert_eq!(taken(&places).await.len(), 0, "{left} are taken, of 1");
        }
        held.pop();
        assert_eq!(taken(&places).await.len(), 1);
    }
}
