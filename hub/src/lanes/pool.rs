//! The lanes of one client connection, by name and caller.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tunnel::lanes::Source;
use tunnel::name::Name;

use super::group::Group;
use super::owner::Owner;
use crate::config::auth::Caller;
use crate::limits::POOL_GROUPS;

/// They end with the client's connection, when the last call has let it go.
#[derive(Debug)]
pub(crate) struct Pool {
    owner: Owner,
    groups: Mutex<Groups>,
}

type Groups = HashMap<Name, Vec<(CallerId, Arc<Group>)>>;

/// What the auth file calls who calls; nobody in particular at an open hub.
type CallerId = Option<String>;

impl Pool {
    pub(crate) fn new(owner: Owner) -> Self {
        Self { owner, groups: Mutex::default() }
    }

    /// The lanes to the agents of `name` that `caller` has to itself: a used lane is never given to another caller.
    pub(crate) fn lanes_for(&self, caller: &Caller, name: &Name) -> Arc<Group> {
        let mut groups = self.groups.lock();
        let known = groups.get(name).and_then(|of_name| {
            of_name
                .iter()
                .find(|(id, _)| id.as_deref() == caller.id())
                .map(|(_, group)| group.clone())
        });
        if let Some(group) = known {
            return group;
        }
        if groups.len() >= POOL_GROUPS {
            groups.retain(|_, of_name| {
                of_name.retain(|(_, group)| !group.is_spent());
                !of_name.is_empty()
            });
        }
        let group = Group::new(self.owner.clone(), self.source(caller), name.clone());
        let group = Arc::new(group);
        let id = caller.id().map(str::to_owned);
        groups.entry(name.clone()).or_default().push((id, group.clone()));
        group
    }

    /// Whose turns its lanes share: the credential's, else the address's. Of IPv6, a host has 64 bits to choose from.
    fn source(&self, caller: &Caller) -> Source {
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let key = KEY.get_or_init(RandomState::new);
        Source(match caller.id() {
            Some(id) => key.hash_one(id),
            None => key.hash_one(network(self.owner.peer.ip())),
        })
    }
}

/// The address, of IPv6 the /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none() => {
            Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64)).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_address() {
        let network = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:10.0.0.1"), "::ffff:10.0.0.1");
    }
}
