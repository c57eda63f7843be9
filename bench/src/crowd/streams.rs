//! Connections to a hub, and calls on them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tunnel::bridge::grpc_status;
use tunnel::wire::{HUB_REASON, NAME};

/// For one call to be answered, or a connection to be there: a crowd comes all at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// One empty message, as gRPC frames it.
const MESSAGE: &[u8] = &[0; 5];
/// What a stream and a connection may have on their way: more than a long link has.
const WINDOW: u32 = 32 << 20;

/// Whom to call.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    pub(crate) name: String,
}

/// A call that has its answer's head: dropped, it is over.
pub(crate) struct Begun {
    _send: SendStream<Bytes>,
    answer: Response<RecvStream>,
}

impl Begun {
    /// Reads what comes for so long, and no more from then on.
    pub(crate) async fn flow(mut self, time: Duration) -> Result<Self> {
        let until = Instant::now() + time;
        while let Ok(data) = timeout_at(until, self.answer.body_mut().data()).await {
            let data = data.context("a download has ended")??;
            self.answer.body_mut().flow_control().release_capacity(data.len())?;
        }
        Ok(self)
    }
}

impl Hub {
    /// Opens a connection, which lasts as long as what is returned.
    pub(crate) async fn connect(&self) -> Result<SendRequest<Bytes>> {
        let handshake = async {
            let tcp = TcpStream::connect(self.address).await?;
            tcp.set_nodelay(true)?;
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
            anyhow::Ok(builder.handshake(tcp).await?)
        };
        let (streams, connection) =
            timeout(PATIENCE, handshake).await.context("no connection")??;
        // How it ends, each call on it learns by itself.
        tokio::spawn(async move { drop(connection.await) });
        Ok(streams)
    }

    /// Makes a call to its end.
    pub(crate) async fn echo(&self, connection: &SendRequest<Bytes>) -> Result<()> {
        let call = async {
            let Begun { _send, answer } = self.call(connection, "Echo", true).await?;
            let mut body = answer.into_body();
            while let Some(data) = body.data().await.transpose()? {
                // Fails only after a reset, of which the next read tells.
                let _ = body.flow_control().release_capacity(data.len());
            }
            let status = body.trailers().await?.as_ref().and_then(grpc_status);
            ensure!(status == Some(0), "grpc-status {status:?}");
            Ok(())
        };
        timeout(PATIENCE, call).await.context("a call has no end")?
    }

    /// Begins a call that never ends.
    pub(crate) async fn begin(
        &self,
        connection: &SendRequest<Bytes>,
        method: &str,
    ) -> Result<Begun> {
        let call = self.call(connection, method, false);
        timeout(PATIENCE, call).await.context("a call has no answer")?
    }

    async fn call(
        &self,
        connection: &SendRequest<Bytes>,
        method: &str,
        ends: bool,
    ) -> Result<Begun> {
        let mut streams = connection.clone().ready().await?;
        let request = Request::post(format!("http://{}/bench.Bench/{method}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header(NAME, &self.name)
            .body(())?;
        let (answer, mut send) = streams.send_request(request, false)?;
        send.send_data(Bytes::from_static(MESSAGE), ends)?;
        let answer = answer.await?;
        let head = answer.headers();
        ensure!(answer.status() == 200 && !head.contains_key(HUB_REASON), "refused: {head:?}");
        Ok(Begun { _send: send, answer })
    }
}
