//! All names that somebody has, or had a while ago.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::SystemTime;

use tokio::time::Instant;
use tunnel::name::Name;

use super::entry::{Entry, Owned};
use crate::config::auth::Holder;
use crate::limits::{FORGOTTEN_AT_ONCE, REMEMBER_NAME, REMEMBERED_NAMES};

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
            (entry.gone_since, entry.gone_at) = (Some(now), Some(SystemTime::now()));
            self.gone.push_back((name.clone(), now));
        } else if entry.sessions.is_empty() {
            self.entries.remove(name);
        }
    }

    /// Forgets names that have been gone for too long, or are too many.
    pub(super) fn forget(&mut self) {
        let Self { entries, gone, .. } = self;
        // It may have come back, and gone again, since.
        let is_gone = |entries: &BTreeMap<Name, Entry>, name: &Name, since: Instant| {
            entries.get(name).is_some_and(|entry| entry.gone_since == Some(since))
        };
        let mut surplus = 0;
        // Seldom, for it takes as long as there are names.
        if gone.len() >= 2 * REMEMBERED_NAMES + FORGOTTEN_AT_ONCE {
            // Names that come and go push out none that stay away.
            gone.retain(|(name, since)| is_gone(entries, name, *since));
            surplus = gone.len().saturating_sub(REMEMBERED_NAMES);
        }
        let expired = gone.iter().take_while(|(_, since)| since.elapsed() > REMEMBER_NAME).count();
        // Others wait meanwhile.
        let most = expired.max(surplus).min(FORGOTTEN_AT_ONCE);
        for (name, since) in gone.drain(..most) {
            if is_gone(entries, &name, since) {
                entries.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> Name {
        format!("name-{n}").parse().expect("a name")
    }

    /// Somebody who was there leaves.
    fn goes(names: &mut Names, n: usize) {
        names.entries.entry(name(n)).or_default().gone_since = None;
        names.left(&name(n), true);
        names.forget();
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_come_and_go_push_out_none_that_stay_away() {
        let mut names = Names::default();
        goes(&mut names, 0);
        for n in 0..4 * REMEMBERED_NAMES {
            goes(&mut names, 1 + n % 10);
            tokio::time::advance(std::time::Duration::from_micros(1)).await;
        }
        assert!(names.entries.contains_key(&name(0)));
        assert!(names.gone.len() <= 2 * REMEMBERED_NAMES + FORGOTTEN_AT_ONCE);
        // As many others that stay away do.
        (100..100 + 2 * REMEMBERED_NAMES + FORGOTTEN_AT_ONCE).for_each(|n| goes(&mut names, n));
        assert!(!names.entries.contains_key(&name(0)));
        assert!(names.entries.len() <= 2 * REMEMBERED_NAMES + FORGOTTEN_AT_ONCE);
        tokio::time::advance(REMEMBER_NAME * 2).await;
        let before = names.entries.len();
        names.forget();
        assert_eq!(names.entries.len(), before - FORGOTTEN_AT_ONCE, "others wait meanwhile");
        while !names.gone.is_empty() {
            names.forget();
        }
        assert!(names.entries.is_empty());
    }
}
