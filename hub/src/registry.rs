//! Names and the sessions that serve them: the only shared, locked state of the hub.
//!
//! No lock is held across an await. A session is in here exactly as long as its [`Registration`] lives.

mod page;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::Instant;
use tunnel::limits::{
    REMEMBER_NAME, REMEMBERED_NAMES, REPLACEMENT_TIMEOUT, STREAM_QUEUE_MAX, STREAM_QUEUE_TIMEOUT,
};
use tunnel::name::Name;
use tunnel::wire::CloseCode;

use crate::activity::{Activity, What};
use crate::auth::Holder;
use crate::origin::Party;
use crate::refusal::Refusal;
use crate::room::Room;
use crate::session::{Permit, Session};

pub(crate) use self::page::{Page, Place};

/// The names.
#[derive(Debug)]
pub(crate) struct Registry {
    names: RwLock<Names>,
    /// Told whenever what a caller could reach may have changed.
    changed: watch::Sender<()>,
    activity: Arc<Activity>,
}

#[derive(Debug, Default)]
struct Names {
    /// In order, so that a list of them can go on where it was.
    entries: BTreeMap<Name, Entry>,
    /// Names that lost their last session, oldest first, to forget them in time.
    gone: VecDeque<(Name, Instant)>,
}

/// One name. Without sessions it is remembered for a while, to tell offline from unknown.
#[derive(Debug, Default)]
struct Entry {
    /// By instance, and for each in the order in which they came.
    sessions: Vec<Arc<Session>>,
    gone_since: Option<Instant>,
    /// The last session went while its successor was on its way, which should be here by then.
    expected_until: Option<Instant>,
    room: Arc<Room>,
}

/// Whether a call has just come, or has waited: who waits is not overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    New,
    Waited,
}

/// Whether calls for a name can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Unknown,
    Offline,
    Online,
}

/// Somebody else owns the name exclusively.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name is owned exclusively by another agent")]
pub(crate) struct Owned;

impl Registry {
    pub(crate) fn new(activity: Arc<Activity>) -> Self {
        Self { names: RwLock::default(), changed: watch::Sender::new(()), activity }
    }

    /// Whether `holder` could register `name` now.
    pub(crate) fn check_owner(&self, name: &Name, holder: Option<&Holder>) -> Result<(), Owned> {
        self.names.read().entries.get(name).map_or(Ok(()), |entry| entry.check_owner(holder))
    }

    /// Shows a session to callers. An older one of the same instance and slot is closed, unless it is
    /// draining: then its running calls may finish beside the new one.
    pub(crate) fn register(self: &Arc<Self>, session: Arc<Session>) -> Result<Registration, Owned> {
        let mut names = self.names.write();
        let entry = names.entries.entry(session.name.clone()).or_default();
        entry.check_owner(session.holder.as_ref())?;
        let first = !entry.sessions.iter().any(|other| other.instance == session.instance);
        entry.sessions.retain(|old| {
            let replaced = old.is_same_slot(&session) && !old.make_way();
            if replaced {
                old.ws.close(CloseCode::Replaced, "replaced by a newer session");
            }
            !replaced
        });
        session.join_room(entry.room.clone());
        entry.insert(session.clone());
        entry.gone_since = None;
        entry.expected_until = None;
        entry.room.wake();
        if first {
            self.tell(&session, What::Registered);
        }
        drop(names);
        self.changed();
        Ok(Registration { registry: self.clone(), session })
    }

    fn unregister(&self, session: &Arc<Session>) {
        let mut names = self.names.write();
        let Some(entry) = names.entries.get_mut(&session.name) else {
            return;
        };
        let before = entry.sessions.len();
        entry.sessions.retain(|other| !Arc::ptr_eq(other, session));
        if entry.sessions.len() == before {
            // A newer session has taken its place; there is nothing to tell.
            return;
        }
        entry.room.wake();
        let last = !entry.sessions.iter().any(|other| other.instance == session.instance);
        if entry.sessions.is_empty() && entry.gone_since.is_none() {
            let now = Instant::now();
            entry.gone_since = Some(now);
            entry.expected_until = session.is_being_replaced().then(|| now + REPLACEMENT_TIMEOUT);
            names.gone.push_back((session.name.clone(), now));
        }
        names.forget();
        // Under the lock, so that events come in the order of what they tell.
        if last {
            self.tell(session, What::Unregistered);
        }
        drop(names);
        self.changed();
    }

    fn tell(&self, session: &Session, what: What) {
        self.activity.publish(|| (session.name.clone(), session.instance.clone(), what));
    }

    /// Who listens for changes.
    pub(crate) fn watchers(&self) -> usize {
        self.changed.receiver_count()
    }

    /// To be called when a session begins to drain.
    pub(crate) fn changed(&self) {
        self.changed.send_replace(());
    }

