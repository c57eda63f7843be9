//! Who has a name exclusively: an etcd decides, for hubs hear of each other's agents only a moment later.
//!
//! A hub writes `PREFIX/owners/NAME/ID` for an agent that is to have the name alone, unless another hub has written the same of
//! another agent. One agent may be at several hubs. The key goes with the hub's lease, so whoever dies with it frees its names.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};
use tunnel::name::Name;

use super::etcd::{Etcd, EtcdError, Tenure};
use crate::limits::{CLAIMS_AGAIN, CLAIMS_AT_ONCE};

/// All that agents of this hub have, or had.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    names: Mutex<HashMap<Name, Arc<Claimed>>>,
    /// Where they are written, while that can be reached.
    place: watch::Sender<Option<Place>>,
    /// Names of which something is to be written, or taken back.
    unsettled: Mutex<BTreeSet<Name>>,
    nudged: Notify,
}

/// One name.
#[derive(Debug, Default)]
struct Claimed {
    /// Sessions of the agent that has it.
    sessions: AtomicUsize,
    /// What is written, or was, of whom.
    written: tokio::sync::Mutex<Option<Written>>,
}

/// What is known of this hub's key.
#[derive(Debug)]
struct Written {
    /// Of whom.
    who: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may be there or not: the directory was asked to write it, or to take it back, and the answer was lost.
    Asked,
    /// It is there, with the lease that the hub has now.
    Held,
    /// It was, with another lease. Whoever has the name keeps it.
    Lapsed,
    /// The same, and another hub has written it of another agent meanwhile.
    Lost,
}

/// A session's share of its agent's claim. Without any, the claim is taken back.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Arc<Claims>,
    name: Name,
    claimed: Arc<Claimed>,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("the name \"{0}\" has another agent, or had one until just now")]
    Taken(Name),
    #[error(
        "the directory of hubs is away: nobody new gets the name \"{0}\" for itself before it is back"
    )]
    Away(Name),
}

/// Where a hub writes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) etcd: Etcd,
    pub(super) tenure: Tenure,
    /// What the keys of all names begin with.
    pub(super) prefix: String,
    /// This hub's id.
    pub(super) node: String,
}

