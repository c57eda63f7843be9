//! Places for lanes: how many there may be at once, on all sessions together.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// So many of them. The number may change while some are taken.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    max: watch::Sender<NonZeroU32>,
}

/// A place that is taken, until it is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

impl Places {
    pub(crate) fn new(max: NonZeroU32) -> Self {
        Self { free: Arc::new(Semaphore::new(max.get() as usize)), max: watch::Sender::new(max) }
    }

    /// How many there are.
    pub(crate) fn max(&self) -> NonZeroU32 {
        *self.max.borrow()
    }

    /// Told when there are more or fewer.
    pub(crate) fn watch(&self) -> watch::Receiver<NonZeroU32> {
        self.max.subscribe()
    }

    /// Waits for a place, and takes it.
    pub(crate) async fn take(&self) -> Option<Place> {
        // Never closed.
        self.free.clone().acquire_owned().await.ok()
    }

    /// There are so many from now on. Where more are taken, those who have them stay, and nobody gets one before enough of
    /// them have gone.
    pub(crate) fn resize(&self, max: NonZeroU32) {
        let before = self.max.send_replace(max);
        self.free.add_permits(max.get().saturating_sub(before.get()) as usize);
        let fewer = before.get().saturating_sub(max.get());
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

    fn number(max: u32) -> NonZeroU32 {
        NonZeroU32::new(max).expect("some")
    }

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
        let places = Places::new(number(2));
        let mut held = taken(&places).await;
        assert_eq!((held.len(), places.max().get()), (2, 2));
        places.resize(number(4));
        held.append(&mut taken(&places).await);
        assert_eq!((held.len(), places.max().get()), (4, 4));
        places.resize(number(1));
        yield_now().await;
        for left in [3, 2, 1] {
            held.pop();
            assert_eq!(taken(&places).await.len(), 0, "{left} are taken, of 1");
        }
        held.pop();
        assert_eq!(taken(&places).await.len(), 1);
    }
}