    /// Tells of changes from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn presence(&self, name: &Name) -> Presence {
        match self.names.read().entries.get(name) {
            None => Presence::Unknown,
            Some(entry) if entry.usable().next().is_some() => Presence::Online,
            Some(_) => Presence::Offline,
        }
    }

    /// Every session, in no order.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.names.read().entries.values().flat_map(|entry| &entry.sessions).cloned().collect()
    }

    /// Whether there is another session of its slot: one that it replaces, or that replaces it.
    pub(crate) fn has_sibling(&self, session: &Session) -> bool {
        let names = self.names.read();
        let sessions = names.entries.get(&session.name).map_or(&[][..], |entry| &entry.sessions);
        sessions.iter().any(|other| other.id != session.id && other.is_same_slot(session))
    }

    /// A session for one call, and the right to open a stream on it. Waits a moment where all streams
    /// that the upstream takes are in use, or the session is just being replaced.
    ///
    /// # Errors
    /// The name is unknown or offline, or no stream became free in time.
    pub(crate) async fn pick(
        &self,
        name: &Name,
        worker: usize,
        caller: Party,
    ) -> Result<Permit, Refusal> {
        let room = match self.try_pick(name, worker, caller, Turn::New)? {
            Ok(permit) => return Ok(permit),
            Err(room) => room,
        };
        let full = || Refusal::Limit(name.clone());
        let place = room.enter(STREAM_QUEUE_MAX, caller).ok_or_else(full)?;
        let wait = async {
            // Only the first of a caller's calls looks, and the next one when that has found a stream.
            let _first = place.first().await;
            loop {
                // Listening before looking: whoever leaves in between is not missed.
                let mut left = std::pin::pin!(room.left());
                left.as_mut().enable();
                if let Ok(permit) = self.try_pick(name, worker, caller, Turn::Waited)? {
                    return Ok(permit);
                }
                // And once more when a successor has had its time.
                let _ = tokio::time::timeout(REPLACEMENT_TIMEOUT, left).await;
            }
        };
        let waited = tokio::time::timeout(STREAM_QUEUE_TIMEOUT, wait).await;
        waited.unwrap_or_else(|_| Err(self.refusal(name).unwrap_or_else(full)))
    }

    /// The inner error is where to wait for a stream.
    fn try_pick(
        &self,
        name: &Name,
        worker: usize,
        caller: Party,
        turn: Turn,
    ) -> Result<Result<Permit, Arc<Room>>, Refusal> {
        let names = self.names.read();
        let entry = names.entries.get(name).ok_or_else(|| Refusal::UnknownName(name.clone()))?;
        if entry.usable().next().is_none() && !entry.is_being_replaced() {
            return Err(entry.offline(name));
        }
        if turn == Turn::New && entry.room.has(caller) {
            return Ok(Err(entry.room.clone()));
        }
        Ok(entry.take_best(worker, caller).ok_or_else(|| entry.room.clone()))
    }

    /// Why no session takes calls, if none does.
    fn refusal(&self, name: &Name) -> Option<Refusal> {
        match self.names.read().entries.get(name) {
            None => Some(Refusal::UnknownName(name.clone())),
            Some(entry) if entry.usable().next().is_none() => Some(entry.offline(name)),
            Some(_) => None,
        }
    }
}

impl Entry {
    fn check_owner(&self, holder: Option<&Holder>) -> Result<(), Owned> {
        let id = holder.map(Holder::id);
        let exclusive = |holder: Option<&Holder>| holder.is_some_and(Holder::is_exclusive);
        let stranger = |session: &Arc<Session>| session.holder_id() != id;
        let owned = self.sessions.iter().any(|session| {
            stranger(session) && (exclusive(session.holder.as_ref()) || exclusive(holder))
        });
        if owned { Err(Owned) } else { Ok(()) }
    }

    fn insert(&mut self, session: Arc<Session>) {
        let at = self.sessions.partition_point(|other| other.instance <= session.instance);
        self.sessions.insert(at, session);
    }

    fn offline(&self, name: &Name) -> Refusal {
        let since = self.gone_since.map(|since| since.elapsed());
        Refusal::Offline { name: name.clone(), since }
    }

    /// There is, or just was, a session whose successor is on its way.
    fn is_being_replaced(&self) -> bool {
        self.expected_until.is_some_and(|until| Instant::now() < until)
            || self.sessions.iter().any(|session| session.is_being_replaced())
    }

    fn usable(&self) -> impl Iterator<Item = &Arc<Session>> + Clone {
        // One that has ended may be left waiting for its end, see `Ended::Flood`.
        let usable =
            |session: &&Arc<Session>| !session.is_draining() && session.ws.ended().is_none();
        self.sessions.iter().filter(usable)
    }

    /// The better of two random sessions by calls in flight, from those on the caller's own worker first:
    /// no wake-up across threads there.
    fn take_best(&self, worker: usize, caller: Party) -> Option<Permit> {
        let anywhere = |session: &&Arc<Session>| session.has_room_for(caller);
        let here = |session: &&Arc<Session>| session.worker == worker && anywhere(session);
        let best = better_of_two(self.usable().filter(here))
            .or_else(|| better_of_two(self.usable().filter(anywhere)))?;
        best.take_stream(caller)
    }
}

/// Two random choices, then the less loaded: nearly as even as looking at all, without the herd that
/// follows whoever was least loaded a moment ago.
fn better_of_two<'s>(
    mut sessions: impl Iterator<Item = &'s Arc<Session>> + Clone,
) -> Option<&'s Arc<Session>> {
    let count = sessions.clone().count();
    if count < 2 {
        return sessions.next();
    }
    // In no order, so that of two which are idle now one, now the other is taken.
    let first = fastrand::usize(..count);
    let second = (first + fastrand::usize(1..count)) % count;
    let at = |index| sessions.clone().nth(index);
    let load = |session: &&Arc<Session>| session.in_flight.load(Ordering::Relaxed);
    // One may have been taken up meanwhile, and is none of them any more.
    [at(first), at(second)].into_iter().flatten().min_by_key(load)
}

impl Names {
    /// Forgets names that have been gone for too long, or are too many.
    fn forget(&mut self) {
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

/// A session's place in the registry; dropping it takes the session out.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    session: Arc<Session>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.unregister(&self.session);
    }
}
