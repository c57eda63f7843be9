//! A connection with a member of an etcd, and how it ends.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http::Uri;
use tokio::io::{AsyncRead, ReadBuf};
use tonic::transport::{Channel, Endpoint};
use tunnel::box_io::BoxIo;
use tunnel::dial::{TransportError, secured};
use tunnel::once::Once;
use tunnel::tap::{Tap, Tapped};

use super::error::EtcdError;
use crate::config::directory::Directory;
use crate::config::peer_addr::PeerAddr;
use crate::limits::{DIRECTORY_PING, DIRECTORY_TIMEOUT};

/// Connects to a member of it.
pub(super) async fn connect(
    member: &PeerAddr,
    directory: &Directory,
) -> Result<(Channel, Ending), EtcdError> {
    let PeerAddr { host, port } = member;
    let tcp = tunnel::connect::connect(host, *port).await.map_err(TransportError::Connect)?;
    let stream = secured(tcp, host, directory.tls.as_ref()).await?;
    let scheme = if directory.uri.tls { "https" } else { "http" };
    let origin = format!("{scheme}://{member}").parse();
    let origin = origin.unwrap_or_else(|_| Uri::from_static("http://etcd"));
    let ending = Ending::new(directory.uri.tls);
    let stream = Tapped::new(stream, Listens(ending.clone()));
    let channel = over(Box::new(stream), origin).await;
    Ok((channel.map_err(|error| ending.of(&error).unwrap_or_else(|| error.into()))?, ending))
}

/// How a connection has ended, of which tonic says little.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    is_tls: bool,
    /// Something has come, beside TLS's own.
    has_heard: AtomicBool,
    why: OnceLock<String>,
}

impl Ending {
    fn new(is_tls: bool) -> Self {
        Self(Arc::new(Known { is_tls, ..Known::default() }))
    }

    /// In words, where this error of tonic's comes of it.
    pub(super) fn of(&self, error: &(dyn Error + 'static)) -> Option<EtcdError> {
        let Known { is_tls, has_heard, why } = &*self.0;
        let is_io = |error: &(dyn Error + 'static)| {
            error.is::<io::Error>() || error.is::<tonic::transport::Error>()
        };
        if why.get().is_none() && !causes(error).any(is_io) {
            return None;
        }
        let root = || causes(error).last().map(ToString::to_string).unwrap_or_default();
        let why = why.get().cloned().unwrap_or_else(root);
        // Who does not want this hub says so only after its handshake (RFC 8446, 4.4.2.4), and may be gone before that is heard.
        let is_refused = *is_tls && !has_heard.load(Ordering::Relaxed);
        let advice = "; does it want another client certificate (--directory-tls-cert-file)?";
        Some(EtcdError::Ended(why + if is_refused { advice } else { "" }))
    }
}

/// The error, and what it comes of.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |&error: &&'e (dyn Error + 'static)| error.source())
}

/// Notes that.
struct Listens(Ending);

impl Tap for Listens {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(io).poll_read(cx, buf));
        let Known { has_heard, why, .. } = &*self.0.0;
        match &read {
            Ok(()) if buf.filled().len() > before => has_heard.store(true, Ordering::Relaxed),
            Ok(()) => drop(why.set("nothing more comes".into())),
            Err(error) => drop(why.set(error.to_string())),
        }
        Poll::Ready(read)
    }
}

/// HTTP/2 over a connection that there is.
pub(super) async fn over(stream: BoxIo, origin: Uri) -> Result<Channel, tonic::transport::Error> {
    // Not etcd's URI: a tonic that was built with TLS wants to speak it itself where that says https.
    let endpoint = Endpoint::from_static("http://etcd")
        .origin(origin)
        .http2_keep_alive_interval(DIRECTORY_PING)
        .keep_alive_timeout(DIRECTORY_TIMEOUT)
        .keep_alive_while_idle(true);
    endpoint.connect_with_connector(Once::new(stream)).await
}
