//! What the hub knows of a call.

use switch::{LaneId, Switch};
use tokio::time::Instant;

use super::callers::CallerId;
use super::groups::GroupId;
use super::record::Record;
use crate::config::auth::Caller;
use crate::guard::peer_guard::PeerGuard;
use crate::lanes::LaneView;
use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;
use crate::registry::{Parked, Running};

/// What the hub knows of a call, beside its frames.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) record: Record,
    /// What the client can take should the hub answer.
    pub(super) form: AnswerForm,
    /// Who calls; nobody, where the token was none that is known.
    pub(super) who: Option<Caller>,
    pub(super) caller: CallerId,
    pub(super) next: Next,
    /// It waits for a lane since then.
    pub(super) waits_since: Instant,
    /// It waits for its name to come back, and until when.
    pub(super) parked: Option<(Parked, Instant)>,
    /// It runs on this lane.
    pub(super) lane: Option<LaneId>,
    /// It counts as one of its agent's.
    pub(super) running: Option<Running>,
    /// What the hub has answered.
    pub(super) refused: Option<Refusal>,
    /// It is one of those that the hub's own services may have at once.
    pub(super) has_own_place: bool,
    /// It is an agent's session (RFC 8441), or asks to be one.
    pub(super) is_session: bool,
}

impl Call {
    /// One that has just come.
    pub(super) fn new(record: Record, form: AnswerForm, caller: CallerId, next: Next) -> Self {
        let waits_since = record.started();
        Self {
            record,
            form,
            who: None,
            caller,
            next,
            waits_since,
            parked: None,
            lane: None,
            running: None,
            refused: None,
            has_own_place: false,
            is_session: false,
        }
    }

    /// It has gone to where it is put in gRPC's words, and is answered for there.
    pub(super) fn is_in_other_words(&self) -> bool {
        matches!(self.next, Next::Web) && self.lane.is_some()
    }

    /// It waits for its name no longer; the outcome is one of a few words.
    pub(super) fn leaves_parking(&mut self, outcome: &'static str) {
        if let Some((parked, _)) = self.parked.take() {
            self.record.parked(parked.since.elapsed(), outcome);
        }
    }
}

/// Where it goes when its turn has come.
#[derive(Clone, Debug)]
pub(super) enum Next {
    Agent(GroupId),
    /// To what puts it in other words, or takes it for an agent's session.
    Web,
    /// To the hub's own services, by this caller.
    Own(Option<Caller>),
    Refuse(Refusal),
}

impl LaneView for Switch<Box<Call>, PeerGuard> {
    fn has_room(&self, lane: LaneId) -> bool {
        !self.is_overfull() && Self::has_room(self, lane)
    }

    fn calls(&self, lane: LaneId) -> usize {
        self.calls_on(lane)
    }
}
