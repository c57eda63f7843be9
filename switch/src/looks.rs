//! What an owner may want to know between two events, and lanes that change their owner.

use http2::error::Reason;
use http2::fields::Fields;
use http2::frame;

use crate::call::At;
use crate::event::{CallId, LaneId};
use crate::guard::Guard;
use crate::lane::Lane;
use crate::switch::Switch;
use crate::way::Waits;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the request and of the answer that were passed on.
    pub bytes: (u64, u64),
    /// Whom it waits for, with bytes that one side has for the other.
    pub waits_for: Option<Stall>,
}

/// Who takes no more of a call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// The client: its windows are used up, or its connection takes nothing.
    Client,
    /// The upstream: its windows are.
    Upstream,
    /// What is between: windows are open, and the lane takes nothing.
    Link,
}

/// A lane on which HTTP/2 has begun, and that no switch has now.
#[derive(Debug)]
pub struct DetachedLane<G>(Lane<G>);

impl<C, G: Guard> Switch<C, G> {
    // --- the client ---

    /// Whether more of the client is understood only when its guard has rested.
    #[must_use]
    pub fn is_tired(&self) -> bool {
        self.client.guard.is_tired()
    }

    /// Bytes that wait to be written to the client, answers to its PINGs among them, DATA that has no turn yet aside.
    #[must_use]
    pub fn client_waits_for(&self) -> usize {
        self.client.output.len() + self.pings.len() * frame::PING_BYTES
    }

    /// Whether nothing is to be written to the client but answers to its PINGs.
    #[must_use]
    pub fn owes_only_pings(&self) -> bool {
        self.client.output.is_empty() && !self.pings.is_empty()
    }

    /// Whether the client has begun as HTTP/2 does: preface, SETTINGS.
    #[must_use]
    pub fn has_greeted(&self) -> bool {
        self.has_settings
    }

    /// Whether the client was told that no new call is taken.
    #[must_use]
    pub fn takes_no_more(&self) -> bool {
        self.last_served <= self.last_call
    }

    /// Whether the connection is over once its calls are: the client has taken leave.
    #[must_use]
    pub fn client_leaves(&self) -> bool {
        self.client_leaves
    }

    /// Bytes of requests and of answers that were passed on so far.
    #[must_use]
    pub fn moved(&self) -> (u64, u64) {
        self.moved
    }

    /// Gives back the memory that is kept for what comes next: there are no calls, and there have been none for a while.
    pub fn rest(&mut self) {
        (self.scratch, self.spare, self.fields) = (Vec::new(), Vec::new(), Fields::new());
        self.client.rest();
        self.lanes.iter_mut().flatten().for_each(|lane| lane.link.rest());
        self.calls.shrink_to_fit();
        self.events.shrink_to_fit();
        self.dirty.shrink_to_fit();
        self.resets.shrink_to_fit();
        self.pings.shrink_to_fit();
    }

    /// Bytes that wait to be written to a lane, and where the next one is in all that was written.
    #[must_use]
    pub fn lane_waits_for(&self, lane: LaneId) -> (usize, u64) {
        self.lane(lane).map_or((0, 0), |lane| (lane.link.output.len(), lane.link.written))
    }

    // --- calls ---

    /// All of the client's calls.
    pub fn call_ids(&self) -> impl Iterator<Item = CallId> {
        self.calls.keys().copied()
    }

    /// How far a call of an upstream has come; nothing, if there is none of this number, or it is on no lane of an upstream.
    #[must_use]
    pub fn progress(&self, call: CallId) -> Option<Progress> {
        let call = self.calls.get(&call).filter(|call| call.is_proxied)?;
        let lane = call.on_lane().and_then(|(lane, _)| self.lane(lane));
        let client = call.down.waits(&self.client.output, self.client.send_window);
        let upstream =
            lane.and_then(|lane| call.up.waits(&lane.link.output, lane.link.send_window));
        let waits_for = match (client, upstream) {
            (Some(_), _) => Some(Stall::Client),
            (None, Some(Waits::ForWindow)) => Some(Stall::Upstream),
            (None, Some(Waits::ForOutput)) => Some(Stall::Link),
            (None, None) => None,
        };
        Some(Progress { bytes: (call.up.passed, call.down.passed), waits_for })
    }

    /// Whether the head of the answer has gone to the client.
    #[must_use]
    pub fn is_answered(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|call| call.is_answered)
    }

    /// Whether an upstream that has spoken got the call, and never processed it.
    #[must_use]
    pub fn was_returned(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|call| call.replays > 0)
    }

    /// The owner finds that the client breaks the protocol by this call.
    pub fn breach(&mut self, call: CallId, reason: Reason) {
        // The guard tells the next time if it was one too many.
        let _ = self.client_breach(call, reason);
    }

    // --- lanes ---

    /// Whoever owns the switch serves this lane itself: what passes on it is not counted by [`Self::moved`], and its answers
    /// may say what only the hub says.
    pub fn mark_own(&mut self, lane: LaneId) {
        if let Some(lane) = self.lane_mut(lane) {
            lane.is_own = true;
        }
    }

    /// Whether more of a lane is understood only when its guard has rested.
    #[must_use]
    pub fn is_tired_of(&self, lane: LaneId) -> bool {
        self.lane(lane).is_some_and(|lane| lane.link.guard.is_tired())
    }

    /// Whether a lane takes no new calls any more.
    #[must_use]
    pub fn is_closing(&self, lane: LaneId) -> bool {
        self.lane(lane).is_some_and(|lane| lane.is_closing)
    }

    /// Bytes of its calls that it holds: of bodies that wait or are kept, of heads without an answer, and of trailers.
    #[must_use]
    pub fn held(&self) -> usize {
        self.client_held + self.answers_held + self.kept + self.lists_held
    }

    /// Whether the upstream of a lane has answered a call.
    #[must_use]
    pub fn has_answered(&self, lane: LaneId) -> bool {
        self.lane(lane).is_some_and(|lane| lane.has_answered)
    }

    /// Whether the heads of any of its running calls are among the first so many bytes of a lane.
    #[must_use]
    pub fn got_calls(&self, lane: LaneId, bytes: u64) -> bool {
        self.calls.values().any(|call| match call.at {
            At::Lane { lane: on, began, .. } => on == lane && began < bytes && call.is_on_stream(),
            At::Waiting | At::Nowhere => false,
        })
    }

    /// Whether a lane may have something to write.
    #[must_use]
    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Gives a lane without calls away. One of which an answer still waits for the client is not without.
    pub fn detach_lane(&mut self, id: LaneId) -> Option<DetachedLane<G>> {
        if self.calls.values().any(|call| call.on_lane().is_some_and(|(on, _)| on == id)) {
            return None;
        }
        let lane = self.lanes.get_mut(id)?.take()?;
        Some(DetachedLane(lane))
    }

    /// Takes such a lane. Its upstream is told what the client says of itself.
    pub fn attach_lane(&mut self, lane: DetachedLane<G>) -> LaneId {
        let mut lane = lane.0;
        lane.moves(self.now);
        let id = self.place_lane(lane);
        self.tell_lane(id);
        self.touch(id);
        id
    }
}