impl Claims {
    /// An agent is to have the name alone. Who has it already keeps it, though the directory is away.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        name: &Name,
        who: &str,
    ) -> Result<Claim, ClaimError> {
        let (claims, of, who) = (self.clone(), name.clone(), who.to_owned());
        // To its end, though whoever waits for it leaves: what is asked without hearing of it may be decided at any time.
        let claim = tokio::spawn(async move { claims.claim_to_its_end(&of, &who).await });
        claim.await.unwrap_or_else(|_| Err(ClaimError::Away(name.clone())))
    }

    async fn claim_to_its_end(
        self: &Arc<Self>,
        name: &Name,
        who: &str,
    ) -> Result<Claim, ClaimError> {
        loop {
            let claimed = self.names.lock().entry(name.clone()).or_default().clone();
            let mut written = claimed.written.lock().await;
            if !self.is_current(name, &claimed) {
                // Taken back while this was waiting for it.
                continue;
            }
            if !written.as_ref().is_some_and(|written| written.is_of(who))
                && let Err(error) = self.write(name, who, &claimed, &mut written).await
            {
                if written.is_none() {
                    self.names.lock().remove(name);
                }
                return Err(error);
            }
            claimed.sessions.fetch_add(1, Ordering::SeqCst);
            drop(written);
            return Ok(Claim { claims: self.clone(), name: name.clone(), claimed });
        }
    }

    async fn write(
        &self,
        name: &Name,
        who: &str,
        claimed: &Claimed,
        written: &mut Option<Written>,
    ) -> Result<(), ClaimError> {
        // That of another agent, which may be on its way out.
        if claimed.sessions.load(Ordering::SeqCst) > 0 {
            return Err(ClaimError::Taken(name.clone()));
        }
        let away = |error: Option<EtcdError>| {
            debug!(%name, ?error, "nobody new gets the name now");
            ClaimError::Away(name.clone())
        };
        let place = self.place.borrow().clone().ok_or_else(|| away(None))?;
        if let Some(of_another) = written {
            of_another.state = State::Asked;
            place.take_back(name).await.map_err(|error| away(Some(error)))?;
            *written = None;
        }
        // Until the contrary is known: an answer may be lost. Then it is taken back.
        self.is_unsettled(name);
        let who = who.to_owned();
        let Written { who, state } = written.insert(Written { who, state: State::Asked });
        match place.write(name, who).await {
            Ok(true) => *state = State::Held,
            Ok(false) => {
                *written = None;
                return Err(ClaimError::Taken(name.clone()));
            }
            Err(error) => return Err(away(Some(error))),
        }
        Ok(())
    }

    fn is_current(&self, name: &Name, claimed: &Arc<Claimed>) -> bool {
        self.names.lock().get(name).is_some_and(|current| Arc::ptr_eq(current, claimed))
    }

    /// Writes all that is claimed, with a new lease, and keeps it so, until dropped: then the directory is away. So it is where
    /// it knows the hub no more.
    pub(super) async fn keep(&self, place: Place) -> Result<Infallible, EtcdError> {
        let all: Vec<_> = self.names.lock().clone().into_iter().collect();
        for (name, claimed) in all {
            if let Some(Written { state, .. }) = &mut *claimed.written.lock().await {
                if *state == State::Held {
                    *state = State::Lapsed;
                }
                self.is_unsettled(&name);
            }
        }
        let _reachable = Reachable::new(self, &place);
        let (mut later, mut again) = (BTreeSet::new(), Instant::now());
        loop {
            let unsettled = std::mem::take(&mut *self.unsettled.lock());
            let settling = unsettled.into_iter().map(|name| self.settle(name, &place));
            let mut settling = stream::iter(settling).buffer_unordered(CLAIMS_AT_ONCE);
            while let Some((name, settled)) = settling.next().await {
                match settled {
                    Ok(true) => {}
                    // The hub has to begin anew: it is not known there any more, or its key is not.
                    Err(error) if error.is_final() => return Err(error),
                    Ok(false) | Err(_) => {
                        if later.is_empty() {
                            again = Instant::now() + CLAIMS_AGAIN;
                        }
                        later.insert(name);
                    }
                }
            }
            tokio::select! {
                biased;
                // However often there is something else.
                () = sleep_until(again), if !later.is_empty() => {
                    self.unsettled.lock().append(&mut later);
                }
                () = self.nudged.notified() => {}
            }
        }
    }

    fn is_unsettled(&self, name: &Name) {
        self.unsettled.lock().insert(name.clone());
        self.nudged.notify_one();
    }

    /// What is written is what is claimed. Returns whether it is.
    async fn settle(&self, name: Name, place: &Place) -> (Name, Result<bool, EtcdError>) {
        let settled = self.try_settle(&name, place).await;
        if let Err(error) = &settled {
            debug!(%name, %error, "the directory has not heard of what becomes of the name");
        }
        (name, settled)
    }

    async fn try_settle(&self, name: &Name, place: &Place) -> Result<bool, EtcdError> {
        let Some(claimed) = self.names.lock().get(name).cloned() else { return Ok(true) };
        let mut written = claimed.written.lock().await;
        if !self.is_current(name, &claimed) {
            // Taken back while this was waiting for it; what is there now is settled by itself.
            return Ok(true);
        }
        let is_claimed = claimed.sessions.load(Ordering::SeqCst) > 0;
        match &mut *written {
            Some(Written { state: State::Held, .. }) if is_claimed => return Ok(true),
            Some(Written { who, state }) if is_claimed => {
                if place.write(name, who).await? {
                    *state = State::Held;
                } else if *state != State::Lost {
                    // Hubs decide it between them: the first keeps it.
                    warn!(%name, "while the directory was away, another agent has got the name at another hub");
                    *state = State::Lost;
                }
                return Ok(*state == State::Held);
            }
            Some(Written { state, .. }) => {
                *state = State::Asked;
                place.take_back(name).await?;
            }
            None => {}
        }
        *written = None;
        // Nobody claims it meanwhile, for that takes the lock that is held here, and looks again then.
        self.names.lock().remove(name);
        Ok(true)
    }
}

impl Written {
    /// Whether this agent has the name already.
    fn is_of(&self, who: &str) -> bool {
        self.who == who && self.state != State::Asked
    }
}

impl Place {
    fn of_name(&self, name: &Name) -> String {
        format!("{}{name}/", self.prefix)
    }

    async fn write(&self, name: &Name, who: &str) -> Result<bool, EtcdError> {
        let prefix = self.of_name(name);
        let key = format!("{prefix}{}", self.node);
        self.etcd.write_if_alone(&prefix, &key, who, &self.tenure).await
    }

    async fn take_back(&self, name: &Name) -> Result<(), EtcdError> {
        self.etcd.delete(&format!("{}{}", self.of_name(name), self.node), &self.tenure).await
    }
}

/// The directory can be reached.
struct Reachable<'c>(&'c Claims);

impl<'c> Reachable<'c> {
    fn new(claims: &'c Claims, place: &Place) -> Self {
        claims.place.send_replace(Some(place.clone()));
        Self(claims)
    }
}

impl Drop for Reachable<'_> {
    fn drop(&mut self) {
        self.0.place.send_replace(None);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.claimed.sessions.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.claims.is_unsettled(&self.name);
        }
    }
}
