//! Whether calls for a name can be served, and why they cannot.

use tunnel::name::Name;

use super::{Away, Registry};
use crate::config::auth::Auth;
use crate::limits::STARTING;
use crate::message::refusal::Refusal;

/// Whether calls for a name can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Unknown,
    Offline,
    Online,
}

impl Registry {
    /// Whose names those are that nobody has registered.
    pub(crate) fn heed(&self, auth: &Auth) {
        *self.auth.write() = auth.clone();
        self.changed();
    }

    /// Whether they can.
    pub(crate) fn presence(&self, name: &Name) -> Presence {
        match self.why_not(name) {
            None => Presence::Online,
            Some(Refusal::UnknownName(_)) => Presence::Unknown,
            Some(_) => Presence::Offline,
        }
    }

    /// The same of all names that are not unknown.
    pub(crate) fn presences(&self) -> Vec<(Name, Presence)> {
        let mut presences = Vec::new();
        self.each_name(|name, entry| {
            if entry.is_known() {
                let is_online = entry.usable().next().is_some();
                let presence = if is_online { Presence::Online } else { Presence::Offline };
                presences.push((name.clone(), presence));
            }
        });
        let auth = self.auth.read().clone();
        let is_there =
            |name: &Name| presences.binary_search_by(|(there, _)| there.cmp(name)).is_ok();
        let missing: Vec<_> = auth.all_spelled_out().filter(|name| !is_there(name)).collect();
        presences.extend(missing.into_iter().map(|name| (name.clone(), Presence::Offline)));
        presences
    }

    /// Why calls for a name cannot be served, if they cannot.
    pub(crate) fn why_not(&self, name: &Name) -> Option<Refusal> {
        let names = self.names.read();
        let away = match names.entries.get(name).filter(|entry| entry.is_known()) {
            Some(entry) if entry.usable().next().is_some() => return None,
            Some(entry) => entry.away(name),
            None => self.unknown(name),
        };
        Some(away.refusal)
    }

    /// Of a name that nobody has registered. A hub that has just started knows nobody yet.
    pub(super) fn unknown(&self, name: &Name) -> Away {
        let is_expected = self.started.elapsed() < STARTING;
        let refusal = if self.auth.read().spells_out(name) {
            Refusal::Offline { name: name.clone(), since: None }
        } else {
            Refusal::UnknownName(name.clone())
        };
        Away { refusal, is_expected }
    }
}
