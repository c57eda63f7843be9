//! One of the agent's sessions: dialled, and dialled again, for as long as the agent lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};
use tunnel::dial::{Backoff, whole_millis};
use tunnel::hub_uri::HubUri;
use tunnel::limits::{SESSIONS_PAIRED, STABLE_AFTER};
use tunnel::wire::CloseCode;
use tunnel::ws::Ended;

use crate::dial::{DialError, Dialled, Retry, dial};
use crate::limits::{BACKOFF_FATAL, BACKOFF_MAX, BACKOFF_VERSION, REPLACED_AT_ONCE};
use crate::rota::Rota;
use crate::seeking::Seeking;
use crate::session::{self, Over};
use crate::shared::Shared;
use crate::succession::{News, Predecessor};

/// What the slot waits for while a session runs.
enum Next {
    /// It is over.
    Ended(Over),
    /// It goes on by itself, and the slot dials its successor.
    Replace {
        lived: Duration,
        /// It was good, but for its age.
        is_old: bool,
    },
}

/// What comes after a session.
enum Following {
    /// A pause, and another dial.
    Over(Next),
    /// Its successor, which has begun at another hub. It goes on by itself.
    Moved(Box<Dialled>),
}

/// How long to wait before dialling again.
struct Pause {
    /// The same hub.
    rest: Duration,
    /// Any.
    pause: Duration,
}

struct Slot {
    index: u16,
    agent: Arc<Shared>,
    backoff: Backoff,
    rota: Rota,
    /// Sessions that are to be told of a successor.
    predecessors: Vec<Predecessor>,
    /// Which of its two numbers the slot registers under.
    has_other_number: bool,
    /// Dials in a row that led to a hub at which the agent is already.
    unwanted: usize,
    /// A dial that was given up may have been heard all the same, and end the session that came after it.
    has_ghost: bool,
}

/// Keeps one session up until the agent is asked to stop.
pub(crate) async fn run(index: u16, agent: Arc<Shared>) {
    Slot::new(index, agent).run().await;
}

impl Slot {
    fn new(index: u16, agent: Arc<Shared>) -> Self {
        let rota = Rota::new(agent.config.hubs.first().clone());
        let (backoff, predecessors) = (Backoff::up_to(BACKOFF_MAX), Vec::new());
        Self {
            index,
            agent,
            backoff,
            rota,
            predecessors,
            has_other_number: false,
            unwanted: 0,
            has_ghost: false,
        }
    }

