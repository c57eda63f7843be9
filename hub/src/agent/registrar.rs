//! Brings a session into being on an agent's WebSocket, shows it to callers, and sees it to its end.

use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval, sleep, timeout};
use tracing::{debug, info, warn};
use tunnel::lanes::Role;
use tunnel::registration;
use tunnel::wire::{self, CloseCode, Control};
use tunnel::ws::{Ended, KeepaliveConfig};

use crate::config::auth::{Auth, Denied};
use crate::context::hub::Hub;
use crate::context::origin::Origin;
use crate::limits::{FAREWELL_TIMEOUT, PROBED_FULL, REGISTERED_PATIENCE, RENEWED_WITHIN};
use crate::observe::limit::Limit;
use crate::registry::{Admitted, OpenError, Registration, Session, Upstream};

/// Serves one agent's WebSocket from the upgrade, behind which `read` was read, to its end.
pub(crate) async fn serve<S>(io: S, read: Bytes, admitted: Admitted, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let hub = &origin.hub;
    let keepalive = keepalive(&admitted.registration, hub.config.keepalive);
    let (driver, lanes, control) =
        tunnel::lanes::start(io, read, keepalive, Role::Hub, hub.lane_memory.clone());
    let driver = tokio::spawn(driver);
    let peer = admitted.peer;
    let registration = match hub.registry.register(admitted, lanes.clone()) {
        Ok(registration) => registration,
        Err(owned) => {
            hub.metrics.registration_refused("owned");
            lanes.ws().close(CloseCode::Policy, "the name has another agent, which is alive");
            let _ = driver.await;
            warn!(name = %owned.0, %peer, error = %owned, "session refused");
            return;
        }
    };
    let names = registration.sessions.clone();
    tokio::spawn(show_all(names.clone(), hub.clone()));
    run(&registration, control, driver, &origin).await;
    drop(registration);
    for session in &*names {
        log(session, "unregistered");
    }
    if lanes.ws().ended() == Some(&Ended::Flood) {
        let first = names.first().map(|session| &session.agent.name as &dyn Display);
        // Of several, it is none's.
        hub.limits.reached(Limit::AgentMessages, peer, first.filter(|_| names.len() == 1));
    }
}

/// Where the agent asks for fewer pings, it is also given up later.
fn keepalive(registration: &registration::Registration, ours: KeepaliveConfig) -> KeepaliveConfig {
    let Some(interval) = registration.keepalive_interval else { return ours };
    KeepaliveConfig { interval, timeout: ours.timeout.max(interval.saturating_mul(2)) }
}

fn log(session: &Session, message: &'static str) {
    let agent = &session.agent;
    info!(
        name = %agent.name,
        instance = agent.instance,
        slot = session.link.slot,
        session = session.link.id,
        peer = %session.link.peer,
        ended = session.link.ws().ended().map(Ended::to_string),
        "{message}",
    );
}

/// Waits for the end of the session, and for what brings it about.
async fn run(
    registration: &Registration,
    mut control: mpsc::Receiver<Control>,
    mut driver: JoinHandle<()>,
    origin: &Origin,
) {
    let Origin { hub, stop, .. } = origin;
    let link = &registration.link;
    let mut keys = hub.doors.watch(link.worker);
    // They may have changed since the session was let in.
    keys.mark_changed();
    let mut checkup = interval(hub.config.keepalive.interval);
    let mut farewell = pin!(sleep(FAREWELL_TIMEOUT));
    let mut renewed = pin!(renew(registration, hub));
    let mut telling = pin!(tell_of_hubs(registration, hub));
    let (mut hub_drains, mut hub_closes, mut is_renewed) = (false, false, false);
    loop {
        let drained = link.is_draining() && link.lanes() == 0;
        tokio::select! {
            // So that whoever is nudged is so before it leaves.
            biased;
            _ = &mut driver => return,
            Some(said) = control.recv() => hear(said, registration, hub),
            () = link.nudged() => {
                hub.registry.changed();
                farewell.as_mut().reset(link.quiet_at());
            }
            () = link.ws().suspicion() => hub.registry.suspicion(registration),
            () = &mut telling => {}
            Ok(()) = keys.changed() => heed(&keys.borrow_and_update().auth, registration),
            _ = checkup.tick() => check_up(registration, hub),
            // Not at once: the last lane's bytes may still be on their way.
            () = &mut farewell, if drained => {
                link.ws().close(CloseCode::Normal, "drained");
                farewell.as_mut().reset(Instant::now() + FAREWELL_TIMEOUT);
            }
            () = &mut renewed, if !is_renewed => is_renewed = true,
            () = stop.moving(), if !hub_drains => {
                // Calls that are on their way are still served: it is the agent who should look elsewhere.
                link.ws().send(Control::Drain);
                hub_drains = true;
            }
            () = stop.closing(), if !hub_closes => {
                link.ws().close(CloseCode::GoingAway, "the hub is going away");
                hub_closes = true;
            }
        }
    }
}

