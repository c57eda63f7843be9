//! Brings a session into being on an agent's WebSocket, shows it to callers, and sees it to its end.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};
use tracing::{debug, info, warn};
use tunnel::lanes::Role;
use tunnel::registration::Registration;
use tunnel::wire::{CloseCode, Control};
use tunnel::ws::{Ended, KeepaliveConfig};

use crate::config::auth::{Auth, Denied};
use crate::context::hub::Hub;
use crate::context::origin::Origin;
use crate::lanes::OpenError;
use crate::limits::{FAREWELL_TIMEOUT, RENEWED_WITHIN};
use crate::observe::limit::Limit;
use crate::registry::{Admitted, Session, Upstream};

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
    let (name, peer) = (admitted.registration.name.clone(), admitted.peer);
    let registration = match hub.registry.register(admitted, lanes.clone()) {
        Ok(registration) => registration,
        Err(owned) => {
            hub.metrics.registration_refused("owned");
            lanes.ws().close(CloseCode::Policy, "the name has another agent, which is alive");
            let _ = driver.await;
            warn!(%name, %peer, error = %owned, "session refused");
            return;
        }
    };
    let session = registration.session.clone();
    run(&session, control, driver, &origin).await;
    drop(registration);
    if session.ws().ended() == Some(&Ended::Flood) {
        hub.limits.reached(Limit::AgentMessages, peer, Some(&name));
    }
    log(&session, "unregistered");
}

/// Where the agent asks for fewer pings, it is also given up later.
fn keepalive(registration: &Registration, ours: KeepaliveConfig) -> KeepaliveConfig {
    let Some(interval) = registration.keepalive_interval else { return ours };
    KeepaliveConfig { interval, timeout: ours.timeout.max(interval.saturating_mul(2)) }
}

fn log(session: &Session, message: &'static str) {
    let agent = &session.agent;
    info!(
        name = %agent.name,
        instance = agent.instance,
        slot = session.slot,
        session = session.id,
        peer = %session.peer,
        ended = session.ws().ended().map(Ended::to_string),
        "{message}",
    );
}

/// Waits for the end of the session, and for what brings it about.
async fn run(
    session: &Arc<Session>,
    mut control: mpsc::Receiver<Control>,
    mut driver: JoinHandle<()>,
    origin: &Origin,
) {
    let Origin { hub, stop, .. } = origin;
    let mut keys = hub.doors.watch(session.worker);
    // They may have changed since the session was let in.
    keys.mark_changed();
    let mut checkup = interval(hub.config.keepalive.interval);
    let mut farewell = pin!(sleep(FAREWELL_TIMEOUT));
    let (mut hub_drains, mut hub_closes) = (false, false);
    tokio::spawn(show(session.clone(), hub.clone()));
    let mut renewed = pin!(renew(session, hub));
    let mut is_renewed = false;
    loop {
        let drained = session.is_draining() && session.lanes() == 0;
        tokio::select! {
            // So that whoever is nudged is so before it leaves.
            biased;
            _ = &mut driver => return,
            Some(said) = control.recv() => hear(said, session, hub),
            () = session.nudged() => {
                hub.registry.changed();
                farewell.as_mut().reset(session.quiet_at());
            }
            () = session.ws().suspicion() => hub.registry.suspicion(session),
            Ok(()) = keys.changed() => heed(&keys.borrow_and_update().auth, session),
            _ = checkup.tick() => if let Some(rtt) = session.ws().rtt() {
                hub.metrics.session_rtt(rtt);
            },
            // Not at once: the last lane's bytes may still be on their way.
            () = &mut farewell, if drained => {
                session.ws().close(CloseCode::Normal, "drained");
                farewell.as_mut().reset(Instant::now() + FAREWELL_TIMEOUT);
            }
            () = &mut renewed, if !is_renewed => is_renewed = true,
            () = stop.moving(), if !hub_drains => {
                // Calls that are on their way are still served: it is the agent who should look elsewhere.
                session.ws().send(Control::Drain);
                hub_drains = true;
            }
            () = stop.closing(), if !hub_closes => {
                session.ws().close(CloseCode::GoingAway, "the hub is going away");
                hub_closes = true;
            }
        }
    }
}

/// Has the agent make a new session once this one is old enough. One session of an agent at a time: the next one's turn is
/// when the agent has a new one, or this one is over, or too much time has passed.
async fn renew(session: &Arc<Session>, hub: &Hub) {
    let Some(age) = hub.config.age() else { return };
    sleep(age).await;
    let one = session.agent.renewing.lock().await;
    session.leaves();
    session.ws().send(Control::Drain);
    let _ = timeout(RENEWED_WITHIN, session.has_moved()).await;
    // An agent that finds nobody to dial keeps what it has.
    drop(one);
    session.has_moved().await;
    hub.registry.drain(session);
}

/// Who may come in has changed: ends the session of who may not any more.
fn heed(auth: &Auth, session: &Session) {
    let sentence = match auth.check_agent(session.holder.as_ref(), &session.agent.name) {
        Ok(()) => return,
        Err(Denied::Name) => "the token is not good for the name any more",
        Err(_) => "this hub does not know the agent's token any more",
    };
    session.ws().close(CloseCode::Policy, sentence);
}

/// Takes a control message of the agent.
fn hear(said: Control, session: &Arc<Session>, hub: &Arc<Hub>) {
    match said {
        Control::Drain => hub.registry.drain(session),
        Control::Moved => session.moves(),
        Control::MaxLanes { max } => session.agent.lanes.offer(max as usize),
        Control::Upstream { up: false } => {
            hub.registry.set_upstream(&session.agent, Upstream::Down)
        }
        Control::Upstream { up: true } => drop(tokio::spawn(show(session.clone(), hub.clone()))),
        Control::Registered | Control::Unknown => {}
    }
}

/// Shows the session's agent to callers, once it is known whether its upstream is there: *registered* means
/// *reachable*. One session finds out for all of the agent.
async fn show(session: Arc<Session>, hub: Arc<Hub>) {
    let agent = &session.agent;
    let _one = agent.probing.lock().await;
    if agent.upstream() != Upstream::Up
        && let Err(error) = hub.sentinels.probe(&session).await
    {
        return tell_failure(&error, &session, &hub);
    }
    if session.is_first_shown() {
        hub.metrics.registered();
        session.ws().send(Control::Registered);
        log(&session, "registered");
    }
}

fn tell_failure(error: &OpenError, session: &Session, hub: &Hub) {
    let agent = &session.agent;
    let (code, reason) = match error {
        OpenError::NotHttp2 => (CloseCode::NotHttp2, "the upstream does not speak HTTP/2"),
        OpenError::Silent => (CloseCode::NotHttp2, "the upstream sent no HTTP/2 SETTINGS in time"),
        // The agent says when it is back.
        OpenError::Unreachable(_) | OpenError::Full => {
            hub.registry.set_upstream(agent, Upstream::Down);
            return info!(name = %agent.name, session = session.id, %error, "upstream not reachable");
        }
        OpenError::Lost => {
            return debug!(name = %agent.name, session = session.id, %error, "session did not begin");
        }
    };
    hub.metrics.registration_refused("not-http2");
    warn!(name = %agent.name, peer = %session.peer, %error, "session did not begin");
    session.ws().close(code, reason);
}
