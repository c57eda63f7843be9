//! Dials another hub, again and again, and leads it to the agents of this one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};
use tunnel::box_io::BoxIo;
use tunnel::connect::connect_within;
use tunnel::dial::{
    Backoff, HandshakeError, TokenError, TransportError, Upgraded, secured, sentence, upgrade,
};
use tunnel::limits::DIAL_TIMEOUT;
use tunnel::wire;

use super::offer;
use crate::config::peer_addr::PeerAddr;
use crate::context::hub::Hub;
use crate::limits::{PEER_BACKOFF, PEER_CONNECT_TIMEOUT, PEER_MYSELF, PEER_SLOTS};

/// A connection with another hub.
struct Dialled {
    io: BoxIo,
    read: Bytes,
    /// The id of that process.
    node: String,
    /// How many it wants.
    advised: u16,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("no answer within {}s", DIAL_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("refused: {sentence} (HTTP {status})")]
    Refused { status: u16, sentence: String },
    #[error("it does not answer as a hub: {0}")]
    Handshake(HandshakeError),
    #[error("it is this hub itself")]
    Myself,
}

/// Keeps up as many connections with the hub at this address as it wants, for as long as that is wanted.
pub(super) async fn keep(
    peer: PeerAddr,
    mut wanted: watch::Receiver<bool>,
    hub: Arc<Hub>,
    workers: Arc<[Handle]>,
) {
    let mut slots = JoinSet::new();
    let (tell, mut advised) = watch::channel(1);
    let mut running: HashMap<task::Id, u16> = HashMap::new();
    loop {
        // Where the hub ends, so do its workers, and what runs on them.
        let is_wanted = *wanted.borrow_and_update() && !hub.stop.is_closing();
        let count = if is_wanted { *advised.borrow_and_update() } else { 0 };
        let is_due = |number: &u16| !running.values().any(|running| running == number);
        for number in (0..count).filter(is_due).collect::<Vec<_>>() {
            let (peer, hub) = (peer.clone(), hub.clone());
            let (advised, wanted) = (tell.clone(), wanted.clone());
            let worker = usize::from(number) % workers.len();
            let slot = Slot { number, peer, hub, worker, advised, wanted };
            // All of it: what a socket has to tell is told to the runtime that has made it, and would be handed on from there.
            running.insert(slots.spawn_on(slot.run(), &workers[worker]).id(), number);
        }
        tokio::select! {
            // It is never dropped: a sender is here.
            Ok(()) = advised.changed() => {}
            Ok(()) = wanted.changed() => {}
            Some(ended) = slots.join_next_with_id() => {
                // A panic has been reported.
                running.remove(&ended.map_or_else(|panic| panic.id(), |(id, ())| id));
            }
        }
        if running.is_empty() && (!*wanted.borrow() || hub.stop.is_closing()) {
            return;
        }
    }
}

/// One of the connections.
struct Slot {
    number: u16,
    peer: PeerAddr,
    hub: Arc<Hub>,
    worker: usize,
    advised: watch::Sender<u16>,
    wanted: watch::Receiver<bool>,
}

impl Slot {
    /// Until it is wanted no more.
    async fn run(self) {
        let mut backoff = Backoff::up_to(PEER_BACKOFF);
        let mut was_told = false;
        while *self.wanted.borrow() {
            let dialled = timeout(DIAL_TIMEOUT, self.dial()).await;
            let pause = match dialled.unwrap_or(Err(DialError::Timeout)) {
                Ok(dialled) => {
                    self.hub.beginning.found(&self.peer, &dialled.node);
                    was_told = false;
                    let began = Instant::now();
                    self.serve(dialled).await;
                    backoff.survived(began.elapsed());
                    backoff.next(fastrand::f64())
                }
                // There may be another one, some day.
                Err(DialError::Myself) => {
                    self.hub.beginning.found(&self.peer, &self.hub.node_id);
                    PEER_MYSELF
                }
                Err(error) => {
                    self.log(&error, std::mem::replace(&mut was_told, true));
                    backoff.next(fastrand::f64())
                }
            };
            let mut wanted = self.wanted.clone();
            tokio::select! {
                () = sleep(pause) => {}
                _ = wanted.wait_for(|is| !is) => {}
            }
        }
    }

    fn log(&self, error: &DialError, was_told: bool) {
        let (peer, slot) = (&self.peer, self.number);
        if was_told {
            debug!(%peer, slot, %error, "no connection to another hub");
        } else {
            warn!(%peer, slot, %error, "no connection to another hub; it is tried again and again");
        }
    }

    async fn dial(&self) -> Result<Dialled, DialError> {
        let peering = &self.hub.config.peering;
        let PeerAddr { host, port } = &self.peer;
        let tcp = connect_within(host, *port, PEER_CONNECT_TIMEOUT).await;
        let tcp = tcp.map_err(TransportError::Connect)?;
        let tls = peering.tls.as_ref().map(|tls| &tls.client);
        let stream = secured(tcp, host, tls).await?;
        let uri = self.uri();
        let upgraded = upgrade(stream, &uri, wire::PEER_SUBPROTOCOL, self.headers()?).await;
        let Upgraded { io, read, headers } = upgraded.map_err(|error| self.failed(error))?;
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let node = text(wire::HUB_NODE_ID).unwrap_or_default().to_owned();
        let advised = text(wire::HUB_SESSIONS).and_then(|value| value.parse().ok());
        Ok(Dialled { io, read, node, advised: advised.unwrap_or(1).clamp(1, PEER_SLOTS) })
    }

    fn uri(&self) -> Uri {
        let uri = format!("ws://{}{}", self.peer, wire::PEER_PATH).parse();
        uri.unwrap_or_else(|_| Uri::from_static(wire::PEER_PATH))
    }

    fn headers(&self) -> Result<HeaderMap, DialError> {
        let mut headers = HeaderMap::new();
        let mut say = |name, value: &str| {
            let value = HeaderValue::from_str(value).ok();
            headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
        };
        say(wire::HUB_NODE_ID, &self.hub.node_id);
        say(wire::HUB_SLOT, &self.number.to_string());
        if let Some(uri) = &self.hub.config.peering.public_uri {
            say(wire::HUB_PUBLIC_URI, &uri.to_string());
        }
        if let Some(token) = self.hub.config.peering.token()? {
            headers.insert(wire::HUB_TOKEN, token);
        }
        Ok(headers)
    }

    fn failed(&self, error: HandshakeError) -> DialError {
        let HandshakeError::Refused(response) = error else { return DialError::Handshake(error) };
        let answers = response.headers().get(wire::HUB_NODE_ID);
        if answers.is_some_and(|node| node.as_bytes() == self.hub.node_id.as_bytes()) {
            return DialError::Myself;
        }
        let status = response.status().as_u16();
        DialError::Refused { status, sentence: sentence(&response) }
    }

    async fn serve(&self, Dialled { io, read, node, advised }: Dialled) {
        self.advised.send_if_modified(|known| {
            let is_more = advised > *known;
            *known = advised.max(*known);
            is_more
        });
        let (peer, slot) = (&self.peer, self.number);
        info!(%peer, node, slot, "connected to another hub");
        let began = Instant::now();
        let ended = offer::serve(io, read, self.hub.clone(), self.worker).await;
        let ended = ended.map(|ended| ended.to_string());
        let lived = Duration::from_secs(began.elapsed().as_secs());
        info!(%peer, node, slot, ended, ?lived, "disconnected from another hub");
    }
}
