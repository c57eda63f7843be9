//! The lanes of one client connection, by name and caller.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;

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
        source: Source,
        worker: usize,
    ) -> GroupId {
        if let Some(group) = self.ids.get(name).and_then(|of_name| of_name.get(caller)) {
            return *group;
        }
        if self.ids.len() >= POOL_GROUPS {
            self.forget_spent();
        }
        let group = Some(Group::new(name.clone(), source, worker));
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

/// Whose turns its lanes share: the credential's, else the address's. Nobody who does not know the key finds two that are one.
pub(super) fn source(key: &[u8; 32], caller: &Caller, address: IpAddr) -> Source {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    match caller.id() {
        Some(id) => id.hash(&mut hasher),
        None => network(address).hash(&mut hasher),
    }
    Source(hasher.finish())
}
