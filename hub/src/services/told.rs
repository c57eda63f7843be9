//! An event of this hub, in the words that watchers are told it in.

use hub_proto::hub::v1::{
    ActivityEvent, Call, EventType, Lane, ReachedLimit, RegistrationRefusal, Session,
};
use tunnel::name::Name;

use super::cursor;
use crate::observe::activity::{Event, LaneEvent, ProxiedCall, What};

/// An event of this hub, which is `node`.
pub(super) fn message(event: &Event, node: &str) -> ActivityEvent {
    let mut told = ActivityEvent {
        sequence: event.place.sequence(),
        time: Some(event.time.into()),
        r#type: kind(&event.what) as i32,
        name: event.name.as_ref().map(Name::to_string).unwrap_or_default(),
        instance: event.instance.clone(),
        hub: node.to_owned(),
        cursor: cursor::cursor(node, event.place),
        ..ActivityEvent::default()
    };
    match &event.what {
        What::Proxied(proxied) => told.call = Some(call(proxied)),
        What::LaneOpened(about) | What::LaneEnded(about) => told.lane = Some(lane(about)),
        What::Suspect { session, .. } | What::Draining { session } | What::Replaced { session } => {
            told.session = Some(Session { id: session.clone() });
        }
        What::Refused { reason, address } => {
            let (reason, address) = ((*reason).to_owned(), address.to_string());
            told.refusal = Some(RegistrationRefusal { reason, address });
        }
        What::LimitReached { limit, address, untold } => {
            let (limit, address) = ((*limit).to_owned(), address.to_string());
            told.limit = Some(ReachedLimit { limit, address, untold: *untold });
        }
        What::Registered | What::Unregistered | What::Upstream { .. } | What::HubDraining => {}
    }
    told
}

/// Its type.
pub(super) fn kind(what: &What) -> EventType {
    match what {
        What::Registered => EventType::ClientRegistered,
        What::Unregistered => EventType::ClientUnregistered,
        What::Proxied(_) => EventType::RequestProxied,
        What::LaneOpened(_) => EventType::LaneOpened,
        What::LaneEnded(_) => EventType::LaneEnded,
        What::Upstream { up: true } => EventType::UpstreamReachable,
        What::Upstream { up: false } => EventType::UpstreamUnreachable,
        What::Suspect { is_suspect: true, .. } => EventType::SessionSuspect,
        What::Suspect { is_suspect: false, .. } => EventType::SessionHealthy,
        What::Draining { .. } => EventType::SessionDraining,
        What::Replaced { .. } => EventType::SessionReplaced,
        What::Refused { .. } => EventType::RegistrationRefused,
        What::LimitReached { .. } => EventType::LimitReached,
        What::HubDraining => EventType::HubDraining,
    }
}

fn lane(lane: &LaneEvent) -> Lane {
    Lane {
        session: lane.session.clone(),
        open: u32::try_from(lane.open).unwrap_or(u32::MAX),
        error: lane.error.clone().unwrap_or_default(),
    }
}

fn call(proxied: &ProxiedCall) -> Call {
    Call {
        method: proxied.method.clone(),
        status: proxied.outcome.to_string(),
        hub_reason: proxied.reason.unwrap_or_default().to_owned(),
        duration: proxied.duration.try_into().ok(),
        request_bytes: proxied.request_bytes,
        response_bytes: proxied.response_bytes,
        parked: proxied.parked.and_then(|parked| parked.try_into().ok()),
        replays: proxied.replays,
    }
}
