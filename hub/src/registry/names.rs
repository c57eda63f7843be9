//! All names that somebody has, or had a while ago.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::time::Instant;
use tunnel::name::Name;

use super::entry::{Entry, Owned};
use crate::config::auth::Holder;
use crate::limits::{REMEMBER_NAME, REMEMBERED_NAMES};

/// The entries of all names, by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In order, so that a list of them can go on where it was.
    pub(super) entries: BTreeMap<Name, Entry>,
    /// The agents that are connected to this hub, by number.
    pub(super) numbers: HashMap<u64, Name>,
    /// Names that lost their last session, oldest first, to forget them in time.
    pub(super) gone: VecDeque<(Name, Instant)>,
}

impl Names {
    /// Whether an instance may register the name.
    pub(super) fn check_owner(
        &self,
        name: &Name,
        holder: Option<&Holder>,
        instance: &str,
    ) -> Result<(), Owned> {
        let entry = self.entries.get(name);
        let is_owned = entry.is_some_and(|entry| entry.is_owned(holder, instance));
        if is_owned { Err(Owned(name.clone())) } else { Ok(()) }
    }

    /// Somebody has left the name, who was shown or not: it is remembered if nobody is shown any more.
    pub(super) fn left(&mut self, name: &Name, was_shown: bool) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        if entry.gone_since.is_some() || entry.shown().next().is_some() {
            return;
        }
        if was_shown {
            let now = Instant::now();
            entry.gone_since = Some(now);
            self.gone.push_back((name.clone(), now));
        } else if entry.sessions.is_empty() {
            self.entries.remove(name);
        }
    }

    /// Forgets names that have been gone for too long, or are too many.
    pub(super) fn forget(&mut self) {
        let expired = |since: Instant| since.elapsed() > REMEMBER_NAME;
        while let Some((_, since)) = self.gone.front()
            && (self.gone.len() > REMEMBERED_NAMES || expired(*since))
        {
            let Some((name, since)) = self.gone.pop_front() else {
                return;
            };
            // It may have come back, and gone again, since.
            if self.entries.get(&name).is_some_and(|entry| entry.gone_since == Some(since)) {
                self.entries.remove(&name);
            }
        }
    }
}
