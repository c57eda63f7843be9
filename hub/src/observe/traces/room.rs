//! Where spans wait for the thread that sends them.

use std::env::var;
use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry_sdk::trace::{OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT};

/// The queue of OpenTelemetry's SDK has a bound, and does not say what it loses beyond. So nothing goes there that has no place
/// here, and it never has to lose anything.
#[derive(Debug)]
pub(super) struct Room {
    places: usize,
    taken: AtomicUsize,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self { places, taken: AtomicUsize::new(0) }
    }

    /// As large as OpenTelemetry has it: by its variable, or else by its default.
    pub(super) fn from_env() -> Self {
        let places = var(OTEL_BSP_MAX_QUEUE_SIZE).ok().and_then(|places| places.parse().ok());
        Self::new(places.unwrap_or(OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT))
    }

    /// Spans that may wait at once.
    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// One comes. Returns whether there is a place for it.
    pub(super) fn enter(&self) -> bool {
        let is_there = self.taken.fetch_add(1, Ordering::AcqRel) < self.places;
        if !is_there {
            self.leave(1);
        }
        is_there
    }

    /// So many have gone.
    pub(super) fn leave(&self, spans: usize) {
        self.taken.fetch_sub(spans, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_and_no_more() {
        let room = Room::new(2);
        assert_eq!([(); 4].map(|()| room.enter()), [true, true, false, false]);
        room.leave(1);
        assert_eq!([(); 2].map(|()| room.enter()), [true, false]);
        assert!(!Room::new(0).enter());
    }
}