    async fn run(mut self) {
        let agent = self.agent.clone();
        let mut moved = None;
        let mut connecting = Some(agent.standing.connecting());
        while !agent.stop.is_cancelled() {
            let dialled = match moved.take() {
                Some(dialled) => Ok(dialled),
                None => tokio::select! {
                    dialled = self.dial() => dialled,
                    () = agent.stop.cancelled() => return,
                },
            };
            let pause = match dialled {
                Ok(dialled) => {
                    connecting = None;
                    match self.follow(dialled).await {
                        Following::Moved(dialled) => {
                            self.rota.is_at(dialled.hub.clone());
                            moved = Some(*dialled);
                            continue;
                        }
                        Following::Over(next) => self.pause_after(next),
                    }
                }
                Err(error) => self.pause_before(&error),
            };
            connecting.get_or_insert_with(|| agent.standing.connecting());
            tokio::select! {
                () = agent.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn dial(&mut self) -> Result<Dialled, DialError> {
        let not_at = self.not_at();
        let dialled = dial(&self.agent, self.rota.next(), self.number(), &not_at).await;
        // Of no use it is, too, where the others cannot be reached.
        match &dialled {
            Ok(_) => self.unwanted = 0,
            Err(_) if not_at.is_empty() => {}
            Err(_) => self.unwanted += 1,
        }
        dialled
    }

    /// Hubs at which this session is not wanted, until the agent has met with nobody else for long enough.
    fn not_at(&self) -> Vec<Arc<str>> {
        let hubs = &self.agent.hubs;
        if self.unwanted < hubs.patience() { hubs.not_at(self.index) } else { Vec::new() }
    }

    /// What the hub calls the slot. A session that is replaced and its successor are two slots to the hub: it keeps both
    /// until the agent says that the old one is not needed any more. One that was lost is replaced by its successor, for
    /// the hub may not know yet.
    fn number(&self) -> u16 {
        self.index + if self.has_other_number { SESSIONS_PAIRED } else { 0 }
    }

    /// Runs the session in a task of its own, and waits for its end or its replacement.
    async fn follow(&mut self, dialled: Dialled) -> Following {
        let stay = self.agent.hubs.enter(self.index, &dialled.node, dialled.hubs);
        self.agent.advised.send_replace(dialled.advised);
        // It registers once, leaves once, and has one wish at a time.
        let (news, mut told) = mpsc::channel(4);
        let mut seeks = None;
        let started = Instant::now();
        let session = session::serve(dialled, self.index, self.agent.clone(), news);
        let mut task = self.agent.sessions.spawn(async move {
            let _stay = stay;
            session.await
        });
        loop {
            tokio::select! {
                over = &mut task => {
                    let nothing = Over { ended: None, lived: Duration::ZERO };
                    return Following::Over(Next::Ended(over.unwrap_or(nothing)));
                }
                Some(news) = told.recv() => match news {
                    News::Registered => self.predecessors.drain(..).for_each(Predecessor::succeeded),
                    News::Leaving(predecessor) => {
                        let is_old = predecessor.is_old();
                        self.precedes(predecessor);
                        self.has_other_number ^= self.agent.is_paired();
                        let lived = started.elapsed();
                        return Following::Over(Next::Replace { lived, is_old });
                    }
                    News::Crowded(predecessor) => seeks = Some(self.seek(predecessor)),
                },
                found = Seeking::ended(&mut seeks) => if let Some((predecessor, dialled)) = found {
                    self.precedes(predecessor);
                    // It may have been about to leave anyway.
                    told.close();
                    while let Ok(News::Leaving(predecessor)) = told.try_recv() {
                        self.predecessors.push(predecessor);
                    }
                    self.has_other_number ^= true;
                    return Following::Moved(Box::new(dialled));
                },
            }
        }
    }

    /// A session is to be told of its successor.
    fn precedes(&mut self, predecessor: Predecessor) {
        self.predecessors.retain(Predecessor::lives);
        self.predecessors.push(predecessor);
    }

    /// Looks for a session at another hub, under the slot's other number.
    fn seek(&mut self, predecessor: Predecessor) -> Seeking {
        self.has_ghost = true;
        let number = (self.number() + SESSIONS_PAIRED) % (2 * SESSIONS_PAIRED);
        Seeking::new(predecessor, self.agent.clone(), self.index, number)
    }

    fn pause_after(&mut self, next: Next) -> Duration {
        let lived = match &next {
            Next::Ended(over) => over.lived,
            Next::Replace { lived, .. } => *lived,
        };
        self.backoff.survived(lived);
        let pause = self.after(&next);
        let is_good = match next {
            Next::Replace { is_old: true, .. } => true,
            // Where nobody answers, nobody may be there, and it takes long to find out.
            Next::Ended(Over { ended: Some(Ended::Silent(_)), .. }) => false,
            _ => lived >= STABLE_AFTER && pause.rest.is_zero(),
        };
        let (now, uris) = (Instant::now(), self.agent.hubs.uris());
        let pause = if is_good {
            self.rota.anew(&uris, self.agent.hubs.first_of(self.index), pause.pause, now)
        } else {
            let Pause { rest, pause } = self.elsewhere(&uris, pause);
            self.rota.failed(&uris, rest, pause, now)
        };
        if !self.agent.stop.is_cancelled() {
            let retry_in = whole_millis(pause);
            info!(hub = %self.rota.next(), slot = self.index, ?retry_in, "dialling again");
        }
        pause
    }

    fn after(&mut self, next: &Next) -> Pause {
        let now = Duration::ZERO;
        let has_ghost = std::mem::take(&mut self.has_ghost);
        let over = match next {
            Next::Replace { lived, .. } if *lived >= REPLACED_AT_ONCE => {
                return Pause { rest: now, pause: now };
            }
            Next::Replace { .. } => {
                return Pause { rest: now, pause: self.backoff.at_once(fastrand::f64()) };
            }
            Next::Ended(over) => over,
        };
        match &over.ended {
            Some(Ended::ByPeer { code: CloseCode::GoingAway, .. }) => {
                Pause { rest: now, pause: self.backoff.at_once(fastrand::f64()) }
            }
            Some(Ended::ByPeer { code: CloseCode::Policy, .. }) => {
                Pause { rest: jittered(BACKOFF_FATAL), pause: now }
            }
            Some(Ended::ByPeer { code: CloseCode::Replaced, .. }) if !has_ghost => {
                // By none of this agent's own: they would take it from each other for ever.
                let (name, hub) = (self.agent.config.names(), self.rota.next());
                warn!(%name, %hub, slot = self.index, "another agent has taken the name over");
                Pause { rest: jittered(BACKOFF_FATAL), pause: now }
            }
            _ => Pause { rest: now, pause: self.backoff.next(fastrand::f64()) },
        }
    }

    fn pause_before(&mut self, source: &DialError) -> Duration {
        let error = format!("hub {}: {source}", self.rota.next());
        if !matches!(source, DialError::NotWanted) {
            self.agent.standing.failed(error.clone());
        }
        self.has_ghost |= matches!(source, DialError::Timeout);
        let retry = source.retry();
        let now = Duration::ZERO;
        let pause = match retry {
            Retry::Soon => Pause { rest: now, pause: self.backoff.next(fastrand::f64()) },
            Retry::After(rest) => {
                Pause { rest: rest + self.backoff.next(fastrand::f64()), pause: now }
            }
            Retry::Elsewhere => Pause { rest: now, pause: now },
            Retry::Version => Pause { rest: jittered(BACKOFF_VERSION), pause: now },
            Retry::Slowly => Pause { rest: jittered(BACKOFF_FATAL), pause: now },
        };
        let uris = self.agent.hubs.uris();
        let Pause { rest, pause } = self.elsewhere(&uris, pause);
        let pause = self.rota.failed(&uris, rest, pause, Instant::now());
        let retry_in = whole_millis(pause);
        match retry {
            Retry::Slowly | Retry::Version => {
                error!(error, ?retry_in, "not registered; this needs a change of configuration")
            }
            Retry::Elsewhere => debug!(error, "another hub is wanted"),
            Retry::Soon | Retry::After(_) => warn!(error, ?retry_in, "not registered"),
        }
        pause
    }

    /// Where one hub rests and there are others, the next one is asked after a pause of its own.
    fn elsewhere(&mut self, hubs: &[HubUri], Pause { rest, pause }: Pause) -> Pause {
        if rest.is_zero() || hubs.len() < 2 {
            return Pause { rest, pause };
        }
        Pause { rest, pause: self.backoff.next(fastrand::f64()) }
    }
}

/// Between a half and the whole, so that not even slow retries come all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub_uris::HubUris;
    use crate::tests::{agent, services};
    use tunnel::limits::BACKOFF_MIN;

    fn slot() -> Slot {
        Slot::new(3, Arc::new(agent(services(), 4)))
    }

    /// With three hubs, of which it has dialled the second.
    fn slot_at_second() -> Slot {
        let mut config = agent(services(), 4).config;
        let hub = |at| format!("ws://hub-{at}").parse().expect("an address");
        config.hubs = HubUris::new((0..3).map(hub)).expect("three");
        let mut slot = Slot::new(0, Arc::new(Shared::new(config).expect("no files are read")));
        slot.pause_before(&DialError::Timeout);
        assert_eq!(next(&slot), 1);
        slot
    }

    fn next(slot: &Slot) -> usize {
        let uris = slot.agent.hubs.uris();
        uris.iter().position(|uri| uri == slot.rota.next()).expect("one of them")
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_session_that_did_well_the_first_hub_is_asked_again() {
        let short = STABLE_AFTER - Duration::from_secs(1);
        for (lived, is_old, expected) in
            [(STABLE_AFTER, false, 0), (short, false, 2), (short, true, 0)]
        {
            let mut slot = slot_at_second();
            slot.pause_after(Next::Replace { lived, is_old });
            assert_eq!(next(&slot), expected, "{lived:?}");
        }
        let mut slot = slot_at_second();
        slot.pause_after(closed(CloseCode::Normal));
        assert_eq!(next(&slot), 0);
        // A hub that is silent, or refuses, does not do well, however long that has lived.
        let mut slot = slot_at_second();
        let (ended, lived) = (Some(Ended::Silent(Duration::from_secs(30))), 2 * STABLE_AFTER);
        slot.pause_after(Next::Ended(Over { ended, lived }));
        assert_eq!(next(&slot), 2);
        let mut slot = slot_at_second();
        let pause = slot.pause_after(closed(CloseCode::Policy));
        assert_eq!(next(&slot), 2);
        assert!(pause <= BACKOFF_MIN * 2, "{pause:?}");
    }

    fn closed(code: CloseCode) -> Next {
        let ended = Some(Ended::ByPeer { code, reason: String::new() });
        Next::Ended(Over { ended, lived: Duration::from_secs(3600) })
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_taken_the_name_over_is_not_fought() {
        let pause = slot().pause_after(closed(CloseCode::Replaced));
        assert!((BACKOFF_FATAL / 2..=BACKOFF_FATAL).contains(&pause), "{pause:?}");
        let pause = slot().pause_after(closed(CloseCode::Other(4321)));
        assert!(pause <= BACKOFF_MIN, "{pause:?}");
    }

    /// The hub may have heard a dial that the agent had given up, behind the one that it took instead.
    #[tokio::test(start_paused = true)]
    async fn an_agent_does_not_give_way_to_itself() {
        let mut slot = slot();
        slot.pause_before(&DialError::Timeout);
        let pause = slot.pause_after(closed(CloseCode::Replaced));
        assert!(pause <= BACKOFF_MIN, "{pause:?}");
        assert!(slot.pause_after(closed(CloseCode::Replaced)) >= BACKOFF_FATAL / 2, "once");
    }
}
