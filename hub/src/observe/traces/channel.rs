//! The way to a collector.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;
use tunnel::box_io::BoxIo;
use tunnel::connect::connect;
use tunnel::dial::{TlsClient, secured};
use tunnel::limits::DIAL_TIMEOUT;

use crate::config::otlp::OtlpConfig;

/// Dialled when there is something to send, and again after it was lost.
pub(super) fn lazy(config: &OtlpConfig, patience: Duration) -> Channel {
    let endpoint = Endpoint::from(config.endpoint.uri().clone());
    let endpoint = endpoint.timeout(patience).connect_timeout(DIAL_TIMEOUT);
    endpoint.connect_with_connector_lazy(Dialler(config.tls.clone()))
}

/// With our TLS, which is the only one in the program.
#[derive(Clone)]
struct Dialler(Option<TlsClient>);

impl Service<Uri> for Dialler {
    type Response = TokioIo<BoxIo>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.0.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let tcp = connect(&host, uri.port_u16().unwrap_or_default()).await?;
            let io = secured(tcp, &host, tls.as_ref()).await.map_err(io::Error::other)?;
            Ok(TokioIo::new(io))
        })
    }
}
