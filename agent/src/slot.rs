//! One of the agent's sessions: dials, relays, and dials again, for as long as the agent lives.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use tunnel::box_io::BoxIo;
use tunnel::limits::{BACKOFF_FATAL, CLOSE_TIMEOUT, CLOSING_TIMEOUT, REPLACED_AT_ONCE};
use tunnel::wire::{CloseCode, Control};
use tunnel::ws_io::{Ended, Handle, WsIo};

use crate::backoff::Backoff;
use crate::builtin;
use crate::config::{Config, Tls, Upstream};
use crate::dial::{DialError, Dialled, Retry, dial};
use crate::relay::{RelayEnd, relay};
use crate::upstream::UpstreamError;

/// What may be said of an upstream that nobody has heard speak HTTP/2.
const UNSPOKEN: &str = "the upstream hung up before it spoke HTTP/2; is it a gRPC server?";

/// What the slots of one agent share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
    /// How many sessions the hub advises.
    pub(crate) advised: watch::Sender<u16>,
    /// The agent is asked to stop.
    pub(crate) stop: CancellationToken,
    /// What still runs must end.
    pub(crate) cut: CancellationToken,
    /// Sessions, those included that a newer one has replaced and whose calls still run.
    pub(crate) sessions: TaskTracker,
}

/// Why a session did not come about.
#[derive(Debug, thiserror::Error)]
enum SetUpError {
    #[error("upstream {addr} is not reachable: {source}")]
    Upstream { addr: String, source: UpstreamError },
    #[error("hub {hub}: {source}")]
    Hub { hub: String, source: DialError },
}

/// What a session leaves behind.
struct Over {
    ended: Option<Ended>,
    lived: Duration,
}

/// What the slot waits for while a session runs.
enum Next {
    /// It is over.
    Ended(Over),
    /// It takes no new calls: it goes on by itself, and the slot dials its successor. It has lived so long.
    Replace(Duration),
}

