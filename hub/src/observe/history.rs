//! The last events of a hub, for whoever comes back.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::{Event, Place};
use crate::limits::{ACTIVITY_KEPT, ACTIVITY_KEPT_BYTES};

/// Events, in order. Traffic pushes out traffic alone.
#[derive(Debug, Default)]
pub(super) struct History {
    traffic: Kept,
    others: Kept,
}

impl History {
    /// One more has happened.
    pub(super) fn push(&mut self, event: Arc<Event>) {
        if event.what.is_traffic() { self.traffic.push(event) } else { self.others.push(event) }
    }

    /// The first that has happened after this place, as far as it is kept.
    pub(super) fn after(&self, place: Place) -> Option<&Arc<Event>> {
        let next = [self.traffic.after(place), self.others.after(place)];
        next.into_iter().flatten().min_by_key(|event| event.place.sequence())
    }

    /// Nobody is to come back to it.
    pub(super) fn forget_traffic(&mut self) {
        self.traffic = Kept::default();
    }
}

/// The last ones, of few bytes.
#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl Kept {
    fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.bytes();
        self.events.push_back(event);
        while self.events.len() > ACTIVITY_KEPT || self.bytes > ACTIVITY_KEPT_BYTES {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    fn after(&self, place: Place) -> Option<&Arc<Event>> {
        let sequence = place.sequence();
        let seen = self.events.partition_point(|event| event.place.sequence() <= sequence);
        self.events.get(seen)
    }
}
