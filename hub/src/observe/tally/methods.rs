//! The calls of a name, by method.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::limits::{METHOD_LEN, METHODS_OF_ALL, METHODS_OF_NAME};
use crate::observe::ending::Ending;
use crate::observe::outcome::Outcome;

/// Calls of one method, since its name came.
#[derive(Clone, Debug, Default)]
pub(crate) struct MethodTally {
    /// How often they ended how.
    pub(crate) outcomes: Vec<(Outcome, u64)>,
    /// All of them together took so long.
    pub(crate) time: Duration,
}

impl MethodTally {
    fn ended(&mut self, end: &Ending<'_>) {
        self.time = self.time.saturating_add(end.total);
        let index = end.outcome.index();
        match self.outcomes.iter_mut().find(|(outcome, _)| outcome.index() == index) {
            Some((_, times)) => *times += 1,
            None => self.outcomes.push((end.outcome, 1)),
        }
    }
}

/// The methods of a name. Callers choose their names, so they are bounded; what is beyond is counted as the method "".
#[derive(Debug, Default)]
pub(crate) struct Methods {
    of_name: BTreeMap<Box<str>, MethodTally>,
    /// Of all names, from the first method on.
    of_all: Option<Arc<AtomicUsize>>,
}

impl Methods {
    pub(super) fn ended(&mut self, end: &Ending<'_>, of_all: &Arc<AtomicUsize>) {
        if let Some(tally) = self.of_name.get_mut(end.method) {
            return tally.ended(end);
        }
        let method = if self.may_tell(end, of_all) { end.method } else { "" };
        self.of_name.entry(method.into()).or_default().ended(end);
    }

    /// Whether a method that is new may stand for itself. One that no server has may not: whoever tries names would fill the list.
    fn may_tell(&mut self, end: &Ending<'_>, of_all: &Arc<AtomicUsize>) -> bool {
        // Whoever gives up before an answer begins has not found it either.
        let is_given_up = end.is_clients && end.head.is_none();
        let is_there = !is_given_up && end.refusal.is_none() && !end.outcome.is_of_no_method();
        let is_room = self.of_name.len() < METHODS_OF_NAME && end.method.len() <= METHOD_LEN;
        if !is_there || !is_room || of_all.load(Ordering::Relaxed) >= METHODS_OF_ALL {
            return false;
        }
        of_all.fetch_add(1, Ordering::Relaxed);
        self.of_all.get_or_insert_with(|| of_all.clone());
        true
    }

    /// By method.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &MethodTally)> {
        self.of_name.iter().map(|(method, tally)| (&**method, tally))
    }
}

impl Drop for Methods {
    fn drop(&mut self) {
        if let Some(of_all) = &self.of_all {
            let told = self.of_name.keys().filter(|method| !method.is_empty()).count();
            of_all.fetch_sub(told, Ordering::Relaxed);
        }
    }
}
