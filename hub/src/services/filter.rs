//! Which events one watcher of activity is told of.

use hub_proto::hub::v1::EventType;
use tonic::Status;
use tunnel::name::Name;

use crate::config::auth::Caller;
use crate::config::pattern::Pattern;
use crate::limits::ACTIVITY_NAMES;
use crate::observe::activity::Place;

/// What it may see, and of that what it asks for.
#[derive(Debug)]
pub(super) struct Filter {
    caller: Caller,
    /// All names, and what is about none, where there are none.
    names: Vec<Pattern>,
    /// All, where there are none.
    types: Vec<i32>,
}

impl Filter {
    /// All that it may see.
    pub(super) fn all(caller: Caller) -> Self {
        Self { caller, names: Vec::new(), types: Vec::new() }
    }

    /// What it asks for.
    ///
    /// # Errors
    /// One of these is no pattern, or there are too many.
    pub(super) fn new(
        caller: Caller,
        names: Vec<String>,
        mut types: Vec<i32>,
    ) -> Result<Self, Status> {
        if names.len() > ACTIVITY_NAMES {
            let sentence = format!("there are at most {ACTIVITY_NAMES} patterns of names");
            return Err(Status::invalid_argument(sentence));
        }
        let names: Result<_, _> = names.into_iter().map(Pattern::try_from).collect();
        types.sort_unstable();
        types.dedup();
        Ok(Self { caller, names: names.map_err(Status::invalid_argument)?, types })
    }

    /// Whether it is told of what has happened to this name, or to none.
    pub(super) fn passes(&self, name: Option<&Name>, kind: i32) -> bool {
        let is_asked_for = self.names.is_empty()
            || name.is_some_and(|name| {
                self.names.iter().any(|pattern| pattern.matches(name.as_str()))
            });
        is_asked_for && self.wants(kind) && self.may_see(name, kind)
    }

    /// What is about no name tells of others' addresses, but for the hub's own end.
    fn may_see(&self, name: Option<&Name>, kind: i32) -> bool {
        match name {
            Some(name) => self.caller.may_call(name),
            None => kind == EventType::HubDraining as i32 || self.caller.may_call_all(),
        }
    }

    fn wants(&self, kind: i32) -> bool {
        self.types.is_empty() || self.types.binary_search(&kind).is_ok()
    }

    /// How many of so many events it may have missed: those of which none is of a type that it asks for do not count.
    pub(super) fn missed(&self, lost: Place) -> u64 {
        let traffic = [
            EventType::RequestProxied,
            EventType::LaneOpened,
            EventType::LaneEnded,
            EventType::RegistrationRefused,
        ]
        .map(|kind| kind as i32);
        let wants_traffic = traffic.into_iter().any(|kind| self.wants(kind));
        let wants_others =
            self.types.is_empty() || self.types.iter().any(|kind| !traffic.contains(kind));
        let of = |wants: bool, count| if wants { count } else { 0 };
        of(wants_traffic, lost.traffic) + of(wants_others, lost.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(names: &[&str], types: &[EventType]) -> Filter {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let types = types.iter().map(|&kind| kind as i32).collect();
        Filter::new(Caller::anybody(), names, types).expect("a filter")
    }

    #[test]
    fn names_and_types() {
        let name: Name = "berlin-1".parse().expect("a name");
        let [comes, calls] = [EventType::ClientRegistered, EventType::RequestProxied];
        for (names, types, passes) in [
            (&[][..], &[][..], true),
            (&["berlin-*"], &[comes], true),
            (&["paris-*", "berlin-1"], &[calls, comes], true),
            (&["paris-*"], &[], false),
            (&[], &[calls], false),
        ] {
            let filter = filter(names, types);
            assert_eq!(filter.passes(Some(&name), comes as i32), passes, "{filter:?}");
        }
        assert!(filter(&[], &[]).passes(None, EventType::LimitReached as i32));
        assert!(!filter(&["*"], &[]).passes(None, EventType::LimitReached as i32));
    }

    #[test]
    fn what_is_not_asked_for_is_not_missed() {
        let lost = Place { traffic: 100, others: 10 };
        for (types, missed) in [
            (&[][..], 110),
            (&[EventType::LaneOpened][..], 100),
            (&[EventType::ClientRegistered], 10),
            (&[EventType::ClientRegistered, EventType::RequestProxied], 110),
        ] {
            assert_eq!(filter(&[], types).missed(lost), missed, "{types:?}");
        }
    }

    #[test]
    fn what_is_no_filter() {
        let new = |names| Filter::new(Caller::anybody(), names, Vec::new()).map(|_| ());
        assert!(new(vec!["Berlin".to_owned()]).is_err());
        assert!(new(vec!["a".to_owned(); ACTIVITY_NAMES]).is_ok());
        assert!(new(vec!["a".to_owned(); ACTIVITY_NAMES + 1]).is_err());
    }
}
