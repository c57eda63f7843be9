//! The lanes of one client connection, by name and caller.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tunnel::lanes::Source;
use tunnel::name::Name;

use crate::config::auth::Caller;
use crate::config::networks::network;
use crate::lanes::Group;
use crate::limits::POOL_GROUPS;

/// A name and a caller of a connection.
pub(super) type GroupId = usize;

/// They end with the client's connection.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Option<Group>>,
    /// By name, then by what tells its callers apart.
    ids: BTreeMap<Name, BTreeMap<String, GroupId>>,
}

impl Groups {
    /// The lanes to the agents of `name` that `caller` has to itself, whose turns are those of `source`: a used lane is never
    /// given to another caller.
    pub(super) fn of(
        &mut self,
        name: &Name,
        caller: &str,
        source: impl FnOnce() -> Source,
        worker: usize,
    ) -> GroupId {
        if let Some(group) = self.ids.get(name).and_then(|of_name| of_name.get(caller)) {
            return *group;
        }
        if self.ids.len() >= POOL_GROUPS {
            self.forget_spent();
        }
        let group = Some(Group::new(name.clone(), source(), worker));
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
        self.ids.entry(name.clone()).or_default().insert(caller.to_owned(), at);
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

/// Whose turns its lanes share: the credential's, else the address's. Hubs of all versions that have one key agree on it.
pub(super) fn source(key: &[u8; 32], caller: &Caller, address: IpAddr) -> Source {
    let hash = Sha256::new_with_prefix(key);
    let hash = match (caller.id(), network(address).to_canonical()) {
        (Some(id), _) => hash.chain_update(b"id").chain_update(id),
        (None, IpAddr::V4(v4)) => hash.chain_update(b"v4").chain_update(v4.octets()),
        (None, IpAddr::V6(v6)) => hash.chain_update(b"v6").chain_update(v6.octets()),
    };
    let hash: [u8; 32] = hash.finalize().into();
    Source(hash[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::auth::{Holder, Ownership};

    #[test]
    fn callers_are_told_apart_alike_with_one_key() {
        let named = |id: &str| Caller::of(Holder::elsewhere(id.to_owned(), Ownership::Share));
        let of = |key: u8, caller: &Caller, address: &str| {
            source(&[key; 32], caller, address.parse().expect("an address"))
        };
        let anybody = Caller::anybody();
        // What hubs of other versions find.
        assert_eq!(of(1, &anybody, "192.0.2.1"), Source(17_627_255_556_420_198_384));
        assert_eq!(of(1, &named("berlin"), "192.0.2.1"), Source(15_018_983_569_773_144_994));
        assert_eq!(of(1, &anybody, "192.0.2.1"), of(1, &anybody, "::ffff:192.0.2.1"));
        assert_eq!(of(1, &anybody, "2001:db8::1"), of(1, &anybody, "2001:db8::2"));
        assert_eq!(of(1, &named("berlin"), "192.0.2.1"), of(1, &named("berlin"), "192.0.2.2"));
        for other in [
            of(2, &anybody, "192.0.2.1"),
            of(1, &anybody, "192.0.2.2"),
            of(1, &anybody, "2001:db8::1"),
            of(1, &named("berlin"), "192.0.2.1"),
        ] {
            assert_ne!(of(1, &anybody, "192.0.2.1"), other);
        }
    }
}