/// Notes how far the agent is.
fn check_up(registration: &Registration, hub: &Hub) {
    if let Some(rtt) = registration.link.ws().rtt() {
        hub.metrics.session_rtt(rtt);
        hub.registry.is_so_far(registration, rtt);
    }
}

/// Tells the agent which hubs there are, whenever that changes, for ever.
async fn tell_of_hubs(Registration { link, .. }: &Registration, hub: &Hub) {
    let mut others = hub.registry.other_hubs();
    let mut is_new = others.has_changed().unwrap_or(false);
    // Its sender lives as long as the hub.
    while others.changed().await.is_ok() {
        if !std::mem::take(&mut is_new) {
            // All sessions hear of it at once.
            sleep(hub.registry.telling_lasts().mul_f64(fastrand::f64())).await;
        }
        link.ws().send(hub.all_hubs(&others.borrow_and_update()));
    }
    std::future::pending().await
}

/// Has the agent make a new session once this one is old enough. One session of an agent at a time: the next one's turn is
/// when the agent has a new one, or this one is over, or too much time has passed.
async fn renew(registration: &Registration, hub: &Hub) {
    let Registration { link, sessions, .. } = registration;
    let Some((age, first)) = hub.config.age().zip(sessions.first()) else { return };
    sleep(age).await;
    let one = first.agent.renewing.lock().await;
    link.leaves();
    link.ws().send(Control::Drain);
    let _ = timeout(RENEWED_WITHIN, link.has_moved()).await;
    // An agent that finds nobody to dial keeps what it has.
    drop(one);
    link.has_moved().await;
    hub.registry.drain(registration);
}

/// Who may come in has changed: ends the session of who may not any more, under one of its names.
fn heed(auth: &Auth, registration: &Registration) {
    let link = &registration.link;
    let check =
        |session: &Arc<Session>| auth.check_agent(link.holder.as_ref(), &session.agent.name);
    let mut names = registration.names();
    let denied = names.find_map(|session| Some((session, check(session).err()?)));
    let sentence = match denied {
        None => return,
        Some((session, Denied::Name)) => {
            info!(name = %session.agent.name, session = link.id, "the token is not good for it any more");
            "the token is not good for the name any more"
        }
        Some(_) => "this hub does not know the agent's token any more",
    };
    link.ws().close(CloseCode::Policy, sentence);
}

/// Takes a control message of the agent.
fn hear(said: Control, registration: &Registration, hub: &Arc<Hub>) {
    let Registration { link, sessions, .. } = registration;
    let with_name = |nth| registration.names().find(|session| session.nth == nth);
    match said {
        Control::Drain => hub.registry.drain(registration),
        Control::Moved => link.moves(),
        Control::MaxLanes { max } => {
            let share = registration::share_of_lanes(max, sessions.len()) as usize;
            sessions.iter().for_each(|session| session.agent.lanes.offer(share));
        }
        Control::Upstream { up, nth } => match with_name(nth) {
            Some(session) if up => drop(tokio::spawn(show_again(session.clone(), hub.clone()))),
            Some(session) => hub.registry.set_upstream(&session.agent, Upstream::Down),
            None => {}
        },
        Control::Registered
        | Control::NotHttp2 { .. }
        | Control::HubPeers(_)
        | Control::Shared(_)
        | Control::Unknown => {}
    }
}

