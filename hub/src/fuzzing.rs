//! What the fuzz targets reach inside the hub: built by cargo-fuzz alone, which sets `cfg(fuzzing)`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use hub_proto::hub::peer::v1 as pb;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite, duplex};
use tunnel::lanes::{LaneMemory, Role};
use tunnel::name::Name;

use crate::client::connection;
use crate::config::Config;
use crate::config::networks::Networks;
use crate::context::hub;
use crate::context::origin::Origin;
use crate::front::detect::{self, Protocol};
use crate::front::proxied;
use crate::limits::PEER_KEEPALIVE;
use crate::message::forwarded;
use crate::observe::activity::Activity;
use crate::observe::metrics::Metrics;
use crate::peers::link::understood;
use crate::registry::{Link, Registry};
use crate::web::{http1, lane};

/// Tells by its first bytes what a stream speaks, and yields them again.
///
/// # Errors
/// The stream ended, or failed, before that.
pub async fn sniff<S: AsyncRead + Unpin>(
    io: S,
) -> io::Result<(impl fmt::Debug, impl AsyncRead + Unpin)> {
    detect::sniff(io).await
}

/// Whose connection a balancer passes on, by its PROXY header.
///
/// # Errors
/// There is none, in words.
pub async fn read_proxy_header<S: AsyncRead + Unpin>(
    io: &mut S,
) -> Result<Option<SocketAddr>, String> {
    proxied::read_header(io).await.map_err(|error| error.to_string())
}

/// Whom a proxy speaks for, by its values of `Forwarded` and of `X-Forwarded-For`.
#[must_use]
pub fn forwarded_for(
    peer: IpAddr,
    trusted: &Networks,
    forwarded: &[&[u8]],
    x_forwarded_for: &[&[u8]],
) -> Option<IpAddr> {
    let [forwarded, x] = [forwarded, x_forwarded_for].map(|values| values.iter().copied());
    forwarded::behind(peer, trusted, forwarded, x)
}

/// What another hub tells, message after message, by two connections: its agents are as it has told last, and nothing of
/// them stays once it has gone.
///
/// # Panics
/// Something else is the case.
pub fn peer_tells(messages: &[&[u8]]) {
    let registry = Arc::new(Registry::new(Arc::new(Activity::new()), Metrics::new()));
    let connect = |slot| {
        let (io, _) = duplex(1024);
        let memory = LaneMemory::new(0);
        let (_, lanes, _) =
            tunnel::lanes::start(io, Bytes::new(), PEER_KEEPALIVE, Role::Hub, memory);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let link = Link::new("link".into(), slot, (address, 0), None, 0, lanes);
        registry.connect("peer", None, link)
    };
    let first = connect(0);
    let mut there: BTreeMap<Name, BTreeSet<u64>> = BTreeMap::new();
    let mut second = None;
    for (at, message) in messages.iter().enumerate() {
        let Ok(response) = pb::NamesResponse::decode(*message) else { continue };
        let told = understood(response.names);
        for told in &told {
            let numbers = told.agents.iter().map(|told| told.number).collect();
            there.insert(told.name.clone(), numbers);
        }
        let named: BTreeSet<_> = told.iter().map(|told| told.name.clone()).collect();
        registry.told(&first.peer, told);
        if response.complete {
            there.retain(|name, _| named.contains(name));
            registry.told_all(&first.peer, &named);
        }
        if at == messages.len() / 2 {
            second = Some(connect(1));
        }
        let each = 1 + usize::from(second.is_some());
        for (name, numbers) in &there {
            let expected: Vec<_> = numbers.iter().flat_map(|number| vec![*number; each]).collect();
            assert_eq!(registry.remote(name), expected, "{name}");
        }
    }
    drop((first, second));
    assert!(there.keys().all(|name| registry.remote(name).is_empty()), "it has gone");
}

/// A hub without threads and sockets: its connections run where they are awaited.
#[derive(Clone, Debug)]
pub struct Hub {
    hub: Arc<hub::Hub>,
    /// Addresses given out so far.
    peers: Arc<AtomicU32>,
}

impl Hub {
    /// A hub without connections.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { hub: hub::Hub::new(config).expect("no access log"), peers: Arc::default() }
    }

    /// What a hub does from time to time, or its histograms would grow.
    pub fn upkeep(&self) {
        self.hub.metrics.upkeep();
    }

    /// Serves one connection without TLS to its end, as `connection` does. Each has an address of its own,
    /// because a run makes more of them than one address may.
    pub async fn serve(self, io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let address = Ipv4Addr::from(self.peers.fetch_add(1, Ordering::Relaxed));
        let (stop, peer) = (self.hub.stop.child(), SocketAddr::from((address, 1)));
        let handshake = self.hub.handshakes.begin();
        let origin = Origin { hub: self.hub.clone(), peer, worker: 0, sni: None, stop };
        match detect::sniff(io).await {
            Ok((Protocol::Http2, io)) => {
                connection::serve(Box::new(io), origin, Some(lane::serve)).await;
            }
            Ok((Protocol::Http1, io)) => http1::serve(Box::new(io), None, origin, handshake).await,
            _ => {}
        }
    }
}