/// Keeps one session up until the agent is asked to stop.
pub(crate) async fn run(slot: u16, agent: Arc<Shared>) {
    let mut backoff = Backoff::default();
    while !agent.stop.is_cancelled() {
        let set_up = tokio::select! {
            set_up = set_up(slot, &agent) => set_up,
            () = agent.stop.cancelled() => return,
        };
        let pause = match set_up {
            Ok(session) => {
                let pause = match follow(session, slot, &agent).await {
                    Next::Replace(lived) => {
                        backoff.survived(lived);
                        if lived >= REPLACED_AT_ONCE {
                            Duration::ZERO
                        } else {
                            backoff.at_once(fastrand::f64())
                        }
                    }
                    Next::Ended(over) => pause_after(&over, &mut backoff),
                };
                if !agent.stop.is_cancelled() {
                    info!(hub = %agent.config.hub, slot, retry_in = ?whole_millis(pause), "dialling again");
                }
                pause
            }
            Err(error) => pause_before(&error, &mut backoff),
        };
        tokio::select! {
            () = agent.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// A session that is registered, or about to be.
struct Session {
    dialled: Dialled,
    upstream: Connected,
}

enum Connected {
    Server(BoxIo),
    Services(tonic::service::Routes),
}

/// The upstream first: what is registered is reachable.
async fn set_up(slot: u16, agent: &Shared) -> Result<Session, SetUpError> {
    let config = &agent.config;
    let upstream = match &config.upstream {
        Upstream::Services(routes) => Connected::Services(routes.clone()),
        Upstream::Server(addr) => {
            let dialled = addr.dial(agent.tls.upstream.as_ref()).await;
            let unreachable = |source| SetUpError::Upstream { addr: addr.to_string(), source };
            Connected::Server(dialled.map_err(unreachable)?)
        }
    };
    let dialled = dial(config, &agent.tls, slot).await;
    let refused = |source| SetUpError::Hub { hub: config.hub.to_string(), source };
    Ok(Session { dialled: dialled.map_err(refused)?, upstream })
}

/// Runs the session in a task of its own, and waits for its end or its replacement.
async fn follow(session: Session, slot: u16, agent: &Arc<Shared>) -> Next {
    let (io, ws, control) = WsIo::new(session.dialled.ws, agent.config.keepalive);
    agent.advised.send_replace(session.dialled.advised);
    let (replace, mut replaced) = mpsc::channel(1);
    let started = Instant::now();
    let about = About { slot, session: session.dialled.session, agent: agent.clone() };
    let task = agent.sessions.spawn(async move {
        let registered = OnceLock::new();
        tokio::select! {
            () = carry(io, session.upstream, &registered) => {}
            () = listen(&about, control, &ws, &registered, replace) => {}
            () = cut_off(&about.agent) => {}
        }
        let over = Over { ended: ws.ended().cloned(), lived: started.elapsed() };
        about.log_end(&over);
        over
    });
    tokio::select! {
        over = task => Next::Ended(over.unwrap_or(Over { ended: None, lived: Duration::ZERO })),
        Some(()) = replaced.recv() => Next::Replace(started.elapsed()),
    }
}

/// Moves the bytes until one side ends, then closes the WebSocket.
async fn carry(mut io: WsIo<BoxIo>, upstream: Connected, registered: &OnceLock<()>) {
    match upstream {
        // The HTTP/2 server closes the WebSocket itself.
        Connected::Services(routes) => drop(builtin::serve(io, routes).await),
        Connected::Server(mut server) => {
            let reason = match relay(&mut io, &mut server).await {
                RelayEnd::Hub => "",
                RelayEnd::Upstream => "the upstream closed the connection",
                RelayEnd::Failed => "the connection to the upstream failed",
            };
            if registered.get().is_none() {
                // A server that speaks no HTTP/2 hangs up as soon as it has said so. The hub's judgement of
                // what it said is on its way, and worth more than the hanging up.
                io.drain(CLOSE_TIMEOUT).await;
                return io.close(CloseCode::Normal, UNSPOKEN).await;
            }
            io.close(CloseCode::Normal, reason).await;
        }
    }
}

/// Listens to what the hub says besides data, and tells it that the agent stops. Ends with the session only.
async fn listen(
    about: &About,
    mut control: mpsc::Receiver<Control>,
    ws: &Handle,
    registered: &OnceLock<()>,
    replace: mpsc::Sender<()>,
) {
    let (mut told, mut cut) = (false, false);
    loop {
        tokio::select! {
            Some(said) = control.recv() => match said {
                Control::Registered => {
                    if registered.set(()).is_ok() {
                        about.log("registered");
                    }
                }
                Control::Drain => {
                    about.log("draining: the hub sends no new calls on this session");
                    // A second request changes nothing.
                    let _ = replace.try_send(());
                }
                Control::Unknown => {}
            },
            () = about.agent.stop.cancelled(), if !told => {
                ws.send(Control::Drain);
                told = true;
            }
            () = about.agent.cut.cancelled(), if !cut => {
                ws.close(CloseCode::GoingAway, "the agent is stopping");
                cut = true;
            }
            else => return,
        }
    }
}

/// Resolves when not even the end of a close is awaited any longer.
async fn cut_off(agent: &Shared) {
    agent.cut.cancelled().await;
    tokio::time::sleep(CLOSING_TIMEOUT).await;
}

fn pause_after(over: &Over, backoff: &mut Backoff) -> Duration {
    backoff.survived(over.lived);
    match &over.ended {
        Some(Ended::ByPeer { code: CloseCode::GoingAway, .. }) => backoff.at_once(fastrand::f64()),
        Some(Ended::ByPeer { code: CloseCode::Policy, .. }) => jittered(BACKOFF_FATAL),
        _ => backoff.next(fastrand::f64()),
    }
}

fn pause_before(error: &SetUpError, backoff: &mut Backoff) -> Duration {
    let retry = match error {
        SetUpError::Upstream { .. } => Retry::Soon,
        SetUpError::Hub { source, .. } => source.retry(),
    };
    let pause = match retry {
        Retry::Soon => backoff.next(fastrand::f64()),
        Retry::After(pause) => pause + backoff.next(fastrand::f64()),
        Retry::Slowly => jittered(BACKOFF_FATAL),
    };
    let retry_in = whole_millis(pause);
    match retry {
        Retry::Slowly => {
            error!(%error, ?retry_in, "not registered; this needs a change of configuration")
        }
        _ => warn!(%error, ?retry_in, "not registered"),
    }
    pause
}

/// Between a half and the whole, so that not even slow retries come all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// For the log, where nobody reads more of it.
fn whole_millis(duration: Duration) -> Duration {
    Duration::new(duration.as_secs(), duration.subsec_millis() * 1_000_000)
}

/// Which session, for the log.
struct About {
    slot: u16,
    session: String,
    agent: Arc<Shared>,
}

impl About {
    fn log(&self, message: &'static str) {
        let config = &self.agent.config;
        info!(name = %config.name, hub = %config.hub, slot = self.slot, session = self.session, "{message}");
    }

    /// What ended a session, and what to do where the hub cannot know that.
    fn explain(&self, ended: &Ended) -> String {
        match (ended, &self.agent.config.upstream) {
            (Ended::ByPeer { code: CloseCode::NotHttp2, .. }, Upstream::Server(addr)) => {
                let hint = |https| format!("; if it speaks TLS, say --upstream {https}");
                format!("{ended}{}", addr.as_https().map(hint).unwrap_or_default())
            }
            _ => ended.to_string(),
        }
    }

    fn log_end(&self, over: &Over) {
        let config = &self.agent.config;
        let ended = over
            .ended
            .as_ref()
            .map_or_else(|| "the HTTP/2 connection ended".to_owned(), |ended| self.explain(ended));
        macro_rules! line {
            ($macro:ident, $message:literal) => {
                $macro!(
                    name = %config.name,
                    hub = %config.hub,
                    slot = self.slot,
                    session = self.session,
                    ended,
                    lived = ?whole_millis(over.lived),
                    $message
                )
            };
        }
        match &over.ended {
            Some(Ended::ByPeer { code: CloseCode::NotHttp2 | CloseCode::Policy, .. }) => {
                line!(error, "disconnected; this needs a change of configuration");
            }
            _ if self.agent.stop.is_cancelled() => line!(info, "disconnected"),
            Some(Ended::ByPeer { code: CloseCode::Normal | CloseCode::GoingAway, .. }) => {
                line!(info, "disconnected");
            }
            _ => line!(warn, "disconnected"),
        }
    }
}