/// Shows the session's agent to callers under each of its names. It is told once those that can be reached are, as far as
/// that is known soon after the first.
async fn show_all(sessions: Arc<[Arc<Session>]>, hub: Arc<Hub>) {
    let each = sessions.iter().map(|session| show(session.clone(), hub.clone()));
    let mut showing = each.collect::<JoinSet<_>>();
    let mut is_shown = false;
    while !is_shown && let Some(shown) = showing.join_next().await {
        is_shown = shown.unwrap_or(false);
    }
    let _ =
        timeout(REGISTERED_PATIENCE, async { while showing.join_next().await.is_some() {} }).await;
    showing.detach_all();
    if let Some(session) = sessions.first().filter(|_| is_shown) {
        registered(session, &hub);
    }
}

/// The agent says that its upstream is back.
async fn show_again(session: Arc<Session>, hub: Arc<Hub>) {
    if show(session.clone(), hub.clone()).await {
        registered(&session, &hub);
    }
}

fn registered(Session { link, .. }: &Session, hub: &Hub) {
    if link.first_registered() {
        hub.metrics.registered();
        link.ws().send(Control::Registered);
    }
}

/// Shows it under one name, once it is known whether its upstream is there. Returns whether it is.
async fn show(session: Arc<Session>, hub: Arc<Hub>) -> bool {
    let is_there = match find_out(&session, &hub).await {
        Ok(()) => true,
        Err(OpenError::Full) => {
            let (name, session_id) = (&session.agent.name, &session.link.id);
            info!(%name, session = session_id, "the agent has no place to look whether its upstream is there; it is asked again");
            look_until_there(&session, &hub).await
        }
        Err(_) => false,
    };
    if is_there && session.first_shown() {
        log(&session, "registered");
    }
    is_there
}

/// Looks again and again, for an agent that had no place to look: one of its lanes will end.
async fn look_until_there(session: &Arc<Session>, hub: &Arc<Hub>) -> bool {
    let Some(_looking) = session.looks() else { return false };
    loop {
        tokio::select! {
            () = session.link.over() => return false,
            () = sleep(PROBED_FULL) => {}
        }
        match find_out(session, hub).await {
            Err(OpenError::Full) => {}
            found => return found.is_ok(),
        }
    }
}

/// Finds out whether the upstream is there: one session at a time, and those who have waited know it from that one.
async fn find_out(session: &Arc<Session>, hub: &Arc<Hub>) -> Result<(), OpenError> {
    let (agent, link) = (&session.agent, &session.link);
    let before = agent.probes.load(Ordering::SeqCst);
    let mut last = agent.probing.lock().await;
    if agent.upstream() == Upstream::Up {
        return Ok(());
    }
    let is_found = agent.probes.load(Ordering::SeqCst) != before;
    let error = match last.clone().filter(|_| is_found) {
        Some(error) => error,
        None => match hub.sentinels.probe(session).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        },
    };
    // Of a session that is lost, or about to be, it says nothing of the others'.
    if !is_found && error != OpenError::Lost && !link.is_suspect() {
        agent.probes.fetch_add(1, Ordering::SeqCst);
        *last = Some(error.clone());
    }
    drop(last);
    tell_failure(&error, session, hub);
    Err(error)
}

fn tell_failure(error: &OpenError, session: &Session, hub: &Hub) {
    let Session { link, agent, nth, .. } = session;
    let silent = *error == OpenError::Silent;
    match error {
        // The agent says when it is back.
        OpenError::Unreachable(_) => {
            hub.registry.set_upstream(agent, Upstream::Down);
            info!(name = %agent.name, session = link.id, %error, "upstream not reachable");
        }
        OpenError::Full => {
            hub.registry.set_upstream(agent, Upstream::Down);
            debug!(name = %agent.name, session = link.id, %error, "upstream not reachable yet");
        }
        OpenError::Lost => {
            debug!(name = %agent.name, session = link.id, %error, "session did not begin");
        }
        // Others are behind the same session.
        OpenError::NotHttp2 | OpenError::Silent if link.names > 1 => {
            hub.registry.set_upstream(agent, Upstream::Down);
            warn!(name = %agent.name, peer = %link.peer, %error, "upstream not of use");
            link.ws().send(Control::NotHttp2 { nth: *nth, silent });
        }
        OpenError::NotHttp2 | OpenError::Silent => {
            hub.metrics.registration_refused("not-http2");
            warn!(name = %agent.name, peer = %link.peer, %error, "session did not begin");
            let reason = if silent { wire::SILENT } else { wire::NOT_HTTP2 };
            link.ws().close(CloseCode::NotHttp2, reason);
        }
    }
}
