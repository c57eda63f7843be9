//! Who is told of what changes about the agents of this hub: each follower has a list of names to look at again.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tunnel::name::Name;

/// All that listen.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<Vec<Weak<Follower>>>);

/// One that listens. It holds each name once, however often it changes.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    changed: Mutex<BTreeSet<Name>>,
    nudged: Notify,
}

impl Followers {
    /// One more, that is to begin with these names.
    pub(super) fn add(&self, names: BTreeSet<Name>) -> Arc<Follower> {
        let follower = Arc::new(Follower { changed: Mutex::new(names), nudged: Notify::new() });
        follower.nudged.notify_one();
        let mut followers = self.0.lock();
        followers.retain(|other| other.strong_count() > 0);
        followers.push(Arc::downgrade(&follower));
        follower
    }

    /// Something about the name has changed.
    pub(super) fn touch(&self, name: &Name) {
        for follower in self.0.lock().iter().filter_map(Weak::upgrade) {
            if follower.changed.lock().insert(name.clone()) {
                follower.nudged.notify_one();
            }
        }
    }
}

impl Follower {
    /// Waits for changes.
    pub(crate) async fn nudged(&self) {
        self.nudged.notified().await;
    }

    /// A name that has changed.
    pub(crate) fn take(&self) -> Option<Name> {
        self.changed.lock().pop_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_changes_often_is_told_once() {
        let followers = Followers::default();
        let name = |text: &str| text.parse::<Name>().expect("a name");
        let follower = followers.add([name("a"), name("b")].into());
        (0..3).for_each(|_| followers.touch(&name("b")));
        followers.touch(&name("c"));
        let all = |follower: &Follower| std::iter::from_fn(|| follower.take()).collect::<Vec<_>>();
        assert_eq!(all(&follower), [name("a"), name("b"), name("c")]);
        followers.touch(&name("b"));
        assert_eq!(all(&follower), [name("b")]);
        drop(follower);
        followers.touch(&name("d"));
        assert_eq!(followers.add([].into()).take(), None);
        assert_eq!(followers.0.lock().len(), 1, "who has gone is forgotten");
    }
}
