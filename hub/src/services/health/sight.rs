//! What somebody may hear of a name's health.

use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use tunnel::name::Name;

use crate::config::auth::{Auth, Caller};
use crate::registry::Presence;

/// How much somebody may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// All there is: whoever it is may call the name.
    Full,
    /// Whether the name serves, for that is for everybody.
    Public,
}

impl Sight {
    /// Nothing, where it may know nothing of the name.
    pub(super) fn of(name: &Name, caller: Option<&Caller>, auth: &Auth) -> Option<Self> {
        if caller.is_some_and(|caller| caller.may_call(name)) {
            return Some(Self::Full);
        }
        auth.has_public_health(name).then_some(Self::Public)
    }

    /// What it is told of a name that it asks for.
    pub(super) fn status(self, presence: Presence) -> ServingStatus {
        match (self, presence) {
            (_, Presence::Online) => ServingStatus::Serving,
            (_, Presence::Offline) => ServingStatus::NotServing,
            (Self::Full, Presence::Unknown) => ServingStatus::ServiceUnknown,
            // Which names there have been is for those who may call them.
            (Self::Public, Presence::Unknown) => ServingStatus::NotServing,
        }
    }

    /// What it is told of a name in a list, unless it would learn from it that there is or was such a name.
    pub(super) fn listed(self, presence: Presence) -> Option<ServingStatus> {
        match (self, presence) {
            (_, Presence::Online) => Some(ServingStatus::Serving),
            (Self::Full, Presence::Offline) => Some(ServingStatus::NotServing),
            (Self::Full, Presence::Unknown)
            | (Self::Public, Presence::Offline | Presence::Unknown) => None,
        }
    }
}
