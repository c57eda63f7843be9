//! The lanes of one client connection, by name and caller.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::OnceLock;

use tokio::time::Instant;
use tunnel::lanes::Source;
use tunnel::name::Name;

use crate::config::auth::Caller;
use crate::lanes::Group;
use crate::limits::POOL_GROUPS;

/// A name and a caller of a connection.
pub(super) type GroupId = usize;

/// They end with the client's connection.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Option<Group>>,
    /// By name, then by what the auth file calls the caller; nothing at an open hub.
    ids: BTreeMap<Name, BTreeMap<String, GroupId>>,
}

impl Groups {
    /// The lanes to the agents of `name` that `caller` has to itself: a used lane is never given to another caller.
    pub(super) fn of(
        &mut self,
        name: &Name,
        caller: &Caller,
        address: IpAddr,
        worker: usize,
    ) -> GroupId {
        let id = caller.id().unwrap_or_default();
        if let Some(group) = self.ids.get(name).and_then(|of_name| of_name.get(id)) {
            return *group;
        }
        if self.ids.len() >= POOL_GROUPS {
            self.forget_spent();
        }
        let group = Some(Group::new(name.clone(), source(caller, address), worker));
        let at = match self.groups.iter().position(Option::is_none) {
            Some(at) => {
                self.groups[at] = group;
                at
            }
            None => {
                self.groups.push(group);
                self.groups.len() - 1
            }
        };
        self.ids.entry(name.clone()).or_default().insert(id.to_owned(), at);
        at
    }

    pub(super) fn get(&mut self, id: GroupId) -> Option<&mut Group> {
        self.groups.get_mut(id)?.as_mut()
    }

    /// All there are.
    pub(super) fn ids(&self) -> std::ops::Range<GroupId> {
        0..self.groups.len()
    }

    fn forget_spent(&mut self) {
        let (groups, now) = (&mut self.groups, Instant::now());
        self.ids.retain(|_, of_name| {
            of_name.retain(|_, id| {
                let is_spent = groups[*id].as_ref().is_none_or(|group| group.is_spent(now));
                if is_spent {
                    groups[*id] = None;
                }
                !is_spent
            });
            !of_name.is_empty()
        });
    }
}

/// Whose turns its lanes share: the credential's, else the address's.
fn source(caller: &Caller, address: IpAddr) -> Source {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    let key = KEY.get_or_init(RandomState::new);
    Source(match caller.id() {
        Some(id) => key.hash_one(id),
        None => key.hash_one(network(address)),
    })
}

/// The address, of IPv6 the /64: of it, a host has 64 bits to choose from.
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
