//! What takes long to put together, and is done for all who ask at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::limits::SHARED_REST;

/// What was put together last. It is done where no calls wait for it, one at a time, and with pauses: however many ask, and
/// give up, it takes a small share of one core.
#[derive(Clone, Debug)]
pub(super) struct Shared<T> {
    /// How old it may be for somebody who asks now.
    age: Duration,
    last: Arc<Mutex<Option<Made<T>>>>,
}

#[derive(Debug)]
struct Made<T> {
    began: Instant,
    took: Duration,
    what: Arc<T>,
}

impl<T: Send + Sync + 'static> Shared<T> {
    pub(super) fn new(age: Duration) -> Self {
        Self { age, last: Arc::default() }
    }

    /// It, as it is now, or was so long ago.
    pub(super) async fn get(
        &self,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Arc<T>, Status> {
        let asked = Instant::now();
        let mut last = self.last.clone().lock_owned().await;
        if let Some(made) = &*last {
            if made.began + self.age >= asked {
                return Ok(made.what.clone());
            }
            sleep_until(made.began + made.took * SHARED_REST).await;
        }
        super::elsewhere(move || {
            let began = Instant::now();
            let what = Arc::new(make());
            // Nobody else begins before, though whoever has asked may be gone.
            *last = Some(Made { began, took: began.elapsed(), what: what.clone() });
            what
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_at_once_share_it() {
        let (shared, times) = (Shared::new(Duration::ZERO), Arc::new(AtomicUsize::new(0)));
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (begins, begun) = tokio::sync::oneshot::channel();
        let begin = {
            let (shared, times) = (shared.clone(), times.clone());
            tokio::spawn(async move {
                let make = move || {
                    let _ = (begins.send(()), wait.recv());
                    times.fetch_add(1, Ordering::SeqCst)
                };
                shared.get(make).await
            })
        };
        begun.await.expect("it begins");
        // These ask while it is put together: one more time has to do for them, though the first of them gives up.
        let mut all = JoinSet::new();
        for _ in 0..20 {
            let (shared, times) = (shared.clone(), times.clone());
            let mut get = Box::pin(async move {
                shared.get(move || times.fetch_add(1, Ordering::SeqCst)).await.map(|what| *what)
            });
            assert!(futures_util::poll!(&mut get).is_pending());
            all.spawn(get);
        }
        go.send(()).expect("it waits");
        assert_eq!(*begin.await.expect("no panic").expect("made"), 0);
        for got in all.join_all().await {
            assert_eq!(got.expect("made"), 1);
        }
        assert_eq!(*shared.get(|| 7).await.expect("made"), 7, "it is not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_as_old_as_it_may_be_and_there_are_pauses() {
        let shared = Shared::new(Duration::from_secs(1));
        assert_eq!(*shared.get(|| 1).await.expect("made"), 1);
        assert_eq!(*shared.get(|| 2).await.expect("made"), 1);
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert_eq!(*shared.get(|| 2).await.expect("made"), 2);
        let took = Duration::from_secs(1);
        if let Some(made) = &mut *shared.last.lock().await {
            made.took = took;
        }
        let began = Instant::now();
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert_eq!(*shared.get(|| 3).await.expect("made"), 3);
        assert!(began.elapsed() >= took * SHARED_REST - Duration::from_millis(1), "no pause");
    }
}
