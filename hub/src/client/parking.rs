//! Calls that wait for a name that nobody serves now, but soon somebody may again.

use switch::CallId;
use tokio::time::Instant;

use super::connection::Connection;
use super::groups::GroupId;
use super::route::Head;
use crate::message::refusal::Refusal;
use crate::registry::Away;

impl Connection {
    /// Has the calls of this group wait for their name, if it is expected back or they wait already, within the time that
    /// each of them has; the others are refused. Returns `true` if there may be somebody by now.
    pub(super) fn park(&mut self, id: GroupId, away: &Away) -> bool {
        let Some(group) = self.groups.get(id) else { return false };
        let waiting: Vec<CallId> = group.waiting.iter().copied().collect();
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        for call in waiting {
            match self.parked_until(call, id, away).filter(|until| *until > now) {
                Some(until) => next = Some(next.map_or(until, |next| next.min(until))),
                None => self.give_up(call, id, away.refusal.clone()),
            }
        }
        let Some(next) = next else { return false };
        self.look_by(next);
        self.await_name(id)
    }

    /// Until when the call may wait for its name; it takes a place for that. Without, if there is none.
    fn parked_until(&mut self, id: CallId, group: GroupId, away: &Away) -> Option<Instant> {
        if let Some((_, until)) = &self.call(id)?.parked {
            return Some(*until).filter(|_| away.may_be_awaited());
        }
        let hub = self.origin.hub.clone();
        let patience = hub.config.park_timeout;
        if patience.is_zero() || !away.is_expected {
            return None;
        }
        let own = self.switch.request(id).and_then(|head| Head::of(head).timeout());
        let name = self.groups.get(group)?.name.clone();
        let call = self.call(id)?;
        let parked = hub.registry.park(&name)?;
        let own = own.and_then(|own| call.record.started().checked_add(own));
        let until = parked.since + patience;
        let until = own.map_or(until, |own| own.min(until));
        call.record.parks();
        (call.waits_since, call.parked) = (parked.since, Some((parked, until)));
        Some(until)
    }

    fn give_up(&mut self, call: CallId, id: GroupId, refusal: Refusal) {
        if let Some(group) = self.groups.get(id) {
            group.waiting.retain(|other| *other != call);
        }
        self.refuse_by_turns(call, refusal);
    }

    /// Has somebody told when the name is back. Returns `true` if it may have come back before that.
    fn await_name(&mut self, id: GroupId) -> bool {
        let Some(group) = self.groups.get(id) else { return false };
        let Some(first) = group.waiting.front().copied() else { return false };
        if std::mem::replace(&mut group.is_awaited, true) {
            return false;
        }
        let Some(mut arrivals) =
            self.call(first).and_then(|call| Some(call.parked.as_ref()?.0.arrivals()))
        else {
            return false;
        };
        self.arriving.push(Box::pin(async move {
            // Where nobody waits any more, there is nothing to wait for.
            let _ = arrivals.changed().await;
            id
        }));
        self.look_at_opening = true;
        true
    }

    /// The name is back, or nobody waits for it. Those who waited wait for a lane from now on.
    pub(super) fn arrived(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(id) else { return };
        group.is_awaited = false;
        let waiting: Vec<CallId> = group.waiting.iter().copied().collect();
        for call in waiting {
            if let Some(call) = self.call(call) {
                call.waits_since = Instant::now();
            }
        }
        self.serve_group(id);
    }
}
